#include "sim/fast_priv.h"
#include <string.h>

/* The managers' window in the fast world. */

static HaTime
env_now(HaEnv *env)
{
    return host_now(((Seat *)env)->host);
}

void
host_reset_nodes(Host *host)
{
    Fast *fast = host->fast;

    for (guint i = 0; i < fast->count; i++) {
        const Host *other = fast->hosts[i];
        HaNode *node = g_hash_table_lookup(host->nodes, other->name);
        if (node == NULL) {
            node = g_new0(HaNode, 1);
            node->name = g_strdup(other->name);
            node->weight = 1;
            g_hash_table_insert(host->nodes, g_strdup(other->name), node);
        }
        node->online = host->ring != NULL && host->ring->member[i];
        if (node->online) {
            g_free(node->boot);
            node->boot = g_strdup(other->boot);
        }
    }
}

static const HaWorld *
env_read(HaEnv *env)
{
    Seat *seat = (Seat *)env;
    Host *host = seat->host;
    HaWorld *seen = &seat->seen;

    if (host->visible != NULL)
        *seen = *host->visible->world; /* its tables are borrowed and never change */
    seen->nodes = host->nodes;
    seen->error = NULL;
    if (!host->procs[PROC_CFSD].alive || host->visible == NULL)
        seen->error = (char *)"cfsd does not answer";
    seen->quorate = host->quorate && host->procs[PROC_CFSD].alive && host->visible != NULL;
    seen->updated = true;
    seen->boot = host->boot;
    seen->wall_s = host->fast->now_ms / 1000;
    seen->local = &host->local;
    if (seat->proc == PROC_LRMD) {
        guest_refresh_local(host);
        host->local.watchdog_open = host->client.armed;
        host->local.owner = host->file_owner;
        host->local.deadline = host->file_deadline;
    }
    return seen;
}

/* ------------------------------------------------------------------ leases (what ha/keeper.c does)
 */

static void
keep_clear(Keep *keep)
{
    char *name = keep->name;
    uint64_t grant = keep->grant;

    *keep = (Keep){ .name = name, .grant = grant + 1 };
}

static void
keep_call(Seat *seat, Keep *keep, OpKind kind)
{
    Op *op = op_new(seat->host, seat->proc, kind);

    op->lease = g_strdup(keep->name);
    op->generation = keep->generation;
    op->sent = host_now(seat->host); /* S19: read before it is handed over */
    op->sent_ms = seat->fast->now_ms;
    op->grant = keep->grant;
    op->keep = keep;
    op_send(op);
}

static void
again(Fast *fast, Host *host, uint64_t proc, gpointer data)
{
    host_step_soon(host, proc);
}

static void
ask_again(Op *op, int64_t wait_ms)
{
    Fast *fast = op->host->fast;

    wait_ms = CLAMP(wait_ms, 20, 500);
    op->keep->again_ms = fast->now_ms + wait_ms;
    fast_at(fast, op->keep->again_ms + 1, op->host, (int)op->proc, again, op->proc, NULL, NULL);
}

void
keep_answer(Op *op, int outcome, int64_t left_ms)
{
    Keep *keep = op->keep;
    HaTime now = host_now(op->host); /* S20: before the answer is believed */

    if (keep->grant != op->grant)
        return;
    if (op->kind == OP_TAKE || op->kind == OP_FENCE) {
        if (keep->state != KEEP_TAKING)
            return;
        keep->state = KEEP_IDLE;
        keep->left_ms = left_ms;
        if (outcome == ANSWER_OK) {
            keep->state = KEEP_HELD;
            keep->generation = op->generation;
            keep->any_heard = false;
            keep->sent_ms = 0;
            keep->grant++;
        } else {
            ask_again(op, left_ms > 0 ? left_ms + 20 : 200);
        }
    } else if (op->kind == OP_RENEW && keep->state == KEEP_HELD) {
        if (keep->any_heard
            && ha_elapsed_ms(keep->heard, now) >= op->host->fast->timing.local_end_ms) {
            keep->state = KEEP_OVER;
        } else if (outcome == ANSWER_OK
                   && (!keep->any_heard || op->sent.boot_ms > keep->heard.boot_ms)) {
            keep->heard = op->sent;
            keep->any_heard = true;
        } else if (outcome == ANSWER_CONFLICT) {
            keep->state = KEEP_OVER;
        }
    } else if (op->kind == OP_RELEASE && keep->state == KEEP_RELEASING) {
        if (outcome == ANSWER_OK || outcome == ANSWER_CONFLICT)
            keep_clear(keep);
        else
            ask_again(op, 500);
    }
    host_step_soon(op->host, op->proc);
}

