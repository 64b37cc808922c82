#pragma once
#include <sys/types.h>
#include "base/error.h"

typedef struct {
    const char *input;      /* to standard input; NULL: /dev/null */
    int timeout_ms;         /* 0: none; at its end the child's process group gets SIGKILL */
    const char *const *env; /* "NAME=value" added to ours; NULL: none */
} QRunOptions;

/**
 * q_run:
 * @argv: %NULL-terminated; argv[0] is looked up in PATH
 * @options: (nullable)
 * @out: (out) (optional): standard output, at most 16 MiB
 * @err: (out) (optional): standard error; %NULL passes it through
 *
 * The one way to run a child process and wait for it. No shell.
 *
 * Returns: the exit status (128 + N if signal N ended it), or -1 with Q_ERROR_NOT_FOUND (no such
 *   program), Q_ERROR_TIMEOUT or Q_ERROR_IO
 */
int q_run(const char *const *argv, const QRunOptions *options, char **out, char **err,
          GError **error);

/** q_run_ok: as q_run(), but a status other than 0 is an error, Q_ERROR_IO, with the last line that
 *  the program printed to standard error. */
bool q_run_ok(const char *const *argv, const QRunOptions *options, char **out, GError **error);

/** q_process_start_ticks: field 22 of /proc/PID/stat; 0 if there is no such process. A pid with its
 *  ticks names one process for the machine's whole uptime. */
uint64_t q_process_start_ticks(pid_t pid);
bool q_process_alive(pid_t pid, uint64_t start_ticks); /* a zombie is not alive */

/** q_boot_id: (transfer full): "KERNELBOOTID-STARTTICKS" of pid 1: names this boot of this host,
 *  also where hosts share a kernel. */
char *q_boot_id(void);
char *q_node_name(void); /* (transfer full): host name, cut at the first dot */
