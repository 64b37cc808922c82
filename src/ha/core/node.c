#include "ha/core/crm_priv.h"
#include "base/sorted.h"
#include <string.h>

/* What the master thinks of the nodes (ha.md 6), and when one counts as lost. */

static void
set_node(HaRound *round, const char *node, HaNodeState state)
{
    round_emit(round, ha_event_new(HA_EVENT_NODE_STATE, HA_F_NODE, node, HA_F_FROM,
                                   ha_node_state_name(ha_status_node(round->status, node)), HA_F_TO,
                                   ha_node_state_name(state), HA_F_END));
    g_hash_table_insert(round->status->nodes, g_strdup(node), GINT_TO_POINTER(state));
}

static void
mark_seen(HaRound *round, const char *node)
{
    int64_t *seen = g_new(int64_t, 1);

    *seen = round->now_ms;
    g_hash_table_insert(round->crm->last_seen, g_strdup(node), seen);
}

static bool
away_for(HaRound *round, const char *node, int64_t duration_ms)
{
    if (round_online(round, node))
        return false;
    const int64_t *seen = g_hash_table_lookup(round->crm->last_seen, node);
    if (seen == NULL) {
        mark_seen(round, node);
        return false;
    }
    return round->now_ms - *seen >= duration_ms;
}

static void
update_online(HaRound *round, const char *node)
{
    HaNodeState state = ha_status_node(round->status, node);
    HaMode mode;
    bool maintenance = round_mode(round, node, &mode) && mode == HA_MODE_MAINTENANCE;

    mark_seen(round, node);
    if (state == HA_NODE_ONLINE && maintenance)
        set_node(round, node, HA_NODE_MAINTENANCE);
    else if (state == HA_NODE_UNKNOWN || state == HA_NODE_GONE
             || (state == HA_NODE_MAINTENANCE && !maintenance))
        set_node(round, node, HA_NODE_ONLINE);
}

static void
update_away(HaRound *round, const char *node)
{
    HaMode mode;
    bool maintenance = round_mode(round, node, &mode) && mode == HA_MODE_MAINTENANCE;

    switch (ha_status_node(round->status, node)) {
    case HA_NODE_ONLINE:
        set_node(round, node, HA_NODE_UNKNOWN);
        break;
    case HA_NODE_MAINTENANCE:
        if (!maintenance)
            set_node(round, node, HA_NODE_UNKNOWN);
        break;
    case HA_NODE_UNKNOWN:
        if (ha_world_node(round->world, node) == NULL)
            set_node(round, node, HA_NODE_GONE);
        break;
    case HA_NODE_GONE:
        if (away_for(round, node, round->env->timing->forget_ms)) {
            round_report(round, NULL, "node %s is gone for good, forgotten", node);
            g_hash_table_remove(round->status->nodes, node);
        }
        break;
    case HA_NODE_FENCE:
        break;
    }
}

void
round_update_nodes(HaRound *round)
{
    g_autoptr(GPtrArray) members = q_sorted_keys(round->world->nodes);
    g_autoptr(GPtrArray) before = q_sorted_keys(round->status->nodes);

    round->nodes_changed = members->len != before->len;
    for (guint i = 0; i < members->len && !round->nodes_changed; i++)
        round->nodes_changed = !g_str_equal(members->pdata[i], before->pdata[i]);

    for (guint i = 0; i < members->len; i++) {
        if (ha_world_online(round->world, members->pdata[i]))
            update_online(round, members->pdata[i]);
    }
    /* Members that were never seen are known from now on, in state unknown. */
    for (guint i = 0; i < members->len; i++) {
        if (!g_hash_table_contains(round->status->nodes, members->pdata[i]))
            g_hash_table_insert(round->status->nodes, g_strdup(members->pdata[i]),
                                GINT_TO_POINTER(HA_NODE_UNKNOWN));
    }
    g_autoptr(GPtrArray) known = q_sorted_keys(round->status->nodes);
    for (guint i = 0; i < known->len; i++) {
        if (!ha_world_online(round->world, known->pdata[i]))
            update_away(round, known->pdata[i]);
    }
}

/* ------------------------------------------------------------------ lost, fenced */

/* S37: if those that are away carry more than half of the weight, two rounds must agree on them. */
static bool
brake_holds(HaRound *round)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(round->world->nodes);
    g_autoptr(GString) away = g_string_new(NULL);
    int total = 0, lost = 0;

    for (guint i = 0; i < names->len; i++) {
        const HaNode *node = ha_world_node(round->world, names->pdata[i]);
        total += node->weight;
        if (node->online)
            continue;
        lost += node->weight;
        g_string_append_printf(away, "%s%s", away->len > 0 ? " " : "", node->name);
    }
    if (2 * lost <= total) {
        g_clear_pointer(&round->crm->brake, g_free);
        return false;
    }
    if (g_strcmp0(round->crm->brake, away->str) == 0)
        return false;
    if (round->counts || round->crm->brake == NULL) {
        g_auto(GStrv) nodes = g_strsplit(away->str, " ", -1);
        round_emit(round, ha_event_new(HA_EVENT_FENCE_BRAKE, HA_F_NODES, nodes, HA_F_END));
        g_free(round->crm->brake);
        round->crm->brake = g_strdup(away->str);
    }
    return true;
}

/* Asks for the agent lease of @node once a round. */
static HaOutcome
take_agent_lease(HaRound *round, const char *node)
{
    g_autofree char *name = ha_agent_lease(node);
    HaLease lease = { .renew = true, .left_ms = -1 };
    gpointer known = g_hash_table_lookup(round->lost, node);

    if (known != NULL)
        return GPOINTER_TO_INT(known) - 1;
    HaOutcome outcome = round->env->lease_hold(round->env, name, &lease);
    if (outcome == HA_DONE && lease.fresh)
        round_emit(round, ha_event_new(HA_EVENT_LOCK_ACQUIRED, HA_F_NODE, node, HA_F_LOCK, "agent",
                                       HA_F_END));
    if (outcome != HA_DONE && lease.left_ms > 0)
        round->crm->wake_ms = MIN(round->crm->wake_ms, round->now_ms + lease.left_ms);
    if (!round->env->timing->classic)
        g_hash_table_insert(round->lost, g_strdup(node), GINT_TO_POINTER((int)outcome + 1));
    return outcome;
}

/*
 * Classic: away for a minute. Else only a lapsed lease tells that a node will not come back to its
 * guests, so a node that was away for a moment is never fenced for it.
 */
bool
round_node_lost(HaRound *round, const char *node)
{
    if (round->env->timing->classic)
        return away_for(round, node, round->env->timing->fence_delay_ms);
    if (round_online(round, node) || ha_world_online(round->world, node) || brake_holds(round))
        return false;
    return take_agent_lease(round, node) == HA_DONE;
}

bool
round_fence(HaRound *round, const char *node)
{
    if (ha_status_node(round->status, node) != HA_NODE_FENCE) {
        set_node(round, node, HA_NODE_FENCE);
        round_emit(round, ha_event_new(HA_EVENT_NOTIFICATION, HA_F_NODE, node, HA_F_KIND,
                                       "fence-started", HA_F_END));
    }
    if (take_agent_lease(round, node) != HA_DONE)
        return false;
    round_emit(round, ha_event_new(HA_EVENT_FENCE_ACKNOWLEDGED, HA_F_NODE, node, HA_F_END));
    set_node(round, node, HA_NODE_UNKNOWN);
    round_emit(round, ha_event_new(HA_EVENT_NOTIFICATION, HA_F_NODE, node, HA_F_KIND,
                                   "fence-succeeded", HA_F_END));
    return true;
}
