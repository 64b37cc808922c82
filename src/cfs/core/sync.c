#include <string.h>
#include "cfs/core/replica_priv.h"

/*
 * Catching up with the winner of an epoch (S9, S10, S15), over the bulk group: by its log when our
 * history is in it, else by the folders whose digests differ. The answer is cut into chunks and
 * asked for slice by slice, so that renewals never queue behind it.
 */
struct Fetch {
    uint32_t from;
    uint64_t serial;
    GByteArray *got;
    uint32_t total; /* 0: not known yet */
    bool whole;     /* asked without digests: the other way did not fit together */
    int64_t asked_ms, progress_ms;
};

enum { FOLDERS_MAX = WIRE_PAYLOAD_MAX / 32 };
typedef enum { REPLY_LOG = 1, REPLY_STATE } ReplyMode;

void
reply_free(gpointer data)
{
    Reply *reply = data;

    g_bytes_unref(reply->bytes);
    g_free(reply);
}

static void
fetch_free(Fetch *fetch)
{
    if (fetch != NULL) {
        g_byte_array_unref(fetch->got);
        g_free(fetch);
    }
}

/* ------------------------------------------------------------------ asking */

static void
put_where_we_are(Replica *r, GByteArray *message, bool whole)
{
    g_autoptr(GArray) folders = tree_folders(r->accepted->tree);
    guint n = whole || folders->len + 1 > FOLDERS_MAX ? 0 : folders->len;

    digest_put(message, r->accepted->history);
    q_put_u8(message, whole);
    q_put_var(message, n);
    for (guint i = 0; i < n; i++) {
        uint64_t inode = g_array_index(folders, uint64_t, i);
        q_put_var(message, inode);
        digest_put(message, tree_folder_digest(r->accepted->tree, inode));
    }
}

static void
ask(Replica *r)
{
    Fetch *fetch = r->fetch;
    GByteArray *message = replica_message(r, MESSAGE_FETCH, true);

    q_put_var(message, fetch->from);
    q_put_u64(message, fetch->serial);
    q_put_var(message, fetch->got->len);
    if (fetch->got->len == 0)
        put_where_we_are(r, message, fetch->whole);
    fetch->asked_ms = r->now.mono_ms;
    replica_bulk(r, message);
}

static void
begin(Replica *r, bool whole)
{
    fetch_free(r->fetch);
    r->fetch = g_new0(Fetch, 1);
    r->fetch->from = r->plan->winner;
    r->fetch->serial = q_random_id(&r->random);
    r->fetch->got = g_byte_array_new();
    r->fetch->whole = whole;
    r->fetch->progress_ms = r->now.mono_ms;
    ask(r);
}

void
sync_begin(Replica *r)
{
    replica_notice(r, NOTICE_SYNC_BEGIN, r->plan->winner, r->accepted->sequence, "%s",
                   r->accepted->sequence > 0 ? "what has changed" : "all of it");
    begin(r, false);
}

void
sync_end(Replica *r)
{
    g_clear_pointer(&r->fetch, fetch_free);
    g_ptr_array_set_size(r->replies, 0);
}

/* ------------------------------------------------------------------ answering */

static GBytes *
log_reply(const Replica *r, GList *after)
{
    GByteArray *bytes = g_byte_array_new();

    q_put_u8(bytes, REPLY_LOG);
    for (GList *at = after; at != NULL; at = at->next) {
        const LogItem *item = at->data;
        if (item->is_mark && epoch_equal(item->epoch, r->plan->epoch))
            break;
        q_put_u8(bytes, item->is_mark);
        if (item->is_mark) {
            epoch_put(bytes, item->epoch);
            continue;
        }
        q_put_u32(bytes, item->place.id.node);
        q_put_u64(bytes, item->place.id.incarnation);
        q_put_u64(bytes, item->place.id.number);
        q_put_u64(bytes, item->place.epoch);
        q_put_u8(bytes, item->place.take_valid);
        q_put_bytes(bytes, item->body);
    }
    return g_byte_array_free_to_bytes(bytes);
}

