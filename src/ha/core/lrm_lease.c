#include "ha/core/lrm_priv.h"
#include <string.h>

/*
 * The lease of this node, and the promises that hang on it (safety.md S18, S20, S26 to S29, S33).
 * In the classic world a lock, renewed each round, and a watchdog fed with it.
 */

static HaTime
no_time(void)
{
    return (HaTime){ 0, 0 };
}

/* ------------------------------------------------------------------ local end (S29) */

static void
begin_end(Lrm *lrm, HaEnv *env, HaGeneration generation)
{
    g_autofree char *text = ha_generation_text(generation);

    lrm_emit(env, ha_event_new(HA_EVENT_LOCAL_END, HA_F_GENERATION, text, HA_F_END));
    lrm->ending = true;
    lrm->ending_of = generation;
    lrm->has_lease = false;
    /* What was under way goes down with the gate; nobody is to count that as a failed start. */
    g_ptr_array_set_size(lrm->workers, 0);
    g_hash_table_remove_all(lrm->gate_moves);
}

/* Close the gate, kill, prove, close the device: no step before the one above it is done. */
static void
continue_end(Lrm *lrm, HaEnv *env, const HaLocal *local)
{
    if (env->guard(env, HA_GUARD_END, lrm->ending_of, no_time()) != HA_DONE)
        return; /* not proven: the device stays armed and resets this host by D */
    HaOutcome closed = env->guard(env, HA_GUARD_CLOSE, lrm->ending_of, no_time());
    /* Refused by a watchdogd that keeps no deadline of this lease: then it is closed already. */
    if (closed == HA_PENDING
        || (closed == HA_REFUSED && ha_generation_compare(local->owner, lrm->ending_of) == 0))
        return;
    g_autofree char *text = ha_generation_text(lrm->ending_of);
    lrm_emit(env, ha_event_new(HA_EVENT_LOCAL_END_PROVEN, HA_F_GENERATION, text, HA_F_END));
    /* Its guests are dead, so whatever becomes of the release, nobody is misled by it. */
    g_autofree char *name = ha_agent_lease(env->node);
    env->lease_release(env, name, lrm->ending_of);
    lrm->ending = false;
    lrm->has_asked = false;
}

/* ------------------------------------------------------------------ holding */

static HaOutcome
ask(Lrm *lrm, HaEnv *env, HaTime now, HaLease *lease)
{
    g_autofree char *name = ha_agent_lease(env->node);

    *lease = (HaLease){ .left_ms = -1 };
    lease->renew = !lrm->has_asked || ha_elapsed_ms(lrm->asked, now) >= env->timing->renew_ms;
    if (lease->renew) {
        lrm->asked = now;
        lrm->has_asked = true;
    }
    HaOutcome outcome = env->lease_hold(env, name, lease);
    if (outcome != HA_DONE && lease->left_ms > 0)
        lrm->wake_ms = MIN(lrm->wake_ms, now.boot_ms + lease->left_ms);
    return outcome;
}

/* s is newer: the device may be fed until s + W. */
static void
promise(Lrm *lrm, HaEnv *env)
{
    lrm->promised = ha_time_after(lrm->lease.heard, env->timing->fires_ms);
    if (env->guard(env, HA_GUARD_PROMISE, lrm->lease.generation, lrm->promised) == HA_REFUSED)
        begin_end(lrm, env, lrm->lease.generation);
}

static void
take_over(Lrm *lrm, HaEnv *env, const HaLease *lease, bool adopted)
{
    g_autofree char *text = ha_generation_text(lease->generation);

    lrm->lease = *lease;
    lrm->has_lease = true;
    lrm->kept = adopted;
    lrm_emit(env, adopted ? ha_event_new(HA_EVENT_LEASE_ADOPTED, HA_F_GENERATION, text, HA_F_END)
                          : ha_event_new(HA_EVENT_LOCK_ACQUIRED, HA_F_NODE, env->node, HA_F_LOCK,
                                         "agent", HA_F_GENERATION, text, HA_F_END));
    promise(lrm, env);
}

