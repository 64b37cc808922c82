#include <string.h>
#include "cfs/core/replica_priv.h"

/* The order within an epoch (S11-S13, S15): position, confirm, accept, durable, commit. */

/* ------------------------------------------------------------------ memory */

static void
part_clear(gpointer data)
{
    ItemPart *part = data;

    g_clear_pointer(&part->bytes, g_bytes_unref);
    g_clear_pointer(&part->yes, g_array_unref);
}

void
order_item_free(gpointer data)
{
    Item *item = data;

    g_array_unref(item->parts);
    g_free(item);
}

void
pending_free(gpointer data)
{
    Pending *pending = data;

    delta_free(pending->delta);
    config_unref(pending->config);
    g_free(pending);
}

static void
log_item_free(LogItem *item)
{
    g_clear_pointer(&item->body, g_bytes_unref);
    g_free(item);
}

void
order_log(Replica *r, LogItem item)
{
    item.history = r->accepted->history;
    g_queue_push_tail(&r->log, g_memdup2(&item, sizeof item));
    r->log_bytes += item.body == NULL ? 0 : g_bytes_get_size(item.body);
    while (r->log.length > LOG_ITEMS_MAX || r->log_bytes > LOG_BYTES_MAX) {
        LogItem *old = g_queue_pop_head(&r->log);
        if (old->is_mark)
            r->log_floor_epoch = old->epoch.number;
        else
            r->log_floor_sequence = old->sequence;
        r->log_bytes -= old->body == NULL ? 0 : g_bytes_get_size(old->body);
        log_item_free(old);
    }
}

void
order_log_clear(Replica *r)
{
    LogItem *item;

    while ((item = g_queue_pop_head(&r->log)) != NULL)
        log_item_free(item);
    r->log_bytes = 0;
}

/* ------------------------------------------------------------------ positions */

/* S11: every message that a decision may rest on has a place; the digest covers all before it. */
void
order_position(Replica *r, const MessageHeader *header, uint64_t seal)
{
    uint64_t link[2] = { GUINT64_TO_LE(seal), GUINT64_TO_LE((uint64_t)header->node_id) };

    r->plan->position++;
    r->plan->chain = digest_chain(r->plan->chain, link, sizeof link);
}

static void
read_parts(Replica *r, const MessageHeader *header, QReader *reader, Item *item)
{
    while (!reader->failed && reader->offset < reader->length) {
        ItemPart part = { .number = q_get_var(reader) };
        uint64_t query = q_get_var(reader);
        part.offset = (uint32_t)q_get_var_max(reader, UINT32_MAX);
        part.total = (uint32_t)q_get_var_max(reader, UINT32_MAX);
        part.bytes = q_get_bytes(reader, WIRE_PAYLOAD_MAX);
        if (query != 0 && !reader->failed) {
            /* S21: here, at its position, is where a take is valid or not. */
            part.yes = lease_take_votes(r, header->node_id, query);
            lease_take_delivered(r, header->node_id, query);
        }
        r->plan->held_bytes += g_bytes_get_size(part.bytes);
        g_array_append_val(item->parts, part);
    }
    if (reader->failed) /* sealed and yet malformed: our mistake; the same on every node */
        g_array_set_size(item->parts, 0);
}

void
order_data(Replica *r, const MessageHeader *header, QReader *reader)
{
    Item *item = g_new0(Item, 1);

    if (header->node_id == r->node_id)
        r->plan->data_sent_ms = 0;
    item->position = r->plan->position;
    item->chain = r->plan->chain;
    item->node_id = header->node_id;
    item->incarnation = header->incarnation;
    item->since_ms = r->now.mono_ms;
    item->parts = g_array_new(FALSE, FALSE, sizeof(ItemPart));
    g_array_set_clear_func(item->parts, part_clear);
    read_parts(r, header, reader, item);
    g_queue_push_tail(&r->plan->items, item);
    if (r->plan->held_bytes > STREAM_MAX && !r->plan->installed)
        replica_leave(r); /* too far behind: begin again, with a newer state */
}