static void
put_folder(const Tree *tree, uint64_t inode, GByteArray *bytes)
{
    g_autoptr(GPtrArray) list = tree_list(tree, inode);

    q_put_var(bytes, inode);
    q_put_var(bytes, list->len);
    for (guint i = 0; i < list->len; i++)
        tree_entry_encode(list->pdata[i], bytes);
}

static void
put_records(const Records *records, GByteArray *bytes)
{
    g_autoptr(GPtrArray) keys = records_keys(records, "");

    q_put_var(bytes, keys->len);
    for (guint i = 0; i < keys->len; i++) {
        q_put_text(bytes, keys->pdata[i]);
        q_put_bytes(bytes, records_get(records, keys->pdata[i]));
    }
}

/* @known: inode → digest, as the asking node has them. */
static GBytes *
state_reply(const State *state, GHashTable *known)
{
    g_autoptr(GArray) folders = tree_folders(state->tree);
    GByteArray *bytes = g_byte_array_new();
    TreeFigures figures = tree_figures(state->tree);

    q_put_u8(bytes, REPLY_STATE);
    q_put_var(bytes, figures.version);
    q_put_var(bytes, figures.writer);
    q_put_svar(bytes, figures.mtime_s);
    q_put_u64(bytes, state->sequence);
    digest_put(bytes, state->history);
    digest_put(bytes, state_digest(state));
    put_records(state->records, bytes);
    for (guint i = 0; i < folders->len; i++) {
        uint64_t inode = g_array_index(folders, uint64_t, i);
        Digest digest = tree_folder_digest(state->tree, inode);
        const Digest *theirs = g_hash_table_lookup(known, &inode);
        if (theirs == NULL || !digest_equal(*theirs, digest))
            put_folder(state->tree, inode, bytes);
    }
    return g_byte_array_free_to_bytes(bytes);
}

static GBytes *
make_reply(Replica *r, QReader *reader)
{
    g_autoptr(GHashTable) known =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    Digest history = digest_get(reader);
    bool whole = q_get_u8(reader) != 0;
    size_t n = q_get_count(reader, 17);

    for (; n > 0 && !reader->failed; n--) {
        uint64_t inode = q_get_var(reader);
        Digest digest = digest_get(reader);
        g_hash_table_replace(known, g_memdup2(&inode, sizeof inode),
                             g_memdup2(&digest, sizeof digest));
    }
    if (!q_reader_done(reader))
        return NULL;
    for (GList *at = r->log.tail; at != NULL && !whole; at = at->prev) {
        if (digest_equal(((LogItem *)at->data)->history, history))
            return log_reply(r, at->next);
    }
    if (r->plan->snapshot != NULL)
        return state_reply(r->plan->snapshot, known);
    return r->accepted->sequence == r->plan->base ? state_reply(r->accepted, known) : NULL;
}

static Reply *
reply_for(Replica *r, uint32_t node_id, uint64_t serial, uint64_t offset, QReader *reader)
{
    for (guint i = 0; i < r->replies->len; i++) {
        Reply *reply = r->replies->pdata[i];
        if (reply->node_id != node_id)
            continue;
        if (reply->serial == serial)
            return reply;
        g_ptr_array_remove_index(r->replies, i);
        break;
    }
    GBytes *bytes = offset == 0 ? make_reply(r, reader) : NULL;
    if (bytes == NULL)
        return NULL;
    Reply *reply = g_new0(Reply, 1);
    reply->node_id = node_id;
    reply->serial = serial;
    reply->bytes = bytes;
    g_ptr_array_add(r->replies, reply);
    return reply;
}

static void
read_fetch(Replica *r, const MessageHeader *header, QReader *reader)
{
    uint32_t from = (uint32_t)q_get_var(reader);
    uint64_t serial = q_get_u64(reader);
    uint64_t offset = q_get_var(reader);

    if (reader->failed || from != r->node_id || r->plan->winner != r->node_id
        || !r->plan->installed)
        return;
    const Reply *reply = reply_for(r, header->node_id, serial, offset, reader);
    if (reply == NULL)
        return;
    gsize total;
    const uint8_t *data = g_bytes_get_data(reply->bytes, &total);
    uint64_t end = MIN(offset + FETCH_SLICE, total);
    for (; offset < end; offset += WIRE_PAYLOAD_MAX) {
        GByteArray *message = replica_message(r, MESSAGE_CHUNK, true);
        q_put_var(message, header->node_id);
        q_put_u64(message, serial);
        q_put_var(message, offset);
        q_put_var(message, total);
        q_put_data(message, data + offset, MIN(WIRE_PAYLOAD_MAX, end - offset));
        replica_bulk(r, message);
    }
}

