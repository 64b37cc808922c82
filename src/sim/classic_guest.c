#include "sim/classic_priv.h"
#include <string.h>

/* Guests of the classic world (ha.md 2.6): they start and stop at once, and fail when told to. */

static void
emit(ClassicSlot *slot, HaEvent *event)
{
    slot->env.emit(&slot->env, event);
    ha_event_free(event);
}

static bool
runs(const ClassicSlot *slot, const char *sid)
{
    return g_hash_table_contains(slot->node->running, sid);
}

/* The digit at @place (from 1) after the type of a service that fails on purpose; 0 for others. */
static int
digit(const char *sid, size_t place)
{
    const char *digits = strchr(sid, ':') + 1;

    if (!g_str_has_prefix(sid, "fa:") || strlen(digits) < place)
        return 0;
    return g_ascii_digit_value(digits[place - 1]);
}

/* Fails as often in a row as @place says, then once not. */
static bool
fails(ClassicSlot *slot, const char *sid, size_t place)
{
    g_autofree char *key = g_strdup_printf("%s %zu", sid, place);
    int only = digit(sid, 6);
    int so_far = GPOINTER_TO_INT(g_hash_table_lookup(slot->sim->failures, key));
    g_autofree char *suffix = g_strdup_printf("%d", only);

    if ((only != 0 && !g_str_has_suffix(slot->node->name, suffix)) || so_far >= digit(sid, place)) {
        g_hash_table_remove(slot->sim->failures, key);
        return false;
    }
    g_hash_table_insert(slot->sim->failures, g_strdup(key), GINT_TO_POINTER(so_far + 1));
    return true;
}

static bool
is_locked(ClassicSlot *slot, const HaConfig *config, const char *action)
{
    if (config->lock == NULL)
        return false;
    emit(slot, ha_event_new(HA_EVENT_SERVICE_LOCKED, HA_F_SID, config->sid, HA_F_LOCK, config->lock,
                            HA_F_ACTION, action, HA_F_END));
    return true;
}

static int
start(ClassicSlot *slot, HaConfig *config)
{
    if (!fails(slot, config->sid, 2) && !is_locked(slot, config, "start"))
        g_hash_table_add(slot->node->running, g_strdup(config->sid));
    return runs(slot, config->sid) ? HA_RC_OK : HA_RC_ERROR;
}

static int
stop(ClassicSlot *slot, HaConfig *config)
{
    if (digit(config->sid, 4) == 0 && !is_locked(slot, config, "shutdown"))
        g_hash_table_remove(slot->node->running, config->sid);
    return runs(slot, config->sid) ? HA_RC_ERROR : HA_RC_OK;
}

static int
move(ClassicSlot *slot, HaConfig *config, const HaJob *job)
{
    bool live = job->live && (g_str_equal(config->type, "vm") || !runs(slot, config->sid));
    const char *action = live ? "migrate" : "relocate";

    if (fails(slot, config->sid, 3))
        return HA_RC_ERROR;
    emit(slot, ha_event_new(HA_EVENT_MOVE_BEGIN, HA_F_SID, config->sid, HA_F_ACTION, action,
                            HA_F_TO, job->target, HA_F_END));
    if (is_locked(slot, config, action))
        return HA_RC_ERROR;
    if (!live && runs(slot, config->sid)) {
        emit(slot, ha_event_new(HA_EVENT_SERVICE_STOPPING, HA_F_SID, config->sid, HA_F_REASON,
                                "relocate", HA_F_END));
        if (stop(slot, config) != HA_RC_OK)
            return HA_RC_ERROR;
        emit(slot, ha_event_new(HA_EVENT_SERVICE_STOPPED, HA_F_SID, config->sid, HA_F_END));
    }
    g_free(config->node);
    config->node = g_strdup(job->target);
    emit(slot, ha_event_new(HA_EVENT_MOVE_END, HA_F_SID, config->sid, HA_F_ACTION, action, HA_F_TO,
                            job->target, HA_F_END));
    g_hash_table_remove(slot->node->running, config->sid);
    return HA_RC_OK;
}

HaOutcome
classic_submit(HaEnv *env, const HaJob *job, int *rc)
{
    ClassicSlot *slot = (ClassicSlot *)env;
    HaConfig *config = g_hash_table_lookup(slot->sim->configs, job->sid);

    switch (job->kind) {
    case HA_JOB_START:
        *rc = start(slot, config);
        break;
    case HA_JOB_STOP:
        *rc = stop(slot, config);
        break;
    case HA_JOB_MOVE:
        *rc = move(slot, config, job);
        break;
    case HA_JOB_GUARD:
        *rc = HA_RC_OK;
        break;
    }
    return HA_DONE;
}
