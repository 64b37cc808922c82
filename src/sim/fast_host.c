#include "sim/fast_priv.h"
#include <string.h>

/* Hosts: power, clocks, processes and their supervisor. */

enum { BOOT_MS = 10000, START_CFSD_MS = 200 };

static int64_t
reading(const Host *host, double rate)
{
    return (int64_t)((double)(host->fast->now_ms - host->clock_zero_ms) * rate);
}

HaTime
host_now(const Host *host)
{
    return (HaTime){ reading(host, host->boot_rate), reading(host, host->raw_rate) };
}

int64_t
host_mono(const Host *host)
{
    return reading(host, host->boot_rate);
}

bool
host_runs(const Host *host)
{
    return host->power && host->frozen == 0;
}

bool
proc_runs(const Host *host, ProcKind proc)
{
    return host_runs(host) && host->procs[proc].alive && host->procs[proc].stopped == 0;
}

/* ------------------------------------------------------------------ stepping the managers */

static void wake(Fast *fast, Host *host, uint64_t proc, gpointer data);

static void
plan_wake(Host *host, ProcKind proc, int64_t boot_ms)
{
    int64_t wait_ms = (int64_t)((double)(boot_ms - host_mono(host)) / host->boot_rate);
    int64_t at_ms = host->fast->now_ms + CLAMP(wait_ms, 1, 1000);

    if (host->wake_ms[proc] > host->fast->now_ms && host->wake_ms[proc] <= at_ms)
        return;
    host->wake_ms[proc] = at_ms;
    fast_at(host->fast, at_ms, host, (int)proc, wake, proc, NULL, NULL);
}

static void
restart_later(Fast *fast, Host *host, uint64_t proc, gpointer data)
{
    if (host->power && host->boots == GPOINTER_TO_UINT(data) && !host->procs[proc].alive)
        proc_start(host, proc);
}

static void
step(Host *host, ProcKind proc)
{
    host->step_due[proc] = false;
    if (proc == PROC_CRMD && host->crm != NULL) {
        crm_step(host->crm, &host->crm_seat.env);
        plan_wake(host, proc, crm_wake_ms(host->crm));
    } else if (proc == PROC_LRMD && host->lrm != NULL) {
        host_reconcile(host);
        lrm_step(host->lrm, &host->lrm_seat.env);
        plan_wake(host, proc, lrm_wake_ms(host->lrm));
    }
}

static void
wake(Fast *fast, Host *host, uint64_t proc, gpointer data)
{
    if (host->wake_ms[proc] != 0 && host->wake_ms[proc] <= fast->now_ms) {
        host->wake_ms[proc] = 0;
        step(host, proc);
    }
}

static void
step_now(Fast *fast, Host *host, uint64_t proc, gpointer data)
{
    step(host, proc);
}

void
host_step_soon(Host *host, ProcKind proc)
{
    if (!host->procs[proc].alive || host->step_due[proc])
        return;
    host->step_due[proc] = true;
    fast_at(host->fast, host->fast->now_ms + 1, host, (int)proc, step_now, proc, NULL, NULL);
}

/* ------------------------------------------------------------------ processes */

static void
cfsd_ready(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    cfs_topology_soon(fast, fast_dice(fast, 20, 60));
}

void
proc_start(Host *host, ProcKind proc)
{
    Fast *fast = host->fast;

    host->procs[proc] = (Proc){ .alive = true, .life = ++fast->lives };
    host->step_due[proc] = false;
    host->wake_ms[proc] = 0;
    switch (proc) {
    case PROC_COROSYNC:
        cfs_topology_soon(fast, fast_dice(fast, 600, 1000));
        break;
    case PROC_CFSD:
        host->voter_mono_ms = host_mono(host);
        host->voter_raw_ms = host_now(host).raw_ms;
        g_hash_table_remove_all(host->heard);
        fast_at(fast, fast->now_ms + fast_dice(fast, 50, START_CFSD_MS), host, PROC_CFSD,
                cfsd_ready, 0, NULL, NULL);
        break;
    case PROC_CRMD:
        seat_reset(&host->crm_seat);
        host->crm = crm_new(&host->crm_seat.env);
        host_step_soon(host, proc);
        break;
    case PROC_LRMD:
        host->lrmd_runs_ms = fast->now_ms;
        seat_reset(&host->lrm_seat);
        memset(&host->client, 0, sizeof host->client);
        client_ask(host);
        host->reconciled_ms = 0;
        host->lrm = lrm_new(&host->lrm_seat.env);
        host_step_soon(host, proc);
        break;
    case PROC_WATCHDOGD:
        watchdogd_begin(host);
        break;
    case PROCS:
        break;
    }
}

