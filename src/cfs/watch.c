#include "cfs/watch.h"
#include <string.h>

enum {
    PENDING_MAX_BYTES = 32 * 1024, /* of text about to be told; more: "reread" */
    WATCHES_MAX = 64,              /* of one peer */
    SLOW_AGAIN_MS = 20,
};

typedef struct {
    CfsPeer *peer;
    int64_t id;
    bool root;
    char **prefixes;
    bool leases, records, status;
    /* What is to be told. */
    bool pending;
    bool reread;
    bool quorum_changed;
    bool quorate;
    uint64_t sequence;
    GHashTable *paths; /* path → uint64_t version */
    GHashTable *lease_names;
    GHashTable *vmids;
    GHashTable *keys; /* "NODE\nKEY" */
    size_t bytes;
} Watch;

struct CfsWatches {
    GPtrArray *all; /* Watch */
    guint source;
};

/* ------------------------------------------------------------------ life */

static void
watch_forget(Watch *watch)
{
    g_hash_table_remove_all(watch->paths);
    g_hash_table_remove_all(watch->lease_names);
    g_hash_table_remove_all(watch->vmids);
    g_hash_table_remove_all(watch->keys);
    watch->bytes = 0;
}

static void
watch_free(gpointer data)
{
    Watch *watch = data;

    g_hash_table_unref(watch->paths);
    g_hash_table_unref(watch->lease_names);
    g_hash_table_unref(watch->vmids);
    g_hash_table_unref(watch->keys);
    g_strfreev(watch->prefixes);
    g_free(watch);
}

CfsWatches *
cfs_watches_new(void)
{
    CfsWatches *watches = g_new0(CfsWatches, 1);

    watches->all = g_ptr_array_new_with_free_func(watch_free);
    return watches;
}

void
cfs_watches_free(CfsWatches *watches)
{
    if (watches != NULL) {
        g_clear_handle_id(&watches->source, g_source_remove);
        g_ptr_array_unref(watches->all);
        g_free(watches);
    }
}

static char **
prefixes_of(JsonObject *arguments)
{
    g_autoptr(GStrvBuilder) prefixes = g_strv_builder_new();
    JsonArray *list = q_json_array(arguments, "prefixes");

    for (guint i = 0; list != NULL && i < json_array_get_length(list); i++) {
        JsonNode *node = json_array_get_element(list, i);
        if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING) {
            g_strv_builder_add(prefixes, json_node_get_string(node));
        }
    }
    return g_strv_builder_end(prefixes);
}

void
cfs_watches_add(CfsWatches *watches, CfsRequest *request)
{
    JsonObject *arguments = cfs_request_arguments(request);
    Watch *watch = g_new0(Watch, 1);
    guint mine = 0;

    watch->peer = cfs_request_peer(request);
    watch->id = cfs_request_id(request);
    watch->root = cfs_request_root(request);
    watch->prefixes = prefixes_of(arguments);
    watch->leases = q_json_bool(arguments, "leases", false);
    watch->records = q_json_bool(arguments, "records", false);
    watch->status = q_json_bool(arguments, "status", false);
    watch->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    watch->lease_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    watch->vmids = g_hash_table_new(NULL, NULL);
    watch->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    /* A peer that never ends asking replaces its oldest. */
    for (guint i = watches->all->len; i > 0; i--) {
        Watch *other = watches->all->pdata[i - 1];
        if (other->peer == watch->peer && ++mine >= WATCHES_MAX) {
            g_ptr_array_remove_index(watches->all, i - 1);
        }
    }
    g_ptr_array_add(watches->all, watch);
}

void
cfs_watches_peer_gone(CfsWatches *watches, CfsPeer *peer)
{
    for (guint i = watches->all->len; i > 0; i--) {
        if (((Watch *)watches->all->pdata[i - 1])->peer == peer) {
            g_ptr_array_remove_index(watches->all, i - 1);
        }
    }
}

/* ------------------------------------------------------------------ telling */

static JsonArray *
strings_of(GHashTable *set)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        json_array_add_string_element(array, key);
    }
    return array;
}

static JsonArray *
paths_of(GHashTable *paths)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, paths);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        JsonArray *pair = json_array_new();
        json_array_add_string_element(pair, key);
        json_array_add_int_element(pair, *(uint64_t *)value);
        json_array_add_array_element(array, pair);
    }
    return array;
}

static JsonArray *
vmids_of(GHashTable *vmids)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, vmids);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        json_array_add_int_element(array, GPOINTER_TO_UINT(key));
    }
    return array;
}

static JsonArray *
keys_of(GHashTable *keys)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, keys);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        g_auto(GStrv) parts = g_strsplit(key, "\n", 2);
        JsonArray *pair = json_array_new();
        json_array_add_string_element(pair, parts[0]);
        json_array_add_string_element(pair, parts[1]);
        json_array_add_array_element(array, pair);
    }
    return array;
}

