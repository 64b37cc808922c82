#include <string.h>
#include "cfs/core/config.h"
#include "cfs/core/state.h"

/* Conditions, and changes of records: leases, runs, migrations, fence runs, the configuration. */

bool
update_condition_holds(const State *state, const UpdateCondition *condition)
{
    char name[RECORD_TEXT_MAX];
    LeaseRecord lease;
    RunRecord run;
    MigRecord mig;

    switch (condition->kind) {
    case IF_VERSION: {
        const TreeEntry *entry = tree_lookup(state->tree, condition->name);
        return (entry == NULL ? 0 : entry->version) == condition->version;
    }
    case IF_LEASE: /* S23 */
        return record_lease(state->records, condition->name, &lease) && lease.state == LEASE_HELD
               && generation_compare(lease.generation, condition->generation) == 0;
    case IF_FENCED:
        g_snprintf(name, sizeof name, "ha_agent_%s_lock", condition->name);
        return record_lease(state->records, name, &lease) && lease.state == LEASE_FENCED
               && generation_compare(lease.generation, condition->generation) == 0;
    case IF_RUN:
        if (!record_run(state->records, condition->vmid, &run))
            return condition->absent;
        return !condition->absent && strcmp(run.start_id, condition->name) == 0;
    case IF_DEAD:
        return !record_run(state->records, condition->vmid, &run)
               || record_run_dead(state->records, condition->vmid, &run);
    case IF_MIG:
        if (!record_mig(state->records, condition->vmid, &mig))
            return condition->absent;
        return !condition->absent && strcmp(mig.mig_id, condition->name) == 0;
    }
    return false;
}

static void
set_number(Edit *edit, const char *kind, uint32_t number, GBytes *value)
{
    char key[64];

    record_key_number(key, sizeof key, kind, number);
    edit_record(edit, key, value);
}

static void
set_named(Edit *edit, const char *kind, const char *name, GBytes *value)
{
    char key[RECORD_TEXT_MAX];

    record_key(key, sizeof key, kind, name);
    edit_record(edit, key, value);
}

static bool
fits(const char *text, size_t size)
{
    return strlen(text) < size;
}

/* ------------------------------------------------------------------ runs and migrations */

static void
forget_statement(Edit *edit, uint32_t vmid)
{
    DeadRecord dead;

    if (record_dead(edit->state->records, vmid, &dead))
        set_number(edit, "dead", vmid, NULL);
}

/* Whoever asks states its conditions; beyond them no live record is ever overwritten (S40, S46). */
static UpdateCode
apply_run(Edit *edit, const UpdateChange *change)
{
    RunRecord old, run = { .guard = change->generation };
    MigRecord mig;

    if (change->vmid == 0 || !fits(change->text[0], sizeof run.node)
        || !fits(change->text[1], sizeof run.boot) || !fits(change->text[2], sizeof run.start_id))
        return UPDATE_BAD;
    if (record_run(edit->state->records, change->vmid, &old)
        && strcmp(old.start_id, change->text[2]) != 0
        && !record_run_dead(edit->state->records, change->vmid, &old)
        && !(record_mig(edit->state->records, change->vmid, &mig)
             && strcmp(mig.start_id, old.start_id) == 0))
        return UPDATE_EXISTS;
    g_strlcpy(run.node, change->text[0], sizeof run.node);
    g_strlcpy(run.boot, change->text[1], sizeof run.boot);
    g_strlcpy(run.start_id, change->text[2], sizeof run.start_id);
    set_number(edit, "run", change->vmid, run_record_encode(&run));
    forget_statement(edit, change->vmid);
    return UPDATE_DONE;
}

static UpdateCode
apply_run_clear(Edit *edit, const UpdateChange *change)
{
    RunRecord run;

    if (!record_run(edit->state->records, change->vmid, &run))
        return UPDATE_DONE;
    set_number(edit, "run", change->vmid, NULL);
    forget_statement(edit, change->vmid);
    return UPDATE_DONE;
}

