#include <string.h>
#include "guest/gate.h"
#include "ha/host_priv.h"

static CfsGeneration
to_cfs(HaGeneration generation)
{
    return (CfsGeneration){ generation.epoch, generation.sequence };
}

/* ------------------------------------------------------------------ S18: after a restart */

static bool
gate_is_open(HaGeneration generation)
{
    g_autoptr(GPtrArray) gates = gate_generations(NULL);

    for (guint i = 0; gates != NULL && i < gates->len; i++) {
        if (cfs_generation_compare(*(const CfsGeneration *)gates->pdata[i], to_cfs(generation))
            == 0) {
            return true;
        }
    }
    return false;
}

/* The times under which the grant was taken: its L says of which profile they are. */
static bool
timing_of_grant(const HaHost *host, JsonObject *lease, HaTiming *timing)
{
    static const char *const profiles[] = { "fast", "steady" };
    int64_t lapse_ms = q_json_int(lease, "lapse_ms", host->profile.lapse_ms);
    HaTimingFacts facts = { .nodes = host->profile.nodes,
                            .granularity_ms = -1,
                            .standstill_ms = -1 };

    if (lapse_ms == host->profile.lapse_ms) {
        *timing = host->profile;
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(profiles); i++) {
        if (ha_timing(profiles[i], &facts, timing, NULL) && timing->lapse_ms == lapse_ms) {
            return true;
        }
    }
    return false;
}

/* A lease that a local manager of this boot held goes on, if watchdogd knows its deadline and less
 * than K has passed: then the guests in its gate have never been unguarded. */
static void
adopt(HaHost *host)
{
    g_autofree char *name = ha_agent_lease(host->node);
    JsonObject *lease = ha_mirror_lease(host->mirror, name);
    HaGeneration generation =
        lease != NULL ? ha_generation_from_json(lease, "generation") : (HaGeneration){ 0, 0 };
    HaTiming timing;

    host->adopted = true;
    if (ha_generation_none(generation) || strcmp(q_json_string(lease, "state", ""), "held") != 0
        || strcmp(q_json_string(lease, "node", ""), host->node) != 0
        || strcmp(q_json_string(lease, "boot", ""), host->boot) != 0
        || ha_generation_compare(host->local.owner, generation) != 0 || !gate_is_open(generation)
        || !timing_of_grant(host, lease, &timing)) {
        return;
    }
    HaTime heard = ha_time_after(host->local.deadline, -timing.fires_ms);
    if (ha_elapsed_ms(heard, ha_now()) < timing.local_end_ms) {
        host->timing = timing;
        host->opened = generation;
        ha_keeper_adopt(host->own, generation, heard);
    }
}

/* What a manager before us left open and nobody may go on with. A new generation must not be taken
 * beside it: that would declare its guests dead (S34). */
static bool
old_gates_are_gone(HaHost *host)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) gates = gate_generations(&error);

    if (gates == NULL) {
        ha_host_refuse(host, error->message);
        return false;
    }
    for (guint i = 0; i < gates->len; i++) {
        const CfsGeneration *gate = gates->pdata[i];
        ha_local_end_run(host->end, (HaGeneration){ gate->epoch, gate->sequence });
    }
    return gates->len == 0;
}

/* ------------------------------------------------------------------ leases */

static bool
open_own_gate(HaHost *host, HaGeneration generation)
{
    g_autoptr(GError) error = NULL;

    if (ha_generation_compare(host->opened, generation) == 0) {
        return true;
    }
    if (!gate_open(to_cfs(generation), &error)) {
        ha_host_refuse(host, error->message);
        return false;
    }
    host->opened = generation;
    return true;
}

static HaOutcome
hold_own_agent(HaHost *host, HaLease *lease)
{
    if (!host->adopted) {
        if (!host->configured || !ha_mirror_settled(host->mirror)) {
            return HA_PENDING;
        }
        adopt(host);
    }
    if (ha_keeper_idle(host->own)) {
        if (host->refusal != NULL || !watchdog_client_open(host->watchdog)
            || !old_gates_are_gone(host)) {
            lease->left_ms = -1;
            return HA_REFUSED;
        }
        host->timing = host->profile;
    }
    HaOutcome outcome = ha_keeper_hold(host->own, &host->timing, lease);
    if (outcome == HA_DONE && !open_own_gate(host, lease->generation)) {
        return HA_REFUSED;
    }
    return outcome;
}

