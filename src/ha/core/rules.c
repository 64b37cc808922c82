#include "ha/core/rules_priv.h"
#include "base/sorted.h"
#include <string.h>

/*
 * Reading and checking. What one kind of rule means for placement stands in rules_affinity.c.
 */

void
ha_rule_free(HaRule *rule)
{
    if (rule == NULL)
        return;
    g_free(rule->id);
    g_ptr_array_unref(rule->resources);
    g_clear_pointer(&rule->nodes, g_hash_table_unref);
    g_free(rule->comment);
    g_free(rule);
}

void
ha_rule_problem_free(HaRuleProblem *problem)
{
    if (problem == NULL)
        return;
    g_free(problem->id);
    g_free(problem->sid);
    g_free(problem->text);
    g_free(problem);
}

static void
add_sorted(GPtrArray *names, const char *name)
{
    guint i = 0;

    while (i < names->len && strcmp(names->pdata[i], name) < 0)
        i++;
    if (i == names->len || strcmp(names->pdata[i], name) != 0)
        g_ptr_array_insert(names, (gint)i, g_strdup(name));
}

static bool
parse_nodes(HaRule *rule, const char *text, GError **error)
{
    g_auto(GStrv) words = q_split_list(text);

    rule->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **word = words; *word != NULL; word++) {
        char *colon = strchr(*word, ':');
        int64_t priority = 0;
        if (colon != NULL) {
            char *end;
            *colon = '\0';
            priority = g_ascii_strtoll(colon + 1, &end, 10);
            if (colon[1] == '\0' || *end != '\0' || priority < 0 || priority > 1000)
                return q_set_error(
                    error, Q_ERROR_INVALID,
                    "rule '%s': node '%s': priority '%s' is not a number from 0 to 1000", rule->id,
                    *word, colon + 1);
        }
        g_hash_table_insert(rule->nodes, g_strdup(*word), GINT_TO_POINTER((int)priority));
    }
    if (g_hash_table_size(rule->nodes) == 0)
        return q_set_error(error, Q_ERROR_INVALID, "rule '%s': no nodes", rule->id);
    return true;
}

static bool
parse_affinity(HaRule *rule, const char *affinity, GError **error)
{
    if (g_strcmp0(affinity, "positive") != 0 && g_strcmp0(affinity, "negative") != 0)
        return q_set_error(error, Q_ERROR_INVALID,
                           "rule '%s': affinity '%s': expected positive or negative", rule->id,
                           affinity != NULL ? affinity : "");
    rule->negative = g_str_equal(affinity, "negative");
    return true;
}

HaRule *
ha_rule_parse(const QSection *section, GError **error)
{
    const char *type = q_section_type(section), *id = q_section_id(section);
    bool node = g_str_equal(type, "node-affinity");

    if (!node && !g_str_equal(type, "resource-affinity")) {
        q_set_error(error, Q_ERROR_INVALID,
                    "rule '%s': type '%s': expected node-affinity or resource-affinity", id, type);
        return NULL;
    }
    HaRule *rule = g_new0(HaRule, 1);
    g_auto(GStrv) resources = q_split_list(q_section_get(section, "resources", ""));

    rule->type = node ? HA_RULE_NODE : HA_RULE_RESOURCE;
    rule->id = g_strdup(id);
    rule->disabled = q_section_get(section, "disable", NULL) != NULL;
    rule->strict = q_section_get_bool(section, "strict", false);
    rule->comment = g_strdup(q_section_get(section, "comment", NULL));
    rule->resources = g_ptr_array_new_with_free_func(g_free);
    for (char **sid = resources; *sid != NULL; sid++)
        add_sorted(rule->resources, *sid);
    if (node ? parse_nodes(rule, q_section_get(section, "nodes", ""), error)
             : parse_affinity(rule, q_section_get(section, "affinity", NULL), error))
        return rule;
    ha_rule_free(rule);
    return NULL;
}

static gint
compare_rules(gconstpointer a, gconstpointer b)
{
    return strcmp((*(HaRule *const *)a)->id, (*(HaRule *const *)b)->id);
}

