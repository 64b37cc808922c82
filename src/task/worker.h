#pragma once
#include "task/task.h"

/* The worker's own side, for `quorate task`. */

typedef struct {
    const Upid *upid;
    const char *text;      /* the UPID */
    const char *method;    /* as in TaskSpec */
    JsonObject *arguments; /* never NULL */
    const char *client;    /* (nullable) */
} TaskWork;

/** TaskRunFunc: does the work; what it prints to standard output is the log.
 *  @warnings: (out): lines printed with "WARN: " */
typedef bool (*TaskRunFunc)(const TaskWork *work, int *warnings, GError **error);

/** task_new_main: `quorate task new`: the specification as JSON on standard input (a seekable file,
 *  which it leaves to the next); tells the UPID, or "error WHY", as a line on standard output.
 *  Returns only if it failed: the exit status */
int task_new_main(void);

/** task_run_main: `quorate task run UPID`, by exec from task_new_main() only.
 *  Returns: the exit status: 0 if the task ended OK or with warnings */
int task_run_main(const char *upid, TaskRunFunc run);
