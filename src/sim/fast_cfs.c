#include "sim/fast_priv.h"
#include <string.h>

/*
 * The cluster filesystem as the managers meet it: one committed history made by majorities (S13),
 * views that lag, updates whose outcome stays unknown and that may still happen (S14), leases as in
 * S18 to S22. A silent member stops its ring until a new one is formed (F6).
 */

State *
state_ref(State *state)
{
    state->refs++;
    return state;
}

void
state_unref(State *state)
{
    if (--state->refs > 0)
        return;
    ha_world_free(state->world);
    g_free(state);
}

static void
copy_tables(HaWorld *to, const HaWorld *from)
{
    GHashTableIter iter;
    gpointer key, value;

    /* From table to table: the order does not matter. */
    g_hash_table_iter_init(&iter, from->configs);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(to->configs, g_strdup(key), ha_config_copy(value));
    g_hash_table_iter_init(&iter, from->leases);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        HaLeaseView *view = g_memdup2(value, sizeof *view);
        view->node = g_strdup(view->node);
        view->boot = g_strdup(view->boot);
        g_hash_table_insert(to->leases, g_strdup(key), view);
    }
    g_hash_table_iter_init(&iter, from->lrm);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        g_autofree char *text = ha_lrm_status_text(value);
        g_hash_table_insert(to->lrm, g_strdup(key), ha_lrm_status_parse(text, NULL));
    }
    for (guint i = 0; i < from->commands->len; i++)
        g_ptr_array_add(to->commands, g_strdup(from->commands->pdata[i]));
}

static HaWorld *
copy_world(const HaWorld *from)
{
    HaWorld *to = ha_world_new();

    copy_tables(to, from);
    to->status = ha_status_copy(from->status);
    to->status_version = from->status_version;
    to->resources_version = from->resources_version;
    to->rules_version = from->rules_version;
    to->commands_version = from->commands_version;
    to->rules_text = g_strdup(from->rules_text);
    to->datacenter = ha_datacenter_new(from->datacenter->profile);
    return to;
}

static State *
next_state(Fast *fast)
{
    State *state = g_new0(State, 1);

    state->refs = 1;
    state->sequence = fast->state->sequence + 1;
    state->world = copy_world(fast->state->world);
    return state;
}

static void
adopt(Fast *fast, State *state)
{
    state_unref(fast->state);
    fast->state = state;
}

/* ------------------------------------------------------------------ rings */

static void
ring_unref(Ring *ring)
{
    if (ring != NULL && --ring->refs == 0)
        g_free(ring);
}

static bool
speaks(const Host *host)
{
    const Proc *corosync = &host->procs[PROC_COROSYNC];
    return host_runs(host) && corosync->alive && corosync->stopped == 0;
}

static bool
is_cut(const Fast *fast, const Host *a, const Host *b)
{
    return fast->cut[a->index] != fast->cut[b->index];
}

static bool
is_stalled(Fast *fast, const Ring *ring)
{
    const Host *first = NULL;

    for (guint i = 0; i < fast->count; i++) {
        if (!ring->member[i])
            continue;
        if (!speaks(fast->hosts[i]) || (first != NULL && is_cut(fast, first, fast->hosts[i])))
            return true;
        first = first != NULL ? first : fast->hosts[i];
    }
    return false;
}

static bool
is_majority(const Fast *fast, guint count)
{
    return 2 * count > fast->count;
}

/* Who of the ring answers now: its cfsd works. */
static guint
count_answering(Fast *fast, const Ring *ring)
{
    guint count = 0;

    for (guint i = 0; i < fast->count; i++)
        count += ring->member[i] && proc_runs(fast->hosts[i], PROC_CFSD);
    return count;
}

static void
show(Host *host, State *state)
{
    if (host->visible != NULL && host->visible->sequence >= state->sequence)
        return;
    if (host->visible != NULL)
        state_unref(host->visible);
    host->visible = state_ref(state);
    host_step_soon(host, PROC_LRMD);
    host_step_soon(host, PROC_CRMD);
}

static void order(Fast *fast, Host *host, uint64_t number, gpointer data);

