#include "sim/fast_priv.h"
#include <stdarg.h>
#include <string.h>

/*
 * The invariants of safety.md section 5 that HA answers for, looked at from outside: from what the
 * simulated processes, devices and committed records really are, never from what a manager thinks.
 */

void
fast_violate(Fast *fast, int invariant, const char *format, ...)
{
    va_list arguments;

    if (fast->result->invariant != 0)
        return;
    va_start(arguments, format);
    fast->result->violation = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    fast->result->invariant = invariant;
    fast->result->at_ms = fast->now_ms;
    fast->over = true;
    fast_say(fast, NULL, "violation of %d: %s", invariant, fast->result->violation);
}

static const HaConfig *
committed(Fast *fast, const char *sid)
{
    return g_hash_table_lookup(fast->state->world->configs, sid);
}

static const HaRun *
record_of(Fast *fast, const Qemu *qemu)
{
    const HaConfig *config = committed(fast, qemu->sid);
    const HaRun *run = config != NULL ? config->run : NULL;

    return run != NULL && g_str_equal(run->start_id, qemu->start_id) ? run : NULL;
}

/* 1, 2, 22 */
void
check_continued(Qemu *qemu)
{
    Fast *fast = qemu->host->fast;
    const HaRun *run = record_of(fast, qemu);

    for (guint i = 0; i < fast->qemus->len; i++) {
        const Qemu *other = fast->qemus->pdata[i];
        if (other == qemu || !g_str_equal(other->sid, qemu->sid) || !other->continued)
            continue;
        if (other->alive)
            fast_violate(fast, 1, "%s runs on %s and on %s", qemu->sid, qemu->host->name,
                         other->host->name);
        else if (other->dead_ms > fast->now_ms)
            fast_violate(fast, 2, "%s of %s may still write while it runs on %s", qemu->sid,
                         other->host->name, qemu->host->name);
    }
    if (run == NULL || !g_str_equal(run->node, qemu->host->name)
        || !g_str_equal(run->boot, qemu->host->boot))
        fast_violate(fast, 22, "%s runs on %s without a committed run record", qemu->sid,
                     qemu->host->name);
    else if (!g_str_equal(qemu->gate, "u") && !g_hash_table_contains(qemu->host->gates, qemu->gate))
        fast_violate(fast, 22, "%s runs on %s, its gate %s is closed", qemu->sid, qemu->host->name,
                     qemu->gate);
}

/* 19: true time of the last heard renewal + W + R, W by the slowest clock allowed. */
static void
check_guarded(Qemu *qemu)
{
    Fast *fast = qemu->host->fast;
    const HaRun *run = record_of(fast, qemu);

    if (run == NULL || ha_generation_none(run->guard) || !g_str_equal(run->node, qemu->host->name))
        return;
    g_autofree char *text = ha_generation_text(run->guard);
    const Truth *truth = g_hash_table_lookup(fast->truths, text);
    if (truth == NULL) {
        fast_violate(fast, 19, "%s is guarded by %s, which never was", qemu->sid, text);
        return;
    }
    int64_t end_ms = truth->s_ms
                     + (int64_t)fast->timing.fires_ms * (1000 + fast->timing.rate_permille) / 1000
                     + fast->timing.standstill_ms + 2;
    /* 18, S29: a local manager that can run has ended it by s + K, and proven that within t. */
    Host *host = qemu->host;
    int64_t ended_ms =
        truth->s_ms
        + (int64_t)fast->timing.local_end_ms * (1000 + fast->timing.rate_permille) / 1000;
    ended_ms = MAX(ended_ms, host->lrmd_runs_ms + 500) + fast->timing.kill_ms;
    if (qemu->alive && fast->now_ms > ended_ms && proc_runs(host, PROC_LRMD)
        && host->procs[PROC_WATCHDOGD].alive)
        fast_violate(fast, 18, "%s lives on %s %d ms after the last renewal, and no local end came",
                     qemu->sid, host->name, (int)(fast->now_ms - truth->s_ms));
    if (fast->now_ms > end_ms)
        fast_violate(fast, 19, "%s, guarded by %s, lives on %s %d ms after the last renewal",
                     qemu->sid, text, qemu->host->name, (int)(fast->now_ms - truth->s_ms));
}

void
check_died(Qemu *qemu)
{
    check_guarded(qemu);
}

/* 23 */
static void
check_recorded(Qemu *qemu)
{
    Fast *fast = qemu->host->fast;

    if (record_of(fast, qemu) != NULL || !qemu->host->quorate || !host_runs(qemu->host)
        || !qemu->host->procs[PROC_LRMD].alive) {
        qemu->norecord_ms = 0;
        return;
    }
    if (qemu->norecord_ms == 0)
        qemu->norecord_ms = fast->now_ms;
    if (fast->now_ms - qemu->norecord_ms > 90000)
        fast_violate(fast, 23, "%s lives on %s without a record for 90 s", qemu->sid,
                     qemu->host->name);
}

