#include <string.h>
#include "api/ha.h"
#include "api/ha_priv.h"
#include "guest/disks.h"
#include "ha/core/env.h"
#include "ha/core/status.h"

#define MAY_LOOK "perm(/, Sys.Audit)"
#define MAY_ACT "perm(/, Sys.Console)"

static const char *const number_keys[] = { "max_relocate", "max_restart", NULL };
static const char *const boolean_keys[] = { "failback", NULL };
static const char *const optional_keys[] = { "state",       "group",        "comment", "failback",
                                             "max_restart", "max_relocate", NULL };

typedef struct {
    char *sid;
    char *type;
    char *state;
    char *group;
    char *comment;
    bool failback;
    int64_t max_restart;
    int64_t max_relocate;
    char **delete;
    char *digest;
    bool purge;
} ResourceArgs;

#define PARAM_SID                                                                                  \
    API_PARAM(ResourceArgs, sid, API_STRING, .doc = "Service id: vm:NUMBER, or the number alone.", \
              .format = "pve-ha-resource-or-vm-id")
#define PARAMS_SETTINGS                                                                            \
    API_PARAM(ResourceArgs, state, API_ENUM, .optional = true, .def = "started",                   \
              API_VALUES("started", "stopped", "enabled", "disabled", "ignored"),                  \
              .doc = "State that the cluster keeps the service in."),                              \
        API_PARAM(ResourceArgs, group, API_STRING, .optional = true, .format = "pve-configid",     \
                  .doc = "Group of the old kind; use a node affinity rule."),                      \
        API_PARAM(ResourceArgs, comment, API_STRING, .optional = true, .max_length = 4096,         \
                  .doc = "For people."),                                                           \
        API_PARAM(ResourceArgs, failback, API_BOOLEAN, .optional = true, .def = "1",               \
                  .doc = "Move it back to a node of higher priority when that comes back."),       \
        API_PARAM(ResourceArgs, max_restart, API_INTEGER, .optional = true, API_MIN(0),            \
                  .def = "1", .doc = "How often a failed start is tried again on one node."),      \
        API_PARAM(ResourceArgs, max_relocate, API_INTEGER, .optional = true, API_MIN(0),           \
                  .def = "1", .doc = "How many other nodes are tried after failed starts.")

static QSection *
find_resource(const HaSections *resources, const char *sid, GError **error)
{
    QSection *section = q_section_config_find(resources->config, strchr(sid, ':') + 1);

    if (section == NULL || strcmp(q_section_type(section), "vm") != 0) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "no such resource '%s'", sid);
        return NULL;
    }
    return section;
}

static JsonObject *
resource_json(const QSection *section, const char *digest)
{
    JsonObject *row = ha_section_json(section, number_keys, boolean_keys);
    g_autofree char *sid = g_strdup_printf("%s:%s", q_section_type(section), q_section_id(section));

    json_object_set_string_member(row, "sid", sid);
    json_object_set_string_member(row, "type", q_section_type(section));
    json_object_set_string_member(row, "digest", digest);
    if (!json_object_has_member(row, "state")) {
        json_object_set_string_member(row, "state", "started");
    }
    return row;
}

/* Only what was given is written: a default may change with a later version. */
static void
apply_settings(ApiCall *call, const ResourceArgs *args, QSection *section)
{
    if (api_given(call, "state")) {
        bool old_word = strcmp(args->state, "enabled") == 0;
        q_section_set(section, "state", old_word ? "started" : args->state);
    }
    if (api_given(call, "group")) {
        q_section_set(section, "group", args->group);
    }
    if (api_given(call, "comment")) {
        q_section_set(section, "comment", args->comment);
    }
    if (api_given(call, "failback")) {
        q_section_set(section, "failback", args->failback ? "1" : "0");
    }
    if (api_given(call, "max_restart")) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, args->max_restart);
        q_section_set(section, "max_restart", text);
    }
    if (api_given(call, "max_relocate")) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, args->max_relocate);
        q_section_set(section, "max_relocate", text);
    }
}

static bool
check_group(ApiCall *call, CfsClient *cfs, const ResourceArgs *args, GError **error)
{
    if (!api_given(call, "group")) {
        return true;
    }
    g_autoptr(HaSections) groups = ha_sections_read(cfs, "ha/groups.cfg", error);
    if (groups == NULL) {
        return false;
    }
    return q_section_config_find(groups->config, args->group) != NULL
           || api_blame(error, "group",
                        "group '%s' does not exist; use a rule: ha-manager rules add node-affinity",
                        args->group);
}

/* One line, as a value in a section file has to be. */
static bool
check_comment(const ResourceArgs *args, GError **error)
{
    return args->comment == NULL || strchr(args->comment, '\n') == NULL
           || api_blame(error, "comment", "must be one line");
}

/* ------------------------------------------------------------------ list */

