#include "base/sorted.h"
#include "ha/core/rules_priv.h"
#include <string.h>

/* What follows from rules that can hold together, and what they mean for one service. */

static gint
compare_ids(gconstpointer a, gconstpointer b)
{
    return strcmp((*(HaRule *const *)a)->id, (*(HaRule *const *)b)->id);
}

static void
add_resource(HaRule *rule, const char *sid)
{
    guint i = 0;

    while (i < rule->resources->len && strcmp(rule->resources->pdata[i], sid) < 0)
        i++;
    if (i == rule->resources->len || strcmp(rule->resources->pdata[i], sid) != 0)
        g_ptr_array_insert(rule->resources, (gint)i, g_strdup(sid));
}

static HaRule *
new_resource_rule(char *id, bool negative)
{
    HaRule *rule = g_new0(HaRule, 1);

    rule->type = HA_RULE_RESOURCE;
    rule->id = id;
    rule->negative = negative;
    rule->resources = g_ptr_array_new_with_free_func(g_free);
    return rule;
}

static void
remove_offenders(GPtrArray *rules, GPtrArray *problems)
{
    for (guint i = rules->len; i-- > 0;) {
        const HaRule *rule = rules->pdata[i];
        bool offends = false;
        for (guint p = 0; p < problems->len && !offends; p++)
            offends = g_str_equal(((HaRuleProblem *)problems->pdata[p])->id, rule->id);
        if (offends)
            g_ptr_array_remove_index(rules, i);
    }
}

/* 9.3, 1: positive rules that overlap become one. */
static void
merge_positive(GPtrArray *rules)
{
    g_autoptr(GPtrArray) groups = ha_rules_positive_groups(rules);

    for (guint g = 0; g < groups->len; g++) {
        GPtrArray *group = groups->pdata[g];
        if (group->len < 2)
            continue;
        GString *id = g_string_new("_merged");
        HaRule *merged = new_resource_rule(NULL, false);
        for (guint m = 0; m < group->len; m++) {
            const HaRule *rule = group->pdata[m];
            g_string_append_printf(id, "-%s", rule->id);
            for (guint r = 0; r < rule->resources->len; r++)
                add_resource(merged, rule->resources->pdata[r]);
        }
        merged->id = g_string_free(id, FALSE);
        for (guint m = 0; m < group->len; m++)
            g_ptr_array_remove(rules, group->pdata[m]);
        g_ptr_array_add(rules, merged);
    }
    g_ptr_array_sort(rules, compare_ids);
}

/* sid -> set of sids that it is to be kept apart from */
static GHashTable *
apart_table(GPtrArray *rules, bool negative)
{
    GHashTable *table =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_hash_table_unref);

    for (guint i = 0; i < rules->len; i++) {
        const HaRule *rule = rules->pdata[i];
        if (rule->disabled || rule->type != HA_RULE_RESOURCE || rule->negative != negative)
            continue;
        for (guint a = 0; a < rule->resources->len; a++) {
            GHashTable *partners = g_hash_table_lookup(table, rule->resources->pdata[a]);
            if (partners == NULL) {
                partners = g_hash_table_new(g_str_hash, g_str_equal);
                g_hash_table_insert(table, rule->resources->pdata[a], partners);
            }
            for (guint b = 0; b < rule->resources->len; b++) {
                if (a != b)
                    g_hash_table_add(partners, rule->resources->pdata[b]);
            }
        }
    }
    return table;
}

/* 9.3, 2: what is apart from one member is apart from all of them. */
static void
imply_negative(GPtrArray *rules)
{
    g_autoptr(GHashTable) apart = apart_table(rules, true);
    guint given = rules->len;

    for (guint i = 0; i < given; i++) {
        const HaRule *rule = rules->pdata[i];
        g_autoptr(GHashTable) others = g_hash_table_new(g_str_hash, g_str_equal);
        if (rule->disabled || rule->type != HA_RULE_RESOURCE || rule->negative)
            continue;
        for (guint m = 0; m < rule->resources->len; m++) {
            GHashTable *partners = g_hash_table_lookup(apart, rule->resources->pdata[m]);
            g_autoptr(GPtrArray) names =
                partners != NULL ? q_sorted_keys(partners) : g_ptr_array_new();
            for (guint n = 0; n < names->len; n++)
                g_hash_table_add(others, names->pdata[n]);
        }
        g_autoptr(GPtrArray) names = q_sorted_keys(others);
        for (guint n = 0; n < names->len; n++) {
            for (guint m = 0; m < rule->resources->len; m++) {
                const char *member = rule->resources->pdata[m];
                GHashTable *partners = g_hash_table_lookup(apart, member);
                if (partners != NULL && g_hash_table_contains(partners, names->pdata[n]))
                    continue;
                HaRule *implied =
                    new_resource_rule(g_strdup_printf("_implicit-negative-%s-%s-%s", rule->id,
                                                      member, (char *)names->pdata[n]),
                                      true);
                add_resource(implied, member);
                add_resource(implied, names->pdata[n]);
                g_ptr_array_add(rules, implied);
            }
        }
    }
    g_ptr_array_sort(rules, compare_ids);
}

