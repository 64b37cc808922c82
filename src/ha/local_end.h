#pragma once
#include "ha/core/env.h"

/*
 * The local end of safety rule S29: closes the gate of a generation, kills what is in it and proves
 * it dead (S30), in a thread made for it beforehand, which touches nothing but cgroups, /proc and
 * netlink. What is once not proven is never taken as proven later: only a reset is proof then.
 */
typedef struct HaLocalEnd HaLocalEnd;

typedef void (*HaLocalEndNews)(gpointer data);

HaLocalEnd *ha_local_end_new(HaLocalEndNews news, gpointer data);
void ha_local_end_free(HaLocalEnd *end);

/** ha_local_end_set_shared: paths of storages that other nodes use too. A guest that writes to a
 * file there through this host's page cache cannot be proven dead: dirty pages outlive it. */
void ha_local_end_set_shared(HaLocalEnd *end, const char *const *paths);

/** ha_local_end_run: HA_PENDING until the proof, then HA_DONE each time it is asked for that
 *  generation. HA_REFUSED: it will never be proven. */
HaOutcome ha_local_end_run(HaLocalEnd *end, HaGeneration generation);

/** ha_local_end_proven: of the newest proof; false: none yet. */
bool ha_local_end_proven(const HaLocalEnd *end, HaGeneration *generation);

const char *ha_local_end_why(const HaLocalEnd *end); /* why it is not proven, or NULL */

/** ha_page_cache_user: (transfer full) (nullable): "process PID writes 'PATH' …", if one of @pids
 * has a file below one of @paths open for writing without O_DIRECT. */
char *ha_page_cache_user(const GArray *pids, const char *const *paths);