static void
flush_waiting(Host *host)
{
    GPtrArray *waiting = host->waiting;

    host->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)op_unref);
    for (guint i = 0; i < waiting->len; i++) {
        Op *op = waiting->pdata[i];
        op->refs++;
        fast_at(host->fast, host->fast->now_ms + 1 + i / 4, host, PROC_CFSD, order, 0, op,
                (GDestroyNotify)op_unref);
    }
    g_ptr_array_unref(waiting);
}

void
cfs_unstall(Fast *fast)
{
    for (guint i = 0; i < fast->count; i++) {
        Host *host = fast->hosts[i];
        if (host->ring != NULL && host->waiting->len > 0 && !is_stalled(fast, host->ring))
            flush_waiting(host);
    }
}

static void op_answer(Op *op, int outcome, int64_t left_ms);

/* What was sent and not ordered: nobody knows. It may have reached the others, or reach them when
 * this node is back (S14). */
static void
lose_waiting(Host *host)
{
    for (guint i = 0; i < host->waiting->len; i++) {
        Op *op = host->waiting->pdata[i];
        if (op->kind == OP_RENEW)
            continue;
        op_answer(op, ANSWER_UNKNOWN, -1);
        if (fast_dice(host->fast, 0, 2) == 0) {
            op->refs++;
            fast_at(host->fast, host->fast->now_ms + fast_dice(host->fast, 0, 10000), NULL, -1,
                    order, 1, op, (GDestroyNotify)op_unref);
        }
    }
    g_ptr_array_set_size(host->waiting, 0);
}

static void
open_ring(Fast *fast, Host *host, uint64_t id, gpointer data)
{
    Ring *ring = NULL;

    for (guint i = 0; i < fast->count; i++) {
        if (fast->hosts[i]->ring != NULL && fast->hosts[i]->ring->id == id)
            ring = fast->hosts[i]->ring;
    }
    if (ring == NULL || is_stalled(fast, ring) || !is_majority(fast, count_answering(fast, ring)))
        return; /* another one will come */
    ring->epoch = ++fast->epoch;
    for (guint i = 0; i < fast->count; i++) {
        Host *member = fast->hosts[i];
        if (!ring->member[i] || !proc_runs(member, PROC_CFSD))
            continue;
        if (member->last_epoch + 1 != ring->epoch) { /* it missed one (S21) */
            member->voter_mono_ms = host_mono(member);
            member->voter_raw_ms = host_now(member).raw_ms;
        }
        member->last_epoch = ring->epoch;
        member->quorate = true;
        show(member, fast->state);
        host_reset_nodes(member);
        flush_waiting(member);
        host_step_soon(member, PROC_LRMD);
        host_step_soon(member, PROC_CRMD);
    }
    fast_say(fast, NULL, "epoch %u open, %u members", (guint)ring->epoch, ring->size);
}

/* Forms a ring of those that @leader can speak with. */
static void
form_ring(Fast *fast, Host *leader, bool *placed)
{
    Ring *ring = g_new0(Ring, 1);
    bool same = true;

    for (guint i = 0; i < fast->count; i++) {
        Host *host = fast->hosts[i];
        ring->member[i] = !placed[i] && speaks(host) && host->procs[PROC_CFSD].alive
                          && !is_cut(fast, leader, host);
        placed[i] = placed[i] || ring->member[i];
        ring->size += ring->member[i];
    }
    for (guint i = 0; i < fast->count; i++) {
        const Ring *old = fast->hosts[i]->ring;
        if (ring->member[i])
            same = same && old != NULL && old == leader->ring
                   && memcmp(old->member, ring->member, sizeof ring->member) == 0 && old->epoch != 0
                   && fast->hosts[i]->quorate;
    }
    if (same || ring->size == 0) {
        g_free(ring);
        return;
    }
    ring->id = ++fast->rings;
    for (guint i = 0; i < fast->count; i++) {
        Host *host = fast->hosts[i];
        if (!ring->member[i])
            continue;
        ring_unref(host->ring);
        host->ring = ring;
        ring->refs++;
        host->quorate = false;
        if (!is_majority(fast, ring->size))
            lose_waiting(host);
        host_step_soon(host, PROC_LRMD);
        host_step_soon(host, PROC_CRMD);
    }
    if (is_majority(fast, ring->size))
        fast_at(fast, fast->now_ms + fast_dice(fast, 30, 150), NULL, -1, open_ring, ring->id, NULL,
                NULL);
}

