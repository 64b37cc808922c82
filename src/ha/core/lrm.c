#include "ha/core/lrm_priv.h"
#include <string.h>

/* The states of the local manager (ha.md 12), and what each of them does. */

static const char *const state_names[] = { "wait_for_agent_lock", "active", "lost_agent_lock",
                                           "maintenance" };

void
lrm_emit(HaEnv *env, HaEvent *event)
{
    env->emit(env, event);
    ha_event_free(event);
}

static void
report(HaEnv *env, const char *text)
{
    lrm_emit(env, ha_event_new(HA_EVENT_REPORT, HA_F_TEXT, text, HA_F_END));
}

Lrm *
lrm_new(HaEnv *env)
{
    Lrm *lrm = g_new0(Lrm, 1);

    lrm->workers = g_ptr_array_new_with_free_func(worker_free);
    lrm->retries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    lrm->gate_moves = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    lrm->status = ha_lrm_status_new();
    lrm->dirty = true;
    lrm_emit(env, ha_event_new(HA_EVENT_LRM_STATUS, HA_F_FROM, "startup", HA_F_TO,
                               state_names[lrm->state], HA_F_END));
    return lrm;
}

void
lrm_free(Lrm *lrm)
{
    if (lrm == NULL)
        return;
    ha_status_free(lrm->view);
    g_ptr_array_unref(lrm->workers);
    g_hash_table_unref(lrm->retries);
    g_hash_table_unref(lrm->gate_moves);
    ha_lrm_status_free(lrm->status);
    g_free(lrm);
}

int64_t
lrm_wake_ms(const Lrm *lrm)
{
    return lrm->wake_ms;
}

bool
lrm_left(const Lrm *lrm)
{
    return lrm->left;
}

const char *
lrm_state(const Lrm *lrm)
{
    return state_names[lrm->state];
}

HaMode
lrm_mode(const Lrm *lrm)
{
    return lrm->mode;
}

HaGeneration
lrm_generation(const Lrm *lrm)
{
    return lrm->has_lease ? lrm->lease.generation : (HaGeneration){ 0, 0 };
}

HaTime
lrm_deadline(const Lrm *lrm)
{
    return lrm->promised;
}

void
lrm_set_state(Lrm *lrm, HaEnv *env, LrmState state)
{
    lrm_emit(env, ha_event_new(HA_EVENT_LRM_STATUS, HA_F_FROM, state_names[lrm->state], HA_F_TO,
                               state_names[state], HA_F_END));
    if (state == LRM_LOST_AGENT_LOCK)
        lrm->lost_since = env->now(env);
    lrm->state = state;
    lrm->idle_rounds = 0;
    lrm->dirty = true;
}

static void
set_mode(Lrm *lrm, HaMode mode)
{
    lrm->dirty = lrm->dirty || lrm->mode != mode;
    lrm->mode = mode;
}

/* ------------------------------------------------------------------ status file and view */

/*
 * Whether the committed status says what ours does. A write whose outcome was unknown may come
 * after a newer one (S14), so what was written once is looked at again.
 */
static bool
is_on_file(const Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    const HaLrmStatus *filed = g_hash_table_lookup(world->lrm, env->node);
    GHashTableIter iter;
    gpointer uid, value;

    if (filed == NULL || filed->mode != lrm->mode
        || g_strcmp0(filed->state, state_names[lrm->state]) != 0
        || g_hash_table_size(filed->results) != g_hash_table_size(lrm->status->results))
        return false;
    g_hash_table_iter_init(&iter, lrm->status->results); /* all of them: in any order */
    while (g_hash_table_iter_next(&iter, &uid, &value)) {
        const HaResult *ours = value, *theirs = g_hash_table_lookup(filed->results, uid);
        if (theirs == NULL || theirs->rc != ours->rc || theirs->state != ours->state)
            return false;
    }
    return true;
}

/* Returns: false: it could not be written. Said if it is the storage's fault. */
static bool
write_status(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    g_autoptr(GError) error = NULL;

    if (!world->quorate)
        return false;
    /* Gone with the tree that it was written to: this node has joined another cluster since. */
    if (!env->timing->classic && world->error == NULL
        && !g_hash_table_contains(world->lrm, env->node))
        lrm->dirty = true;
    if (!env->timing->classic) {
        if (lrm->status_commit != 0 || world->error != NULL)
            return lrm->status_commit != 0;
        if (!lrm->dirty && is_on_file(lrm, env, world))
            return true;
    }
    g_free(lrm->status->state);
    lrm->status->state = g_strdup(state_names[lrm->state]);
    lrm->status->mode = lrm->mode;
    lrm->status->timestamp_s = world->wall_s;

    g_autoptr(HaCommit) commit = ha_commit_new(NULL, (HaGeneration){ 0, 0 });
    HaChange *change = ha_commit_add(commit, HA_CHANGE_LRM_STATUS, NULL);
    commit->id = ++lrm->commits;
    change->node = g_strdup(env->node);
    change->text = ha_lrm_status_text(lrm->status);
    HaOutcome outcome = env->commit(env, commit, &error);
    if (outcome == HA_REFUSED) {
        lrm_emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "write-lrm-status", HA_F_TEXT,
                                   env->timing->classic ? NULL : error->message, HA_F_END));
        return false;
    }
    if (outcome == HA_PENDING)
        lrm->status_commit = commit->id;
    lrm->dirty = false;
    return true;
}

