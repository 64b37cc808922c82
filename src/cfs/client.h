#pragma once
#include "base/json.h"

/*
 * A client of quorate-cfsd's control socket (formats: docs/internals/cfs-socket.md). Everything
 * read is committed: a majority has it on disk. Paths are relative to /etc/pve, without a leading
 * slash: "nodes/node1/qemu-server/100.conf".
 *
 * Commands and tasks use the waiting calls. Daemons use cfs_client_send() and watches, which need
 * a main loop and never wait. One client must not be used from two threads.
 */
typedef struct CfsClient CfsClient;

#define CFS_TIMEOUT_MS 15000 /* a little more than cfsd itself waits (10 s) */

/** cfs_client_connect: says hello as @program. Errors: Q_ERROR_UNREACHABLE (cfsd does not run). */
CfsClient *cfs_client_connect(const char *program, GError **error);
void cfs_client_free(CfsClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsClient, cfs_client_free)

const char *cfs_client_node(const CfsClient *client);    /* this node's name */
const char *cfs_client_boot(const CfsClient *client);    /* this node's boot */
const char *cfs_client_cluster(const CfsClient *client); /* cluster name, "" if alone */

/* ------------------------------------------------------------------ waiting calls */

/**
 * cfs_client_call:
 * @op: "get", "list", "update", "quorum", "members", "lease.take", …
 * @arguments: (transfer full) (nullable): members beside "id" and "op"
 *
 * Returns: (transfer full): the object behind "ok"; %NULL with the code that cfsd gave, or
 *   Q_ERROR_UNREACHABLE, or Q_ERROR_UNKNOWN (no answer in time, or the connection broke: an update
 *   may still happen)
 */
JsonObject *cfs_client_call(CfsClient *client, const char *op, JsonObject *arguments,
                            int timeout_ms, GError **error);

/** cfs_read: Returns: (transfer full): the content, NUL-terminated behind its end; NULL with
 *  Q_ERROR_NOT_FOUND. @version and @length are optional. */
char *cfs_read(CfsClient *client, const char *path, uint64_t *version, size_t *length,
               GError **error);

typedef struct {
    char *name;
    bool is_dir;
    uint64_t version;
    uint64_t size_bytes;
    int64_t mtime_s;
} CfsEntry;

/** cfs_list: Returns: (transfer full) (element-type CfsEntry): sorted by name */
GPtrArray *cfs_list(CfsClient *client, const char *path, GError **error);

/** cfs_quorate: false also if cfsd cannot be asked; @why (out) (optional) (transfer full). */
bool cfs_quorate(CfsClient *client, char **why);

/* ------------------------------------------------------------------ updates */

/*
 * One atomic update: conditions, then changes; all or nothing, decided in one place of the order
 * on every node alike. Build, then commit; the builder is consumed by either form of commit.
 */
typedef struct CfsTxn CfsTxn;

CfsTxn *cfs_txn_new(void);
void cfs_txn_free(CfsTxn *txn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsTxn, cfs_txn_free)

typedef struct {
    uint64_t epoch;
    uint64_t sequence;
} CfsGeneration; /* of a lease; never repeats. {0, 0}: none */

char *cfs_generation_text(CfsGeneration generation); /* "E.S" */
bool cfs_generation_parse(const char *text, CfsGeneration *generation);
int cfs_generation_compare(CfsGeneration a, CfsGeneration b);

#define CFS_ABSENT 0 /* as a version: the path must not exist */

void cfs_txn_if_version(CfsTxn *txn, const char *path, uint64_t version);
void cfs_txn_if_lease(CfsTxn *txn, const char *lease, CfsGeneration generation);
void cfs_txn_if_fenced(CfsTxn *txn, const char *node, CfsGeneration generation);
void cfs_txn_if_run(CfsTxn *txn, uint32_t vmid, const char *start_id); /* NULL: no run record */
void cfs_txn_if_dead(CfsTxn *txn,
                     uint32_t vmid); /* S34 holds for its run record, or there is none */
void cfs_txn_if_mig(CfsTxn *txn, uint32_t vmid, const char *mig_id); /* NULL: none */

void cfs_txn_create(CfsTxn *txn, const char *path, const char *text); /* fails if it exists */
void cfs_txn_write(CfsTxn *txn, const char *path, const char *text);  /* whole content; makes it */
void cfs_txn_write_bytes(CfsTxn *txn, const char *path, const void *data, size_t length);
void cfs_txn_remove(CfsTxn *txn, const char *path); /* a file or an empty folder */
void cfs_txn_mkdir(CfsTxn *txn, const char *path);  /* fails if it exists */
void cfs_txn_rename(CfsTxn *txn, const char *from, const char *to);

/* Run records (safety.md S39). @guard {0,0}: unguarded. */
void cfs_txn_run(CfsTxn *txn, uint32_t vmid, const char *node, const char *boot,
                 const char *start_id, CfsGeneration guard);