static HaOutcome
hold_manager(HaHost *host, HaLease *lease)
{
    if (ha_keeper_idle(host->own)) {
        if (host->refusal != NULL || !host->configured) {
            lease->left_ms = -1;
            return HA_REFUSED;
        }
        host->timing = host->profile;
    }
    return ha_keeper_hold(host->own, &host->timing, lease);
}

static HaOutcome
fence(HaHost *host, const char *name, HaLease *lease)
{
    HaKeeper *keeper = g_hash_table_lookup(host->fenced, name);
    JsonObject *view = ha_mirror_lease(host->mirror, name);
    HaGeneration seen =
        view != NULL ? ha_generation_from_json(view, "generation") : (HaGeneration){ 0, 0 };

    if (view != NULL && strcmp(q_json_string(view, "state", ""), "fenced") == 0) {
        lease->generation = seen; /* by us or by a master before us */
        return HA_DONE;
    }
    if (keeper == NULL) {
        keeper = ha_keeper_new(host->leases, name, NULL, (HaKeeperNews)ha_host_step_soon, host);
        g_hash_table_replace(host->fenced, g_strdup(name), keeper);
    }
    HaOutcome outcome = ha_keeper_fence(keeper, &host->timing, lease);
    if (outcome == HA_DONE && ha_generation_compare(lease->generation, seen) <= 0) {
        /* Given back since, or taken again by its node. */
        ha_keeper_forget(keeper);
        outcome = ha_keeper_fence(keeper, &host->timing, lease);
    }
    return outcome;
}

HaOutcome
ha_host_lease_hold(HaEnv *env, const char *name, HaLease *lease)
{
    HaHost *host = (HaHost *)env;
    g_autofree char *own_agent = ha_agent_lease(host->node);

    if (strcmp(name, HA_MANAGER_LEASE) == 0) {
        return hold_manager(host, lease);
    }
    if (host->role == HA_HOST_LRM && strcmp(name, own_agent) == 0) {
        return hold_own_agent(host, lease);
    }
    return fence(host, name, lease);
}

HaOutcome
ha_host_lease_release(HaEnv *env, const char *name, HaGeneration generation)
{
    HaHost *host = (HaHost *)env;

    /* Whoever asks to release has emptied the gate; a task that still comes must find it closed. */
    if (host->role == HA_HOST_LRM && gate_is_open(generation)) {
        ha_local_end_run(host->end, generation);
    }
    return ha_keeper_release(host->own, generation);
}

/* ------------------------------------------------------------------ watchdog and gate */

/* S38 with what the device really does: (3) and (4) depend on it. */
static bool
device_fits(HaHost *host)
{
    g_autoptr(GError) error = NULL;
    HaTiming timing = host->timing;

    timing.device_ms = watchdog_client_timeout_ms(host->watchdog);
    timing.granularity_ms =
        MAX(timing.granularity_ms, watchdog_client_granularity_ms(host->watchdog));
    g_clear_pointer(&host->device_refusal, g_free);
    if (ha_timing_check(&timing, &error)) {
        return true;
    }
    host->device_refusal =
        g_strdup_printf("the watchdog device, set to %d ms: %s", timing.device_ms, error->message);
    ha_host_refuse(host, host->device_refusal);
    return false;
}

static HaOutcome
arm(HaHost *host)
{
    HaOutcome outcome = watchdog_client_arm(host->watchdog);

    if (outcome == HA_REFUSED) {
        g_autofree char *why = g_strdup(watchdog_client_why(host->watchdog));
        g_free(host->device_refusal);
        host->device_refusal = g_strdup(why != NULL ? why : "the watchdog cannot be armed");
        ha_host_refuse(host, host->device_refusal);
    } else if (outcome == HA_DONE) {
        if (!device_fits(host)) {
            return HA_REFUSED;
        }
        if (host->refusal != NULL && host->world->datacenter != NULL) {
            ha_host_configure(host); /* a refusal of the device is over */
        }
    }
    return outcome;
}

HaOutcome
ha_host_guard(HaEnv *env, HaGuardVerb verb, HaGeneration generation, HaTime deadline)
{
    HaHost *host = (HaHost *)env;

    switch (verb) {
    case HA_GUARD_ARM:
        return arm(host);
    case HA_GUARD_PROMISE:
        return watchdog_client_promise(host->watchdog, generation, deadline);
    case HA_GUARD_END:
        return ha_local_end_run(host->end, generation);
    case HA_GUARD_CLOSE:
        return watchdog_client_close(host->watchdog, generation);
    }
    return HA_REFUSED;
}
