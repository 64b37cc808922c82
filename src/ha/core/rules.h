#pragma once
#include "base/error.h"
#include "base/section_config.h"

/* Node and resource affinity: rules.cfg read, checked, pruned, transformed and compiled (ha.md 9).
 */

typedef enum { HA_RULE_NODE, HA_RULE_RESOURCE } HaRuleType;

typedef struct {
    HaRuleType type;
    char *id;
    bool disabled;
    GPtrArray *resources; /* char *, sorted, each once */
    GHashTable *nodes;    /* node rules: name -> GINT_TO_POINTER(priority); else NULL */
    bool strict;          /* node rules */
    bool negative;        /* resource rules */
    char *comment;        /* or NULL */
} HaRule;
void ha_rule_free(HaRule *rule);

/**
 * ha_rules_parse:
 * @text: of rules.cfg
 * @warnings: (nullable): char * are added for sections that cannot be used
 *
 * Returns: (element-type HaRule) (transfer full): all rules, disabled ones too, sorted by id
 */
GPtrArray *ha_rules_parse(const char *text, GPtrArray *warnings);

/** ha_rule_parse: one section. Errors: Q_ERROR_INVALID. For ha-manager rules add and set. */
HaRule *ha_rule_parse(const QSection *section, GError **error);

typedef struct {
    char *id;           /* of the rule that cannot hold */
    const char *reason; /* a word: "too-few-resources", … */
    char *sid;          /* with "resource-in-several-node-rules", else NULL */
    char *text;         /* for people */
} HaRuleProblem;
void ha_rule_problem_free(HaRuleProblem *problem);

/**
 * ha_rules_check:
 * @rules: (element-type HaRule)
 * @nodes: how many nodes the cluster has
 *
 * Returns: (element-type HaRuleProblem) (transfer full): sorted by id, then in the order of checks;
 *   empty if all enabled rules can hold together
 */
GPtrArray *ha_rules_check(GPtrArray *rules, size_t nodes);

/** ha_rules_transform: removes offending rules from @rules (in place) and adds what
 *  follows from the others (merged positive, implicit negative, inferred node affinity). Stays
 *  sorted by id. Returns: as ha_rules_check() */
GPtrArray *ha_rules_transform(GPtrArray *rules, size_t nodes);

typedef struct HaAffinity HaAffinity; /* compiled: by service */

/** ha_affinity_new: @rules transformed; @nodes (element-type utf8): all known, sorted */
HaAffinity *ha_affinity_new(GPtrArray *rules, GPtrArray *nodes);
void ha_affinity_free(HaAffinity *affinity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HaAffinity, ha_affinity_free)

/* All borrowed; NULL: no rule says anything about @sid. */
GHashTable *ha_affinity_nodes(const HaAffinity *affinity, const char *sid);   /* node -> priority */
GPtrArray *ha_affinity_together(const HaAffinity *affinity, const char *sid); /* char *, sorted */
GPtrArray *ha_affinity_apart(const HaAffinity *affinity, const char *sid);
GPtrArray *ha_affinity_sids(const HaAffinity *affinity); /* (transfer container), sorted */
