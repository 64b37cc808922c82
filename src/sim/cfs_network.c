#include "sim/cfs_world_priv.h"

/*
 * Corosync as it was measured. A ring orders messages; each member delivers them in that order,
 * as far as it has received them. When the ring changes, those that stay together give each other
 * what any of them received; what none of them has is a hole, behind which only messages of those
 * that stay are delivered, still in the old view (F2).
 */

typedef enum { MSG_MAIN, MSG_BULK, MSG_JOIN, MSG_LEAVE } MsgKind;

typedef struct {
    MsgKind kind;
    uint32_t sender;
    GBytes *bytes;
    SimMask received;
    SimMask group; /* members of the group after it, in this ring's order */
} Msg;

typedef struct {
    MsgKind kind;
    GBytes *bytes;
} Outgoing;

/* Silent death to a new membership: 2.2 T + 0.05 s (F6), T = 1 s; joins and merges are faster. */
enum {
    LOSS_MIN_US = 300 * SIM_MS,
    LOSS_MAX_US = 2250 * SIM_MS,
    MERGE_MIN_US = 20 * SIM_MS,
    MERGE_MAX_US = 500 * SIM_MS,
    FLAG_MIN_US = 3 * SIM_MS,
    FLAG_MAX_US = 40 * SIM_MS,
};

static void
msg_free(gpointer data)
{
    Msg *msg = data;

    g_clear_pointer(&msg->bytes, g_bytes_unref);
    g_free(msg);
}

static void
outgoing_free(gpointer data)
{
    Outgoing *out = data;

    g_clear_pointer(&out->bytes, g_bytes_unref);
    g_free(out);
}

static SimRing *
ring_new(SimMask members)
{
    SimRing *ring = g_new0(SimRing, 1);

    ring->members = members;
    ring->log = g_ptr_array_new_with_free_func(msg_free);
    ring->references = 1;
    return ring;
}

static SimRing *
ring_ref(SimRing *ring)
{
    ring->references++;
    return ring;
}

static void
ring_unref(SimRing *ring)
{
    if (ring != NULL && --ring->references == 0) {
        g_ptr_array_unref(ring->log);
        g_free(ring);
    }
}

/* ------------------------------------------------------------------ to a process */

typedef struct {
    ReplicaInput input;
    GBytes *bytes;
    uint32_t *members;
} Kept;

static void
inbox_item_free(Kept *kept)
{
    g_clear_pointer(&kept->bytes, g_bytes_unref);
    g_free(kept->members);
    g_free(kept);
}

/* A stopped client's queue grows without limit (F5). PERSISTED answers stand in it as bare inputs.
 */
static void
hand_over(SimNode *node, const ReplicaInput *input, GBytes *bytes)
{
    if (node->replica == NULL) {
        return;
    }
    if (!node->stopped) {
        ReplicaInput now = *input;
        sim_step(node, &now);
        return;
    }
    Kept *kept = g_new0(Kept, 1);
    kept->input = *input;
    if (bytes != NULL) {
        kept->bytes = g_bytes_ref(bytes);
        kept->input.message.data = g_bytes_get_data(kept->bytes, NULL);
    }
    if (input->kind == REPLICA_VIEW) {
        kept->members = g_memdup2(input->view.members, input->view.n_members * sizeof(uint32_t));
        kept->input.view.members = kept->members;
    }
    g_queue_push_tail(&node->inbox, kept);
}

void
sim_inbox_drain(SimNode *node)
{
    uint64_t process = node->process;

    while (!g_queue_is_empty(&node->inbox) && node->process == process && sim_serves(node)) {
        ReplicaInput *input = g_queue_pop_head(&node->inbox);

        if (input->kind == REPLICA_PERSISTED) {
            sim_step(node, input);
            g_free(input);
        } else {
            Kept *kept = (Kept *)input;
            sim_step(node, &kept->input);
            inbox_item_free(kept);
        }
    }
}

void
sim_inbox_clear(SimNode *node)
{
    ReplicaInput *input;

    while ((input = g_queue_pop_head(&node->inbox)) != NULL) {
        if (input->kind == REPLICA_PERSISTED) {
            g_free(input);
        } else {
            inbox_item_free((Kept *)input);
        }
    }
}

static void
tell_view(SimNode *node)
{
    uint32_t members[SIM_NODES_MAX];
    size_t n = 0;

    for (uint32_t other = 0; other < node->world->n_nodes; other++) {
        if (node->group & 1u << other) {
            members[n++] = other + 1;
        }
    }
    sim_trace(node->world, "%s view %x", node->name, node->group);
    hand_over(node, &(ReplicaInput){ .kind = REPLICA_VIEW, .view = { members, n } }, NULL);
}

