#include <string.h>
#include "base/sorted.h"
#include "cfs/core/replica_priv.h"

/*
 * What is on disk (S10, S12, S16): the accepted state, where it stands in the history, and for
 * each update not known to be committed what takes it back. One write at a time; whatever has come
 * meanwhile goes into the next one.
 *
 * Rows of our table: "tip" (database id, promised, installed, sequence, history), "record/KEY",
 * "undo/SEQUENCE" (16 hex digits).
 */
#define TIP_KEY "tip"
#define RECORD_PREFIX "record/"
#define UNDO_PREFIX "undo/"

static GBytes *
tip_encode(const Replica *r)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_u64(bytes, r->database);
    epoch_put(bytes, r->promised);
    epoch_put(bytes, r->installed);
    q_put_u64(bytes, r->accepted->sequence);
    digest_put(bytes, r->accepted->history);
    return g_byte_array_free_to_bytes(bytes);
}

/* ------------------------------------------------------------------ loading */

static bool
load_tip(Replica *r, GBytes *value, GError **error)
{
    QReader reader;

    q_reader_init_bytes(&reader, value);
    r->database = q_get_u64(&reader);
    r->promised = epoch_get(&reader);
    r->installed = epoch_get(&reader);
    r->accepted->sequence = q_get_u64(&reader);
    r->accepted->history = digest_get(&reader);
    if (!q_reader_done(&reader) || r->database == 0)
        return q_set_error(error, Q_ERROR_INVALID, "row 'tip' cannot be read");
    return true;
}

static int
compare_undo(gconstpointer a, gconstpointer b)
{
    /* Newest first: sixteen digits sort as numbers. */
    return -strcmp((*(StoreRow *const *)a)->key, (*(StoreRow *const *)b)->key);
}

/* The visible state is the accepted one without what nobody is known to have committed (S13). */
static bool
undo_tail(Replica *r, GPtrArray *undo, GError **error)
{
    g_ptr_array_sort(undo, compare_undo);
    for (guint i = 0; i < undo->len; i++) {
        const StoreRow *row = undo->pdata[i];
        uint64_t sequence = g_ascii_strtoull(row->key + strlen(UNDO_PREFIX), NULL, 16);
        if (!delta_undo_decode_apply(row->value, r->visible))
            return q_set_error(error, Q_ERROR_INVALID, "row '%s' cannot be read", row->key);
        r->visible->sequence = sequence - 1;
        g_queue_push_head(&r->undo_written, g_memdup2(&sequence, sizeof sequence));
    }
    return true;
}

static bool
load_rows(Replica *r, const ReplicaSetup *setup, GPtrArray *undo, bool *has_tip, GError **error)
{
    for (guint i = 0; i < setup->rows->len; i++) {
        StoreRow *row = &g_array_index(setup->rows, StoreRow, i);
        if (strcmp(row->key, TIP_KEY) == 0) {
            *has_tip = true;
            if (!load_tip(r, row->value, error))
                return false;
        } else if (g_str_has_prefix(row->key, RECORD_PREFIX)) {
            records_set(r->accepted->records, row->key + strlen(RECORD_PREFIX), row->value);
        } else if (g_str_has_prefix(row->key, UNDO_PREFIX)) {
            g_ptr_array_add(undo, row);
        }
    }
    return true;
}

/* A database that never was in a cluster of ours begins one of which it is the only voter. */
static void
found_cluster(Replica *r)
{
    uint64_t cluster = q_random_id(&r->random), lineage = q_random_id(&r->random);
    g_autoptr(Config) config = config_sole(r->node_id, r->node, r->database, cluster, lineage);
    g_autoptr(GBytes) value = config_encode(config);

    records_set(r->accepted->records, "config", value);
    r->whole = true;
}

bool
disk_load(Replica *r, const ReplicaSetup *setup, GError **error)
{
    g_autoptr(GPtrArray) undo = g_ptr_array_new();
    bool has_tip = false;

    r->accepted = state_new();
    if (!load_rows(r, setup, undo, &has_tip, error))
        return false;
    Tree *tree = tree_load(setup->entries, setup->version, setup->writer, setup->mtime_s, error);
    if (tree == NULL)
        return false;
    tree_free(r->accepted->tree);
    r->accepted->tree = tree;
    if (!has_tip) {
        r->database = q_random_id(&r->random);
        r->tip_dirty = true;
        if (!setup->join)
            found_cluster(r);
    }
    r->config = config_of(r->accepted->records);
    if (records_get(r->accepted->records, "config") != NULL && r->config == NULL)
        return q_set_error(error, Q_ERROR_INVALID, "row 'record/config' cannot be read");
    if (setup->local_edit) {
        r->database = q_random_id(&r->random); /* S6: what is edited alone counts for nothing */
        r->override = config_sole(r->node_id, r->node, r->database,
                                  r->config != NULL ? r->config->cluster : q_random_id(&r->random),
                                  r->config != NULL ? r->config->lineage : q_random_id(&r->random));
        r->tip_dirty = true;
    }
    r->visible = state_copy(r->accepted);
    r->visible_known = undo->len == 0;
    r->log_floor_sequence = r->accepted->sequence;
    r->log_floor_epoch = r->installed.number;
    if (has_tip)
        r->durable =
            (Durable){ r->promised, r->installed, r->accepted->sequence, r->accepted->history };
    if (setup->suspect) {
        /* S16: the file shows what the kernel remembers, which need not be on disk. */
        r->disk_bad = r->whole = true;
        r->durable = (Durable){ 0 };
    }
    return undo_tail(r, undo, error);
}

