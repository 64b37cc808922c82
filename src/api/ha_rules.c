#include <string.h>
#include "api/ha.h"
#include "api/ha_priv.h"
#include "ha/core/rules.h"

#define MAY_LOOK "perm(/, Sys.Audit)"
#define MAY_ACT "perm(/, Sys.Console)"

static const char *const boolean_keys[] = { "strict", "disable", NULL };
static const char *const optional_keys[] = { "comment", "disable", "strict", NULL };

typedef struct {
    char *rule;
    char *type;
    char *resource;
    char *resources;
    char *nodes;
    char *affinity;
    char *comment;
    bool strict;
    bool disable;
    char **delete;
    char *digest;
} RuleArgs;

#define PARAM_RULE                                                                                 \
    API_PARAM(RuleArgs, rule, API_STRING, .doc = "Name of the rule.", .format = "pve-configid")
#define PARAM_TYPE(...)                                                                            \
    API_PARAM(RuleArgs, type, API_ENUM, API_VALUES("node-affinity", "resource-affinity"),          \
              .doc = "Kind of rule.", __VA_ARGS__)
#define PARAMS_SETTINGS                                                                            \
    API_PARAM(RuleArgs, resources, API_STRING, .optional = true,                                   \
              .format = "pve-ha-resource-id-list", .doc = "Services, separated by commas."),       \
        API_PARAM(RuleArgs, nodes, API_STRING, .optional = true, .format = "pve-ha-node-list",     \
                  .doc = "Node affinity: NODE[:PRIORITY], separated by commas."),                  \
        API_PARAM(RuleArgs, strict, API_BOOLEAN, .optional = true, .def = "0",                     \
                  .doc = "Node affinity: never on another node."),                                 \
        API_PARAM(RuleArgs, affinity, API_ENUM, .optional = true,                                  \
                  API_VALUES("positive", "negative"),                                              \
                  .doc = "Resource affinity: together, or apart."),                                \
        API_PARAM(RuleArgs, comment, API_STRING, .optional = true, .max_length = 4096,             \
                  .doc = "For people."),                                                           \
        API_PARAM(RuleArgs, disable, API_BOOLEAN, .optional = true,                                \
                  .doc = "Keep the rule, but do not follow it.")

static const ApiColumn rule_columns[] = {
    { "rule", API_STRING, .doc = "Name of the rule." },
    { "type", API_STRING, .doc = "Kind of rule." },
    { "resources", API_STRING, .optional = true, .doc = "Services." },
    { "nodes", API_STRING, .optional = true, .doc = "Nodes with priorities." },
    { "strict", API_BOOLEAN, .optional = true, .doc = "Never elsewhere." },
    { "affinity", API_STRING, .optional = true, .doc = "Together, or apart." },
    { "disable", API_BOOLEAN, .optional = true, .doc = "Not followed." },
    { "comment", API_STRING, .optional = true, .doc = "For people." },
    { "errors", API_ANY, .optional = true, .doc = "Why the rule cannot be followed." },
    { "digest", API_STRING, .optional = true, .doc = "SHA-1 of the file." },
    { 0 },
};

static QSection *
find_rule(const HaSections *rules, const char *id, GError **error)
{
    QSection *section = q_section_config_find(rules->config, id);

    if (section == NULL) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "no such ha rule '%s'", id);
    }
    return section;
}

static JsonObject *
rule_json(const QSection *section, const char *digest)
{
    JsonObject *row = ha_section_json(section, NULL, boolean_keys);

    json_object_set_string_member(row, "rule", q_section_id(section));
    json_object_set_string_member(row, "type", q_section_type(section));
    json_object_set_string_member(row, "digest", digest);
    return row;
}

/* ------------------------------------------------------------------ checking */

/* What of the whole set cannot hold. */
static GPtrArray *
problems_of(const HaSections *rules, guint nodes)
{
    g_autofree char *text = q_section_config_text(rules->config);
    g_autoptr(GPtrArray) parsed = ha_rules_parse(text, NULL);

    return ha_rules_check(parsed, nodes);
}

