#include "ha/core/crm_priv.h"
#include <string.h>

/* The states of the cluster manager (ha.md 4), and how a round is committed. */

static const char *const state_names[] = { "wait_for_quorum", "slave", "master",
                                           "lost_manager_lock" };

static void
emit(HaEnv *env, HaEvent *event)
{
    env->emit(env, event);
    ha_event_free(event);
}

static void
forget_commit(Crm *crm)
{
    g_clear_pointer(&crm->next, ha_status_free);
    g_clear_pointer(&crm->events, g_ptr_array_unref);
    crm->commit_pending = false;
}

static void
forget_state(Crm *crm)
{
    forget_commit(crm);
    g_clear_pointer(&crm->status, ha_status_free);
    g_hash_table_remove_all(crm->last_seen);
    g_clear_pointer(&crm->affinity, ha_affinity_free);
    g_clear_pointer(&crm->rules_text, g_free);
    g_clear_pointer(&crm->groups_text, g_free);
    g_clear_pointer(&crm->mode, g_free);
    g_clear_pointer(&crm->brake, g_free);
    g_hash_table_remove_all(crm->unplaced);
    crm->imbalance_rounds = 0;
    crm->groups_rounds = 3;
    crm->idle_rounds = 0;
}

Crm *
crm_new(HaEnv *env)
{
    Crm *crm = g_new0(Crm, 1);

    crm->last_seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    crm->unplaced = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    forget_state(crm);
    emit(env, ha_event_new(HA_EVENT_CRM_STATUS, HA_F_FROM, "startup", HA_F_TO,
                           state_names[crm->state], HA_F_END));
    return crm;
}

void
crm_free(Crm *crm)
{
    if (crm == NULL)
        return;
    forget_state(crm);
    g_hash_table_unref(crm->last_seen);
    g_hash_table_unref(crm->unplaced);
    g_free(crm);
}

int64_t
crm_wake_ms(const Crm *crm)
{
    return crm->wake_ms;
}

bool
crm_left(const Crm *crm)
{
    return crm->left;
}

const char *
crm_state(const Crm *crm)
{
    return state_names[crm->state];
}

bool
crm_is_master(const Crm *crm)
{
    return crm->state == CRM_MASTER;
}

HaGeneration
crm_generation(const Crm *crm)
{
    return crm->state == CRM_MASTER ? crm->lease.generation : (HaGeneration){ 0, 0 };
}

void
crm_shutdown(Crm *crm, HaEnv *env)
{
    if (crm->shutdown_requested)
        return;
    crm->shutdown_requested = true;
    emit(env, ha_event_new(HA_EVENT_CRM_SHUTDOWN_REQUESTED, HA_F_END));
}

/* ------------------------------------------------------------------ lease and watchdog */

/* The classic manager has a watchdog of its own; else its updates are conditioned on its lease. */
static void
close_watchdog(Crm *crm, HaEnv *env)
{
    if (crm->watchdog)
        env->guard(env, HA_GUARD_CLOSE, (HaGeneration){ 0, 0 }, env->now(env));
    crm->watchdog = false;
}

static void
feed_watchdog(Crm *crm, HaEnv *env, const HaWorld *world)
{
    if (!env->timing->classic)
        return;
    if (!crm->watchdog) {
        const HaStatus *status = crm->status != NULL ? crm->status : world->status;
        bool disarmed = status != NULL && g_strcmp0(status->disarm_state, "disarmed") == 0;
        if (disarmed && !crm->disarmed) {
            emit(env, ha_event_new(HA_EVENT_DISARMED_TAKEOVER, HA_F_END));
            crm->disarmed = true;
        }
        if (crm->disarmed)
            return;
        crm->watchdog =
            env->guard(env, HA_GUARD_ARM, (HaGeneration){ 0, 0 }, env->now(env)) == HA_DONE;
    }
    HaTime now = env->now(env);
    env->guard(env, HA_GUARD_PROMISE, (HaGeneration){ 0, 0 },
               ha_time_after(now, env->timing->fires_ms));
}