GPtrArray *
ha_rules_parse(const char *text, GPtrArray *warnings)
{
    GPtrArray *rules = g_ptr_array_new_with_free_func((GDestroyNotify)ha_rule_free);
    g_autoptr(QSectionConfig) config = q_section_config_parse(text);
    GPtrArray *sections = q_section_config_sections(config);

    for (guint i = 0; i < sections->len; i++) {
        g_autoptr(GError) error = NULL;
        HaRule *rule = ha_rule_parse(sections->pdata[i], &error);
        if (rule != NULL)
            g_ptr_array_add(rules, rule);
        else if (warnings != NULL)
            g_ptr_array_add(warnings, g_strdup(error->message));
    }
    g_ptr_array_sort(rules, compare_rules);
    return rules;
}

/* ------------------------------------------------------------------ checks */

typedef enum {
    SEVERAL_NODE_RULES_OF_ONE,
    TOO_FEW_RESOURCES,
    MORE_THAN_NODES,
    CONFLICTS_WITH_NEGATIVE,
    CONFLICTS_WITH_POSITIVE,
    HAVE_PRIORITIES,
    PRIORITIES_WITH_RESOURCE,
    SEVERAL_NODE_RULES,
    OTHER_NODE_RULE,
    TOO_FEW_NODES,
    RESTRICTS_TOO_MUCH,
} Reason;

/* clang-format off */
static const struct { const char *word; const char *text; } reasons[] = {
    [SEVERAL_NODE_RULES_OF_ONE] = { "resource-in-several-node-rules", "a resource is in several node affinity rules" },
    [TOO_FEW_RESOURCES] = { "too-few-resources", "a resource affinity rule needs two resources at least" },
    [MORE_THAN_NODES] = { "more-resources-than-nodes", "more resources are to be kept apart than there are nodes" },
    [CONFLICTS_WITH_NEGATIVE] = { "conflicts-with-negative", "two of its resources are to be kept apart by another rule" },
    [CONFLICTS_WITH_POSITIVE] = { "conflicts-with-positive", "two of its resources are to be kept together by other rules" },
    [HAVE_PRIORITIES] = { "node-rules-have-priorities", "a node affinity rule of its resources has several priorities" },
    [PRIORITIES_WITH_RESOURCE] = { "priorities-with-resource-rule", "node priorities do not go together with resource affinity" },
    [SEVERAL_NODE_RULES] = { "several-node-rules", "its resources are in several node affinity rules" },
    [OTHER_NODE_RULE] = { "positive-rule-has-other-node-rule", "resources to be kept together are in other node affinity rules too" },
    [TOO_FEW_NODES] = { "too-few-nodes-for-negative", "its resources are held to fewer nodes than there are resources" },
    [RESTRICTS_TOO_MUCH] = { "restricts-negative-too-much", "it leaves too few nodes for resources to be kept apart" },
};
/* clang-format on */

static void
add_problem(GPtrArray *problems, const HaRule *rule, Reason reason, const char *sid)
{
    HaRuleProblem *problem = g_new0(HaRuleProblem, 1);

    problem->id = g_strdup(rule->id);
    problem->reason = reasons[reason].word;
    problem->sid = g_strdup(sid);
    problem->text = g_strdup_printf("%s%s%s", reasons[reason].text, sid != NULL ? ": " : "",
                                    sid != NULL ? sid : "");
    g_ptr_array_add(problems, problem);
}

/* Says each thing about a rule once; conflicts are said once for each rule that it conflicts with.
 */
static void
add_problem_once(GPtrArray *problems, const HaRule *rule, Reason reason, const char *sid)
{
    for (guint i = 0; i < problems->len; i++) {
        const HaRuleProblem *known = problems->pdata[i];
        if (known->reason == reasons[reason].word && g_str_equal(known->id, rule->id)
            && g_strcmp0(known->sid, sid) == 0)
            return;
    }
    add_problem(problems, rule, reason, sid);
}

static int
reason_rank(const HaRuleProblem *problem)
{
    int rank = 0;

    while (reasons[rank].word != problem->reason)
        rank++;
    return rank;
}

static gint
compare_problems(gconstpointer a, gconstpointer b)
{
    const HaRuleProblem *x = *(HaRuleProblem *const *)a, *y = *(HaRuleProblem *const *)b;
    int by_id = strcmp(x->id, y->id);
    int by_reason = reason_rank(x) - reason_rank(y);

    return by_id != 0 ? by_id : by_reason != 0 ? by_reason : g_strcmp0(x->sid, y->sid);
}

