#pragma once
#include "base/random.h"
#include "cfs/core/config.h"
#include "cfs/core/replica.h"
#include "cfs/core/state.h"
#include "cfs/core/wire.h"

/* The insides of a replica, for the files of this folder: each owns the part named after it. */

/* Times in ms; the rules that they come from are in safety.md. */
#define ACK_DELAY_MS 5   /* who need not say it at once says it by then */
#define UNDER_WAY_MS 20  /* so long a message of ours that has not come back holds back the next */
#define PLAN_WAIT_MS 300 /* S8: for STATEs; and each next lowest id waits this much longer */
#define STATE_AGAIN_MS 1000 /* without a plan: the STATE may have been lost */
#define LEFT_OUT_MS 50      /* a plan was made without us: so long until we say so */
#define STALL_MS 1000       /* an epoch that does not open, an update that nobody confirms */
#define FORMING_MS 3000     /* so long calls wait for an epoch that a majority could form */
#define GIVE_UP_MS 500      /* without a majority: then sent updates are answered UNKNOWN */
#define RESEND_MS 1500      /* an update of ours that is not accepted */
#define HEARD_BATCH_MS 30   /* S19: at most 100 */
#define RENEW_AGAIN_MS 400  /* a renewal that is not heard */
#define TAKE_WAIT_MS 2000   /* a take that waits for votes */
#define QUERY_WAIT_MS 300   /* for the votes of one query */
#define FETCH_AGAIN_MS 300
#define FETCH_STALL_MS 3000
#define LOOK_AGAIN_MS 1000   /* whether a node may go by now (S4) */
#define DISK_AGAIN_MS 1000   /* S16: next try to write a new database */
#define UNLOCK_AGE_MS 120000 /* cfs.md 6 */
#define UNLOCK_ASK_MS 1000
#define FETCH_SLICE (192 * 1024)      /* bulk bytes in flight to one node (S15: 256 KiB) */
#define STREAM_MAX (64 * 1024 * 1024) /* what a learner holds back while it fetches */
#define LOG_ITEMS_MAX 8192
#define LOG_BYTES_MAX (8 * 1024 * 1024)
#define SENDERS_MAX 128 /* nodes with half a message */

/** A node of the present view, and what it said in it. */
typedef struct {
    uint32_t node_id;
    bool has_state;
    bool considered; /* for the plan that is just being computed */
    uint64_t incarnation, nonce, cluster, lineage, database;
    Epoch promised, installed;
    uint64_t sequence;
    Digest history;
    Config *config; /* theirs; NULL: none */
    /* In the plan: */
    bool in_plan, joined, is_installed;
    uint64_t confirm; /* position up to which its order is ours (S11) */
    bool mismatch;    /* its last CONFIRM was of another order */
    uint64_t durable; /* sequence up to which it has our history on disk (S12) */
    Digest durable_history;
    bool durable_checked; /* durable_history was compared with ours */
} Member;

/** A message of the order that waits for its confirmation. */
typedef struct {
    uint64_t position;
    Digest chain;
    uint32_t node_id;
    uint64_t incarnation;
    int64_t since_ms;
    GArray *parts; /* ItemPart */
} Item;

typedef struct {
    uint64_t number;
    uint32_t offset, total;
    GArray *yes; /* a take: who had voted for it when it was delivered; NULL: nobody */
    GBytes *bytes;
} ItemPart;

/** An update that is accepted and not yet committed, or the begin of an epoch. */
typedef struct {
    Delta *delta;
    Config *config; /* in force after it */
    bool is_mark;   /* the begin of an epoch: committed when it opens */
    bool written;   /* its row of undo was given to the store */
} Pending;

/** What the log remembers (version.h says where): enough to do it again elsewhere. */
typedef struct {
    bool is_mark;
    Epoch epoch;       /* mark */
    UpdatePlace place; /* update */
    GBytes *body;      /* update */
    uint64_t sequence; /* after it */
    Digest history;    /* after it */
} LogItem;

typedef struct {
    uint32_t node_id;
    uint64_t incarnation;
    uint64_t number;
    GByteArray *bytes;
} Partial;

