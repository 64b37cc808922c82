#include "sim/fast_priv.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Time: one queue of events; what is meant for a process that stands still waits until it goes on.
 */

typedef struct {
    int64_t at_ms;
    uint64_t number_in_order;
    Host *host;
    int proc; /* -1: of the world itself */
    uint64_t life;
    FastFunc func;
    uint64_t number;
    gpointer data;
    GDestroyNotify free_data;
} Event;

int64_t
fast_dice(Fast *fast, int64_t low, int64_t high)
{
    return q_random_between(&fast->random, low, high);
}

static bool
is_before(const Event *a, const Event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number_in_order < b->number_in_order;
}

static void
heap_push(GPtrArray *heap, Event *event)
{
    g_ptr_array_add(heap, event);
    for (guint i = heap->len - 1; i > 0;) {
        guint parent = (i - 1) / 2;
        if (!is_before(heap->pdata[i], heap->pdata[parent]))
            break;
        gpointer swap = heap->pdata[i];
        heap->pdata[i] = heap->pdata[parent];
        heap->pdata[parent] = swap;
        i = parent;
    }
}

static Event *
heap_pop(GPtrArray *heap)
{
    if (heap->len == 0)
        return NULL;
    Event *first = heap->pdata[0];
    heap->pdata[0] = heap->pdata[heap->len - 1];
    g_ptr_array_set_size(heap, (gint)heap->len - 1);
    for (guint i = 0;;) {
        guint least = i;
        for (guint child = 2 * i + 1; child <= 2 * i + 2 && child < heap->len; child++) {
            if (is_before(heap->pdata[child], heap->pdata[least]))
                least = child;
        }
        if (least == i)
            return first;
        gpointer swap = heap->pdata[i];
        heap->pdata[i] = heap->pdata[least];
        heap->pdata[least] = swap;
        i = least;
    }
}

static void
event_free(Event *event)
{
    if (event->free_data != NULL)
        event->free_data(event->data);
    g_free(event);
}

void
fast_at(Fast *fast, int64_t at_ms, Host *host, int proc, FastFunc func, uint64_t number,
        gpointer data, GDestroyNotify free_data)
{
    Event *event = g_new(Event, 1);

    *event = (Event){
        MAX(at_ms, fast->now_ms),
        ++fast->events,
        host,
        proc,
        proc >= 0 ? host->procs[proc].life : 0,
        func,
        number,
        data,
        free_data,
    };
    heap_push(fast->heap, event);
}

static void
deliver(Fast *fast, Event *event)
{
    Host *host = event->host;

    if (event->proc >= 0) {
        const Proc *proc = &host->procs[event->proc];
        if (!host->power || !proc->alive || proc->life != event->life) {
            event_free(event);
            return;
        }
        if (host->frozen > 0 || proc->stopped > 0) {
            g_ptr_array_add(host->deferred, event);
            return;
        }
    }
    event->func(fast, host, event->number, event->data);
    event_free(event);
}

/* Everything that waited comes in its order, before anything new. */
void
fast_resume(Host *host)
{
    GPtrArray *waited = host->deferred;

    host->deferred = g_ptr_array_new();
    for (guint i = 0; i < waited->len; i++) {
        Event *event = waited->pdata[i];
        event->at_ms = host->fast->now_ms;
        heap_push(host->fast->heap, event);
    }
    g_ptr_array_unref(waited);
}

void
fast_drop_deferred(Host *host)
{
    for (guint i = 0; i < host->deferred->len; i++)
        event_free(host->deferred->pdata[i]);
    g_ptr_array_set_size(host->deferred, 0);
}

void
fast_trace(Fast *fast, const char *by, const HaEvent *event)
{
    if (fast->options->trace == NULL)
        return;
    g_autofree char *line = ha_event_json(event, fast->now_ms, by);
    fprintf(fast->options->trace, "%s\n", line);
}

void
fast_say(Fast *fast, Host *host, const char *format, ...)
{
    va_list arguments;

    if (fast->options->trace == NULL)
        return;
    va_start(arguments, format);
    g_autofree char *text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_autoptr(HaEvent) event = ha_event_new(HA_EVENT_REPORT, HA_F_TEXT, text, HA_F_END);
    fast_trace(fast, host != NULL ? host->name : "world", event);
}

/* ------------------------------------------------------------------ faults, carried out */

static void
end_partition(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    fast_say(fast, NULL, "healed");
    memset(fast->cut, 0, sizeof fast->cut);
    check_disturbed(fast, FAST_HOSTS, true);
    cfs_unstall(fast);
    cfs_topology_soon(fast, fast_dice(fast, 700, 1100));
}

static void
end_crash(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    if (!host->power)
        host_power_on(host);
}

static void
end_freeze(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    if (host->boots == number)
        host_thaw(host);
}

static void
end_stop(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    ProcKind proc = number % PROCS;
    if (host->procs[proc].alive && host->procs[proc].life == number / PROCS)
        proc_continue(host, proc);
}

