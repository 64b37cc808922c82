#include "cfs/core/replica.h"
#include <stdarg.h>
#include <string.h>
#include "cfs/core/replica_priv.h"

/* The one entry: inputs are handed to the part that they concern, effects gathered. */

enum { LOOP_ROUNDS_MAX = 64 };

/* ------------------------------------------------------------------ birth and end */

static void
free_lists(Replica *r)
{
    g_queue_clear_full(&r->pending, pending_free);
    order_log_clear(r);
    g_queue_clear_full(&r->undo_written, g_free);
    g_queue_clear_full(&r->waiting, request_free);
    g_queue_clear_full(&r->flight, request_free);
    g_queue_clear_full(&r->loop, (GDestroyNotify)g_bytes_unref);
    g_array_unref(r->dirty_entries);
    g_array_unref(r->undo_stale);
    g_hash_table_unref(r->dirty_records);
    g_ptr_array_unref(r->replies);
    g_ptr_array_unref(r->partials);
    g_ptr_array_unref(r->takes);
    g_ptr_array_unref(r->renewals);
    g_array_unref(r->heard);
    g_hash_table_unref(r->clocks);
    g_hash_table_unref(r->lock_ages);
    g_array_unref(r->wanted);
    g_array_unref(r->visible_paths);
    g_ptr_array_unref(r->visible_leases);
    g_array_unref(r->visible_vmids);
    g_string_chunk_free(r->texts);
}

void
replica_free(Replica *r)
{
    if (r == NULL)
        return;
    sync_end(r);
    plan_free(r->plan);
    free_lists(r);
    epoch_members_free(r);
    state_free(r->accepted);
    state_free(r->visible);
    config_unref(r->config);
    config_unref(r->override);
    g_free(r->node);
    g_free(r->boot);
    g_free(r->why);
    g_free(r);
}

static void
partial_free(gpointer data)
{
    g_byte_array_unref(((Partial *)data)->bytes);
    g_free(data);
}

static void
visible_path_clear(gpointer data)
{
    g_free(((VisiblePath *)data)->path);
}

