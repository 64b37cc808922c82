#pragma once
#include <glib.h>

/**
 * q_realtime_enter:
 * @priority: of SCHED_RR, 1..99
 *
 * For the daemons that a node's safety hangs on (safety.md S17): memory is locked as it is touched,
 * the process runs before ordinary ones and is the last to be killed for memory. Children get none
 * of it but the last; call q_realtime_leave_child() between fork and exec.
 *
 * What the machine forbids (containers do) is said once in the log and is not fatal.
 */
void q_realtime_enter(int priority);
/** q_realtime_thread: the same priority class for the calling thread: threads do not inherit it. */
void q_realtime_thread(int priority);

void q_realtime_leave_child(void); /* async-signal-safe */