/** A vote on the lapse of a lease, as every member sees it (S21). */
typedef struct {
    uint32_t taker;
    uint64_t id; /* of the taker */
    char *name;
    Generation generation;
    Digest chain; /* of the order at the query: a vote counts with the same one */
    bool spoiled; /* the holder renewed since */
    GArray *yes;  /* uint64_t: databases */
} Query;

typedef struct {
    Epoch epoch;
    uint32_t winner;
    Config *config;  /* the winner's */
    uint64_t base;   /* its sequence */
    bool installing; /* a majority promised */
    bool installed;  /* in memory; on disk: durable.installed */
    bool open;
    bool said_joined, said_installed;
    bool have_opening;
    Digest opening;     /* history of those that installed, as the first of them said */
    Digest own_opening; /* ours */
    uint64_t position;
    Digest chain;
    uint64_t confirmed;    /* last position accepted */
    uint64_t confirm_said; /* last position confirmed by us */
    uint64_t durable_said; /* last sequence announced */
    int64_t ack_due_ms;    /* 0: nothing is held back */
    int64_t ack_sent_ms;   /* our last ACK, until it comes back; else 0 */
    int64_t data_sent_ms;  /* our last DATA, likewise */
    int64_t progress_ms;   /* when something last went forward */
    size_t held_bytes;     /* of items */
    GQueue items;          /* Item */
    GPtrArray *queries;    /* Query */
    State *snapshot;       /* the winner's: its state as of the begin, for who still fetches */
} Plan;

typedef enum { REQUEST_WAITING, REQUEST_FLIGHT } RequestStage;

/** A call of a client, or of ourselves. */
typedef struct {
    uint64_t client, id;
    bool internal;  /* nobody to answer */
    bool abandoned; /* answered UNKNOWN: sent again only as an empty update of its number */
    RequestStage stage;
    uint64_t number;
    int64_t sent_ms;
    GBytes *update; /* encoded */
    GBytes *body;   /* the envelope as sent */
    /* A take: */
    char *take;
    uint64_t query;  /* the vote that allows it; 0: none */
    uint64_t serial; /* of the Take it belongs to; 0: none */
} Request;

/** A call for a lease that needs more than one step. */
typedef struct {
    uint64_t client, id, serial;
    char *name, *process;
    int64_t hold_ms, lapse_ms;
    int64_t until_ms; /* then it is answered HELD */
    uint64_t query;   /* under way; 0: none */
    Generation from;
    int64_t query_ms;
    int64_t left_ms; /* longest that a voter named */
    bool requested;  /* the update is sent */
    size_t no;       /* votes against */
} Take;

typedef struct {
    uint64_t client, id, serial;
    char *name;
    Generation generation;
    int64_t sent_ms; /* the holder's reading */
    Clocks asked;    /* ours, when it asked */
    int64_t again_ms;
    int64_t hold_ms;
    GArray *heard; /* uint64_t: databases */
} Renewal;

/** What this voter knows of a lease in time (S21), and of its own holding of it (S20). */
typedef struct {
    Generation generation;
    Clocks since; /* latest of: renewal delivered, learned, started, entered after a gap */
    int64_t renewed_mono_ms;
    Generation taken; /* a valid take of this generation was delivered in this view (S19) */
    LeaseHold hold;   /* of `generation`, if it is ours */
    int64_t heard_sent_ms;
} LeaseClock;

typedef struct {
    uint32_t node_id;
    uint64_t serial;
} HeardNote;

typedef struct {
    uint64_t version;
    Clocks since;
    int64_t asked_ms, unlock_ms;
} LockAge;

typedef struct Fetch Fetch; /* sync.c */
typedef struct {
    uint32_t node_id;
    uint64_t serial;
    GBytes *bytes;
} Reply;

/** What is on disk. */
typedef struct {
    Epoch promised, installed;
    uint64_t sequence;
    Digest history;
} Durable;

struct Replica {
    uint32_t node_id;
    char *node, *boot;
    uint64_t incarnation, database;
    bool alone, local_edit, stale;
    QRandom random;
    Clocks now;
    GArray *effects; /* of the present step */
    bool started;

