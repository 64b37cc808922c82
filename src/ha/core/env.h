#pragma once
#include "base/json.h"
#include "ha/core/event.h"
#include "ha/core/status.h"
#include "ha/core/timing.h"

/*
 * All that the HA core may know of the world, or do to it. Production (src/ha) and the simulator
 * (src/sim) implement just these; what the one shows, the other does.
 *
 * No call waits. Where an answer takes time, the call returns HA_PENDING and the owner of the
 * environment steps the core again (crm_step, lrm_step) when the answer is there; the same call
 * then tells it. In the classic profile nothing is ever pending.
 */

typedef struct {
    uint64_t epoch;
    uint64_t sequence;
} HaGeneration; /* of a lease (S18); {0, 0}: none */

int ha_generation_compare(HaGeneration a, HaGeneration b);
bool ha_generation_none(HaGeneration generation);
char *ha_generation_text(HaGeneration generation); /* "E.S" */
bool ha_generation_parse(const char *text, HaGeneration *generation);

typedef enum {
    HA_DONE,
    HA_PENDING, /* under way; step again when there is news */
    HA_REFUSED, /* not possible now; ask again later */
} HaOutcome;

/* ------------------------------------------------------------------ one committed snapshot */

typedef enum {
    HA_REQUEST_STARTED,
    HA_REQUEST_STOPPED,
    HA_REQUEST_DISABLED,
    HA_REQUEST_IGNORED,
} HaRequest;
const char *ha_request_name(HaRequest request);
bool ha_request_parse(const char *name, HaRequest *request); /* "enabled" is started */

/* A guest's run record (S39), with what is known about its death. */
typedef struct {
    char *node;
    char *boot;
    char *start_id;
    HaGeneration guard; /* {0, 0}: unguarded */
    bool power_off;     /* recorded: the power of that node and boot was cut (S35) */
    bool stated_dead;   /* an operator said so for this guest (S34) */
    bool migrating;     /* a migration record exists */
} HaRun;

/* A service as configured: its section of resources.cfg and the node whose folder has the guest. */
typedef struct {
    char *sid;  /* "vm:100" */
    char *type; /* "vm" */
    char *node; /* NULL: no such guest */
    HaRequest state;
    bool failback;
    int max_restart;
    int max_relocate;
    char *group;      /* legacy, or NULL */
    char *lock;       /* the guest's lock, or NULL */
    uint64_t version; /* of the guest's configuration file */
    HaRun *run;       /* or NULL: nothing runs, as far as anybody committed */
    double max_cpu;   /* cores, static figures; 0: unlimited */
    double max_mem;   /* bytes */
    double cpu;       /* in use, dynamic figures */
    double mem;
    bool has_static, has_dynamic;
    bool unmanaged; /* a guest that is not in resources.cfg: only its load counts */
    bool runs;      /* unmanaged: it runs */
} HaConfig;
void ha_config_free(HaConfig *config);
HaConfig *ha_config_copy(const HaConfig *config);
uint32_t ha_sid_vmid(const char *sid); /* 0 if it has no number */
void ha_run_free(HaRun *run);
HaRun *ha_run_copy(const HaRun *run);

typedef struct {
    char *name;
    bool online;    /* a member of this node's open epoch */
    char *boot;     /* as that node said last; NULL: unknown */
    int weight;     /* votes */
    char *version;  /* "9.0.0~2" or NULL */
    double max_cpu; /* 0: unknown */
    double max_mem;
    double cpu; /* measured: cores in use; dynamic figures */
    double mem;
    bool has_capacity, has_usage;
} HaNode;
void ha_node_free(HaNode *node);

typedef enum { HA_LEASE_FREE, HA_LEASE_HELD, HA_LEASE_LAPSED, HA_LEASE_FENCED } HaLeaseState;

typedef struct {
    HaLeaseState state;
    char *node; /* holder; for a fenced agent lease, whose it was; "" if none */
    char *boot;
    HaGeneration generation; /* of the newest grant, also if free or fenced */
} HaLeaseView;
void ha_lease_view_free(HaLeaseView *view);

