#include <string.h>
#include "cfs/core/replica_priv.h"

/*
 * The folders below priv/lock (cfs.md 6): advice, not promises (S25). How old a lock is, each node
 * knows by its own clock; the lowest id of the view judges when somebody asks, and removes it by
 * an ordinary update, on condition that it is still the same one.
 */

static LockAge *
age_of(Replica *r, const char *name, uint64_t version)
{
    LockAge *age = g_hash_table_lookup(r->lock_ages, name);

    if (age == NULL) {
        age = g_new0(LockAge, 1);
        g_hash_table_insert(r->lock_ages, g_strdup(name), age);
    }
    if (age->version != version)
        *age = (LockAge){ .version = version, .since = r->now };
    return age;
}

static const TreeEntry *
find_lock(const State *state, const char *name)
{
    g_autofree char *path = g_strconcat("priv/lock/", name, NULL);
    const TreeEntry *entry = tree_lookup(state->tree, path);

    return entry != NULL && entry->type == TREE_DIR ? entry : NULL;
}

/* The lock that an update asks to break, or NULL: utime 0 of it, and nothing else. */
static const char *
asked_lock(const Update *update)
{
    if (update->changes->len != 1 || update->conditions->len != 0)
        return NULL;
    const UpdateChange *change = &g_array_index(update->changes, UpdateChange, 0);
    if (change->kind != CHANGE_MTIME || change->number != 0)
        return NULL;
    return tree_lock_name(change->text[0]);
}

bool
lock_request(Replica *r, uint64_t client, uint64_t id, const Update *update)
{
    const char *name = asked_lock(update);

    if (name == NULL || r->quorum == QUORUM_NO)
        return false;
    const TreeEntry *entry = find_lock(r->visible, name);
    if (entry == NULL)
        return false; /* the update itself will say that there is none */
    LockAge *age = age_of(r, name, entry->version);
    if (age->asked_ms == 0 || r->now.mono_ms - age->asked_ms >= UNLOCK_ASK_MS) {
        GByteArray *message = replica_message(r, MESSAGE_UNLOCK, true);
        q_put_text(message, name);
        q_put_var(message, entry->version);
        age->asked_ms = r->now.mono_ms;
        replica_multicast(r, message);
    }
    replica_answer_code(r, client, id, UPDATE_DENIED);
    return true;
}

void
lock_message(Replica *r, const MessageHeader *header, QReader *reader)
{
    g_autofree char *name = q_get_text(reader, TREE_NAME_MAX);
    uint64_t version = q_get_var(reader);

    if (!q_reader_done(reader) || !replica_is_ready(r) || replica_rank(r) != 0)
        return;
    const TreeEntry *entry = find_lock(r->visible, name);
    if (entry == NULL || entry->version != version)
        return;
    LockAge *age = age_of(r, name, version);
    if (clocks_elapsed_voter(&age->since, &r->now) < UNLOCK_AGE_MS
        || (age->unlock_ms != 0 && r->now.mono_ms - age->unlock_ms < UNLOCK_ASK_MS))
        return;
    Update *update = update_new();
    UpdateChange *change = update_add_change(update, CHANGE_UNLOCK);
    change->text[0] = g_strconcat("priv/lock/", name, NULL);
    change->number = (int64_t)version;
    age->unlock_ms = r->now.mono_ms;
    sender_internal(r, update);
    replica_notice(r, NOTICE_LOCK_EXPIRED, header->node_id, 0, "%s", change->text[0]);
}

void
lock_seen(Replica *r, const Delta *delta)
{
    for (guint i = 0; i < delta->changes->len; i++) {
        const StateChange *change = &g_array_index(delta->changes, StateChange, i);
        const TreeEntry *entry = change->entry_after;
        if (change->key != NULL || entry == NULL || entry->type != TREE_DIR)
            continue;
        g_autofree char *path = tree_path(r->accepted->tree, entry);
        const char *name = tree_lock_name(path);
        if (name != NULL)
            age_of(r, name, entry->version);
    }
}

/* Another state was installed: what is there was first seen now. */
void
lock_seen_all(Replica *r)
{
    const TreeEntry *folder = tree_lookup(r->accepted->tree, "priv/lock");

    g_hash_table_remove_all(r->lock_ages);
    g_autoptr(GPtrArray) locks = folder != NULL && folder->type == TREE_DIR
                                     ? tree_list(r->accepted->tree, folder->inode)
                                     : NULL;
    for (guint i = 0; locks != NULL && i < locks->len; i++) {
        const TreeEntry *entry = locks->pdata[i];
        if (entry->type == TREE_DIR)
            age_of(r, entry->name, entry->version);
    }
}