/* 24: S34, written down a second time and on purpose not shared with the core. */
void
check_recovered(Fast *fast, const HaConfig *config, const HaChange *change)
{
    const HaRun *run = config->run;
    g_autofree char *name =
        g_strdup_printf("ha_agent_%s_lock", run != NULL ? run->node : change->from);
    const HaLeaseView *lease = cfs_lease(fast, name);
    bool other_boot = false;

    if (run == NULL)
        return;
    for (guint i = 0; i < fast->count; i++) {
        const Host *host = fast->hosts[i];
        if (g_str_equal(host->name, run->node))
            other_boot = host->boots > 0 && !g_str_equal(host->boot, run->boot);
    }
    bool lapsed = (run->guard.epoch != 0 || run->guard.sequence != 0) && lease != NULL
                  && lease->state == HA_LEASE_FENCED
                  && (run->guard.epoch < lease->generation.epoch
                      || (run->guard.epoch == lease->generation.epoch
                          && run->guard.sequence < lease->generation.sequence));
    if (!lapsed && !other_boot)
        fast_violate(fast, 24, "%s is taken from %s, and nothing proves it dead there", config->sid,
                     change->from);
}

/* ------------------------------------------------------------------ watchdog */

static char *
deadline_key(const Host *host, HaGeneration owner)
{
    g_autofree char *text = ha_generation_text(owner);
    return g_strdup_printf("%s %s", host->name, text);
}

void
check_promised(Host *host, HaGeneration owner, HaTime deadline)
{
    g_autofree char *key = deadline_key(host, owner);
    HaTime *kept = g_hash_table_lookup(host->fast->deadlines, key);

    /* A later one counts, an earlier one that comes after it does not take it back. */
    if (kept == NULL) {
        kept = g_new0(HaTime, 1);
        g_hash_table_insert(host->fast->deadlines, g_strdup(key), kept);
    }
    kept->boot_ms = MAX(kept->boot_ms, deadline.boot_ms);
    kept->raw_ms = MAX(kept->raw_ms, deadline.raw_ms);
}

/* 20 */
void
check_fed(Host *host)
{
    Fast *fast = host->fast;
    g_autofree char *prefix = g_strdup_printf("%s ", host->name);
    g_autoptr(GPtrArray) keys = q_sorted_keys(fast->deadlines);
    HaTime now = host_now(host);
    int64_t fires_ms = fast->timing.device_ms + fast->timing.granularity_ms;

    for (guint i = 0; i < keys->len; i++) {
        const HaTime *deadline = g_hash_table_lookup(fast->deadlines, keys->pdata[i]);
        if (g_str_has_prefix(keys->pdata[i], prefix)
            && (now.boot_ms + fires_ms > deadline->boot_ms
                || now.raw_ms + fires_ms > deadline->raw_ms))
            fast_violate(fast, 20, "%s feeds its watchdog beyond a deadline", host->name);
    }
}

/* 21 */
void
check_closed(Host *host, HaGeneration owner)
{
    Fast *fast = host->fast;
    g_autofree char *key = deadline_key(host, owner);

    g_hash_table_remove(fast->deadlines, key);
    for (guint i = 0; i < fast->qemus->len; i++) {
        const Qemu *qemu = fast->qemus->pdata[i];
        const HaRun *run = record_of(fast, qemu);
        if (qemu->alive && qemu->host == host
            && (!g_str_equal(qemu->gate, "u") || (run != NULL && !ha_generation_none(run->guard))))
            fast_violate(fast, 21, "%s closes its watchdog while %s lives in gate %s", host->name,
                         qemu->sid, qemu->gate);
    }
}

static void
forget_deadlines(Host *host)
{
    g_autofree char *prefix = g_strdup_printf("%s ", host->name);
    g_autoptr(GPtrArray) keys = q_sorted_keys(host->fast->deadlines);

    for (guint i = 0; i < keys->len; i++) {
        if (g_str_has_prefix(keys->pdata[i], prefix))
            g_hash_table_remove(host->fast->deadlines, keys->pdata[i]);
    }
}

/* ------------------------------------------------------------------ what is true of a lease */

void
check_granted(Fast *fast, const char *lease, HaGeneration generation, guint host)
{
    Truth *truth = g_new(Truth, 1);

    *truth = (Truth){ generation, fast->now_ms, host };
    g_hash_table_insert(fast->truths, ha_generation_text(generation), truth);
}

void
check_heard(Fast *fast, HaGeneration generation, int64_t sent_ms)
{
    g_autofree char *text = ha_generation_text(generation);
    Truth *truth = g_hash_table_lookup(fast->truths, text);

    if (truth != NULL)
        truth->s_ms = MAX(truth->s_ms, sent_ms);
}

/* ------------------------------------------------------------------ liveness */

