#pragma once
#include "ha/core/env.h"

/*
 * The HA core's world on a real node: HaEnv over the cluster filesystem's socket, leases,
 * watchdogd, gates and tasks. One host carries one manager, that of quorate-crmd or of
 * quorate-lrmd, and its main loop; nothing in it waits.
 */
typedef struct HaHost HaHost;

typedef enum { HA_HOST_CRM, HA_HOST_LRM } HaHostRole;

/* The manager. All are called from the main loop. */
typedef struct {
    void (*step)(HaEnv *env, gpointer manager);
    int64_t (*wake_ms)(gpointer manager); /* boot clock */
    void (*committed)(HaEnv *env, uint64_t id, const GError *error, gpointer manager);
    void (*job_done)(HaEnv *env, uint64_t id, int rc, gpointer manager); /* LRM only */
    void (*terminate)(HaEnv *env, gpointer manager);                     /* SIGTERM, SIGINT */
    bool (*left)(gpointer manager); /* it has nothing more to do here */
} HaManager;

/** ha_host_new: Errors: Q_ERROR_UNSUPPORTED: LRM without cgroup2 */
HaHost *ha_host_new(HaHostRole role, GError **error);
void ha_host_free(HaHost *host);

HaEnv *ha_host_env(HaHost *host);

/** ha_host_run: steps @manager on any news and at its wake time, until it has left; after a signal
 * for at most 10 s. */
void ha_host_run(HaHost *host, const HaManager *calls, gpointer manager);

void ha_host_step_soon(HaHost *host);

/** ha_host_refusal: why this node stays out of HA, for people; NULL: it does not. */
const char *ha_host_refusal(const HaHost *host);
