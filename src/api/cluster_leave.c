#include "api/cluster_config_priv.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "api/cluster_certs.h"
#include "api/cluster_tree.h"
#include "cluster/cluster_paths.h"
#include "cluster/join_client.h"
#include "cluster/join_state.h"
#include "cluster/join_token.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/service.h"

/* A node leaves as it came, in the other order: first its vote, then its entry, then its tree. */

#define ALONE_QUORUM_MS 30000

typedef struct {
    const char *node, *secret;
} Leaving;

static bool
leave_change(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data, GError **error)
{
    const Leaving *leaving = data;
    uint64_t version;
    GError *lost = NULL;
    g_autofree char *text = cluster_tree_text(cfs, JOIN_PENDING_FILE, &version, &lost);

    if (lost != NULL) {
        g_propagate_error(error, lost);
        return false;
    }
    g_autofree char *more =
        join_pending_add(text, leaving->node, leaving->secret, 0, q_clock_wall_s());
    cfs_txn_if_version(txn, JOIN_PENDING_FILE, version);
    cfs_txn_write(txn, JOIN_PENDING_FILE, more);
    return corosync_conf_set_votes(conf, leaving->node, 0);
}

/* A member other than us that answers, for the last word after our own cfsd is gone. */
static bool
find_member(CfsClient *cfs, const CorosyncConf *conf, const char *own, JoinState *state,
            GError **error)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);

    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(nodes, CorosyncNode, i);
        if (strcmp(node->name, own) == 0)
            continue;
        g_autofree char *print = cluster_certs_fingerprint(cfs, node->name, NULL);
        for (int link = 0; print != NULL && link < COROSYNC_LINKS; link++) {
            g_autoptr(JoinClient) client =
                node->addr[link] != NULL ? join_client_new(node->addr[link], print) : NULL;
            g_autofree char *shown = client != NULL ? join_client_look(client, NULL) : NULL;
            if (shown == NULL || strcmp(shown, print) != 0)
                continue;
            state->host = g_strdup(node->addr[link]);
            state->fingerprint = g_strdup(print);
            return true;
        }
    }
    return q_set_error(error, Q_ERROR_UNREACHABLE,
                       "no other member of the cluster answers on port %d", JOIN_PORT);
}

static bool
check_empty(CfsClient *cfs, const char *node, GError **error)
{
    g_autofree char *path = g_strdup_printf("nodes/%s/qemu-server", node);
    g_autofree char *lease_name = g_strdup_printf("ha_agent_%s_lock", node);
    g_autoptr(GPtrArray) guests = cfs_list(cfs, path, NULL);
    g_autoptr(GPtrArray) runs = cfs_runs(cfs, 0, error);
    g_autoptr(CfsLease) lease = cfs_lease_get(cfs, lease_name, NULL);

    if (runs == NULL)
        return false;
    if (guests != NULL && guests->len > 0)
        return q_set_error(error, Q_ERROR_BUSY, "this node still has guests: migrate them first");
    for (guint i = 0; i < runs->len; i++) {
        const CfsRun *run = runs->pdata[i];
        if (strcmp(run->node, node) == 0)
            return q_set_error(error, Q_ERROR_BUSY, "guest %u still runs on this node", run->vmid);
    }
    return lease == NULL || strcmp(lease->state, "held") != 0
           || q_set_error(
               error, Q_ERROR_BUSY,
               "this node still holds its lease for high availability: stop quorate-lrmd");
}

/* The cluster's tree becomes a backup, Corosync's files go, cfsd starts with an empty tree. */
static bool
become_alone(ApiCall *call, JoinState *state, GError **error)
{
    if (!q_service_stop(COROSYNC_SERVICE, error)
        || !join_swap_database(state, api_say, call, error))
        return false;
    if ((unlink(COROSYNC_CONF_FILE) != 0 && errno != ENOENT)
        || (unlink(COROSYNC_KEY_FILE) != 0 && errno != ENOENT))
        return q_set_error_errno(error, errno, "removing the files in " COROSYNC_DIR);
    return q_service_start(CFSD_SERVICE, error) && join_finish(state, api_say, call, error)
           && cluster_wait_quorum(ALONE_QUORUM_MS, error);
}