static void
deliver(SimNode *node, const Msg *msg)
{
    SimMask bit = 1u << msg->sender;

    if (msg->kind == MSG_JOIN || msg->kind == MSG_LEAVE) {
        bool mine = msg->sender == node->number;
        SimMask next = msg->kind == MSG_LEAVE ? node->group & ~bit
                       : mine                 ? msg->group
                                              : node->group | bit;

        if (mine && msg->kind == MSG_LEAVE) {
            node->group = 0;
        } else if (next != node->group || mine) {
            node->group = next;
            if (node->group & 1u << node->number) {
                tell_view(node);
            }
        }
        return;
    }
    if (!(node->group & 1u << node->number) || !(node->group & bit)) {
        return;
    }
    gsize length;
    const void *data = g_bytes_get_data(msg->bytes, &length);
    hand_over(node,
              &(ReplicaInput){ .kind = msg->kind == MSG_MAIN ? REPLICA_MESSAGE : REPLICA_BULK,
                               .message = { msg->sender + 1, data, length } },
              msg->bytes);
}

static void
deliver_ready(SimNode *node)
{
    SimRing *ring = node->ring;

    while (node->ring == ring && ring != NULL && !node->frozen
           && node->delivered < ring->log->len) {
        Msg *msg = ring->log->pdata[node->delivered];
        if (!(msg->received & 1u << node->number)) {
            break;
        }
        node->delivered++;
        deliver(node, msg);
    }
}

/* ------------------------------------------------------------------ sending */

typedef struct {
    SimRing *ring;
    Msg *msg;
} Frame;

void
sim_on_frame(SimWorld *world, gpointer data, uint64_t to)
{
    Frame *frame = data;
    SimNode *node = &world->nodes[to];
    bool same = node->ring == frame->ring && node->corosync;
    bool heard = !node->frozen && (world->reach[frame->msg->sender] & 1u << to);

    if (same && !heard && !world->ending) {
        /* Within one ring a lost frame is asked for again until it is there. */
        sim_at(world, world->now_us + q_random_between(&world->random, 20 * SIM_MS, 80 * SIM_MS),
               sim_on_frame, frame, to);
        return;
    }
    if (same && heard) {
        frame->msg->received |= 1u << to;
        deliver_ready(node);
    }
    ring_unref(frame->ring);
    g_free(frame);
}

static void
order(SimNode *node, Outgoing *out)
{
    SimWorld *world = node->world;
    SimRing *ring = node->ring;
    Msg *msg = g_new0(Msg, 1);

    msg->kind = out->kind;
    msg->sender = node->number;
    msg->bytes = g_steal_pointer(&out->bytes);
    msg->received = 1u << node->number; /* F1: the sender has it before anybody else */
    if (out->kind == MSG_JOIN) {
        ring->group |= 1u << node->number;
    } else if (out->kind == MSG_LEAVE) {
        ring->group &= ~(1u << node->number);
    }
    msg->group = ring->group;
    g_ptr_array_add(ring->log, msg);
    for (uint32_t to = 0; to < world->n_nodes; to++) {
        if (to == node->number || !(ring->members & 1u << to)) {
            continue;
        }
        int64_t delay = q_random_between(&world->random, 80, 700);
        if (q_random_chance(&world->random, world->loss)) {
            delay += q_random_between(&world->random, 5 * SIM_MS, 3000 * SIM_MS);
        }
        Frame *frame = g_new(Frame, 1);
        *frame = (Frame){ ring_ref(ring), msg };
        sim_at(world, world->now_us + delay, sim_on_frame, frame, to);
    }
}

static void
on_token(SimWorld *world, gpointer data, uint64_t number)
{
    SimNode *node = data;

    node->token_due = false;
    if (node->ring == NULL || !node->powered) {
        g_queue_clear_full(&node->outgoing, outgoing_free);
        return;
    }
    if (node->frozen) {
        node->token_due = true;
        sim_at(world, world->now_us + 100 * SIM_MS, on_token, node, 0);
        return;
    }
    SimRing *ring = ring_ref(node->ring);
    while (!g_queue_is_empty(&node->outgoing) && node->ring == ring) {
        Outgoing *out = g_queue_pop_head(&node->outgoing);
        order(node, out);
        outgoing_free(out);
        deliver_ready(node);
    }
    ring_unref(ring);
}

