#pragma once
#include <stdint.h>

/*
 * S43: at start, in each new epoch and each minute, what runs here and what the cluster has on
 * record are brought together (guest/lifecycle.h). Waits, so it has a thread and a connection of
 * its own.
 */
typedef struct HaReconcile HaReconcile;

HaReconcile *ha_reconcile_new(void);
void ha_reconcile_free(HaReconcile *reconcile); /* waits for a look that is under way */

/** ha_reconcile_look: @epoch: that is open here; looks if it is another one than at the last look,
 * or a minute has passed. Never waits. */
void ha_reconcile_look(HaReconcile *reconcile, uint64_t epoch);