/* What the master wants of this node. Returns: false: it cannot be read; the old view stays. */
static bool
refresh_view(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    if (world->error != NULL) {
        if (env->timing->classic)
            lrm_emit(env,
                     ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "update-service-status", HA_F_END));
        return false;
    }
    if (lrm->view == NULL || lrm->view_version != world->status_version) {
        ha_status_free(lrm->view);
        lrm->view = ha_status_copy(world->status);
        lrm->view_version = world->status_version;
    }
    lrm->node_state = ha_status_node(lrm->view, env->node);
    if (lrm->shutdown_requested)
        return true;
    if (g_hash_table_contains(lrm->view->requests, env->node))
        set_mode(lrm, HA_MODE_MAINTENANCE);
    else if (lrm->view->disarm_mode != NULL)
        set_mode(lrm, HA_MODE_DISARM);
    else if (lrm->mode == HA_MODE_MAINTENANCE || lrm->mode == HA_MODE_DISARM)
        set_mode(lrm, HA_MODE_ACTIVE);
    return true;
}

static bool
is_at(const HaService *service, const char *node)
{
    return g_strcmp0(service->node, node) == 0;
}

static int
count_active(Lrm *lrm, HaEnv *env)
{
    GHashTableIter iter;
    gpointer value;
    int count = 0;

    if (lrm->view == NULL)
        return 0;
    g_hash_table_iter_init(&iter, lrm->view->services); /* counting: in any order */
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const HaService *service = value;
        if ((is_at(service, env->node) || g_strcmp0(service->target, env->node) == 0)
            && service->state != HA_STATE_STOPPED && service->state != HA_STATE_FREEZE
            && service->state != HA_STATE_ERROR && service->state != HA_STATE_REQUEST_START)
            count++;
    }
    return count;
}

static bool
has_any_service(Lrm *lrm, HaEnv *env)
{
    GHashTableIter iter;
    gpointer value;

    if (lrm->view == NULL)
        return false;
    g_hash_table_iter_init(&iter, lrm->view->services); /* any: the order does not matter */
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (is_at(value, env->node))
            return true;
    }
    return false;
}

/*
 * The classic master may fence a node that still works, which then has to notice. Else fencing
 * begins where the lease has ended, and the lease itself tells.
 */
static bool
fence_requested(Lrm *lrm, HaEnv *env)
{
    GHashTableIter iter;
    gpointer value;

    if (!env->timing->classic || lrm->view == NULL)
        return false;
    if (lrm->node_state == HA_NODE_FENCE)
        return true;
    g_hash_table_iter_init(&iter, lrm->view->services); /* any: the order does not matter */
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (is_at(value, env->node) && ((HaService *)value)->state == HA_STATE_FENCE)
            return true;
    }
    return false;
}

/* ------------------------------------------------------------------ transitions (12.2) */

static void
from_active(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    if (fence_requested(lrm, env)) {
        report(env, "this node is to be fenced");
        lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    } else if (!lrm_hold(lrm, env, world)) {
        lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    } else if (lrm->mode == HA_MODE_MAINTENANCE) {
        lrm_set_state(lrm, env, LRM_MAINTENANCE);
    } else if (lrm->mode == HA_MODE_DISARM && !lrm_run_workers(lrm, env, world)) {
        if (!lrm_release(lrm, env, world))
            return;
        lrm_emit(env, ha_event_new(HA_EVENT_LRM_DISARMED, HA_F_MAINTENANCE, 0, HA_F_END));
        lrm_set_state(lrm, env, LRM_WAIT_FOR_AGENT_LOCK);
    } else if (has_any_service(lrm, env) || lrm_run_workers(lrm, env, world)) {
        lrm->idle_rounds = 0;
    } else {
        lrm->idle_rounds += lrm->counts;
        if (lrm->idle_rounds <= env->timing->lrm_idle_rounds || !lrm_release(lrm, env, world))
            return;
        lrm_emit(env, ha_event_new(HA_EVENT_LRM_IDLE, HA_F_ROUNDS, env->timing->lrm_idle_rounds,
                                   HA_F_END));
        lrm_set_state(lrm, env, LRM_WAIT_FOR_AGENT_LOCK);
    }
}