/* ------------------------------------------------------------------ accepting */

static Partial *
partial_of(Replica *r, uint32_t node_id)
{
    for (guint i = 0; i < r->partials->len; i++) {
        Partial *partial = r->partials->pdata[i];
        if (partial->node_id == node_id)
            return partial;
    }
    Partial *partial = g_new0(Partial, 1);
    partial->node_id = node_id;
    partial->bytes = g_byte_array_new();
    g_ptr_array_add(r->partials, partial);
    return partial;
}

void
order_reload_config(Replica *r)
{
    g_autoptr(Config) before = r->config;

    r->config = config_of(r->accepted->records);
    if (r->config != NULL
        && (before == NULL || before->number != r->config->number
            || before->n_old != r->config->n_old)) {
        g_autofree char *text = config_text(r->config);
        replica_notice(r, NOTICE_CONFIG, 0, r->config->number, "%s", text);
        epoch_quorum(r);
    }
}

/* What the change of state means beyond the state: clocks of leases, voters, ages of locks. */
static void
note_changes(Replica *r, const Delta *delta)
{
    bool config = false;

    for (guint i = 0; i < delta->changes->len; i++) {
        const StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key == NULL)
            continue;
        if (g_str_has_prefix(change->key, "lease/"))
            lease_learned(r, change->key + strlen("lease/"));
        config = config || strcmp(change->key, "config") == 0;
    }
    lock_seen(r, delta);
    if (config)
        order_reload_config(r);
}

/* A winner keeps the state as of the begin for members that still fetch it (S9). */
static void
keep_snapshot(Replica *r)
{
    Plan *plan = r->plan;
    bool needed = false;

    if (plan->winner != r->node_id || plan->snapshot != NULL || r->accepted->sequence != plan->base)
        return;
    for (guint i = 0; i < r->members->len; i++) {
        const Member *member = &g_array_index(r->members, Member, i);
        needed = needed || (member->in_plan && !member->is_installed);
    }
    if (needed)
        plan->snapshot = state_copy(r->accepted);
}

static void
accept_update(Replica *r, const UpdateId *id, GBytes *body, bool take_valid)
{
    UpdatePlace place = { *id, r->plan->epoch.number, take_valid };
    UpdateResult result;

    keep_snapshot(r);
    Pending *pending = g_new0(Pending, 1);
    pending->delta = state_accept(r->accepted, body, &place, &result);
    note_changes(r, pending->delta);
    pending->config = r->config == NULL ? NULL : config_ref(r->config);
    g_queue_push_tail(&r->pending, pending);
    disk_dirty_delta(r, pending->delta);
    LogItem item = { .place = place, .body = g_bytes_ref(body), .sequence = r->accepted->sequence };
    order_log(r, item);
}

static uint64_t
last_accepted(const Replica *r, uint32_t node_id, uint64_t incarnation)
{
    SenderRecord sender;

    record_sender(r->accepted->records, node_id, &sender);
    return sender.incarnation == incarnation ? sender.last : 0;
}

/* S14, S15: a sender's updates in the order of their numbers, each once, each whole. */
static void
accept_part(Replica *r, const Item *item, const ItemPart *part)
{
    uint64_t last = last_accepted(r, item->node_id, item->incarnation);

    if (part->number <= last)
        return;
    Partial *partial = partial_of(r, item->node_id);
    if (partial->number != part->number || partial->incarnation != item->incarnation) {
        partial->number = part->number;
        partial->incarnation = item->incarnation;
        g_byte_array_set_size(partial->bytes, 0);
    }
    if (part->number != last + 1 || part->offset != partial->bytes->len
        || part->total > UPDATE_BYTES_MAX
        || part->offset + g_bytes_get_size(part->bytes) > part->total) {
        g_byte_array_set_size(partial->bytes, 0); /* a gap: the sender sends it all again */
        partial->number = 0;
        if (item->node_id == r->node_id && item->incarnation == r->incarnation)
            r->resend = true;
        return;
    }
    gsize length;
    const void *data = g_bytes_get_data(part->bytes, &length);
    g_byte_array_append(partial->bytes, data, (guint)length);
    if (partial->bytes->len < part->total)
        return;
    UpdateId id = { item->node_id, item->incarnation, part->number };
    g_autoptr(GBytes) body = g_bytes_new(partial->bytes->data, partial->bytes->len);
    g_byte_array_set_size(partial->bytes, 0);
    partial->number = 0;
    accept_update(r, &id, body, lease_votes_suffice(replica_config(r), part->yes));
}

