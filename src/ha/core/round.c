#include "ha/core/crm_priv.h"
#include <stdarg.h>
#include <string.h>

/* One round of the master (ha.md 5.2): a snapshot in, one commit and its events out. */

void
round_emit(HaRound *round, HaEvent *event)
{
    g_ptr_array_add(round->events, event);
}

void
round_report(HaRound *round, const char *sid, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    round_emit(round, ha_event_new(HA_EVENT_REPORT, HA_F_SID, sid, HA_F_TEXT, text, HA_F_END));
}

const HaConfig *
round_config(HaRound *round, const char *sid)
{
    const HaConfig *changed = g_hash_table_lookup(round->changed, sid);
    return changed != NULL ? changed : ha_world_config(round->world, sid);
}

HaConfig *
round_change_config(HaRound *round, const char *sid)
{
    HaConfig *changed = g_hash_table_lookup(round->changed, sid);

    if (changed == NULL) {
        const HaConfig *config = ha_world_config(round->world, sid);
        g_assert(config != NULL);
        changed = ha_config_copy(config);
        g_hash_table_insert(round->changed, g_strdup(sid), changed);
    }
    return changed;
}

HaRequest
round_request(HaRound *round, const char *sid)
{
    const HaConfig *config = round_config(round, sid);
    return config != NULL && !config->unmanaged ? config->state : HA_REQUEST_DISABLED;
}

HaNodeState
round_node(const HaRound *round, const char *node)
{
    return node != NULL ? ha_status_node(round->status, node) : HA_NODE_UNKNOWN;
}

bool
round_online(const HaRound *round, const char *node)
{
    return round_node(round, node) == HA_NODE_ONLINE;
}

bool
round_mode(const HaRound *round, const char *node, HaMode *mode)
{
    int known = GPOINTER_TO_INT(g_hash_table_lookup(round->modes, node));

    if (known == 0)
        return false;
    *mode = known - 1;
    return true;
}

const HaResult *
round_result(HaRound *round, const HaService *service)
{
    return service->uid != NULL ? g_hash_table_lookup(round->results, service->uid) : NULL;
}

char *
round_uid(HaRound *round)
{
    HaGeneration generation = round->crm->lease.generation;

    /* Unique without dice: a generation never repeats, and counts within itself. */
    return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                           generation.epoch, generation.sequence, ++round->crm->uids);
}

GPtrArray *
round_sids(const HaRound *round)
{
    return q_sorted_keys(round->status->services);
}

/* Step 1: modes and results, of the nodes that were known before this round. */
static void
read_local_managers(HaRound *round)
{
    g_autoptr(GPtrArray) nodes = q_sorted_keys(round->status->nodes);

    for (guint i = 0; i < nodes->len; i++) {
        const HaLrmStatus *lrm = g_hash_table_lookup(round->world->lrm, nodes->pdata[i]);
        HaMode mode = lrm != NULL ? lrm->mode : HA_MODE_ACTIVE;
        g_hash_table_insert(round->modes, nodes->pdata[i], GINT_TO_POINTER((int)mode + 1));
        if (lrm == NULL)
            continue;
        GHashTableIter iter;
        gpointer uid, result;
        g_hash_table_iter_init(&iter, lrm->results); /* into a table: the order does not matter */
        while (g_hash_table_iter_next(&iter, &uid, &result))
            g_hash_table_insert(round->results, uid, result);
    }
}

/* Step 4: services that are configured and not managed, and the other way round. */
static void
update_services(HaRound *round)
{
    g_autoptr(GPtrArray) configured = q_sorted_keys(round->world->configs);
    g_autoptr(GPtrArray) managed = round_sids(round);

    for (guint i = 0; i < configured->len && round->status->disarm_mode == NULL; i++) {
        const HaConfig *config = round_config(round, configured->pdata[i]);
        if (config->unmanaged || config->state == HA_REQUEST_IGNORED || config->node == NULL
            || ha_status_service(round->status, config->sid) != NULL)
            continue;
        round_emit(round, ha_event_new(HA_EVENT_SERVICE_ADDED, HA_F_SID, config->sid, HA_F_NODE,
                                       config->node, HA_F_END));
        HaService *service = ha_service_new(
            config->sid,
            config->state == HA_REQUEST_STARTED ? HA_STATE_REQUEST_START : HA_STATE_REQUEST_STOP,
            config->node);
        service->uid = round_uid(round);
        g_hash_table_insert(round->status->services, g_strdup(config->sid), service);
    }
    for (guint i = 0; i < managed->len && round->status->disarm_mode == NULL; i++) {
        const HaConfig *config = round_config(round, managed->pdata[i]);
        bool gone = config == NULL || config->unmanaged;
        if (!gone && config->state != HA_REQUEST_IGNORED)
            continue;
        round_emit(round, ha_event_new(HA_EVENT_SERVICE_REMOVED, HA_F_SID, managed->pdata[i],
                                       HA_F_REASON, gone ? "no-config" : "ignored", HA_F_END));
        g_hash_table_remove(round->status->services, managed->pdata[i]);
    }
}

/* ------------------------------------------------------------------ step 9: until nothing moves */

