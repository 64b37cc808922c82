#pragma once
#include "base/error.h"

/*
 * The device that resets this host when nobody feeds it: a Linux watchdog (character device), or
 * the lab's, a SOCK_SEQPACKET socket served from outside the host ("T SECONDS" sets the timeout,
 * "K" feeds, "V" closes in order, "?" asks; each is answered "T SECONDS LEFT_MS").
 */
typedef struct WatchdogDevice WatchdogDevice;

/**
 * watchdog_device_open:
 * @granularity_ms: g of safety.md S31, what the device may fire too late; -1: what is known of its
 * kind (0 for the lab's, else 1000)
 *
 * Opens it, which starts it, sets the timeout and reads it back: the device may have chosen
 * another.
 *
 * Errors: Q_ERROR_NOT_FOUND (no such device), Q_ERROR_BUSY (another program has it),
 *   Q_ERROR_UNSUPPORTED (one that cannot be relied upon, S31 and S32, with the reason)
 */
WatchdogDevice *watchdog_device_open(const char *path, int timeout_s, int granularity_ms,
                                     bool accept_virtual, GError **error);

bool watchdog_device_feed(WatchdogDevice *device, GError **error);
int watchdog_device_timeout_ms(const WatchdogDevice *device);
int watchdog_device_granularity_ms(const WatchdogDevice *device);

/** watchdog_device_close: in order: it stops. */
void watchdog_device_close(WatchdogDevice *device);
/** watchdog_device_abandon: leaves it running, unfed. */
void watchdog_device_abandon(WatchdogDevice *device);

/** watchdog_device_runs: whether it runs though we have not opened it; false also if nobody can
 * tell. */
bool watchdog_device_runs(const char *path);