static bool
has_confirmed(const Member *member, uint64_t position)
{
    return member->in_plan && member->is_installed && member->confirm >= position;
}

/* S11: accepts what a majority has confirmed with our digest, under the voters of that place. */
void
order_accept(Replica *r)
{
    Plan *plan = r->plan;

    while (plan != NULL && plan->open && plan->installed && !g_queue_is_empty(&plan->items)) {
        Item *item = plan->items.head->data;
        if (!epoch_majority(r, replica_config(r), has_confirmed, item->position))
            return;
        g_queue_pop_head(&plan->items);
        plan->confirmed = item->position;
        epoch_progress(r);
        for (guint i = 0; i < item->parts->len; i++) {
            ItemPart *part = &g_array_index(item->parts, ItemPart, i);
            plan->held_bytes -= g_bytes_get_size(part->bytes);
            accept_part(r, item, part);
        }
        order_item_free(item);
        plan = r->plan; /* a message too strange may have ended it */
    }
}

/* ------------------------------------------------------------------ committing */

static void
see_entry(Replica *r, const Tree *tree, const TreeEntry *entry, uint64_t version)
{
    VisiblePath path = { tree_path(tree, entry), version };

    g_array_append_val(r->visible_paths, path);
}

/* What watchers are told: paths as they were before, then as they are now. */
static void
see_before(Replica *r, const Delta *delta)
{
    for (guint i = 0; i < delta->changes->len; i++) {
        const StateChange *change = &g_array_index(delta->changes, StateChange, i);
        const TreeEntry *before = change->entry_before, *after = change->entry_after;
        if (before != NULL
            && (after == NULL || after->parent != before->parent
                || strcmp(after->name, before->name) != 0))
            see_entry(r, r->visible->tree, before, 0);
    }
}

static void
see_after(Replica *r, const Delta *delta)
{
    for (guint i = 0; i < delta->changes->len; i++) {
        const StateChange *change = &g_array_index(delta->changes, StateChange, i);
        if (change->key == NULL) {
            if (change->entry_after != NULL)
                see_entry(r, r->visible->tree, change->entry_after, change->entry_after->version);
        } else if (g_str_has_prefix(change->key, "lease/")) {
            g_ptr_array_add(r->visible_leases, g_strdup(change->key + strlen("lease/")));
        } else if (g_str_has_prefix(change->key, "run/") || g_str_has_prefix(change->key, "mig/")
                   || g_str_has_prefix(change->key, "dead/")) {
            uint32_t vmid = (uint32_t)g_ascii_strtoull(strchr(change->key, '/') + 1, NULL, 10);
            g_array_append_val(r->visible_vmids, vmid);
        }
    }
    r->visible_moved = true;
}

static void
make_visible(Replica *r, Pending *pending)
{
    see_before(r, pending->delta);
    delta_redo(pending->delta, r->visible);
    see_after(r, pending->delta);
}

void
order_adopt(Replica *r)
{
    state_free(r->visible);
    r->visible = state_copy(r->accepted);
    r->visible_known = true;
    r->visible_all = r->visible_moved = true;
    r->adopt = false;
}

