#include "sim/cfs_run.h"
#include <string.h>
#include "sim/cfs_check.h"
#include "sim/cfs_load.h"
#include "sim/cfs_world_priv.h"

enum {
    FORM_LIMIT_US = 60 * SIM_S,
    CALM_US = 4 * SIM_S,   /* at the begin: all nodes come up */
    PEACE_US = 30 * SIM_S, /* at the end: healed, caught up, leases settled */
    PROBE_US = 1 * SIM_S,  /* invariant 30 */
};

/* ------------------------------------------------------------------ a formed cluster, made once */

static char *
corosync_conf(uint32_t n_nodes)
{
    GString *text =
        g_string_new("totem {\n  version: 2\n  cluster_name: sim\n  config_version: 1\n}\n"
                     "quorum {\n  provider: corosync_votequorum\n}\nnodelist {\n");

    for (uint32_t n = 1; n <= n_nodes; n++) {
        g_string_append_printf(text,
                               "  node {\n    name: node%u\n    nodeid: %u\n    quorum_votes: 1\n"
                               "    ring0_addr: 10.0.0.%u\n  }\n",
                               n, n, n);
    }
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}

static bool
all_count(SimWorld *world)
{
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        g_autoptr(GArray) voters = replica_voters(world->nodes[n].replica);
        guint weight = 0;
        for (guint i = 0; i < voters->len; i++) {
            const ReplicaVoter *voter = &g_array_index(voters, ReplicaVoter, i);
            weight += voter->present && voter->installed ? voter->weight : 0;
        }
        if (weight != world->n_nodes
            || replica_quorum(world->nodes[n].replica).state != QUORUM_YES) {
            return false;
        }
    }
    return true;
}

static void
make_folders(SimNode *node)
{
    static const char *const folders[] = { "c", "u", "nodes", "priv", "priv/lock" };
    Update *update = update_new();

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        update_mkdir(update, folders[i]);
    }
    for (uint32_t n = 0; n < node->world->n_nodes; n++) {
        g_autofree char *folder = g_strdup_printf("nodes/node%u", n + 1);
        g_autofree char *guests = g_strdup_printf("%s/qemu-server", folder);
        update_mkdir(update, folder);
        update_mkdir(update, guests);
    }
    sim_request(node, 1, update);
}

static SimWorld *
form(uint32_t n_nodes)
{
    SimWorld *world = sim_world_new(1, n_nodes);
    g_autofree char *text = corosync_conf(n_nodes);
    uint64_t inode = 1;
    TreeEntry *entry = tree_entry_new(inode, TREE_ROOT, 1, 1, 1800000000, TREE_FILE,
                                      "corosync.conf", g_bytes_new(text, strlen(text)));

    g_hash_table_insert(world->nodes[0].disk.entries, g_memdup2(&inode, sizeof inode), entry);
    world->nodes[0].disk.figures.version = 1;
    world->nodes[0].disk.figures.writer = 1;
    world->nodes[0].disk.figures.mtime_s = 1800000000;
    for (uint32_t n = 0; n < n_nodes; n++) {
        sim_power_on(&world->nodes[n]);
    }
    if (world->violation != NULL) {
        g_error("%s", world->violation);
    }
    while (!all_count(world) && world->now_us < FORM_LIMIT_US) {
        sim_run_until(world, world->now_us + 100 * SIM_MS);
    }
    if (!all_count(world)) {
        g_error("the simulated cluster of %u nodes does not form: %s", n_nodes,
                replica_quorum(world->nodes[0].replica).why);
    }
    make_folders(&world->nodes[0]);
    sim_run_until(world, world->now_us + 2 * SIM_S);
    return world;
}

/* Every history begins with the disks of a cluster that was formed before. */
static void
take_disks(SimWorld *world)
{
    static SimWorld *formed[SIM_NODES_MAX + 1];

    if (formed[world->n_nodes] == NULL) {
        formed[world->n_nodes] = form(world->n_nodes);
    }
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        sim_disk_copy(&world->nodes[n].disk, &formed[world->n_nodes]->nodes[n].disk);
    }
}