static void
end_bad(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    *(number == FAULT_BAD_STARTS ? &fast->start_fails : &fast->stop_fails) = 0;
    check_disturbed(fast, FAST_HOSTS, true);
}

static void
ask_for(HaWorld *world, gpointer data)
{
    const FaultPlan *plan = data;
    g_autofree char *sid = g_strdup_printf("vm:%u", 100 + plan->host);
    HaConfig *config = g_hash_table_lookup(world->configs, sid);

    if (config == NULL || config->node == NULL)
        return;
    world->resources_version++;
    switch (plan->what % 5) {
    case 0:
        config->state = HA_REQUEST_STOPPED;
        break;
    case 1:
    case 2:
        config->state = HA_REQUEST_STARTED;
        config->unmanaged = false;
        break;
    case 3:
    case 4:
        world->commands_version++;
        g_ptr_array_add(world->commands,
                        g_strdup_printf("%s %s node%u",
                                        plan->what % 5 == 3 ? "relocate" : "migrate", sid,
                                        1 + plan->what / 5));
        break;
    }
}

static void
put_under_ha(HaWorld *world, gpointer data)
{
    HaConfig *config = g_hash_table_lookup(world->configs, data);

    if (config == NULL)
        return;
    config->unmanaged = false;
    config->state = HA_REQUEST_STARTED;
    world->resources_version++;
}

static void
end_by_hand(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    g_autofree char *sid = g_strdup_printf("vm:%u", 200 + (guint)number);
    cfs_edit(fast, put_under_ha, sid);
}

static void
new_guest(HaWorld *world, gpointer data)
{
    HaConfig *config = data;

    g_hash_table_insert(world->configs, g_strdup(config->sid), ha_config_copy(config));
    world->resources_version++;
}

static HaConfig *
guest_config(guint vmid, const char *node, bool managed)
{
    HaConfig *config = g_new0(HaConfig, 1);

    config->sid = g_strdup_printf("vm:%u", vmid);
    config->type = g_strdup("vm");
    config->node = g_strdup(node);
    config->state = HA_REQUEST_STARTED;
    config->failback = true;
    config->max_restart = config->max_relocate = 1;
    config->version = 1;
    config->unmanaged = !managed;
    return config;
}

static void
begin_by_hand(Fast *fast, const FaultPlan *plan)
{
    Host *host = fast->hosts[plan->host % fast->count];
    HaConfig *config = guest_config(200 + plan->what, host->name, false);

    cfs_edit(fast, new_guest, config);
    guest_start_by_hand(host, config->sid);
    fast_at(fast, fast->now_ms + plan->lasts_ms, host, -1, end_by_hand, plan->what, NULL, NULL);
    ha_config_free(config);
}

static void
begin_guest_end(Fast *fast, const FaultPlan *plan)
{
    guint alive = 0;

    for (guint i = 0; i < fast->qemus->len; i++)
        alive += ((Qemu *)fast->qemus->pdata[i])->alive;
    guint pick = alive > 0 ? plan->what % alive : 0;
    for (guint i = 0; i < fast->qemus->len; i++) {
        Qemu *qemu = fast->qemus->pdata[i];
        if (!qemu->alive || pick-- > 0)
            continue;
        if (host_runs(qemu->host)) {
            fast_say(fast, qemu->host, "%s ends by itself", qemu->sid);
            guest_die(qemu, true);
            host_step_soon(qemu->host, PROC_LRMD);
        }
        return;
    }
}

static void
begin_partition(Fast *fast, const FaultPlan *plan)
{
    for (guint i = 0; i < fast->count; i++)
        fast->cut[i] = (plan->what >> i) & 1;
    fast_say(fast, NULL, "cut, side %u", plan->what);
    check_disturbed(fast, FAST_HOSTS, true);
    cfs_topology_soon(fast, fast->timing.membership_ms);
    fast_at(fast, fast->now_ms + plan->lasts_ms, NULL, -1, end_partition, 0, NULL, NULL);
}

