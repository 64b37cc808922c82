#pragma once
#include "cfs/core/replica.h"
#include "cfs/store.h"

/*
 * The core in the real world: gives replica_step() its inputs (groups, flag, clocks, requests,
 * disk) and carries out its effects, in order. Everything here runs in the main loop.
 */
typedef struct CfsHost CfsHost;

/* What the rest of cfsd does about effects. All of them may be NULL. */
typedef struct {
    /* Another version is visible: ReplicaEffect of kind EFFECT_VISIBLE, borrowed. */
    void (*visible)(const ReplicaEffect *effect, gpointer data);
    /* Quorum, view or the list of voters changed. */
    void (*quorum)(gpointer data);
    gpointer data;
} CfsHostEvents;

typedef struct {
    const char *folder; /* of the database */
    bool local;         /* `-l` */
    bool corosync;      /* false: never look for Corosync (tests) */
    int call_ms;        /* how long a call may wait; 0: 10 s */
} CfsHostSetup;

/** cfs_host_new: opens the database and starts the core. Errors: see cfs_store_open(),
 *  replica_new(). */
CfsHost *cfs_host_new(const CfsHostSetup *setup, GError **error);
void cfs_host_listen(CfsHost *host, const CfsHostEvents *events); /* copied; before the loop runs */
void cfs_host_free(CfsHost *host); /* what is under way is answered UNKNOWN; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsHost, cfs_host_free)

/* ------------------------------------------------------------------ calls */

typedef struct {
    UpdateResult result;
    bool timed_out; /* UPDATE_UNKNOWN or UPDATE_CANCELLED because nothing came in time */
} CfsOutcome;

/** @outcome: borrowed. Called exactly once, possibly before the call that asked for it returns. */
typedef void (*CfsOutcomeFunc)(const CfsOutcome *outcome, gpointer data);

/** cfs_host_idle: no other input waits here: the core sends and writes what it has gathered. The
 *  loop does it after each turn; at the end of a batch of inputs it saves that turn. */
void cfs_host_idle(CfsHost *host);

/** cfs_host_update: @update (transfer full). @call: (out) (optional): set before @done can be
 * called; for cfs_host_cancel() until then. */
void cfs_host_update(CfsHost *host, Update *update, CfsOutcomeFunc done, gpointer data,
                     uint64_t *call);
void cfs_host_lease(CfsHost *host, const LeaseOp *op, CfsOutcomeFunc done, gpointer data,
                    uint64_t *call);
void cfs_host_cancel(CfsHost *host, uint64_t call); /* answered at once; 0 is fine */

/** cfs_outcome_error: (transfer full): NULL if it was done. @what: begins the message. */
GError *cfs_outcome_error(const CfsOutcome *outcome, const char *what);
int cfs_outcome_errno(const CfsOutcome *outcome); /* 0: done */

/* ------------------------------------------------------------------ looking */

const Replica *cfs_host_replica(const CfsHost *host);
const Tree *cfs_host_tree(const CfsHost *host); /* visible; until the loop runs again */
bool cfs_host_writable(const CfsHost *host);    /* whether modes show write bits */
bool cfs_host_local(const CfsHost *host);       /* `-l` */
const char *cfs_host_node(const CfsHost *host);
const char *cfs_host_boot(const CfsHost *host);
uint32_t cfs_host_node_id(const CfsHost *host);
Clocks cfs_host_clocks(void);
char *cfs_host_disk_error(CfsHost *host); /* (transfer full) (nullable): if the disk is bad now */