static void
make_lists(Replica *r)
{
    r->texts = g_string_chunk_new(256);
    g_queue_init(&r->pending);
    g_queue_init(&r->log);
    g_queue_init(&r->undo_written);
    g_queue_init(&r->waiting);
    g_queue_init(&r->flight);
    g_queue_init(&r->loop);
    r->members = g_array_new(FALSE, TRUE, sizeof(Member));
    r->dirty_entries = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    r->undo_stale = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    r->dirty_records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    r->replies = g_ptr_array_new_with_free_func(reply_free);
    r->partials = g_ptr_array_new_with_free_func(partial_free);
    r->takes = g_ptr_array_new_with_free_func(take_free);
    r->renewals = g_ptr_array_new_with_free_func(renewal_free);
    r->heard = g_array_new(FALSE, FALSE, sizeof(HeardNote));
    r->clocks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    r->lock_ages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    r->wanted = g_array_new(FALSE, TRUE, sizeof(ConfigVoter));
    r->visible_paths = g_array_new(FALSE, FALSE, sizeof(VisiblePath));
    g_array_set_clear_func(r->visible_paths, visible_path_clear);
    r->visible_leases = g_ptr_array_new_with_free_func(g_free);
    r->visible_vmids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

Replica *
replica_new(const ReplicaSetup *setup, GError **error)
{
    g_autoptr(Replica) r = g_new0(Replica, 1);

    r->node_id = setup->node_id;
    r->node = g_strdup(setup->node);
    r->boot = g_strdup(setup->boot);
    r->incarnation = setup->incarnation;
    r->local_edit = setup->local_edit;
    r->quorum = QUORUM_NO;
    r->why = g_strdup("just started");
    q_random_seed(&r->random, setup->seed);
    make_lists(r);
    if (!disk_load(r, setup, error))
        return NULL;
    /* Without a configuration it was to join a cluster, and has not got its state yet. */
    r->alone = setup->local_edit
               || (!setup->join && r->config != NULL
                   && tree_lookup(r->accepted->tree, "corosync.conf") == NULL);
    return g_steal_pointer(&r);
}

bool
replica_alone(const Replica *r)
{
    return r->alone;
}

/* ------------------------------------------------------------------ effects */

GByteArray *
replica_message(Replica *r, MessageType type, bool of_plan)
{
    const Config *config = replica_config(r);

    return wire_begin(&(MessageHeader){
        .type = type,
        .node_id = r->node_id,
        .incarnation = r->incarnation,
        .cluster = config == NULL ? 0 : config->cluster,
        .plan = of_plan && r->plan != NULL ? r->plan->epoch : (Epoch){ 0 },
    });
}

void
replica_multicast(Replica *r, GByteArray *message)
{
    GBytes *bytes = wire_finish(message);

    if (r->alone) {
        g_queue_push_tail(&r->loop, bytes);
        return;
    }
    ReplicaEffect effect = { .kind = EFFECT_MULTICAST, .message = bytes };
    g_array_append_val(r->effects, effect);
}

void
replica_bulk(Replica *r, GByteArray *message)
{
    ReplicaEffect effect = { .kind = EFFECT_BULK, .message = wire_finish(message) };

    g_array_append_val(r->effects, effect);
}

void
replica_notice(Replica *r, NoticeKind kind, uint32_t node_id, uint64_t number, const char *format,
               ...)
{
    ReplicaEffect effect = { .kind = EFFECT_NOTICE };
    va_list args;

    if (r->effects == NULL)
        return;
    va_start(args, format);
    effect.notice.kind = kind;
    effect.notice.node_id = node_id;
    effect.notice.number = number;
    effect.notice.text = g_strdup_vprintf(format, args);
    va_end(args);
    g_array_append_val(r->effects, effect);
}

void
replica_answer(Replica *r, uint64_t client, uint64_t id, const UpdateResult *result)
{
    ReplicaEffect effect = { .kind = EFFECT_ANSWER,
                             .answer = { .client = client, .id = id, .result = *result } };

    g_array_append_val(r->effects, effect);
}

void
replica_answer_code(Replica *r, uint64_t client, uint64_t id, UpdateCode code)
{
    replica_answer(r, client, id, &(UpdateResult){ .code = code });
}

void
replica_leave(Replica *r)
{
    ReplicaEffect effect = { .kind = EFFECT_LEAVE };

    g_array_append_val(r->effects, effect);
    epoch_view(r, NULL, 0);
}

static void
effect_clear(gpointer data)
{
    ReplicaEffect *effect = data;

    switch (effect->kind) {
    case EFFECT_PERSIST:
        store_write_free(effect->persist.write);
        break;
    case EFFECT_MULTICAST:
    case EFFECT_BULK:
        g_bytes_unref(effect->message);
        break;
    case EFFECT_VISIBLE:
        g_array_unref(effect->visible.paths);
        g_ptr_array_unref(effect->visible.leases);
        g_array_unref(effect->visible.vmids);
        break;
    case EFFECT_NOTICE:
        g_free(effect->notice.text);
        break;
    default:
        break;
    }
}

GArray *
replica_effects_new(void)
{
    GArray *effects = g_array_new(FALSE, TRUE, sizeof(ReplicaEffect));

    g_array_set_clear_func(effects, effect_clear);
    return effects;
}

/* ------------------------------------------------------------------ what the parts ask */

Config *
replica_config(const Replica *r)
{
    return r->override != NULL ? r->override : r->config;
}

bool
replica_is_ready(const Replica *r)
{
    return r->plan != NULL && r->plan->open && r->plan->installed && r->plan->said_installed
           && epoch_equal(r->durable.installed, r->plan->epoch);
}

Member *
replica_member(const Replica *r, uint32_t node_id)
{
    for (guint i = 0; i < r->members->len; i++) {
        Member *member = &g_array_index(r->members, Member, i);
        if (member->node_id == node_id)
            return member;
    }
    return NULL;
}

size_t
replica_rank(const Replica *r)
{
    size_t rank = 0;

    for (guint i = 0; i < r->members->len; i++)
        rank += g_array_index(r->members, Member, i).node_id < r->node_id;
    return rank;
}

/* ------------------------------------------------------------------ messages */

/* S11: a place in the order for whatever a decision may rest on. */
static bool
has_place(const MessageHeader *header)
{
    return header->plan.number != 0 || header->type == MESSAGE_RENEW;
}

static void
dispatch(Replica *r, const MessageHeader *header, QReader *reader)
{
    switch (header->type) {
    case MESSAGE_STATE:
    case MESSAGE_PLAN:
    case MESSAGE_JOINED:
    case MESSAGE_INSTALLED:
    case MESSAGE_REFORM:
        epoch_message(r, header, reader);
        break;
    case MESSAGE_DATA:
        order_data(r, header, reader);
        break;
    case MESSAGE_ACK:
        order_ack(r, header, reader);
        break;
    case MESSAGE_UNLOCK:
        lock_message(r, header, reader);
        break;
    case MESSAGE_RENEW:
    case MESSAGE_HEARD:
    case MESSAGE_QUERY:
    case MESSAGE_VOTE:
        lease_message(r, header, reader);
        break;
    default:
        replica_notice(r, NOTICE_BAD_MESSAGE, header->node_id, header->type, "%s",
                       "of the wrong group");
    }
}

static bool
open_message(Replica *r, uint32_t node_id, const void *data, size_t length, MessageHeader *header,
             QReader *reader, uint64_t *seal)
{
    if (!wire_open(reader, data, length, header, seal) || header->node_id != node_id) {
        replica_notice(r, NOTICE_BAD_MESSAGE, node_id, length, "%s", "not one of ours, or damaged");
        return false;
    }
    const Member *member = replica_member(r, node_id);
    if (member == NULL)
        return false;
    if (header->plan.number != 0 && (r->plan == NULL || !epoch_equal(header->plan, r->plan->epoch)))
        return false; /* F5: handed over in another view, or in another plan of this one */
    return header->type == MESSAGE_STATE || !member->has_state
           || member->incarnation == header->incarnation;
}

static void
read_message(Replica *r, uint32_t node_id, const void *data, size_t length)
{
    MessageHeader header;
    QReader reader;
    uint64_t seal;

    if (!open_message(r, node_id, data, length, &header, &reader, &seal))
        return;
    if (r->plan != NULL && has_place(&header))
        order_position(r, &header, seal);
    dispatch(r, &header, &reader);
}

static void
read_bulk(Replica *r, uint32_t node_id, const void *data, size_t length)
{
    MessageHeader header;
    QReader reader;
    uint64_t seal;

    if (r->plan != NULL && open_message(r, node_id, data, length, &header, &reader, &seal)
        && (header.type == MESSAGE_FETCH || header.type == MESSAGE_CHUNK))
        sync_message(r, &header, &reader);
}

/* Alone there is nobody else: messages come back at once, in their order. */
static bool
drain_loop(Replica *r)
{
    bool any = false;
    GBytes *bytes;

    while ((bytes = g_queue_pop_head(&r->loop)) != NULL) {
        gsize length;
        const void *data = g_bytes_get_data(bytes, &length);
        read_message(r, r->node_id, data, length);
        g_bytes_unref(bytes);
        any = true;
    }
    return any;
}

/* ------------------------------------------------------------------ a step */

/* A cluster was made of this node: from now on its order is Corosync's. There is no way back while
 * the process lives: were corosync.conf to vanish, every node would think itself alone. */
static void
leave_solitude(Replica *r)
{
    if (!r->alone || r->override != NULL || tree_lookup(r->visible->tree, "corosync.conf") == NULL)
        return;
    r->alone = false;
    g_queue_clear_full(&r->loop, (GDestroyNotify)g_bytes_unref);
    g_queue_init(&r->loop);
    epoch_view(r, NULL, 0);
}

static void
show(Replica *r)
{
    if (!r->visible_moved)
        return;
    ReplicaEffect effect = { .kind = EFFECT_VISIBLE };
    effect.visible.sequence = r->visible->sequence;
    effect.visible.all = r->visible_all;
    effect.visible.paths = r->visible_paths;
    effect.visible.leases = r->visible_leases;
    effect.visible.vmids = r->visible_vmids;
    r->visible_paths = g_array_new(FALSE, FALSE, sizeof(VisiblePath));
    g_array_set_clear_func(r->visible_paths, visible_path_clear);
    r->visible_leases = g_ptr_array_new_with_free_func(g_free);
    r->visible_vmids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    r->visible_all = r->visible_moved = false;
    g_array_append_val(r->effects, effect);
    /* Who was told that a write is done must find it: visible first, then the answer. */
    sender_settle(r);
    leave_solitude(r);
}

static void
start(Replica *r)
{
    r->started = true;
    lease_learn_all(r, true);
    lock_seen_all(r);
    if (r->alone)
        epoch_view(r, &r->node_id, 1);
    else
        epoch_view(r, NULL, 0);
}

static void
request(Replica *r, const ReplicaInput *input)
{
    if (lock_request(r, input->request.client, input->request.id, input->request.update))
        update_free(input->request.update);
    else
        sender_request(r, input->request.client, input->request.id, input->request.update);
}

static void
idle(Replica *r)
{
    for (int round = 0; round < LOOP_ROUNDS_MAX; round++) {
        lease_idle(r);
        voters_idle(r);
        sender_idle(r);
        disk_idle(r);
        order_idle(r);
        if (!drain_loop(r))
            break;
        show(r);
    }
}

static void
take_input(Replica *r, const ReplicaInput *input)
{
    switch (input->kind) {
    case REPLICA_START:
        start(r);
        break;
    case REPLICA_VIEW:
        if (!r->alone)
            epoch_view(r, input->view.members, input->view.n_members);
        break;
    case REPLICA_MESSAGE:
        read_message(r, input->message.node_id, input->message.data, input->message.length);
        break;
    case REPLICA_BULK:
        read_bulk(r, input->message.node_id, input->message.data, input->message.length);
        break;
    case REPLICA_FLAG:
        r->flag = input->flag;
        epoch_quorum(r);
        break;
    case REPLICA_REQUEST:
        request(r, input);
        break;
    case REPLICA_LEASE:
        lease_request(r, input->request.client, input->request.id, input->request.op);
        break;
    case REPLICA_CANCEL:
        if (!lease_cancel(r, input->request.client, input->request.id))
            sender_cancel(r, input->request.client, input->request.id);
        break;
    case REPLICA_PERSISTED:
        disk_persisted(r, input->persisted.token, input->persisted.failed);
        break;
    case REPLICA_TICK:
        epoch_tick(r);
        sync_tick(r);
        break;
    case REPLICA_IDLE:
        idle(r);
        break;
    }
}

void
replica_step(Replica *r, const ReplicaInput *input, GArray *effects)
{
    g_string_chunk_clear(r->texts);
    r->effects = effects;
    r->now = input->now;
    take_input(r, input);
    drain_loop(r);
    show(r);
    r->effects = NULL;
}

int64_t
replica_wake_ms(const Replica *r)
{
    int64_t wake = MIN(epoch_wake(r), sync_wake(r));

    wake = MIN(wake, MIN(lease_wake(r), sender_wake(r)));
    return MIN(wake, MIN(order_wake(r), disk_wake(r)));
}