static bool
has_resource(const HaRule *rule, const char *sid)
{
    for (guint i = 0; i < rule->resources->len; i++) {
        if (g_str_equal(rule->resources->pdata[i], sid))
            return true;
    }
    return false;
}

static guint
shared(const HaRule *a, const HaRule *b)
{
    guint count = 0;

    for (guint i = 0; i < a->resources->len; i++)
        count += has_resource(b, a->resources->pdata[i]);
    return count;
}

static bool
is_kind(const HaRule *rule, HaRuleType type, bool negative)
{
    return !rule->disabled && rule->type == type
           && (type == HA_RULE_NODE || rule->negative == negative);
}

static gint
compare_by_resource(gconstpointer a, gconstpointer b)
{
    const HaRule *x = *(HaRule *const *)a, *y = *(HaRule *const *)b;
    int by_resource = strcmp(x->resources->len > 0 ? x->resources->pdata[0] : "",
                             y->resources->len > 0 ? y->resources->pdata[0] : "");
    return by_resource != 0 ? by_resource : strcmp(x->id, y->id);
}

GPtrArray *
ha_rules_positive_groups(GPtrArray *rules)
{
    GPtrArray *groups = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GPtrArray) positive = g_ptr_array_new();

    for (guint i = 0; i < rules->len; i++) {
        if (is_kind(rules->pdata[i], HA_RULE_RESOURCE, false))
            g_ptr_array_add(positive, rules->pdata[i]);
    }
    g_ptr_array_sort(positive, compare_by_resource);
    for (guint i = 0; i < positive->len; i++) {
        GPtrArray *home = NULL;
        for (guint g = 0; g < groups->len && home == NULL; g++) {
            GPtrArray *group = groups->pdata[g];
            for (guint m = 0; m < group->len && home == NULL; m++) {
                if (shared(group->pdata[m], positive->pdata[i]) > 0)
                    home = group;
            }
        }
        if (home == NULL) {
            home = g_ptr_array_new();
            g_ptr_array_add(groups, home);
        }
        g_ptr_array_add(home, positive->pdata[i]);
    }
    return groups;
}

static bool
group_has(GPtrArray *group, const char *sid)
{
    for (guint i = 0; i < group->len; i++) {
        if (has_resource(group->pdata[i], sid))
            return true;
    }
    return false;
}

/* Check 1: a resource in several node rules. */
static void
check_node_rules(GPtrArray *rules, GPtrArray *problems)
{
    for (guint i = 0; i < rules->len; i++) {
        const HaRule *rule = rules->pdata[i];
        for (guint j = 0; j < rules->len; j++) {
            const HaRule *other = rules->pdata[j];
            if (i == j || !is_kind(rule, HA_RULE_NODE, false)
                || !is_kind(other, HA_RULE_NODE, false))
                continue;
            for (guint r = 0; r < rule->resources->len; r++) {
                if (has_resource(other, rule->resources->pdata[r]))
                    add_problem_once(problems, rule, SEVERAL_NODE_RULES_OF_ONE,
                                     rule->resources->pdata[r]);
            }
        }
    }
}

/* Checks 2 and 3: how many resources a resource rule has. */
static void
check_counts(GPtrArray *rules, size_t nodes, GPtrArray *problems)
{
    for (guint i = 0; i < rules->len; i++) {
        const HaRule *rule = rules->pdata[i];
        if (rule->disabled || rule->type != HA_RULE_RESOURCE)
            continue;
        if (rule->resources->len < 2)
            add_problem_once(problems, rule, TOO_FEW_RESOURCES, NULL);
        if (rule->negative && rule->resources->len > nodes)
            add_problem_once(problems, rule, MORE_THAN_NODES, NULL);
    }
}

/* Check 4: together by some rules, apart by another. */
static void
check_conflicts(GPtrArray *rules, GPtrArray *groups, GPtrArray *problems)
{
    for (guint g = 0; g < groups->len; g++) {
        GPtrArray *group = groups->pdata[g];
        for (guint i = 0; i < rules->len; i++) {
            const HaRule *rule = rules->pdata[i];
            guint common = 0;
            if (!is_kind(rule, HA_RULE_RESOURCE, true))
                continue;
            for (guint r = 0; r < rule->resources->len; r++)
                common += group_has(group, rule->resources->pdata[r]);
            if (common < 2)
                continue;
            add_problem(problems, rule, CONFLICTS_WITH_POSITIVE, NULL);
            for (guint m = 0; m < group->len; m++)
                add_problem(problems, group->pdata[m], CONFLICTS_WITH_NEGATIVE, NULL);
        }
    }
}

