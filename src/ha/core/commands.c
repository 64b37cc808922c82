#include "ha/core/crm_priv.h"
#include <string.h>

/* The queue of commands (ha.md 10). */

static void
set_command(HaService *service, const char *action, const char *node, int timeout_s)
{
    g_free(service->command);
    g_free(service->command_node);
    service->command = g_strdup(action);
    service->command_node = g_strdup(node);
    service->command_timeout_s = timeout_s;
}

/* A partner that @sid must be apart from is on @node, or heading there: its sid; else NULL. */
static const char *
blocker_on(HaRound *round, const char *sid, const char *node)
{
    HaAffinity *affinity = round->crm->affinity;
    GPtrArray *apart = affinity != NULL ? ha_affinity_apart(affinity, sid) : NULL;

    for (guint i = 0; apart != NULL && i < apart->len; i++) {
        const HaService *other = ha_status_service(round->status, apart->pdata[i]);
        if (other != NULL && g_strcmp0(other->node, node) == 0
            && (other->target == NULL || g_str_equal(other->target, node)))
            return other->sid;
    }
    return NULL;
}

void
round_queue_motion(HaRound *round, const char *action, const char *sid, const char *node)
{
    const char *argv[] = { action, sid, node, NULL };
    const char *blocker = blocker_on(round, sid, node);
    HaAffinity *affinity = round->crm->affinity;
    GPtrArray *together = affinity != NULL ? ha_affinity_together(affinity, sid) : NULL;

    if (blocker != NULL) {
        round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND_BLOCKED, HA_F_ARGV, argv, HA_F_BLOCKER,
                                       blocker, HA_F_NODE, node, HA_F_SID, sid, HA_F_END));
        return;
    }
    round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND, HA_F_ARGV, argv, HA_F_END));
    set_command(ha_status_service(round->status, sid), action, node, -1);
    for (guint i = 0; together != NULL && i < together->len; i++) {
        HaService *partner = ha_status_service(round->status, together->pdata[i]);
        if (partner == NULL || g_strcmp0(partner->node, node) == 0
            || g_strcmp0(partner->target, node) == 0)
            continue;
        round_emit(round,
                   ha_event_new(HA_EVENT_CO_MOVE, HA_F_ARGV, argv, HA_F_ACTION, action, HA_F_SID,
                                partner->sid, HA_F_TO, node, HA_F_WITH, sid, HA_F_END));
        set_command(partner, action, node, -1);
    }
}

static void
take_motion(HaRound *round, char **words)
{
    const HaService *service = ha_status_service(round->status, words[1]);

    if (service == NULL)
        round_report(round, words[1], "%s: not under management", words[0]);
    else if (!round_online(round, words[2]))
        round_report(round, words[1], "%s: node %s is not online", words[0], words[2]);
    else if (g_strcmp0(service->node, words[2]) == 0)
        round_report(round, words[1], "%s: is on %s already", words[0], words[2]);
    else
        round_queue_motion(round, words[0], words[1], words[2]);
}

static void
take_stop(HaRound *round, char **words)
{
    HaService *service = ha_status_service(round->status, words[1]);

    if (service == NULL) {
        round_report(round, words[1], "stop: not under management");
        return;
    }
    round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND, HA_F_ARGV, words, HA_F_END));
    set_command(service, "stop", NULL, (int)g_ascii_strtoll(words[2], NULL, 10));
}

static void
take_enable_maintenance(HaRound *round, char **words)
{
    HaNodeState state = round_node(round, words[1]);

    if (round->status->disarm_mode != NULL)
        round_report(round, NULL, "maintenance of %s ignored: disarmed", words[1]);
    else if (state == HA_NODE_ONLINE)
        g_hash_table_add(round->status->requests, g_strdup(words[1]));
    else if (state == HA_NODE_MAINTENANCE)
        round_report(round, NULL, "%s is in maintenance already", words[1]);
    else
        round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND_REJECTED, HA_F_ARGV, words, HA_F_REASON,
                                       "node-not-online", HA_F_END));
}

static void
take_disable_maintenance(HaRound *round, char **words)
{
    if (round_node(round, words[1]) != HA_NODE_MAINTENANCE)
        round_report(round, NULL, "%s is not in maintenance", words[1]);
    g_hash_table_remove(round->status->requests, words[1]);
}

static void
take_disarm(HaRound *round, char **words)
{
    HaStatus *status = round->status;

    if (status->disarm_mode != NULL) {
        round_emit(round, ha_event_new(HA_EVENT_DISARM_IGNORED, HA_F_STATE, status->disarm_state,
                                       HA_F_END));
        return;
    }
    round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND, HA_F_ARGV, words, HA_F_END));
    if (g_str_equal(words[1], "ignore")) {
        g_autoptr(GPtrArray) sids = round_sids(round);
        for (guint i = 0; i < sids->len; i++)
            round_emit(round,
                       ha_event_new(HA_EVENT_DISARM_SUSPEND, HA_F_SID, sids->pdata[i], HA_F_END));
    }
    status->disarm_mode = g_strdup(words[1]);
    status->disarm_state = g_strdup("disarming");
}

static void
take_arm(HaRound *round, char **words)
{
    HaStatus *status = round->status;

    if (status->disarm_mode == NULL) {
        round_emit(round, ha_event_new(HA_EVENT_ARM_IGNORED, HA_F_END));
        return;
    }
    round_emit(round, ha_event_new(HA_EVENT_CRM_COMMAND, HA_F_ARGV, words, HA_F_END));
    if (g_str_equal(status->disarm_mode, "ignore")) {
        g_autoptr(GPtrArray) sids = round_sids(round);
        for (guint i = 0; i < sids->len; i++) {
            HaService *service = ha_status_service(status, sids->pdata[i]);
            const HaConfig *config = round_config(round, service->sid);
            if (config == NULL || config->node == NULL || g_str_equal(config->node, service->node))
                continue;
            round_emit(round,
                       ha_event_new(HA_EVENT_SERVICE_NODE_UPDATED, HA_F_SID, service->sid,
                                    HA_F_FROM, service->node, HA_F_TO, config->node, HA_F_END));
            g_free(service->node);
            service->node = g_strdup(config->node);
        }
    }
    g_clear_pointer(&status->disarm_mode, g_free);
    g_clear_pointer(&status->disarm_state, g_free);
}

static void
take_command(HaRound *round, const char *line)
{
    /* clang-format off */
    static const struct {
        const char *word;
        guint words;
        void (*take)(HaRound *round, char **words);
    } commands[] = {
        { "migrate", 3, take_motion },
        { "relocate", 3, take_motion },
        { "stop", 3, take_stop },
        { "enable-node-maintenance", 2, take_enable_maintenance },
        { "disable-node-maintenance", 2, take_disable_maintenance },
        { "disarm-ha", 2, take_disarm },
        { "arm-ha", 1, take_arm },
    };
    /* clang-format on */
    g_auto(GStrv) words = q_split_list(line);

    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (g_strcmp0(words[0], commands[i].word) == 0
            && g_strv_length(words) == commands[i].words) {
            commands[i].take(round, words);
            return;
        }
    }
    round_report(round, NULL, "command '%s' is not understood", line);
}

void
round_take_commands(HaRound *round)
{
    GPtrArray *lines = round->world->commands;

    if (lines->len == 0)
        return;
    for (guint i = 0; i < lines->len; i++)
        take_command(round, lines->pdata[i]);
    HaChange *change = ha_commit_add(round->commit, HA_CHANGE_COMMANDS, NULL);
    change->count = (int)lines->len;
    change->version = round->world->commands_version;
}