static void
drop_lease(Crm *crm, HaEnv *env)
{
    /* Whatever comes of it: this process acts under that generation no more. */
    if (crm->has_lease && !env->timing->classic)
        env->lease_release(env, HA_MANAGER_LEASE, crm->lease.generation);
    crm->has_lease = false;
    crm->has_asked = false;
}

/* Holds the manager lease at this instant: taken or renewed, and not past s + K. */
static bool
hold(Crm *crm, HaEnv *env, const HaWorld *world)
{
    HaTime now = env->now(env);
    const HaTiming *timing = env->timing;

    /* The clock first: what ran out stays so, whatever was heard meanwhile (S20). */
    if (!timing->classic && crm->has_lease
        && ha_elapsed_ms(crm->lease.heard, now) >= timing->local_end_ms) {
        drop_lease(crm, env);
        return false;
    }
    HaLease lease = { .left_ms = -1 };
    lease.renew =
        timing->classic || !crm->has_asked || ha_elapsed_ms(crm->asked, now) >= timing->renew_ms;
    if (lease.renew) {
        crm->asked = now;
        crm->has_asked = true;
    }
    HaOutcome outcome = env->lease_hold(env, HA_MANAGER_LEASE, &lease);
    if (outcome != HA_DONE) {
        if (outcome == HA_REFUSED && crm->has_lease)
            drop_lease(crm, env);
        if (lease.left_ms > 0)
            crm->wake_ms = MIN(crm->wake_ms, now.boot_ms + lease.left_ms);
        return false;
    }
    if (!timing->classic && ha_elapsed_ms(lease.heard, now) >= timing->local_end_ms)
        return false;
    if (lease.fresh)
        emit(env, ha_event_new(HA_EVENT_LOCK_ACQUIRED, HA_F_LOCK, "manager", HA_F_END));
    crm->lease = lease;
    crm->has_lease = true;
    feed_watchdog(crm, env, world);
    return true;
}

/* ------------------------------------------------------------------ transitions */

static void
set_state(Crm *crm, HaEnv *env, CrmState state)
{
    emit(env, ha_event_new(HA_EVENT_CRM_STATUS, HA_F_FROM, state_names[crm->state], HA_F_TO,
                           state_names[state], HA_F_END));
    if (crm->state == CRM_MASTER)
        forget_state(crm);
    crm->state = state;
}

static bool
healthy(const HaWorld *world, HaEnv *env)
{
    if (!world->quorate || !world->updated)
        return false;
    if (world->error != NULL) {
        emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "read-manager-status", HA_F_TEXT,
                               env->timing->classic ? NULL : world->error, HA_F_END));
        return false;
    }
    g_autoptr(GPtrArray) sids = q_sorted_keys(world->status->services);
    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(world->status, sids->pdata[i]);
        if (service->state == HA_STATE_FENCE && g_strcmp0(service->node, env->node) == 0)
            return false;
    }
    return true;
}

static bool
has_configured(const HaWorld *world)
{
    GHashTableIter iter;
    gpointer config;

    g_hash_table_iter_init(&iter, world->configs); /* any: the order does not matter */
    while (g_hash_table_iter_next(&iter, NULL, &config)) {
        if (!((HaConfig *)config)->unmanaged)
            return true;
    }
    return false;
}

/* A request for maintenance was taken back, and nobody has noticed. */
static bool
has_stale_maintenance(const HaStatus *status)
{
    g_autoptr(GPtrArray) nodes = q_sorted_keys(status->nodes);

    for (guint i = 0; i < nodes->len; i++) {
        if (ha_status_node(status, nodes->pdata[i]) == HA_NODE_MAINTENANCE
            && !g_hash_table_contains(status->requests, nodes->pdata[i]))
            return true;
    }
    return false;
}

static bool
something_to_do(const HaWorld *world, HaEnv *env)
{
    const HaStatus *status = world->status;

    if (has_configured(world))
        return true;
    if (status->master_node != NULL && !g_str_equal(status->master_node, env->node)
        && ha_status_node(status, status->master_node) == HA_NODE_ONLINE)
        return false;
    return has_stale_maintenance(status) || world->commands->len > 0
           || g_hash_table_size(status->services) > 0 || status->disarm_mode != NULL;
}