    /* state */
    State *accepted, *visible;
    bool visible_known; /* false: what we have of it may not be committed */
    bool adopt;         /* visible becomes accepted when the epoch opens */
    Config *config;     /* of the accepted state; NULL: none */
    Config *override;   /* `-l`: just us */
    Epoch promised, installed;
    GQueue pending; /* Pending */
    GQueue log;     /* LogItem */
    size_t log_bytes;
    uint64_t log_floor_sequence; /* the log begins after these */
    uint64_t log_floor_epoch;

    /* disk */
    Durable durable, writing;
    uint64_t token; /* of the write under way; 0: none */
    uint64_t last_token;
    bool tip_dirty, whole, keep_aside;
    bool disk_bad;
    int64_t disk_again_ms;
    GArray *dirty_entries;     /* uint64_t */
    GHashTable *dirty_records; /* char * */
    GQueue undo_written;       /* uint64_t boxed: rows of undo on disk */
    GArray *undo_stale;        /* uint64_t: rows of undo on disk of a history given up */

    /* view and epoch */
    GArray *members; /* Member, by node id */
    uint64_t nonce;
    bool in_view;
    int64_t round_ms;     /* when the view, or its last new round, began */
    int64_t state_ms;     /* when our STATE was last sent */
    int64_t plan_sent_ms; /* when we last proposed; 0: not in this round */
    int64_t late_ms;      /* since when a member is left out; 0: none is */
    int64_t reform_ms;    /* when we last asked for another plan */
    Plan *plan;
    bool flag; /* votequorum's */
    QuorumState quorum;
    char *why;
    int64_t no_majority_ms; /* since when; 0: there is one */
    Fetch *fetch;
    GPtrArray *replies; /* Reply */

    /* order */
    GPtrArray *partials; /* Partial */

    /* own calls */
    GQueue waiting, flight; /* Request */
    uint64_t last_number;
    bool resend;
    GPtrArray *takes;    /* Take */
    GPtrArray *renewals; /* Renewal */
    uint64_t serial;

    /* leases */
    GHashTable *clocks;   /* lease name → LeaseClock */
    GArray *heard;        /* HeardNote */
    int64_t heard_due_ms; /* 0: nothing to say */

    /* locks, configuration */
    GHashTable *lock_ages;                  /* name → LockAge */
    uint64_t wanted_version;                /* of corosync.conf when `wanted` was read */
    GArray *wanted;                         /* ConfigVoter */
    uint64_t settled_config, settled_epoch; /* with these, and so many installed members, */
    size_t settled_members;                 /* the configuration was last compared with it, */
    int64_t settled_ms;                     /* then */
    bool config_asked;                      /* a change of ours is under way */
    uint64_t joined_said; /* epoch whose joiners we had recorded; count in joined_count */
    size_t joined_count;
    bool hello_said;

    /* becoming visible in this step */
    GArray *visible_paths;
    GPtrArray *visible_leases;
    GArray *visible_vmids;
    bool visible_all, visible_moved;
    GQueue loop;         /* alone: GBytes, messages to ourselves */
    GStringChunk *texts; /* what readers borrow until the next step */
};

/* replica.c */
void replica_multicast(Replica *r, GByteArray *message);
void replica_bulk(Replica *r, GByteArray *message);
GByteArray *replica_message(Replica *r, MessageType type, bool of_plan);
void replica_notice(Replica *r, NoticeKind kind, uint32_t node_id, uint64_t number,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);
void replica_answer(Replica *r, uint64_t client, uint64_t id, const UpdateResult *result);
void replica_answer_code(Replica *r, uint64_t client, uint64_t id, UpdateCode code);
void replica_leave(Replica *r);
Config *replica_config(const Replica *r); /* in force; NULL: none */
bool replica_is_ready(const Replica *r);  /* open epoch, installed on disk: announces and sends */
Member *replica_member(const Replica *r, uint32_t node_id);
size_t replica_rank(const Replica *r); /* how many members have a lower id */