static const ApiColumn resource_columns[] = {
    { "sid", API_STRING, .doc = "Service id." },
    { "type", API_STRING, .optional = true, .doc = "Kind of service." },
    { "state", API_STRING, .optional = true, .doc = "Requested state." },
    { "failback", API_BOOLEAN, .optional = true, .doc = "Moves back to a better node." },
    { "max_restart", API_INTEGER, .optional = true, .doc = "Tries on one node." },
    { "max_relocate", API_INTEGER, .optional = true, .doc = "Other nodes tried." },
    { "group", API_STRING, .optional = true, .doc = "Group of the old kind." },
    { "comment", API_STRING, .optional = true, .doc = "For people." },
    { "digest", API_STRING, .optional = true, .doc = "SHA-1 of the file." },
    { 0 },
};

static const ApiParam list_params[] = {
    API_PARAM(ResourceArgs, type, API_ENUM, .optional = true, API_VALUES("ct", "vm"),
              .doc = "Only services of this kind."),
    { 0 },
};

static JsonNode *
list_run(ApiCall *call, const void *data, GError **error)
{
    const ResourceArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(HaSections) resources =
        cfs != NULL ? ha_sections_read(cfs, HA_RESOURCES_FILE, error) : NULL;

    if (resources == NULL) {
        return NULL;
    }
    GPtrArray *sections = q_section_config_sections(resources->config);
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < sections->len; i++) {
        const QSection *section = sections->pdata[i];

        if (args->type == NULL || strcmp(args->type, q_section_type(section)) == 0) {
            json_array_add_object_element(rows, resource_json(section, resources->digest));
        }
    }
    return q_json_node_array(rows);
}

const ApiMethod api_ha_resources = {
    .verb = API_GET,
    .path = "/cluster/ha/resources",
    .name = "ha_resources",
    .doc = "List services under HA.",
    .params = list_params,
    .returns = API_ROWS,
    .columns = resource_columns,
    .access = MAY_LOOK,
    .run = list_run,
};

/* ------------------------------------------------------------------ read */

static const ApiParam read_params[] = { PARAM_SID, { 0 } };