static void
form_rings(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    bool placed[FAST_HOSTS] = { false };

    for (guint i = 0; i < fast->count; i++) {
        Host *leader = fast->hosts[i];
        if (!placed[i] && speaks(leader) && leader->procs[PROC_CFSD].alive)
            form_ring(fast, leader, placed);
    }
}

void
cfs_topology_soon(Fast *fast, int64_t delay_ms)
{
    fast_at(fast, fast->now_ms + delay_ms, NULL, -1, form_rings, 0, NULL, NULL);
}

/* ------------------------------------------------------------------ calls */

Op *
op_new(Host *host, ProcKind proc, OpKind kind)
{
    Op *op = g_new0(Op, 1);

    op->refs = 1;
    op->kind = kind;
    op->host = host;
    op->proc = proc;
    op->life = host->procs[proc].life;
    return op;
}

void
op_unref(Op *op)
{
    if (--op->refs > 0)
        return;
    ha_commit_free(op->commit);
    g_free(op->lease);
    if (op->task != NULL)
        task_unref(op->task);
    g_free(op);
}

typedef struct {
    Op *op;
    int outcome;
    int64_t left_ms;
    State *state;
} Answer;

static void
answer_free(gpointer data)
{
    Answer *answer = data;

    op_unref(answer->op);
    if (answer->state != NULL)
        state_unref(answer->state);
    g_free(answer);
}

static void
give_answer(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    Answer *answer = data;
    Op *op = answer->op;
    g_autoptr(GError) error = NULL;

    if (answer->state != NULL)
        show(host, answer->state);
    if (op->task != NULL) {
        guest_task_answer(op, answer->outcome);
        return;
    }
    if (op->kind != OP_COMMIT) {
        if (host->procs[op->proc].life == op->life)
            keep_answer(op, answer->outcome, answer->left_ms);
        return;
    }
    if (answer->outcome == ANSWER_CONFLICT)
        q_set_error(&error, Q_ERROR_CONFLICT, "it changed meanwhile");
    else if (answer->outcome == ANSWER_NO_QUORUM)
        q_set_error(&error, Q_ERROR_NO_QUORUM, "no quorum");
    else if (answer->outcome == ANSWER_UNKNOWN)
        q_set_error(&error, Q_ERROR_UNKNOWN, "no answer in time");
    if (op->proc == PROC_CRMD && host->crm != NULL && host->procs[PROC_CRMD].life == op->life)
        crm_committed(host->crm, &host->crm_seat.env, op->commit->id, error);
    else if (op->proc == PROC_LRMD && host->lrm != NULL && host->procs[PROC_LRMD].life == op->life)
        lrm_committed(host->lrm, &host->lrm_seat.env, op->commit->id, error);
}

static void
op_answer(Op *op, int outcome, int64_t left_ms)
{
    Fast *fast = op->host->fast;

    if (op->answered)
        return;
    op->answered = true;
    op->refs++;
    Answer *answer = g_new0(Answer, 1);
    *answer = (Answer){ op, outcome, left_ms, NULL };
    if (outcome == ANSWER_OK && op->kind != OP_RENEW)
        answer->state = state_ref(fast->state);
    if (op->task != NULL) /* a process of its own, which learns of a broken connection too */
        fast_at(fast, fast->now_ms + fast_dice(fast, 1, 8), op->host, -1, give_answer, 0, answer,
                answer_free);
    else if (op->host->procs[op->proc].life == op->life)
        fast_at(fast, fast->now_ms + fast_dice(fast, 1, 8), op->host, (int)op->proc, give_answer, 0,
                answer, answer_free);
    else
        answer_free(answer);
}

static void
time_out(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    Op *op = data;
    op_answer(op, ANSWER_UNKNOWN, -1);
}

void
op_send(Op *op)
{
    Host *host = op->host;
    Fast *fast = host->fast;

    if (!host->procs[PROC_CFSD].alive || (!host->quorate && op->kind != OP_RENEW)) {
        op_answer(op, ANSWER_NO_QUORUM, -1);
        op_unref(op);
        return;
    }
    if (op->kind != OP_RENEW) {
        op->refs++;
        fast_at(fast, fast->now_ms + 10000, NULL, -1, time_out, 0, op, (GDestroyNotify)op_unref);
    }
    fast_at(fast, fast->now_ms + fast_dice(fast, 1, 6), host, PROC_CFSD, order, 0, op,
            (GDestroyNotify)op_unref);
}