static bool
may_be_active(const HaWorld *world, HaEnv *env, bool need_services)
{
    return healthy(world, env) && (!need_services || something_to_do(world, env));
}

static void
become_master(Crm *crm, HaEnv *env, const HaWorld *world)
{
    set_state(crm, env, CRM_MASTER);
    forget_state(crm);
    crm->status = ha_status_copy(world->status);
    /* What belongs to the round alone. */
    crm->has_counted = false;
    crm->mode = g_strdup(world->datacenter->mode);
    if (!g_str_equal(crm->mode, "basic"))
        emit(env, ha_event_new(HA_EVENT_SCHEDULER_MODE, HA_F_MODE, crm->mode, HA_F_END));
}

static void
count_idle(Crm *crm, HaEnv *env, const HaWorld *world)
{
    const HaStatus *status = crm->status;

    if (!healthy(world, env) || status->disarm_mode != NULL || has_configured(world)
        || g_hash_table_size(status->services) > 0) {
        crm->idle_rounds = 0;
        return;
    }
    if (!env->timing->classic && crm->has_counted
        && ha_elapsed_ms(crm->counted, env->now(env)) < env->timing->round_ms)
        return;
    if (++crm->idle_rounds <= env->timing->crm_idle_rounds)
        return;
    emit(env, ha_event_new(HA_EVENT_CRM_IDLE, HA_F_ROUNDS, env->timing->crm_idle_rounds, HA_F_END));
    env->lease_release(env, HA_MANAGER_LEASE, crm->lease.generation);
    crm->has_lease = crm->has_asked = false;
    close_watchdog(crm, env);
    set_state(crm, env, CRM_WAIT_FOR_QUORUM);
}

static void
transition(Crm *crm, HaEnv *env, const HaWorld *world)
{
    switch (crm->state) {
    case CRM_WAIT_FOR_QUORUM:
        if (!may_be_active(world, env, true))
            break;
        if (hold(crm, env, world))
            become_master(crm, env, world);
        else
            set_state(crm, env, CRM_SLAVE);
        break;
    case CRM_SLAVE:
        if (!may_be_active(world, env, true))
            set_state(crm, env, CRM_WAIT_FOR_QUORUM);
        else if (hold(crm, env, world))
            become_master(crm, env, world);
        break;
    case CRM_LOST_MANAGER_LOCK:
        if (may_be_active(world, env, false) && hold(crm, env, world))
            become_master(crm, env, world);
        break;
    case CRM_MASTER:
        if (hold(crm, env, world))
            count_idle(crm, env, world);
        else
            set_state(crm, env, CRM_LOST_MANAGER_LOCK);
        break;
    }
}

/* ------------------------------------------------------------------ a round, committed */

static bool
services_equal(const HaService *a, const HaService *b)
{
    guint failed_a = a->failed_nodes != NULL ? a->failed_nodes->len : 0;
    guint failed_b = b->failed_nodes != NULL ? b->failed_nodes->len : 0;

    if (a->state != b->state || a->timeout_s != b->timeout_s || a->running != b->running
        || a->command_timeout_s != b->command_timeout_s || failed_a != failed_b
        || g_strcmp0(a->node, b->node) != 0 || g_strcmp0(a->uid, b->uid) != 0
        || g_strcmp0(a->target, b->target) != 0 || g_strcmp0(a->command, b->command) != 0
        || g_strcmp0(a->command_node, b->command_node) != 0
        || g_strcmp0(a->maintenance_node, b->maintenance_node) != 0)
        return false;
    for (guint i = 0; i < failed_a; i++) {
        if (!g_str_equal(a->failed_nodes->pdata[i], b->failed_nodes->pdata[i]))
            return false;
    }
    return true;
}

