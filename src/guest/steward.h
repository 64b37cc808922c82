#pragma once
#include "guest/watch.h"

/*
 * Looks after this node's guests for a daemon (lrmd): a guest that has powered off is ended, what
 * is on record and what runs are brought together (S43) when a guest ends, after each new epoch,
 * and once a minute. Nothing of it waits in the main loop.
 */
typedef struct GuestSteward GuestSteward;

/** guest_steward_new: @notify (nullable): told of each event, as by guest_watch_new(). */
GuestSteward *guest_steward_new(const char *program, GuestWatchFunc notify, gpointer data);

/** guest_steward_look: look now, not only when it is time. */
void guest_steward_look(GuestSteward *steward);
void guest_steward_free(GuestSteward *steward);