void
check_disturbed(Fast *fast, guint host, bool whole)
{
    fast->before_ms = fast->disturbed_ms;
    fast->disturbed_ms = fast->now_ms;
    fast->disturbed_host = host;
    if (host < FAST_HOSTS && !fast->hosts[host]->power)
        forget_deadlines(fast->hosts[host]);
}

/* 32: of a surviving node, after one membership change and nothing else for a while before. */
void
check_killed(Host *host)
{
    Fast *fast = host->fast;
    guint up = 0;

    for (guint i = 0; i < fast->count; i++)
        up += proc_runs(fast->hosts[i], PROC_COROSYNC) && fast->hosts[i]->procs[PROC_CFSD].alive
              && fast->cut[i] == fast->cut[host->index];
    if (up + 1 >= fast->count && fast->now_ms > 20000 && fast->disturbed_host < FAST_HOSTS
        && fast->disturbed_host != host->index && fast->now_ms - fast->before_ms > 20000
        && fast->now_ms - fast->disturbed_ms < 10000)
        fast_violate(fast, 32, "%s ends its guests though only %s was lost", host->name,
                     fast->hosts[fast->disturbed_host]->name);
}

/* From the loss of power to the process elsewhere, when nothing else happened meanwhile. */
void
check_created(Qemu *qemu)
{
    Fast *fast = qemu->host->fast;
    const Host *lost = fast->disturbed_host < FAST_HOSTS ? fast->hosts[fast->disturbed_host] : NULL;
    const Qemu *last = NULL;

    for (guint i = 0; i + 1 < fast->qemus->len; i++) {
        const Qemu *other = fast->qemus->pdata[i];
        if (g_str_equal(other->sid, qemu->sid))
            last = other;
    }
    if (lost == NULL || lost->power || last == NULL || last->host != lost
        || last->dead_ms != lost->powered_ms + fast->timing.under_way_ms
        || fast->disturbed_ms != lost->powered_ms || fast->disturbed_ms - fast->before_ms < 20000
        || fast->start_fails > 0)
        return;
    int64_t took_ms = fast->now_ms - lost->powered_ms;
    g_array_append_val(fast->result->failovers, took_ms);
    /* L counts on the voters' slowest clock, which NTP may slow by 8.3 % (S24). */
    if (took_ms > (int64_t)fast->timing.lapse_ms * 1000 / 917 + 900)
        fast_violate(fast, 31, "%s is back %d ms after %s lost its power", qemu->sid, (int)took_ms,
                     lost->name);
}

static bool
has_open_majority(Fast *fast)
{
    guint quorate = 0;

    for (guint i = 0; i < fast->count; i++)
        quorate += host_runs(fast->hosts[i]) && fast->hosts[i]->quorate;
    return 2 * quorate > fast->count;
}

static bool
runs_anywhere(Fast *fast, const char *sid)
{
    for (guint i = 0; i < fast->qemus->len; i++) {
        const Qemu *qemu = fast->qemus->pdata[i];
        if (qemu->alive && qemu->continued && g_str_equal(qemu->sid, sid))
            return true;
    }
    return false;
}

/* A service that should run, and that nothing forbids: no policy used up, nothing unproven. */
static bool
should_run(Fast *fast, const HaConfig *config)
{
    const HaService *service = ha_status_service(fast->state->world->status, config->sid);

    if (config->unmanaged || config->state != HA_REQUEST_STARTED || fast->start_fails > 0)
        return false;
    if (service == NULL || service->state == HA_STATE_ERROR)
        return service == NULL;
    return config->run == NULL || !ha_generation_none(config->run->guard);
}

/* 31: nothing happened for so long that a lost master and a lost node must both be overcome. */
static void
check_recovery(Fast *fast)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(fast->state->world->configs);
    int64_t bound_ms = 2 * (int64_t)fast->timing.lapse_ms + 12000;

    for (guint i = 0; i < sids->len; i++) {
        const HaConfig *config = g_hash_table_lookup(fast->state->world->configs, sids->pdata[i]);
        int64_t *since = g_hash_table_lookup(fast->lost_since, config->sid);
        if (!has_open_majority(fast) || !should_run(fast, config)
            || runs_anywhere(fast, config->sid)) {
            g_hash_table_remove(fast->lost_since, config->sid);
            continue;
        }
        if (since == NULL) {
            since = g_new(int64_t, 1);
            *since = fast->now_ms;
            g_hash_table_insert(fast->lost_since, g_strdup(config->sid), since);
        }
        if (fast->now_ms - MAX(*since, fast->disturbed_ms) > bound_ms)
            fast_violate(fast, 31,
                         "%s should run and does not, though nothing has happened for %d s",
                         config->sid, (int)(bound_ms / 1000));
    }
}

void
check_tick(Fast *fast)
{
    for (guint i = 0; i < fast->qemus->len && !fast->over; i++) {
        Qemu *qemu = fast->qemus->pdata[i];
        if (!qemu->alive)
            continue;
        check_guarded(qemu);
        check_recorded(qemu);
    }
    check_recovery(fast);
}
