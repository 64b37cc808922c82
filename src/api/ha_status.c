#include <string.h>
#include <time.h>
#include "api/ha.h"
#include "api/ha_priv.h"
#include "base/sorted.h"
#include "ha/core/env.h"
#include "ha/core/status.h"
#include "sys/clock.h"

#define MAY_LOOK "perm(/, Sys.Audit)"

/* Everything that the status rows are made of, read once. */
typedef struct {
    ApiCall *call;
    CfsClient *cfs;
    bool quorate;
    HaStatus *status;
    HaSections *resources;
    GPtrArray *nodes; /* char * */
} View;

static void
view_clear(View *view)
{
    ha_status_free(view->status);
    ha_sections_free(view->resources);
    g_clear_pointer(&view->nodes, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(View, view_clear)

static bool
view_read(View *view, ApiCall *call, GError **error)
{
    view->call = call;
    view->cfs = api_cfs(call, error);
    if (view->cfs == NULL) {
        return false;
    }
    g_autofree char *text = cfs_read(view->cfs, "ha/manager_status", NULL, NULL, NULL);
    view->quorate = cfs_quorate(view->cfs, NULL);
    view->status = ha_status_parse(text, error);
    view->resources = ha_sections_read(view->cfs, HA_RESOURCES_FILE, error);
    view->nodes = ha_cluster_nodes(call, view->cfs, NULL, error);
    return view->status != NULL && view->resources != NULL && view->nodes != NULL;
}

static JsonObject *
new_row(JsonArray *rows, const char *id, const char *type, const char *node)
{
    JsonObject *row = json_object_new();

    json_object_set_string_member(row, "id", id);
    json_object_set_string_member(row, "type", type);
    json_object_set_string_member(row, "node", node);
    json_array_add_object_element(rows, row);
    return row;
}

/* "Tue Nov 24 10:22:01 2026" */
static char *
time_text(int64_t seconds)
{
    time_t when = seconds;
    struct tm parts;
    char text[64];

    localtime_r(&when, &parts);
    strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &parts);
    return g_strdup(text);
}

/* The last heard renewal, in wall time; 0: unknown. Nothing is written for it, so it comes from the
 * lease. */
static int64_t
renewed_at_s(const CfsLease *lease)
{
    return lease != NULL && lease->heard_ms > 0
               ? q_clock_wall_s() - (q_clock_boot_ms() - lease->heard_ms) / 1000
               : 0;
}

static bool
is_held_by(const CfsLease *lease, const char *node)
{
    return lease != NULL && strcmp(lease->state, "held") == 0 && g_strcmp0(lease->node, node) == 0;
}

/* ------------------------------------------------------------------ rows */

static void
add_quorum(View *view, JsonArray *rows)
{
    JsonObject *row = new_row(rows, "quorum", "quorum", view->call->node);
    g_autofree char *text = view->quorate
                                ? g_strdup("OK")
                                : g_strdup_printf("No quorum on node '%s'!", view->call->node);

    json_object_set_int_member(row, "quorate", view->quorate);
    json_object_set_string_member(row, "status", text);
}

static void
add_master(View *view, JsonArray *rows, const CfsLease *lease)
{
    const char *master = view->status->master_node;

    if (master == NULL) {
        return;
    }
    bool held = is_held_by(lease, master);
    bool idle = g_hash_table_size(view->status->services) == 0;
    int64_t at_s = renewed_at_s(lease);
    g_autofree char *when = time_text(at_s > 0 ? at_s : view->status->timestamp_s);
    g_autofree char *text = g_strdup_printf("%s (%s, %s)", master,
                                            !held  ? "old timestamp - dead?"
                                            : idle ? "idle"
                                                   : "active",
                                            when);
    JsonObject *row = new_row(rows, "master", "master", master);

    json_object_set_string_member(row, "status", text);
    json_object_set_int_member(row, "timestamp", at_s > 0 ? at_s : view->status->timestamp_s);
}

static void
add_fencing(View *view, JsonArray *rows, const CfsLease *lease)
{
    const HaStatus *status = view->status;
    bool active = status->master_node != NULL && is_held_by(lease, status->master_node);
    g_autofree char *text = NULL;
    const char *state;

    if (status->disarm_mode != NULL) {
        state = g_strcmp0(status->disarm_state, "disarmed") == 0 ? "disarmed" : "disarming";
        text =
            g_strdup_printf("%s, resource mode: %s (CRM watchdog %s)", state, status->disarm_mode,
                            strcmp(state, "disarmed") == 0 ? "released" : "active");
    } else {
        state = active ? "armed" : "standby";
        text = g_strdup(active ? "armed (CRM watchdog active)" : "standby (CRM watchdog standby)");
    }
    JsonObject *row = new_row(rows, "fencing", "fencing",
                              status->master_node != NULL ? status->master_node : view->call->node);
    json_object_set_string_member(row, "status", text);
    json_object_set_string_member(row, "armed-state", state);
    if (status->disarm_mode != NULL) {
        json_object_set_string_member(row, "resource_mode", status->disarm_mode);
    }
}

static char *
lrm_text(View *view, const char *node, const HaLrmStatus *lrm, const CfsLease *lease, int64_t at_s)
{
    g_autofree char *refusal = cfs_status_get(view->cfs, node, "ha-refusal", NULL);
    g_autofree char *when = time_text(at_s);
    bool active = strcmp(lrm->state, "active") == 0 || strcmp(lrm->state, "maintenance") == 0;

    if (refusal != NULL && refusal[0] != '\0') {
        return g_strdup_printf("%s (out of HA: %s)", node, refusal);
    }
    if (active && !is_held_by(lease, node)) {
        return g_strdup_printf("%s (old timestamp - dead?, %s)", node, when);
    }
    if (lrm->mode == HA_MODE_MAINTENANCE) {
        return g_strdup_printf("%s (maintenance mode, watchdog %s, %s)", node,
                               active ? "active" : "standby", when);
    }
    if (active) {
        return g_strdup_printf("%s (active, watchdog active, %s)", node, when);
    }
    return g_strdup_printf("%s (%s, watchdog standby, %s)", node,
                           strcmp(lrm->state, "lost_agent_lock") == 0 ? "lost agent lock" : "idle",
                           when);
}

static void
add_lrm(View *view, JsonArray *rows, const char *node)
{
    g_autofree char *id = g_strdup_printf("lrm:%s", node);
    g_autofree char *path = g_strdup_printf("nodes/%s/lrm_status", node);
    g_autofree char *name = ha_agent_lease(node);
    g_autofree char *text = cfs_read(view->cfs, path, NULL, NULL, NULL);
    g_autoptr(HaLrmStatus) lrm = text != NULL ? ha_lrm_status_parse(text, NULL) : NULL;
    g_autoptr(CfsLease) lease = cfs_lease_get(view->cfs, name, NULL);
    JsonObject *row = new_row(rows, id, "lrm", node);

    if (lrm == NULL || lrm->state == NULL) {
        g_autofree char *unread = g_strdup_printf("%s (unable to read lrm status)", node);
        json_object_set_string_member(row, "status", unread);
        return;
    }
    int64_t at_s = is_held_by(lease, node) ? renewed_at_s(lease) : lrm->timestamp_s;
    at_s = at_s > 0 ? at_s : lrm->timestamp_s;
    g_autofree char *shown = lrm_text(view, node, lrm, lease, at_s);
    json_object_set_string_member(row, "status", shown);
    json_object_set_int_member(row, "timestamp", at_s);
}

/* What is shown says more than the state: what it is on its way to. */
static const char *
shown_state(const HaService *service, bool configured, HaRequest request)
{
    if (!configured) {
        return "deleting";
    }
    if (request == HA_REQUEST_IGNORED) {
        return "ignored";
    }
    if (service == NULL) {
        return "queued";
    }
    if (service->state == HA_STATE_STOPPED) {
        return request == HA_REQUEST_STARTED    ? "starting"
               : request == HA_REQUEST_DISABLED ? "disabled"
                                                : "stopped";
    }
    if (service->state == HA_STATE_STARTED) {
        return request != HA_REQUEST_STARTED ? "stopping"
               : service->running            ? "started"
                                             : "starting";
    }
    if (service->state == HA_STATE_ERROR && request == HA_REQUEST_DISABLED) {
        return "clearing error flag";
    }
    return ha_state_name(service->state);
}

static void
add_service(View *view, JsonArray *rows, const char *sid)
{
    const HaService *service = ha_status_service(view->status, sid);
    const QSection *section = q_section_config_find(view->resources->config, strchr(sid, ':') + 1);
    g_autofree char *id = g_strdup_printf("service:%s", sid);
    g_autofree char *found = NULL;
    const char *node = service != NULL ? service->node : NULL;
    HaRequest request = HA_REQUEST_STARTED;

    if (section != NULL) {
        ha_request_parse(q_section_get(section, "state", "started"), &request);
    }
    if (node == NULL) {
        found = ha_guest_node(view->cfs, ha_sid_vmid(sid), NULL);
        node = found;
    }
    const char *shown = node == NULL ? "not found" : shown_state(service, section != NULL, request);
    g_autofree char *text =
        g_strdup_printf("%s (%s, %s)", sid, node != NULL ? node : "no node", shown);
    JsonObject *row = new_row(rows, id, "service", node != NULL ? node : "");
    json_object_set_string_member(row, "sid", sid);
    json_object_set_string_member(row, "state", shown);
    json_object_set_string_member(row, "status", text);
    json_object_set_string_member(row, "crm_state",
                                  service != NULL ? ha_state_name(service->state) : "queued");
    if (section != NULL) {
        json_object_set_string_member(row, "request_state", ha_request_name(request));
        json_object_set_int_member(row, "max_restart",
                                   q_section_get_int(section, "max_restart", 1));
        json_object_set_int_member(row, "max_relocate",
                                   q_section_get_int(section, "max_relocate", 1));
        json_object_set_int_member(row, "failback", q_section_get_bool(section, "failback", true));
        if (q_section_get(section, "comment", NULL) != NULL) {
            json_object_set_string_member(row, "comment", q_section_get(section, "comment", ""));
        }
        if (q_section_get(section, "group", NULL) != NULL) {
            json_object_set_string_member(row, "group", q_section_get(section, "group", ""));
        }
    }
}

static GPtrArray *
all_sids(View *view, GHashTable *set)
{
    GPtrArray *sections = q_section_config_sections(view->resources->config);
    g_autoptr(GPtrArray) known = q_sorted_keys(view->status->services);

    for (guint i = 0; i < sections->len; i++) {
        const QSection *section = sections->pdata[i];

        g_hash_table_add(set,
                         g_strdup_printf("%s:%s", q_section_type(section), q_section_id(section)));
    }
    for (guint i = 0; i < known->len; i++) {
        g_hash_table_add(set, g_strdup(known->pdata[i]));
    }
    return q_sorted_keys(set);
}

static JsonNode *
current_run(ApiCall *call, const void *data, GError **error)
{
    g_auto(View) view = { 0 };
    g_autoptr(GHashTable) set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (!view_read(&view, call, error)) {
        return NULL;
    }
    g_autoptr(CfsLease) lease = cfs_lease_get(view.cfs, HA_MANAGER_LEASE, NULL);
    g_autoptr(GPtrArray) sids = all_sids(&view, set);
    JsonArray *rows = json_array_new();
    add_quorum(&view, rows);
    add_master(&view, rows, lease);
    add_fencing(&view, rows, lease);
    for (guint i = 0; i < view.nodes->len; i++) {
        add_lrm(&view, rows, view.nodes->pdata[i]);
    }
    for (guint i = 0; i < sids->len; i++) {
        add_service(&view, rows, sids->pdata[i]);
    }
    return q_json_node_array(rows);
}

static const ApiColumn current_columns[] = {
    { "type", API_STRING, .doc = "quorum, master, fencing, lrm, service." },
    { "status", API_STRING, .doc = "For people." },
    { "id", API_STRING, .doc = "Names the row." },
    { "node", API_STRING, .doc = "Where." },
    { "sid", API_STRING, .optional = true, .doc = "Service id." },
    { "state", API_STRING, .optional = true, .doc = "What is shown as its state." },
    { "crm_state", API_STRING, .optional = true, .doc = "The manager's state of it." },
    { "request_state", API_STRING, .optional = true, .doc = "The state asked for." },
    { "timestamp", API_INTEGER, .optional = true, .doc = "Last heard renewal of the lease." },
    { "quorate", API_BOOLEAN, .optional = true, .doc = "The cluster can decide." },
    { "armed-state", API_STRING, .optional = true, .doc = "armed, standby, disarming, disarmed." },
    { "resource_mode", API_STRING, .optional = true, .doc = "While disarmed: freeze, ignore." },
    { 0 },
};

const ApiMethod api_ha_status_current = {
    .verb = API_GET,
    .path = "/cluster/ha/status/current",
    .name = "ha_status_current",
    .doc = "State of quorum, master, fencing, local managers and services.",
    .returns = API_ROWS,
    .columns = current_columns,
    .access = MAY_LOOK,
    .run = current_run,
};

/* ------------------------------------------------------------------ the files as they are */

static JsonObject *
file_object(CfsClient *cfs, const char *path)
{
    g_autofree char *text = cfs_read(cfs, path, NULL, NULL, NULL);
    JsonObject *object = text != NULL ? q_json_parse_object(text, -1, NULL) : NULL;

    return object != NULL ? object : json_object_new();
}

static JsonNode *
manager_status_run(ApiCall *call, const void *data, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GPtrArray) nodes = cfs != NULL ? ha_cluster_nodes(call, cfs, NULL, error) : NULL;

    if (nodes == NULL) {
        return NULL;
    }
    JsonObject *answer = json_object_new(), *lrm = json_object_new(), *quorum = json_object_new();
    json_object_set_object_member(answer, "manager_status", file_object(cfs, "ha/manager_status"));
    for (guint i = 0; i < nodes->len; i++) {
        g_autofree char *path = g_strdup_printf("nodes/%s/lrm_status", (char *)nodes->pdata[i]);
        json_object_set_object_member(lrm, nodes->pdata[i], file_object(cfs, path));
    }
    json_object_set_object_member(answer, "lrm_status", lrm);
    json_object_set_string_member(quorum, "node", call->node);
    json_object_set_int_member(quorum, "quorate", cfs_quorate(cfs, NULL));
    json_object_set_object_member(answer, "quorum", quorum);
    return q_json_node_object(answer);
}

