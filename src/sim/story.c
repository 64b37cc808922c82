#include "sim/story.h"
#include <stdio.h>
#include <string.h>
#include "base/sorted.h"
#include "sim/classic.h"

Story *
story_read(const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize length;
    g_autoptr(GError) failure = NULL;

    if (!g_file_get_contents(path, &text, &length, &failure)) {
        q_set_error(error, Q_ERROR_IO, "%s", failure->message);
        return NULL;
    }
    JsonObject *object = q_json_parse_object(text, (gssize)length, error);
    if (object == NULL) {
        q_prefix_error(error, "%s: ", path);
        return NULL;
    }
    Story *story = g_new0(Story, 1);
    story->object = object;
    story->name = g_strdup(q_json_string(object, "name", path));
    story->profile = g_strdup(q_json_string(object, "profile", "classic"));
    return story;
}

void
story_free(Story *story)
{
    if (story == NULL)
        return;
    g_free(story->name);
    g_free(story->profile);
    json_object_unref(story->object);
    g_free(story);
}

static double
get_double(JsonObject *object, const char *name, double fallback)
{
    JsonNode *node = object != NULL ? json_object_get_member(object, name) : NULL;
    return node != NULL && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_double(node) : fallback;
}

static GPtrArray *
members(JsonObject *object)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GList) list = object != NULL ? json_object_get_members(object) : NULL;

    for (GList *item = list; item != NULL; item = item->next)
        g_ptr_array_add(names, item->data);
    g_ptr_array_sort(names, q_strcmp_ptr);
    return names;
}

static HaConfig *
read_service(const Story *story, const char *sid, JsonObject *object, GError **error)
{
    JsonObject *statics = q_json_object(story->object, "static_stats");
    JsonObject *dynamics = q_json_object(story->object, "dynamic_stats");
    HaConfig *config = g_new0(HaConfig, 1);

    config->sid = g_strdup(sid);
    config->type = g_strdup(q_json_string(object, "type", "vm"));
    config->node = g_strdup(q_json_string(object, "node", NULL));
    config->failback = q_json_bool(object, "failback", true);
    config->max_restart = (int)q_json_int(object, "max_restart", 1);
    config->max_relocate = (int)q_json_int(object, "max_relocate", 1);
    config->group = g_strdup(q_json_string(object, "group", NULL));
    config->version = 1;
    if (!ha_request_parse(q_json_string(object, "state", "disabled"), &config->state)) {
        q_set_error(error, Q_ERROR_INVALID, "service '%s': unknown state", sid);
        ha_config_free(config);
        return NULL;
    }
    JsonObject *figures = statics != NULL ? q_json_object(statics, sid) : NULL;
    config->has_static = true;
    config->max_cpu = get_double(figures, "maxcpu", 4);
    config->max_mem = get_double(figures, "maxmem", 4.0 * (1 << 30));
    figures = dynamics != NULL ? q_json_object(dynamics, sid) : NULL;
    config->has_dynamic = true;
    config->cpu = get_double(figures, "cpu", 2);
    config->mem = get_double(figures, "mem", 2.0 * (1 << 30));
    return config;
}

GPtrArray *
story_services(const Story *story, GError **error)
{
    JsonObject *services = q_json_object(story->object, "services");
    g_autoptr(GPtrArray) sids = members(services);
    g_autoptr(GPtrArray) configs = g_ptr_array_new_with_free_func((GDestroyNotify)ha_config_free);

    for (guint i = 0; i < sids->len; i++) {
        JsonObject *object = q_json_object(services, sids->pdata[i]);
        HaConfig *config =
            object != NULL ? read_service(story, sids->pdata[i], object, error) : NULL;
        if (config == NULL)
            return NULL;
        g_ptr_array_add(configs, config);
    }
    return g_steal_pointer(&configs);
}