/* ------------------------------------------------------------------ what has changed */

static void
dirty_entry(Replica *r, uint64_t inode)
{
    if (inode != TREE_ROOT)
        g_array_append_val(r->dirty_entries, inode);
}

void
disk_dirty_delta(Replica *r, const Delta *delta)
{
    for (guint i = 0; i < delta->changes->len; i++) {
        const StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key != NULL)
            g_hash_table_add(r->dirty_records, g_strdup(change->key));
        else
            dirty_entry(r, change->inode);
    }
    r->tip_dirty = true;
}

/* Another state in place of ours: rows that differ (S10). */
void
disk_dirty_states(Replica *r, const State *before, const State *after)
{
    g_autoptr(GPtrArray) old = tree_all(before->tree), new = tree_all(after->tree);
    g_autoptr(GPtrArray) old_keys = records_keys(before->records, "");
    g_autoptr(GPtrArray) new_keys = records_keys(after->records, "");

    for (guint i = 0; i < old->len; i++) {
        const TreeEntry *entry = old->pdata[i];
        const TreeEntry *now = tree_find(after->tree, entry->inode);
        if (now == NULL || !digest_equal(now->digest, entry->digest))
            dirty_entry(r, entry->inode);
    }
    for (guint i = 0; i < new->len; i++) {
        const TreeEntry *entry = new->pdata[i];
        if (tree_find(before->tree, entry->inode) == NULL)
            dirty_entry(r, entry->inode);
    }
    for (guint i = 0; i < old_keys->len; i++)
        g_hash_table_add(r->dirty_records, g_strdup(old_keys->pdata[i]));
    for (guint i = 0; i < new_keys->len; i++)
        g_hash_table_add(r->dirty_records, g_strdup(new_keys->pdata[i]));
    r->tip_dirty = true;
}

/* ------------------------------------------------------------------ writing */

static void
row_clear(gpointer data)
{
    StoreRow *row = data;

    g_free(row->key);
    g_clear_pointer(&row->value, g_bytes_unref);
}

static StoreWrite *
store_write_new(void)
{
    StoreWrite *write = g_new0(StoreWrite, 1);

    write->entries = g_ptr_array_new_with_free_func((GDestroyNotify)tree_entry_unref);
    write->removed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    write->rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
    g_array_set_clear_func(write->rows, row_clear);
    return write;
}

void
store_write_free(StoreWrite *write)
{
    if (write == NULL)
        return;
    g_ptr_array_unref(write->entries);
    g_array_unref(write->removed);
    g_array_unref(write->rows);
    g_free(write);
}

static void
add_row(StoreWrite *write, char *key, GBytes *value)
{
    StoreRow row = { key, value };

    g_array_append_val(write->rows, row);
}

static void
add_record(Replica *r, StoreWrite *write, const char *key)
{
    GBytes *value = records_get(r->accepted->records, key);

    add_row(write, g_strconcat(RECORD_PREFIX, key, NULL),
            value == NULL ? NULL : g_bytes_ref(value));
}

