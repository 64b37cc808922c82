#include <stdio.h>
#include "sim/cfs_world.h"
#include "sim/cfs_world_priv.h"

/* ------------------------------------------------------------------ events: a binary heap */

typedef struct {
    int64_t at_us;
    uint64_t serial;
    SimFunc func;
    gpointer data;
    uint64_t number;
} Event;

static bool
earlier(const Event *a, const Event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

void
sim_at(SimWorld *world, int64_t at_us, SimFunc func, gpointer data, uint64_t number)
{
    Event *event = g_new(Event, 1);
    GPtrArray *heap = world->queue;

    *event = (Event){ at_us, world->serial++, func, data, number };
    g_ptr_array_add(heap, event);
    for (guint i = heap->len - 1; i > 0 && earlier(heap->pdata[i], heap->pdata[(i - 1) / 2]);
         i = (i - 1) / 2) {
        gpointer parent = heap->pdata[(i - 1) / 2];
        heap->pdata[(i - 1) / 2] = heap->pdata[i];
        heap->pdata[i] = parent;
    }
}

static Event *
pop(GPtrArray *heap)
{
    Event *first = heap->pdata[0];
    guint last = heap->len - 1;

    heap->pdata[0] = heap->pdata[last];
    g_ptr_array_set_size(heap, last);
    for (guint i = 0;;) {
        guint least = i;
        for (guint child = 2 * i + 1; child <= 2 * i + 2 && child < last; child++) {
            if (earlier(heap->pdata[child], heap->pdata[least])) {
                least = child;
            }
        }
        if (least == i) {
            return first;
        }
        gpointer parent = heap->pdata[i];
        heap->pdata[i] = heap->pdata[least];
        heap->pdata[least] = parent;
        i = least;
    }
}

void
sim_run_until(SimWorld *world, int64_t until_us)
{
    while (world->violation == NULL && world->queue->len > 0) {
        const Event *next = world->queue->pdata[0];

        if (next->at_us > until_us) {
            break;
        }
        Event *event = pop(world->queue);
        world->now_us = event->at_us;
        event->func(world, event->data, event->number);
        g_free(event);
    }
    if (world->violation == NULL) {
        world->now_us = until_us;
    }
}

/* ------------------------------------------------------------------ the world */

SimWorld *
sim_world_new(uint64_t seed, uint32_t n_nodes)
{
    SimWorld *world = g_new0(SimWorld, 1);

    world->seed = seed;
    world->n_nodes = n_nodes;
    q_random_seed(&world->random, seed);
    world->queue = g_ptr_array_new();
    for (uint32_t n = 0; n < n_nodes; n++) {
        SimNode *node = &world->nodes[n];

        node->world = world;
        node->number = n;
        node->id = n + 1;
        node->name = g_strdup_printf("node%u", n + 1);
        for (int clock = 0; clock < 3; clock++) {
            node->clock_offset_ms[clock] = q_random_between(&world->random, 1000, 1000000);
            /* Rates err by at most 0.5 % (safety.md, Assumed). */
            node->clock_rate[clock] = 1 + q_random_between(&world->random, -500, 500) / 100000.0;
        }
        world->reach[n] = (1u << n_nodes) - 1;
        g_queue_init(&node->outgoing);
        g_queue_init(&node->inbox);
        sim_disk_init(&node->disk);
    }
    return world;
}

void
sim_world_free(SimWorld *world)
{
    world->ending = true;
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        SimNode *node = &world->nodes[n];

        sim_process_end(node);
        sim_ring_leave(node);
        sim_disk_clear(&node->disk);
        g_free(node->name);
    }
    for (guint i = 0; i < world->queue->len; i++) {
        Event *event = world->queue->pdata[i];
        if (event->func == sim_on_frame) {
            sim_on_frame(world, event->data, event->number); /* nobody hears it: lets it go */
        }
        g_free(event);
    }
    g_ptr_array_unref(world->queue);
    g_free(world->violation);
    g_free(world);
}

void
sim_violate(SimWorld *world, int invariant, const char *format, ...)
{
    va_list args;

    if (world->violation != NULL) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    world->invariant = invariant;
    world->violation = g_strdup_printf("invariant %d at %.3f s: %s", invariant,
                                       world->now_us / (double)SIM_S, text);
    sim_trace(world, "VIOLATION %s", world->violation);
}

