#pragma once
#include "lab/lab.h"

/**
 * lab_host_boot:
 *
 * Makes the host's namespaces, plugs its links in, starts its pid 1 (lab_host_main) and returns
 * when that has its mounts and addresses. The caller's own process ends up in those namespaces: to
 * be called by a process of its own.
 *
 * Returns: pid 1 as the machine sees it, or -1
 */
pid_t lab_host_boot(const Lab *lab, int node, GError **error);

/** lab_host_mount: the host's own view of the files, in a new mount namespace. */
bool lab_host_mount(const Lab *lab, int node, GError **error);
