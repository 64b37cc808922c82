#include "cfs/core/state.h"
#include <string.h>

State *
state_new(void)
{
    State *state = g_new0(State, 1);

    state->tree = tree_new();
    state->records = records_new();
    return state;
}

State *
state_copy(const State *state)
{
    State *copy = g_new(State, 1);

    *copy = *state;
    copy->tree = tree_copy(state->tree);
    copy->records = records_copy(state->records);
    return copy;
}

void
state_free(State *state)
{
    if (state == NULL)
        return;
    tree_free(state->tree);
    records_free(state->records);
    g_free(state);
}

Digest
state_digest(const State *state)
{
    return digest_add(tree_figures(state->tree).digest, records_digest(state->records));
}

/* ------------------------------------------------------------------ deltas */

static void
change_clear(gpointer data)
{
    StateChange *change = data;

    tree_entry_unref(change->entry_before);
    tree_entry_unref(change->entry_after);
    g_free(change->key);
    g_clear_pointer(&change->record_before, g_bytes_unref);
    g_clear_pointer(&change->record_after, g_bytes_unref);
}

Delta *
delta_new(const State *before)
{
    Delta *delta = g_new0(Delta, 1);

    delta->changes = g_array_new(FALSE, TRUE, sizeof(StateChange));
    g_array_set_clear_func(delta->changes, change_clear);
    delta->figures_before = delta->figures_after = tree_figures(before->tree);
    return delta;
}

void
delta_free(Delta *delta)
{
    if (delta == NULL)
        return;
    g_array_unref(delta->changes);
    g_free(delta);
}

static void
set_entry(State *state, uint64_t inode, TreeEntry *entry)
{
    if (entry != NULL)
        tree_put(state->tree, entry);
    else
        tree_drop(state->tree, inode);
}

void
delta_undo(const Delta *delta, State *state)
{
    for (guint i = delta->changes->len; i-- > 0;) {
        StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key != NULL)
            records_set(state->records, change->key, change->record_before);
        else
            set_entry(state, change->inode, change->entry_before);
    }
    tree_set_figures(state->tree, delta->figures_before.version, delta->figures_before.writer,
                     delta->figures_before.mtime_s);
}

void
delta_redo(const Delta *delta, State *state)
{
    for (guint i = 0; i < delta->changes->len; i++) {
        StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key != NULL)
            records_set(state->records, change->key, change->record_after);
        else
            set_entry(state, change->inode, change->entry_after);
    }
    tree_set_figures(state->tree, delta->figures_after.version, delta->figures_after.writer,
                     delta->figures_after.mtime_s);
    state->sequence = delta->sequence;
    state->history = delta->history;
}

void
delta_undo_encode(const Delta *delta, GByteArray *bytes)
{
    q_put_var(bytes, delta->figures_before.version);
    q_put_var(bytes, delta->figures_before.writer);
    q_put_svar(bytes, delta->figures_before.mtime_s);
    for (guint i = delta->changes->len; i-- > 0;) {
        StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key != NULL) {
            q_put_u8(bytes, change->record_before != NULL ? 3 : 2);
            q_put_text(bytes, change->key);
            if (change->record_before != NULL)
                q_put_bytes(bytes, change->record_before);
        } else if (change->entry_before != NULL) {
            q_put_u8(bytes, 1);
            tree_entry_encode(change->entry_before, bytes);
        } else {
            q_put_u8(bytes, 0);
            q_put_var(bytes, change->inode);
        }
    }
}

static bool
undo_one(QReader *reader, State *state)
{
    uint8_t kind = q_get_u8(reader);

    if (kind == 0) {
        uint64_t inode = q_get_var(reader);
        if (!reader->failed && inode != TREE_ROOT)
            tree_drop(state->tree, inode);
    } else if (kind == 1) {
        TreeEntry *entry = tree_entry_decode(reader);
        if (entry != NULL)
            tree_put(state->tree, entry);
        tree_entry_unref(entry);
    } else if (kind <= 3) {
        g_autofree char *key = q_get_text(reader, RECORD_TEXT_MAX);
        g_autoptr(GBytes) value = kind == 3 ? q_get_bytes(reader, UPDATE_BYTES_MAX) : NULL;
        if (!reader->failed)
            records_set(state->records, key, value);
    } else {
        reader->failed = true;
    }
    return !reader->failed;
}

bool
delta_undo_decode_apply(GBytes *bytes, State *state)
{
    QReader reader;

    q_reader_init_bytes(&reader, bytes);
    uint64_t version = q_get_var(&reader);
    uint32_t writer = (uint32_t)q_get_var(&reader);
    int64_t mtime_s = q_get_svar(&reader);
    while (!reader.failed && reader.offset < reader.length) {
        if (!undo_one(&reader, state))
            return false;
    }
    tree_set_figures(state->tree, version, writer, mtime_s);
    return !reader.failed;
}

/* ------------------------------------------------------------------ edits */

void
edit_put(Edit *edit, TreeEntry *entry)
{
    TreeEntry *before = (TreeEntry *)tree_find(edit->state->tree, entry->inode);
    StateChange change = { .inode = entry->inode,
                           .entry_before = before == NULL ? NULL : tree_entry_ref(before),
                           .entry_after = entry };

    tree_put(edit->state->tree, entry);
    g_array_append_val(edit->delta->changes, change);
}

void
edit_drop(Edit *edit, uint64_t inode)
{
    TreeEntry *before = (TreeEntry *)tree_find(edit->state->tree, inode);

    if (before == NULL)
        return;
    StateChange change = { .inode = inode, .entry_before = tree_entry_ref(before) };
    tree_drop(edit->state->tree, inode);
    g_array_append_val(edit->delta->changes, change);
}

