#pragma once
#include <stdio.h>
#include "base/random.h"
#include "cfs/core/replica.h"

/*
 * The world around replicas: disks, processes, and a group communication that behaves as badly as
 * the measured one (safety.md F1-F6): own messages come back before anybody has them; after a
 * lost frame a ring change delivers only the later messages of nodes that stay; leavers, then
 * joiners; votequorum late; queues of stopped clients; messages handed over in one view and
 * delivered in the next. Time is simulated, in microseconds; everything follows from the seed.
 */
#define SIM_NODES_MAX 7
#define SIM_MS 1000
#define SIM_S (1000 * SIM_MS)

typedef struct SimWorld SimWorld;
typedef struct SimNode SimNode;
typedef uint32_t SimMask; /* bit n: node number n */

/* ------------------------------------------------------------------ time */

typedef void (*SimFunc)(SimWorld *world, gpointer data, uint64_t number);
/** sim_at: calls @func at @at_us; equal times in the order of the calls. */
void sim_at(SimWorld *world, int64_t at_us, SimFunc func, gpointer data, uint64_t number);
void sim_run_until(SimWorld *world, int64_t until_us);

/* ------------------------------------------------------------------ disks */

typedef struct {
    GHashTable *entries; /* uint64_t * → TreeEntry * */
    GHashTable *rows;    /* char * → GBytes */
    TreeFigures figures;
    GQueue writes; /* in flight, oldest first (private) */
    bool slow, hanging, failing;
    bool poisoned;     /* a write failed and its data are gone, although later ones succeed (S16) */
    bool broken;       /* written to since: what is there fits together no more */
    uint64_t wiped_at; /* sequence that it held when it was reinstalled; 0: it never was */
    bool fresh;        /* reinstalled: not one of the disks that acknowledged anything yet */
} SimDisk;

/* ------------------------------------------------------------------ nodes */

typedef struct {
    SimMask members;
    SimMask group;  /* of them, in the group, in the order of the log */
    GPtrArray *log; /* messages in their order (private) */
    int references;
} SimRing;

struct SimNode {
    SimWorld *world;
    uint32_t number; /* from 0 */
    uint32_t id;     /* of corosync: number + 1 */
    char *name;
    /* host */
    bool powered, frozen;
    int64_t clock_offset_ms[3];
    double clock_rate[3]; /* boot, mono, raw */
    uint32_t boots;
    /* corosync */
    bool corosync;
    SimRing *ring; /* NULL: corosync does not run */
    guint delivered;
    SimMask group;   /* members of the main group, as delivered here */
    bool joined;     /* our process is in the group, or asked to be */
    GQueue outgoing; /* handed over, not yet ordered */
    bool token_due;
    /* cfsd */
    Replica *replica; /* NULL: does not run */
    bool stopped;     /* SIGSTOP of cfsd alone */
    uint64_t process; /* serial: events of an earlier process are void */
    GQueue inbox;
    int64_t wake_us;
    SimDisk disk;
};

typedef struct {
    /* A call was answered. */
    void (*answer)(SimWorld *world, SimNode *node, uint64_t id, const UpdateResult *result);
    void (*visible)(SimWorld *world, SimNode *node, const ReplicaEffect *effect);
    void (*persisted)(SimWorld *world, SimNode *node); /* the disk's content has changed */
    void (*started)(SimWorld *world, SimNode *node);   /* a new process */
    void (*stepped)(SimWorld *world, SimNode *node);
} SimHooks;

struct SimWorld {
    uint64_t seed;
    QRandom random;
    int64_t now_us;
    uint32_t n_nodes;
    SimNode nodes[SIM_NODES_MAX];
    SimMask reach[SIM_NODES_MAX]; /* reach[a] bit b: what a sends gets to b */
    double loss;                  /* of frames */
    SimHooks hooks;
    void *load, *check; /* of cfs_load.c, cfs_check.c */
    char *violation;    /* the first one, with its invariant in front */
    int invariant;
    uint64_t steps;
    GPtrArray *queue; /* events (private) */
    uint64_t serial;
    bool ending; /* sim_world_free() is under way */
    FILE *trace; /* NULL: none */
};

SimWorld *sim_world_new(uint64_t seed, uint32_t n_nodes);
void sim_world_free(SimWorld *world);

/** sim_violate: records the first violation; the run ends. */
void sim_violate(SimWorld *world, int invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
void sim_trace(SimWorld *world, const char *format, ...) G_GNUC_PRINTF(2, 3);

Clocks sim_clocks(const SimNode *node);
bool sim_serves(const SimNode *node); /* powered, thawed, cfsd runs and is not stopped */
void sim_step(SimNode *node, ReplicaInput *input);
uint64_t sim_request(SimNode *node, uint64_t id, Update *update); /* (transfer full) */
void sim_lease(SimNode *node, uint64_t id, const LeaseOp *op);
void sim_cancel(SimNode *node, uint64_t id);

/* ------------------------------------------------------------------ what may happen to a node */

void sim_power_off(SimNode *node);
void sim_power_on(SimNode *node);
void sim_freeze(SimNode *node);
void sim_thaw(SimNode *node);
void sim_cfsd_kill(SimNode *node);
void sim_cfsd_start(SimNode *node);
void sim_cfsd_stop(SimNode *node, bool stopped);
void sim_corosync_kill(SimNode *node);
void sim_corosync_start(SimNode *node);
void sim_disk_reinstall(SimNode *node);             /* only while cfsd does not run */
void sim_links_changed(SimWorld *world, bool lost); /* after changes of reach */

/** sim_disk_load: a replica born from the disk as it is, not started: what a restart would know. */
Replica *sim_disk_load(SimNode *node, GError **error);