/* ------------------------------------------------------------------ conditions and changes */

const HaLeaseView *
cfs_lease(Fast *fast, const char *name)
{
    return g_hash_table_lookup(fast->state->world->leases, name);
}

static bool
holds_at(const HaWorld *world, const char *name, HaGeneration generation)
{
    const HaLeaseView *lease = g_hash_table_lookup(world->leases, name);
    return lease != NULL && lease->state == HA_LEASE_HELD
           && ha_generation_compare(lease->generation, generation) == 0;
}

/* The boot under which a node itself is a member of the open epoch (S34). */
static const char *
boot_of(Fast *fast, const char *node)
{
    for (guint i = 0; i < fast->count; i++) {
        const Host *host = fast->hosts[i];
        if (g_str_equal(host->name, node) && host->ring != NULL && host->ring->epoch == fast->epoch
            && host->quorate)
            return host->boot;
    }
    return NULL;
}

static bool
is_dead(Fast *fast, const HaWorld *world, const HaRun *run)
{
    if (run == NULL)
        return true;
    return ha_proof_of_death(run, ha_world_agent_lease(world, run->node), boot_of(fast, run->node))
           != HA_ALIVE;
}

static bool
recover_holds(Fast *fast, const HaWorld *world, const HaConfig *config, const HaChange *change)
{
    if (config == NULL || config->version != change->version
        || g_strcmp0(config->node, change->from) != 0)
        return false;
    if (!change->fenced)
        return config->run == NULL;
    const HaLeaseView *lease = ha_world_agent_lease(world, change->node);
    return lease != NULL && lease->state == HA_LEASE_FENCED
           && ha_generation_compare(lease->generation, change->generation) == 0
           && is_dead(fast, world, config->run);
}

static bool
has_record(const HaConfig *config, const char *start_id)
{
    return config != NULL && config->run != NULL && g_strcmp0(config->run->start_id, start_id) == 0;
}

static bool
change_holds(Fast *fast, const HaWorld *world, const HaChange *change)
{
    const HaConfig *config =
        change->sid != NULL ? g_hash_table_lookup(world->configs, change->sid) : NULL;
    const HaLeaseView *lease;

    switch (change->kind) {
    case HA_CHANGE_STATUS:
        return change->version == world->status_version;
    case HA_CHANGE_RECOVER:
        return recover_holds(fast, world, config, change);
    case HA_CHANGE_SET_REQUEST:
        return config != NULL && change->version == world->resources_version;
    case HA_CHANGE_COMMANDS:
        return change->version == world->commands_version;
    case HA_CHANGE_GIVE:
        lease = ha_world_agent_lease(world, change->node);
        return lease != NULL && lease->state == HA_LEASE_FENCED
               && ha_generation_compare(lease->generation, change->generation) == 0;
    case HA_CHANGE_GUARD:
    case HA_CHANGE_RUN_CLEAR:
        return has_record(config, change->start_id);
    default:
        return true;
    }
}

static void
apply_change(Fast *fast, HaWorld *world, const HaChange *change)
{
    HaConfig *config =
        change->sid != NULL ? g_hash_table_lookup(world->configs, change->sid) : NULL;

    switch (change->kind) {
    case HA_CHANGE_STATUS:
        ha_status_free(world->status);
        world->status = ha_status_parse(change->text, NULL);
        world->status_version++;
        break;
    case HA_CHANGE_LRM_STATUS:
        g_hash_table_insert(world->lrm, g_strdup(change->node),
                            ha_lrm_status_parse(change->text, NULL));
        break;
    case HA_CHANGE_RECOVER:
        check_recovered(fast, config, change);
        g_free(config->node);
        config->node = g_strdup(change->to);
        config->version++;
        break;
    case HA_CHANGE_SET_REQUEST:
        ha_request_parse(change->text, &config->state);
        world->resources_version++;
        break;
    case HA_CHANGE_COMMANDS:
        g_ptr_array_remove_range(world->commands, 0, (guint)change->count);
        world->commands_version++;
        break;
    case HA_CHANGE_GIVE:
        ((HaLeaseView *)ha_world_agent_lease(world, change->node))->state = HA_LEASE_FREE;
        break;
    case HA_CHANGE_GUARD:
        config->run->guard = change->generation;
        break;
    case HA_CHANGE_RUN_CLEAR:
        g_clear_pointer(&config->run, ha_run_free);
        break;
    default:
        break;
    }
}