/*
 * watchdogd keeps a deadline that is not ours: that of the local manager before us. Less than K
 * after its last renewal we go on with its lease (S18); else we end what it left, first of all.
 */
static void
settle_old_owner(Lrm *lrm, HaEnv *env, const HaLocal *local, HaTime now)
{
    HaTime heard = ha_time_after(local->deadline, -(int64_t)env->timing->fires_ms);
    HaLease lease;

    if (ha_elapsed_ms(heard, now) >= env->timing->local_end_ms) {
        begin_end(lrm, env, local->owner);
        return;
    }
    lrm->wake_ms = MIN(lrm->wake_ms, heard.boot_ms + env->timing->local_end_ms);
    HaOutcome outcome = ask(lrm, env, now, &lease);
    if (outcome == HA_DONE && ha_generation_compare(lease.generation, local->owner) == 0)
        take_over(lrm, env, &lease, true);
    else if (outcome != HA_PENDING)
        begin_end(lrm, env, local->owner);
}

static void
keep_renewing(Lrm *lrm, HaEnv *env, HaTime now)
{
    HaLease lease;

    /* The clock first: what ran out stays so, whatever was heard meanwhile (S20). */
    if (ha_elapsed_ms(lrm->lease.heard, now) >= env->timing->local_end_ms) {
        begin_end(lrm, env, lrm->lease.generation);
        return;
    }
    HaOutcome outcome = ask(lrm, env, now, &lease);
    if (outcome == HA_REFUSED
        || (outcome == HA_DONE
            && ha_generation_compare(lease.generation, lrm->lease.generation) != 0)) {
        begin_end(lrm, env, lrm->lease.generation);
        return;
    }
    if (outcome == HA_DONE && ha_elapsed_ms(lrm->lease.heard, lease.heard) > 0) {
        lrm->lease.heard = lease.heard;
        promise(lrm, env);
    }
    lrm->wake_ms = MIN(lrm->wake_ms, lrm->lease.heard.boot_ms + env->timing->local_end_ms);
}

void
lrm_keep(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    HaTime now = env->now(env);

    if (!lrm->ending && lrm->has_lease)
        keep_renewing(lrm, env, now);
    else if (!lrm->ending && !ha_generation_none(world->local->owner))
        settle_old_owner(lrm, env, world->local, now);
    if (lrm->ending)
        continue_end(lrm, env, world->local);
}

static bool
hold_classic(Lrm *lrm, HaEnv *env)
{
    g_autofree char *name = ha_agent_lease(env->node);
    HaLease lease = { .renew = true, .left_ms = -1 };

    if (env->lease_hold(env, name, &lease) != HA_DONE)
        return false;
    if (lease.fresh)
        lrm_emit(env, ha_event_new(HA_EVENT_LOCK_ACQUIRED, HA_F_NODE, env->node, HA_F_LOCK, "agent",
                                   HA_F_END));
    lrm->lease = lease;
    lrm->has_lease = true;
    if (!lrm->watchdog)
        lrm->watchdog = env->guard(env, HA_GUARD_ARM, lease.generation, no_time()) == HA_DONE;
    env->guard(env, HA_GUARD_PROMISE, lease.generation,
               ha_time_after(env->now(env), env->timing->fires_ms));
    return true;
}