/* A member's DURABLE counts where its history is ours (S12). */
static void
check_durable(Replica *r, Member *member)
{
    if (member->durable_checked || member->durable > r->accepted->sequence)
        return;
    member->durable_checked = true;
    for (GList *at = r->pending.head; at != NULL; at = at->next) {
        const Pending *pending = at->data;
        if (pending->is_mark || pending->delta->sequence != member->durable)
            continue;
        if (digest_equal(pending->delta->history, member->durable_history))
            return;
        replica_notice(r, NOTICE_DIVERGED, member->node_id, member->durable, "%s",
                       "its disk has another history");
        member->durable = 0;
        return;
    }
}

static bool
has_durable(const Member *member, uint64_t sequence)
{
    return member->in_plan && member->is_installed && member->durable_checked
           && member->durable >= sequence;
}

void
order_commit(Replica *r)
{
    Plan *plan = r->plan;

    if (plan == NULL || !plan->open || !plan->installed)
        return;
    if (r->adopt) {
        /* All that is accepted now was inherited: the opening commits it. */
        g_queue_clear_full(&r->pending, pending_free);
        g_queue_init(&r->pending);
        order_adopt(r);
    }
    for (guint i = 0; i < r->members->len; i++)
        check_durable(r, &g_array_index(r->members, Member, i));
    while (!g_queue_is_empty(&r->pending)) {
        Pending *pending = r->pending.head->data;
        const Config *config = r->override != NULL ? r->override : pending->config;
        if (!pending->is_mark && pending->delta->sequence > plan->base
            && !epoch_majority(r, config, has_durable, pending->delta->sequence))
            break;
        g_queue_pop_head(&r->pending);
        make_visible(r, pending);
        pending_free(pending);
    }
}

/* The epoch is open, and we have its state: what was inherited is committed, updates flow. */
void
order_opened(Replica *r)
{
    order_commit(r);
    order_accept(r);
    order_commit(r);
    r->resend = true;
    epoch_quorum(r);
}

/* ------------------------------------------------------------------ ACK */

static bool
differs(const Member *member, uint64_t at)
{
    return member->in_plan && member->is_installed && member->mismatch;
}

static void
take_confirm(Replica *r, Member *member, uint64_t position, Digest chain)
{
    Plan *plan = r->plan;

    if (position <= plan->confirmed)
        return;
    for (GList *at = plan->items.tail; at != NULL; at = at->prev) {
        const Item *item = at->data;
        if (item->position > position)
            continue;
        member->mismatch = item->position != position || !digest_equal(item->chain, chain);
        if (!member->mismatch)
            member->confirm = MAX(member->confirm, position);
        return;
    }
    member->mismatch = true; /* a position that nothing of ours has */
}

void
order_ack(Replica *r, const MessageHeader *header, QReader *reader)
{
    Member *member = replica_member(r, header->node_id);
    uint64_t position = q_get_var(reader);
    Digest chain = digest_get(reader);
    uint64_t sequence = q_get_var(reader);
    Digest history = digest_get(reader);

    if (header->node_id == r->node_id)
        r->plan->ack_sent_ms = r->plan->ack_due_ms = 0;
    if (!member->in_plan || !member->is_installed || !q_reader_done(reader))
        return;
    if (position > 0)
        take_confirm(r, member, position, chain);
    if (sequence > member->durable) {
        member->durable = sequence;
        member->durable_history = history;
        member->durable_checked = false;
    }
    order_accept(r);
    order_commit(r);
    if (r->plan != NULL && member->mismatch
        && epoch_majority(r, replica_config(r) != NULL ? replica_config(r) : r->plan->config,
                          differs, 0)) {
        replica_notice(r, NOTICE_DIVERGED, 0, r->plan->position, "%s",
                       "the majority saw another order");
        replica_leave(r);
    }
}

/* ------------------------------------------------------------------ who says so at once */

