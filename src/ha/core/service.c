#include "ha/core/crm_priv.h"
#include "ha/core/proof.h"
#include <string.h>

/* The states of a service on the master's side (ha.md 7). */

/* clang-format off */
static const HaServiceMove moves[] = {
    /* state                          next                            because */
    { HA_STATE_STOPPED,               HA_STATE_REQUEST_START,         "it is to run" },
    { HA_STATE_STOPPED,               HA_STATE_MIGRATE,               "a command moves it" },
    { HA_STATE_STOPPED,               HA_STATE_RELOCATE,              "a command moves it" },
    { HA_STATE_STOPPED,               HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_STOPPED,               HA_STATE_FREEZE,                "its local manager restarts" },
    { HA_STATE_REQUEST_START,         HA_STATE_STARTED,               "node chosen" },
    { HA_STATE_REQUEST_START,         HA_STATE_REQUEST_START_BALANCE, "a better node chosen" },
    { HA_STATE_REQUEST_STOP,          HA_STATE_STOPPED,               "it does not run" },
    { HA_STATE_REQUEST_STOP,          HA_STATE_ERROR,                 "it could not be stopped" },
    { HA_STATE_REQUEST_STOP,          HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_REQUEST_STOP,          HA_STATE_FREEZE,                "its local manager restarts" },
    { HA_STATE_MIGRATE,               HA_STATE_STARTED,               "moved, or not" },
    { HA_STATE_MIGRATE,               HA_STATE_REQUEST_STOP,          "moved, or not; it is to stop" },
    { HA_STATE_MIGRATE,               HA_STATE_ERROR,                 "it is on another node" },
    { HA_STATE_MIGRATE,               HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_RELOCATE,              HA_STATE_STARTED,               "moved, or not" },
    { HA_STATE_RELOCATE,              HA_STATE_REQUEST_STOP,          "moved, or not; it is to stop" },
    { HA_STATE_RELOCATE,              HA_STATE_ERROR,                 "it is on another node" },
    { HA_STATE_RELOCATE,              HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_REQUEST_START_BALANCE, HA_STATE_STARTED,               "moved, or not" },
    { HA_STATE_REQUEST_START_BALANCE, HA_STATE_REQUEST_STOP,          "moved, or not; it is to stop" },
    { HA_STATE_REQUEST_START_BALANCE, HA_STATE_ERROR,                 "it is on another node" },
    { HA_STATE_REQUEST_START_BALANCE, HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_STARTED,               HA_STATE_FENCE,                 "its node is lost" },
    { HA_STATE_STARTED,               HA_STATE_REQUEST_STOP,          "it is to stop" },
    { HA_STATE_STARTED,               HA_STATE_MIGRATE,               "another node chosen" },
    { HA_STATE_STARTED,               HA_STATE_RELOCATE,              "another node chosen" },
    { HA_STATE_STARTED,               HA_STATE_ERROR,                 "it does not start" },
    { HA_STATE_STARTED,               HA_STATE_FREEZE,                "its local manager restarts" },
    { HA_STATE_FENCE,                 HA_STATE_RECOVERY,              "its node is fenced" },
    /* Classic only, a quirk of the existing system (ha.md 19): a started service on a maintenance
     * node that was switched off is looked at further after it went to fence. */
    { HA_STATE_FENCE,                 HA_STATE_REQUEST_STOP,          "it is to stop" },
    { HA_STATE_FENCE,                 HA_STATE_MIGRATE,               "another node chosen" },
    { HA_STATE_FENCE,                 HA_STATE_RELOCATE,              "another node chosen" },
    { HA_STATE_FENCE,                 HA_STATE_ERROR,                 "it does not start" },
    { HA_STATE_RECOVERY,              HA_STATE_STARTED,               "node chosen" },
    { HA_STATE_RECOVERY,              HA_STATE_REQUEST_STOP,          "node chosen; it is to stop" },
    { HA_STATE_RECOVERY,              HA_STATE_STOPPED,               "no node, and it is disabled" },
    { HA_STATE_FREEZE,                HA_STATE_STARTED,               "its local manager is back" },
    { HA_STATE_FREEZE,                HA_STATE_REQUEST_STOP,          "its local manager is back" },
    { HA_STATE_ERROR,                 HA_STATE_STOPPED,               "a person disabled it" },
};
/* clang-format on */