/* Whether @next says anything that @status does not; time stamps do not count. */
static bool
says_the_same(const HaStatus *status, const HaStatus *next)
{
    GHashTableIter iter;
    gpointer key, value, other;

    if (g_strcmp0(status->master_node, next->master_node) != 0
        || g_strcmp0(status->disarm_mode, next->disarm_mode) != 0
        || g_strcmp0(status->disarm_state, next->disarm_state) != 0
        || g_hash_table_size(status->nodes) != g_hash_table_size(next->nodes)
        || g_hash_table_size(status->requests) != g_hash_table_size(next->requests)
        || g_hash_table_size(status->services) != g_hash_table_size(next->services))
        return false;
    /* All of them are compared: the order does not matter. */
    g_hash_table_iter_init(&iter, status->nodes);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!g_hash_table_lookup_extended(next->nodes, key, NULL, &other) || other != value)
            return false;
    }
    g_hash_table_iter_init(&iter, status->requests);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_hash_table_contains(next->requests, key))
            return false;
    }
    g_hash_table_iter_init(&iter, status->services);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        other = g_hash_table_lookup(next->services, key);
        if (other == NULL || !services_equal(value, other))
            return false;
    }
    return true;
}

static void
tell(HaEnv *env, GPtrArray *events)
{
    for (guint i = 0; i < events->len; i++)
        env->emit(env, events->pdata[i]);
}

static void
add_status(HaRound *round)
{
    HaChange *change = ha_commit_add(round->commit, HA_CHANGE_STATUS, NULL);

    change->text = ha_status_text(round->status);
    change->version = round->world->status_version;
}

/* The status goes first, so that whoever loses a race finds out by it. */
static void
commit_round(HaRound *round)
{
    Crm *crm = round->crm;
    HaEnv *env = round->env;
    g_autoptr(GError) error = NULL;
    bool classic = env->timing->classic;

    if (!round->stopped
        && (classic || !says_the_same(round->world->status, round->status)
            || round->commit->changes->len > 0))
        add_status(round);
    else if (round->stopped)
        g_ptr_array_set_size(round->commit->changes, 0);

    HaOutcome outcome = HA_DONE;
    if (round->commit->changes->len > 0) {
        round->commit->id = ++crm->commit_id;
        outcome = env->commit(env, round->commit, &error);
    }
    if (outcome == HA_REFUSED) {
        emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "manage", HA_F_TEXT,
                               classic ? NULL : error->message, HA_F_END));
        return;
    }
    crm->next = g_steal_pointer(&round->status);
    crm->events = g_ptr_array_ref(round->events);
    crm->commit_pending = outcome == HA_PENDING;
    if (outcome == HA_DONE) {
        tell(env, crm->events);
        ha_status_free(crm->status);
        crm->status = g_steal_pointer(&crm->next);
        forget_commit(crm);
    }
}

/* Whether this round counts for those who count rounds: in the classic world each does. */
static bool
round_counts(Crm *crm, HaEnv *env)
{
    HaTime now = env->now(env);

    if (!env->timing->classic && crm->has_counted
        && ha_elapsed_ms(crm->counted, now) < env->timing->round_ms)
        return false;
    crm->counted = now;
    crm->has_counted = true;
    return true;
}

