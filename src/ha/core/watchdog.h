#pragma once
#include "ha/core/env.h"

/*
 * What quorate-watchdogd decides (S27, S28): which deadlines are open, and whether the device may
 * be fed now. It feeds only while now + H + g is not past any open deadline, so that the device
 * fires by the earliest of them whoever hangs.
 */
typedef struct Watchdog Watchdog;

/**
 * watchdog_new:
 * @device_ms: H as read back from the device
 * @deadlines: (nullable): what watchdog_text() gave last time, from the file in /run
 * @device_running: the device was found armed: then without @deadlines nothing is fed ever again
 */
Watchdog *watchdog_new(int device_ms, int granularity_ms, const char *deadlines,
                       bool device_running);
void watchdog_free(Watchdog *watchdog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watchdog, watchdog_free)

bool watchdog_armed(const Watchdog *watchdog);
/** watchdog_arm: Errors: Q_ERROR_BUSY: it runs over a device that it knows nothing about */
bool watchdog_arm(Watchdog *watchdog, GError **error);

/** watchdog_promise: later than before counts, earlier does not change it. Errors: Q_ERROR_INVALID
 *  (not armed), Q_ERROR_TIMEOUT (already past: the device is to fire) */
bool watchdog_promise(Watchdog *watchdog, HaGeneration owner, HaTime deadline, HaTime now,
                      GError **error);

/** watchdog_close: @owner's guests are all dead, or none is guarded. *@device_too: nobody else has
 *  a deadline, so close the device in order. Errors: Q_ERROR_DENIED: @owner has no deadline here */
bool watchdog_close(Watchdog *watchdog, HaGeneration owner, bool *device_too, GError **error);

bool watchdog_may_feed(const Watchdog *watchdog, HaTime now);

/** watchdog_deadline: of @owner ({0, 0}: the earliest, its owner in *@owner_out). */
bool watchdog_deadline(const Watchdog *watchdog, HaGeneration owner, HaGeneration *owner_out,
                       HaTime *deadline);

char *watchdog_text(
    const Watchdog *watchdog); /* to be on disk (in /run) before the device is fed on it */
