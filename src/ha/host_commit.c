#include "ha/commit.h"
#include "ha/host_priv.h"
#include "sys/clock.h"

enum { SEEN_WAIT_MS = 300 };

/* A commit that is decided is told to the manager only when its effect can be read, so that the
 * next decision does not stand on the state before. */
typedef struct {
    HaHost *host;
    uint64_t id;
    uint64_t sequence;
    GError *error; /* NULL: committed */
    int64_t until_ms;
    guint timer;
} PendingCommit;

static void
pending_free(PendingCommit *pending)
{
    if (pending->timer != 0) {
        g_source_remove(pending->timer);
    }
    g_clear_error(&pending->error);
    g_free(pending);
}

static bool
is_seen(const PendingCommit *pending)
{
    const HaMirror *mirror = pending->host->mirror;

    return q_clock_boot_ms() >= pending->until_ms
           || (ha_mirror_settled(mirror)
               && (pending->error != NULL || ha_mirror_sequence(mirror) >= pending->sequence));
}

void
ha_host_settle_commits(HaHost *host)
{
    PendingCommit *pending;

    while ((pending = g_queue_peek_head(&host->commits)) != NULL && is_seen(pending)) {
        g_queue_pop_head(&host->commits);
        host->calls.committed(&host->env, pending->id, pending->error, host->manager);
        pending_free(pending);
        ha_host_step_soon(host);
    }
}

static gboolean
on_wait_over(gpointer data)
{
    PendingCommit *pending = data;

    pending->timer = 0;
    ha_host_settle_commits(pending->host);
    return G_SOURCE_REMOVE;
}

static void
on_committed(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    PendingCommit *pending = data;

    pending->sequence = ok != NULL ? (uint64_t)q_json_int(ok, "sequence", 0) : 0;
    pending->error = ok == NULL ? g_error_copy(error) : NULL;
    pending->until_ms = q_clock_boot_ms() + SEEN_WAIT_MS;
    pending->timer = g_timeout_add(SEEN_WAIT_MS + 1, on_wait_over, pending);
    if (pending->error != NULL) {
        ha_mirror_look(pending->host->mirror); /* what we believed was not so */
    }
    g_queue_push_tail(&pending->host->commits, pending);
    ha_host_settle_commits(pending->host);
}

HaOutcome
ha_host_commit(HaEnv *env, const HaCommit *commit, GError **error)
{
    HaHost *host = (HaHost *)env;
    CfsTxn *txn = ha_commit_txn(commit, host->mirror, host->node, error);

    if (txn == NULL) {
        return HA_REFUSED;
    }
    PendingCommit *pending = g_new0(PendingCommit, 1);
    pending->host = host;
    pending->id = commit->id;
    cfs_client_send(host->cfs, "update", cfs_txn_arguments(txn), on_committed, pending);
    return HA_PENDING;
}
