#pragma once
#include "ha/core/env.h"

/*
 * The cluster resource manager: one per node, one of them is master by lease. Decides; carries out
 * nothing (ha.md 4 to 11).
 */
typedef struct Crm Crm;

Crm *crm_new(HaEnv *env); /* emits its first state */
void crm_free(Crm *crm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Crm, crm_free)

/**
 * crm_step:
 *
 * One iteration. Classic: a round. Else: call it whenever anything that it may see has changed
 * (snapshot, lease, answer) and at crm_wake_ms(); it renews, decides and commits as needed.
 */
void crm_step(Crm *crm, HaEnv *env);

/** crm_wake_ms: step again at this time at the latest (env->now().boot_ms). */
int64_t crm_wake_ms(const Crm *crm);

/** crm_committed: the outcome of the commit that was pending; @error NULL: it is committed. Steps.
 */
void crm_committed(Crm *crm, HaEnv *env, uint64_t id, const GError *error);

void crm_shutdown(Crm *crm, HaEnv *env); /* asks it to leave; step on until crm_left() */
bool crm_left(const Crm *crm);

const char *
crm_state(const Crm *crm); /* "wait_for_quorum", "slave", "master", "lost_manager_lock" */
bool crm_is_master(const Crm *crm);
HaGeneration crm_generation(const Crm *crm); /* under which it is master; {0, 0} */
