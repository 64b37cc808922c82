#pragma once
#include "cfs/client.h"
#include "ha/host.h"
#include "ha/jobs.h"
#include "ha/journal.h"
#include "ha/keeper.h"
#include "ha/local_end.h"
#include "ha/mirror.h"
#include "ha/watchdog_client.h"

struct HaHost {
    HaEnv env; /* first: the core hands it back */
    HaHostRole role;
    HaTiming timing;  /* in force */
    HaTiming profile; /* of the configuration as it is now; in force when no lease is held */
    char *refusal;    /* why no lease is taken */
    char *device_refusal;
    char *node;
    char *boot;

    HaManager calls;
    gpointer manager;
    GMainLoop *loop;
    guint step_source;
    int timer_fd;
    guint timer_source;
    bool in_step;
    bool terminated;
    int64_t terminated_ms;

    CfsClient *cfs;    /* reads and updates */
    CfsClient *leases; /* leases alone: a renewal waits behind nothing */
    HaMirror *mirror;
    HaKeeper *own;      /* the manager's or this node's agent lease */
    GHashTable *fenced; /* node -> HaKeeper *: agent leases of others */
    GQueue commits;     /* PendingCommit: answered, waiting to be seen */
    GHashTable *said;   /* warnings about files, said once (a set) */
    HaJournal *journal;

    /* what was read */
    HaWorld *world;
    bool dirty;
    bool configured; /* timing was computed from files at least once */

    /* LRM */
    HaLocal local;
    WatchdogClient *watchdog;
    HaLocalEnd *end;
    HaJobs *jobs;
    GHashTable *guests;  /* vmid -> Guest *: processes watched for their end */
    bool adopted;        /* the question of S18 is answered */
    HaGeneration opened; /* whose gate is open */
};

/* host_read.c */
const HaWorld *ha_host_read(HaEnv *env);
void ha_host_configure(HaHost *host); /* timing by profile and cluster */
void ha_host_refresh_local(HaHost *host);
void ha_host_drop_guests(HaHost *host);

/* host_lease.c */
HaOutcome ha_host_lease_hold(HaEnv *env, const char *name, HaLease *lease);
HaOutcome ha_host_lease_release(HaEnv *env, const char *name, HaGeneration generation);
HaOutcome ha_host_guard(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline);

/* host_commit.c */
HaOutcome ha_host_commit(HaEnv *env, const HaCommit *commit, GError **error);
void ha_host_settle_commits(HaHost *host); /* tells what has become visible */

/** ha_host_refuse: no lease is taken for this reason (NULL: none); said once. */
void ha_host_refuse(HaHost *host, const char *why);
void ha_host_publish_refusal(HaHost *host);