const ApiMethod api_ha_manager_status = {
    .verb = API_GET,
    .path = "/cluster/ha/status/manager_status",
    .name = "ha_manager_status",
    .doc = "The managers' files as they are.",
    .returns = API_OBJECT,
    .access = MAY_LOOK,
    .run = manager_status_run,
};

/* ------------------------------------------------------------------ folders */

static JsonNode *
names(const char *key, const char *const *values)
{
    JsonArray *rows = json_array_new();

    for (int i = 0; values[i] != NULL; i++) {
        JsonObject *row = json_object_new();
        json_object_set_string_member(row, key, values[i]);
        json_array_add_object_element(rows, row);
    }
    return q_json_node_array(rows);
}

static JsonNode *
index_run(ApiCall *call, const void *data, GError **error)
{
    static const char *const below[] = { "resources", "rules", "status", NULL };

    return names("id", below);
}

const ApiMethod api_ha_index = {
    .verb = API_GET,
    .path = "/cluster/ha",
    .name = "ha_index",
    .doc = "What there is below.",
    .returns = API_ROWS,
    .columns = (const ApiColumn[]){ { "id", API_STRING, .doc = "Name." }, { 0 } },
    .access = MAY_LOOK,
    .run = index_run,
};

static JsonNode *
status_run(ApiCall *call, const void *data, GError **error)
{
    static const char *const below[] = { "arm-ha", "current", "disarm-ha", "manager_status", NULL };

    return names("name", below);
}

const ApiMethod api_ha_status = {
    .verb = API_GET,
    .path = "/cluster/ha/status",
    .name = "ha_status",
    .doc = "What there is below.",
    .returns = API_ROWS,
    .columns = (const ApiColumn[]){ { "name", API_STRING, .doc = "Name." }, { 0 } },
    .access = "all",
    .run = status_run,
};
