#include "cfs/cluster_log.h"
#include <string.h>

enum { SHOWN_BY_DEFAULT = 50 };

typedef struct {
    JsonObject *row;
    int64_t time_s;
    char *node;
    int64_t uid;
    size_t bytes;
} Entry;

struct ClusterLog {
    GSequence *entries; /* Entry, oldest first */
    size_t bytes;
    int64_t last_uid;
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    json_object_unref(entry->row);
    g_free(entry->node);
    g_free(entry);
}

static int
entry_compare(gconstpointer a, gconstpointer b, gpointer data)
{
    const Entry *x = a, *y = b;

    if (x->time_s != y->time_s) {
        return x->time_s < y->time_s ? -1 : 1;
    }
    int by_node = strcmp(x->node, y->node);
    return by_node != 0 ? by_node : (x->uid > y->uid) - (x->uid < y->uid);
}

ClusterLog *
cluster_log_new(void)
{
    ClusterLog *log = g_new0(ClusterLog, 1);

    log->entries = g_sequence_new(entry_free);
    return log;
}

void
cluster_log_free(ClusterLog *log)
{
    if (log != NULL) {
        g_sequence_free(log->entries);
        g_free(log);
    }
}

/* Text that is safe to show on a terminal. */
static char *
clean(const char *text, size_t max)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);

    for (const char *at = valid; *at != '\0' && out->len < max; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c < 32 || c == 127) {
            g_string_append_printf(out, "#%03u", c);
        } else {
            g_string_append_unichar(out, c);
        }
    }
    return g_string_free(out, FALSE);
}

JsonObject *
cluster_log_entry(ClusterLog *log, const char *node, int64_t time_s, const CfsLogEntry *entry,
                  GError **error)
{
    if (entry->tag == NULL || entry->tag[0] == '\0' || entry->message == NULL || entry->priority < 0
        || entry->priority > 7) {
        q_set_error(error, Q_ERROR_INVALID,
                    "a log entry needs a tag, a message and a priority from 0 to 7");
        return NULL;
    }
    g_autofree char *tag = clean(entry->tag, 255);
    g_autofree char *user = clean(entry->user != NULL ? entry->user : "", 255);
    g_autofree char *message = clean(entry->message, CFS_LOG_ENTRY_MAX - 600);
    JsonObject *row = json_object_new();

    json_object_set_int_member(row, "uid", ++log->last_uid);
    json_object_set_int_member(row, "time", time_s);
    json_object_set_int_member(row, "pri", entry->priority);
    json_object_set_string_member(row, "tag", tag);
    json_object_set_int_member(row, "pid", entry->pid);
    json_object_set_string_member(row, "node", node);
    json_object_set_string_member(row, "user", user);
    json_object_set_string_member(row, "msg", message);
    return row;
}

static void
merge_one(ClusterLog *log, JsonObject *row)
{
    g_autofree char *text = q_json_object_text(row, Q_JSON_COMPACT);
    Entry *entry = g_new0(Entry, 1);

    entry->row = json_object_ref(row);
    entry->time_s = q_json_int(row, "time", 0);
    entry->node = g_strdup(q_json_string(row, "node", ""));
    entry->uid = q_json_int(row, "uid", 0);
    entry->bytes = strlen(text);
    if (entry->node[0] == '\0' || entry->bytes > 2 * CFS_LOG_ENTRY_MAX
        || g_sequence_lookup(log->entries, entry, entry_compare, NULL) != NULL) {
        entry_free(entry);
        return;
    }
    g_sequence_insert_sorted(log->entries, entry, entry_compare, NULL);
    log->bytes += entry->bytes;
    while (log->bytes > CFS_LOG_BYTES_MAX) {
        GSequenceIter *oldest = g_sequence_get_begin_iter(log->entries);
        log->bytes -= ((Entry *)g_sequence_get(oldest))->bytes;
        g_sequence_remove(oldest);
    }
}

void
cluster_log_merge(ClusterLog *log, JsonArray *rows)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonNode *node = json_array_get_element(rows, i);
        if (JSON_NODE_HOLDS_OBJECT(node)) {
            merge_one(log, json_node_get_object(node));
        }
    }
}

GPtrArray *
cluster_log_chunks(const ClusterLog *log, size_t bytes)
{
    GPtrArray *chunks = g_ptr_array_new_with_free_func((GDestroyNotify)json_array_unref);
    JsonArray *chunk = NULL;
    size_t filled = 0;

    for (GSequenceIter *at = g_sequence_get_begin_iter(log->entries); !g_sequence_iter_is_end(at);
         at = g_sequence_iter_next(at)) {
        Entry *entry = g_sequence_get(at);
        if (chunk == NULL || filled + entry->bytes > bytes) {
            chunk = json_array_new();
            g_ptr_array_add(chunks, chunk);
            filled = 0;
        }
        json_array_add_object_element(chunk, json_object_ref(entry->row));
        filled += entry->bytes;
    }
    return chunks;
}

char *
cluster_log_text(const ClusterLog *log, unsigned max, const char *user)
{
    GString *out = g_string_new("{\n\"data\": [");
    unsigned shown = 0;

    if (max == 0) {
        max = SHOWN_BY_DEFAULT;
    }
    GSequenceIter *at = g_sequence_get_end_iter(log->entries);
    while (!g_sequence_iter_is_begin(at) && shown < max) {
        at = g_sequence_iter_prev(at);
        Entry *entry = g_sequence_get(at);
        if (user != NULL && user[0] != '\0'
            && strcmp(q_json_string(entry->row, "user", ""), user) != 0) {
            continue;
        }
        g_autofree char *text = q_json_object_text(entry->row, Q_JSON_COMPACT);
        g_string_append_printf(out, "%s\n%s", shown > 0 ? "," : "", text);
        shown++;
    }
    g_string_append(out, shown > 0 ? "\n]\n}\n" : "]\n}\n");
    return g_string_free(out, FALSE);
}