/* S26: device armed, then the lease, then its first heard renewal, kept as a deadline. */
bool
lrm_hold(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    HaTime now = env->now(env);
    HaLease lease;

    if (env->timing->classic)
        return hold_classic(lrm, env);
    if (lrm->ending)
        return false;
    if (lrm->has_lease) {
        /* Once: a watchdogd that is away for a moment forgets nothing. */
        lrm->kept =
            lrm->kept || ha_generation_compare(world->local->owner, lrm->lease.generation) == 0;
        return lrm->kept;
    }
    if (!ha_generation_none(world->local->owner))
        return false; /* settle_old_owner() is at it */
    if (env->guard(env, HA_GUARD_ARM, (HaGeneration){ 0, 0 }, no_time()) != HA_DONE
        || ask(lrm, env, now, &lease) != HA_DONE)
        return false;
    if (ha_elapsed_ms(lease.heard, now) >= env->timing->local_end_ms) {
        g_autofree char *name = ha_agent_lease(env->node);
        env->lease_release(env, name, lease.generation);
        lrm->has_asked = false;
        return false;
    }
    take_over(lrm, env, &lease, false);
    return false; /* the next step finds the deadline kept */
}

/* ------------------------------------------------------------------ records, guards (S33) */

static bool
is_own_record(const HaEnv *env, const HaWorld *world, const HaConfig *config)
{
    return config->run != NULL && g_strcmp0(config->run->node, env->node) == 0
           && g_strcmp0(config->run->boot, world->boot) == 0;
}

static GateMove *
get_gate_move(Lrm *lrm, const char *sid, HaGeneration generation)
{
    GateMove *move = g_hash_table_lookup(lrm->gate_moves, sid);

    if (move != NULL && ha_generation_compare(move->generation, generation) == 0)
        return move;
    return NULL;
}

/* Returns: true: its processes are in that gate now */
static bool
move_into_gate(Lrm *lrm, HaEnv *env, const char *sid, HaGeneration generation)
{
    GateMove *move = get_gate_move(lrm, sid, generation);
    int rc = HA_RC_ERROR;

    if (move != NULL)
        return move->job_id == 0;
    HaJob job = { .id = ++lrm->jobs,
                  .kind = HA_JOB_GUARD,
                  .sid = sid,
                  .timeout_s = -1,
                  .generation = generation };
    HaOutcome outcome = env->submit(env, &job, &rc);
    if (outcome == HA_REFUSED || (outcome == HA_DONE && rc != HA_RC_OK))
        return false; /* tried again at the next step */
    move = g_new0(GateMove, 1);
    move->generation = generation;
    move->job_id = outcome == HA_PENDING ? job.id : 0;
    g_hash_table_insert(lrm->gate_moves, g_strdup(sid), move);
    return move->job_id == 0;
}

bool
lrm_gate_job_done(Lrm *lrm, uint64_t id, int rc)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(lrm->gate_moves);

    for (guint i = 0; i < sids->len; i++) {
        GateMove *move = g_hash_table_lookup(lrm->gate_moves, sids->pdata[i]);
        if (move->job_id != id)
            continue;
        move->job_id = 0;
        if (rc != HA_RC_OK)
            g_hash_table_remove(lrm->gate_moves, sids->pdata[i]);
        return true;
    }
    return false;
}

static void
send_records(Lrm *lrm, HaEnv *env, HaCommit *commit)
{
    g_autoptr(GError) error = NULL;

    if (commit->changes->len == 0)
        return;
    commit->id = ++lrm->commits;
    if (env->commit(env, commit, &error) == HA_PENDING)
        lrm->records_commit = commit->id;
}

static void
add_guard(HaEnv *env, HaCommit *commit, const HaConfig *config, HaGeneration guard)
{
    HaChange *change = ha_commit_add(commit, HA_CHANGE_GUARD, config->sid);
    bool on = !ha_generation_none(guard);

    change->start_id = g_strdup(config->run->start_id);
    change->generation = guard;
    g_autofree char *text = on ? ha_generation_text(guard) : NULL;
    lrm_emit(env, ha_event_new(on ? HA_EVENT_GUEST_GUARDED : HA_EVENT_GUEST_UNGUARDED, HA_F_SID,
                               config->sid, HA_F_GENERATION, text, HA_F_END));
}

static HaCommit *
new_commit(Lrm *lrm, HaEnv *env)
{
    g_autofree char *name = ha_agent_lease(env->node);
    return ha_commit_new(name, lrm->lease.generation);
}