static bool
apply_commit(Fast *fast, Op *op, HaWorld *world)
{
    const HaCommit *commit = op->commit;

    if (commit->lease != NULL && !holds_at(world, commit->lease, commit->generation))
        return false;
    for (guint i = 0; i < commit->changes->len; i++) {
        if (!change_holds(fast, world, commit->changes->pdata[i]))
            return false;
    }
    for (guint i = 0; i < commit->changes->len; i++)
        apply_change(fast, world, commit->changes->pdata[i]);
    return true;
}

/* S40: this path, no record that is not dead, HA: the lease at g. */
static bool
apply_run(Fast *fast, Op *op, HaWorld *world)
{
    Task *task = op->task;
    HaConfig *config = g_hash_table_lookup(world->configs, task->sid);
    g_autofree char *name = ha_agent_lease(op->host->name);

    if (config == NULL || g_strcmp0(config->node, op->host->name) != 0
        || !is_dead(fast, world, config->run)
        || (!ha_generation_none(task->generation) && !holds_at(world, name, task->generation)))
        return false;
    ha_run_free(config->run);
    config->run = g_new0(HaRun, 1);
    config->run->node = g_strdup(op->host->name);
    config->run->boot = g_strdup(op->host->boot);
    config->run->start_id = g_strdup(task->start_id);
    config->run->guard = task->generation;
    return true;
}

/* An offline move, refused while a record exists (S45). */
static bool
apply_move(Fast *fast, Op *op, HaWorld *world)
{
    HaConfig *config = g_hash_table_lookup(world->configs, op->task->sid);
    g_autofree char *name = ha_agent_lease(op->host->name);

    if (config == NULL || g_strcmp0(config->node, op->host->name) != 0 || config->run != NULL
        || !holds_at(world, name, op->task->generation))
        return false;
    g_free(config->node);
    config->node = g_strdup(op->task->target);
    config->version++;
    return true;
}

static bool
apply_clear(Op *op, HaWorld *world)
{
    HaConfig *config = g_hash_table_lookup(world->configs, op->task->sid);

    if (config == NULL || config->run == NULL)
        return config != NULL;
    if (!g_str_equal(config->run->start_id, op->task->start_id))
        return false;
    g_clear_pointer(&config->run, ha_run_free);
    return true;
}

/* ------------------------------------------------------------------ leases */

/* S21: this voter has not heard of the holder for L, on its slowest clock. */
static int64_t
left_for(Host *voter, const char *name, HaGeneration generation)
{
    const Heard *heard = g_hash_table_lookup(voter->heard, name);
    int64_t mono = host_mono(voter), raw = host_now(voter).raw_ms;
    int64_t since = MIN(mono - voter->voter_mono_ms, raw - voter->voter_raw_ms);

    if (heard != NULL && ha_generation_compare(heard->generation, generation) == 0)
        since = MIN(since, MIN(mono - heard->mono_ms, raw - heard->raw_ms));
    return voter->fast->timing.lapse_ms - since;
}

static void
learn(Host *voter, const char *name, HaGeneration generation)
{
    Heard *heard = g_new0(Heard, 1);

    *heard = (Heard){ generation, host_mono(voter), host_now(voter).raw_ms };
    g_hash_table_insert(voter->heard, g_strdup(name), heard);
}

static uint64_t
renewed_stamp(Fast *fast, const char *name)
{
    uint64_t *stamp = g_hash_table_lookup(fast->renewed, name);
    return stamp != NULL ? *stamp : 0;
}

static void
set_number(GHashTable *table, const char *name, uint64_t number)
{
    uint64_t *value = g_new(uint64_t, 1);

    *value = number;
    g_hash_table_insert(table, g_strdup(name), value);
}

