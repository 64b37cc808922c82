#include "cfs/status.h"
#include <string.h>
#include <unistd.h>
#include "base/sorted.h"
#include "cfs/cluster_log.h"
#include "cluster/cpg.h"
#include "sys/clock.h"
#include "sys/log.h"

#define GROUP "quorate-status-1"

#define RRD_PREFIX "rrd/"

enum { MESSAGE_MAX = 64 * 1024, RRD_AGE_MS = 300 * 1000 };

typedef struct {
    char *value;
    uint64_t counter;
    int64_t set_at_ms; /* CLOCK_MONOTONIC */
} Value;

struct CfsStatus {
    char *node;
    CfsStatusEvents events;
    GHashTable *nodes; /* name → GHashTable(key → Value) */
    ClusterLog *log;
    ClusterCpg *group; /* NULL: alone */
    GArray *members;   /* uint32_t */
};

/* ------------------------------------------------------------------ keys */

static void
value_free(gpointer data)
{
    Value *value = data;

    g_free(value->value);
    g_free(value);
}

static GHashTable *
keys_of(CfsStatus *status, const char *node)
{
    GHashTable *keys = g_hash_table_lookup(status->nodes, node);

    if (keys == NULL) {
        keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, value_free);
        g_hash_table_insert(status->nodes, g_strdup(node), keys);
    }
    return keys;
}

static void
apply(CfsStatus *status, const char *node, const char *key, const char *text)
{
    GHashTable *keys = keys_of(status, node);
    Value *value = g_hash_table_lookup(keys, key);

    if (text[0] == '\0') {
        if (g_hash_table_remove(keys, key)) {
            status->events.changed(node, key, NULL, status->events.data);
        }
        return;
    }
    if (value == NULL) {
        value = g_new0(Value, 1);
        g_hash_table_insert(keys, g_strdup(key), value);
    }
    if (g_strcmp0(value->value, text) != 0) {
        g_free(value->value);
        value->value = g_strdup(text);
    }
    value->counter++;
    value->set_at_ms = q_clock_mono_ms();
    status->events.changed(node, key, text, status->events.data);
}

const char *
cfs_status_value(const CfsStatus *status, const char *node, const char *key)
{
    GHashTable *keys = g_hash_table_lookup(status->nodes, node);
    Value *value = keys != NULL ? g_hash_table_lookup(keys, key) : NULL;

    return value != NULL ? value->value : NULL;
}

JsonObject *
cfs_status_counters(const CfsStatus *status)
{
    JsonObject *all = json_object_new();
    g_autoptr(GPtrArray) nodes = q_sorted_keys(status->nodes);

    for (guint i = 0; i < nodes->len; i++) {
        GHashTable *keys = g_hash_table_lookup(status->nodes, nodes->pdata[i]);
        g_autoptr(GPtrArray) names = q_sorted_keys(keys);
        JsonObject *one = json_object_new();
        for (guint j = 0; j < names->len; j++) {
            Value *value = g_hash_table_lookup(keys, names->pdata[j]);
            json_object_set_int_member(one, names->pdata[j], value->counter);
        }
        json_object_set_object_member(all, nodes->pdata[i], one);
    }
    return all;
}

char *
cfs_status_rrd_text(const CfsStatus *status)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GPtrArray) nodes = q_sorted_keys(status->nodes);
    int64_t oldest_ms = q_clock_mono_ms() - RRD_AGE_MS;

    for (guint i = 0; i < nodes->len; i++) {
        GHashTable *keys = g_hash_table_lookup(status->nodes, nodes->pdata[i]);
        g_autoptr(GPtrArray) names = q_sorted_keys(keys);
        for (guint j = 0; j < names->len; j++) {
            const char *name = names->pdata[j];
            Value *value = g_hash_table_lookup(keys, name);
            if (g_str_has_prefix(name, RRD_PREFIX) && value->set_at_ms >= oldest_ms) {
                g_string_append_printf(out, "%s:%s\n", name + strlen(RRD_PREFIX), value->value);
            }
        }
    }
    return g_string_free(out, FALSE);
}

/* ------------------------------------------------------------------ messages */

static void
send_object(CfsStatus *status, JsonObject *object)
{
    g_autofree char *text = q_json_object_text(object, Q_JSON_COMPACT);

    json_object_unref(object);
    if (status->group != NULL && !cluster_cpg_send(status->group, text, strlen(text))) {
        /* It comes again with the next view. */
        q_debug("a status message of %zu bytes was not sent", strlen(text));
    }
}

static void
send_key(CfsStatus *status, const char *key, const char *value)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "key", key);
    json_object_set_string_member(object, "value", value);
    send_object(status, object);
}

bool
cfs_status_set_own(CfsStatus *status, const char *key, const char *value, GError **error)
{
    size_t length = strlen(key);

    if (length == 0 || length > CFS_STATUS_KEY_MAX) {
        return q_set_error(error, Q_ERROR_INVALID, "a status key has 1 to %d bytes",
                           CFS_STATUS_KEY_MAX);
    }
    if (strlen(value) > CFS_STATUS_VALUE_MAX) {
        return q_set_error(error, Q_ERROR_FULL, "status key '%s': more than %d bytes", key,
                           CFS_STATUS_VALUE_MAX);
    }
    apply(status, status->node, key, value);
    send_key(status, key, value);
    return true;
}

