#pragma once
#include "cfs/core/lease.h"
#include "cfs/core/tree.h"

/*
 * The replicated tree of one node as a state machine: replica_step() takes one input and appends
 * effects, which the host carries out in their order. Deterministic: equal inputs, equal effects.
 * The protocol: docs/internals/cfs-protocol.md; its rules: safety.md sections 1 and 2.
 */
typedef struct Replica Replica;

#define REPLICA_MESSAGE_MAX (64 * 1024) /* bytes of any multicast, main or bulk (S15) */
#define REPLICA_IN_FLIGHT_MAX 64        /* updates of one node in the order, not yet answered */
#define REPLICA_WAITING_MAX 4096        /* requests that wait for their turn; more: OVERLOADED */

/* ------------------------------------------------------------------ what the store keeps */

/** A row of our own table: `quorate(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID`. */
typedef struct {
    char *key;
    GBytes *value; /* NULL: delete the row */
} StoreRow;

/** One transaction, all or nothing. Later ones only after it; none may overtake. */
typedef struct {
    GPtrArray *entries; /* TreeEntry *: rows of `tree` to replace. The root is never among them */
    GArray *removed;    /* uint64_t: inodes to delete from `tree`, before the entries are written */
    GArray *rows;       /* StoreRow: rows of our table */
    TreeFigures figures; /* version, writer, mtime of row 0 (`__version__`), always written */
    bool whole;          /* entries and rows are everything: replace both tables */
    bool new_file;   /* S16: write a new file, fsync, rename, fsync the folder; then believe it */
    bool keep_aside; /* keep a copy of the file as it is first: history is discarded (S10) */
} StoreWrite;
void store_write_free(StoreWrite *write);

/* ------------------------------------------------------------------ birth */

typedef struct {
    uint32_t node_id;     /* of corosync; 1 if alone */
    const char *node;     /* host name, short */
    const char *boot;     /* KERNELBOOTID-STARTTICKS */
    uint64_t incarnation; /* random, not 0: this process */
    uint64_t seed;        /* random: for nonces, plan ids, a database id if there is none */
    bool join;            /* fresh database, but the host has a corosync.conf: learn from others */
    bool suspect;    /* an earlier process of this boot met a write error and did not get over it */
    bool local_edit; /* `-l`: alone whatever corosync.conf says; the database gets a new id (S6) */
    /* What the store loaded. Root and row 0 not among the entries. */
    GPtrArray *entries; /* TreeEntry *, any order; borrowed */
    uint64_t version;   /* of row 0 */
    uint32_t writer;
    int64_t mtime_s;
    GArray *rows; /* StoreRow of our table; borrowed */
} ReplicaSetup;

/**
 * replica_new:
 * @error: Q_ERROR_INVALID: the rows do not form a tree (which row, and what is wrong), a guest id
 *   stands twice, a row of ours cannot be read
 *
 * Needs the first input REPLICA_START before any other.
 */
Replica *replica_new(const ReplicaSetup *setup, GError **error);
void replica_free(Replica *replica);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Replica, replica_free)

/** replica_alone: no corosync.conf in the tree: no group to join; messages stay inside. */
bool replica_alone(const Replica *replica);

/* ------------------------------------------------------------------ inputs */

typedef enum {
    REPLICA_START,
    REPLICA_VIEW,      /* a confchg of the main group */
    REPLICA_MESSAGE,   /* delivered by the main group, own ones too */
    REPLICA_BULK,      /* delivered by the bulk group, own ones too */
    REPLICA_FLAG,      /* votequorum's flag; starts as "forbidden" in a cluster (S1) */
    REPLICA_REQUEST,   /* an update */
    REPLICA_LEASE,     /* a call about a lease */
    REPLICA_CANCEL,    /* time is up, or interrupted: answered at once, UNKNOWN or CANCELLED */
    REPLICA_PERSISTED, /* a StoreWrite is on disk, or failed */
    REPLICA_TICK,      /* replica_wake_ms() has come; harmless at any time */
    REPLICA_IDLE,      /* no other input waits: what was held back for batching goes out now */
} ReplicaInputKind;

typedef struct {
    ReplicaInputKind kind;
    Clocks now;
    union {
        struct {
            const uint32_t *members; /* node ids, any order; empty: we are out of the group */
            size_t n_members;
        } view;
        struct {
            uint32_t node_id; /* as the group says */
            const void *data;
            size_t length;
        } message; /* MESSAGE, BULK */
        bool flag; /* true: quorate */
        struct {
            uint64_t client; /* cookies of the host, returned with the answer */
            uint64_t id;
            Update *update;    /* REQUEST: (transfer full) */
            const LeaseOp *op; /* LEASE: borrowed */
        } request;             /* REQUEST, LEASE, CANCEL */
        struct {
            uint64_t token;
            bool failed;
        } persisted;
    };
} ReplicaInput;

/* ------------------------------------------------------------------ effects */

