#include "api/cluster_config_priv.h"
#include <string.h>
#include "api/cluster_tree.h"
#include "base/section_config.h"
#include "cluster/cluster_paths.h"
#include "cluster/join_token.h"
#include "cluster/quorum_status.h"
#include "sys/clock.h"
#include "sys/file.h"

/* Removing a node for good. What safety.md S4 asks holds also with --force. */

typedef struct {
    char *node;
    bool force;
} DeleteArgs;

static const ApiParam delete_params[] = {
    API_PARAM(DeleteArgs, node, API_STRING, .doc = "Name of the node, or one of its addresses."),
    API_PARAM(DeleteArgs, force, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Also if guests or rules of high availability still name it."),
    { 0 },
};

static bool
check_not_member(const CorosyncNode *node, GError **error)
{
    g_autoptr(QuorumStatus) status = quorum_status_read(error);

    if (status == NULL)
        return false;
    for (guint i = 0; i < status->members->len; i++)
        if (g_array_index(status->members, QuorumMember, i).id == node->id)
            return q_set_error(
                error, Q_ERROR_BUSY,
                "node '%s' is still a member of the running cluster; switch it off for "
                "good first",
                node->name);
    return true;
}

static bool
check_lease(CfsClient *cfs, const CorosyncNode *node, GError **error)
{
    g_autofree char *name = g_strdup_printf("ha_agent_%s_lock", node->name);
    g_autoptr(GError) why = NULL;
    g_autoptr(CfsLease) lease = cfs_lease_get(cfs, name, &why);

    if (lease == NULL) {
        if (g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND))
            return true;
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return strcmp(lease->state, "held") != 0
           || q_set_error(
               error, Q_ERROR_BUSY,
               "node '%s' still holds its lease for high availability, for %.1f s more at "
               "least; wait until it is fenced",
               node->name, (double)lease->left_ms / 1000);
}

static bool
check_runs(CfsClient *cfs, const CorosyncNode *node, GError **error)
{
    g_autoptr(GPtrArray) runs = cfs_runs(cfs, 0, error);

    if (runs == NULL)
        return false;
    for (guint i = 0; i < runs->len; i++) {
        const CfsRun *run = runs->pdata[i];
        if (strcmp(run->node, node->name) == 0 && !run->dead)
            return q_set_error(
                error, Q_ERROR_BUSY,
                "guest %u may still run on node '%s'; if that node is off: qm recover %u "
                "--node-is-off %s",
                run->vmid, node->name, run->vmid, node->name);
    }
    return true;
}

static bool
check_guests(CfsClient *cfs, const CorosyncNode *node, bool *any, GError **error)
{
    static const char *const folders[] = { "qemu-server", "lxc" };

    *any = false;
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_strdup_printf("nodes/%s/%s", node->name, folders[i]);
        g_autoptr(GError) why = NULL;
        g_autoptr(GPtrArray) entries = cfs_list(cfs, path, &why);
        if (entries == NULL && !g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        for (guint k = 0; entries != NULL && k < entries->len; k++)
            *any |= g_str_has_suffix(((CfsEntry *)entries->pdata[k])->name, ".conf");
    }
    return true;
}

static bool
rules_name(CfsClient *cfs, const char *node)
{
    g_autofree char *text = cluster_tree_text(cfs, "ha/rules.cfg", NULL, NULL);
    g_autoptr(QSectionConfig) rules = q_section_config_parse(text);
    GPtrArray *sections = q_section_config_sections(rules);

    for (guint i = 0; i < sections->len; i++) {
        g_auto(GStrv) nodes = q_split_list(q_section_get(sections->pdata[i], "nodes", ""));
        for (int k = 0; nodes[k] != NULL; k++) {
            nodes[k][strcspn(nodes[k], ":")] = '\0';
            if (strcmp(nodes[k], node) == 0)
                return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ the folder of the node */

/* Everything below @path to below @aside; folders are made there and removed here, leaves first. */
static bool
move_aside(CfsClient *cfs, CfsTxn *txn, const char *path, const char *aside, GError **error)
{
    g_autoptr(GPtrArray) entries = cfs_list(cfs, path, error);

    if (entries == NULL)
        return false;
    cfs_txn_mkdir(txn, aside);
    for (guint i = 0; i < entries->len; i++) {
        const CfsEntry *entry = entries->pdata[i];
        g_autofree char *from = g_strdup_printf("%s/%s", path, entry->name);
        g_autofree char *to = g_strdup_printf("%s/%s", aside, entry->name);
        if (!entry->is_dir)
            cfs_txn_rename(txn, from, to);
        else if (!move_aside(cfs, txn, from, to, error))
            return false;
    }
    cfs_txn_remove(txn, path);
    return true;
}

typedef struct {
    const char *name;
    bool move;
} Deleting;

static bool
delete_change(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data, GError **error)
{
    const Deleting *deleting = data;
    g_autofree char *path = g_strdup_printf("nodes/%s", deleting->name);
    g_autofree char *aside = g_strdup_printf("priv/removed-nodes/%s-%" G_GINT64_FORMAT,
                                             deleting->name, q_clock_wall_s());
    g_autoptr(GArray) before = corosync_conf_nodes(conf);
    guint count = before->len;
    uint64_t version;
    JoinPending pending;
    bool there;
    g_autofree char *text = cluster_tree_text(cfs, JOIN_PENDING_FILE, &version, NULL);

    if (!corosync_conf_remove_node(conf, deleting->name))
        return q_set_error(error, Q_ERROR_NOT_FOUND,
                           "Node/IP: %s is not a known host of the cluster.", deleting->name);
    corosync_conf_fit_token(conf, count);
    if (join_pending_get(text, deleting->name, &pending)) {
        g_autofree char *left = join_pending_remove(text, deleting->name);
        cfs_txn_if_version(txn, JOIN_PENDING_FILE, version);
        cfs_txn_write(txn, JOIN_PENDING_FILE, left);
    }
    if (!deleting->move)
        return true;
    if (!cluster_tree_has(cfs, path, &there, error))
        return false;
    return !there
           || (cluster_tree_make_dirs(cfs, txn, "priv/removed-nodes", error)
               && move_aside(cfs, txn, path, aside, error));
}

static JsonNode *
delete_run(ApiCall *call, const void *data, GError **error)
{
    const DeleteArgs *args = data;
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);
    CfsClient *cfs = lock != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    g_autoptr(GError) ignored = NULL;
    CorosyncNode node;
    bool guests;

    if (conf == NULL)
        return NULL;
    if (!corosync_conf_node(conf, args->node, &node)) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "Node/IP: %s is not a known host of the cluster.",
                    args->node);
        return NULL;
    }
    if (strcmp(node.name, call->node) == 0) {
        q_set_error(error, Q_ERROR_INVALID, "Cannot delete myself from cluster!");
        return NULL;
    }
    if (!check_not_member(&node, error) || !check_lease(cfs, &node, error)
        || !check_runs(cfs, &node, error) || !check_guests(cfs, &node, &guests, error))
        return NULL;
    if (guests && !args->force) {
        q_set_error(error, Q_ERROR_BUSY,
                    "node '%s' still has guests: move their configurations, or --force", node.name);
        return NULL;
    }
    if (rules_name(cfs, node.name) && !args->force) {
        q_set_error(error, Q_ERROR_BUSY,
                    "rules of high availability name node '%s': change them, or --force",
                    node.name);
        return NULL;
    }
    Deleting deleting = { node.name, !guests };
    if (!cluster_tree_change(cfs, delete_change, &deleting, NULL, error))
        return NULL;
    if (call->is_cli)
        api_log(call, "Killing node %u", node.id);
    /* It is not there, or it must not be: Corosync forgets it either way when it reloads. */
    if (!quorum_forget_node(node.id, &ignored))
        api_log(call, "%s", ignored->message);
    return q_json_node_null();
}

const ApiMethod api_cluster_config_delete_node = {
    .verb = API_DELETE,
    .path = "/cluster/config/nodes/{node}",
    .doc = "Remove a node that is off for good.",
    .params = delete_params,
    .returns = API_NULL,
    .access = "root",
    .as_root = true,
    .needs_quorum = true,
    .run = delete_run,
};