/* S18: a lease of this boot goes on, if watchdogd knows its deadline and less than K has passed. */
static void
adopt_lease(Seat *seat, Keep *keep)
{
    Host *host = seat->host;
    const HaLeaseView *lease = host->visible != NULL
                                   ? g_hash_table_lookup(host->visible->world->leases, keep->name)
                                   : NULL;
    HaTime heard = ha_time_after(host->file_deadline, -(int64_t)seat->fast->timing.fires_ms);

    if (lease == NULL || lease->state != HA_LEASE_HELD || !g_str_equal(lease->node, host->name)
        || !g_str_equal(lease->boot, host->boot)
        || ha_generation_compare(lease->generation, host->file_owner) != 0)
        return;
    g_autofree char *gate = ha_generation_text(lease->generation);
    if (!g_hash_table_contains(host->gates, gate)
        || ha_elapsed_ms(heard, host_now(host)) >= seat->fast->timing.local_end_ms)
        return;
    keep->state = KEEP_HELD;
    keep->generation = lease->generation;
    keep->any_heard = true;
    keep->heard = heard;
}

/* A new generation declares the guests of old ones dead (S34): their gates must be gone first. */
static bool
old_gates_are_gone(Host *host)
{
    g_autoptr(GPtrArray) gates = q_sorted_keys(host->gates);
    HaGeneration generation;

    for (guint i = 0; i < gates->len; i++) {
        g_autofree char *gate = g_strdup(gates->pdata[i]);
        if (ha_generation_parse(gate, &generation))
            client_guard(host, HA_GUARD_END, generation, (HaTime){ 0, 0 });
    }
    return gates->len == 0;
}

/* The gate of a generation is made once; one that was ended stays ended. */
static void
open_gate(Host *host, HaGeneration generation)
{
    char *gate = ha_generation_text(generation);

    if (g_hash_table_contains(host->ending, gate))
        g_free(gate);
    else
        g_hash_table_add(host->gates, gate);
}

static HaOutcome
hold(Seat *seat, Keep *keep, HaLease *lease)
{
    Host *host = seat->host;
    Fast *fast = seat->fast;
    bool agent = seat->proc == PROC_LRMD;

    if (keep->state == KEEP_IDLE && agent)
        adopt_lease(seat, keep);
    if (keep->state == KEEP_IDLE) {
        if (fast->now_ms < keep->again_ms) {
            lease->left_ms = keep->left_ms;
            return HA_REFUSED;
        }
        if (agent && (!host->client.armed || !old_gates_are_gone(host)))
            return HA_REFUSED;
        keep->state = KEEP_TAKING;
        keep_call(seat, keep, OP_TAKE);
        return HA_PENDING;
    }
    if (keep->state == KEEP_RELEASING && keep->again_ms != 0 && fast->now_ms >= keep->again_ms) {
        keep->again_ms = 0;
        keep_call(seat, keep, OP_RELEASE);
    }
    if (keep->state != KEEP_HELD)
        return keep->state == KEEP_OVER ? HA_REFUSED : HA_PENDING;
    if ((lease->renew || !keep->any_heard) && fast->now_ms - keep->sent_ms >= 100) {
        keep->sent_ms = fast->now_ms;
        keep_call(seat, keep, OP_RENEW);
    }
    lease->generation = keep->generation;
    lease->heard = keep->heard;
    if (!keep->any_heard)
        return HA_PENDING;
    if (agent)
        open_gate(host, keep->generation);
    return HA_DONE;
}

static HaOutcome
fence(Seat *seat, const char *name, HaLease *lease)
{
    Keep *keep = g_hash_table_lookup(seat->fences, name);
    const HaLeaseView *view = seat->host->visible != NULL
                                  ? g_hash_table_lookup(seat->host->visible->world->leases, name)
                                  : NULL;

    if (view != NULL && view->state == HA_LEASE_FENCED) {
        lease->generation = view->generation;
        return HA_DONE;
    }
    if (keep == NULL) {
        keep = g_new0(Keep, 1);
        keep->name = g_strdup(name);
        g_hash_table_insert(seat->fences, g_strdup(name), keep);
    }
    if (keep->state == KEEP_TAKING)
        return HA_PENDING;
    if (seat->fast->now_ms < keep->again_ms) {
        lease->left_ms = keep->left_ms;
        return HA_REFUSED;
    }
    keep->state = KEEP_TAKING;
    keep_call(seat, keep, OP_FENCE);
    return HA_PENDING;
}

static HaOutcome
env_lease_hold(HaEnv *env, const char *name, HaLease *lease)
{
    Seat *seat = (Seat *)env;

    return g_str_equal(name, seat->lease.name) ? hold(seat, &seat->lease, lease)
                                               : fence(seat, name, lease);
}