static void
queue_message(SimNode *node, MsgKind kind, GBytes *bytes)
{
    Outgoing *out = g_new0(Outgoing, 1);

    out->kind = kind;
    out->bytes = bytes != NULL ? g_bytes_ref(bytes) : NULL;
    g_queue_push_tail(&node->outgoing, out);
    if (!node->token_due) {
        node->token_due = true;
        sim_at(node->world, node->world->now_us + q_random_between(&node->world->random, 50, 900),
               on_token, node, 0);
    }
}

void
sim_send(SimNode *node, GBytes *message, bool bulk)
{
    if (node->ring != NULL && node->joined) {
        queue_message(node, bulk ? MSG_BULK : MSG_MAIN, message);
    }
}

void
sim_group_join(SimNode *node)
{
    if (node->ring != NULL) {
        node->joined = true;
        queue_message(node, MSG_JOIN, NULL);
    }
}

void
sim_group_leave(SimNode *node)
{
    /* What the process had handed over and corosync not yet sent goes with it. */
    g_queue_clear_full(&node->outgoing, outgoing_free);
    node->joined = false;
    node->group = 0;
    if (node->ring != NULL) {
        queue_message(node, MSG_LEAVE, NULL);
    }
}

static void
on_rejoin(SimWorld *world, gpointer data, uint64_t process)
{
    SimNode *node = data;

    if (node->process == process && node->replica != NULL && !node->joined) {
        sim_group_join(node);
    }
}

void
sim_group_rejoin(SimNode *node)
{
    sim_trace(node->world, "%s leaves the group", node->name);
    sim_group_leave(node);
    hand_over(node, &(ReplicaInput){ .kind = REPLICA_VIEW }, NULL);
    sim_at(node->world, node->world->now_us + 20 * SIM_MS, on_rejoin, node, node->process);
}

/* ------------------------------------------------------------------ rings come and go */

static void
on_flag(SimWorld *world, gpointer data, uint64_t process)
{
    SimNode *node = data;
    guint present = node->ring != NULL ? __builtin_popcount(node->ring->members) : 0;

    if (node->replica == NULL || node->process != process) {
        return;
    }
    if (node->frozen) {
        sim_at(world, world->now_us + 100 * SIM_MS, on_flag, node, process);
        return;
    }
    hand_over(node, &(ReplicaInput){ .kind = REPLICA_FLAG, .flag = present * 2 > world->n_nodes },
              NULL);
}

void
sim_flag_soon(SimNode *node)
{
    sim_at(node->world,
           node->world->now_us + q_random_between(&node->world->random, FLAG_MIN_US, FLAG_MAX_US),
           on_flag, node, node->process);
}

/* The last deliveries of the old ring to one node that goes on with @stay of it (F2). */
static void
deliver_transitional(SimNode *node, SimRing *old, SimMask stay)
{
    bool hole = false;

    while (node->delivered < old->log->len && !node->frozen) {
        Msg *msg = old->log->pdata[node->delivered++];

        if (msg->received & stay) {
            if (!hole || (stay & 1u << msg->sender)) {
                deliver(node, msg);
            }
        } else {
            hole = true;
        }
    }
}

typedef struct {
    SimRing *old;
    SimMask stay;
} Moving;

static void
enter_ring(SimNode *node, SimRing *ring, const Moving *from)
{
    ring_unref(node->ring);
    node->ring = ring_ref(ring);
    node->delivered = 0;
    if (node->joined) {
        /* Leavers, then joiners (F3). */
        SimMask remain = node->group & ring->members & from->stay;
        SimMask now = remain;
        if (remain != node->group) {
            node->group = remain;
            tell_view(node);
        }
        now |= ring->group;
        if (now != node->group && (node->group & 1u << node->number)) {
            node->group = now;
            tell_view(node);
        }
    }
    if (node->replica != NULL) {
        sim_flag_soon(node);
    }
}

