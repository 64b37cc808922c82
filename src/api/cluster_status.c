#include "api/cluster_config_priv.h"
#include <string.h>
#include "api/cluster_tree.h"
#include "cluster/quorum_status.h"

/* ------------------------------------------------------------------ GET /cluster/status */

static JsonObject *
status_node(const char *name, JsonObject *member, const ApiCall *call)
{
    JsonObject *row = json_object_new();
    g_autofree char *id = g_strdup_printf("node/%s", name);
    const char *ip = member != NULL ? q_json_string(member, "ip", NULL) : NULL;
    bool local = strcmp(name, call->node) == 0;

    json_object_set_string_member(row, "type", "node");
    json_object_set_string_member(row, "id", id);
    json_object_set_string_member(row, "name", name);
    json_object_set_int_member(row, "nodeid", member != NULL ? q_json_int(member, "id", 0) : 0);
    if (ip != NULL)
        json_object_set_string_member(row, "ip", ip);
    json_object_set_int_member(row, "online",
                               local || (member != NULL && q_json_bool(member, "online", false)));
    json_object_set_int_member(row, "local", local);
    json_object_set_string_member(row, "level", "");
    return row;
}

static JsonNode *
status_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(JsonObject) members =
        cfs != NULL ? cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, error) : NULL;

    if (members == NULL)
        return NULL;
    JsonObject *cluster = q_json_object(members, "cluster");
    JsonObject *list = q_json_object(members, "nodelist");
    JsonArray *rows = json_array_new();
    if (cluster == NULL || list == NULL) {
        json_array_add_object_element(rows, status_node(call->node, NULL, call));
        return q_json_node_array(rows);
    }
    JsonObject *first = json_object_new();
    json_object_set_string_member(first, "type", "cluster");
    json_object_set_string_member(first, "id", "cluster");
    json_object_set_string_member(first, "name", q_json_string(cluster, "name", ""));
    json_object_set_int_member(first, "nodes", json_object_get_size(list));
    json_object_set_int_member(first, "version", q_json_int(cluster, "version", 0));
    json_object_set_int_member(first, "quorate", q_json_int(cluster, "quorate", 0));
    json_array_add_object_element(rows, first);
    g_autoptr(GList) names = g_list_sort(json_object_get_members(list), (GCompareFunc)strcmp);
    for (GList *name = names; name != NULL; name = name->next)
        json_array_add_object_element(
            rows, status_node(name->data, q_json_object(list, name->data), call));
    return q_json_node_array(rows);
}

static const ApiColumn status_columns[] = {
    { "id", API_STRING, .doc = "\"cluster\" or \"node/NAME\"." },
    { "type", API_STRING, .doc = "\"cluster\" or \"node\"." },
    { "name", API_STRING, .doc = "Name of the cluster or node." },
    { "nodeid", API_INTEGER, .optional = true, .doc = "Corosync's id; 0 if there is no cluster." },
    { "ip", API_STRING, .optional = true, .doc = "Address of the node." },
    { "online", API_BOOLEAN, .optional = true, .doc = "Is the node there?" },
    { "local", API_BOOLEAN, .optional = true, .doc = "Is it the one that answers?" },
    { "level", API_STRING, .optional = true, .doc = "Always empty." },
    { "nodes", API_INTEGER, .optional = true, .doc = "How many nodes the cluster has." },
    { "version", API_INTEGER, .optional = true, .doc = "Version of corosync.conf." },
    { "quorate", API_BOOLEAN, .optional = true, .doc = "Does it have quorum?" },
    { 0 },
};

const ApiMethod api_cluster_status = {
    .verb = API_GET,
    .path = "/cluster/status",
    .doc = "The cluster and its nodes.",
    .returns = API_ROWS,
    .columns = status_columns,
    .access = "perm(/, Sys.Audit)",
    .as_root = true,
    .run = status_run,
};

/* ------------------------------------------------------------------ pvecm status, nodes, expected
 */

static JsonNode *
pvecm_status_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    g_autoptr(QuorumStatus) status = conf != NULL ? quorum_status_read(error) : NULL;

    if (status == NULL)
        return NULL;
    g_autofree char *why = NULL;
    if (!cfs_quorate(cfs, &why) && status->quorate)
        g_ptr_array_add(status->remarks,
                        g_strdup_printf("the cluster filesystem takes no changes: %s", why));
    g_autofree char *text = quorum_status_text(status, conf);
    JsonObject *answer = json_object_new();
    json_object_set_string_member(answer, "text", text);
    json_object_set_int_member(answer, "quorate", status->quorate);
    return q_json_node_object(answer);
}

static const ApiColumn pvecm_status_columns[] = {
    { "text", API_STRING, .doc = "As it is printed." },
    { "quorate", API_BOOLEAN, .doc = "Does Corosync have quorum?" },
    { 0 },
};

const ApiMethod api_pvecm_status = {
    .name = "pvecm_status",
    .doc = "Cluster, quorum and members as Corosync has them. Exit 0: quorate, 2: not.",
    .returns = API_OBJECT,
    .columns = pvecm_status_columns,
    .access = "root",
    .run = pvecm_status_run,
};

static JsonNode *
pvecm_nodes_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    g_autoptr(QuorumStatus) status = conf != NULL ? quorum_status_read(error) : NULL;

    if (status == NULL)
        return NULL;
    g_autofree char *text = quorum_nodes_text(status);
    return q_json_node_string(text);
}

const ApiMethod api_pvecm_nodes = {
    .name = "pvecm_nodes",
    .doc = "Members of the cluster that are there now.",
    .returns = API_STRING,
    .access = "root",
    .run = pvecm_nodes_run,
};

typedef struct {
    int64_t expected;
} ExpectedArgs;

static const ApiParam expected_params[] = {
    API_PARAM(ExpectedArgs, expected, API_INTEGER, API_MIN(1), .doc = "Expected votes."),
    { 0 },
};

static JsonNode *
expected_run(ApiCall *call, const void *data, GError **error)
{
    const ExpectedArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    g_autoptr(QuorumStatus) status = conf != NULL ? quorum_status_read(error) : NULL;

    if (status == NULL)
        return NULL;
    if (args->expected < status->total_votes) {
        q_set_error(error, Q_ERROR_INVALID,
                    "Unable to set expected votes: %u votes are present, %" G_GINT64_FORMAT
                    " is less",
                    status->total_votes, args->expected);
        return NULL;
    }
    if (args->expected / 2 + 1 > status->total_votes) {
        q_set_error(error, Q_ERROR_INVALID,
                    "Unable to set expected votes: with %" G_GINT64_FORMAT
                    " the %u votes present would be no quorum",
                    args->expected, status->total_votes);
        return NULL;
    }
    return quorum_expect((uint32_t)args->expected, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_pvecm_expected = {
    .name = "pvecm_expected",
    .doc =
        "Set Corosync's expected votes until its membership changes. What the cluster filesystem "
        "counts are the votes in corosync.conf: this does not change them, and needs a majority.",
    .params = expected_params,
    .access = "root",
    .needs_quorum = true,
    .run = expected_run,
};
