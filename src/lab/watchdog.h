#pragma once
#include "base/error.h"

/*
 * A host's watchdog device, outside the host: a SOCK_SEQPACKET socket, one client at a time.
 * Connecting opens it and starts it if it does not run; "T SECONDS" sets the timeout and feeds, "K"
 * feeds, "V" closes it in order, "?" asks. Each is answered "T SECONDS LEFT_MS"; LEFT_MS is -1 when
 * it does not run. A client that goes away without "V" leaves it running.
 */
typedef struct LabWatchdog LabWatchdog;

LabWatchdog *lab_watchdog_new(const char *path, void (*expired)(gpointer data), gpointer data,
                              GError **error);

/** lab_watchdog_reset: the host went off or on: not running, nobody connected. */
void lab_watchdog_reset(LabWatchdog *watchdog);
