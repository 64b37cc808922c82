#pragma once
#include "base/error.h"

typedef struct {
    const char *socket_path;    /* made, mode 0600 */
    const char *deadlines_path; /* "/run/quorate/deadlines" */
    const char *device_path;
    int timeout_s;      /* H, what is asked of the device */
    int granularity_ms; /* -1: what is known of the device's kind */
    bool accept_virtual;
} WatchdogSettings;

/**
 * watchdog_server_run:
 * @stop_fd: readable when the daemon shall end (a signalfd)
 *
 * The whole of quorate-watchdogd: serves owners and feeds the device as far as they promised, every
 * 250 ms. Knows nothing of the cluster and waits for nothing but its sockets and the device.
 *
 * At its end the device is closed in order only if nobody's promise is open; else it goes on,
 * unfed, until a new watchdogd has read the deadlines.
 *
 * Errors: the socket cannot be made
 */
bool watchdog_server_run(const WatchdogSettings *settings, int stop_fd, GError **error);