/* epoch.c */
void epoch_view(Replica *r, const uint32_t *members, size_t n);
void epoch_message(Replica *r, const MessageHeader *header, QReader *reader);
void epoch_persisted(Replica *r);
void epoch_tick(Replica *r);
void epoch_reform(Replica *r);
void epoch_progress(Replica *r);
void epoch_quorum(Replica *r);
int64_t epoch_wake(const Replica *r);
void epoch_install(Replica *r, State *state, GPtrArray *deltas, bool keep_aside);
bool member_counts(const Replica *r, const Config *config, const Member *member);
bool epoch_majority(const Replica *r, const Config *config,
                    bool (*counts)(const Member *, uint64_t), uint64_t at);
void plan_free(Plan *plan);
void epoch_members_free(Replica *r);
bool epoch_self_is_voter(const Replica *r, const Config *config);

/* order.c */
void order_position(Replica *r, const MessageHeader *header, uint64_t seal);
void order_data(Replica *r, const MessageHeader *header, QReader *reader);
void order_ack(Replica *r, const MessageHeader *header, QReader *reader);
void order_accept(Replica *r);
void order_commit(Replica *r);
void order_adopt(Replica *r); /* visible := accepted, as a whole */
void order_opened(Replica *r);
void order_idle(Replica *r);
void order_own_durable(Replica *r);
bool order_under_way(const Replica *r, int64_t sent_ms);
int64_t order_wake(const Replica *r);
void order_item_free(gpointer item);
void pending_free(gpointer pending);
void order_log(Replica *r, LogItem item); /* (transfer full) its body; notes the history */
void order_log_clear(Replica *r);
void order_reload_config(Replica *r);

/* disk.c */
bool disk_load(Replica *r, const ReplicaSetup *setup, GError **error);
void disk_idle(Replica *r);
void disk_persisted(Replica *r, uint64_t token, bool failed);
void disk_dirty_delta(Replica *r, const Delta *delta);
void disk_dirty_states(Replica *r, const State *before, const State *after);
void disk_forget_undo(Replica *r);
int64_t disk_wake(const Replica *r);

/* sender.c */
void sender_request(Replica *r, uint64_t client, uint64_t id, Update *update);
void sender_internal(Replica *r, Update *update);
Request *sender_add(Replica *r, uint64_t client, uint64_t id, Update *update);
void sender_cancel(Replica *r, uint64_t client, uint64_t id);
void sender_settle(Replica *r);
void sender_idle(Replica *r);
void sender_refuse(Replica *r);
void sender_give_up(Replica *r);
int64_t sender_wake(const Replica *r);
void request_free(gpointer request);

/* lease_vote.c, lease_hold.c */
void lease_request(Replica *r, uint64_t client, uint64_t id, const LeaseOp *op);
void lease_message(Replica *r, const MessageHeader *header, QReader *reader);
void lease_view(Replica *r);
void lease_learned(Replica *r, const char *name);
void lease_learn_all(Replica *r, bool anew);
GArray *lease_take_votes(const Replica *r, uint32_t taker, uint64_t query);
bool lease_votes_suffice(const Config *config, const GArray *yes);
void lease_take_delivered(Replica *r, uint32_t taker, uint64_t query);
void lease_take_done(Replica *r, Request *request, UpdateResult *result);
bool lease_cancel(Replica *r, uint64_t client, uint64_t id);
void lease_refuse(Replica *r);
void lease_idle(Replica *r);
int64_t lease_wake(const Replica *r);
void query_free(gpointer query);
void take_free(gpointer take);
void renewal_free(gpointer renewal);
int64_t lease_left(const Replica *r, const char *name, const LeaseRecord *lease);

/* sync.c */
void sync_begin(Replica *r);
void sync_end(Replica *r);
void sync_message(Replica *r, const MessageHeader *header, QReader *reader);
void sync_tick(Replica *r);
int64_t sync_wake(const Replica *r);
void reply_free(gpointer reply);

/* lock_dir.c */
bool lock_request(Replica *r, uint64_t client, uint64_t id, const Update *update);
void lock_message(Replica *r, const MessageHeader *header, QReader *reader);
void lock_seen(Replica *r, const Delta *delta);
void lock_seen_all(Replica *r);

/* voters.c */
void voters_idle(Replica *r);
