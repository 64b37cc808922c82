#pragma once
#include <glib.h>
#include "base/error.h"

/**
 * guest_launch:
 * @argv: NULL-terminated
 * @variable: "NAME=value" added to QEMU's environment
 * @output: (out) (transfer full): what QEMU printed while it came up, "" if nothing
 *
 * Runs QEMU as a session of its own, in the caller's cgroup, and waits until it answers on its
 * socket. It is not told to make itself a daemon: that would show two processes of one guest for a
 * moment. It becomes a child of init when the caller ends.
 *
 * Returns: false with Q_ERROR_IO and QEMU's own words if it ended, Q_ERROR_TIMEOUT if it does not
 *   answer: it has been killed then
 */
bool guest_launch(uint32_t vmid, const char *const *argv, const char *variable, int timeout_ms,
                  char **output, GError **error);
