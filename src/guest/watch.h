#pragma once
#include <glib.h>
#include "base/error.h"

/*
 * Watches every guest of this node from a daemon's main loop, without ever waiting: tells when one
 * appears and when its process has ended, and ends a QEMU whose guest has powered off (QEMU itself
 * stays then, -no-shutdown). Guests that were started by whoever, whenever, are found within a
 * second.
 */
typedef struct GuestWatch GuestWatch;

typedef enum {
    GUEST_WATCH_FOUND, /* a QEMU lives here (also told for those that are there at the beginning) */
    GUEST_WATCH_SHUTDOWN, /* the guest powered itself off, QEMU is told to quit */
    GUEST_WATCH_PANICKED, /* the guest's kernel said so (pvpanic) */
    GUEST_WATCH_IO_ERROR, /* paused by an error of its storage */
    GUEST_WATCH_ENDED,    /* its process is gone: guest_reconcile() clears its record */
} GuestWatchEvent;

typedef void (*GuestWatchFunc)(uint32_t vmid, GuestWatchEvent event, gpointer data);

GuestWatch *guest_watch_new(GuestWatchFunc notify, gpointer data);
void guest_watch_free(GuestWatch *watch);
