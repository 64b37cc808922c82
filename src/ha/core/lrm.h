#pragma once
#include "ha/core/env.h"

/*
 * The local resource manager: one per node. Carries out what the master decided, holds the node's
 * lease, promises the watchdog, and ends its guests before anybody may start them elsewhere
 * (ha.md 12; safety.md S18, S20, S26-S29, S33).
 */
typedef struct Lrm Lrm;

Lrm *lrm_new(HaEnv *env); /* emits its first state */
void lrm_free(Lrm *lrm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lrm, lrm_free)

/**
 * lrm_step:
 *
 * One iteration. Classic: a round. Else: call it on any change (snapshot, heard renewal, answer of
 * watchdogd, a guest's process ended) and at lrm_wake_ms(). It must be called by then: the local
 * end at s + K hangs on it, and nothing on the way there may wait.
 */
void lrm_step(Lrm *lrm, HaEnv *env);
int64_t lrm_wake_ms(const Lrm *lrm); /* env->now().boot_ms */

void lrm_committed(Lrm *lrm, HaEnv *env, uint64_t id, const GError *error); /* as crm_committed() */

/** lrm_job_done: the result of a job that was pending; @rc: HA_RC_*. Steps. */
void lrm_job_done(Lrm *lrm, HaEnv *env, uint64_t id, int rc);

typedef enum { HA_SHUTDOWN_DAEMON, HA_SHUTDOWN_REBOOT, HA_SHUTDOWN_POWEROFF } HaShutdown;
/** lrm_shutdown: once; step on until lrm_left(). DAEMON: the guests run on (frozen). */
void lrm_shutdown(Lrm *lrm, HaEnv *env, HaShutdown kind);
bool lrm_left(const Lrm *lrm);

const char *
lrm_state(const Lrm *lrm); /* "wait_for_agent_lock", "active", "lost_agent_lock", "maintenance" */
HaMode lrm_mode(const Lrm *lrm);
HaGeneration lrm_generation(const Lrm *lrm); /* under which guests run here; {0, 0} */
HaTime lrm_deadline(const Lrm *lrm);         /* D as promised last */
