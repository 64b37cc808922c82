#pragma once
#include "task/upid.h"

/* The log file of a task, for this folder. */
bool task_log_create(const Upid *upid, int *fd, GError **error);

/** task_log_last_line: (transfer full): NULL if there is none; @error says why it cannot be read.
 */
char *task_log_last_line(const char *path, GError **error);

/** task_status_of_line: (transfer full): what the final line says; NULL if it is no final line. */
char *task_status_of_line(const char *line);

/** task_log_final: (transfer full): the final line for a status, with a newline. */
char *task_log_final(const GError *error, int warnings);