/*
 * While the lease is ours: the records of services that ended are cleared, and services that run
 * without our guard get it, whatever their state but frozen: first into the gate, then on record.
 */
void
lrm_keep_records(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    const HaLocal *local = world->local;

    if (env->timing->classic || !lrm->has_lease || lrm->view == NULL || lrm->records_commit != 0)
        return;
    g_autoptr(HaCommit) commit = new_commit(lrm, env);
    g_autoptr(GPtrArray) sids = q_sorted_keys(lrm->view->services);
    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(lrm->view, sids->pdata[i]);
        const HaConfig *config = ha_world_config(world, service->sid);
        if (config == NULL || !is_own_record(env, world, config)
            || g_hash_table_contains(local->busy, service->sid))
            continue;
        if (!g_hash_table_contains(local->gates, service->sid)) {
            HaChange *change = ha_commit_add(commit, HA_CHANGE_RUN_CLEAR, service->sid);
            change->start_id = g_strdup(config->run->start_id);
            g_hash_table_remove(lrm->gate_moves, service->sid);
        } else if (service->state != HA_STATE_FREEZE && g_strcmp0(service->node, env->node) == 0
                   && g_hash_table_contains(local->running, service->sid)
                   && ha_generation_compare(config->run->guard, lrm->lease.generation) != 0
                   && move_into_gate(lrm, env, service->sid, lrm->lease.generation)) {
            add_guard(env, commit, config, lrm->lease.generation);
        }
    }
    send_records(lrm, env, commit);
}

/* S33: what runs on is unguarded first, then let out of the gate. Returns: true: nothing is left.
 */
static bool
unguard_all(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    g_autofree char *gate = ha_generation_text(lrm->lease.generation);
    g_autoptr(GPtrArray) sids = q_sorted_keys(world->configs);
    g_autoptr(HaCommit) commit = NULL;
    bool left = false;

    if (lrm->records_commit != 0 || world->error != NULL)
        return false;
    commit = new_commit(lrm, env);
    for (guint i = 0; i < sids->len; i++) {
        const HaConfig *config = ha_world_config(world, sids->pdata[i]);
        if (is_own_record(env, world, config)
            && ha_generation_compare(config->run->guard, lrm->lease.generation) == 0)
            add_guard(env, commit, config, (HaGeneration){ 0, 0 });
    }
    if (commit->changes->len > 0) {
        send_records(lrm, env, commit);
        return false;
    }
    g_autoptr(GPtrArray) inside = q_sorted_keys(world->local->gates);
    for (guint i = 0; i < inside->len; i++) {
        if (!g_str_equal(g_hash_table_lookup(world->local->gates, inside->pdata[i]), gate))
            continue;
        if (!move_into_gate(lrm, env, inside->pdata[i], (HaGeneration){ 0, 0 }))
            left = true;
    }
    return !left;
}

static void
release_classic(Lrm *lrm, HaEnv *env)
{
    g_autofree char *name = ha_agent_lease(env->node);

    if (lrm->watchdog)
        env->guard(env, HA_GUARD_CLOSE, lrm->lease.generation, no_time());
    lrm->watchdog = false;
    env->lease_release(env, name, lrm->lease.generation);
    lrm->has_lease = false;
}

bool
lrm_release(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    g_autofree char *name = ha_agent_lease(env->node);

    if (env->timing->classic) {
        release_classic(lrm, env);
        return true;
    }
    if (lrm->ending)
        return false;
    if (!lrm->has_lease)
        return ha_generation_none(world->local->owner);
    if (!unguard_all(lrm, env, world)
        || env->guard(env, HA_GUARD_CLOSE, lrm->lease.generation, no_time()) != HA_DONE)
        return false;
    env->lease_release(env, name, lrm->lease.generation);
    lrm->has_lease = lrm->has_asked = false;
    g_hash_table_remove_all(lrm->gate_moves);
    return true;
}
