#pragma once
#include "guest/gate.h"
#include "guest/lifecycle.h"

/* The process of a guest, found by what only it has: the pid file on its command line. */

/* The environment variable in which QEMU carries the start id of its run record (S39): readable for
 * as long as the process lives, whoever started it. */
#define GUEST_START_ENV "QUORATE_START"

char *guest_pid_path(uint32_t vmid);                               /* (transfer full) */
char *guest_process_start_id(pid_t pid);                           /* (transfer full) or NULL */
bool guest_process_wait(const GuestProcess *process, int wait_ms); /* true: it has ended */
void guest_process_signal(const GuestProcess *process, int number);
void guest_remove_run_files(uint32_t vmid); /* pid file and sockets of an ended QEMU */
