#pragma once
#include "base/random.h"
#include "base/sorted.h"
#include "ha/core/crm.h"
#include "ha/core/lrm.h"
#include "ha/core/proof.h"
#include "ha/core/watchdog.h"
#include "sim/fast.h"

/*
 * The simulated cluster of the fast profiles. Hosts with processes that can be killed and stopped,
 * a watchdog device each, guests; over a model of the cluster filesystem that keeps S13, S14 and
 * S18 to S23 and is as slow, stale and uncertain as those rules let it be. True time in ms; each
 * host reads it through clocks of its own.
 */
typedef struct Host Host;
typedef struct Qemu Qemu;

enum { FAST_HOSTS = 8 };

typedef enum { PROC_COROSYNC, PROC_CFSD, PROC_CRMD, PROC_LRMD, PROC_WATCHDOGD, PROCS } ProcKind;

typedef struct {
    bool alive;
    int stopped;   /* how many stops are on */
    uint64_t life; /* of the process: what was meant for an earlier one is dropped */
} Proc;

typedef void (*FastFunc)(Fast *fast, Host *host, uint64_t number, gpointer data);

/* One committed state; immutable once made. */
typedef struct {
    int refs;
    uint64_t sequence;
    HaWorld *world; /* files, records and leases; the rest is each host's */
} State;

/* One membership of the group. */
typedef struct {
    int refs;
    uint64_t id;
    uint64_t epoch; /* 0: not open, or no majority */
    bool member[FAST_HOSTS];
    guint size;
} Ring;

/* What a voter remembers of a lease (S21), on its clocks. */
typedef struct {
    HaGeneration generation;
    int64_t mono_ms, raw_ms;
} Heard;

typedef enum { KEEP_IDLE, KEEP_TAKING, KEEP_HELD, KEEP_OVER, KEEP_RELEASING } KeepState;

/* A lease as a manager's process sees it. */
typedef struct {
    char *name;
    KeepState state;
    HaGeneration generation;
    bool any_heard;
    HaTime heard;
    int64_t sent_ms;  /* true time of the last renewal */
    int64_t again_ms; /* not asked again before */
    int64_t left_ms;
    uint64_t grant; /* counts grants: answers to earlier ones say nothing */
} Keep;

/* lrmd's view of watchdogd. */
typedef struct {
    bool known, armed, asking, arming, closing, closed;
    HaGeneration owner;
    HaTime deadline;
    HaGeneration closed_of;
} WatchdogClient;

typedef struct {
    HaEnv env; /* first */
    Fast *fast;
    Host *host;
    ProcKind proc;
    HaWorld seen; /* shallow: tables are those of the state and of the host */
    Keep lease;
    GHashTable *fences; /* name -> Keep */
} Seat;

struct Host {
    Fast *fast;
    guint index;
    char *name;
    char *boot;
    guint boots;
    bool power;
    int frozen;
    int64_t powered_ms; /* since, or off since */
    Proc procs[PROCS];
    GPtrArray *deferred; /* events for processes that stand still */
    /* clocks: ms since the boot, at these rates */
    double boot_rate, raw_rate;
    int64_t clock_zero_ms;

    /* cfsd */
    State *visible;
    Ring *ring;
    bool quorate;
    uint64_t last_epoch;
    int64_t voter_mono_ms, voter_raw_ms; /* no yes from before: start, or entry after a gap */
    GHashTable *heard;                   /* lease -> Heard */
    GPtrArray *waiting;                  /* Op: no message passes */
    GHashTable *nodes;                   /* name -> HaNode, for the managers */

    Crm *crm;
    Lrm *lrm;
    Seat crm_seat, lrm_seat;
    bool step_due[PROCS];
    int64_t wake_ms[PROCS]; /* true time at which a wake is planned */
    HaLocal local;
    WatchdogClient client;
    int64_t reconciled_ms;
    int64_t lrmd_runs_ms; /* lrmd has been able to run since */

    Watchdog *watchdog;      /* watchdogd's mind */
    char *deadlines;         /* its file in /run */
    HaGeneration file_owner; /* the earliest in it, as lrmd reads it */
    HaTime file_deadline;
    bool device_armed;
    int64_t device_fires_ms;
    uint64_t device_feeds;

    GHashTable *gates;  /* "E.S" of gates that are open (a set) */
    GHashTable *ending; /* "E.S" -> true time of the proof; 0: proven */
    GPtrArray *tasks;   /* Task */
};

typedef struct {
    Host *host;
    guint boots;
    uint64_t id; /* job; 0: by hand */
    HaJobKind kind;
    char *sid;
    char *target;
    char *start_id;
    HaGeneration generation;
    char *gate; /* that it has entered; NULL: none */
    bool dead;
    int refs;
} Task;

struct Qemu {
    char *sid;
    Host *host;
    char *boot;
    char *start_id;
    char *gate; /* "E.S" or "u" */
    bool alive;
    bool continued;
    int64_t continued_ms;
    int64_t dead_ms;     /* true time from which nothing of it reaches a disk */
    int64_t norecord_ms; /* since when it lives without a record; 0: it has one */
};

typedef enum {
    OP_COMMIT,
    OP_TAKE,
    OP_FENCE,
    OP_RELEASE,
    OP_RENEW,
    OP_RUN,
    OP_RUN_CLEAR,
    OP_MOVE
} OpKind;