void
sim_trace(SimWorld *world, const char *format, ...)
{
    if (world->trace == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(world->trace, "%lu %12.6f %s\n", (unsigned long)world->seed,
            world->now_us / (double)SIM_S, text);
}

/* ------------------------------------------------------------------ a node's process */

Clocks
sim_clocks(const SimNode *node)
{
    double ms = node->world->now_us / 1000.0;

    return (Clocks){
        .boot_ms = node->clock_offset_ms[0] + (int64_t)(ms * node->clock_rate[0]),
        .mono_ms = node->clock_offset_ms[1] + (int64_t)(ms * node->clock_rate[1]),
        .raw_ms = node->clock_offset_ms[2] + (int64_t)(ms * node->clock_rate[2]),
        .wall_s = 1800000000 + node->world->now_us / SIM_S,
    };
}

bool
sim_serves(const SimNode *node)
{
    return node->powered && !node->frozen && node->replica != NULL && !node->stopped;
}

/* What forms epochs (docs/internals/cfs-protocol.md: the third byte is the type), not each update.
 */
static void
trace_message(const SimNode *node, GBytes *message)
{
    static const char *const names[] = { NULL, "STATE", "PLAN", "JOINED", "INSTALLED", "REFORM" };
    gsize length;
    const uint8_t *data = g_bytes_get_data(message, &length);

    if (length > 2 && data[2] < G_N_ELEMENTS(names) && names[data[2]] != NULL) {
        sim_trace(node->world, "%s says %s", node->name, names[data[2]]);
    }
}

static void
carry_out(SimNode *node, ReplicaEffect *effect)
{
    SimWorld *world = node->world;

    switch (effect->kind) {
    case EFFECT_PERSIST:
        sim_disk_write(node, effect->persist.token, g_steal_pointer(&effect->persist.write));
        break;
    case EFFECT_MULTICAST:
        trace_message(node, effect->message);
        sim_send(node, effect->message, false);
        break;
    case EFFECT_BULK:
        sim_send(node, effect->message, true);
        break;
    case EFFECT_ANSWER:
        if (world->hooks.answer != NULL) {
            world->hooks.answer(world, node, effect->answer.id, &effect->answer.result);
        }
        break;
    case EFFECT_VISIBLE:
        if (world->hooks.visible != NULL) {
            world->hooks.visible(world, node, effect);
        }
        break;
    case EFFECT_LEAVE:
        sim_group_rejoin(node);
        break;
    case EFFECT_NOTICE:
        sim_trace(world, "%s notice %d node %u number %lu %s", node->name, effect->notice.kind,
                  effect->notice.node_id, (unsigned long)effect->notice.number,
                  effect->notice.text);
        break;
    case EFFECT_QUORUM:
        break;
    }
}

static void
on_wake(SimWorld *world, gpointer data, uint64_t process)
{
    SimNode *node = data;

    if (node->process != process || node->wake_us > world->now_us) {
        return;
    }
    node->wake_us = INT64_MAX;
    if (sim_serves(node)) {
        sim_step(node, &(ReplicaInput){ .kind = REPLICA_TICK });
    }
}

static void
plan_wake(SimNode *node)
{
    int64_t wake_ms = replica_wake_ms(node->replica);

    if (wake_ms == INT64_MAX) {
        return;
    }
    int64_t at_us =
        (int64_t)((wake_ms - node->clock_offset_ms[1] + 1) * 1000 / node->clock_rate[1]);
    at_us = MAX(at_us, node->world->now_us + 100);
    if (at_us < node->wake_us) {
        node->wake_us = at_us;
        sim_at(node->world, at_us, on_wake, node, node->process);
    }
}

static void
step_now(SimNode *node, ReplicaInput *input)
{
    g_autoptr(GArray) effects = replica_effects_new();
    uint64_t process = node->process;

    node->world->steps++;
    input->now = sim_clocks(node);
    replica_step(node->replica, input, effects);
    for (guint i = 0; i < effects->len && node->process == process; i++) {
        carry_out(node, &g_array_index(effects, ReplicaEffect, i));
    }
}

void
sim_step(SimNode *node, ReplicaInput *input)
{
    uint64_t process = node->process;

    step_now(node, input);
    /* Nothing else waits in this world: what was held back for batching goes out. */
    if (node->process == process) {
        step_now(node, &(ReplicaInput){ .kind = REPLICA_IDLE });
    }
    if (node->process == process) {
        plan_wake(node);
        if (node->world->hooks.stepped != NULL) {
            node->world->hooks.stepped(node->world, node);
        }
    }
}

uint64_t
sim_request(SimNode *node, uint64_t id, Update *update)
{
    sim_step(node, &(ReplicaInput){ .kind = REPLICA_REQUEST,
                                    .request = { .client = 1, .id = id, .update = update } });
    return id;
}

void
sim_lease(SimNode *node, uint64_t id, const LeaseOp *op)
{
    sim_step(node, &(ReplicaInput){ .kind = REPLICA_LEASE,
                                    .request = { .client = 1, .id = id, .op = op } });
}

void
sim_cancel(SimNode *node, uint64_t id)
{
    sim_step(node, &(ReplicaInput){ .kind = REPLICA_CANCEL, .request = { .client = 1, .id = id } });
}

void
sim_process_end(SimNode *node)
{
    node->process = ++node->world->serial;
    g_clear_pointer(&node->replica, replica_free);
    node->wake_us = INT64_MAX;
    node->stopped = false;
    sim_inbox_clear(node);
}

void
sim_cfsd_kill(SimNode *node)
{
    if (node->replica == NULL) {
        return;
    }
    sim_trace(node->world, "%s cfsd killed", node->name);
    sim_process_end(node);
    sim_disk_crash(node);
    sim_group_leave(node);
}

void
sim_cfsd_start(SimNode *node)
{
    g_autoptr(GError) error = NULL;

    if (!node->powered || node->replica != NULL) {
        return;
    }
    sim_disk_crash(node); /* what an earlier process left in flight is over */
    node->process = ++node->world->serial;
    node->wake_us = INT64_MAX;
    node->replica = sim_disk_load(node, &error);
    if (node->replica == NULL) {
        sim_violate(node->world, 3, "%s does not start from its own disk: %s", node->name,
                    error->message);
        return;
    }
    sim_trace(node->world, "%s cfsd started", node->name);
    if (node->world->hooks.started != NULL) {
        node->world->hooks.started(node->world, node);
    }
    sim_step(node, &(ReplicaInput){ .kind = REPLICA_START });
    if (!replica_alone(node->replica)) {
        sim_group_join(node);
        sim_flag_soon(node);
    }
}

void
sim_cfsd_stop(SimNode *node, bool stopped)
{
    if (node->replica == NULL || node->stopped == stopped) {
        return;
    }
    sim_trace(node->world, "%s cfsd %s", node->name, stopped ? "stopped" : "continued");
    node->stopped = stopped;
    if (!stopped && !node->frozen) {
        sim_inbox_drain(node);
    }
}

void
sim_power_off(SimNode *node)
{
    if (!node->powered) {
        return;
    }
    sim_trace(node->world, "%s power off", node->name);
    node->powered = false;
    node->frozen = false;
    node->disk.poisoned = false; /* the page cache is gone: what is there is what is there */
    sim_process_end(node);
    sim_disk_crash(node);
    node->joined = false;
    sim_ring_leave(node);
    sim_links_changed(node->world, true);
}

void
sim_power_on(SimNode *node)
{
    if (node->powered) {
        return;
    }
    sim_trace(node->world, "%s power on", node->name);
    node->powered = true;
    node->boots++;
    sim_corosync_start(node);
    sim_cfsd_start(node);
}

void
sim_freeze(SimNode *node)
{
    if (node->powered && !node->frozen) {
        sim_trace(node->world, "%s frozen", node->name);
        node->frozen = true;
        sim_links_changed(node->world, true);
    }
}

void
sim_thaw(SimNode *node)
{
    if (node->frozen) {
        sim_trace(node->world, "%s thawed", node->name);
        node->frozen = false;
        sim_ring_thawed(node);
        if (node->replica != NULL && !node->stopped) {
            sim_inbox_drain(node);
            sim_step(node, &(ReplicaInput){ .kind = REPLICA_TICK });
        }
    }
}
