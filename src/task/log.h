#pragma once
#include "base/json.h"

/* Reading a task's log as the API gives it. */

/**
 * task_log_lines:
 * @start: first line, from 0
 * @limit: at most so many lines; 0: all
 * @total: (out): lines of the whole log
 *
 * Returns: (transfer full): [{"n":1,"t":"line"}, …]; one line "no content" if the log is empty,
 *   "unable to open file - …" if there is none
 */
JsonArray *task_log_lines(const char *upid, int64_t start, int64_t limit, int64_t *total);