static void
grant(Fast *fast, Op *op)
{
    State *state = next_state(fast);
    HaLeaseView *view = g_new0(HaLeaseView, 1);
    Ring *ring = op->host->ring;

    view->state = op->kind == OP_FENCE ? HA_LEASE_FENCED : HA_LEASE_HELD;
    view->node = g_strdup(op->kind == OP_FENCE ? "" : op->host->name);
    view->boot = g_strdup(op->host->boot);
    view->generation = (HaGeneration){ ring->epoch, state->sequence };
    g_hash_table_insert(state->world->leases, g_strdup(op->lease), view);
    op->generation = view->generation;
    if (op->kind == OP_TAKE) {
        set_number(fast->lives_by_lease, op->lease, op->life);
        check_granted(fast, op->lease, view->generation, op->host->index);
    }
    for (guint i = 0; i < fast->count; i++) {
        if (ring->member[i] && proc_runs(fast->hosts[i], PROC_CFSD))
            learn(fast->hosts[i], op->lease, view->generation);
    }
    adopt(fast, state);
}

/* Free, of an earlier boot of the same node, or of an earlier crmd there: no vote (S18, S22). */
static bool
needs_no_vote(Fast *fast, Op *op, const HaLeaseView *lease)
{
    if (lease == NULL || lease->state == HA_LEASE_FREE)
        return true;
    if (op->kind == OP_FENCE || lease->state != HA_LEASE_HELD
        || g_strcmp0(lease->node, op->host->name) != 0)
        return false;
    if (g_strcmp0(lease->boot, op->host->boot) != 0)
        return true;
    const uint64_t *life = g_hash_table_lookup(fast->lives_by_lease, op->lease);
    return g_str_equal(op->lease, HA_MANAGER_LEASE) && life != NULL && *life != op->life;
}

static void spread(Fast *fast, Ring *ring);

static void
take(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    Op *op = data;
    const HaLeaseView *lease = cfs_lease(fast, op->lease);
    Ring *ring = host->ring;

    /* Valid only in the view of the vote, and if no renewal came between (S21). */
    if (ring == NULL || ring->id != op->ring || ring->epoch == 0 || is_stalled(fast, ring)
        || !is_majority(fast, count_answering(fast, ring))
        || renewed_stamp(fast, op->lease) != op->stamp || lease == NULL
        || ha_generation_compare(lease->generation, op->generation) != 0) {
        op_answer(op, ANSWER_CONFLICT, 50);
        return;
    }
    grant(fast, op);
    spread(fast, ring);
    op_answer(op, ANSWER_OK, -1);
}

static void
vote(Fast *fast, Op *op, const HaLeaseView *lease)
{
    Ring *ring = op->host->ring;
    guint yes = 0;

    if (lease->state == HA_LEASE_FENCED) {
        if (op->kind == OP_FENCE)
            op_answer(op, ANSWER_OK, -1);
        else
            op_answer(op, ANSWER_CONFLICT, 200);
        return;
    }
    for (guint i = 0; i < fast->count; i++) {
        Host *voter = fast->hosts[i];
        yes += ring->member[i] && proc_runs(voter, PROC_CFSD) && voter->quorate
               && left_for(voter, op->lease, lease->generation) <= 0;
    }
    if (!is_majority(fast, yes)) {
        op_answer(op, ANSWER_CONFLICT, MAX(left_for(op->host, op->lease, lease->generation), 20));
        return;
    }
    op->generation = lease->generation;
    op->ring = ring->id;
    op->stamp = renewed_stamp(fast, op->lease);
    op->refs++;
    fast_at(fast, fast->now_ms + fast_dice(fast, 1, 8), op->host, PROC_CFSD, take, 0, op,
            (GDestroyNotify)op_unref);
}

/* S19: heard by whoever gets it; the holder learns when a majority has. */
static void
renew(Fast *fast, Op *op)
{
    const HaLeaseView *lease = cfs_lease(fast, op->lease);
    Ring *ring = op->host->ring;
    guint heard = 0;

    if (lease == NULL || lease->state != HA_LEASE_HELD
        || ha_generation_compare(lease->generation, op->generation) != 0) {
        op_answer(op, ANSWER_CONFLICT, -1);
        return;
    }
    for (guint i = 0; i < fast->count; i++) {
        if (!ring->member[i] || !proc_runs(fast->hosts[i], PROC_CFSD))
            continue;
        learn(fast->hosts[i], op->lease, op->generation);
        heard++;
    }
    set_number(fast->renewed, op->lease, ++fast->stamps);
    if (!is_majority(fast, heard))
        return;
    check_heard(fast, op->generation, op->sent_ms);
    op_answer(op, ANSWER_OK, -1);
}