static UpdateCode
apply_guard(Edit *edit, const UpdateChange *change)
{
    RunRecord run;

    if (!record_run(edit->state->records, change->vmid, &run))
        return UPDATE_NOT_FOUND;
    run.guard = change->generation;
    set_number(edit, "run", change->vmid, run_record_encode(&run));
    return UPDATE_DONE;
}

static UpdateCode
apply_mig(Edit *edit, const UpdateChange *change)
{
    MigRecord mig;

    if (change->vmid == 0 || !fits(change->text[0], sizeof mig.mig_id)
        || !fits(change->text[1], sizeof mig.start_id) || !fits(change->text[2], sizeof mig.target)
        || !fits(change->text[3], sizeof mig.target_boot)
        || !fits(change->text[4], sizeof mig.phase))
        return UPDATE_BAD;
    g_strlcpy(mig.mig_id, change->text[0], sizeof mig.mig_id);
    g_strlcpy(mig.start_id, change->text[1], sizeof mig.start_id);
    g_strlcpy(mig.target, change->text[2], sizeof mig.target);
    g_strlcpy(mig.target_boot, change->text[3], sizeof mig.target_boot);
    g_strlcpy(mig.phase, change->text[4], sizeof mig.phase);
    set_number(edit, "mig", change->vmid, mig_record_encode(&mig));
    return UPDATE_DONE;
}

static UpdateCode
apply_mig_clear(Edit *edit, const UpdateChange *change)
{
    MigRecord mig;

    if (record_mig(edit->state->records, change->vmid, &mig))
        set_number(edit, "mig", change->vmid, NULL);
    return UPDATE_DONE;
}

static UpdateCode
apply_off(Edit *edit, const UpdateChange *change)
{
    OffRecord off = { .manager = change->generation,
                      .deadline_s = change->number,
                      .state = change->flag };

    if (change->flag > OFF_FAILED || !fits(change->text[1], sizeof off.boot)
        || !fits(change->text[0], 256) || *change->text[0] == '\0')
        return UPDATE_BAD;
    g_strlcpy(off.boot, change->text[1], sizeof off.boot);
    set_named(edit, "off", change->text[0], off_record_encode(&off));
    return UPDATE_DONE;
}

static UpdateCode
apply_dead(Edit *edit, const UpdateChange *change)
{
    DeadRecord dead;
    RunRecord run;

    if (!record_run(edit->state->records, change->vmid, &run))
        return UPDATE_NOT_FOUND;
    if (!fits(change->text[0], sizeof dead.statement))
        return UPDATE_BAD;
    g_strlcpy(dead.start_id, run.start_id, sizeof dead.start_id);
    g_strlcpy(dead.statement, change->text[0], sizeof dead.statement);
    set_number(edit, "dead", change->vmid, dead_record_encode(&dead));
    return UPDATE_DONE;
}

/* ------------------------------------------------------------------ leases */

/* "node1" of "ha_agent_node1_lock"; NULL: another lease. (transfer full) */
static char *
agent_node(const char *lease)
{
    const char *prefix = "ha_agent_", *suffix = "_lock";

    if (!g_str_has_prefix(lease, prefix) || !g_str_has_suffix(lease, suffix)
        || strlen(lease) <= strlen(prefix) + strlen(suffix))
        return NULL;
    return g_strndup(lease + strlen(prefix), strlen(lease) - strlen(prefix) - strlen(suffix));
}

/* S22: the ways in which a lease that is held may change hands. */
static bool
may_take(const State *state, const LeaseRecord *lease, const UpdateChange *change,
         const UpdateEnvelope *envelope, const UpdatePlace *place)
{
    OffRecord off;

    if (strcmp(lease->node, envelope->node) == 0)
        return true; /* its own: a new boot, or the holder itself gives its old generation up */
    if (record_off(state->records, lease->node, &off) && off.state == OFF_DONE
        && strcmp(off.boot, lease->boot) == 0)
        return true;
    return place->take_valid
           && generation_compare(lease->generation, change->generation) == 0; /* S21 */
}

