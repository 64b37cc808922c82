#include "sim/rules_check.h"
#include "base/json.h"
#include "base/sorted.h"
#include "ha/core/fence.h"
#include "ha/core/rules.h"

static JsonArray *
string_array(GPtrArray *names)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; names != NULL && i < names->len; i++)
        json_array_add_string_element(array, names->pdata[i]);
    return array;
}

static JsonObject *
priorities_object(GHashTable *nodes)
{
    JsonObject *object = json_object_new();
    g_autoptr(GPtrArray) names = q_sorted_keys(nodes);

    for (guint i = 0; i < names->len; i++)
        json_object_set_int_member(object, names->pdata[i],
                                   GPOINTER_TO_INT(g_hash_table_lookup(nodes, names->pdata[i])));
    return object;
}

static JsonArray *
dropped_array(GPtrArray *problems)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < problems->len; i++) {
        const HaRuleProblem *problem = problems->pdata[i];
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "rule", problem->id);
        json_object_set_string_member(object, "reason", problem->reason);
        if (problem->sid != NULL)
            json_object_set_string_member(object, "sid", problem->sid);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonArray *
rules_array(GPtrArray *rules)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < rules->len; i++) {
        const HaRule *rule = rules->pdata[i];
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "id", rule->id);
        if (rule->disabled)
            json_object_set_boolean_member(object, "disable", TRUE);
        json_object_set_array_member(object, "resources", string_array(rule->resources));
        if (rule->type == HA_RULE_NODE) {
            json_object_set_string_member(object, "type", "node-affinity");
            json_object_set_object_member(object, "nodes", priorities_object(rule->nodes));
            json_object_set_boolean_member(object, "strict", rule->strict);
        } else {
            json_object_set_string_member(object, "type", "resource-affinity");
            json_object_set_string_member(object, "affinity",
                                          rule->negative ? "negative" : "positive");
        }
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonObject *
compiled_object(const HaAffinity *affinity)
{
    JsonObject *object = json_object_new(), *nodes = json_object_new();
    JsonObject *positive = json_object_new(), *negative = json_object_new();
    g_autoptr(GPtrArray) sids = ha_affinity_sids(affinity);

    for (guint i = 0; i < sids->len; i++) {
        const char *sid = sids->pdata[i];
        if (ha_affinity_nodes(affinity, sid) != NULL)
            json_object_set_object_member(nodes, sid,
                                          priorities_object(ha_affinity_nodes(affinity, sid)));
        if (ha_affinity_together(affinity, sid) != NULL)
            json_object_set_array_member(positive, sid,
                                         string_array(ha_affinity_together(affinity, sid)));
        if (ha_affinity_apart(affinity, sid) != NULL)
            json_object_set_array_member(negative, sid,
                                         string_array(ha_affinity_apart(affinity, sid)));
    }
    json_object_set_object_member(object, "node-affinity", nodes);
    json_object_set_object_member(object, "positive", positive);
    json_object_set_object_member(object, "negative", negative);
    return object;
}

static char *
difference(JsonObject *expect, const char *part, JsonNode *got)
{
    JsonNode *wanted = json_object_get_member(expect, part);
    g_autofree char *got_text = q_json_text(got, Q_JSON_COMPACT);
    g_autofree char *wanted_text =
        wanted != NULL ? q_json_text(wanted, Q_JSON_COMPACT) : g_strdup("nothing");

    json_node_unref(got);
    if (g_str_equal(got_text, wanted_text))
        return NULL;
    return g_strdup_printf("%s\n  expected %s\n  got      %s", part, wanted_text, got_text);
}

/* A node rule that does not say so is not strict. */
static void
fill_in_defaults(JsonObject *expect)
{
    JsonArray *rules = q_json_array(expect, "rules");

    for (guint i = 0; rules != NULL && i < json_array_get_length(rules); i++) {
        JsonObject *rule = json_array_get_object_element(rules, i);
        if (g_strcmp0(q_json_string(rule, "type", ""), "node-affinity") == 0
            && !json_object_has_member(rule, "strict"))
            json_object_set_boolean_member(rule, "strict", FALSE);
    }
}