static bool
apply_release(Op *op, HaWorld *world)
{
    HaLeaseView *lease = g_hash_table_lookup(world->leases, op->lease);

    if (lease == NULL || !holds_at(world, op->lease, op->generation))
        return false;
    lease->state = HA_LEASE_FREE;
    return true;
}

/* ------------------------------------------------------------------ order */

static void
shown(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    show(host, data);
}

static void
spread(Fast *fast, Ring *ring)
{
    for (guint i = 0; i < fast->count; i++) {
        if (ring->member[i] && fast->hosts[i]->procs[PROC_CFSD].alive)
            fast_at(fast, fast->now_ms + fast_dice(fast, 1, 6), fast->hosts[i], PROC_CFSD, shown, 0,
                    state_ref(fast->state), (GDestroyNotify)state_unref);
    }
}

static void
update(Fast *fast, Op *op)
{
    State *state = next_state(fast);
    bool done = false;

    switch (op->kind) {
    case OP_COMMIT:
        done = apply_commit(fast, op, state->world);
        break;
    case OP_RELEASE:
        done = apply_release(op, state->world);
        break;
    case OP_RUN:
        done = apply_run(fast, op, state->world);
        break;
    case OP_RUN_CLEAR:
        done = apply_clear(op, state->world);
        break;
    case OP_MOVE:
        done = apply_move(fast, op, state->world);
        break;
    default:
        break;
    }
    if (done)
        adopt(fast, state);
    else
        state_unref(state);
    op->ordered = true;
    op_answer(op, done ? ANSWER_OK : ANSWER_CONFLICT, -1);
}

/* A ring in which updates flow now, with a majority at work; NULL: none. */
static Ring *
open_majority(Fast *fast)
{
    for (guint i = 0; i < fast->count; i++) {
        Ring *ring = fast->hosts[i]->ring;
        if (ring != NULL && ring->member[i] && ring->epoch != 0 && ring->epoch == fast->epoch
            && fast->hosts[i]->quorate && !is_stalled(fast, ring)
            && is_majority(fast, count_answering(fast, ring)))
            return ring;
    }
    return NULL;
}

/* @number 1: a message that was on its way when its sender was cut off, and arrives all the same.
 */
static void
order(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    Op *op = data;

    if (number == 1) {
        Ring *ring = open_majority(fast);
        if (ring != NULL && !op->ordered && op->kind != OP_TAKE && op->kind != OP_FENCE) {
            update(fast, op);
            spread(fast, ring);
        }
        return;
    }
    Ring *ring = host->ring;
    bool open = ring != NULL && ring->epoch != 0 && ring->epoch == fast->epoch
                && is_majority(fast, count_answering(fast, ring));
    if (ring == NULL || is_stalled(fast, ring) || (!open && op->kind != OP_RENEW)) {
        if (host->waiting->len < 64) {
            op->refs++;
            g_ptr_array_add(host->waiting, op);
        }
        return;
    }
    if (op->kind == OP_RENEW) {
        renew(fast, op);
        return;
    }
    if (op->answered && op->kind != OP_COMMIT && op->kind != OP_RUN)
        return;
    if (op->kind == OP_TAKE || op->kind == OP_FENCE) {
        const HaLeaseView *lease = cfs_lease(fast, op->lease);
        if (!needs_no_vote(fast, op, lease)) {
            vote(fast, op, lease);
            return;
        }
        grant(fast, op);
        op_answer(op, ANSWER_OK, -1);
    } else {
        update(fast, op);
    }
    spread(fast, ring);
}

/* What an administrator does: committed where a majority is; without one it does not happen. */
void
cfs_edit(Fast *fast, void (*edit)(HaWorld *world, gpointer data), gpointer data)
{
    Ring *ring = open_majority(fast);

    if (ring == NULL && fast->epoch > 0)
        return;
    State *state = next_state(fast);
    edit(state->world, data);
    adopt(fast, state);
    if (ring != NULL)
        spread(fast, ring);
}

void
cfs_begin(Fast *fast)
{
    fast->state = g_new0(State, 1);
    fast->state->refs = 1;
    fast->state->world = ha_world_new();
    fast->state->world->status = ha_status_new();
    fast->state->world->datacenter = ha_datacenter_new(fast->options->profile);
}