static void
send_log(CfsStatus *status)
{
    g_autoptr(GPtrArray) chunks = cluster_log_chunks(status->log, MESSAGE_MAX / 2);

    for (guint i = 0; i < chunks->len; i++) {
        JsonObject *object = json_object_new();
        json_object_set_array_member(object, "log", json_array_ref(chunks->pdata[i]));
        send_object(status, object);
    }
}

/* For those who have just come: our keys, and the log as we know it. */
static void
send_all(CfsStatus *status, bool with_log)
{
    GHashTable *keys = keys_of(status, status->node);
    g_autoptr(GPtrArray) names = q_sorted_keys(keys);

    for (guint i = 0; i < names->len; i++) {
        Value *value = g_hash_table_lookup(keys, names->pdata[i]);
        send_key(status, names->pdata[i], value->value);
    }
    if (with_log) {
        send_log(status);
    }
}

static void
on_message(ClusterMember sender, const void *bytes, size_t length, gpointer data)
{
    CfsStatus *status = data;
    const char *node = status->events.name(sender.node, status->events.data);
    g_autoptr(JsonObject) object = q_json_parse_object(bytes, length, NULL);

    if (node == NULL || object == NULL) {
        return; /* a node that is not, or no longer, of this cluster */
    }
    JsonArray *log = q_json_array(object, "log");
    const char *key = q_json_string(object, "key", NULL);
    if (log != NULL) {
        cluster_log_merge(status->log, log);
    } else if (key != NULL && strcmp(node, status->node) != 0) {
        apply(status, node, key, q_json_string(object, "value", ""));
    }
}

static bool
among(const ClusterMember *members, size_t count, uint32_t node)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i].node == node) {
            return true;
        }
    }
    return false;
}

static void
on_view(const ClusterMember *members, size_t count, const ClusterMember *left, size_t left_count,
        const ClusterMember *joined, size_t joined_count, gpointer data)
{
    CfsStatus *status = data;
    uint32_t self = cluster_cpg_self(status->group).node;
    uint32_t lowest = G_MAXUINT32; /* of those who were here before */

    g_array_set_size(status->members, 0);
    for (size_t i = 0; i < count; i++) {
        g_array_append_val(status->members, members[i].node);
        if (!among(joined, joined_count, members[i].node)) {
            lowest = MIN(lowest, members[i].node);
        }
    }
    if (joined_count > 0) {
        /* The log once from those who were here, and from each newcomer. */
        send_all(status, lowest == self || among(joined, joined_count, self));
    }
    status->events.members(status->events.data);
}

static void
on_lost(gpointer data)
{
    CfsStatus *status = data;

    g_array_set_size(status->members, 0);
    status->events.members(status->events.data);
}

static const ClusterCpgEvents group_events = { .view = on_view,
                                               .message = on_message,
                                               .lost = on_lost };

/* ------------------------------------------------------------------ log */

bool
cfs_status_log(CfsStatus *status, const CfsLogEntry *entry, GError **error)
{
    g_autoptr(JsonArray) one = json_array_new();
    JsonObject *row = cluster_log_entry(status->log, status->node, q_clock_wall_s(), entry, error);

    if (row == NULL) {
        return false;
    }
    json_array_add_object_element(one, row);
    cluster_log_merge(status->log, one);
    JsonObject *object = json_object_new();
    json_object_set_array_member(object, "log", json_array_ref(one));
    send_object(status, object);
    return true;
}

char *
cfs_status_log_text(const CfsStatus *status, unsigned max, const char *user)
{
    return cluster_log_text(status->log, max, user);
}

/* ------------------------------------------------------------------ life */

bool
cfs_status_online(const CfsStatus *status, uint32_t node_id)
{
    for (guint i = 0; i < status->members->len; i++) {
        if (g_array_index(status->members, uint32_t, i) == node_id) {
            return true;
        }
    }
    return false;
}

void
cfs_status_follow(CfsStatus *status, bool clustered)
{
    if (clustered && status->group == NULL) {
        status->group = cluster_cpg_new(GROUP, &group_events, status);
    } else if (!clustered && status->group != NULL) {
        g_clear_pointer(&status->group, cluster_cpg_free);
        g_array_set_size(status->members, 0);
    }
}

CfsStatus *
cfs_status_new(const char *node, const CfsStatusEvents *events)
{
    CfsStatus *status = g_new0(CfsStatus, 1);

    status->node = g_strdup(node);
    status->events = *events;
    status->nodes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    status->log = cluster_log_new();
    status->members = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    return status;
}

void
cfs_status_free(CfsStatus *status)
{
    if (status == NULL) {
        return;
    }
    cluster_cpg_free(status->group);
    g_hash_table_unref(status->nodes);
    cluster_log_free(status->log);
    g_array_unref(status->members);
    g_free(status->node);
    g_free(status);
}
