#include "ha/core/status.h"
#include "base/sorted.h"
#include <string.h>

static const char *const state_names[HA_STATES] = {
    "none",         "stopped",  "request_start", "request_start_balance",
    "request_stop", "started",  "fence",         "recovery",
    "migrate",      "relocate", "freeze",        "error",
};
static const char *const node_state_names[] = { "unknown", "online", "maintenance", "fence",
                                                "gone" };
static const char *const mode_names[] = { "active", "restart", "shutdown", "maintenance",
                                          "disarm" };

char *
ha_agent_lease(const char *node)
{
    return g_strdup_printf("ha_agent_%s_lock", node);
}

const char *
ha_state_name(HaState state)
{
    return state_names[state];
}

static int
find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (g_strcmp0(name, names[i]) == 0)
            return (int)i;
    }
    return -1;
}

bool
ha_state_parse(const char *name, HaState *state)
{
    int found = find_name(state_names, HA_STATES, name);

    if (found <= HA_STATE_NONE)
        return false;
    *state = found;
    return true;
}

const char *
ha_node_state_name(HaNodeState state)
{
    return node_state_names[state];
}

const char *
ha_mode_name(HaMode mode)
{
    return mode_names[mode];
}

HaMode
ha_mode_parse(const char *name)
{
    int found = find_name(mode_names, G_N_ELEMENTS(mode_names), name);
    return found < 0 ? HA_MODE_ACTIVE : (HaMode)found;
}

/* ------------------------------------------------------------------ services */

HaService *
ha_service_new(const char *sid, HaState state, const char *node)
{
    HaService *service = g_new0(HaService, 1);

    service->sid = g_strdup(sid);
    service->state = state;
    service->node = g_strdup(node);
    service->timeout_s = -1;
    service->command_timeout_s = -1;
    return service;
}

void
ha_service_free(HaService *service)
{
    if (service == NULL)
        return;
    g_free(service->sid);
    g_free(service->node);
    g_free(service->uid);
    g_free(service->target);
    g_free(service->command);
    g_free(service->command_node);
    g_free(service->maintenance_node);
    g_clear_pointer(&service->failed_nodes, g_ptr_array_unref);
    g_free(service);
}

static HaService *
service_copy(const HaService *service)
{
    HaService *copy = g_memdup2(service, sizeof *service);

    copy->sid = g_strdup(service->sid);
    copy->node = g_strdup(service->node);
    copy->uid = g_strdup(service->uid);
    copy->target = g_strdup(service->target);
    copy->command = g_strdup(service->command);
    copy->command_node = g_strdup(service->command_node);
    copy->maintenance_node = g_strdup(service->maintenance_node);
    copy->failed_nodes = NULL;
    if (service->failed_nodes != NULL) {
        copy->failed_nodes = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < service->failed_nodes->len; i++)
            g_ptr_array_add(copy->failed_nodes, g_strdup(service->failed_nodes->pdata[i]));
    }
    return copy;
}

/* ------------------------------------------------------------------ manager_status */

HaStatus *
ha_status_new(void)
{
    HaStatus *status = g_new0(HaStatus, 1);

    status->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    status->requests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    status->services =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_service_free);
    return status;
}

HaStatus *
ha_status_copy(const HaStatus *status)
{
    HaStatus *copy = ha_status_new();
    GHashTableIter iter;
    gpointer key, value;

    copy->master_node = g_strdup(status->master_node);
    copy->timestamp_s = status->timestamp_s;
    copy->disarm_mode = g_strdup(status->disarm_mode);
    copy->disarm_state = g_strdup(status->disarm_state);
    /* Copying does not depend on the order. */
    g_hash_table_iter_init(&iter, status->nodes);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(copy->nodes, g_strdup(key), value);
    g_hash_table_iter_init(&iter, status->requests);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_hash_table_add(copy->requests, g_strdup(key));
    g_hash_table_iter_init(&iter, status->services);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(copy->services, g_strdup(key), service_copy(value));
    return copy;
}

void
ha_status_free(HaStatus *status)
{
    if (status == NULL)
        return;
    g_free(status->master_node);
    g_free(status->disarm_mode);
    g_free(status->disarm_state);
    g_hash_table_unref(status->nodes);
    g_hash_table_unref(status->requests);
    g_hash_table_unref(status->services);
    g_free(status);
}

HaNodeState
ha_status_node(const HaStatus *status, const char *node)
{
    return GPOINTER_TO_INT(g_hash_table_lookup(status->nodes, node));
}

HaService *
ha_status_service(const HaStatus *status, const char *sid)
{
    return g_hash_table_lookup(status->services, sid);
}

/* Pending commands are kept as the existing system does: ["migrate", "node2"], ["stop", 60]. */
static void
parse_command(HaService *service, JsonArray *command)
{
    if (command == NULL || json_array_get_length(command) < 2)
        return;
    JsonNode *argument = json_array_get_element(command, 1);
    service->command = g_strdup(json_array_get_string_element(command, 0));
    if (g_strcmp0(service->command, "stop") == 0)
        service->command_timeout_s = (int)json_node_get_int(argument);
    else
        service->command_node = g_strdup(json_node_get_string(argument));
}