static void
from_maintenance(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    int active = count_active(lrm, env);
    bool busy = lrm->workers->len > 0;

    if (fence_requested(lrm, env)) {
        report(env, "this node is to be fenced");
        lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    } else if (lrm->mode == HA_MODE_DISARM && active == 0 && !busy) {
        if (!lrm_release(lrm, env, world))
            return;
        lrm_emit(env, ha_event_new(HA_EVENT_LRM_DISARMED, HA_F_MAINTENANCE, 1, HA_F_END));
        lrm_set_state(lrm, env, LRM_WAIT_FOR_AGENT_LOCK);
    } else if ((active > 0 || busy) && !lrm_hold(lrm, env, world)) {
        if (env->timing->classic || lrm->ending)
            lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    } else if (lrm->mode != HA_MODE_MAINTENANCE) {
        if (lrm_hold(lrm, env, world))
            lrm_set_state(lrm, env, LRM_ACTIVE);
        else if (env->timing->classic || lrm->ending)
            lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    }
}

static void
transition(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    switch (lrm->state) {
    case LRM_WAIT_FOR_AGENT_LOCK:
        if (lrm->mode != HA_MODE_DISARM && !fence_requested(lrm, env) && count_active(lrm, env) > 0
            && world->quorate && lrm_hold(lrm, env, world))
            lrm_set_state(lrm, env, LRM_ACTIVE);
        break;
    case LRM_LOST_AGENT_LOCK:
        if (!fence_requested(lrm, env) && world->quorate && lrm_hold(lrm, env, world))
            lrm_set_state(lrm, env, LRM_ACTIVE);
        break;
    case LRM_ACTIVE:
        from_active(lrm, env, world);
        break;
    case LRM_MAINTENANCE:
        from_maintenance(lrm, env, world);
        break;
    }
}

/* ------------------------------------------------------------------ work (12.3) */

static void
leave_active(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    bool busy = lrm_run_workers(lrm, env, world);

    if (lrm->mode == HA_MODE_RESTART) {
        if (count_active(lrm, env) > 0 || busy || !lrm_release(lrm, env, world))
            return;
        lrm->left = true;
    } else if (!busy) {
        /* A guest that did not stop keeps the watchdog armed: the reset ends it. */
        if (!lrm->stop_failed && !lrm_release(lrm, env, world))
            return;
        lrm->left = true;
    }
}

static void
work_active(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    if (!refresh_view(lrm, env, world)) {
        /* nothing new to carry out */
    } else if (lrm->shutdown_requested) {
        leave_active(lrm, env, world);
    } else if (!world->updated) {
        lrm_emit(env, ha_event_new(HA_EVENT_ROUND_INCONSISTENT, HA_F_END));
    } else if (lrm->mode != HA_MODE_DISARM || env->timing->classic) {
        lrm_queue_services(lrm, env, world);
        lrm_run_workers(lrm, env, world);
        lrm_keep_records(lrm, env, world);
    }
    write_status(lrm, env, world);
}

static void
work_lost(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    int active = count_active(lrm, env);

    if (!env->timing->classic)
        write_status(lrm, env, world);
    if (!lrm->shutdown_requested || lrm->ending)
        return;
    if (active > 0) {
        if (env->timing->classic || lrm->counts)
            lrm_emit(env, ha_event_new(HA_EVENT_SHUTDOWN_BLOCKED, HA_F_SERVICES, active, HA_F_END));
        if (lrm->mode == HA_MODE_RESTART
            && ha_elapsed_ms(lrm->lost_since, env->now(env)) > env->timing->lost_give_up_ms) {
            report(env, "the lease does not come back, leaving without it");
            lrm->left = true;
        }
    } else if (lrm_release(lrm, env, world)) {
        lrm->left = true;
    }
}

static void
work_maintenance(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    if (refresh_view(lrm, env, world)) {
        if (count_active(lrm, env) == 0 && lrm->workers->len == 0 && lrm_release(lrm, env, world)
            && lrm->shutdown_requested) {
            write_status(lrm, env, world);
            lrm->left = true;
            return;
        }
        lrm_queue_services(lrm, env, world);
        lrm_run_workers(lrm, env, world);
        lrm_keep_records(lrm, env, world);
    }
    write_status(lrm, env, world);
}

static void
work(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    switch (lrm->state) {
    case LRM_WAIT_FOR_AGENT_LOCK:
        if (lrm->shutdown_requested)
            lrm->left = true;
        else
            write_status(lrm, env, world);
        break;
    case LRM_ACTIVE:
        work_active(lrm, env, world);
        break;
    case LRM_LOST_AGENT_LOCK:
        work_lost(lrm, env, world);
        break;
    case LRM_MAINTENANCE:
        work_maintenance(lrm, env, world);
        break;
    }
}