/* ------------------------------------------------------------------ taking over */

static State *
replay_log(Replica *r, QReader *reader)
{
    g_autoptr(State) state = state_copy(r->accepted);

    while (!reader->failed && reader->offset < reader->length) {
        if (q_get_u8(reader) != 0) {
            delta_free(state_begin_epoch(state, epoch_get(reader)));
            continue;
        }
        UpdatePlace place = { .id.node = q_get_u32(reader) };
        place.id.incarnation = q_get_u64(reader);
        place.id.number = q_get_u64(reader);
        place.epoch = q_get_u64(reader);
        place.take_valid = q_get_u8(reader) != 0;
        g_autoptr(GBytes) body = q_get_bytes(reader, UPDATE_BYTES_MAX);
        UpdateResult result;
        if (!reader->failed)
            delta_free(state_accept(state, body, &place, &result));
    }
    const Member *winner = replica_member(r, r->plan->winner);
    if (reader->failed || !digest_equal(state->history, winner->history))
        return NULL;
    delta_free(state_begin_epoch(state, r->plan->epoch));
    return g_steal_pointer(&state);
}

static void
drop_children(GHashTable *entries, uint64_t parent)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((TreeEntry *)value)->parent == parent)
            g_hash_table_iter_remove(&iter);
    }
}

/* Folders that went away take along what was in them, however deep. */
static void
drop_orphans(GHashTable *entries)
{
    for (bool again = true; again;) {
        GHashTableIter iter;
        gpointer value;
        again = false;
        g_hash_table_iter_init(&iter, entries);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            const TreeEntry *entry = value;
            if (entry->parent != TREE_ROOT && !g_hash_table_contains(entries, &entry->parent)) {
                g_hash_table_iter_remove(&iter);
                again = true;
            }
        }
    }
}

static int
by_inode(gconstpointer a, gconstpointer b)
{
    const TreeEntry *x = *(TreeEntry *const *)a, *y = *(TreeEntry *const *)b;

    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void
put_own(GHashTable *entries, TreeEntry *entry)
{
    g_hash_table_replace(entries, g_memdup2(&entry->inode, sizeof entry->inode), entry);
}

/* Our entries with the folders of @reader in place of ours. */
static Tree *
merge_tree(Replica *r, QReader *reader, uint64_t version, uint32_t writer, int64_t mtime_s)
{
    g_autoptr(GHashTable) entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                                          (GDestroyNotify)tree_entry_unref);
    g_autoptr(GPtrArray) all = tree_all(r->accepted->tree), list = g_ptr_array_new();
    g_autoptr(GPtrArray) fresh = g_ptr_array_new_with_free_func((GDestroyNotify)tree_entry_unref);

    for (guint i = 0; i < all->len && !r->fetch->whole; i++)
        put_own(entries, tree_entry_ref(all->pdata[i]));
    while (!reader->failed && reader->offset < reader->length) {
        uint64_t inode = q_get_var(reader);
        drop_children(entries, inode);
        for (size_t n = q_get_count(reader, 8); n > 0 && !reader->failed; n--) {
            TreeEntry *entry = tree_entry_decode(reader);
            if (entry != NULL)
                g_ptr_array_add(fresh, entry);
        }
    }
    for (guint i = 0; i < fresh->len; i++)
        put_own(entries, tree_entry_ref(fresh->pdata[i]));
    if (reader->failed)
        return NULL;
    drop_orphans(entries);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, entries);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(list, value);
    g_ptr_array_sort(list, by_inode);
    return tree_load(list, version, writer, mtime_s, NULL);
}