static void
forget_proc(Host *host, ProcKind proc)
{
    host->procs[proc] = (Proc){ .life = host->procs[proc].life };
    if (proc == PROC_CRMD)
        g_clear_pointer(&host->crm, crm_free);
    if (proc == PROC_LRMD)
        g_clear_pointer(&host->lrm, lrm_free);
    if (proc == PROC_WATCHDOGD) {
        g_clear_pointer(&host->watchdog, watchdog_free);
        host->client.known = host->client.asking = host->client.arming = false;
        host->client.closing = false;
    }
    if (proc == PROC_CFSD)
        host->quorate = false;
}

void
proc_kill(Host *host, ProcKind proc)
{
    Fast *fast = host->fast;

    if (!host->procs[proc].alive)
        return;
    fast_say(fast, host, "process %d killed", (int)proc);
    forget_proc(host, proc);
    check_disturbed(fast, host->index, false);
    if (proc == PROC_CFSD || proc == PROC_COROSYNC) {
        cfs_topology_soon(fast,
                          proc == PROC_CFSD ? fast_dice(fast, 20, 60) : fast->timing.membership_ms);
        host_step_soon(host, PROC_LRMD);
        host_step_soon(host, PROC_CRMD);
    }
    fast_at(fast, fast->now_ms + fast_dice(fast, 100, 1000), host, -1, restart_later, proc,
            GUINT_TO_POINTER(host->boots), NULL);
}

static void
kill_silent(Fast *fast, Host *host, uint64_t life, gpointer data)
{
    /* S17: a cfsd silent for 2 s is killed. */
    if (host_runs(host) && host->procs[PROC_CFSD].alive && host->procs[PROC_CFSD].life == life
        && host->procs[PROC_CFSD].stopped > 0)
        proc_kill(host, PROC_CFSD);
}

void
proc_stop(Host *host, ProcKind proc)
{
    Fast *fast = host->fast;

    fast_say(fast, host, "process %d stopped", (int)proc);
    host->procs[proc].stopped++;
    check_disturbed(fast, host->index, false);
    if (proc == PROC_CFSD)
        fast_at(fast, fast->now_ms + 2000, host, -1, kill_silent, host->procs[proc].life, NULL,
                NULL);
    if (proc == PROC_COROSYNC)
        cfs_topology_soon(fast, fast->timing.membership_ms);
}

void
proc_continue(Host *host, ProcKind proc)
{
    fast_say(host->fast, host, "process %d goes on", (int)proc);
    host->procs[proc].stopped--;
    host->lrmd_runs_ms = host->fast->now_ms;
    check_disturbed(host->fast, host->index, false);
    fast_resume(host);
    if (proc == PROC_COROSYNC) {
        cfs_unstall(host->fast);
        cfs_topology_soon(host->fast, fast_dice(host->fast, 600, 1000));
    }
    if (proc == PROC_CFSD) /* a learner until then (S9) */
        cfs_topology_soon(host->fast, fast_dice(host->fast, 20, 200));
}

/* ------------------------------------------------------------------ power */

void
host_power_on(Host *host)
{
    Fast *fast = host->fast;
    double base = 1 + (double)fast_dice(fast, -50, 50) / 10000;

    host->power = true;
    host->frozen = 0;
    host->boots++;
    host->powered_ms = fast->now_ms;
    g_free(host->boot);
    host->boot = g_strdup_printf("boot-%s-%u", host->name, host->boots);
    /* The oscillator errs by half a percent; what NTP makes of it by much more (S24). */
    host->raw_rate = base;
    host->boot_rate = base * (1 + (double)fast_dice(fast, -80, 80) / 1000);
    host->clock_zero_ms = fast->now_ms - fast_dice(fast, 1000, 100000);
    g_clear_pointer(&host->deadlines, g_free);
    host->file_owner = (HaGeneration){ 0, 0 };
    fast_say(fast, host, "power on");
    check_disturbed(fast, host->index, true);
    for (int proc = 0; proc < PROCS; proc++)
        proc_start(host, proc);
}