const HaServiceMove *
ha_service_moves(size_t *count)
{
    *count = G_N_ELEMENTS(moves);
    return moves;
}

const HaServiceMove *
ha_service_find_move(HaState from, HaState to)
{
    for (size_t i = 0; i < G_N_ELEMENTS(moves); i++) {
        if (moves[i].from == from && moves[i].to == to)
            return &moves[i];
    }
    return NULL;
}

static void
replace(char **text, const char *value)
{
    char *copy = g_strdup(value);

    g_free(*text);
    *text = copy;
}

/* What a service loads, by its state (ha.md 11.2). false: nothing. Borrowed names. */
bool
service_nodes(const HaRound *round, const HaService *service, const char **current,
              const char **target)
{
    *current = *target = NULL;
    switch (service->state) {
    case HA_STATE_NONE:
    case HA_STATES:
    case HA_STATE_STOPPED:
    case HA_STATE_REQUEST_START:
        break;
    case HA_STATE_STARTED:
    case HA_STATE_REQUEST_STOP:
    case HA_STATE_FENCE:
    case HA_STATE_FREEZE:
    case HA_STATE_ERROR:
    case HA_STATE_RECOVERY:
        *current = service->node;
        break;
    case HA_STATE_MIGRATE:
    case HA_STATE_RELOCATE:
        *current = service->node;
        *target = service->target;
        break;
    case HA_STATE_REQUEST_START_BALANCE:
        *target = service->target;
        break;
    }
    if (ha_usage_find(round->usage, *current) < 0)
        *current = NULL;
    if (ha_usage_find(round->usage, *target) < 0)
        *target = NULL;
    return *current != NULL || *target != NULL;
}

void
service_load(HaRound *round, const HaService *service)
{
    const char *current, *target;

    service_nodes(round, service, &current, &target);
    bool running = service->state == HA_STATE_STARTED ? service->running : current != NULL;
    ha_usage_set(round->usage, service->sid, current, target, running,
                 round_config(round, service->sid));
}

/*
 * The one way into a state: keeps node, failed_nodes and maintenance_node, sets what is given, and
 * gives a new uid, so that the local manager acts on it anew.
 */
void
service_set(HaRound *round, HaService *service, HaState state, const char *node, const char *target,
            int timeout_s)
{
    const HaServiceMove *move = ha_service_find_move(service->state, state);

    g_assert(move != NULL);
    round_emit(round,
               ha_event_new(HA_EVENT_SERVICE_STATE, HA_F_SID, service->sid, HA_F_FROM,
                            ha_state_name(service->state), HA_F_TO, ha_state_name(state), HA_F_NODE,
                            node, HA_F_TARGET, target, HA_F_TIMEOUT, timeout_s, HA_F_END));
    service->state = state;
    if (node != NULL)
        replace(&service->node, node);
    replace(&service->target, target);
    service->timeout_s = timeout_s;
    g_clear_pointer(&service->command, g_free);
    g_clear_pointer(&service->command_node, g_free);
    service->command_timeout_s = -1;
    service->running = false;
    g_free(service->uid);
    service->uid = round_uid(round);
    g_hash_table_remove(round->crm->unplaced, service->sid);
    service_load(round, service);
}

static void
drop_command(HaService *service)
{
    g_clear_pointer(&service->command, g_free);
    g_clear_pointer(&service->command_node, g_free);
    service->command_timeout_s = -1;
}

static HaState
move_state(const char *action)
{
    return g_str_equal(action, "migrate") ? HA_STATE_MIGRATE : HA_STATE_RELOCATE;
}

/* The pending command moves the service to a usable node; else it is dropped and said. */
static bool
command_moves(HaRound *round, HaService *service)
{
    if (round_online(round, service->command_node)
        && !g_str_equal(service->command_node, service->node))
        return true;
    round_report(round, service->sid, "%s to %s dropped: %s", service->command,
                 service->command_node,
                 g_str_equal(service->command_node, service->node) ? "it is there"
                                                                   : "that node is not online");
    drop_command(service);
    return false;
}

/* ------------------------------------------------------------------ one state each */