static HaService *
parse_service(const char *sid, JsonObject *object, GError **error)
{
    HaState state;

    if (!ha_state_parse(q_json_string(object, "state", NULL), &state)) {
        q_set_error(error, Q_ERROR_INVALID, "manager_status: service '%s': unknown state '%s'", sid,
                    q_json_string(object, "state", ""));
        return NULL;
    }
    HaService *service = ha_service_new(sid, state, q_json_string(object, "node", NULL));
    service->uid = g_strdup(q_json_string(object, "uid", NULL));
    service->target = g_strdup(q_json_string(object, "target", NULL));
    service->timeout_s = (int)q_json_int(object, "timeout", -1);
    service->running = q_json_bool(object, "running", false);
    service->maintenance_node = g_strdup(q_json_string(object, "maintenance_node", NULL));
    parse_command(service, q_json_array(object, "cmd"));

    JsonArray *failed = q_json_array(object, "failed_nodes");
    if (failed != NULL && json_array_get_length(failed) > 0) {
        service->failed_nodes = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; i < json_array_get_length(failed); i++)
            g_ptr_array_add(service->failed_nodes,
                            g_strdup(json_array_get_string_element(failed, i)));
    }
    return service;
}

static bool
parse_services(HaStatus *status, JsonObject *object, GError **error)
{
    g_autoptr(GList) members = object != NULL ? json_object_get_members(object) : NULL;

    for (GList *item = members; item != NULL; item = item->next) {
        JsonNode *node = json_object_get_member(object, item->data);
        if (!JSON_NODE_HOLDS_OBJECT(node))
            return q_set_error(error, Q_ERROR_INVALID, "manager_status: service '%s': no object",
                               (char *)item->data);
        HaService *service = parse_service(item->data, json_node_get_object(node), error);
        if (service == NULL)
            return false;
        g_hash_table_insert(status->services, g_strdup(item->data), service);
    }
    return true;
}

static void
parse_nodes(HaStatus *status, JsonObject *states, JsonObject *requests)
{
    g_autoptr(GList) known = states != NULL ? json_object_get_members(states) : NULL;
    g_autoptr(GList) asked = requests != NULL ? json_object_get_members(requests) : NULL;

    for (GList *item = known; item != NULL; item = item->next) {
        int state = find_name(node_state_names, G_N_ELEMENTS(node_state_names),
                              q_json_string(states, item->data, ""));
        g_hash_table_insert(status->nodes, g_strdup(item->data), GINT_TO_POINTER(MAX(state, 0)));
    }
    for (GList *item = asked; item != NULL; item = item->next) {
        JsonObject *request = q_json_object(requests, item->data);
        if (request != NULL && q_json_bool(request, "maintenance", false))
            g_hash_table_add(status->requests, g_strdup(item->data));
    }
}

HaStatus *
ha_status_parse(const char *text, GError **error)
{
    g_autoptr(HaStatus) status = ha_status_new();

    if (text == NULL || *text == '\0')
        return g_steal_pointer(&status);
    g_autoptr(JsonObject) object = q_json_parse_object(text, -1, error);
    if (object == NULL) {
        q_prefix_error(error, "manager_status: ");
        return NULL;
    }
    status->master_node = g_strdup(q_json_string(object, "master_node", NULL));
    status->timestamp_s = q_json_int(object, "timestamp", 0);
    parse_nodes(status, q_json_object(object, "node_status"),
                q_json_object(object, "node_request"));
    JsonObject *disarm = q_json_object(object, "disarm");
    if (disarm != NULL) {
        status->disarm_mode = g_strdup(q_json_string(disarm, "mode", "freeze"));
        status->disarm_state = g_strdup(q_json_string(disarm, "state", "disarming"));
    }
    if (!parse_services(status, q_json_object(object, "service_status"), error))
        return NULL;
    return g_steal_pointer(&status);
}

static void
set_string(JsonObject *object, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_string_member(object, name, value);
}

static JsonObject *
service_object(const HaService *service)
{
    JsonObject *object = json_object_new();

    set_string(object, "state", ha_state_name(service->state));
    set_string(object, "node", service->node);
    set_string(object, "uid", service->uid);
    set_string(object, "target", service->target);
    set_string(object, "maintenance_node", service->maintenance_node);
    if (service->timeout_s >= 0)
        json_object_set_int_member(object, "timeout", service->timeout_s);
    if (service->running)
        json_object_set_int_member(object, "running", 1);
    if (service->command != NULL) {
        JsonArray *command = json_array_new();
        json_array_add_string_element(command, service->command);
        if (service->command_node != NULL)
            json_array_add_string_element(command, service->command_node);
        else
            json_array_add_int_element(command, service->command_timeout_s);
        json_object_set_array_member(object, "cmd", command);
    }
    if (service->failed_nodes != NULL && service->failed_nodes->len > 0) {
        JsonArray *failed = json_array_new();
        for (guint i = 0; i < service->failed_nodes->len; i++)
            json_array_add_string_element(failed, service->failed_nodes->pdata[i]);
        json_object_set_array_member(object, "failed_nodes", failed);
    }
    return object;
}