static HaOutcome
env_lease_release(HaEnv *env, const char *name, HaGeneration generation)
{
    Seat *seat = (Seat *)env;
    Keep *keep = &seat->lease;

    /* Whatever becomes of it, this process goes on without. */
    keep->grant++;
    keep->state = KEEP_RELEASING;
    keep->again_ms = 0;
    keep->generation = generation;
    keep_call(seat, keep, OP_RELEASE);
    return HA_PENDING;
}

/* ------------------------------------------------------------------ effects */

static HaOutcome
env_guard(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline)
{
    return client_guard(((Seat *)env)->host, verb, generation, deadline);
}

static HaCommit *
copy_commit(const HaCommit *commit)
{
    HaCommit *copy = ha_commit_new(commit->lease, commit->generation);

    copy->id = commit->id;
    for (guint i = 0; i < commit->changes->len; i++) {
        const HaChange *from = commit->changes->pdata[i];
        HaChange *to = ha_commit_add(copy, from->kind, from->sid);
        to->node = g_strdup(from->node);
        to->from = g_strdup(from->from);
        to->to = g_strdup(from->to);
        to->text = g_strdup(from->text);
        to->start_id = g_strdup(from->start_id);
        to->version = from->version;
        to->count = from->count;
        to->fenced = from->fenced;
        to->generation = from->generation;
    }
    return copy;
}

static HaOutcome
env_commit(HaEnv *env, const HaCommit *commit, GError **error)
{
    Seat *seat = (Seat *)env;

    if (!seat->host->procs[PROC_CFSD].alive || !seat->host->quorate) {
        q_set_error(error, Q_ERROR_NO_QUORUM, "no quorum");
        return HA_REFUSED;
    }
    Op *op = op_new(seat->host, seat->proc, OP_COMMIT);
    op->commit = copy_commit(commit);
    op_send(op);
    return HA_PENDING;
}

static void
env_emit(HaEnv *env, const HaEvent *event)
{
    Seat *seat = (Seat *)env;

    if (seat->fast->options->trace == NULL)
        return;
    g_autofree char *by =
        g_strdup_printf("%s/%s", seat->host->name, seat->proc == PROC_CRMD ? "crm" : "lrm");
    fast_trace(seat->fast, by, event);
}

static void
keep_free(gpointer data)
{
    Keep *keep = data;

    g_free(keep->name);
    g_free(keep);
}

void
seat_init(Seat *seat, Host *host, ProcKind proc)
{
    seat->env = (HaEnv){
        .node = host->name,
        .timing = &host->fast->timing,
        .now = env_now,
        .read = env_read,
        .lease_hold = env_lease_hold,
        .lease_release = env_lease_release,
        .guard = env_guard,
        .commit = env_commit,
        .submit = guest_submit,
        .emit = env_emit,
    };
    seat->fast = host->fast;
    seat->host = host;
    seat->proc = proc;
    seat->lease.name = proc == PROC_CRMD ? g_strdup(HA_MANAGER_LEASE) : ha_agent_lease(host->name);
    seat->fences = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, keep_free);
}

void
seat_reset(Seat *seat)
{
    keep_clear(&seat->lease);
    g_hash_table_remove_all(seat->fences);
}

void
seat_clear(Seat *seat)
{
    g_free(seat->lease.name);
    g_hash_table_unref(seat->fences);
}

/* ------------------------------------------------------------------ reconciliation (S43) */

static void
clear_record(Host *host, const HaConfig *config)
{
    Op *op = op_new(host, PROC_LRMD, OP_RUN_CLEAR);
    Task *task = g_new0(Task, 1);

    task->refs = 1;
    task->host = host;
    task->sid = g_strdup(config->sid);
    task->start_id = g_strdup(config->run->start_id);
    task->dead = true; /* nobody waits for it */
    op->task = task;
    op_send(op);
}

/* At start, in each new epoch, each minute: what runs here and what is on record. */
void
host_reconcile(Host *host)
{
    Fast *fast = host->fast;
    int64_t since_ms = fast->now_ms - host->reconciled_ms;

    if (!host->quorate || host->visible == NULL || (host->reconciled_ms != 0 && since_ms < 60000))
        return;
    host->reconciled_ms = fast->now_ms;
    guest_refresh_local(host);
    const HaWorld *world = host->visible->world;
    g_autoptr(GPtrArray) sids = q_sorted_keys(world->configs);
    for (guint i = 0; i < sids->len; i++) {
        const HaConfig *config = g_hash_table_lookup(world->configs, sids->pdata[i]);
        const HaRun *run = config->run;
        Qemu *qemu = guest_find(host, config->sid);
        bool own = run != NULL && g_str_equal(run->node, host->name);
        if (own
            && (!g_str_equal(run->boot, host->boot)
                || !g_hash_table_contains(host->local.gates, config->sid)))
            clear_record(host, config);
        if (qemu != NULL && (!own || !g_str_equal(run->start_id, qemu->start_id)))
            guest_die(qemu, true);
    }
}
