#include "ha/core/crm_priv.h"
#include "base/sorted.h"
#include <string.h>

/* Where one service goes (ha.md 8), and the tables that this needs in a round (9.4, 9.5, 11.1). */

static bool
contains(GPtrArray *names, const char *name)
{
    return name != NULL && g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL);
}

static void
drop(GPtrArray *names, const char *name)
{
    guint index;

    if (name != NULL && g_ptr_array_find_with_equal_func(names, name, g_str_equal, &index))
        g_ptr_array_remove_index(names, index);
}

void
round_candidates(HaRound *round, const char *sid, GPtrArray **allowed, GPtrArray **preferred)
{
    GHashTable *priorities =
        round->crm->affinity != NULL ? ha_affinity_nodes(round->crm->affinity, sid) : NULL;
    int highest = G_MININT;

    *allowed = g_ptr_array_new();
    *preferred = g_ptr_array_new();
    for (guint i = 0; i < ha_usage_nodes(round->usage); i++) {
        const char *node = ha_usage_node_name(round->usage, i);
        gpointer value = NULL;
        if (priorities != NULL && !g_hash_table_lookup_extended(priorities, node, NULL, &value))
            continue;
        int priority = GPOINTER_TO_INT(value);
        if (priority > highest) {
            highest = priority;
            g_ptr_array_set_size(*preferred, 0);
        }
        if (priority == highest)
            g_ptr_array_add(*preferred, (gpointer)node);
        g_ptr_array_add(*allowed, (gpointer)node);
    }
}

/* The nodes that the partners in @sids load, with how many do. */
static GHashTable *
count_nodes(HaRound *round, GPtrArray *sids, bool both)
{
    GHashTable *counts = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; sids != NULL && i < sids->len; i++) {
        const HaService *partner = ha_status_service(round->status, sids->pdata[i]);
        const char *nodes[2] = { NULL, NULL };
        if (partner == NULL || !service_nodes(round, partner, &nodes[0], &nodes[1]))
            continue;
        for (int n = 0; n < 2; n++) {
            /* Together counts where a partner will be: its target if there is one. */
            if (nodes[n] == NULL || (!both && n == 0 && nodes[1] != NULL))
                continue;
            int count = GPOINTER_TO_INT(g_hash_table_lookup(counts, nodes[n]));
            g_hash_table_insert(counts, (gpointer)nodes[n], GINT_TO_POINTER(count + 1));
        }
    }
    return counts;
}

GHashTable *
round_apart(HaRound *round, const char *sid)
{
    HaAffinity *affinity = round->crm->affinity;
    return count_nodes(round, affinity != NULL ? ha_affinity_apart(affinity, sid) : NULL, true);
}

GHashTable *
round_together(HaRound *round, const char *sid)
{
    HaAffinity *affinity = round->crm->affinity;
    return count_nodes(round, affinity != NULL ? ha_affinity_together(affinity, sid) : NULL, false);
}

/* Step 5: nodes where partners are to be apart go; of those with partners to be together with, the
 * one with most is the only one left. */
static void
apply_partners(GPtrArray *preferred, GHashTable *together, GHashTable *apart)
{
    const char *best = NULL;
    int most = 0;

    for (guint i = preferred->len; i-- > 0;) {
        if (g_hash_table_contains(apart, preferred->pdata[i]))
            g_ptr_array_remove_index(preferred, i);
    }
    for (guint i = 0; i < preferred->len; i++) {
        int count = GPOINTER_TO_INT(g_hash_table_lookup(together, preferred->pdata[i]));
        if (count > most) {
            most = count;
            best = preferred->pdata[i];
        }
    }
    if (best != NULL) {
        g_ptr_array_set_size(preferred, 0);
        g_ptr_array_add(preferred, (gpointer)best);
    }
}

typedef struct {
    const char *node;
    double score;
} Scored;

static int
compare_scored(const void *a, const void *b)
{
    const Scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return strcmp(x->node, y->node);
}

/* Step 8. @preferred is not empty. */
static const char *
choose_by_score(HaRound *round, const HaService *service, HaPreference preference,
                GPtrArray *preferred)
{
    g_autofree double *scores = g_new(double, ha_usage_nodes(round->usage));
    g_autofree Scored *sorted = g_new(Scored, preferred->len);

    ha_usage_score(round->usage, round_config(round, service->sid), scores);
    for (guint i = 0; i < preferred->len; i++) {
        const char *node = preferred->pdata[i];
        sorted[i] = (Scored){ node, scores[ha_usage_find(round->usage, node)] };
    }
    qsort(sorted, preferred->len, sizeof *sorted, compare_scored);
    for (guint i = 0; preference == HA_PREFER_NEXT && i + 1 < preferred->len; i++) {
        if (g_strcmp0(sorted[i].node, service->node) == 0)
            return sorted[i + 1].node;
    }
    return sorted[0].node;
}

