#include <math.h>
#include <string.h>
#include "sim/cfs_check.h"
#include "sim/cfs_load.h"

enum {
    CALL_TIMEOUT_US = 10 * SIM_S,
    RENEW_US = 500 * SIM_MS,
    HOLD_MS = 4000,
    LAPSE_MS = 8000,
    SHARED_FILES = 5,
    GUESTS = 4,
    BIG_BYTES = 150 * 1024,
};

typedef enum {
    CALL_WRITE,
    CALL_CREATE,
    CALL_REMOVE,
    CALL_MOVE,
    CALL_LOCK,
    CALL_PROBE,
    CALL_TAKE,
    CALL_RENEW,
    CALL_RELEASE,
    CALL_FENCE,
    CALL_GIVE,
    CALL_ACT
} CallKind;

typedef struct {
    uint64_t id;
    uint32_t node;
    uint64_t process;
    CallKind kind;
    int64_t began_us;
    char *path; /* or the lease's name */
    char *content;
    Generation generation;
    Clocks sent;
} Call;

typedef struct {
    char *name;
    bool wanted_by_all; /* the manager's: free for whoever comes first */
    bool held, asking;
    Generation generation;
    LeaseHold hold;
    uint64_t process; /* that took it */
} Holder;

typedef struct {
    SimLoadOptions options;
    bool quiet;
    GHashTable *calls; /* uint64_t * → Call */
    uint64_t next_id;
    uint64_t probes_done[SIM_NODES_MAX];
    Holder holders[SIM_NODES_MAX][2]; /* own agent lease, the manager's */
    bool fenced[SIM_NODES_MAX];       /* by whoever is master now; to be given back */
} Load;

static void
call_free(gpointer data)
{
    Call *call = data;

    g_free(call->path);
    g_free(call->content);
    g_free(call);
}

/* ------------------------------------------------------------------ calls */

static void
on_timeout(SimWorld *world, gpointer data, uint64_t id)
{
    Load *load = world->load;
    Call *call = g_hash_table_lookup(load->calls, &id);
    SimNode *node = data;

    if (call == NULL || call->process != node->process) {
        return;
    }
    if (sim_serves(node)) {
        sim_cancel(node, id);
    } else {
        sim_at(world, world->now_us + SIM_S, on_timeout, node, id);
    }
}

static Call *
call_new(SimNode *node, CallKind kind, const char *path, const char *content)
{
    Load *load = node->world->load;
    Call *call = g_new0(Call, 1);

    call->id = ++load->next_id;
    call->node = node->number;
    call->process = node->process;
    call->kind = kind;
    call->began_us = node->world->now_us;
    call->path = g_strdup(path);
    call->content = g_strdup(content);
    if (content != NULL) {
        sim_check_called(node->world, path, content);
    }
    g_hash_table_insert(load->calls, &call->id, call);
    sim_at(node->world, node->world->now_us + CALL_TIMEOUT_US, on_timeout, node, call->id);
    return call;
}