static State *
merge_state(Replica *r, QReader *reader)
{
    g_autoptr(State) state = state_new();
    uint64_t version = q_get_var(reader);
    uint32_t writer = (uint32_t)q_get_var(reader);
    int64_t mtime_s = q_get_svar(reader);

    state->sequence = q_get_u64(reader);
    state->history = digest_get(reader);
    Digest digest = digest_get(reader);
    for (size_t n = q_get_count(reader, 2); n > 0 && !reader->failed; n--) {
        g_autofree char *key = q_get_text(reader, RECORD_TEXT_MAX);
        g_autoptr(GBytes) value = q_get_bytes(reader, UPDATE_BYTES_MAX);
        records_set(state->records, key, value);
    }
    Tree *tree = merge_tree(r, reader, version, writer, mtime_s);
    if (tree == NULL)
        return NULL;
    tree_free(state->tree);
    state->tree = tree;
    return digest_equal(state_digest(state), digest) ? g_steal_pointer(&state) : NULL;
}

/* S10: what is given up and may not be known elsewhere is kept aside. */
static bool
gives_something_up(const Replica *r)
{
    bool stranger = r->config == NULL || config_voter(r->config, r->node_id, r->database) == NULL
                    || r->config->cluster != r->plan->config->cluster;

    return r->pending.length > 0 || !r->visible_known
           || (stranger && tree_figures(r->accepted->tree).entries > 0);
}

static void
complete(Replica *r)
{
    Fetch *fetch = r->fetch;
    bool aside = gives_something_up(r);
    QReader reader;

    q_reader_init(&reader, fetch->got->data, fetch->got->len);
    ReplyMode mode = q_get_u8(&reader);
    State *state = mode == REPLY_LOG ? replay_log(r, &reader) : merge_state(r, &reader);
    if (state == NULL) {
        begin(r, true); /* it did not fit together: all of it, then */
        return;
    }
    replica_notice(r, NOTICE_SYNC_DONE, fetch->from, fetch->got->len, "%s", "");
    if (aside)
        replica_notice(r, NOTICE_TAIL_DISCARDED, 0, r->visible->sequence, "%s", "");
    g_clear_pointer(&r->fetch, fetch_free);
    epoch_install(r, state, NULL, aside && mode != REPLY_LOG);
}

static void
read_chunk(Replica *r, const MessageHeader *header, QReader *reader)
{
    Fetch *fetch = r->fetch;
    uint32_t to = (uint32_t)q_get_var(reader);
    uint64_t serial = q_get_u64(reader);
    uint64_t offset = q_get_var(reader);
    uint64_t total = q_get_var(reader);
    size_t length;
    const void *data = q_get_data(reader, &length, WIRE_PAYLOAD_MAX);

    if (!q_reader_done(reader) || fetch == NULL || to != r->node_id || fetch->serial != serial
        || header->node_id != fetch->from || offset != fetch->got->len || total > UINT32_MAX)
        return;
    g_byte_array_append(fetch->got, data, (guint)length);
    fetch->total = (uint32_t)total;
    fetch->progress_ms = r->now.mono_ms;
    epoch_progress(r);
    if (fetch->got->len >= fetch->total)
        complete(r);
    else if (fetch->got->len % FETCH_SLICE == 0)
        ask(r);
}

void
sync_message(Replica *r, const MessageHeader *header, QReader *reader)
{
    if (header->type == MESSAGE_FETCH)
        read_fetch(r, header, reader);
    else
        read_chunk(r, header, reader);
}

void
sync_tick(Replica *r)
{
    if (r->fetch == NULL || r->plan == NULL)
        return;
    if (r->now.mono_ms - r->fetch->progress_ms >= FETCH_STALL_MS)
        begin(r, r->fetch->whole);
    else if (r->now.mono_ms - MAX(r->fetch->asked_ms, r->fetch->progress_ms) >= FETCH_AGAIN_MS)
        ask(r);
}

int64_t
sync_wake(const Replica *r)
{
    return r->fetch == NULL ? INT64_MAX
                            : MAX(r->fetch->asked_ms, r->fetch->progress_ms) + FETCH_AGAIN_MS;
}
