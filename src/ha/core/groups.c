#include "ha/core/crm_priv.h"
#include <stdio.h>
#include <string.h>

/* Legacy groups: they act as node rules, and are converted into such once all nodes can (ha.md 15).
 */

#define MINIMUM_VERSION "9.0.0~16"
enum { RETRY_ROUNDS = 6 };

static QSectionConfig *
parse_groups(const HaRound *round)
{
    return q_section_config_parse(round->groups_text);
}

bool
round_has_groups(const HaRound *round)
{
    if (round->groups_text == NULL)
        return false;
    g_autoptr(QSectionConfig) groups = parse_groups(round);
    return q_section_config_sections(groups)->len > 0;
}

bool
round_failback(HaRound *round, const HaConfig *config)
{
    if (config->group == NULL || round->groups_text == NULL)
        return config->failback;
    g_autoptr(QSectionConfig) groups = parse_groups(round);
    const QSection *group = q_section_config_find(groups, config->group);
    return group != NULL ? !q_section_get_bool(group, "nofailback", false) : config->failback;
}

/* The services of @group, comma-separated; NULL if it has none. */
static char *
members_of(HaRound *round, const char *group)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(round->world->configs);
    GString *members = g_string_new(NULL);

    for (guint i = 0; i < sids->len; i++) {
        const HaConfig *config = round_config(round, sids->pdata[i]);
        if (g_strcmp0(config->group, group) == 0)
            g_string_append_printf(members, "%s%s", members->len > 0 ? "," : "", config->sid);
    }
    return g_string_free(members, members->len == 0);
}

/* The groups as sections of rules.cfg, after those of @text. */
static char *
rules_with_groups(HaRound *round, const char *text)
{
    g_autoptr(QSectionConfig) groups = parse_groups(round);
    g_autoptr(QSectionConfig) rules = q_section_config_parse(text);
    GPtrArray *sections = q_section_config_sections(groups);

    for (guint i = 0; i < sections->len; i++) {
        const QSection *group = sections->pdata[i];
        g_autofree char *members = members_of(round, q_section_id(group));
        g_autofree char *id = g_strdup_printf("ha-group-%s", q_section_id(group));
        QSection *rule =
            members != NULL ? q_section_config_add(rules, "node-affinity", id, NULL) : NULL;
        if (rule == NULL)
            continue;
        q_section_set(rule, "nodes", q_section_get(group, "nodes", ""));
        q_section_set(rule, "resources", members);
        if (q_section_get_bool(group, "restricted", false))
            q_section_set(rule, "strict", "1");
        q_section_set(rule, "comment", q_section_get(group, "comment", NULL));
    }
    return q_section_config_text(rules);
}

GPtrArray *
round_group_rules(HaRound *round)
{
    if (!round_has_groups(round))
        return NULL;
    g_autofree char *text = rules_with_groups(round, NULL);
    GPtrArray *rules = ha_rules_parse(text, NULL);
    g_ptr_array_set_free_func(rules, NULL); /* they become the caller's */
    return rules;
}

/* ------------------------------------------------------------------ conversion */

static bool
version_parse(const char *text, int parts[4])
{
    memset(parts, 0, 4 * sizeof *parts);
    parts[3] = G_MAXINT; /* no revision is above any */
    return text != NULL
           && sscanf(text, "%d.%d.%d~%d", &parts[0], &parts[1], &parts[2], &parts[3]) >= 2;
}

static bool
version_is_new_enough(const char *text)
{
    int version[4], minimum[4];

    version_parse(MINIMUM_VERSION, minimum);
    if (!version_parse(text, version))
        return false;
    for (int i = 0; i < 4; i++) {
        if (version[i] != minimum[i])
            return version[i] > minimum[i];
    }
    return true;
}

static bool
has_active_services(HaRound *round, const char *node)
{
    g_autoptr(GPtrArray) sids = round_sids(round);

    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(round->status, sids->pdata[i]);
        if (g_strcmp0(service->node, node) == 0 && service->state != HA_STATE_STOPPED
            && service->state != HA_STATE_FREEZE && service->state != HA_STATE_ERROR
            && service->state != HA_STATE_REQUEST_START)
            return true;
    }
    return false;
}