static void
step_stopped(HaRound *round, HaService *service)
{
    const HaConfig *config = round_config(round, service->sid);

    if (config != NULL && config->node != NULL && !g_str_equal(config->node, service->node)) {
        round_report(round, service->sid, "is on %s now, no longer on %s", config->node,
                     service->node);
        replace(&service->node, config->node);
    }
    if (g_strcmp0(service->command, "stop") == 0) {
        round_emit(round,
                   ha_event_new(HA_EVENT_REQUEST_IGNORED, HA_F_SID, service->sid, HA_F_ACTION,
                                "stop", HA_F_REASON, "already-stopped", HA_F_END));
        drop_command(service);
    } else if (service->command != NULL && command_moves(round, service)) {
        g_autofree char *target = g_strdup(service->command_node);
        service_set(round, service, move_state(service->command), service->node, target, -1);
        return;
    }
    HaRequest request = round_request(round, service->sid);
    if (request == HA_REQUEST_DISABLED || request == HA_REQUEST_IGNORED)
        return;
    if (round_node(round, service->node) != HA_NODE_MAINTENANCE
        && round_node_lost(round, service->node)) {
        service_set(round, service, HA_STATE_FENCE, NULL, NULL, -1);
        return;
    }
    if (request == HA_REQUEST_STARTED)
        service_set(round, service, HA_STATE_REQUEST_START, service->node, NULL, -1);
}

static void
step_request_start(HaRound *round, HaService *service)
{
    if (round->world->datacenter->rebalance_on_start) {
        const char *node = round_choose(round, service, HA_PREFER_BEST);
        bool moved = node != NULL && !g_str_equal(node, service->node);
        round_emit(round, ha_event_new(HA_EVENT_START_BALANCE, HA_F_SID, service->sid, HA_F_NODE,
                                       node != NULL ? node : service->node, HA_F_MOVED, (int)moved,
                                       HA_F_END));
        if (moved) {
            service_set(round, service, HA_STATE_REQUEST_START_BALANCE, service->node, node, -1);
            return;
        }
    }
    service_set(round, service, HA_STATE_STARTED, service->node, NULL, -1);
}

static void
step_request_stop(HaRound *round, HaService *service)
{
    const HaResult *result = round_result(round, service);

    if (result == NULL) {
        if (round_node_lost(round, service->node))
            service_set(round, service, HA_STATE_FENCE, NULL, NULL, -1);
    } else if (result->rc == HA_RC_OK) {
        service_set(round, service, HA_STATE_STOPPED, NULL, NULL, -1);
    } else {
        round_emit(round, ha_event_new(HA_EVENT_STOP_FAILED, HA_F_SID, service->sid, HA_F_RC,
                                       result->rc, HA_F_END));
        service_set(round, service, HA_STATE_ERROR, NULL, NULL, -1);
    }
}

static void
step_moving(HaRound *round, HaService *service)
{
    const HaResult *result = round_result(round, service);
    HaState next = round_request(round, service->sid) == HA_REQUEST_STARTED ? HA_STATE_STARTED
                                                                            : HA_STATE_REQUEST_STOP;

    if (result == NULL) {
        if (round_node_lost(round, service->node))
            service_set(round, service, HA_STATE_FENCE, NULL, NULL, -1);
        return;
    }
    switch (result->rc) {
    case HA_RC_OK: {
        g_autofree char *target = g_strdup(service->target);
        service_set(round, service, next, target, NULL, -1);
        break;
    }
    case HA_RC_WRONG_NODE:
        round_emit(round, ha_event_new(HA_EVENT_MOVE_WRONG_NODE, HA_F_SID, service->sid, HA_F_END));
        service_set(round, service, HA_STATE_ERROR, NULL, NULL, -1);
        break;
    case HA_RC_IGNORED:
        round_emit(round,
                   ha_event_new(HA_EVENT_START_BALANCE_IGNORED, HA_F_SID, service->sid, HA_F_END));
        service_set(round, service, next, service->node, NULL, -1);
        break;
    default:
        round_emit(round, ha_event_new(HA_EVENT_MOVE_FAILED, HA_F_SID, service->sid, HA_F_RC,
                                       result->rc, HA_F_END));
        service_set(round, service, next, service->node, NULL, -1);
    }
}

