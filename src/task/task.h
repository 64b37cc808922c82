#pragma once
#include <signal.h>
#include "base/json.h"
#include "task/upid.h"

/*
 * Long work is a task: a process of its own, `quorate task run UPID`, with a log. It survives
 * whoever started it. Started as `quorate task new`: the process reads its own pid and ticks, makes
 * UPID and log, tells the UPID, takes its arguments from a pipe (never from argv) and executes
 * itself anew as `quorate task run UPID`.
 */
typedef struct {
    const char *type; /* "qmstart" */
    const char *id;   /* "100"; NULL: none */
    const char *user; /* "root@pam" */
    const char
        *method; /* "POST /nodes/{node}/qemu/{vmid}/status/start", or a pathless method's name */
    JsonObject
        *arguments;     /* (transfer none) (nullable): raw parameters of the method, path's too */
    const char *client; /* (nullable): address of the caller */
} TaskSpec;

#define TASK_START_MS                                                                              \
    10000 /* the longest time from the call until the worker has told its UPID                     \
           */

/** task_start: waits until log and UPID exist (some 10 ms). For commands and threads.
 *  Returns: (transfer full): the UPID */
char *task_start(const TaskSpec *spec, GError **error);

/** TaskStartedFunc: @upid (nullable): NULL with @error set. */
typedef void (*TaskStartedFunc)(const char *upid, const GError *error, gpointer data);

/** task_start_async: for daemons: returns at once; @started is called once from the main loop. */
void task_start_async(const TaskSpec *spec, TaskStartedFunc started, gpointer data);

/** TaskEndedFunc: @status "OK", "WARNINGS: N", the error's text, or "unexpected status". */
typedef void (*TaskEndedFunc)(const char *upid, const char *status, gpointer data);

/** task_watch: calls @ended once, from the main loop, when the worker of @upid is gone (also if it
 *  has been for long; also for a task of a former life of the daemon). No child of ours needed.
 *  Returns: a source id for g_source_remove() before that */
guint task_watch(const char *upid, TaskEndedFunc ended, gpointer data);

/** task_wait: blocks. @timeout_ms 0: none. Returns: (transfer full): the status, or NULL with
 *  Q_ERROR_TIMEOUT */
char *task_wait(const char *upid, int timeout_ms, GError **error);

bool task_running(const Upid *upid); /* that pid with those ticks lives on this node */

/** task_status: (transfer full): of an ended task, by the last line of its log; never NULL. A
 * worker that died without a word gets its last line here ("TASK ERROR: worker ended without
 * result"). */
char *task_status(const Upid *upid);

/** task_stop: SIGTERM to its process group, 5 s, SIGKILL; waits for the end. */
bool task_stop(const Upid *upid, GError **error);

/** task_log_path: (transfer full) */
char *task_log_path(const char *upid);

/**
 * task_log_follow:
 * @fd: where the lines go as they come, all but the final TASK line
 * @stop: (nullable): set by a signal handler: stops the task
 *
 * Returns: (transfer full): the status, as task_wait()
 */
char *task_log_follow(const char *upid, int fd, const volatile sig_atomic_t *stop, GError **error);
