#include "ha/core/crm_priv.h"
#include <math.h>

/* Automatic rebalancing: one motion at a time, when the imbalance lasts (ha.md 11.5). */

typedef struct {
    const char *leader;
    GPtrArray *members;
    const char *target;
    HaUsageMove move;
} Candidate;

static bool
is_moving(const HaService *service)
{
    return service->state == HA_STATE_MIGRATE || service->state == HA_STATE_RELOCATE;
}

static bool
anything_moves(HaRound *round, GPtrArray *sids)
{
    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(round->status, sids->pdata[i]);
        if (is_moving(service)
            || (service->command != NULL && !g_str_equal(service->command, "stop")))
            return true;
    }
    return false;
}

/* @sid with its started partners, sorted; NULL: one of them moves, or they are not on one node. */
static GPtrArray *
bundle_of(HaRound *round, const HaService *service)
{
    HaAffinity *affinity = round->crm->affinity;
    GPtrArray *together = affinity != NULL ? ha_affinity_together(affinity, service->sid) : NULL;
    g_autoptr(GPtrArray) members = g_ptr_array_new();

    g_ptr_array_add(members, service->sid);
    for (guint i = 0; together != NULL && i < together->len; i++) {
        const HaService *partner = ha_status_service(round->status, together->pdata[i]);
        if (partner == NULL)
            continue;
        if (is_moving(partner))
            return NULL;
        if (partner->state != HA_STATE_STARTED)
            continue;
        if (g_strcmp0(partner->node, service->node) != 0)
            return NULL;
        g_ptr_array_add(members, partner->sid);
    }
    g_ptr_array_sort(members, q_strcmp_ptr);
    return g_steal_pointer(&members);
}

GPtrArray *
round_bundles(HaRound *round)
{
    GPtrArray *bundles = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) sids = round_sids(round);

    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(round->status, sids->pdata[i]);
        if (service->state != HA_STATE_STARTED)
            continue;
        GPtrArray *members = bundle_of(round, service);
        if (members == NULL)
            continue;
        /* Sids come sorted, so that a bundle is met at its leader first. */
        if (members->pdata[0] == service->sid)
            g_ptr_array_add(bundles, members);
        else
            g_ptr_array_unref(members);
    }
    return bundles;
}

static void
add_figures(HaRound *round, const HaService *service, HaUsageMove *move)
{
    const HaConfig *config = round_config(round, service->sid);

    if (config == NULL)
        return;
    bool dynamic = round->usage_mode == HA_USAGE_DYNAMIC;
    move->cpu += dynamic ? config->cpu : config->max_cpu;
    move->mem += dynamic ? config->mem : config->max_mem;
}

/* false: a member is not in the load table, and nothing can be said. */
static bool
add_candidates(HaRound *round, GPtrArray *members, GArray *candidates)
{
    const HaService *leader = ha_status_service(round->status, members->pdata[0]);
    g_autoptr(GPtrArray) allowed = NULL;
    g_autoptr(GPtrArray) preferred = NULL;
    g_autoptr(GHashTable) apart = round_apart(round, leader->sid);
    HaUsageMove move = { 0 };

    round_candidates(round, leader->sid, &allowed, &preferred);
    for (guint i = 0; i < members->len; i++) {
        if (!ha_usage_has(round->usage, members->pdata[i]))
            return false;
        add_figures(round, ha_status_service(round->status, members->pdata[i]), &move);
    }
    move.from = (guint)ha_usage_find(round->usage, leader->node);
    for (guint i = 0; i < preferred->len; i++) {
        const char *target = preferred->pdata[i];
        if (g_str_equal(target, leader->node) || g_hash_table_contains(apart, target))
            continue;
        move.to = (guint)ha_usage_find(round->usage, target);
        g_array_append_val(candidates, ((Candidate){ leader->sid, members, target, move }));
    }
    return true;
}

/* The expected value has rounding noise, and ties must be ties: 15 decimals count. */
static double
cut(double value)
{
    return trunc(value * 1e15) / 1e15;
}

static guint
best_candidate(HaRound *round, GArray *candidates)
{
    guint best = 0;

    if (g_str_equal(round->world->datacenter->method, "topsis")) {
        g_autofree HaUsageMove *moves = g_new(HaUsageMove, candidates->len);
        for (guint i = 0; i < candidates->len; i++)
            moves[i] = g_array_index(candidates, Candidate, i).move;
        return ha_usage_rank(round->usage, moves, candidates->len);
    }
    double lowest = G_MAXDOUBLE;
    for (guint i = 0; i < candidates->len; i++) {
        double after = cut(
            ha_usage_imbalance_after(round->usage, &g_array_index(candidates, Candidate, i).move));
        if (after < lowest) {
            lowest = after;
            best = i;
        }
    }
    return best;
}

static void
move_best(HaRound *round, double before)
{
    g_autoptr(GPtrArray) bundles = round_bundles(round);
    g_autoptr(GArray) candidates = g_array_new(FALSE, FALSE, sizeof(Candidate));

    for (guint i = 0; i < bundles->len; i++) {
        if (!add_candidates(round, bundles->pdata[i], candidates)) {
            round_report(round, NULL, "rebalancing: load of some services is not known");
            return;
        }
    }
    if (candidates->len == 0)
        return;
    const Candidate *best =
        &g_array_index(candidates, Candidate, best_candidate(round, candidates));
    double after = ha_usage_imbalance_after(round->usage, &best->move);
    if ((before - after) / before < round->world->datacenter->margin)
        return;
    const char *action = g_str_has_prefix(best->leader, "vm:") ? "migrate" : "relocate";
    round_emit(round, ha_event_new(HA_EVENT_AUTO_REBALANCE, HA_F_ACTION, action, HA_F_SID,
                                   best->leader, HA_F_TO, best->target, HA_F_BEFORE, before,
                                   HA_F_AFTER, after, HA_F_END));
    round_queue_motion(round, action, best->leader, best->target);
}

void
round_rebalance(HaRound *round)
{
    const HaDatacenter *datacenter = round->world->datacenter;
    g_autoptr(GPtrArray) sids = round_sids(round);

    if (round->usage_mode == HA_USAGE_BASIC || !datacenter->auto_rebalance
        || anything_moves(round, sids))
        return;
    double before = ha_usage_imbalance(round->usage);
    if (before <= datacenter->threshold) {
        round->crm->imbalance_rounds = 0;
        return;
    }
    if (round->counts)
        round->crm->imbalance_rounds++;
    if (round->crm->imbalance_rounds < datacenter->hold_rounds)
        return;
    round->crm->imbalance_rounds = 0;
    move_best(round, before);
}