/* ------------------------------------------------------------------ one history */

static void
on_power(SimWorld *world, gpointer data, uint64_t number)
{
    sim_power_on(data);
}

static void
on_started(SimWorld *world, SimNode *node)
{
    sim_load_started(node);
    sim_check_started(node);
}

static void
judge(SimWorld *world)
{
    uint64_t probes[SIM_NODES_MAX];

    sim_faults_heal(world);
    sim_run_until(world, world->now_us + PEACE_US);
    for (uint32_t n = 0; n < world->n_nodes && world->violation == NULL; n++) {
        probes[n] = sim_load_probe(&world->nodes[n]);
    }
    sim_run_until(world, world->now_us + PROBE_US);
    for (uint32_t n = 0; n < world->n_nodes && world->violation == NULL; n++) {
        if (!sim_load_probed(&world->nodes[n], probes[n])) {
            sim_violate(world, 30, "all is well, and %s cannot write: %s", world->nodes[n].name,
                        replica_quorum(world->nodes[n].replica).why);
        }
    }
    sim_load_quiet(world);
    sim_run_until(world, world->now_us + 12 * SIM_S);
    if (world->violation == NULL) {
        sim_check_end(world);
    }
}

void
sim_run(uint64_t seed, const GArray *given, const SimRunOptions *options, SimRunResult *result)
{
    SimWorld *world = sim_world_new(seed, options->n_nodes);
    g_autoptr(GArray) drawn = given == NULL
                                  ? sim_faults_draw(seed, options->n_nodes, CALM_US,
                                                    options->length_us - PEACE_US, options->kinds)
                                  : NULL;
    const GArray *faults = given != NULL ? given : drawn;

    world->trace = options->trace;
    world->loss = 0.0005;
    take_disks(world);
    sim_check_new(world);
    world->hooks = (SimHooks){ .answer = sim_load_answer,
                               .visible = sim_check_visible,
                               .persisted = sim_check_persisted,
                               .started = on_started };
    sim_load_new(world, &(SimLoadOptions){
                            .ops_per_s = q_random_between(&world->random, 2, 25) / 10.0,
                            .leases = q_random_chance(&world->random, 0.6),
                        });
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        sim_at(world, q_random_between(&world->random, 1, SIM_S), on_power, &world->nodes[n], 0);
    }
    sim_faults_plan(world, faults);
    sim_run_until(world, options->length_us - PEACE_US);
    if (world->violation == NULL) {
        judge(world);
    }
    for (guint i = 0; i < faults->len; i++) {
        result->counts[g_array_index(faults, Fault, i).kind]++;
    }
    result->violation = g_steal_pointer(&world->violation);
    result->invariant = world->invariant;
    result->steps = world->steps;
    sim_load_free(world);
    sim_check_free(world);
    sim_world_free(world);
}

GArray *
sim_shrink(uint64_t seed, const SimRunOptions *options, SimRunResult *result)
{
    GArray *faults = sim_faults_draw(seed, options->n_nodes, CALM_US, options->length_us - PEACE_US,
                                     options->kinds);
    SimRunOptions quiet = *options;

    quiet.trace = NULL;
    for (guint i = faults->len; i > 0; i--) {
        g_autoptr(GArray) fewer = g_array_copy(faults);
        SimRunResult again = { 0 };

        g_array_remove_index(fewer, i - 1);
        sim_run(seed, fewer, &quiet, &again);
        if (again.violation != NULL) {
            g_array_remove_index(faults, i - 1);
            g_free(result->violation);
            result->violation = g_steal_pointer(&again.violation);
            result->invariant = again.invariant;
        }
        g_free(again.violation);
    }
    return faults;
}