static bool
has_priorities(const HaRule *rule)
{
    g_autoptr(GPtrArray) nodes = q_sorted_keys(rule->nodes);

    for (guint i = 1; i < nodes->len; i++) {
        if (g_hash_table_lookup(rule->nodes, nodes->pdata[i])
            != g_hash_table_lookup(rule->nodes, nodes->pdata[0]))
            return true;
    }
    return false;
}

/* (element-type HaRule): enabled node rules that share a resource with one of @group */
static GPtrArray *
node_rules_of(GPtrArray *rules, GPtrArray *group)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < rules->len; i++) {
        bool shares = false;
        for (guint m = 0; m < group->len && !shares; m++)
            shares = is_kind(rules->pdata[i], HA_RULE_NODE, false)
                     && shared(group->pdata[m], rules->pdata[i]) > 0;
        if (shares)
            g_ptr_array_add(found, rules->pdata[i]);
    }
    return found;
}

/* Checks 5 and 7, of each resource rule against the node rules of its resources. */
static void
check_against_nodes(GPtrArray *rules, HaRule *rule, GPtrArray *problems)
{
    g_autoptr(GPtrArray) alone = g_ptr_array_new();
    g_ptr_array_add(alone, rule);
    g_autoptr(GPtrArray) found = node_rules_of(rules, alone);
    g_autoptr(GHashTable) nodes = g_hash_table_new(g_str_hash, g_str_equal);
    bool priorities = false;
    guint covered = 0;

    for (guint i = 0; i < found->len; i++) {
        const HaRule *other = found->pdata[i];
        g_autoptr(GPtrArray) names = q_sorted_keys(other->nodes);
        for (guint n = 0; n < names->len; n++)
            g_hash_table_add(nodes, names->pdata[n]);
        priorities = priorities || has_priorities(other);
    }
    for (guint r = 0; r < rule->resources->len; r++)
        covered += group_has(found, rule->resources->pdata[r]);
    bool too_few = rule->negative && found->len > 0 && g_hash_table_size(nodes) < covered;

    if (priorities)
        add_problem_once(problems, rule, HAVE_PRIORITIES, NULL);
    if (too_few)
        add_problem_once(problems, rule, TOO_FEW_NODES, NULL);
    for (guint i = 0; i < found->len; i++) {
        if (priorities)
            add_problem_once(problems, found->pdata[i], PRIORITIES_WITH_RESOURCE, NULL);
        if (too_few)
            add_problem_once(problems, found->pdata[i], RESTRICTS_TOO_MUCH, NULL);
    }
}

/* Check 6: resources to be kept together in more than one node rule. */
static void
check_groups(GPtrArray *rules, GPtrArray *groups, GPtrArray *problems)
{
    for (guint g = 0; g < groups->len; g++) {
        GPtrArray *group = groups->pdata[g];
        g_autoptr(GPtrArray) found = node_rules_of(rules, group);
        if (found->len < 2)
            continue;
        for (guint m = 0; m < group->len; m++)
            add_problem_once(problems, group->pdata[m], SEVERAL_NODE_RULES, NULL);
        for (guint i = 0; i < found->len; i++)
            add_problem_once(problems, found->pdata[i], OTHER_NODE_RULE, NULL);
    }
}

GPtrArray *
ha_rules_check(GPtrArray *rules, size_t nodes)
{
    GPtrArray *problems = g_ptr_array_new_with_free_func((GDestroyNotify)ha_rule_problem_free);
    g_autoptr(GPtrArray) groups = ha_rules_positive_groups(rules);

    check_node_rules(rules, problems);
    check_counts(rules, nodes, problems);
    check_conflicts(rules, groups, problems);
    for (guint i = 0; i < rules->len; i++) {
        HaRule *rule = rules->pdata[i];
        if (!rule->disabled && rule->type == HA_RULE_RESOURCE)
            check_against_nodes(rules, rule, problems);
    }
    check_groups(rules, groups, problems);
    g_ptr_array_sort(problems, compare_problems);
    return problems;
}