static bool
check_nodes(ApiCall *call, CfsClient *cfs, const HaRule *rule, GError **error)
{
    g_autoptr(GPtrArray) known = ha_cluster_nodes(call, cfs, NULL, error);
    GHashTableIter iter;
    gpointer name;

    if (known == NULL) {
        return false;
    }
    if (rule->nodes == NULL) {
        return true;
    }
    g_hash_table_iter_init(&iter, rule->nodes);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!g_ptr_array_find_with_equal_func(known, name, g_str_equal, NULL)) {
            return api_blame(error, "nodes", "no such cluster node '%s'", (char *)name);
        }
    }
    return true;
}

static bool
check_resources(CfsClient *cfs, const HaRule *rule, GError **error)
{
    g_autoptr(HaSections) resources = ha_sections_read(cfs, HA_RESOURCES_FILE, error);

    if (resources == NULL) {
        return false;
    }
    for (guint i = 0; i < rule->resources->len; i++) {
        const char *sid = rule->resources->pdata[i];
        const char *colon = strchr(sid, ':');

        if (colon == NULL || q_section_config_find(resources->config, colon + 1) == NULL) {
            return api_blame(error, "resources",
                             "'%s' is not managed by HA; first: ha-manager add %s", sid, sid);
        }
    }
    return true;
}

/* The rule alone, and with the others: one that would be left out at once is refused. */
static bool
check_rule(ApiCall *call, CfsClient *cfs, const HaSections *rules, const QSection *section,
           GError **error)
{
    g_autoptr(GError) cause = NULL;
    HaRule *rule = ha_rule_parse(section, &cause);

    if (rule == NULL) {
        return api_blame(error, "rule", "%s", cause->message);
    }
    bool ok = check_nodes(call, cfs, rule, error) && check_resources(cfs, rule, error);
    ha_rule_free(rule);
    g_autoptr(GPtrArray) nodes = ok ? ha_cluster_nodes(call, cfs, NULL, error) : NULL;
    if (nodes == NULL) {
        return false;
    }
    g_autoptr(GPtrArray) problems = problems_of(rules, nodes->len);
    for (guint i = 0; i < problems->len; i++) {
        const HaRuleProblem *problem = problems->pdata[i];

        if (strcmp(problem->id, q_section_id(section)) == 0) {
            api_blame(error, "resources", "%s", problem->text);
            ok = false;
        }
    }
    return ok;
}