static char *
check(JsonObject *object)
{
    JsonObject *expect = q_json_object(object, "expect");
    JsonArray *names = q_json_array(object, "nodes");
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    g_autoptr(GPtrArray) rules = ha_rules_parse(q_json_string(object, "input", ""), NULL);

    for (guint i = 0; names != NULL && i < json_array_get_length(names); i++)
        g_ptr_array_add(nodes, (gpointer)json_array_get_string_element(names, i));
    g_ptr_array_sort(nodes, q_strcmp_ptr);
    g_autoptr(GPtrArray) problems = ha_rules_transform(rules, nodes->len);
    g_autoptr(HaAffinity) affinity = ha_affinity_new(rules, nodes);
    if (expect == NULL)
        return g_strdup("it expects nothing");
    fill_in_defaults(expect);

    char *why = difference(expect, "dropped", q_json_node_array(dropped_array(problems)));
    if (why == NULL)
        why = difference(expect, "rules", q_json_node_array(rules_array(rules)));
    if (why == NULL)
        why = difference(expect, "compiled", q_json_node_object(compiled_object(affinity)));
    return why;
}

/* ------------------------------------------------------------------ fence devices */

static JsonArray *
problems_array(const HaFenceConfig *config)
{
    JsonArray *array = json_array_new();
    GPtrArray *problems = ha_fence_problems(config);

    for (guint i = 0; i < problems->len; i++) {
        const HaFenceProblem *problem = problems->pdata[i];
        JsonObject *object = json_object_new();
        json_object_set_int_member(object, "line", problem->line);
        json_object_set_string_member(object, "name", problem->name);
        json_object_set_string_member(object, "reason", problem->reason);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonArray *
tries_array(const HaFenceConfig *config, JsonArray *nodes)
{
    JsonArray *array = json_array_new();

    for (guint try = 0; try <= ha_fence_tries(config); try++) {
        JsonObject *object = json_object_new();
        for (guint i = 0; nodes != NULL && i < json_array_get_length(nodes); i++) {
            const char *node = json_array_get_string_element(nodes, i);
            g_autoptr(GPtrArray) commands = ha_fence_commands(config, node, try);
            json_object_set_array_member(object, node, string_array(commands));
        }
        json_array_add_object_element(array, object);
    }
    return array;
}

static char *
check_fence(JsonObject *object)
{
    JsonObject *expect = q_json_object(object, "expect");
    g_autoptr(HaFenceConfig) config = ha_fence_parse(q_json_string(object, "input", ""));

    if (expect == NULL)
        return g_strdup("it expects nothing");
    if (ha_fence_problems(config)->len > 0)
        return difference(expect, "errors", q_json_node_array(problems_array(config)));
    return difference(expect, "tries",
                      q_json_node_array(tries_array(config, q_json_array(object, "nodes"))));
}

/* ------------------------------------------------------------------ files */

static char *
check_file(const char *path, char **name, char *(*check_object)(JsonObject *object))
{
    g_autofree char *text = NULL;
    gsize length;
    g_autoptr(GError) error = NULL;

    *name = g_strdup(path);
    if (!g_file_get_contents(path, &text, &length, &error))
        return g_strdup(error->message);
    g_autoptr(JsonObject) object = q_json_parse_object(text, (gssize)length, &error);
    if (object == NULL)
        return g_strdup(error->message);
    g_free(*name);
    *name = g_strdup(q_json_string(object, "name", path));
    return check_object(object);
}

char *
rules_check(const char *path, char **name)
{
    return check_file(path, name, check);
}

char *
fence_check(const char *path, char **name)
{
    return check_file(path, name, check_fence);
}
