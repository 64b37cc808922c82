#include "ha/core/crm_priv.h"

/* HA switched off for a while, watchdogs too (ha.md 14). */

static bool
holds_up(const HaService *service)
{
    return service->state == HA_STATE_FENCE || service->state == HA_STATE_RECOVERY
           || service->state == HA_STATE_MIGRATE || service->state == HA_STATE_RELOCATE;
}

static void
defer(HaRound *round, const HaService *service)
{
    HaEvent *event = ha_event_new(HA_EVENT_DISARM_DEFERRED, HA_F_SID, service->sid, HA_F_STATE,
                                  ha_state_name(service->state), HA_F_END);

    if (service->state == HA_STATE_MIGRATE || service->state == HA_STATE_RELOCATE)
        ha_event_set_level(event, HA_INFO);
    round_emit(round, event);
}

/* Keeps state, node, uid and maintenance_node only. */
static void
strip(HaService *service)
{
    g_clear_pointer(&service->target, g_free);
    g_clear_pointer(&service->command, g_free);
    g_clear_pointer(&service->command_node, g_free);
    g_clear_pointer(&service->failed_nodes, g_ptr_array_unref);
    service->timeout_s = -1;
    service->command_timeout_s = -1;
    service->running = false;
}

static void
freeze(HaRound *round, HaService *service)
{
    if (service->state == HA_STATE_FREEZE || service->state == HA_STATE_ERROR)
        return;
    round_emit(round, ha_event_new(HA_EVENT_DISARM_FREEZE, HA_F_SID, service->sid, HA_F_WAS,
                                   ha_state_name(service->state), HA_F_END));
    strip(service);
    service->state = HA_STATE_FREEZE;
    g_free(service->uid);
    service->uid = round_uid(round);
}

static bool
all_disarmed(HaRound *round)
{
    for (guint i = 0; i < round->online->len; i++) {
        const HaNode *node = round->online->pdata[i];
        HaMode mode;
        if (!round_mode(round, node->name, &mode) || mode != HA_MODE_DISARM)
            return false;
    }
    return true;
}

bool
round_disarm(HaRound *round, GPtrArray **held_up)
{
    HaStatus *status = round->status;
    g_autoptr(GPtrArray) sids = round_sids(round);
    g_autoptr(GPtrArray) deferred = g_ptr_array_new();

    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(status, sids->pdata[i]);
        if (!holds_up(service))
            continue;
        defer(round, service);
        g_ptr_array_add(deferred, service->sid);
    }
    if (deferred->len > 0) {
        *held_up = g_steal_pointer(&deferred);
        return false;
    }
    for (guint i = 0; i < sids->len; i++) {
        HaService *service = ha_status_service(status, sids->pdata[i]);
        if (g_str_equal(status->disarm_mode, "freeze"))
            freeze(round, service);
        else
            strip(service);
    }
    if (!g_str_equal(status->disarm_state, "disarmed") && all_disarmed(round)) {
        round_emit(round, ha_event_new(HA_EVENT_DISARM_COMPLETE, HA_F_END));
        g_free(status->disarm_state);
        status->disarm_state = g_strdup("disarmed");
    }
    round->fully_disarmed = g_str_equal(status->disarm_state, "disarmed");
    return true;
}