/* Why @node cannot do without groups yet; NULL: it can. */
static const char *
check_node(HaRound *round, const char *node)
{
    HaNodeState state = round_node(round, node);
    const HaLrmStatus *lrm = g_hash_table_lookup(round->world->lrm, node);
    const HaNode *info = ha_world_node(round->world, node);
    const char *lrm_state = lrm != NULL ? lrm->state : "unknown";
    HaMode mode = lrm != NULL ? lrm->mode : HA_MODE_ACTIVE;

    round_emit(round, ha_event_new(HA_EVENT_GROUPS_CHECK_NODE, HA_F_NODE, node, HA_F_STATE,
                                   ha_node_state_name(state), HA_F_END));
    if (state != HA_NODE_ONLINE)
        return "node-state";
    round_emit(round, ha_event_new(HA_EVENT_GROUPS_CHECK_LRM, HA_F_NODE, node, HA_F_STATE,
                                   lrm_state, HA_F_MODE, ha_mode_name(mode), HA_F_END));
    if (!g_str_equal(lrm_state, "active")
        && !(g_str_equal(lrm_state, "wait_for_agent_lock") && !has_active_services(round, node)))
        return "lrm-state";
    if (mode != HA_MODE_ACTIVE)
        return "lrm-mode";
    const char *version = info != NULL ? info->version : NULL;
    round_emit(round, ha_event_new(HA_EVENT_GROUPS_CHECK_VERSION, HA_F_NODE, node, HA_F_VERSION,
                                   version, HA_F_END));
    return version_is_new_enough(version) ? NULL : "version";
}

static bool
all_can(HaRound *round)
{
    g_autoptr(GPtrArray) nodes = q_sorted_keys(round->status->nodes);

    for (guint i = 0; i < nodes->len; i++) {
        const char *reason = check_node(round, nodes->pdata[i]);
        if (reason == NULL)
            continue;
        round_emit(round, ha_event_new(HA_EVENT_GROUPS_MIGRATION_ABORT, HA_F_NODE, nodes->pdata[i],
                                       HA_F_VERSION,
                                       g_str_equal(reason, "version") ? MINIMUM_VERSION : NULL,
                                       HA_F_REASON, reason, HA_F_END));
        return false;
    }
    return true;
}

static void
say_step(HaRound *round, const char *step)
{
    round_emit(round, ha_event_new(HA_EVENT_GROUPS_MIGRATION, HA_F_STEP, step, HA_F_END));
}

static void
convert(HaRound *round)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(round->world->configs);

    round->new_rules = rules_with_groups(round, round->rules_text);
    HaChange *rules = ha_commit_add(round->commit, HA_CHANGE_RULES, NULL);
    rules->text = g_strdup(round->new_rules);
    rules->version = round->world->rules_version;
    say_step(round, "rules-written");
    for (guint i = 0; i < sids->len; i++) {
        const HaConfig *config = round_config(round, sids->pdata[i]);
        if (config->group == NULL)
            continue;
        bool failback = round_failback(round, config);
        HaChange *change = ha_commit_add(round->commit, HA_CHANGE_DROP_GROUP, config->sid);
        change->text = failback ? NULL : g_strdup("nofailback");
        change->version = round->world->resources_version;
        HaConfig *changed = round_change_config(round, sids->pdata[i]);
        g_clear_pointer(&changed->group, g_free);
        changed->failback = failback;
    }
    say_step(round, "resources-written");
    ha_commit_add(round->commit, HA_CHANGE_GROUPS, NULL)->version = round->world->groups_version;
    round->rules_text = round->new_rules;
    round->groups_text = NULL;
    say_step(round, "groups-deleted");
    say_step(round, "done");
}

void
round_migrate_groups(HaRound *round)
{
    Crm *crm = round->crm;

    if (!round_has_groups(round) || !round->counts || --crm->groups_rounds > 0)
        return;
    crm->groups_rounds = RETRY_ROUNDS;
    say_step(round, "start");
    if (all_can(round)) {
        convert(round);
        return;
    }
    HaEvent *failed = ha_event_new(HA_EVENT_GROUPS_MIGRATION, HA_F_STEP, "failed", HA_F_END);
    ha_event_set_level(failed, HA_ERR);
    round_emit(round, failed);
    round_emit(round,
               ha_event_new(HA_EVENT_GROUPS_MIGRATION_RETRY, HA_F_ROUNDS, (int)RETRY_ROUNDS,
                            HA_F_SECONDS, (int)(RETRY_ROUNDS * round->env->timing->round_ms / 1000),
                            HA_F_END));
}