static bool
step_services(HaRound *round, GPtrArray *sids)
{
    bool moved = false;

    for (guint i = 0; i < sids->len; i++) {
        HaService *service = ha_status_service(round->status, sids->pdata[i]);
        HaState before = service->state;
        HaMode mode;
        service_step(round, service);
        if (service->node != NULL && round_mode(round, service->node, &mode)
            && mode == HA_MODE_RESTART
            && (service->state == HA_STATE_STARTED || service->state == HA_STATE_STOPPED
                || service->state == HA_STATE_REQUEST_STOP))
            service_set(round, service, HA_STATE_FREEZE, NULL, NULL, -1);
        moved = moved || service->state != before;
    }
    return moved;
}

static bool
fence_nodes(HaRound *round, GPtrArray *sids)
{
    g_autoptr(GHashTable) tried =
        g_hash_table_new(g_str_hash, g_str_equal); /* node -> 1 + fenced */
    bool moved = false;

    for (guint i = 0; i < sids->len; i++) {
        HaService *service = ha_status_service(round->status, sids->pdata[i]);
        if (service->state != HA_STATE_FENCE)
            continue;
        int known = GPOINTER_TO_INT(g_hash_table_lookup(tried, service->node));
        if (known == 0) {
            known = 1 + round_fence(round, service->node);
            g_hash_table_insert(tried, service->node, GINT_TO_POINTER(known));
        }
        if (known == 2) {
            service_set(round, service, HA_STATE_RECOVERY, NULL, NULL, -1);
            moved = true;
        }
    }
    g_autoptr(GPtrArray) nodes = q_sorted_keys(round->status->nodes);
    for (guint i = 0; i < nodes->len; i++) {
        if (round_node(round, nodes->pdata[i]) != HA_NODE_FENCE
            || g_hash_table_contains(tried, nodes->pdata[i]))
            continue;
        round_emit(round, ha_event_new(HA_EVENT_FENCE_WITHOUT_SERVICES, HA_F_NODE, nodes->pdata[i],
                                       HA_F_END));
        moved = round_fence(round, nodes->pdata[i]) || moved;
    }
    return moved;
}

static void
run_machine(HaRound *round, GPtrArray *held_up)
{
    g_autoptr(GPtrArray) all = round_sids(round);
    GPtrArray *sids = held_up != NULL ? held_up : all;
    bool moved;

    do {
        moved = step_services(round, sids);
        moved = fence_nodes(round, sids) || moved;
    } while (moved);
}

/* ------------------------------------------------------------------ leases of fenced nodes */

/* S22: nothing of the node waits for its lease any more; or it is back, and what waits cannot be
 * placed now: then its own reconciliation clears the records. */
static bool
may_give_back(HaRound *round, const char *node)
{
    g_autoptr(GPtrArray) sids = round_sids(round);

    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(round->status, sids->pdata[i]);
        if (g_strcmp0(service->node, node) != 0)
            continue;
        if (service->state == HA_STATE_FENCE)
            return false;
        if (service->state == HA_STATE_RECOVERY
            && !(ha_world_online(round->world, node)
                 && g_hash_table_contains(round->crm->unplaced, service->sid)))
            return false;
    }
    return true;
}

static void
give_leases_back(HaRound *round)
{
    g_autoptr(GPtrArray) nodes = q_sorted_keys(round->world->nodes);

    for (guint i = 0; i < nodes->len; i++) {
        const HaLeaseView *lease = ha_world_agent_lease(round->world, nodes->pdata[i]);
        if (lease == NULL || lease->state != HA_LEASE_FENCED
            || !may_give_back(round, nodes->pdata[i]))
            continue;
        HaChange *change = ha_commit_add(round->commit, HA_CHANGE_GIVE, NULL);
        change->node = g_strdup(nodes->pdata[i]);
        change->generation = lease->generation;
        round_emit(round, ha_event_new(HA_EVENT_LEASE_GIVEN, HA_F_NODE, nodes->pdata[i], HA_F_END));
    }
}

/* ------------------------------------------------------------------ the round */

static void
report_mode(HaRound *round)
{
    const char *mode = round->world->datacenter->mode;

    if (g_strcmp0(round->crm->mode, mode) == 0)
        return;
    if (round->crm->mode != NULL)
        round_report(round, NULL, "placement by '%s' load now", mode);
    g_free(round->crm->mode);
    round->crm->mode = g_strdup(mode);
}

void
round_run(HaRound *round)
{
    read_local_managers(round);
    round_update_nodes(round);
    HaNodeState own = round_node(round, round->env->node);
    if (own != HA_NODE_ONLINE && own != HA_NODE_MAINTENANCE) {
        round_report(round, NULL, "this node is in state %s: nothing is decided here",
                     ha_node_state_name(own));
        round->stopped = true;
        return;
    }
    report_mode(round);
    round_migrate_groups(round);
    update_services(round);
    round_build_usage(round);
    round_compile_rules(round);
    round_take_commands(round);

    g_autoptr(GPtrArray) held_up = NULL;
    if (round->status->disarm_mode != NULL) {
        if (round_disarm(round, &held_up))
            return;
    } else {
        round_rebalance(round);
    }
    run_machine(round, held_up);
    if (!round->env->timing->classic)
        give_leases_back(round);
}