static void
begin_fault(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    const FaultPlan *plan = data;
    int64_t end_ms = fast->now_ms + plan->lasts_ms;

    fast->result->counts[plan->kind]++;
    switch (plan->kind) {
    case FAULT_CRASH:
        if (host->power)
            host_power_off(host, "crash");
        fast_at(fast, end_ms, host, -1, end_crash, 0, NULL, NULL);
        break;
    case FAULT_FREEZE:
        if (host->power) {
            host_freeze(host);
            fast_at(fast, end_ms, host, -1, end_freeze, host->boots, NULL, NULL);
        }
        break;
    case FAULT_PARTITION:
        begin_partition(fast, plan);
        break;
    case FAULT_STOP:
        if (host->power && host->procs[plan->what].alive) {
            fast_at(fast, end_ms, host, -1, end_stop,
                    host->procs[plan->what].life * PROCS + plan->what, NULL, NULL);
            proc_stop(host, plan->what);
        }
        break;
    case FAULT_KILL:
        if (host->power)
            proc_kill(host, plan->what);
        break;
    case FAULT_BAD_STARTS:
    case FAULT_BAD_STOPS:
        *(plan->kind == FAULT_BAD_STARTS ? &fast->start_fails : &fast->stop_fails) = 0.7;
        check_disturbed(fast, FAST_HOSTS, true);
        fast_at(fast, end_ms, NULL, -1, end_bad, plan->kind, NULL, NULL);
        break;
    case FAULT_GUEST:
        begin_guest_end(fast, plan);
        break;
    case FAULT_REQUEST:
        cfs_edit(fast, ask_for, data);
        break;
    case FAULT_BY_HAND:
        begin_by_hand(fast, plan);
        break;
    case FAULT_END:
        break;
    }
}

/* ------------------------------------------------------------------ a history */

static void
tick(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    check_tick(fast);
    fast_at(fast, fast->now_ms + 200, NULL, -1, tick, 0, NULL, NULL);
}

static void
power_on(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    host_power_on(host);
}

static void
first_files(HaWorld *world, gpointer data)
{
    Fast *fast = data;

    for (guint i = 0; i < fast->options->guests; i++) {
        HaConfig *config =
            guest_config(100 + i, fast->hosts[fast_dice(fast, 0, fast->count - 1)]->name, true);
        g_hash_table_insert(world->configs, g_strdup(config->sid), config);
    }
    if (fast_dice(fast, 0, 3) == 0)
        world->rules_text =
            g_strdup("node-affinity: home\n\tresources vm:100\n\tnodes node2:2,node1\n");
}

static void
set_up(Fast *fast, uint64_t seed, const GArray *faults)
{
    q_random_seed(&fast->random, seed);
    fast->heap = g_ptr_array_new();
    fast->qemus = g_ptr_array_new();
    fast->renewed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fast->lives_by_lease = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fast->truths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fast->deadlines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fast->lost_since = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fast->count = fast->options->hosts > 0 ? fast->options->hosts : (guint)fast_dice(fast, 3, 5);
    HaTimingFacts facts = { .nodes = (int)fast->count, .granularity_ms = -1, .standstill_ms = -1 };
    bool known = ha_timing(fast->options->profile, &facts, &fast->timing, NULL);
    g_assert(known);
    for (guint i = 0; i < fast->count; i++)
        host_new(fast, i);
    cfs_begin(fast);
    cfs_edit(fast, first_files, fast);
    for (guint i = 0; i < fast->count; i++)
        fast_at(fast, fast_dice(fast, 0, 500), fast->hosts[i], -1, power_on, 0, NULL, NULL);
    for (guint i = 0; i < faults->len; i++) {
        const FaultPlan *plan = &g_array_index(faults, FaultPlan, i);
        fast_at(fast, plan->at_ms, fast->hosts[plan->host % fast->count], -1, begin_fault, 0,
                (gpointer)plan, NULL);
    }
    fast_at(fast, 100, NULL, -1, tick, 0, NULL, NULL);
}

static void
qemu_free(gpointer data)
{
    Qemu *qemu = data;

    g_free(qemu->sid);
    g_free(qemu->boot);
    g_free(qemu->start_id);
    g_free(qemu->gate);
    g_free(qemu);
}

static void
tear_down(Fast *fast)
{
    for (Event *event; (event = heap_pop(fast->heap)) != NULL;)
        event_free(event);
    for (guint i = 0; i < fast->count; i++)
        host_free(fast->hosts[i]);
    for (guint i = 0; i < fast->qemus->len; i++)
        qemu_free(fast->qemus->pdata[i]);
    g_ptr_array_unref(fast->qemus);
    g_ptr_array_unref(fast->heap);
    g_hash_table_unref(fast->renewed);
    g_hash_table_unref(fast->lives_by_lease);
    g_hash_table_unref(fast->truths);
    g_hash_table_unref(fast->deadlines);
    g_hash_table_unref(fast->lost_since);
    state_unref(fast->state);
}

void
fast_run(uint64_t seed, const FastOptions *options, const GArray *faults, FastResult *result)
{
    Fast fast = { .options = options, .result = result };

    memset(result, 0, sizeof *result);
    result->failovers = g_array_new(FALSE, FALSE, sizeof(int64_t));
    set_up(&fast, seed, faults);
    for (Event *event; !fast.over && (event = heap_pop(fast.heap)) != NULL;) {
        fast.now_ms = event->at_ms;
        if (fast.now_ms > options->length_ms) {
            event_free(event);
            break;
        }
        deliver(&fast, event);
    }
    tear_down(&fast);
}

void
fast_result_clear(FastResult *result)
{
    g_clear_pointer(&result->violation, g_free);
    g_clear_pointer(&result->failovers, g_array_unref);
}