static void
form_ring(SimWorld *world, SimMask members)
{
    SimRing *ring = ring_new(members);
    Moving moving[SIM_NODES_MAX];

    sim_trace(world, "ring %x", members);
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        if (members & 1u << n) {
            moving[n].old = world->nodes[n].ring != NULL ? ring_ref(world->nodes[n].ring) : NULL;
            moving[n].stay = 1u << n;
            for (uint32_t m = 0; m < world->n_nodes; m++) {
                if ((members & 1u << m) && world->nodes[m].ring == world->nodes[n].ring) {
                    moving[n].stay |= 1u << m;
                }
            }
        }
    }
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        if ((members & 1u << n) && moving[n].old != NULL) {
            deliver_transitional(&world->nodes[n], moving[n].old, moving[n].stay);
        }
    }
    /* Who is in the group is told by each itself, once the old ring is done with. */
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        ring->group |= members & (1u << n) & world->nodes[n].group;
    }
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        if (members & 1u << n) {
            enter_ring(&world->nodes[n], ring, &moving[n]);
        }
    }
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        if (members & 1u << n) {
            ring_unref(moving[n].old);
        }
    }
    ring_unref(ring);
}

static bool
hears(const SimWorld *world, uint32_t a, uint32_t b)
{
    const SimNode *x = &world->nodes[a], *y = &world->nodes[b];

    return x->corosync && y->corosync && x->powered && y->powered && !x->frozen && !y->frozen
           && (world->reach[a] & 1u << b) && (world->reach[b] & 1u << a);
}

/* Who can form a ring: cliques of mutual hearing, found from a random node on. */
static void
on_reform(SimWorld *world, gpointer data, uint64_t number)
{
    SimMask left = (1u << world->n_nodes) - 1;
    uint32_t first = q_random_below(&world->random, world->n_nodes);

    for (uint32_t i = 0; i < world->n_nodes; i++) {
        uint32_t n = (first + i) % world->n_nodes;
        if (!(left & 1u << n) || !hears(world, n, n)) {
            continue;
        }
        SimMask ring = 1u << n;
        for (uint32_t m = 0; m < world->n_nodes; m++) {
            bool all = (left & 1u << m) && m != n;
            for (uint32_t k = 0; all && k < world->n_nodes; k++) {
                all = !(ring & 1u << k) || hears(world, m, k);
            }
            ring |= all ? 1u << m : 0;
        }
        left &= ~ring;
        bool same = true;
        for (uint32_t m = 0; m < world->n_nodes; m++) {
            same = same
                   && (!(ring & 1u << m)
                       || (world->nodes[m].ring != NULL && world->nodes[m].ring->members == ring));
        }
        if (!same) {
            form_ring(world, ring);
        }
    }
}

void
sim_links_changed(SimWorld *world, bool lost)
{
    int64_t delay = lost ? q_random_between(&world->random, LOSS_MIN_US, LOSS_MAX_US)
                         : q_random_between(&world->random, MERGE_MIN_US, MERGE_MAX_US);

    sim_at(world, world->now_us + delay, on_reform, NULL, 0);
}

void
sim_ring_leave(SimNode *node)
{
    g_queue_clear_full(&node->outgoing, outgoing_free);
    ring_unref(node->ring);
    node->ring = NULL;
    node->corosync = false;
    node->group = 0;
}

static void
on_alone(SimWorld *world, gpointer data, uint64_t number)
{
    SimNode *node = data;

    if (node->powered && !node->frozen && node->ring != NULL
        && node->ring->members != 1u << node->number) {
        bool others = false;
        for (uint32_t m = 0; m < world->n_nodes; m++) {
            others = others || (m != node->number && world->nodes[m].ring == node->ring);
        }
        if (!others) {
            form_ring(world, 1u << node->number);
        }
    }
    sim_at(world, world->now_us + 200, on_reform, NULL, 0);
}

/* A node heard again 0.45 + 0.42 T after the thaw sees itself, then all (F3, F6). */
void
sim_ring_thawed(SimNode *node)
{
    deliver_ready(node);
    sim_at(node->world,
           node->world->now_us + q_random_between(&node->world->random, 100 * SIM_MS, 900 * SIM_MS),
           on_alone, node, 0);
}

void
sim_corosync_kill(SimNode *node)
{
    if (!node->corosync) {
        return;
    }
    sim_trace(node->world, "%s corosync killed", node->name);
    sim_ring_leave(node);
    node->joined = false;
    hand_over(node, &(ReplicaInput){ .kind = REPLICA_FLAG, .flag = false }, NULL);
    hand_over(node, &(ReplicaInput){ .kind = REPLICA_VIEW }, NULL);
    sim_links_changed(node->world, true);
}

void
sim_corosync_start(SimNode *node)
{
    if (node->corosync || !node->powered) {
        return;
    }
    node->corosync = true;
    form_ring(node->world, 1u << node->number);
    if (node->replica != NULL) {
        sim_group_join(node);
    }
    sim_links_changed(node->world, false);
}