typedef struct {
    char *mode; /* "basic", "static", "dynamic" */
    bool rebalance_on_start;
    bool auto_rebalance;
    double threshold;      /* 0.3 */
    char *method;          /* "bruteforce", "topsis" */
    int hold_rounds;       /* 3 */
    double margin;         /* 0.1 */
    char *shutdown_policy; /* "conditional", "freeze", "failover", "migrate" */
    int max_workers;       /* 4; 0: run in line */
    char *profile;         /* "fast", "steady", "classic" */
} HaDatacenter;
HaDatacenter *ha_datacenter_new(const char *default_profile); /* all defaults */
void ha_datacenter_free(HaDatacenter *datacenter);
/** ha_datacenter_set: one property of "ha" or "crs". Returns: false: without effect */
bool ha_datacenter_set(HaDatacenter *datacenter, const char *section, const char *key,
                       const char *value);
/** ha_datacenter_parse: @text of datacenter.cfg, NULL if there is none. @warnings (nullable). */
HaDatacenter *ha_datacenter_parse(const char *text, const char *default_profile,
                                  GPtrArray *warnings);

/* What this node itself knows, not through the cluster filesystem; read without waiting. */
typedef struct {
    bool watchdog_open;  /* armed by us or by the local manager before us */
    HaGeneration owner;  /* whose deadline watchdogd keeps; {0, 0}: nobody's */
    HaTime deadline;     /* D */
    GHashTable *running; /* sids of guests whose process lives here (a set) */
    GHashTable *busy;    /* sids with a task of ours under way (a set) */
    GHashTable *gates;   /* sid -> char *: "E.S" of the gate that its process is in; "u": none */
    bool gate_dead;      /* the last HA_GUARD_END is proven (S30) */
    HaGeneration gate_dead_of;
} HaLocal;

/* clang-format off */
typedef struct {
    char *error;        /* why files cannot be read; NULL: all of this is valid, else up to nodes */
    bool quorate;       /* this node is in an open epoch (S1) */
    bool updated;       /* the view could be refreshed; false only in the classic world */
    char *boot;         /* of this node */
    int64_t wall_s;     /* for time stamps that people read */
    const HaLocal *local;
    GHashTable *nodes;  /* name -> HaNode: the configuration's nodes, and who is online */

    HaStatus *status;          /* manager_status */
    uint64_t status_version;   /* 0: no such file */
    GHashTable *lrm;           /* node -> HaLrmStatus */
    GHashTable *configs;       /* sid -> HaConfig, unmanaged guests too */
    uint64_t resources_version;
    char *rules_text;          /* rules.cfg, NULL if none */
    uint64_t rules_version;
    char *groups_text;         /* groups.cfg, NULL if none */
    uint64_t groups_version;
    GPtrArray *commands;       /* char *: lines of crm_commands */
    uint64_t commands_version;
    HaDatacenter *datacenter;
    GHashTable *leases;        /* lease name -> HaLeaseView; empty in the classic world */
} HaWorld;
/* clang-format on */

/** ha_world_new: empty tables that own what is put into them; local is borrowed. */
HaWorld *ha_world_new(void);
void ha_world_free(HaWorld *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaWorld, ha_world_free)
const HaNode *ha_world_node(const HaWorld *world, const char *name); /* NULL: unknown */
bool ha_world_online(const HaWorld *world, const char *name);
const HaConfig *ha_world_config(const HaWorld *world, const char *sid);          /* NULL: none */
const HaLeaseView *ha_world_agent_lease(const HaWorld *world, const char *node); /* NULL: none */

/* ------------------------------------------------------------------ effects */

typedef struct {
    HaGeneration generation;
    HaTime heard;    /* s: read before the newest renewal was sent that a majority has heard */
    bool renew;      /* in: send a renewal now, or ask for it; false: only tell what is known */
    bool fresh;      /* taken by this very call, not renewed (classic) */
    int64_t left_ms; /* with HA_REFUSED: how long it may still live; -1: unknown */
} HaLease;

typedef enum {
    HA_GUARD_ARM,     /* open the device, set the timeout, read it back (S26) */
    HA_GUARD_PROMISE, /* @deadline: D = s + W for @generation (S27) */
    HA_GUARD_END, /* close the gate of @generation, kill what is in it, prove it dead (S29, S30) */
    HA_GUARD_CLOSE, /* close the device in order: all of @generation is dead, or nothing is guarded
                     */
} HaGuardVerb;

