#pragma once
#include "base/sorted.h"
#include "ha/core/lrm.h"

/* What lrm.c, lrm_execute.c and lrm_lease.c share. */

typedef enum { LRM_WAIT_FOR_AGENT_LOCK, LRM_ACTIVE, LRM_LOST_AGENT_LOCK, LRM_MAINTENANCE } LrmState;

/* One thing to do with one service. */
typedef struct {
    char *sid;
    char *uid; /* NULL: asked for by a shutdown, answers nobody */
    HaState command;
    char *target;
    int timeout_s;
    int waited;      /* rounds that it was seen waiting */
    uint64_t job_id; /* under way; 0: waiting */
} Worker;

/* A running guest on its way into our gate, or out of it. */
typedef struct {
    HaGeneration generation; /* {0, 0}: out */
    uint64_t job_id;         /* 0: it is there */
} GateMove;

struct Lrm {
    LrmState state;
    HaMode mode;
    bool shutdown_requested;
    HaShutdown shutdown;
    bool stop_failed;
    bool left;
    bool written; /* the status file has been written once */
    int idle_rounds;
    HaTime lost_since;
    HaTime counted; /* as the cluster manager's */
    bool has_counted;
    bool counts;
    int64_t wake_ms;

    /* what the master wants */
    HaStatus *view;
    uint64_t view_version;
    HaNodeState node_state;

    GPtrArray *workers;  /* Worker */
    GHashTable *retries; /* sid -> count */
    HaLrmStatus *status; /* results; state and mode are set when it is written */
    bool dirty;          /* it says something new */
    bool settled;        /* everything was done at the snapshot of this version */
    uint64_t jobs;
    uint64_t commits;
    uint64_t status_commit;  /* pending; 0: none */
    uint64_t records_commit; /* pending; 0: none */

    /* the lease and what hangs on it; classic: lease and watchdog only */
    HaLease lease;
    bool has_lease; /* ours, and not past s + K when last looked at */
    bool watchdog;  /* classic: ours is open */
    HaTime asked;
    bool has_asked;
    HaTime promised; /* D */
    bool kept;       /* watchdogd has kept a deadline of this lease: it is armed for it */
    bool ending;     /* local end of ending_of under way */
    HaGeneration ending_of;
    GHashTable *gate_moves; /* sid -> GateMove */
};

void lrm_emit(HaEnv *env, HaEvent *event); /* (transfer full) */
void lrm_set_state(Lrm *lrm, HaEnv *env, LrmState state);

/* lrm_execute.c */
void worker_free(gpointer data);
void lrm_queue_services(Lrm *lrm, HaEnv *env, const HaWorld *world);
void lrm_queue_stops(Lrm *lrm, HaEnv *env);
bool lrm_run_workers(Lrm *lrm, HaEnv *env, const HaWorld *world); /* false: none is left */

/* lrm_lease.c */
void lrm_keep(Lrm *lrm, HaEnv *env, const HaWorld *world); /* not classic: first in each step */
bool lrm_hold(Lrm *lrm, HaEnv *env, const HaWorld *world); /* the agent lease is ours, armed */
bool lrm_release(Lrm *lrm, HaEnv *env,
                 const HaWorld *world); /* true: lease and watchdog given up */
void lrm_keep_records(Lrm *lrm, HaEnv *env, const HaWorld *world);
bool lrm_gate_job_done(Lrm *lrm, uint64_t id, int rc);
