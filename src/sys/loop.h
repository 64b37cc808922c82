#pragma once
#include <glib.h>

/**
 * q_loop_run:
 *
 * Runs the daemon's main loop (the default context) until SIGTERM or SIGINT, or q_loop_quit().
 * SIGPIPE is ignored. Returns: the exit status given to q_loop_quit(), 0 after a signal.
 */
int q_loop_run(void);
void q_loop_quit(int status);
