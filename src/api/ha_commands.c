#include <string.h>
#include "api/ha.h"
#include "api/ha_priv.h"

#define MAY_ACT "perm(/, Sys.Console)"

/* Requests to the master: a line each in its queue; the answer says only that it was queued. */

typedef struct {
    char *sid;
    char *node;
    int64_t timeout;
    char *resource_mode;
    char *action;
} CommandArgs;

static bool
is_managed(CfsClient *cfs, const char *sid, GError **error)
{
    g_autoptr(HaSections) resources = ha_sections_read(cfs, HA_RESOURCES_FILE, error);

    if (resources == NULL) {
        return false;
    }
    return q_section_config_find(resources->config, strchr(sid, ':') + 1) != NULL
           || q_set_error(error, Q_ERROR_NOT_FOUND, "no such resource '%s'", sid);
}

static bool
node_is_there(ApiCall *call, CfsClient *cfs, const char *node, bool online, GError **error)
{
    g_autoptr(GHashTable) alive = NULL;
    g_autoptr(GPtrArray) known = ha_cluster_nodes(call, cfs, &alive, error);

    if (known == NULL) {
        return false;
    }
    if (!g_ptr_array_find_with_equal_func(known, node, g_str_equal, NULL)) {
        return api_blame(error, "node", "no such cluster node '%s'", node);
    }
    return !online || g_hash_table_contains(alive, node)
           || api_blame(error, "node", "node '%s' is offline", node);
}

/* ------------------------------------------------------------------ moving */

static const ApiParam move_params[] = {
    API_PARAM(CommandArgs, sid, API_STRING, .doc = "Service id: vm:NUMBER, or the number alone.",
              .format = "pve-ha-resource-or-vm-id"),
    API_PARAM(CommandArgs, node, API_NODE, .doc = "Node to move it to."),
    { 0 },
};

static JsonNode *
queue_move(ApiCall *call, const CommandArgs *args, const char *word, GError **error)
{
    g_autofree char *sid = ha_sid_parse(args->sid, NULL, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;
    g_autofree char *line = g_strdup_printf("%s %s %s", word, sid, args->node);

    if (cfs == NULL || !is_managed(cfs, sid, error)
        || !node_is_there(call, cfs, args->node, true, error)
        || !ha_queue_command(cfs, line, error)) {
        return NULL;
    }
    JsonObject *answer = json_object_new();
    json_object_set_string_member(answer, "sid", sid);
    json_object_set_string_member(answer, "requested-node", args->node);
    return q_json_node_object(answer);
}

static JsonNode *
migrate_run(ApiCall *call, const void *data, GError **error)
{
    return queue_move(call, data, "migrate", error);
}

const ApiMethod api_ha_migrate = {
    .verb = API_POST,
    .path = "/cluster/ha/resources/{sid}/migrate",
    .name = "ha_migrate",
    .doc = "Ask the master to move a service, live if possible.",
    .params = move_params,
    .returns = API_OBJECT,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = migrate_run,
};

static JsonNode *
relocate_run(ApiCall *call, const void *data, GError **error)
{
    return queue_move(call, data, "relocate", error);
}

const ApiMethod api_ha_relocate = {
    .verb = API_POST,
    .path = "/cluster/ha/resources/{sid}/relocate",
    .name = "ha_relocate",
    .doc = "Ask the master to stop a service and start it on another node.",
    .params = move_params,
    .returns = API_OBJECT,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = relocate_run,
};

/* ------------------------------------------------------------------ stop, maintenance, disarm */

static JsonNode *
queue(ApiCall *call, const char *line, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);

    return cfs != NULL && ha_queue_command(cfs, line, error) ? q_json_node_null() : NULL;
}

static const ApiParam stop_params[] = {
    API_PARAM(CommandArgs, sid, API_STRING, .doc = "Service id: vm:NUMBER, or the number alone.",
              .format = "pve-ha-resource-or-vm-id"),
    API_PARAM(CommandArgs, timeout, API_INTEGER, API_MIN(0),
              .doc = "Seconds until it is killed; 0: at once."),
    { 0 },
};

static JsonNode *
stop_run(ApiCall *call, const void *data, GError **error)
{
    const CommandArgs *args = data;
    g_autofree char *sid = ha_sid_parse(args->sid, NULL, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;

    if (cfs == NULL || !is_managed(cfs, sid, error)) {
        return NULL;
    }
    g_autofree char *line = g_strdup_printf("stop %s %" G_GINT64_FORMAT, sid, args->timeout);
    return queue(call, line, error);
}

const ApiMethod api_ha_stop = {
    .name = "ha_stop",
    .doc = "Ask the master to stop a service.",
    .params = stop_params,
    .access = "root",
    .needs_quorum = true,
    .run = stop_run,
};

static const ApiParam maintenance_params[] = {
    API_PARAM(CommandArgs, action, API_ENUM, API_VALUES("enable", "disable"),
              .doc = "Into maintenance, or back."),
    API_PARAM(CommandArgs, node, API_NODE, .doc = "The node."),
    { 0 },
};

static JsonNode *
maintenance_run(ApiCall *call, const void *data, GError **error)
{
    const CommandArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *line = g_strdup_printf("%s-node-maintenance %s", args->action, args->node);

    return cfs != NULL && node_is_there(call, cfs, args->node, false, error)
               ? queue(call, line, error)
               : NULL;
}

const ApiMethod api_ha_maintenance = {
    .name = "ha_node_maintenance",
    .doc = "Ask the master to move services off a node, or to use it again.",
    .params = maintenance_params,
    .access = "root",
    .needs_quorum = true,
    .run = maintenance_run,
};

static const ApiParam disarm_params[] = {
    API_PARAM(CommandArgs, resource_mode, API_ENUM, API_NAME("resource-mode"),
              API_VALUES("freeze", "ignore"), .doc = "What happens to services meanwhile."),
    { 0 },
};

static JsonNode *
disarm_run(ApiCall *call, const void *data, GError **error)
{
    const CommandArgs *args = data;
    g_autofree char *line = g_strdup_printf("disarm-ha %s", args->resource_mode);

    return queue(call, line, error);
}

const ApiMethod api_ha_disarm = {
    .verb = API_POST,
    .path = "/cluster/ha/status/disarm-ha",
    .name = "ha_disarm",
    .doc = "Release all watchdogs for work on the cluster; services run on.",
    .params = disarm_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = disarm_run,
};

static JsonNode *
arm_run(ApiCall *call, const void *data, GError **error)
{
    return queue(call, "arm-ha", error);
}

const ApiMethod api_ha_arm = {
    .verb = API_POST,
    .path = "/cluster/ha/status/arm-ha",
    .name = "ha_arm",
    .doc = "End what disarm-ha began.",
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = arm_run,
};