static bool
voter_is_in(const ConfigVoter *voter, gconstpointer data)
{
    const GArray *databases = data;

    for (guint i = 0; i < databases->len; i++) {
        if (g_array_index(databases, uint64_t, i) == voter->database)
            return true;
    }
    return false;
}

static bool
speaks(const Replica *r, const Member *member)
{
    return member->in_plan && member->is_installed && member_counts(r, replica_config(r), member);
}

/*
 * A majority is enough, and every message costs all nodes a turn of the ring: the lowest ids of a
 * majority speak at once, @last_id (the sender of an update, 0: nobody) after the others; the rest
 * keep what they have to say for their next message, or for ACK_DELAY_MS.
 */
static bool
is_among_first(const Replica *r, uint32_t last_id)
{
    g_autoptr(GArray) databases = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    for (int round = 0; round < 2; round++) {
        for (guint i = 0; i < r->members->len; i++) {
            const Member *member = &g_array_index(r->members, Member, i);
            if (!speaks(r, member) || (member->node_id == last_id) != (round == 1))
                continue;
            if (config_majority(replica_config(r), voter_is_in, databases))
                return false;
            if (member->node_id == r->node_id)
                return true;
            g_array_append_val(databases, member->database);
        }
    }
    return true;
}

static const Item *
unconfirmed(const Plan *plan)
{
    const Item *last = plan->items.tail != NULL ? plan->items.tail->data : NULL;

    return last != NULL && last->position > plan->confirm_said ? last : NULL;
}

static bool
may_ack(const Replica *r)
{
    return replica_is_ready(r) && epoch_self_is_voter(r, replica_config(r));
}

static void
send_ack(Replica *r, const Item *item, bool durable)
{
    GByteArray *message = replica_message(r, MESSAGE_ACK, true);
    Plan *plan = r->plan;

    q_put_var(message, item != NULL ? item->position : 0);
    digest_put(message, item != NULL ? item->chain : (Digest){ 0 });
    q_put_var(message, durable ? r->durable.sequence : 0);
    digest_put(message, durable ? r->durable.history : (Digest){ 0 });
    if (item != NULL)
        plan->confirm_said = item->position;
    if (durable)
        plan->durable_said = r->durable.sequence;
    plan->ack_due_ms = 0;
    plan->ack_sent_ms = r->now.mono_ms;
    replica_multicast(r, message);
}

/* While our last one is still on its way, what comes meanwhile waits for the next: under load the
 * ring itself sets the pace, and each message says more. */
bool
order_under_way(const Replica *r, int64_t sent_ms)
{
    return sent_ms != 0 && r->now.mono_ms - sent_ms < UNDER_WAY_MS;
}

/* Once nothing else waits: one message for all that is new. */
void
order_idle(Replica *r)
{
    Plan *plan = r->plan;

    if (!may_ack(r))
        return;
    const Item *item = unconfirmed(plan);
    bool durable = r->durable.sequence > MAX(plan->durable_said, plan->base);
    if (item == NULL && !durable) {
        plan->ack_due_ms = 0;
        return;
    }
    bool now =
        (item != NULL && is_among_first(r, item->node_id)) || (durable && is_among_first(r, 0));
    if (plan->ack_due_ms == 0)
        plan->ack_due_ms = r->now.mono_ms + ACK_DELAY_MS;
    if (now || r->now.mono_ms >= plan->ack_due_ms)
        send_ack(r, item, durable);
}

int64_t
order_wake(const Replica *r)
{
    return r->plan != NULL && r->plan->ack_due_ms != 0 ? r->plan->ack_due_ms : INT64_MAX;
}

/* Our own disk needs no message to be counted here (S12). */
void
order_own_durable(Replica *r)
{
    Member *self = replica_member(r, r->node_id);

    if (!may_ack(r) || self == NULL || r->durable.sequence <= self->durable)
        return;
    self->durable = r->durable.sequence;
    self->durable_history = r->durable.history;
    self->durable_checked = false;
    order_commit(r);
}