const char *
round_choose(HaRound *round, const HaService *service, HaPreference preference)
{
    g_autoptr(GPtrArray) allowed = NULL;
    g_autoptr(GPtrArray) preferred = NULL;
    const HaConfig *config = round_config(round, service->sid);

    round_candidates(round, service->sid, &allowed, &preferred);
    if (preferred->len == 0)
        return NULL;
    g_autoptr(GHashTable) together = round_together(round, service->sid);
    g_autoptr(GHashTable) apart = round_apart(round, service->sid);

    if (preference == HA_PREFER_STAY && config != NULL && !round_failback(round, config)
        && contains(allowed, service->node)
        && (g_hash_table_contains(together, service->node)
            || !g_hash_table_contains(apart, service->node)))
        return service->node;
    for (guint i = 0; preference == HA_PREFER_NEXT && service->failed_nodes != NULL
                      && i < service->failed_nodes->len;
         i++)
        drop(preferred, service->failed_nodes->pdata[i]);
    apply_partners(preferred, together, apart);
    if (contains(preferred, service->maintenance_node))
        return service->maintenance_node;
    if (preference == HA_PREFER_STAY && contains(preferred, service->node))
        return service->node;
    return preferred->len > 0 ? choose_by_score(round, service, preference, preferred) : NULL;
}

/* ------------------------------------------------------------------ the tables of a round */

static HaUsageMode
wanted_mode(const HaDatacenter *datacenter)
{
    if (g_str_equal(datacenter->mode, "static"))
        return HA_USAGE_STATIC;
    return g_str_equal(datacenter->mode, "dynamic") ? HA_USAGE_DYNAMIC : HA_USAGE_BASIC;
}

void
round_build_usage(HaRound *round)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(round->status->nodes);

    round->usage_mode = wanted_mode(round->world->datacenter);
    for (guint i = 0; i < names->len; i++) {
        const HaNode *node = ha_world_node(round->world, names->pdata[i]);
        if (node == NULL || !round_online(round, names->pdata[i]))
            continue;
        g_ptr_array_add(round->online, (gpointer)node);
        if (round->usage_mode == HA_USAGE_STATIC && !node->has_capacity) {
            round_report(round, NULL, "capacity of %s is not known, placing by number of services",
                         node->name);
            round->usage_mode = HA_USAGE_BASIC;
        }
    }
    round->usage = ha_usage_new(round->usage_mode, round->online);

    g_autoptr(GPtrArray) sids = q_sorted_keys(round->status->services);
    for (guint i = 0; i < sids->len; i++)
        service_load(round, ha_status_service(round->status, sids->pdata[i]));
    g_autoptr(GPtrArray) configured = q_sorted_keys(round->world->configs);
    for (guint i = 0; i < configured->len; i++) {
        const HaConfig *config = round_config(round, configured->pdata[i]);
        /* Guests that are not ours load their nodes too. */
        if (ha_status_service(round->status, config->sid) != NULL)
            continue;
        bool loads = config->unmanaged ? config->runs : config->state == HA_REQUEST_STARTED;
        if (loads)
            ha_usage_set(round->usage, config->sid, config->node, NULL, config->runs, config);
    }
}

static bool
rules_current(HaRound *round)
{
    const Crm *crm = round->crm;

    return crm->affinity != NULL && !round->nodes_changed
           && g_strcmp0(crm->rules_text, round->rules_text) == 0
           && g_strcmp0(crm->groups_text, round->groups_text) == 0;
}

void
round_compile_rules(HaRound *round)
{
    Crm *crm = round->crm;

    if (rules_current(round) && !round_has_groups(round))
        return;
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) rules = ha_rules_parse(round->rules_text, warnings);
    g_autoptr(GPtrArray) from_groups = round_group_rules(round);
    for (guint i = 0; from_groups != NULL && i < from_groups->len; i++)
        g_ptr_array_add(rules, from_groups->pdata[i]);

    g_autoptr(GPtrArray) nodes = q_sorted_keys(round->status->nodes);
    g_autoptr(GPtrArray) problems = ha_rules_transform(rules, nodes->len);
    for (guint i = 0; i < warnings->len; i++)
        round_report(round, NULL, "rules: %s", (char *)warnings->pdata[i]);
    for (guint i = 0; i < problems->len; i++) {
        const HaRuleProblem *problem = problems->pdata[i];
        round_report(round, NULL, "rule '%s' is not in force: %s", problem->id, problem->text);
    }
    ha_affinity_free(crm->affinity);
    crm->affinity = ha_affinity_new(rules, nodes);
    g_free(crm->rules_text);
    crm->rules_text = g_strdup(round->rules_text);
    g_free(crm->groups_text);
    crm->groups_text = g_strdup(round->groups_text);
}
