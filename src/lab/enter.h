#pragma once
#include "lab/lab.h"

/* What exec says when there is no host to run the command in (as env(1) and docker do). */
#define LAB_EXIT_NO_HOST 125

/**
 * lab_enter_run:
 * @argv: %NULL-terminated
 *
 * Runs a command inside a host as its root: standard streams passed through, the product's commands
 * first in PATH. SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to it; it does not outlive us.
 *
 * Returns: its exit status (128 + N if signal N ended it, the host's power loss included), or
 *   LAB_EXIT_NO_HOST with an error: unknown, off or frozen
 */
int lab_enter_run(const Lab *lab, const char *node, const char *const *argv, GError **error);

/** lab_enter_output: the same for our own questions: standard output is returned, at most 1 MiB;
 *  SIGKILL after @timeout_ms (status -1). Standard error goes to ours unless @quiet. */
int lab_enter_output(const Lab *lab, int node, const char *const *argv, int timeout_ms, bool quiet,
                     char **out, GError **error);
