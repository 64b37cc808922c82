#pragma once
#include "sim/cfs_world.h"

/*
 * The invariants of safety.md section 5 that concern the filesystem and its leases (3 to 18, 26,
 * 27, 30), judged from outside: from what disks hold, what readers see, what callers were told.
 */
void sim_check_new(SimWorld *world);
void sim_check_free(SimWorld *world);

void sim_check_persisted(SimWorld *world, SimNode *node);
void sim_check_visible(SimWorld *world, SimNode *node, const ReplicaEffect *effect);
void sim_check_started(SimNode *node);

/* Told by the clients (cfs_load.c): that a content is under way; what became of it, unless nobody
 * knows. @began_us: when the call was made. */
void sim_check_called(SimWorld *world, const char *path, const char *content);
void sim_check_written(SimNode *node, const char *path, const char *content, int64_t began_us,
                       const UpdateResult *result);
void sim_check_unique(SimNode *node, const char *path, const UpdateResult *result, bool create);
void sim_check_granted(SimNode *node, const char *lease, Generation generation, bool own_again);
void sim_check_heard(SimNode *node, const char *lease, Generation generation, int64_t sent_us);
void sim_check_released(SimWorld *world, const char *lease, Generation generation);
void sim_check_conditioned(SimNode *node, const char *lease, Generation generation,
                           const UpdateResult *result);

/** sim_check_holds: may @holder's generation be given away now? Asks all holders (18). */
typedef bool (*SimHolds)(SimNode *node, const char *lease, Generation *generation);
void sim_check_set_holds(SimWorld *world, SimHolds holds);

void sim_check_end(SimWorld *world); /* after everything was healed and is quiet */