static JsonObject *
message_of(Watch *watch)
{
    JsonObject *message = json_object_new();

    json_object_set_int_member(message, "watch", watch->id);
    if (watch->sequence > 0) {
        json_object_set_int_member(message, "sequence", watch->sequence);
    }
    if (watch->quorum_changed) {
        json_object_set_boolean_member(message, "quorate", watch->quorate);
    }
    if (watch->reread) {
        json_object_set_boolean_member(message, "reread", TRUE);
        return message;
    }
    if (g_hash_table_size(watch->paths) > 0) {
        json_object_set_array_member(message, "paths", paths_of(watch->paths));
    }
    if (g_hash_table_size(watch->lease_names) > 0) {
        json_object_set_array_member(message, "leases", strings_of(watch->lease_names));
    }
    if (g_hash_table_size(watch->vmids) > 0) {
        json_object_set_array_member(message, "records", vmids_of(watch->vmids));
    }
    if (g_hash_table_size(watch->keys) > 0) {
        json_object_set_array_member(message, "status", keys_of(watch->keys));
    }
    return message;
}

/* Sending may end a peer and with it its watches: at most one watch is told in each round over the
 * list. Returns: whether one was. */
static bool
tell_one(CfsWatches *watches, bool *slow)
{
    for (guint i = 0; i < watches->all->len; i++) {
        Watch *watch = watches->all->pdata[i];
        if (!watch->pending) {
            continue;
        }
        if (cfs_peer_slow(watch->peer)) {
            *slow = true;
            continue;
        }
        JsonObject *message = message_of(watch);
        watch->pending = watch->reread = watch->quorum_changed = false;
        watch_forget(watch);
        cfs_peer_send(watch->peer, message);
        return true;
    }
    return false;
}

static gboolean
on_tell(gpointer data)
{
    CfsWatches *watches = data;
    bool slow = false;

    watches->source = 0;
    while (tell_one(watches, &slow)) {
        slow = false;
    }
    if (slow) {
        watches->source = g_timeout_add(SLOW_AGAIN_MS, on_tell, watches);
    }
    return G_SOURCE_REMOVE;
}

static void
mark(CfsWatches *watches, Watch *watch, size_t bytes)
{
    watch->pending = true;
    watch->bytes += bytes;
    if (watch->bytes > PENDING_MAX_BYTES) {
        watch_forget(watch);
        watch->reread = true;
    }
    if (watches->source == 0) {
        watches->source = g_idle_add_full(G_PRIORITY_DEFAULT, on_tell, watches, NULL);
    }
}

/* ------------------------------------------------------------------ changes */

static bool
wants_path(const Watch *watch, const char *path)
{
    if (!watch->root && tree_path_is_private(path)) {
        return false;
    }
    for (char **prefix = watch->prefixes; *prefix != NULL; prefix++) {
        if (g_str_has_prefix(path, *prefix)) {
            return true;
        }
    }
    return false;
}

static void
add_path(CfsWatches *watches, Watch *watch, const VisiblePath *change)
{
    if (wants_path(watch, change->path) && !watch->reread) {
        g_hash_table_replace(watch->paths, g_strdup(change->path),
                             g_memdup2(&change->version, sizeof change->version));
        mark(watches, watch, strlen(change->path) + 24);
    }
}

static void
tell_change(CfsWatches *watches, Watch *watch, const ReplicaEffect *effect)
{
    watch->sequence = effect->visible.sequence;
    if (effect->visible.all) {
        watch->reread = true;
        mark(watches, watch, 0);
        return;
    }
    for (guint i = 0; i < effect->visible.paths->len; i++) {
        add_path(watches, watch, &g_array_index(effect->visible.paths, VisiblePath, i));
    }
    for (guint i = 0; watch->leases && i < effect->visible.leases->len; i++) {
        const char *name = effect->visible.leases->pdata[i];
        g_hash_table_add(watch->lease_names, g_strdup(name));
        mark(watches, watch, strlen(name) + 4);
    }
    for (guint i = 0; watch->records && i < effect->visible.vmids->len; i++) {
        uint32_t vmid = g_array_index(effect->visible.vmids, uint32_t, i);
        g_hash_table_add(watch->vmids, GUINT_TO_POINTER(vmid));
        mark(watches, watch, 12);
    }
}

void
cfs_watches_visible(CfsWatches *watches, const ReplicaEffect *effect)
{
    for (guint i = 0; i < watches->all->len; i++) {
        tell_change(watches, watches->all->pdata[i], effect);
    }
}

void
cfs_watches_status(CfsWatches *watches, const char *node, const char *key)
{
    for (guint i = 0; i < watches->all->len; i++) {
        Watch *watch = watches->all->pdata[i];
        if (watch->status) {
            g_hash_table_add(watch->keys, g_strdup_printf("%s\n%s", node, key));
            mark(watches, watch, strlen(node) + strlen(key) + 8);
        }
    }
}

void
cfs_watches_quorum(CfsWatches *watches, bool quorate)
{
    for (guint i = 0; i < watches->all->len; i++) {
        Watch *watch = watches->all->pdata[i];
        watch->quorum_changed = true;
        watch->quorate = quorate;
        mark(watches, watch, 0);
    }
}