static void
lose_calls(SimWorld *world, SimNode *node)
{
    Load *load = world->load;
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, load->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Call *call = value;
        if (call->node == node->number && call->process != node->process) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

static GBytes *
bytes_of(const char *text)
{
    return g_bytes_new(text, strlen(text));
}

static void
write_file(SimNode *node, CallKind kind, const char *path, const char *content)
{
    Call *call = call_new(node, kind, path, content);
    Update *update = update_new();
    g_autoptr(GBytes) bytes = bytes_of(content);

    update_write(update, path, bytes);
    sim_request(node, call->id, update);
}

static char *
fresh_content(SimNode *node)
{
    Load *load = node->world->load;
    bool big = q_random_chance(&node->world->random, 0.02);
    g_autofree char *tail = big ? g_strnfill(BIG_BYTES, 'x') : g_strdup("");

    return g_strdup_printf("%s:%lu:%s", node->name, (unsigned long)load->next_id + 1, tail);
}

/* ------------------------------------------------------------------ operations on files */

static void
op_write(SimNode *node)
{
    g_autofree char *path = g_strdup_printf(
        "c/p%lu", (unsigned long)q_random_below(&node->world->random, SHARED_FILES));
    g_autofree char *content = fresh_content(node);

    write_file(node, CALL_WRITE, path, content);
}

static void
op_create(SimNode *node)
{
    Load *load = node->world->load;
    g_autofree char *path =
        g_strdup_printf("u/%s-%lu", node->name, (unsigned long)load->next_id + 1);
    Call *call = call_new(node, CALL_CREATE, path, NULL);
    Update *update = update_new();
    g_autoptr(GBytes) bytes = bytes_of(path);

    update_create(update, path, bytes, true);
    sim_request(node, call->id, update);
}

static void
op_remove(SimNode *node, const char *path)
{
    Call *call = call_new(node, CALL_REMOVE, path, NULL);
    Update *update = update_new();

    update_remove(update, path);
    sim_request(node, call->id, update);
}

static void
op_move(SimNode *node)
{
    uint32_t vmid = 100 + q_random_below(&node->world->random, GUESTS);
    const Tree *tree = replica_tree(node->replica);
    uint32_t to = q_random_below(&node->world->random, node->world->n_nodes);
    g_autofree char *target = g_strdup_printf("nodes/node%u/qemu-server/%u.conf", to + 1, vmid);
    Update *update = update_new();
    TreeGuest guest;

    if (tree_guest(tree, vmid, &guest)) {
        g_autofree char *from = tree_path(tree, guest.entry);
        update_if_version(update, from, guest.entry->version);
        update_rename(update, from, target);
    } else {
        g_autoptr(GBytes) bytes = bytes_of("memory: 128\n");
        update_create(update, target, bytes, true);
    }
    sim_request(node, call_new(node, CALL_MOVE, target, NULL)->id, update);
}

static void
op_lock(SimNode *node)
{
    const TreeEntry *lock = tree_lookup(replica_tree(node->replica), "priv/lock/x");
    Update *update = update_new();

    if (lock != NULL && lock->writer == node->id) {
        update_remove(update, "priv/lock/x");
    } else if (lock != NULL) {
        update_mtime(update, "priv/lock/x", 0);
    } else {
        update_mkdir(update, "priv/lock/x");
    }
    sim_request(node, call_new(node, CALL_LOCK, "priv/lock/x", NULL)->id, update);
}

/* What a manager does under its lease: only as long as it believes in it. */
static void
op_act(SimNode *node)
{
    Load *load = node->world->load;
    Holder *holder = &load->holders[node->number][1];
    Clocks now = sim_clocks(node);
    g_autofree char *content = fresh_content(node);

    if (!holder->held || holder->process != node->process
        || !lease_hold_alive(&holder->hold, &now)) {
        return;
    }
    Call *call = call_new(node, CALL_ACT, "c/status", content);
    Update *update = update_new();
    g_autoptr(GBytes) bytes = bytes_of(content);

    call->generation = holder->generation;
    update_if_lease(update, holder->name, holder->generation);
    update_write(update, "c/status", bytes);
    sim_request(node, call->id, update);
}

static void
on_op(SimWorld *world, gpointer data, uint64_t number)
{
    Load *load = world->load;
    SimNode *node = data;
    double wait = -log(1 - q_random_below(&world->random, 1000000) / 1e6) / load->options.ops_per_s;

    if (load->quiet) {
        return;
    }
    sim_at(world, world->now_us + (int64_t)(wait * SIM_S), on_op, node, 0);
    if (!sim_serves(node)) {
        return;
    }
    switch (q_random_below(&world->random, 10)) {
    case 0:
    case 1:
        op_create(node);
        break;
    case 2:
    case 3:
        op_move(node);
        break;
    case 4:
        op_lock(node);
        break;
    case 5:
    case 6:
        op_act(node);
        break;
    default:
        op_write(node);
    }
}

/* ------------------------------------------------------------------ leases */

static void
take(SimNode *node, Holder *holder, CallKind kind, const char *name)
{
    g_autofree char *process = g_strdup_printf("sim-%lu", (unsigned long)node->process);
    Call *call = call_new(node, kind, name, NULL);

    call->sent = sim_clocks(node);
    if (holder != NULL) {
        holder->asking = true;
    }
    sim_lease(node, call->id,
              &(LeaseOp){ .kind = LEASE_TAKE,
                          .name = name,
                          .process = process,
                          .hold_ms = HOLD_MS,
                          .lapse_ms = LAPSE_MS });
}

static void
renew(SimNode *node, Holder *holder)
{
    Call *call = call_new(node, CALL_RENEW, holder->name, NULL);

    call->sent = sim_clocks(node); /* read before it is handed over (S19) */
    call->generation = holder->generation;
    sim_lease(node, call->id,
              &(LeaseOp){ .kind = LEASE_RENEW,
                          .name = holder->name,
                          .generation = holder->generation,
                          .sent_ms = call->sent.boot_ms });
}

static void
release(SimNode *node, Holder *holder)
{
    Call *call = call_new(node, CALL_RELEASE, holder->name, NULL);

    call->generation = holder->generation;
    holder->held = false;
    sim_check_released(node->world, holder->name, holder->generation);
    sim_lease(node, call->id,
              &(LeaseOp){
                  .kind = LEASE_RELEASE, .name = holder->name, .generation = holder->generation });
}

static void
keep_lease(SimNode *node, Holder *holder)
{
    Clocks now = sim_clocks(node);

    if (holder->held && holder->process != node->process && holder->wanted_by_all) {
        holder->held = false; /* a new crmd takes a new generation (S18) */
    }
    if (holder->held && !lease_hold_alive(&holder->hold, &now)) {
        holder->held = false;
    }
    if (holder->held) {
        if (q_random_chance(&node->world->random, 0.002)) {
            release(node, holder);
        } else {
            renew(node, holder);
        }
    } else if (!holder->asking) {
        take(node, holder, CALL_TAKE, holder->name);
    }
}

/* The master takes the agent lease of a node that is not seen, and gives it back when it is. */
static void
fence_others(SimNode *node)
{
    Load *load = node->world->load;
    g_autoptr(GArray) members = replica_members(node->replica);
    uint32_t other = q_random_below(&node->world->random, node->world->n_nodes);
    bool seen = other == node->number;
    LeaseView view;

    for (guint i = 0; i < members->len; i++) {
        seen = seen || g_array_index(members, uint32_t, i) == other + 1;
    }
    const char *name = load->holders[other][0].name;
    Clocks now = sim_clocks(node);
    bool known = replica_lease(node->replica, name, &now, &view);
    if (!seen && known && view.state == LEASE_HELD) {
        take(node, NULL, CALL_FENCE, name);
    } else if (seen && known && view.state == LEASE_FENCED) {
        Update *update = update_new();
        Holder *manager = &load->holders[node->number][1];
        update_if_lease(update, manager->name, manager->generation);
        update_lease_give(update, node->world->nodes[other].name);
        sim_request(node, call_new(node, CALL_GIVE, name, NULL)->id, update);
    }
}

static void
on_lease_round(SimWorld *world, gpointer data, uint64_t number)
{
    Load *load = world->load;
    SimNode *node = data;
    Clocks now = sim_clocks(node);

    if (load->quiet) {
        return;
    }
    sim_at(world, world->now_us + RENEW_US, on_lease_round, node, 0);
    if (!sim_serves(node) || replica_quorum(node->replica).state == QUORUM_NO) {
        return;
    }
    keep_lease(node, &load->holders[node->number][0]);
    if (sim_serves(node)) {
        keep_lease(node, &load->holders[node->number][1]);
    }
    Holder *manager = &load->holders[node->number][1];
    if (sim_serves(node) && manager->held && manager->process == node->process
        && lease_hold_alive(&manager->hold, &now)) {
        fence_others(node);
    }
}

static Holder *
holder_of(SimNode *node, const char *name)
{
    Load *load = node->world->load;

    for (int i = 0; i < 2; i++) {
        if (strcmp(load->holders[node->number][i].name, name) == 0) {
            return &load->holders[node->number][i];
        }
    }
    return NULL;
}

static void
taken(SimNode *node, const Call *call, const UpdateResult *result)
{
    Holder *holder = holder_of(node, call->path);
    Clocks now = sim_clocks(node);

    holder->asking = false;
    if (result->code != UPDATE_DONE) {
        return;
    }
    holder->held = true;
    holder->generation = result->generation;
    holder->process = node->process;
    lease_hold_start(&holder->hold, HOLD_MS);
    sim_check_granted(node, call->path, result->generation, false);
    /* A grant is no renewal: the holder acts after the first heard one (S26). */
    (void)now;
    if (sim_serves(node)) {
        renew(node, holder);
    }
}

static void
heard(SimNode *node, const Call *call, const UpdateResult *result)
{
    Holder *holder = holder_of(node, call->path);
    Clocks now = sim_clocks(node);

    if (!holder->held || generation_compare(holder->generation, call->generation) != 0) {
        return;
    }
    if (result->code == UPDATE_OVER) {
        holder->held = false;
    } else if (result->code == UPDATE_DONE && lease_hold_heard(&holder->hold, &call->sent, &now)) {
        sim_check_heard(node, call->path, call->generation, call->began_us);
    }
}

static bool
holds(SimNode *node, const char *lease, Generation *generation)
{
    Holder *holder = holder_of(node, lease);
    Clocks now = sim_clocks(node);

    if (holder == NULL || !holder->held || node->frozen || !node->powered) {
        return false;
    }
    *generation = holder->generation;
    return holder->hold.any && lease_hold_alive(&holder->hold, &now);
}

/* ------------------------------------------------------------------ hooks */

void
sim_load_answer(SimWorld *world, SimNode *node, uint64_t id, const UpdateResult *result)
{
    Load *load = world->load;
    Call *call = g_hash_table_lookup(load->calls, &id);

    if (call == NULL || call->process != node->process) {
        return;
    }
    g_hash_table_steal(load->calls, &id);
    if (call->content != NULL && result->code != UPDATE_UNKNOWN) {
        sim_check_written(node, call->path, call->content, call->began_us, result);
    }
    switch (call->kind) {
    case CALL_CREATE:
        sim_check_unique(node, call->path, result, true);
        if (result->code == UPDATE_DONE && sim_serves(node)) {
            op_remove(node, call->path);
        }
        break;
    case CALL_REMOVE:
        sim_check_unique(node, call->path, result, false);
        break;
    case CALL_PROBE:
        if (result->code == UPDATE_DONE) {
            load->probes_done[node->number] = call->id;
        }
        break;
    case CALL_TAKE:
        taken(node, call, result);
        break;
    case CALL_FENCE:
        if (result->code == UPDATE_DONE) {
            sim_check_granted(node, call->path, result->generation, false);
        }
        break;
    case CALL_RENEW:
        heard(node, call, result);
        break;
    case CALL_ACT:
        sim_check_conditioned(node, holder_of(node, "ha_manager_lock")->name, call->generation,
                              result);
        break;
    default:
        break;
    }
    call_free(call);
}

void
sim_load_started(SimNode *node)
{
    Load *load = node->world->load;

    lose_calls(node->world, node);
    load->holders[node->number][0].asking = false;
    load->holders[node->number][1].asking = false;
}

void
sim_load_quiet(SimWorld *world)
{
    ((Load *)world->load)->quiet = true;
}

uint64_t
sim_load_probe(SimNode *node)
{
    Load *load = node->world->load;
    g_autofree char *path = g_strdup_printf("c/probe-%s", node->name);
    g_autofree char *content = fresh_content(node);
    uint64_t number = load->next_id + 1;

    if (sim_serves(node)) {
        write_file(node, CALL_PROBE, path, content);
    }
    return number;
}

bool
sim_load_probed(SimNode *node, uint64_t number)
{
    Load *load = node->world->load;

    return load->probes_done[node->number] >= number;
}

void
sim_load_new(SimWorld *world, const SimLoadOptions *options)
{
    Load *load = g_new0(Load, 1);

    load->options = *options;
    load->calls = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, call_free);
    world->load = load;
    sim_check_set_holds(world, holds);
    for (uint32_t n = 0; n < world->n_nodes; n++) {
        SimNode *node = &world->nodes[n];
        load->holders[n][0].name = g_strdup_printf("ha_agent_%s_lock", node->name);
        load->holders[n][1].name = g_strdup("ha_manager_lock");
        load->holders[n][1].wanted_by_all = true;
        sim_at(world, world->now_us + q_random_between(&world->random, 1, SIM_S), on_op, node, 0);
        if (options->leases) {
            sim_at(world, world->now_us + q_random_between(&world->random, 1, SIM_S),
                   on_lease_round, node, 0);
        }
    }
}

void
sim_load_free(SimWorld *world)
{
    Load *load = world->load;

    for (uint32_t n = 0; n < world->n_nodes; n++) {
        g_free(load->holders[n][0].name);
        g_free(load->holders[n][1].name);
    }
    g_hash_table_unref(load->calls);
    g_free(load);
}