static void
boot_again(Fast *fast, Host *host, uint64_t boots, gpointer data)
{
    if (!host->power && host->boots == boots)
        host_power_on(host);
}

void
host_power_off(Host *host, const char *how)
{
    Fast *fast = host->fast;

    fast_say(fast, host, "power off: %s", how);
    host->power = false;
    host->frozen = 0;
    host->powered_ms = fast->now_ms;
    for (guint i = 0; i < fast->qemus->len; i++) {
        Qemu *qemu = fast->qemus->pdata[i];
        if (qemu->alive && qemu->host == host)
            guest_die(qemu, false);
    }
    for (int proc = 0; proc < PROCS; proc++)
        forget_proc(host, proc);
    fast_drop_deferred(host);
    for (guint i = 0; i < host->tasks->len; i++)
        ((Task *)host->tasks->pdata[i])->dead = true;
    g_ptr_array_set_size(host->tasks, 0);
    g_ptr_array_set_size(host->waiting, 0);
    g_hash_table_remove_all(host->gates);
    g_hash_table_remove_all(host->ending);
    g_hash_table_remove_all(host->heard);
    device_off(host);
    check_disturbed(fast, host->index, true);
    cfs_topology_soon(fast, fast->timing.membership_ms);
    if (!g_str_equal(how, "crash"))
        fast_at(fast, fast->now_ms + BOOT_MS, host, -1, boot_again, host->boots, NULL, NULL);
}

void
host_freeze(Host *host)
{
    fast_say(host->fast, host, "frozen");
    host->frozen++;
    check_disturbed(host->fast, host->index, true);
    cfs_topology_soon(host->fast, host->fast->timing.membership_ms);
}

void
host_thaw(Host *host)
{
    if (host->frozen == 0)
        return;
    fast_say(host->fast, host, "thawed");
    host->frozen--;
    host->lrmd_runs_ms = host->fast->now_ms;
    check_disturbed(host->fast, host->index, true);
    fast_resume(host);
    cfs_unstall(host->fast);
    cfs_topology_soon(host->fast, fast_dice(host->fast, 5, 450));
    cfs_topology_soon(host->fast, fast_dice(host->fast, 850, 900));
}

void
host_new(Fast *fast, guint index)
{
    Host *host = g_new0(Host, 1);

    host->fast = fast;
    host->index = index;
    host->name = g_strdup_printf("node%u", index + 1);
    host->boot_rate = host->raw_rate = 1;
    host->deferred = g_ptr_array_new();
    host->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)op_unref);
    host->heard = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    host->nodes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_node_free);
    host->gates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    host->ending = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    host->tasks = g_ptr_array_new_with_free_func((GDestroyNotify)task_unref);
    host->local.running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    host->local.busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    host->local.gates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    seat_init(&host->crm_seat, host, PROC_CRMD);
    seat_init(&host->lrm_seat, host, PROC_LRMD);
    fast->hosts[index] = host;
}

void
host_free(Host *host)
{
    crm_free(host->crm);
    lrm_free(host->lrm);
    watchdog_free(host->watchdog);
    fast_drop_deferred(host);
    g_ptr_array_unref(host->deferred);
    g_ptr_array_unref(host->waiting);
    g_ptr_array_unref(host->tasks);
    g_hash_table_unref(host->heard);
    g_hash_table_unref(host->nodes);
    g_hash_table_unref(host->gates);
    g_hash_table_unref(host->ending);
    g_hash_table_unref(host->local.running);
    g_hash_table_unref(host->local.busy);
    g_hash_table_unref(host->local.gates);
    seat_clear(&host->crm_seat);
    seat_clear(&host->lrm_seat);
    if (host->visible != NULL)
        state_unref(host->visible);
    if (host->ring != NULL && --host->ring->refs == 0)
        g_free(host->ring);
    g_free(host->deadlines);
    g_free(host->boot);
    g_free(host->name);
    g_free(host);
}
