#pragma once
#include "lab/lab.h"

/** lab_machine_check: can a lab work here? False with the first reason why not and the way out. */
bool lab_machine_check(const Lab *lab, GError **error);

/*
 * Hosts mount over folders that a machine without Quorate may not have. Those that we make are
 * counted over all labs of the machine (in /run/quorate-lab) and go with the last one.
 */
bool lab_machine_mount_points(const Lab *lab, GError **error);
void lab_machine_release(const Lab *lab);

/** lab_machine_leftovers: (transfer full): what of the lab's files is still in use outside its
 *  hosts: loop devices, mounts; each is removed too. One line each; empty if nothing. */
GPtrArray *lab_machine_leftovers(const Lab *lab);
