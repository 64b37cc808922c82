#pragma once
#include <sys/types.h>
#include "base/error.h"

/*
 * One daemon under the host's supervisor: started, watched, started again when it ends unasked.
 * All of it happens in the main loop of the supervisor, which tells it of its end.
 */
typedef struct LabDaemon LabDaemon;

typedef enum {
    LAB_DAEMON_STOPPED,  /* nobody wants it to run, or it cannot (not built, not configured) */
    LAB_DAEMON_STARTING, /* runs, has not said READY=1 yet */
    LAB_DAEMON_RUNNING,
    LAB_DAEMON_STOPPING, /* was sent SIGTERM; SIGKILL follows */
    LAB_DAEMON_WAITING,  /* ended unasked; is started again in a moment */
} LabDaemonState;

/* What the daemon's moves are told to; @why is NULL or a reason for people. */
typedef void (*LabDaemonChanged)(LabDaemon *daemon, const char *why, gpointer data);

/** lab_daemon_new: @name of the table in daemon.c: "corosync", "quorate-cfsd", … */
LabDaemon *lab_daemon_new(const char *name, const char *program_dir, LabDaemonChanged changed,
                          gpointer data);
void lab_daemon_free(LabDaemon *daemon);

extern const char *const lab_daemon_names[]; /* in the order of their start; NULL ends it */

const char *lab_daemon_name(const LabDaemon *daemon);
LabDaemonState lab_daemon_state(const LabDaemon *daemon);
pid_t lab_daemon_pid(const LabDaemon *daemon); /* 0: no process */

/** lab_daemon_can_run: false with the reason: its program is not built, its files are not there. */
bool lab_daemon_can_run(const LabDaemon *daemon, GError **error);

void lab_daemon_start(LabDaemon *daemon);
void lab_daemon_stop(LabDaemon *daemon); /* in order; a stopped (SIGSTOP) one is continued first */
bool lab_daemon_signal(LabDaemon *daemon, int number, GError **error);

void lab_daemon_notified(LabDaemon *daemon, const char *text); /* a message of sd_notify(3) */
void lab_daemon_ended(LabDaemon *daemon, int status);          /* as waitpid() gave it */

/** lab_daemon_look: to be called regularly: ends a daemon that promised signs of life and gives
 *  none. @slept: the supervisor itself stood still, so that nothing is known yet. */
void lab_daemon_look(LabDaemon *daemon, bool slept);
