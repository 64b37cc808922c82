#include "sim/cfs_faults.h"
#include <math.h>
#include "base/error.h"

static const char *const names[FAULT_KINDS] = {
    [FAULT_POWER] = "power",
    [FAULT_FREEZE] = "freeze",
    [FAULT_CFSD_KILL] = "cfsd-kill",
    [FAULT_CFSD_STOP] = "cfsd-stop",
    [FAULT_COROSYNC_KILL] = "corosync-kill",
    [FAULT_PARTITION] = "partition",
    [FAULT_ONE_WAY] = "one-way",
    [FAULT_LOSS] = "loss",
    [FAULT_SLOW_DISK] = "slow-disk",
    [FAULT_HANGING_DISK] = "hanging-disk",
    [FAULT_FULL_DISK] = "failing-disk",
    [FAULT_REINSTALL] = "reinstall",
};

const char *
fault_kind_name(FaultKind kind)
{
    return names[kind];
}

bool
fault_kind_parse(const char *name, FaultKind *kind)
{
    for (FaultKind k = 0; k < FAULT_KINDS; k++) {
        if (g_strcmp0(name, names[k]) == 0) {
            *kind = k;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ drawing */

static int64_t
duration_us(QRandom *random, FaultKind kind)
{
    switch (kind) {
    case FAULT_CFSD_KILL:
        return q_random_between(random, 50 * SIM_MS, 2 * SIM_S);
    case FAULT_COROSYNC_KILL:
    case FAULT_LOSS:
        return q_random_between(random, 200 * SIM_MS, 5 * SIM_S);
    case FAULT_REINSTALL:
        return q_random_between(random, 500 * SIM_MS, 3 * SIM_S);
    default:
        return q_random_between(random, 100 * SIM_MS, 14 * SIM_S);
    }
}

GArray *
sim_faults_draw(uint64_t seed, uint32_t n_nodes, int64_t from_us, int64_t until_us, uint32_t kinds)
{
    GArray *faults = g_array_new(FALSE, FALSE, sizeof(Fault));
    QRandom random;
    bool reinstalled = false;

    q_random_seed(&random, seed ^ 0x5eedfa17);
    /* Some histories are calm, some are storms. */
    double mean_s = q_random_between(&random, 10, 120) / 10.0;
    for (int64_t at_us = from_us;;) {
        at_us += (int64_t)(-log(1 - q_random_below(&random, 1000000) / 1e6) * mean_s * SIM_S);
        FaultKind kind = q_random_below(&random, FAULT_KINDS);
        Fault fault = { .kind = kind,
                        .node = q_random_below(&random, n_nodes),
                        .argument = q_random_below(&random, 1u << n_nodes),
                        .from_us = at_us,
                        .until_us = at_us + duration_us(&random, kind) };
        if (fault.until_us >= until_us) {
            return faults;
        }
        /* Two disks lost are more than was promised to survive. */
        if (!(kinds & 1u << kind) || (kind == FAULT_REINSTALL && reinstalled)) {
            continue;
        }
        reinstalled = reinstalled || kind == FAULT_REINSTALL;
        g_array_append_val(faults, fault);
    }
}

/* ------------------------------------------------------------------ carrying out */

static void
set_reach(SimWorld *world)
{
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        world->reach[n] = (1u << world->n_nodes) - 1;
    }
}

static void
cut(SimWorld *world, const Fault *fault)
{
    SimMask all = (1u << world->n_nodes) - 1, side = fault->argument & all;

    if (fault->kind == FAULT_ONE_WAY) {
        world->reach[fault->node] &= ~side | 1u << fault->node;
        return;
    }
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        world->reach[n] &= side & 1u << n ? side : ~side;
    }
}

static void
begin(SimWorld *world, gpointer data, uint64_t index)
{
    const Fault *fault = &g_array_index((GArray *)data, Fault, index);
    SimNode *node = &world->nodes[fault->node];

    sim_trace(world, "fault %s node%u %x", names[fault->kind], fault->node + 1, fault->argument);
    switch (fault->kind) {
    case FAULT_POWER:
        sim_power_off(node);
        break;
    case FAULT_FREEZE:
        sim_freeze(node);
        break;
    case FAULT_CFSD_KILL:
        sim_cfsd_kill(node);
        break;
    case FAULT_CFSD_STOP:
        sim_cfsd_stop(node, true);
        break;
    case FAULT_COROSYNC_KILL:
        sim_corosync_kill(node);
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        cut(world, fault);
        sim_links_changed(world, true);
        break;
    case FAULT_LOSS:
        world->loss = 0.05;
        break;
    case FAULT_SLOW_DISK:
        node->disk.slow = true;
        break;
    case FAULT_HANGING_DISK:
        node->disk.hanging = true;
        break;
    case FAULT_FULL_DISK:
        node->disk.failing = true;
        break;
    case FAULT_REINSTALL:
        if (node->powered && !node->frozen && !node->disk.failing && !node->disk.poisoned) {
            sim_cfsd_kill(node);
            sim_disk_reinstall(node);
        }
        break;
    }
}

static void
end(SimWorld *world, gpointer data, uint64_t index)
{
    const Fault *fault = &g_array_index((GArray *)data, Fault, index);
    SimNode *node = &world->nodes[fault->node];

    sim_trace(world, "over %s node%u", names[fault->kind], fault->node + 1);
    switch (fault->kind) {
    case FAULT_POWER:
        sim_power_on(node);
        break;
    case FAULT_FREEZE:
        sim_thaw(node);
        break;
    case FAULT_CFSD_KILL:
    case FAULT_REINSTALL:
        sim_cfsd_start(node);
        break;
    case FAULT_CFSD_STOP:
        sim_cfsd_stop(node, false);
        break;
    case FAULT_COROSYNC_KILL:
        sim_corosync_start(node);
        break;
    case FAULT_PARTITION:
    case FAULT_ONE_WAY:
        set_reach(world);
        sim_links_changed(world, false);
        break;
    case FAULT_LOSS:
        world->loss = 0.0005;
        break;
    case FAULT_SLOW_DISK:
        node->disk.slow = false;
        break;
    case FAULT_HANGING_DISK:
        node->disk.hanging = false;
        break;
    case FAULT_FULL_DISK:
        node->disk.failing = false;
        break;
    }
}

void
sim_faults_plan(SimWorld *world, const GArray *faults)
{
    for (guint i = 0; i < faults->len; i++) {
        const Fault *fault = &g_array_index(faults, Fault, i);
        sim_at(world, fault->from_us, begin, (gpointer)faults, i);
        sim_at(world, fault->until_us, end, (gpointer)faults, i);
    }
}

void
sim_faults_heal(SimWorld *world)
{
    set_reach(world);
    world->loss = 0;
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        SimNode *node = &world->nodes[n];

        node->disk.slow = node->disk.hanging = node->disk.failing = false;
        sim_thaw(node);
        sim_power_on(node);
        sim_corosync_start(node);
        sim_cfsd_stop(node, false);
        sim_cfsd_start(node);
    }
    sim_links_changed(world, false);
}