/* ------------------------------------------------------------------ a step */

static bool
count_round(Lrm *lrm, HaEnv *env)
{
    HaTime now = env->now(env);

    if (!env->timing->classic && lrm->has_counted
        && ha_elapsed_ms(lrm->counted, now) < env->timing->round_ms)
        return false;
    lrm->counted = now;
    lrm->has_counted = true;
    return true;
}

void
lrm_step(Lrm *lrm, HaEnv *env)
{
    const HaWorld *world = env->read(env);

    if (lrm->left)
        return;
    lrm->wake_ms = env->now(env).boot_ms
                   + (env->timing->classic ? env->timing->round_ms
                                           : MIN(env->timing->round_ms, env->timing->renew_ms));
    lrm->counts = count_round(lrm, env);
    if (!env->timing->classic) {
        lrm_keep(lrm, env, world);
        if (lrm->ending && (lrm->state == LRM_ACTIVE || lrm->state == LRM_MAINTENANCE))
            lrm_set_state(lrm, env, LRM_LOST_AGENT_LOCK);
    } else if (!lrm->written) {
        lrm->written = write_status(lrm, env, world);
        if (!lrm->written) {
            lrm->left = lrm->shutdown_requested;
            return;
        }
    }
    refresh_view(lrm, env, world);
    transition(lrm, env, world);
    work(lrm, env, world);
}

void
lrm_committed(Lrm *lrm, HaEnv *env, uint64_t id, const GError *error)
{
    if (id == lrm->records_commit) {
        /* Whatever came of it: the snapshot tells, and what is missing is asked for again. */
        lrm->records_commit = 0;
    } else if (id == lrm->status_commit) {
        lrm->status_commit = 0;
        if (error != NULL) {
            lrm->dirty = true;
            /* Without quorum this would be said each second; it is no news then. */
            if (!g_error_matches(error, Q_ERROR, Q_ERROR_NO_QUORUM))
                lrm_emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "write-lrm-status",
                                           HA_F_TEXT, error->message, HA_F_END));
        }
    }
    lrm_step(lrm, env);
}

/* ------------------------------------------------------------------ shutdown (12.6) */

static void
plan_shutdown(Lrm *lrm, HaEnv *env, const char *policy)
{
    bool reboot = lrm->shutdown == HA_SHUTDOWN_REBOOT;
    bool migrate = g_str_equal(policy, "migrate");
    bool freeze =
        g_str_equal(policy, "freeze") || (reboot && !migrate && !g_str_equal(policy, "failover"));
    const char *kind = reboot ? "reboot" : "shutdown", *plan, *ignored = NULL;

    lrm_emit(env, ha_event_new(HA_EVENT_SHUTDOWN_REQUESTED, HA_F_POLICY, policy, HA_F_END));
    if (!migrate)
        lrm_queue_stops(lrm, env);
    if (lrm->mode == HA_MODE_MAINTENANCE) {
        plan = "keep-maintenance";
        ignored = policy;
    } else if (migrate) {
        plan = "maintenance";
        set_mode(lrm, HA_MODE_MAINTENANCE);
    } else if (freeze) {
        plan = "stop-and-freeze";
        set_mode(lrm, HA_MODE_RESTART);
    } else {
        plan = "stop";
        kind = "shutdown";
        set_mode(lrm, HA_MODE_SHUTDOWN);
    }
    lrm_emit(env, ha_event_new(HA_EVENT_SHUTDOWN_PLAN, HA_F_KIND, kind, HA_F_IGNORED, ignored,
                               HA_F_PLAN, plan, HA_F_END));
}

void
lrm_shutdown(Lrm *lrm, HaEnv *env, HaShutdown kind)
{
    if (lrm->shutdown_requested)
        return;
    const HaWorld *world = env->read(env);
    lrm->shutdown_requested = true;
    lrm->shutdown = kind;
    if (kind != HA_SHUTDOWN_DAEMON) {
        plan_shutdown(lrm, env,
                      world->datacenter != NULL ? world->datacenter->shutdown_policy
                                                : "conditional");
    } else if (lrm->mode == HA_MODE_MAINTENANCE) {
        report(env, "restart in maintenance: it waits until all services have moved away");
    } else {
        lrm_emit(env, ha_event_new(HA_EVENT_SHUTDOWN_PLAN, HA_F_KIND, "restart", HA_F_PLAN,
                                   "freeze", HA_F_END));
        set_mode(lrm, HA_MODE_RESTART);
    }
    write_status(lrm, env, world);
}