typedef enum {
    HA_CHANGE_STATUS,      /* manager_status := text, if at version */
    HA_CHANGE_LRM_STATUS,  /* nodes/NODE/lrm_status := text */
    HA_CHANGE_RECOVER,     /* sid: configuration from -> to, if at version; see below */
    HA_CHANGE_SET_REQUEST, /* sid: state in resources.cfg := text, if at version */
    HA_CHANGE_CLEAR_LOCK,  /* sid: remove the guest's lock text, with the rename */
    HA_CHANGE_COMMANDS,    /* take the first count lines off crm_commands, if at version */
    HA_CHANGE_RULES,       /* rules.cfg := text, if at version */
    HA_CHANGE_DROP_GROUP,  /* sid: remove its group; failback := 0 if text is "nofailback" */
    HA_CHANGE_GROUPS,      /* remove groups.cfg */
    HA_CHANGE_GIVE,        /* node: its fenced agent lease, at generation, may be taken again */
    HA_CHANGE_GUARD,       /* sid: run record's guard := generation ({0, 0} clears), if start id */
    HA_CHANGE_RUN_CLEAR,   /* sid: remove the run record with that start id: proven dead here */
} HaChangeKind;

/*
 * HA_CHANGE_RECOVER (S44): conditions are version, and
 *   @fenced: the agent lease of @node (that the run record names) is fenced at @generation, and the
 *            run record is dead (S34: cfs condition `dead`), or
 *   else:    there is no run record (cfs condition `run` null).
 */
typedef struct {
    HaChangeKind kind;
    char *sid;
    char *node; /* LRM_STATUS, GIVE, RECOVER */
    char *from;
    char *to;
    char *text;
    char *start_id;
    uint64_t version;
    int count;
    bool fenced;
    HaGeneration generation;
} HaChange;

typedef struct {
    uint64_t id; /* counts up in each manager; comes back with the outcome */
    char *lease; /* every change is conditioned on this lease at generation; NULL: none */
    HaGeneration generation;
    GPtrArray *changes; /* HaChange: all or nothing */
} HaCommit;
HaCommit *ha_commit_new(const char *lease, HaGeneration generation);
HaChange *ha_commit_add(HaCommit *commit, HaChangeKind kind,
                        const char *sid); /* borrowed, to fill */
void ha_commit_free(HaCommit *commit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaCommit, ha_commit_free)

typedef enum {
    HA_JOB_START, /* in the gate of generation, by the steps of S40 */
    HA_JOB_STOP,  /* orderly within timeout, then killed; run record cleared after the proof */
    HA_JOB_MOVE,  /* to target; live if asked and possible, else stop and rename */
    HA_JOB_GUARD, /* move the running guest's processes into the gate of generation (S33) */
} HaJobKind;

typedef struct {
    uint64_t id; /* counts up in each local manager */
    HaJobKind kind;
    const char *sid;
    const char *target;
    int timeout_s; /* STOP; -1: the guest's own */
    bool live;
    HaGeneration generation;
} HaJob;

typedef struct HaEnv HaEnv;
struct HaEnv {
    const char *node;       /* this node's name */
    const HaTiming *timing; /* of the profile in force */

    HaTime (*now)(HaEnv *env);

    /* The newest committed snapshot; valid until the next call. Never NULL. */
    const HaWorld *(*read)(HaEnv *env);

    /*
     * Take the lease, or renew it. HA_DONE: this node holds it, @lease filled. @lease->renew says
     * whether to send anything; what was heard meanwhile is told in @lease->heard. HA_REFUSED: it
     * is another's, or was lost (then lease_release() first, to begin anew).
     * For another node's agent lease, by the master: HA_DONE says that it is fenced (S22): lapsed
     * by vote or free, and now nobody's until HA_CHANGE_GIVE.
     */
    HaOutcome (*lease_hold)(HaEnv *env, const char *name, HaLease *lease);
    HaOutcome (*lease_release)(HaEnv *env, const char *name, HaGeneration generation);

    /* The watchdog and the gate. HA_GUARD_END is DONE when proven; call it again until it is. */
    HaOutcome (*guard)(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline);

    /*
     * HA_DONE: committed. HA_REFUSED: definitely not, @error says why (Q_ERROR_CONFLICT,
     * Q_ERROR_NO_QUORUM, …). HA_PENDING: crm_committed() or lrm_committed() will tell, also
     * Q_ERROR_UNKNOWN. @commit is borrowed.
     */
    HaOutcome (*commit)(HaEnv *env, const HaCommit *commit, GError **error);

    /*
     * Runs one thing with one service. HA_DONE: @rc is the result. HA_PENDING: lrm_job_done()
     * brings it. Says what it does by emit (move-begin, service-locked, …).
     */
    HaOutcome (*submit)(HaEnv *env, const HaJob *job, int *rc);

    void (*emit)(HaEnv *env, const HaEvent *event);
};