static JsonNode *
leave_run(ApiCall *call, const void *args, GError **error)
{
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);
    CfsClient *cfs = lock != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    g_auto(JoinState) state = { .node = g_strdup(call->node), .secret = join_secret_new() };
    Leaving leaving = { call->node, state.secret };
    g_autoptr(GError) why = NULL;

    if (conf == NULL || !check_empty(cfs, call->node, error)
        || !find_member(cfs, conf, call->node, &state, error)
        || !cluster_tree_change(cfs, leave_change, &leaving, NULL, error))
        return NULL;
    api_log(call, "this node has no vote any more");
    if (!become_alone(call, &state, error))
        return NULL;
    g_autoptr(JoinClient) client = join_client_new(state.host, state.fingerprint);
    g_autoptr(JsonObject) parameters = json_object_new();
    json_object_set_string_member(parameters, "node", call->node);
    json_object_set_string_member(parameters, "join-secret", state.secret);
    g_autoptr(JsonNode) said =
        join_client_call(client, "POST", "/cluster/config/join-undo", parameters, &why);
    if (said == NULL)
        api_warn(call, "its entry could not be taken out on '%s': %s; it ends within 10 minutes",
                 state.host, why->message);
    g_autoptr(CfsClient) alone = cfs_client_connect("pvecm", error);
    if (alone == NULL || !cluster_certs_ensure(alone, call->node, NULL, error))
        return NULL;
    api_log(call, "left the cluster; it keeps no trace of this node but nodes/%s", call->node);
    return q_json_node_null();
}

const ApiMethod api_pvecm_leave = {
    .name = "pvecm_leave",
    .doc = "Leave the cluster: this node must be without guests; its tree becomes a backup.",
    .access = "root",
    .needs_quorum = true,
    .run = leave_run,
};

/* ------------------------------------------------------------------ once a minute */

struct ClusterUpkeep {
    GHashTable *seen; /* "NODE ADDED" → int64_t *: when this process first saw that entry */
};

ClusterUpkeep *
cluster_upkeep_new(void)
{
    ClusterUpkeep *upkeep = g_new0(ClusterUpkeep, 1);

    upkeep->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return upkeep;
}

void
cluster_upkeep_free(ClusterUpkeep *upkeep)
{
    if (upkeep == NULL)
        return;
    g_hash_table_unref(upkeep->seen);
    g_free(upkeep);
}

/* Ten minutes of our own monotonic clock: nobody's wall clock decides. */
static void
end_pending(ClusterUpkeep *upkeep, CfsClient *cfs, const char *text, const char *node)
{
    JoinPending pending = { 0 };
    int64_t now_ms = q_clock_mono_ms();
    const char *state;
    g_autoptr(GError) error = NULL;

    join_pending_get(text, node, &pending);
    g_autofree char *key = g_strdup_printf("%s %" G_GINT64_FORMAT, node, pending.added_s);
    const int64_t *since_ms = g_hash_table_lookup(upkeep->seen, key);
    if (since_ms == NULL) {
        g_hash_table_insert(upkeep->seen, g_steal_pointer(&key), g_memdup2(&now_ms, sizeof now_ms));
        return;
    }
    if (now_ms - *since_ms < JOIN_PENDING_S * 1000LL)
        return;
    if (!cluster_drop_pending(cfs, node, NULL, &state, &error))
        q_warn("the entry of '%s', which never completed its join, stays: %s", node,
               error->message);
    else if (strcmp(state, "removed") == 0)
        q_notice("the entry of '%s' is taken out: it did not complete its join within 10 minutes",
                 node);
}

void
cluster_upkeep(ClusterUpkeep *upkeep, CfsClient *cfs, const char *node)
{
    g_autoptr(GError) error = NULL;

    if (!cluster_join_resume(node, &error))
        q_warn("completing the join: %s", error->message);
    g_autofree char *text = cluster_tree_text(cfs, JOIN_PENDING_FILE, NULL, NULL);
    g_auto(GStrv) nodes = join_pending_nodes(text);
    for (int i = 0; nodes[i] != NULL; i++)
        end_pending(upkeep, cfs, text, nodes[i]);
}