static char **
failed_list(const HaService *service)
{
    GPtrArray *names = g_ptr_array_new();

    for (guint i = 0; service->failed_nodes != NULL && i < service->failed_nodes->len; i++)
        g_ptr_array_add(names, g_strdup(service->failed_nodes->pdata[i]));
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static void
add_failed(HaService *service)
{
    if (service->failed_nodes == NULL)
        service->failed_nodes = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(service->failed_nodes, g_strdup(service->node));
}

/* The result of a start. Returns: false: the step ends here; *@preference may change. */
static bool
started_result(HaRound *round, HaService *service, const HaResult *result, HaPreference *preference)
{
    if (result->rc == HA_RC_OK) {
        if (service->failed_nodes != NULL) {
            g_auto(GStrv) nodes = failed_list(service);
            round_emit(round,
                       ha_event_new(HA_EVENT_START_RELOCATION_SUCCEEDED, HA_F_SID, service->sid,
                                    HA_F_NODE, service->node, HA_F_NODES, nodes, HA_F_END));
            g_clear_pointer(&service->failed_nodes, g_ptr_array_unref);
        }
        service->running = true;
        return true;
    }
    add_failed(service);
    if (result->rc != HA_RC_ERROR && result->rc != HA_RC_WRONG_NODE) {
        round_report(round, service->sid, "start on %s ended with result %d", service->node,
                     result->rc);
        service_set(round, service, HA_STATE_ERROR, NULL, NULL, -1);
        return false;
    }
    service->running = false;
    const HaConfig *config = round_config(round, service->sid);
    if ((int)service->failed_nodes->len <= (config != NULL ? config->max_relocate : 1)) {
        *preference = HA_PREFER_NEXT;
        round_emit(round, ha_event_new(HA_EVENT_START_FAILED_RELOCATING, HA_F_SID, service->sid,
                                       HA_F_NODE, service->node, HA_F_END));
        return true;
    }
    g_auto(GStrv) nodes = failed_list(service);
    round_emit(round, ha_event_new(HA_EVENT_START_POLICY_EXHAUSTED, HA_F_SID, service->sid,
                                   HA_F_NODES, nodes, HA_F_END));
    service_set(round, service, HA_STATE_ERROR, NULL, NULL, -1);
    return false;
}

/* A command that waits for a started service. Returns: true: the step ends here. */
static bool
started_command(HaRound *round, HaService *service)
{
    if (service->command == NULL)
        return false;
    if (g_str_equal(service->command, "stop")) {
        int timeout_s = service->command_timeout_s;
        round_emit(round, ha_event_new(HA_EVENT_STOP_REQUESTED, HA_F_SID, service->sid,
                                       HA_F_TIMEOUT, timeout_s, HA_F_END));
        service_set(round, service, HA_STATE_REQUEST_STOP, NULL, NULL, timeout_s);
        HaConfig *config = round_change_config(round, service->sid);
        HaChange *change = ha_commit_add(round->commit, HA_CHANGE_SET_REQUEST, service->sid);
        change->text = g_strdup("stopped");
        change->version = round->world->resources_version;
        config->state = HA_REQUEST_STOPPED;
        return true;
    }
    if (command_moves(round, service)) {
        g_autofree char *target = g_strdup(service->command_node);
        g_autofree char *action = g_strdup(service->command);
        round_emit(round,
                   ha_event_new(HA_EVENT_MOVE_DECIDED, HA_F_SID, service->sid, HA_F_TO, target,
                                HA_F_ACTION, action, HA_F_CAUSE, "command", HA_F_END));
        service_set(round, service, move_state(action), service->node, target, -1);
    }
    return true;
}

static void
started_move(HaRound *round, HaService *service, const char *chosen)
{
    g_autofree char *target = g_strdup(chosen);
    bool live = g_str_has_prefix(service->sid, "vm:");

    if (g_strcmp0(service->maintenance_node, target) == 0) {
        round_emit(round, ha_event_new(HA_EVENT_MAINTENANCE_RETURN, HA_F_SID, service->sid,
                                       HA_F_NODE, target, HA_F_END));
        g_clear_pointer(&service->maintenance_node, g_free);
    } else if (service->maintenance_node != NULL
               && !g_str_equal(service->maintenance_node, service->node)) {
        round_report(round, service->sid, "does not return to %s", service->maintenance_node);
        g_clear_pointer(&service->maintenance_node, g_free);
    }
    round_emit(round, ha_event_new(HA_EVENT_MOVE_DECIDED, HA_F_SID, service->sid, HA_F_TO, target,
                                   HA_F_ACTION, live ? "migrate" : "relocate", HA_F_CAUSE, "policy",
                                   HA_F_END));
    service_set(round, service, live ? HA_STATE_MIGRATE : HA_STATE_RELOCATE, service->node, target,
                -1);
}

static void
step_started(HaRound *round, HaService *service)
{
    HaPreference preference = HA_PREFER_STAY;
    HaNodeState node = round_node(round, service->node);
    HaRequest request = round_request(round, service->sid);

    if (node != HA_NODE_ONLINE) {
        bool lost = round_node_lost(round, service->node);
        if (lost)
            service_set(round, service, HA_STATE_FENCE, NULL, NULL, -1);
        if (node != HA_NODE_MAINTENANCE || (lost && !round->env->timing->classic))
            return;
        replace(&service->maintenance_node, service->node);
    }
    if (request != HA_REQUEST_STARTED) {
        service_set(round, service, HA_STATE_REQUEST_STOP, NULL, NULL, -1);
        return;
    }
    if (started_command(round, service))
        return;
    const HaResult *result = round_result(round, service);
    if (result != NULL && !started_result(round, service, result, &preference))
        return;

    const char *chosen = round_choose(round, service, preference);
    if (chosen != NULL && !g_str_equal(chosen, service->node)) {
        started_move(round, service, chosen);
        return;
    }
    if (preference == HA_PREFER_NEXT && chosen == NULL) {
        g_auto(GStrv) nodes = failed_list(service);
        round_emit(round, ha_event_new(HA_EVENT_ALL_NODES_TRIED, HA_F_SID, service->sid, HA_F_NODES,
                                       nodes, HA_F_END));
    }
    if (node == HA_NODE_ONLINE && g_strcmp0(service->maintenance_node, service->node) == 0) {
        round_emit(round, ha_event_new(HA_EVENT_MAINTENANCE_NODE_CLEARED, HA_F_SID, service->sid,
                                       HA_F_NODE, service->node, HA_F_END));
        g_clear_pointer(&service->maintenance_node, g_free);
    }
    /*
     * A new uid makes the local manager look again. The classic world finds crashed guests that
     * way, at the price of two writes a round; else the local manager watches them itself.
     */
    if (result != NULL && (round->env->timing->classic || result->rc != HA_RC_OK)) {
        g_free(service->uid);
        service->uid = round_uid(round);
    }
}

/* S44: proven dead under a lease that is nobody's, or nothing on record at all. */
static bool
may_recover(HaRound *round, HaService *service, const HaConfig *config, HaChange *change)
{
    const HaRun *run = config->run;

    if (round->env->timing->classic || run == NULL)
        return true;
    const HaLeaseView *lease = ha_world_agent_lease(round->world, run->node);
    const HaNode *node = ha_world_node(round->world, run->node);
    HaProof proof = ha_proof_of_death(run, lease, node != NULL ? node->boot : NULL);

    if (proof == HA_ALIVE) {
        if (g_hash_table_add(round->crm->unplaced, g_strdup(service->sid)))
            round_emit(round, ha_event_new(HA_EVENT_RECOVERY_UNPROVEN, HA_F_SID, service->sid,
                                           HA_F_NODE, run->node, HA_F_END));
        return false;
    }
    if (lease == NULL || lease->state != HA_LEASE_FENCED)
        return false; /* it will be, or its node comes back and clears the record */
    change->fenced = true;
    change->generation = lease->generation;
    g_free(change->node);
    change->node = g_strdup(run->node);
    return true;
}

static void
clear_leftover_lock(HaRound *round, HaService *service, HaConfig *config)
{
    static const char *const leftovers[] = { "backup",          "mounted",    "migrate",
                                             "clone",           "rollback",   "snapshot",
                                             "snapshot-delete", "suspending", "suspended" };

    for (size_t i = 0; config->lock != NULL && i < G_N_ELEMENTS(leftovers); i++) {
        if (!g_str_equal(config->lock, leftovers[i]))
            continue;
        round_emit(round, ha_event_new(HA_EVENT_LEFTOVER_LOCK_REMOVED, HA_F_LOCK, config->lock,
                                       HA_F_SID, service->sid, HA_F_END));
        ha_commit_add(round->commit, HA_CHANGE_CLEAR_LOCK, service->sid)->text =
            g_strdup(config->lock);
        g_clear_pointer(&config->lock, g_free);
    }
}

static void
no_recovery_node(HaRound *round, HaService *service)
{
    if (round->env->timing->classic
        || g_hash_table_add(round->crm->unplaced, g_strdup(service->sid)))
        round_emit(round, ha_event_new(HA_EVENT_NO_RECOVERY_NODE, HA_F_SID, service->sid, HA_F_NODE,
                                       service->node, HA_F_END));
    if (round_request(round, service->sid) == HA_REQUEST_DISABLED) {
        g_clear_pointer(&service->failed_nodes, g_ptr_array_unref);
        service_set(round, service, HA_STATE_STOPPED, NULL, NULL, -1);
    }
}

static void
step_recovery(HaRound *round, HaService *service)
{
    const HaConfig *config = round_config(round, service->sid);
    HaChange conditions = { 0 };

    if (config != NULL && !may_recover(round, service, config, &conditions))
        return;
    const char *chosen = round_choose(round, service, HA_PREFER_BEST);
    if (chosen == NULL) {
        g_free(conditions.node);
        no_recovery_node(round, service);
        return;
    }
    g_autofree char *to = g_strdup(chosen);
    round_emit(round, ha_event_new(HA_EVENT_SERVICE_RECOVERED, HA_F_SID, service->sid, HA_F_FROM,
                                   service->node, HA_F_TO, to, HA_F_END));
    if (config != NULL && config->node != NULL) {
        HaConfig *changed = round_change_config(round, service->sid);
        clear_leftover_lock(round, service, changed);
        if (!g_str_equal(changed->node, to)) {
            HaChange *change = ha_commit_add(round->commit, HA_CHANGE_RECOVER, service->sid);
            change->from = g_strdup(changed->node);
            change->to = g_strdup(to);
            change->version = changed->version;
            change->fenced = conditions.fenced;
            change->generation = conditions.generation;
            change->node = g_steal_pointer(&conditions.node);
            replace(&changed->node, to);
        }
    }
    g_free(conditions.node);
    service_set(round, service,
                round_request(round, service->sid) == HA_REQUEST_STARTED ? HA_STATE_STARTED
                                                                         : HA_STATE_REQUEST_STOP,
                to, NULL, -1);
}

static void
step_freeze(HaRound *round, HaService *service)
{
    HaMode mode;

    if (round_mode(round, service->node, &mode) && mode == HA_MODE_ACTIVE)
        service_set(round, service,
                    round_request(round, service->sid) == HA_REQUEST_STARTED
                        ? HA_STATE_STARTED
                        : HA_STATE_REQUEST_STOP,
                    NULL, NULL, -1);
}

static void
step_error(HaRound *round, HaService *service)
{
    if (round_request(round, service->sid) != HA_REQUEST_DISABLED)
        return;
    g_clear_pointer(&service->failed_nodes, g_ptr_array_unref);
    service_set(round, service, HA_STATE_STOPPED, NULL, NULL, -1);
}

void
service_step(HaRound *round, HaService *service)
{
    static void (*const steps[HA_STATES])(HaRound *, HaService *) = {
        [HA_STATE_STOPPED] = step_stopped,
        [HA_STATE_REQUEST_START] = step_request_start,
        [HA_STATE_REQUEST_START_BALANCE] = step_moving,
        [HA_STATE_REQUEST_STOP] = step_request_stop,
        [HA_STATE_STARTED] = step_started,
        [HA_STATE_RECOVERY] = step_recovery,
        [HA_STATE_MIGRATE] = step_moving,
        [HA_STATE_RELOCATE] = step_moving,
        [HA_STATE_FREEZE] = step_freeze,
        [HA_STATE_ERROR] = step_error,
        /* HA_STATE_FENCE waits for round_fence() */
    };

    if (steps[service->state] != NULL)
        steps[service->state](round, service);
}