typedef enum {
    EFFECT_PERSIST,   /* carry out, then REPLICA_PERSISTED(token); in order, one writer */
    EFFECT_MULTICAST, /* main group, agreed order */
    EFFECT_BULK,      /* bulk group; may be slow, may be lost */
    EFFECT_ANSWER,
    EFFECT_VISIBLE, /* the visible version moved on: tell watchers, invalidate the kernel */
    EFFECT_QUORUM,  /* replica_quorum() changed: tell watchers; write bits come and go */
    EFFECT_LEAVE,   /* leave the main group, then join again */
    EFFECT_NOTICE,  /* for the log */
} ReplicaEffectKind;

typedef enum {
    NOTICE_EPOCH_OPEN,     /* number, text: members */
    NOTICE_EPOCH_CLOSED,   /* the view is over */
    NOTICE_NO_MAJORITY,    /* text: which voters are missing */
    NOTICE_LEARNER,        /* text: why this database does not count (S6) */
    NOTICE_SYNC_BEGIN,     /* node: from whom; text: by log or by digests */
    NOTICE_SYNC_DONE,      /* number: bytes received */
    NOTICE_TAIL_DISCARDED, /* number: sequence up to which history was kept */
    NOTICE_DIVERGED,       /* another order than the majority's: leaving, joining again */
    NOTICE_DISK_BAD,       /* writes fail: no durability announced; tried again each second */
    NOTICE_DISK_GOOD,
    NOTICE_CONFIG,       /* text: the voters that count from now on */
    NOTICE_BAD_MESSAGE,  /* node; text: why it was dropped */
    NOTICE_LOCK_EXPIRED, /* text: path of a lock folder removed after 120 s */
    NOTICE_FOREIGN,      /* node: a member of another cluster or lineage */
} NoticeKind;

typedef struct {
    char *path;
    uint64_t version; /* 0: gone */
} VisiblePath;

typedef struct {
    ReplicaEffectKind kind;
    union {
        struct {
            uint64_t token;
            StoreWrite *write;
        } persist;
        GBytes *message; /* MULTICAST, BULK */
        struct {
            uint64_t client;
            uint64_t id;
            UpdateResult result;
        } answer;
        struct {
            uint64_t sequence;
            bool all;          /* another state was installed: forget everything, read anew */
            GArray *paths;     /* VisiblePath, by change; both ends of a rename */
            GPtrArray *leases; /* char *: names */
            GArray *vmids;     /* uint32_t: run or migration records that changed */
        } visible;
        struct {
            NoticeKind kind;
            uint32_t node_id; /* 0: none */
            uint64_t number;
            char *text; /* "" if none */
        } notice;
    };
} ReplicaEffect;

/** replica_effects_new: (element-type ReplicaEffect): an array that clears its elements */
GArray *replica_effects_new(void);

void replica_step(Replica *replica, const ReplicaInput *input, GArray *effects);

/** replica_wake_ms: mono_ms at which REPLICA_TICK is wanted; INT64_MAX: not */
int64_t replica_wake_ms(const Replica *replica);

/* ------------------------------------------------------------------ reads: committed state */

const Tree *replica_tree(const Replica *replica); /* borrowed until the next step */

typedef enum {
    QUORUM_YES,
    QUORUM_FORMING, /* a majority is forming an epoch: calls wait */
    QUORUM_NO,      /* calls are refused */
} QuorumState;

typedef struct {
    QuorumState state;
    Epoch epoch;       /* installed and open; else the last one installed */
    uint64_t sequence; /* of the visible version */
    const char *why;   /* "" if QUORUM_YES; borrowed until the next step */
} ReplicaQuorum;
ReplicaQuorum replica_quorum(const Replica *replica);

const char *replica_cluster_id(const Replica *replica); /* hex; "" before there is one */
GArray *replica_members(const Replica *replica);        /* (transfer full) uint32_t: the view */

/** A voter of the committed configuration (S2, S6). */
typedef struct {
    uint32_t node_id;
    const char *node;
    uint32_t weight;
    uint64_t database; /* its disk (S6) */
    bool present;      /* in the view */
    bool installed;    /* has the open epoch */
} ReplicaVoter;
GArray *replica_voters(const Replica *replica); /* (transfer full) ReplicaVoter */

/** replica_lease: false if there never was one. @now for left_ms. */
bool replica_lease(const Replica *replica, const char *name, const Clocks *now, LeaseView *view);
GPtrArray *replica_lease_names(const Replica *replica); /* (transfer container) const char * */

typedef struct {
    uint32_t vmid;
    const char *node, *boot, *start_id;
    Generation guard; /* {0, 0}: unguarded */
    bool dead;        /* S34 holds for it */
} RunView;
typedef struct {
    uint32_t vmid;
    const char *mig_id, *start_id, *target, *target_boot, *phase;
} MigView;
typedef struct {
    const char *node, *boot;
    Generation manager;
    int64_t deadline_s;
    OffState state;
} OffView;
GArray *replica_runs(const Replica *replica); /* (transfer full) RunView, by vmid */
bool replica_run(const Replica *replica, uint32_t vmid, RunView *view);
bool replica_mig(const Replica *replica, uint32_t vmid, MigView *view);
GArray *replica_migs(const Replica *replica); /* (transfer full) MigView, by vmid */
GArray *replica_offs(const Replica *replica); /* (transfer full) OffView, by node */