/* ------------------------------------------------------------------ as text */

char *
sim_faults_text(const GArray *faults)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < faults->len; i++) {
        const Fault *fault = &g_array_index(faults, Fault, i);
        g_string_append_printf(text, "%s %u %u %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
                               names[fault->kind], fault->node + 1, fault->argument, fault->from_us,
                               fault->until_us);
    }
    return g_string_free(text, FALSE);
}

GArray *
sim_faults_parse(const char *text, GError **error)
{
    g_autoptr(GArray) faults = g_array_new(FALSE, FALSE, sizeof(Fault));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        char kind[32];
        Fault fault;
        if (lines[i][0] == '\0' || lines[i][0] == '#') {
            continue;
        }
        if (sscanf(lines[i], "%31s %u %u %ld %ld", kind, &fault.node, &fault.argument,
                   &fault.from_us, &fault.until_us)
                != 5
            || !fault_kind_parse(kind, &fault.kind) || fault.node < 1 || fault.node > SIM_NODES_MAX
            || fault.until_us < fault.from_us) {
            q_set_error(error, Q_ERROR_INVALID,
                        "line %d: expected 'KIND NODE ARGUMENT FROM_US UNTIL_US'", i + 1);
            return NULL;
        }
        fault.node--;
        g_array_append_val(faults, fault);
    }
    return g_steal_pointer(&faults);
}