static JsonNode *
read_run(ApiCall *call, const void *data, GError **error)
{
    const ResourceArgs *args = data;
    g_autofree char *sid = ha_sid_parse(args->sid, NULL, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(HaSections) resources =
        cfs != NULL ? ha_sections_read(cfs, HA_RESOURCES_FILE, error) : NULL;
    QSection *section = resources != NULL ? find_resource(resources, sid, error) : NULL;

    return section != NULL ? q_json_node_object(resource_json(section, resources->digest)) : NULL;
}

const ApiMethod api_ha_resource_read = {
    .verb = API_GET,
    .path = "/cluster/ha/resources/{sid}",
    .name = "ha_resource_read",
    .doc = "Show how a service is configured.",
    .params = read_params,
    .returns = API_OBJECT,
    .columns = resource_columns,
    .access = MAY_LOOK,
    .run = read_run,
};

/* ------------------------------------------------------------------ create */

static const ApiParam create_params[] = {
    PARAM_SID,
    API_PARAM(ResourceArgs, type, API_ENUM, .optional = true, API_VALUES("ct", "vm"),
              .doc = "Kind of service."),
    PARAMS_SETTINGS,
    { 0 },
};

/* A guest that runs already is only guarded later, as it is: what writes through a page cache to a
 * shared disk must not come so far (S30). */
static bool
disks_fit(CfsClient *cfs, const char *node, uint32_t vmid, GError **error)
{
    g_autoptr(GuestFile) file = guest_file_read(cfs, node, vmid, error);
    g_autoptr(StorageSet) storages = file != NULL ? storage_set_read(cfs, error) : NULL;
    g_autoptr(GError) cause = NULL;

    if (storages == NULL) {
        return false;
    }
    return guest_disks_fit_ha(storages, guest_config_main(file->config), &cause)
           || api_blame(error, "sid", "%s", cause->message);
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const ResourceArgs *args = data;
    g_autoptr(GError) cause = NULL;
    uint32_t vmid;
    g_autofree char *sid = ha_sid_parse(args->sid, &vmid, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;

    if (cfs == NULL || !check_comment(args, error) || !check_group(call, cfs, args, error)) {
        return NULL;
    }
    if (args->type != NULL && strcmp(args->type, "vm") != 0) {
        api_blame(error, "type", "'%s' does not fit service '%s'", args->type, sid);
        return NULL;
    }
    g_autofree char *node = ha_guest_node(cfs, vmid, &cause);
    if (node == NULL && g_error_matches(cause, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        api_blame(error, "sid", "guest %u does not exist; create it first", vmid);
        return NULL;
    }
    if (node == NULL) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (!disks_fit(cfs, node, vmid, error)) {
        return NULL;
    }
    g_autoptr(HaSections) resources = ha_sections_read(cfs, HA_RESOURCES_FILE, error);
    if (resources == NULL) {
        return NULL;
    }
    if (q_section_config_find(resources->config, sid + strlen("vm:")) != NULL) {
        q_set_error(error, Q_ERROR_EXISTS, "resource ID '%s' already defined", sid);
        return NULL;
    }
    QSection *section = q_section_config_add(resources->config, "vm", sid + strlen("vm:"), error);
    if (section == NULL) {
        return NULL;
    }
    apply_settings(call, args, section);
    return ha_sections_write(resources, cfs, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_resource_create = {
    .verb = API_POST,
    .path = "/cluster/ha/resources",
    .name = "ha_resource_create",
    .doc = "Put a guest under HA.",
    .params = create_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = create_run,
};

/* ------------------------------------------------------------------ update */

static const ApiParam update_params[] = {
    PARAM_SID,
    PARAMS_SETTINGS,
    API_PARAM(ResourceArgs, delete, API_LIST, .optional = true, .format = "pve-configid-list",
              .doc = "Options to go back to their defaults."),
    API_PARAM(ResourceArgs, digest, API_DIGEST, .optional = true,
              .doc = "Refuse if the file is not the one that has this SHA-1."),
    { 0 },
};

/* Who starts a service that is in error would go on where it failed: it has to be switched off,
 * looked at, and switched on again. */
static bool
check_error_state(ApiCall *call, CfsClient *cfs, const ResourceArgs *args, const char *sid,
                  GError **error)
{
    g_autofree char *text = cfs_read(cfs, "ha/manager_status", NULL, NULL, NULL);
    g_autoptr(HaStatus) status = ha_status_parse(text, NULL);
    const HaService *service = status != NULL ? ha_status_service(status, sid) : NULL;

    if (service == NULL || service->state != HA_STATE_ERROR || !api_given(call, "state")
        || strcmp(args->state, "disabled") == 0) {
        return true;
    }
    return q_set_error(error, Q_ERROR_BUSY,
                       "service '%s' in error state, must be disabled and fixed first", sid);
}

static JsonNode *
update_run(ApiCall *call, const void *data, GError **error)
{
    const ResourceArgs *args = data;
    g_autofree char *sid = ha_sid_parse(args->sid, NULL, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(HaSections) resources =
        cfs != NULL ? ha_sections_read(cfs, HA_RESOURCES_FILE, error) : NULL;
    QSection *section = resources != NULL ? find_resource(resources, sid, error) : NULL;

    if (section == NULL || !ha_sections_check_digest(resources, args->digest, error)
        || !check_comment(args, error) || !check_group(call, cfs, args, error)
        || !check_error_state(call, cfs, args, sid, error)
        || !ha_delete_keys(call, section, args->delete, optional_keys, error)) {
        return NULL;
    }
    apply_settings(call, args, section);
    return ha_sections_write(resources, cfs, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_resource_update = {
    .verb = API_PUT,
    .path = "/cluster/ha/resources/{sid}",
    .name = "ha_resource_update",
    .doc = "Change how a service is configured.",
    .params = update_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = update_run,
};

/* ------------------------------------------------------------------ delete */

static const ApiParam delete_params[] = {
    PARAM_SID,
    API_PARAM(ResourceArgs, purge, API_BOOLEAN, .optional = true, .def = "1",
              .doc = "Take it out of rules too; a rule left empty goes."),
    { 0 },
};

/* Takes @sid out of every rule. Returns: whether anything changed. */
static bool
purge_rules(QSectionConfig *rules, const char *sid)
{
    g_autoptr(GPtrArray) empty = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *sections = q_section_config_sections(rules);
    bool changed = false;

    for (guint i = 0; i < sections->len; i++) {
        QSection *rule = sections->pdata[i];
        g_auto(GStrv) sids = q_split_list(q_section_get(rule, "resources", ""));
        g_autoptr(GString) rest = g_string_new(NULL);

        if (!g_strv_contains((const char *const *)sids, sid)) {
            continue;
        }
        for (int s = 0; sids[s] != NULL; s++) {
            if (strcmp(sids[s], sid) != 0) {
                g_string_append_printf(rest, "%s%s", rest->len > 0 ? "," : "", sids[s]);
            }
        }
        changed = true;
        q_section_set(rule, "resources", rest->str);
        if (rest->len == 0) {
            g_ptr_array_add(empty, g_strdup(q_section_id(rule)));
        }
    }
    for (guint i = 0; i < empty->len; i++) {
        q_section_config_remove(rules, empty->pdata[i]);
    }
    return changed;
}

static JsonNode *
delete_run(ApiCall *call, const void *data, GError **error)
{
    const ResourceArgs *args = data;
    g_autofree char *sid = ha_sid_parse(args->sid, NULL, error);
    CfsClient *cfs = sid != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(HaSections) resources =
        cfs != NULL ? ha_sections_read(cfs, HA_RESOURCES_FILE, error) : NULL;
    g_autoptr(HaSections) rules =
        resources != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;

    if (rules == NULL || find_resource(resources, sid, error) == NULL) {
        return NULL;
    }
    q_section_config_remove(resources->config, strchr(sid, ':') + 1);
    CfsTxn *txn = cfs_txn_new();
    ha_sections_add(resources, txn);
    if (args->purge && purge_rules(rules->config, sid)) {
        ha_sections_add(rules, txn); /* together: no rule names a service that is gone */
    }
    return cfs_txn_commit(cfs, txn, NULL, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_resource_delete = {
    .verb = API_DELETE,
    .path = "/cluster/ha/resources/{sid}",
    .name = "ha_resource_delete",
    .doc = "Take a guest out of HA; it runs on.",
    .params = delete_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = delete_run,
};