/* Each comma-separated service in full: "100" is "vm:100". */
static char *
full_sids(const char *list, GError **error)
{
    g_auto(GStrv) parts = q_split_list(list);
    g_autoptr(GString) out = g_string_new(NULL);

    for (int i = 0; parts[i] != NULL; i++) {
        g_autofree char *sid = ha_sid_parse(parts[i], NULL, NULL);
        if (sid == NULL) {
            api_blame(error, "resources", "'%s' is no service id", parts[i]);
            return NULL;
        }
        g_string_append_printf(out, "%s%s", out->len > 0 ? "," : "", sid);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool
apply_settings(ApiCall *call, const RuleArgs *args, QSection *section, GError **error)
{
    if (api_given(call, "resources")) {
        g_autofree char *sids = full_sids(args->resources, error);
        if (sids == NULL) {
            return false;
        }
        q_section_set(section, "resources", sids);
    }
    if (args->comment != NULL && strchr(args->comment, '\n') != NULL) {
        return api_blame(error, "comment", "must be one line");
    }
    bool of_nodes = strcmp(q_section_type(section), "node-affinity") == 0;
    if (of_nodes ? api_given(call, "affinity")
                 : api_given(call, "nodes") || api_given(call, "strict")) {
        return api_blame(error, of_nodes ? "affinity" : "nodes",
                         "not an option of a rule of type '%s'", q_section_type(section));
    }
    if (api_given(call, "nodes")) {
        q_section_set(section, "nodes", args->nodes);
    }
    if (api_given(call, "affinity")) {
        q_section_set(section, "affinity", args->affinity);
    }
    if (api_given(call, "comment")) {
        q_section_set(section, "comment", args->comment);
    }
    if (api_given(call, "strict")) {
        q_section_set(section, "strict", args->strict ? "1" : "0");
    }
    if (api_given(call, "disable")) {
        /* Presence alone switches a rule off, so "on" is the key's absence. */
        q_section_set(section, "disable", args->disable ? "1" : NULL);
    }
    return true;
}

/* ------------------------------------------------------------------ list and read */

static const ApiParam list_params[] = {
    PARAM_TYPE(.optional = true),
    API_PARAM(RuleArgs, resource, API_STRING, .optional = true,
              .doc = "Only rules that name this service."),
    { 0 },
};

static bool
is_asked_for(const RuleArgs *args, const QSection *section)
{
    g_auto(GStrv) sids = q_split_list(q_section_get(section, "resources", ""));

    return (args->type == NULL || strcmp(args->type, q_section_type(section)) == 0)
           && (args->resource == NULL
               || g_strv_contains((const char *const *)sids, args->resource));
}

static void
add_errors(JsonObject *row, const GPtrArray *problems)
{
    JsonArray *texts = json_array_new();

    for (guint i = 0; i < problems->len; i++) {
        const HaRuleProblem *problem = problems->pdata[i];

        if (strcmp(problem->id, json_object_get_string_member(row, "rule")) == 0) {
            json_array_add_string_element(texts, problem->text);
        }
    }
    if (json_array_get_length(texts) == 0) {
        json_array_unref(texts);
        return;
    }
    JsonObject *errors = json_object_new();
    json_object_set_array_member(errors, "resources", texts);
    json_object_set_object_member(row, "errors", errors);
}

static JsonNode *
list_run(ApiCall *call, const void *data, GError **error)
{
    const RuleArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(HaSections) rules = cfs != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;
    g_autoptr(GPtrArray) nodes = rules != NULL ? ha_cluster_nodes(call, cfs, NULL, error) : NULL;

    if (nodes == NULL) {
        return NULL;
    }
    g_autoptr(GPtrArray) problems = problems_of(rules, nodes->len);
    GPtrArray *sections = q_section_config_sections(rules->config);
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < sections->len; i++) {
        if (is_asked_for(args, sections->pdata[i])) {
            JsonObject *row = rule_json(sections->pdata[i], rules->digest);
            add_errors(row, problems);
            json_array_add_object_element(rows, row);
        }
    }
    return q_json_node_array(rows);
}

const ApiMethod api_ha_rules = {
    .verb = API_GET,
    .path = "/cluster/ha/rules",
    .name = "ha_rules",
    .doc = "List rules, with what contradicts them.",
    .params = list_params,
    .returns = API_ROWS,
    .columns = rule_columns,
    .access = MAY_LOOK,
    .run = list_run,
};

static const ApiParam read_params[] = { PARAM_RULE, { 0 } };

static JsonNode *
read_run(ApiCall *call, const void *data, GError **error)
{
    const RuleArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(HaSections) rules = cfs != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;
    QSection *section = rules != NULL ? find_rule(rules, args->rule, error) : NULL;

    return section != NULL ? q_json_node_object(rule_json(section, rules->digest)) : NULL;
}

const ApiMethod api_ha_rule_read = {
    .verb = API_GET,
    .path = "/cluster/ha/rules/{rule}",
    .name = "ha_rule_read",
    .doc = "Show one rule.",
    .params = read_params,
    .returns = API_OBJECT,
    .columns = rule_columns,
    .access = MAY_LOOK,
    .run = read_run,
};

/* ------------------------------------------------------------------ changing */

static const ApiParam create_params[] = {
    PARAM_TYPE(.optional = false),
    API_PARAM(RuleArgs, rule, API_STRING, .doc = "Name of the rule.", .format = "pve-configid"),
    PARAMS_SETTINGS,
    { 0 },
};

static bool
check_needed(ApiCall *call, const RuleArgs *args, GError **error)
{
    bool of_nodes = strcmp(args->type, "node-affinity") == 0;
    const char *other = of_nodes ? "nodes" : "affinity";
    bool ok = true;

    if (!api_given(call, "resources")) {
        ok = api_blame(error, "resources", "property is missing and it is not optional");
    }
    if (!api_given(call, other)) {
        ok = api_blame(error, other, "property is missing and it is not optional");
    }
    return ok;
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const RuleArgs *args = data;
    CfsClient *cfs = check_needed(call, args, error) ? api_cfs(call, error) : NULL;
    g_autoptr(HaSections) rules = cfs != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;

    if (rules == NULL) {
        return NULL;
    }
    if (q_section_config_find(rules->config, args->rule) != NULL) {
        q_set_error(error, Q_ERROR_EXISTS, "HA rule '%s' already defined", args->rule);
        return NULL;
    }
    QSection *section = q_section_config_add(rules->config, args->type, args->rule, error);
    if (section == NULL || !apply_settings(call, args, section, error)
        || !check_rule(call, cfs, rules, section, error)) {
        return NULL;
    }
    return ha_sections_write(rules, cfs, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_rule_create = {
    .verb = API_POST,
    .path = "/cluster/ha/rules",
    .name = "ha_rule_create",
    .doc = "Make a rule.",
    .params = create_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = create_run,
};

static const ApiParam update_params[] = {
    PARAM_RULE,
    PARAM_TYPE(.optional = false),
    PARAMS_SETTINGS,
    API_PARAM(RuleArgs, delete, API_LIST, .optional = true, .format = "pve-configid-list",
              .doc = "Options to go back to their defaults."),
    API_PARAM(RuleArgs, digest, API_DIGEST, .optional = true,
              .doc = "Refuse if the file is not the one that has this SHA-1."),
    { 0 },
};

static JsonNode *
update_run(ApiCall *call, const void *data, GError **error)
{
    const RuleArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(HaSections) rules = cfs != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;
    QSection *section = rules != NULL ? find_rule(rules, args->rule, error) : NULL;

    if (section == NULL || !ha_sections_check_digest(rules, args->digest, error)) {
        return NULL;
    }
    if (strcmp(args->type, q_section_type(section)) != 0) {
        api_blame(error, "type", "rule '%s' is of type '%s'", args->rule, q_section_type(section));
        return NULL;
    }
    if (!ha_delete_keys(call, section, args->delete, optional_keys, error)
        || !apply_settings(call, args, section, error)
        || !check_rule(call, cfs, rules, section, error)) {
        return NULL;
    }
    return ha_sections_write(rules, cfs, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_rule_update = {
    .verb = API_PUT,
    .path = "/cluster/ha/rules/{rule}",
    .name = "ha_rule_update",
    .doc = "Change a rule.",
    .params = update_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = update_run,
};

static const ApiParam delete_params[] = { PARAM_RULE, { 0 } };

static JsonNode *
delete_run(ApiCall *call, const void *data, GError **error)
{
    const RuleArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(HaSections) rules = cfs != NULL ? ha_sections_read(cfs, HA_RULES_FILE, error) : NULL;

    if (rules == NULL || find_rule(rules, args->rule, error) == NULL) {
        return NULL;
    }
    q_section_config_remove(rules->config, args->rule);
    return ha_sections_write(rules, cfs, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_ha_rule_delete = {
    .verb = API_DELETE,
    .path = "/cluster/ha/rules/{rule}",
    .name = "ha_rule_delete",
    .doc = "Remove a rule.",
    .params = delete_params,
    .access = MAY_ACT,
    .as_root = true,
    .needs_quorum = true,
    .run = delete_run,
};