/* 9.3, 3: the node rule of one member holds for all of them. */
static void
infer_node_affinity(GPtrArray *rules)
{
    for (guint i = 0; i < rules->len; i++) {
        const HaRule *positive = rules->pdata[i];
        HaRule *found = NULL;
        if (positive->disabled || positive->type != HA_RULE_RESOURCE || positive->negative)
            continue;
        for (guint j = 0; j < rules->len && found == NULL; j++) {
            HaRule *rule = rules->pdata[j];
            for (guint r = 0;
                 !rule->disabled && rule->type == HA_RULE_NODE && r < rule->resources->len; r++) {
                if (g_ptr_array_find_with_equal_func(positive->resources, rule->resources->pdata[r],
                                                     g_str_equal, NULL))
                    found = rule;
            }
        }
        for (guint r = 0; found != NULL && r < positive->resources->len; r++)
            add_resource(found, positive->resources->pdata[r]);
    }
}

GPtrArray *
ha_rules_transform(GPtrArray *rules, size_t nodes)
{
    GPtrArray *problems = ha_rules_check(rules, nodes);

    remove_offenders(rules, problems);
    merge_positive(rules);
    imply_negative(rules);
    infer_node_affinity(rules);
    return problems;
}

/* ------------------------------------------------------------------ compiled */

typedef struct {
    GHashTable *nodes;   /* or NULL */
    GPtrArray *together; /* or NULL */
    GPtrArray *apart;    /* or NULL */
} Affinity;

struct HaAffinity {
    GHashTable *services; /* sid -> Affinity */
};

static void
affinity_free(gpointer data)
{
    Affinity *affinity = data;

    g_clear_pointer(&affinity->nodes, g_hash_table_unref);
    g_clear_pointer(&affinity->together, g_ptr_array_unref);
    g_clear_pointer(&affinity->apart, g_ptr_array_unref);
    g_free(affinity);
}

static Affinity *
get_affinity(HaAffinity *compiled, const char *sid)
{
    Affinity *affinity = g_hash_table_lookup(compiled->services, sid);

    if (affinity == NULL) {
        affinity = g_new0(Affinity, 1);
        g_hash_table_insert(compiled->services, g_strdup(sid), affinity);
    }
    return affinity;
}

static void
compile_node_rule(HaAffinity *compiled, const HaRule *rule, GPtrArray *nodes)
{
    GHashTable *priorities = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) named = q_sorted_keys(rule->nodes);

    for (guint i = 0; !rule->strict && i < nodes->len; i++)
        g_hash_table_insert(priorities, g_strdup(nodes->pdata[i]), GINT_TO_POINTER(-1));
    for (guint i = 0; i < named->len; i++)
        g_hash_table_insert(priorities, g_strdup(named->pdata[i]),
                            g_hash_table_lookup(rule->nodes, named->pdata[i]));
    for (guint i = 0; i < rule->resources->len; i++) {
        Affinity *affinity = get_affinity(compiled, rule->resources->pdata[i]);
        g_clear_pointer(&affinity->nodes, g_hash_table_unref);
        affinity->nodes = g_hash_table_ref(priorities);
    }
    g_hash_table_unref(priorities);
}

static void
compile_partners(HaAffinity *compiled, GPtrArray *rules, bool negative)
{
    g_autoptr(GHashTable) table = apart_table(rules, negative);
    g_autoptr(GPtrArray) sids = q_sorted_keys(table);

    for (guint i = 0; i < sids->len; i++) {
        Affinity *affinity = get_affinity(compiled, sids->pdata[i]);
        g_autoptr(GPtrArray) partners = q_sorted_keys(g_hash_table_lookup(table, sids->pdata[i]));
        GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);
        for (guint p = 0; p < partners->len; p++)
            g_ptr_array_add(copy, g_strdup(partners->pdata[p]));
        *(negative ? &affinity->apart : &affinity->together) = copy;
    }
}

HaAffinity *
ha_affinity_new(GPtrArray *rules, GPtrArray *nodes)
{
    HaAffinity *compiled = g_new0(HaAffinity, 1);

    compiled->services = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, affinity_free);
    for (guint i = 0; i < rules->len; i++) {
        const HaRule *rule = rules->pdata[i];
        if (!rule->disabled && rule->type == HA_RULE_NODE)
            compile_node_rule(compiled, rule, nodes);
    }
    compile_partners(compiled, rules, false);
    compile_partners(compiled, rules, true);
    return compiled;
}

void
ha_affinity_free(HaAffinity *affinity)
{
    if (affinity == NULL)
        return;
    g_hash_table_unref(affinity->services);
    g_free(affinity);
}

GHashTable *
ha_affinity_nodes(const HaAffinity *affinity, const char *sid)
{
    const Affinity *found = g_hash_table_lookup(affinity->services, sid);
    return found != NULL ? found->nodes : NULL;
}

GPtrArray *
ha_affinity_together(const HaAffinity *affinity, const char *sid)
{
    const Affinity *found = g_hash_table_lookup(affinity->services, sid);
    return found != NULL ? found->together : NULL;
}

GPtrArray *
ha_affinity_apart(const HaAffinity *affinity, const char *sid)
{
    const Affinity *found = g_hash_table_lookup(affinity->services, sid);
    return found != NULL ? found->apart : NULL;
}

GPtrArray *
ha_affinity_sids(const HaAffinity *affinity)
{
    return q_sorted_keys(affinity->services);
}