/* One call to cfsd, from a process of @host. */
typedef struct {
    int refs;
    OpKind kind;
    Host *host;
    ProcKind proc; /* who waits; PROC_LRMD for tasks too */
    uint64_t life;
    HaCommit *commit;
    char *lease;
    HaGeneration generation;
    HaTime sent;
    int64_t sent_ms; /* true time */
    uint64_t grant;
    Keep *keep; /* of a seat of @host, valid while life is */
    uint64_t ring;
    Task *task;
    bool answered;
    bool ordered;
    uint64_t stamp;
} Op;

typedef struct {
    HaGeneration generation;
    int64_t s_ms; /* true time at which the newest heard renewal was sent */
    guint host;
} Truth;

struct Fast {
    const FastOptions *options;
    FastResult *result;
    QRandom random;
    HaTiming timing;
    GPtrArray *heap;
    uint64_t events;
    int64_t now_ms;
    Host *hosts[FAST_HOSTS];
    guint count;
    int64_t cut[FAST_HOSTS]; /* side of each host */
    State *state;
    uint64_t epoch, rings, starts, lives;
    GHashTable *renewed; /* lease -> stamp of its last renewal in order */
    uint64_t stamps;
    GHashTable *lives_by_lease; /* lease -> life of the process that holds it */
    GPtrArray *qemus;           /* all there ever were */
    double start_fails, stop_fails;
    /* checkers */
    GHashTable *truths;    /* "E.S" -> Truth */
    GHashTable *deadlines; /* "HOST E.S" -> HaTime: as the device's owner promised */
    int64_t disturbed_ms;  /* last fault, or end of one, or boot */
    guint disturbances;    /* in the last while */
    guint disturbed_host;
    int64_t before_ms;      /* the disturbance before */
    GHashTable *lost_since; /* sid -> true time since which it should run and does not */
    bool over;
};

/* fast.c */
void fast_at(Fast *fast, int64_t at_ms, Host *host, int proc, FastFunc func, uint64_t number,
             gpointer data, GDestroyNotify free_data);
void fast_resume(Host *host);        /* events that waited for a stopped process come now */
void fast_drop_deferred(Host *host); /* its power went: nobody gets them */
int64_t fast_dice(Fast *fast, int64_t low, int64_t high);
void fast_trace(Fast *fast, const char *by, const HaEvent *event);
void fast_say(Fast *fast, Host *host, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* fast_host.c */
HaTime host_now(const Host *host);
int64_t host_mono(const Host *host);
bool host_runs(const Host *host);                /* powered, not frozen */
bool proc_runs(const Host *host, ProcKind proc); /* and that process neither dead nor stopped */
void host_power_on(Host *host);
void host_power_off(Host *host, const char *how);
void host_freeze(Host *host);
void host_thaw(Host *host);
void proc_start(Host *host, ProcKind proc);
void proc_kill(Host *host, ProcKind proc);
void proc_stop(Host *host, ProcKind proc);
void proc_continue(Host *host, ProcKind proc);
void host_step_soon(Host *host, ProcKind proc);
void host_new(Fast *fast, guint index);
void host_free(Host *host);

/* fast_watchdog.c */
void watchdogd_begin(Host *host);
void device_off(Host *host);
HaOutcome client_guard(Host *host, HaGuardVerb verb, HaGeneration generation, HaTime deadline);
void client_ask(Host *host);

/* fast_cfs.c */
State *state_ref(State *state);
void state_unref(State *state);
Op *op_new(Host *host, ProcKind proc, OpKind kind);
void op_unref(Op *op);
void op_send(Op *op); /* (transfer full) */
void cfs_topology_soon(Fast *fast, int64_t delay_ms);
void cfs_unstall(Fast *fast);
void cfs_begin(Fast *fast);
const HaLeaseView *cfs_lease(Fast *fast, const char *name);
void cfs_edit(Fast *fast, void (*edit)(HaWorld *world, gpointer data), gpointer data);

/* fast_env.c */
void seat_init(Seat *seat, Host *host, ProcKind proc);
void seat_reset(Seat *seat);
void seat_clear(Seat *seat);
void keep_answer(Op *op, int outcome, int64_t left_ms);
void host_reset_nodes(Host *host);
void host_reconcile(Host *host);

/* fast_guest.c */
HaOutcome guest_submit(HaEnv *env, const HaJob *job, int *rc);
void guest_start_by_hand(Host *host, const char *sid);
void guest_task_answer(Op *op, int outcome);
void guest_die(Qemu *qemu, bool cleanly);
void guest_kill_gate(Host *host, const char *gate);
void guest_refresh_local(Host *host);
void task_unref(Task *task);
Qemu *guest_find(Host *host, const char *sid); /* alive there, or NULL */

/* fast_check.c */
void fast_violate(Fast *fast, int invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
void check_continued(Qemu *qemu);
void check_died(Qemu *qemu);
void check_recovered(Fast *fast, const HaConfig *config, const HaChange *change);
void check_fed(Host *host);
void check_closed(Host *host, HaGeneration owner);
void check_promised(Host *host, HaGeneration owner, HaTime deadline);
void check_granted(Fast *fast, const char *lease, HaGeneration generation, guint host);
void check_heard(Fast *fast, HaGeneration generation, int64_t sent_ms);
void check_killed(Host *host);
void check_disturbed(Fast *fast, guint host, bool whole);
void check_tick(Fast *fast);
void check_created(Qemu *qemu);

enum { ANSWER_OK, ANSWER_CONFLICT, ANSWER_NO_QUORUM, ANSWER_UNKNOWN };