void
edit_record(Edit *edit, const char *key, GBytes *value)
{
    GBytes *before = records_get(edit->state->records, key);
    StateChange change = { .key = g_strdup(key),
                           .record_before = before == NULL ? NULL : g_bytes_ref(before),
                           .record_after = value };

    records_set(edit->state->records, key, value);
    g_array_append_val(edit->delta->changes, change);
}

uint64_t
edit_next_version(Edit *edit, uint32_t writer, int64_t mtime_s)
{
    uint64_t version = tree_figures(edit->state->tree).version + 1;

    tree_set_figures(edit->state->tree, version, writer, mtime_s);
    return version;
}

/* ------------------------------------------------------------------ accepting */

static UpdateCode
apply(Edit *edit, const UpdateEnvelope *envelope, const UpdatePlace *place, uint16_t *which)
{
    const Update *update = envelope->update;

    for (guint i = 0; i < update->conditions->len; i++) {
        *which = (uint16_t)i;
        if (!update_condition_holds(edit->state,
                                    &g_array_index(update->conditions, UpdateCondition, i)))
            return UPDATE_CONFLICT;
    }
    for (guint i = 0; i < update->changes->len; i++) {
        UpdateChange *change = &g_array_index(update->changes, UpdateChange, i);
        *which = (uint16_t)i;
        UpdateCode code = change->kind <= CHANGE_TREE_LAST
                              ? tree_change_apply(edit, change, envelope, place)
                              : record_change_apply(edit, change, envelope, place);
        if (code != UPDATE_DONE)
            return code;
    }
    *which = 0;
    return UPDATE_DONE;
}

/* S14: the state remembers what became of a sender's updates until it knows that they are answered.
 */
static void
remember_result(Edit *edit, const UpdateEnvelope *envelope, const UpdatePlace *place,
                const UpdateResult *result)
{
    char key[64];
    SenderRecord sender;

    record_sender(edit->state->records, place->id.node, &sender);
    if (sender.incarnation != place->id.incarnation) {
        sender = (SenderRecord){ .incarnation = place->id.incarnation };
        g_strlcpy(sender.boot, envelope->boot, sizeof sender.boot);
        record_key(key, sizeof key, "boot", envelope->node);
        edit_record(edit, key, g_bytes_new(envelope->boot, strlen(envelope->boot)));
    }
    /* Kept: those after `settled`; the oldest go if the sender claims more than it may. */
    size_t keep = MIN(sender.n_results, SENDER_RESULTS_MAX - 1);
    if (envelope->settled >= sender.last)
        keep = 0;
    else
        keep = MIN(keep, (size_t)(sender.last - envelope->settled));
    memmove(sender.results, sender.results + sender.n_results - keep, keep * sizeof(SenderResult));
    sender.results[keep] = (SenderResult){ .code = (uint8_t)result->code,
                                           .which = result->which,
                                           .sequence = result->sequence };
    sender.n_results = keep + 1;
    sender.last = place->id.number;
    record_key_number(key, sizeof key, "sender", place->id.node);
    edit_record(edit, key, sender_record_encode(&sender));
}

static void
chain_history(State *state, GBytes *body, const UpdatePlace *place, const UpdateResult *result)
{
    g_autoptr(GByteArray) link = g_byte_array_sized_new(96);
    gsize length;
    const void *data = g_bytes_get_data(body, &length);

    q_put_u32(link, place->id.node);
    q_put_u64(link, place->id.incarnation);
    q_put_u64(link, place->id.number);
    q_put_u8(link, (uint8_t)result->code);
    digest_put(link, digest_bytes(data, length));
    digest_put(link, state_digest(state));
    state->history = digest_chain(state->history, link->data, link->len);
}

Delta *
state_accept(State *state, GBytes *body, const UpdatePlace *place, UpdateResult *result)
{
    Delta *delta = delta_new(state);
    Edit edit = { state, delta };
    UpdateEnvelope envelope;

    *result = (UpdateResult){ .sequence = state->sequence + 1 };
    if (!envelope_decode(body, &envelope)) {
        result->code = UPDATE_BAD;
    } else {
        result->code = apply(&edit, &envelope, place, &result->which);
        if (result->code != UPDATE_DONE) {
            delta_undo(delta, state);
            g_array_set_size(delta->changes, 0);
        }
    }
    remember_result(&edit, &envelope, place, result);
    update_free(envelope.update);
    state->sequence++;
    chain_history(state, body, place, result);
    delta->figures_after = tree_figures(state->tree);
    delta->sequence = state->sequence;
    delta->history = state->history;
    return delta;
}

Delta *
state_begin_epoch(State *state, Epoch epoch)
{
    g_autoptr(GByteArray) link = g_byte_array_new();
    Delta *delta = delta_new(state);
    Edit edit = { state, delta };
    EpochsRecord epochs;

    record_epochs(state->records, &epochs);
    if (epochs.n == EPOCHS_MAX)
        memmove(epochs.begins, epochs.begins + 1, --epochs.n * sizeof(EpochBegin));
    epochs.begins[epochs.n++] = (EpochBegin){ .epoch = epoch, .base = state->sequence };
    edit_record(&edit, "epochs", epochs_record_encode(&epochs));

    epoch_put(link, epoch);
    digest_put(link, state_digest(state));
    state->history = digest_chain(state->history, link->data, link->len);
    delta->figures_after = tree_figures(state->tree);
    delta->sequence = state->sequence;
    delta->history = state->history;
    return delta;
}