GPtrArray *
story_nodes(const Story *story)
{
    JsonObject *object = q_json_object(story->object, "nodes");
    g_autoptr(GPtrArray) names = members(object);
    GPtrArray *nodes = g_ptr_array_new_with_free_func((GDestroyNotify)ha_node_free);

    for (guint i = 0; i < names->len; i++) {
        JsonObject *entry = q_json_object(object, names->pdata[i]);
        HaNode *node = g_new0(HaNode, 1);
        if (entry == NULL)
            entry = object;
        node->name = g_strdup(names->pdata[i]);
        node->online = g_strcmp0(q_json_string(entry, "power", "off"), "on") == 0
                       && g_strcmp0(q_json_string(entry, "network", "off"), "on") == 0;
        node->version = g_strdup(q_json_string(entry, "version", NULL));
        node->weight = 1;
        node->max_cpu = get_double(entry, "maxcpu", 0);
        node->max_mem = get_double(entry, "maxmem", 0);
        node->has_capacity = node->max_cpu > 0 && node->max_mem > 0;
        node->has_usage = true;
        g_ptr_array_add(nodes, node);
    }
    return nodes;
}

static char *
value_text(JsonNode *node)
{
    if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
        return g_strdup(json_node_get_string(node));
    return q_json_text(node, Q_JSON_COMPACT);
}

HaDatacenter *
story_datacenter(const Story *story)
{
    HaDatacenter *datacenter = ha_datacenter_new(story->profile);
    JsonObject *object = q_json_object(story->object, "datacenter");
    g_autoptr(GPtrArray) sections = members(object);

    for (guint i = 0; i < sections->len; i++) {
        JsonObject *section = q_json_object(object, sections->pdata[i]);
        g_autoptr(GPtrArray) keys = members(section);
        for (guint k = 0; k < keys->len; k++) {
            g_autofree char *value = value_text(json_object_get_member(section, keys->pdata[k]));
            ha_datacenter_set(datacenter, sections->pdata[i], keys->pdata[k], value);
        }
    }
    return datacenter;
}

GPtrArray *
story_batches(const Story *story)
{
    GPtrArray *batches = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    JsonArray *list = q_json_array(story->object, "commands");

    for (guint i = 0; list != NULL && i < json_array_get_length(list); i++) {
        JsonArray *batch = json_array_get_array_element(list, i);
        GPtrArray *lines = g_ptr_array_new();
        for (guint k = 0; batch != NULL && k < json_array_get_length(batch); k++)
            g_ptr_array_add(lines, g_strdup(json_array_get_string_element(batch, k)));
        g_ptr_array_add(lines, NULL);
        g_ptr_array_add(batches, g_ptr_array_free(lines, FALSE));
    }
    return batches;
}

/* ------------------------------------------------------------------ running, comparing */

static void
keep_event(int64_t t, const char *by, const HaEvent *event, gpointer data)
{
    /* Remarks for the log are no events: their words may change. */
    if (ha_event_kind(event) != HA_EVENT_REPORT)
        g_ptr_array_add(data, ha_event_json(event, t, by));
}

GPtrArray *
story_run(const Story *story, GError **error)
{
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(g_free);

    if (!g_str_equal(story->profile, "classic")) {
        q_set_error(error, Q_ERROR_UNSUPPORTED,
                    "profile '%s': stories of it are histories: quorate-sim fuzz --story FILE",
                    story->profile);
        return NULL;
    }
    if (!classic_run(story, keep_event, events, error))
        return NULL;
    return g_steal_pointer(&events);
}

/* Equal values give equal text, whatever the order of keys. */
static char *
canonical(const char *line)
{
    g_autoptr(JsonObject) object = q_json_parse_object(line, -1, NULL);
    g_assert(object != NULL);
    return q_json_object_text(object, Q_JSON_COMPACT);
}

char *
story_compare(const Story *story, GPtrArray *events)
{
    JsonArray *expect = q_json_array(story->object, "expect");
    guint count = expect != NULL ? json_array_get_length(expect) : 0;

    for (guint i = 0; i < MAX(count, events->len); i++) {
        g_autofree char *got = i < events->len ? canonical(events->pdata[i]) : g_strdup("nothing");
        g_autofree char *wanted =
            i < count ? q_json_text(json_array_get_element(expect, i), Q_JSON_COMPACT)
                      : g_strdup("the end");
        if (!g_str_equal(got, wanted))
            return g_strdup_printf("event %u\n  expected %s\n  got      %s", i + 1, wanted, got);
    }
    return NULL;
}