void cfs_txn_run_clear(CfsTxn *txn, uint32_t vmid);
void cfs_txn_guard(CfsTxn *txn, uint32_t vmid, CfsGeneration guard);  /* {0,0} clears it */
void cfs_txn_dead(CfsTxn *txn, uint32_t vmid, const char *statement); /* an operator's word (S34) */
void cfs_txn_lease_give(CfsTxn *txn, const char *node);               /* back from fenced (S22) */

/** cfs_txn_commit: @txn (transfer full); @sequence (out) (optional).
 *  Errors: Q_ERROR_CONFLICT names the first condition that failed; Q_ERROR_NO_QUORUM;
 * Q_ERROR_UNKNOWN */
bool cfs_txn_commit(CfsClient *client, CfsTxn *txn, uint64_t *sequence, GError **error);
JsonObject *
cfs_txn_arguments(CfsTxn *txn); /* (transfer full) both: for cfs_client_send() "update" */

/** cfs_write: creates or replaces a file. @expected: a version, CFS_ABSENT, or CFS_ANY. */
#define CFS_ANY G_MAXUINT64
bool cfs_write(CfsClient *client, const char *path, const char *text, uint64_t expected,
               GError **error);

/**
 * cfs_modify:
 * @change: gets the present text ("" if absent) and returns the new one (transfer full), or NULL
 *   with an error to give up; may be called again when somebody else was faster
 *
 * Read, change, write on condition of the version read; at most 20 tries.
 */
typedef char *(*CfsChangeFunc)(const char *text, gpointer data, GError **error);
bool cfs_modify(CfsClient *client, const char *path, CfsChangeFunc change, gpointer data,
                GError **error);

/* ------------------------------------------------------------------ run and migration records */

typedef struct {
    uint32_t vmid;
    char *node;
    char *boot;
    char *start_id;
    CfsGeneration guard; /* {0,0}: unguarded */
    bool dead;           /* S34 holds for it now */
    char *mig_id;        /* a migration is under way, or NULL */
} CfsRun;

/** cfs_runs: @vmid 0: all. Returns: (element-type CfsRun) (transfer full) */
GPtrArray *cfs_runs(CfsClient *client, uint32_t vmid, GError **error);

/* ------------------------------------------------------------------ leases */

typedef struct {
    char *node; /* holder, "" if none */
    char *boot;
    CfsGeneration generation;
    char *state; /* "held", "fenced", "lapsed", "free" */
    int64_t left_ms;
    int64_t heard_ms; /* last heard renewal, CLOCK_BOOTTIME of the asked node; 0: unknown */
} CfsLease;
void cfs_lease_free(CfsLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsLease, cfs_lease_free)
CfsLease *cfs_lease_get(CfsClient *client, const char *name, GError **error);
bool cfs_lease_take(CfsClient *client, const char *name, CfsGeneration *generation,
                    int64_t *left_ms, GError **error);
bool cfs_lease_release(CfsClient *client, const char *name, CfsGeneration generation,
                       GError **error);

/* ------------------------------------------------------------------ status keys */

bool cfs_status_set(CfsClient *client, const char *key, const char *value, GError **error);
char *cfs_status_get(CfsClient *client, const char *node, const char *key, GError **error);

/* ------------------------------------------------------------------ daemons: nothing waits */

/**
 * CfsReplyFunc:
 * @ok: (nullable): the answer, borrowed
 * @error: (nullable): set if @ok is %NULL
 */
typedef void (*CfsReplyFunc)(CfsClient *client, JsonObject *ok, const GError *error, gpointer data);

/** cfs_client_send: @arguments (transfer full); @reply is called exactly once, from the main loop,
 *  also when the connection ends (Q_ERROR_UNKNOWN) and at the client's end (Q_ERROR_UNKNOWN). */
void cfs_client_send(CfsClient *client, const char *op, JsonObject *arguments, CfsReplyFunc reply,
                     gpointer data);

/**
 * CfsWatchFunc:
 * @message: (nullable) (borrowed): one notification: "paths", "leases", "records", "status",
 *   "quorate", or "reread"; %NULL after the connection was lost and made again: read all anew
 */
typedef void (*CfsWatchFunc)(CfsClient *client, JsonObject *message, gpointer data);

/** cfs_client_watch: @prefixes %NULL-terminated; @what: any of "leases", "records", "status",
 *  %NULL-terminated or %NULL. Lives as long as the client. */
void cfs_client_watch(CfsClient *client, const char *const *prefixes, const char *const *what,
                      CfsWatchFunc notify, gpointer data);

/**
 * cfs_client_new_async: as connect, but never waits and never fails: connects when it can, again
 * (every 100 ms) when the connection is lost, also after a restart of cfsd. @connected is called
 * after each hello, @lost at each loss; both (nullable).
 */
typedef void (*CfsClientFunc)(CfsClient *client, gpointer data);
CfsClient *cfs_client_new_async(const char *program, CfsClientFunc connected, CfsClientFunc lost,
                                gpointer data);