char *
ha_status_text(const HaStatus *status)
{
    g_autoptr(JsonObject) object = json_object_new();
    JsonObject *states = json_object_new(), *services = json_object_new();
    g_autoptr(GPtrArray) nodes = q_sorted_keys(status->nodes);
    g_autoptr(GPtrArray) requests = q_sorted_keys(status->requests);
    g_autoptr(GPtrArray) sids = q_sorted_keys(status->services);

    set_string(object, "master_node", status->master_node);
    json_object_set_int_member(object, "timestamp", status->timestamp_s);
    for (guint i = 0; i < nodes->len; i++)
        set_string(states, nodes->pdata[i],
                   ha_node_state_name(ha_status_node(status, nodes->pdata[i])));
    json_object_set_object_member(object, "node_status", states);
    if (requests->len > 0) {
        JsonObject *asked = json_object_new();
        for (guint i = 0; i < requests->len; i++) {
            JsonObject *request = json_object_new();
            json_object_set_int_member(request, "maintenance", 1);
            json_object_set_object_member(asked, requests->pdata[i], request);
        }
        json_object_set_object_member(object, "node_request", asked);
    }
    if (status->disarm_mode != NULL) {
        JsonObject *disarm = json_object_new();
        set_string(disarm, "mode", status->disarm_mode);
        set_string(disarm, "state", status->disarm_state);
        json_object_set_object_member(object, "disarm", disarm);
    }
    for (guint i = 0; i < sids->len; i++)
        json_object_set_object_member(services, sids->pdata[i],
                                      service_object(ha_status_service(status, sids->pdata[i])));
    json_object_set_object_member(object, "service_status", services);
    return q_json_object_text(object, Q_JSON_COMPACT);
}

/* ------------------------------------------------------------------ lrm_status */

static void
result_free(gpointer data)
{
    HaResult *result = data;

    g_free(result->sid);
    g_free(result);
}

HaLrmStatus *
ha_lrm_status_new(void)
{
    HaLrmStatus *status = g_new0(HaLrmStatus, 1);

    status->results = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, result_free);
    return status;
}

void
ha_lrm_status_free(HaLrmStatus *status)
{
    if (status == NULL)
        return;
    g_free(status->state);
    g_hash_table_unref(status->results);
    g_free(status);
}

void
ha_lrm_status_set(HaLrmStatus *status, const char *uid, const char *sid, HaState state, int rc)
{
    HaResult *result = g_new0(HaResult, 1);

    result->sid = g_strdup(sid);
    result->state = state;
    result->rc = rc;
    g_hash_table_replace(status->results, g_strdup(uid), result);
}

HaLrmStatus *
ha_lrm_status_parse(const char *text, GError **error)
{
    g_autoptr(JsonObject) object = q_json_parse_object(text, -1, error);

    if (object == NULL) {
        q_prefix_error(error, "lrm_status: ");
        return NULL;
    }
    HaLrmStatus *status = ha_lrm_status_new();
    status->state = g_strdup(q_json_string(object, "state", NULL));
    status->mode = ha_mode_parse(q_json_string(object, "mode", NULL));
    status->timestamp_s = q_json_int(object, "timestamp", 0);

    JsonObject *results = q_json_object(object, "results");
    g_autoptr(GList) uids = results != NULL ? json_object_get_members(results) : NULL;
    for (GList *item = uids; item != NULL; item = item->next) {
        JsonObject *result = q_json_object(results, item->data);
        HaState state = HA_STATE_NONE;
        if (result == NULL)
            continue;
        ha_state_parse(q_json_string(result, "state", NULL), &state);
        ha_lrm_status_set(status, item->data, q_json_string(result, "sid", ""), state,
                          (int)q_json_int(result, "exit_code", HA_RC_CRASHED));
    }
    return status;
}

char *
ha_lrm_status_text(const HaLrmStatus *status)
{
    g_autoptr(JsonObject) object = json_object_new();
    JsonObject *results = json_object_new();
    g_autoptr(GPtrArray) uids = q_sorted_keys(status->results);

    set_string(object, "state", status->state);
    set_string(object, "mode", ha_mode_name(status->mode));
    json_object_set_int_member(object, "timestamp", status->timestamp_s);
    for (guint i = 0; i < uids->len; i++) {
        const HaResult *result = g_hash_table_lookup(status->results, uids->pdata[i]);
        JsonObject *entry = json_object_new();
        set_string(entry, "sid", result->sid);
        set_string(entry, "state", ha_state_name(result->state));
        json_object_set_int_member(entry, "exit_code", result->rc);
        json_object_set_object_member(results, uids->pdata[i], entry);
    }
    json_object_set_object_member(object, "results", results);
    return q_json_object_text(object, Q_JSON_COMPACT);
}