static int
compare_inodes(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void
add_changes(Replica *r, StoreWrite *write)
{
    g_autoptr(GPtrArray) keys = q_sorted_keys(r->dirty_records);
    uint64_t last = TREE_ROOT;

    g_array_sort(r->dirty_entries, compare_inodes);
    for (guint i = 0; i < r->dirty_entries->len; i++) {
        uint64_t inode = g_array_index(r->dirty_entries, uint64_t, i);
        const TreeEntry *entry = tree_find(r->accepted->tree, inode);
        if (inode == last)
            continue;
        last = inode;
        if (entry != NULL)
            g_ptr_array_add(write->entries, tree_entry_ref((TreeEntry *)entry));
        else
            g_array_append_val(write->removed, inode);
    }
    for (guint i = 0; i < keys->len; i++)
        add_record(r, write, keys->pdata[i]);
}

static void
add_everything(Replica *r, StoreWrite *write)
{
    g_autoptr(GPtrArray) entries = tree_all(r->accepted->tree);
    g_autoptr(GPtrArray) keys = records_keys(r->accepted->records, "");

    write->whole = true;
    for (guint i = 0; i < entries->len; i++)
        g_ptr_array_add(write->entries, tree_entry_ref(entries->pdata[i]));
    for (guint i = 0; i < keys->len; i++)
        add_record(r, write, keys->pdata[i]);
}

static char *
undo_key(uint64_t sequence)
{
    return g_strdup_printf(UNDO_PREFIX "%016" G_GINT64_MODIFIER "x", sequence);
}

/* Undo of what is pending and not there yet; what is committed needs none any more. */
static void
add_undo(Replica *r, StoreWrite *write)
{
    uint64_t pending_from = UINT64_MAX;

    for (GList *at = r->pending.head; at != NULL; at = at->next) {
        Pending *pending = at->data;
        if (pending->is_mark)
            continue;
        pending_from = MIN(pending_from, pending->delta->sequence);
        if (pending->written && !write->whole)
            continue;
        GByteArray *bytes = g_byte_array_new();
        delta_undo_encode(pending->delta, bytes);
        add_row(write, undo_key(pending->delta->sequence), g_byte_array_free_to_bytes(bytes));
        if (!pending->written)
            g_queue_push_tail(&r->undo_written,
                              g_memdup2(&pending->delta->sequence, sizeof(uint64_t)));
        pending->written = true;
    }
    /* Also those of a history that is given up: nothing pending is as old, or as they were. */
    while (!g_queue_is_empty(&r->undo_written)) {
        uint64_t sequence = *(uint64_t *)r->undo_written.head->data;
        if (sequence >= pending_from)
            break;
        g_free(g_queue_pop_head(&r->undo_written));
        if (!write->whole)
            add_row(write, undo_key(sequence), NULL);
    }
}

/* The rows of undo on disk belong to another history than the one that is written now. */
void
disk_forget_undo(Replica *r)
{
    for (GList *at = r->undo_written.head; at != NULL; at = at->next) {
        uint64_t *sequence = at->data;
        g_array_append_val(r->undo_stale, *sequence);
    }
    g_queue_clear_full(&r->undo_written, g_free);
    g_queue_init(&r->undo_written);
}

void
disk_idle(Replica *r)
{
    bool due = r->tip_dirty || r->whole;

    if (!r->started || r->token != 0 || !due || (r->disk_bad && r->now.mono_ms < r->disk_again_ms))
        return;
    StoreWrite *write = store_write_new();
    if (r->whole || r->disk_bad)
        add_everything(r, write);
    else
        add_changes(r, write);
    for (guint i = 0; i < r->undo_stale->len && !write->whole; i++)
        add_row(write, undo_key(g_array_index(r->undo_stale, uint64_t, i)), NULL);
    g_array_set_size(r->undo_stale, 0);
    add_undo(r, write);
    add_row(write, g_strdup(TIP_KEY), tip_encode(r));
    write->figures = tree_figures(r->accepted->tree);
    write->new_file = r->disk_bad;
    write->keep_aside = r->keep_aside;

    r->writing =
        (Durable){ r->promised, r->installed, r->accepted->sequence, r->accepted->history };
    g_array_set_size(r->dirty_entries, 0);
    g_hash_table_remove_all(r->dirty_records);
    r->tip_dirty = r->whole = r->keep_aside = false;
    r->token = ++r->last_token;
    ReplicaEffect effect = { .kind = EFFECT_PERSIST,
                             .persist = { .token = r->token, .write = write } };
    g_array_append_val(r->effects, effect);
}

void
disk_persisted(Replica *r, uint64_t token, bool failed)
{
    if (token == 0 || token != r->token)
        return;
    r->token = 0;
    if (failed) {
        /* S16: what is there now is not believed; write all of it to a new file. */
        if (!r->disk_bad)
            replica_notice(r, NOTICE_DISK_BAD, 0, 0, "%s", "");
        r->disk_bad = true;
        r->whole = true;
        r->durable.installed = (Epoch){ 0 };
        r->disk_again_ms = r->now.mono_ms + DISK_AGAIN_MS;
        epoch_quorum(r);
        return;
    }
    if (r->disk_bad) {
        r->disk_bad = false;
        replica_notice(r, NOTICE_DISK_GOOD, 0, 0, "%s", "");
    }
    r->durable = r->writing;
    epoch_persisted(r);
    order_own_durable(r);
    epoch_quorum(r);
}

int64_t
disk_wake(const Replica *r)
{
    return r->disk_bad && r->token == 0 ? r->disk_again_ms : INT64_MAX;
}