static UpdateCode
apply_lease_take(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
                 const UpdatePlace *place)
{
    const char *name = change->text[0];
    g_autofree char *agent = agent_node(name);
    bool foreign = agent != NULL && strcmp(agent, envelope->node) != 0;
    LeaseRecord old, lease = { .state = foreign ? LEASE_FENCED : LEASE_HELD,
                               .hold_ms = change->number,
                               .lapse_ms = change->number2,
                               .node_id = place->id.node };

    if (*name == '\0' || strlen(name) > LEASE_NAME_MAX || strchr(name, '/') != NULL
        || !fits(change->text[1], sizeof lease.process) || change->number <= 0
        || change->number2 <= change->number)
        return UPDATE_BAD;
    if (record_lease(edit->state->records, name, &old)) {
        if (old.state == LEASE_FENCED
            || (old.state == LEASE_HELD && !may_take(edit->state, &old, change, envelope, place)))
            return UPDATE_HELD;
    }
    /* S18: unique and rising, whatever is restarted: no two updates of one epoch share a place. */
    lease.generation = (Generation){ place->epoch, edit->state->sequence + 1 };
    g_strlcpy(lease.node, envelope->node, sizeof lease.node);
    g_strlcpy(lease.boot, envelope->boot, sizeof lease.boot);
    g_strlcpy(lease.process, change->text[1], sizeof lease.process);
    set_named(edit, "lease", name, lease_record_encode(&lease));
    return UPDATE_DONE;
}

static UpdateCode
apply_lease_release(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope)
{
    LeaseRecord lease;

    if (!record_lease(edit->state->records, change->text[0], &lease) || lease.state != LEASE_HELD
        || strcmp(lease.node, envelope->node) != 0
        || generation_compare(lease.generation, change->generation) != 0)
        return UPDATE_OVER;
    lease.state = LEASE_FREE;
    set_named(edit, "lease", change->text[0], lease_record_encode(&lease));
    return UPDATE_DONE;
}

/* S36: not while a fence run for the node lives. */
static UpdateCode
apply_lease_give(Edit *edit, const UpdateChange *change)
{
    char name[RECORD_TEXT_MAX];
    LeaseRecord lease;
    OffRecord off;

    g_snprintf(name, sizeof name, "ha_agent_%s_lock", change->text[0]);
    if (!record_lease(edit->state->records, name, &lease) || lease.state != LEASE_FENCED)
        return UPDATE_OVER;
    if (record_off(edit->state->records, change->text[0], &off) && off.state == OFF_RUNNING)
        return UPDATE_HELD;
    lease.state = LEASE_FREE;
    set_named(edit, "lease", name, lease_record_encode(&lease));
    return UPDATE_DONE;
}

UpdateCode
record_change_apply(Edit *edit, const UpdateChange *change, const UpdateEnvelope *envelope,
                    const UpdatePlace *place)
{
    switch (change->kind) {
    case CHANGE_RUN:
        return apply_run(edit, change);
    case CHANGE_RUN_CLEAR:
        return apply_run_clear(edit, change);
    case CHANGE_GUARD:
        return apply_guard(edit, change);
    case CHANGE_MIG:
        return apply_mig(edit, change);
    case CHANGE_MIG_CLEAR:
        return apply_mig_clear(edit, change);
    case CHANGE_OFF:
        return apply_off(edit, change);
    case CHANGE_DEAD:
        return apply_dead(edit, change);
    case CHANGE_LEASE_GIVE:
        return apply_lease_give(edit, change);
    case CHANGE_LEASE_TAKE:
        return apply_lease_take(edit, change, envelope, place);
    case CHANGE_LEASE_RELEASE:
        return apply_lease_release(edit, change, envelope);
    case CHANGE_CONFIG:
    case CHANGE_CONFIG_DONE:
    case CHANGE_EPOCH:
        return config_change_apply(edit, change);
    default:
        return UPDATE_DONE; /* HELLO: the envelope says it all */
    }
}
