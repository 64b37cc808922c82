#pragma once
#include "lab/history.h"
#include "lab/lab.h"

/*
 * Watches the guest processes of all hosts from the outside: /proc, pidfds and the CPU time of vCPU
 * threads. Lives in the hardware process; asks nothing of Quorate.
 */
typedef struct LabWatch LabWatch;

LabWatch *lab_watch_new(const Lab *lab, GError **error);
LabHistory *lab_watch_history(LabWatch *watch); /* borrowed */

/** lab_watch_host_on: @pid is the host's pid 1. */
void lab_watch_host_on(LabWatch *watch, int node, pid_t pid);
void lab_watch_host_off(LabWatch *watch, int node); /* its power went: how its guests end */