static void
manage(Crm *crm, HaEnv *env, const HaWorld *world)
{
    /* What is committed is the truth; in the classic world only this node writes it. */
    const HaStatus *base = env->timing->classic ? crm->status : world->status;
    HaRound round = {
        .crm = crm,
        .env = env,
        .world = world,
        .now_ms = env->now(env).boot_ms,
        .counts = round_counts(crm, env),
        .status = ha_status_copy(base),
        .rules_text = world->rules_text,
        .groups_text = world->groups_text,
        .changed =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_config_free),
        .modes = g_hash_table_new(g_str_hash, g_str_equal),
        .results = g_hash_table_new(g_str_hash, g_str_equal),
        .lost = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .online = g_ptr_array_new(),
        .events = g_ptr_array_new_with_free_func((GDestroyNotify)ha_event_free),
        .commit = ha_commit_new(HA_MANAGER_LEASE, crm->lease.generation),
    };

    g_free(round.status->master_node);
    round.status->master_node = g_strdup(env->node);
    round_run(&round);
    bool fully_disarmed = round.fully_disarmed;
    if (round.status != NULL && !says_the_same(base, round.status))
        round.status->timestamp_s = world->wall_s;
    commit_round(&round);

    ha_status_free(round.status);
    ha_usage_free(round.usage);
    g_free(round.new_rules);
    g_hash_table_unref(round.changed);
    g_hash_table_unref(round.modes);
    g_hash_table_unref(round.results);
    g_hash_table_unref(round.lost);
    g_ptr_array_unref(round.online);
    g_ptr_array_unref(round.events);
    ha_commit_free(round.commit);

    if (fully_disarmed && !crm->disarmed) {
        emit(env, ha_event_new(HA_EVENT_DISARM_WATCHDOG_RELEASED, HA_F_END));
        close_watchdog(crm, env);
        crm->disarmed = true;
    } else if (!fully_disarmed && crm->disarmed) {
        emit(env, ha_event_new(HA_EVENT_REARMING, HA_F_END));
        crm->disarmed = false;
    }
}

static void
work_as_master(Crm *crm, HaEnv *env, const HaWorld *world)
{
    if (crm->shutdown_requested) {
        close_watchdog(crm, env);
        emit(env, ha_event_new(HA_EVENT_MANAGER_LOCK_RELEASED, HA_F_END));
        env->lease_release(env, HA_MANAGER_LEASE, crm->lease.generation);
        crm->left = true;
    } else if (!world->updated) {
        emit(env, ha_event_new(HA_EVENT_ROUND_INCONSISTENT, HA_F_END));
    } else if (world->error != NULL) {
        emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "manage", HA_F_TEXT,
                               env->timing->classic ? NULL : world->error, HA_F_END));
    } else if (world->quorate) {
        manage(crm, env, world);
    }
}

static void
work(Crm *crm, HaEnv *env, const HaWorld *world)
{
    if (crm->state == CRM_MASTER) {
        work_as_master(crm, env, world);
        return;
    }
    if (crm->state == CRM_LOST_MANAGER_LOCK)
        close_watchdog(crm, env);
    if (crm->shutdown_requested)
        crm->left = true;
    else if (crm->state == CRM_LOST_MANAGER_LOCK)
        set_state(crm, env, CRM_WAIT_FOR_QUORUM);
}

void
crm_step(Crm *crm, HaEnv *env)
{
    int64_t now_ms = env->now(env).boot_ms;
    const HaWorld *world = env->read(env);

    if (crm->left)
        return;
    crm->wake_ms = now_ms
                   + (env->timing->classic ? env->timing->round_ms
                                           : MIN(env->timing->round_ms, env->timing->renew_ms));
    if (crm->commit_pending) {
        /* Renews and watches its lease, decides nothing before the outcome is known. */
        if (!hold(crm, env, world))
            set_state(crm, env, CRM_LOST_MANAGER_LOCK);
        return;
    }
    transition(crm, env, world);
    work(crm, env, world);
}

void
crm_committed(Crm *crm, HaEnv *env, uint64_t id, const GError *error)
{
    if (!crm->commit_pending || id != crm->commit_id)
        return; /* of a lease that is over */
    if (error == NULL) {
        tell(env, crm->events);
        ha_status_free(crm->status);
        crm->status = g_steal_pointer(&crm->next);
    } else if (!g_error_matches(error, Q_ERROR, Q_ERROR_CONFLICT)) {
        emit(env, ha_event_new(HA_EVENT_CFS_ERROR, HA_F_OP, "manage", HA_F_TEXT, error->message,
                               HA_F_END));
    }
    /*
     * On a conflict somebody was faster, and the next round decides anew on what is there. The same
     * holds for an unknown outcome: the next commit is conditioned on the version that this one
     * would replace, so at most one of them takes effect.
     */
    forget_commit(crm);
    crm_step(crm, env);
}
