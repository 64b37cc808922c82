#include "sim/fast_priv.h"
#include <string.h>

/* Guests: tasks that start, stop and move them by the steps of S40 and S41, and their processes. */

void
task_unref(Task *task)
{
    if (--task->refs > 0)
        return;
    g_free(task->sid);
    g_free(task->target);
    g_free(task->start_id);
    g_free(task->gate);
    g_free(task);
}

Qemu *
guest_find(Host *host, const char *sid)
{
    Fast *fast = host->fast;

    for (guint i = fast->qemus->len; i-- > 0;) {
        Qemu *qemu = fast->qemus->pdata[i];
        if (qemu->alive && qemu->host == host && g_str_equal(qemu->sid, sid))
            return qemu;
    }
    return NULL;
}

void
guest_die(Qemu *qemu, bool cleanly)
{
    Fast *fast = qemu->host->fast;

    qemu->alive = false;
    /* Without proof of its sockets' end, what was under way may still arrive (S30, X of S38). */
    qemu->dead_ms = fast->now_ms + (cleanly ? 0 : fast->timing.under_way_ms);
    check_died(qemu);
}

void
guest_kill_gate(Host *host, const char *gate)
{
    Fast *fast = host->fast;
    bool any = false;

    for (guint i = 0; i < fast->qemus->len; i++) {
        Qemu *qemu = fast->qemus->pdata[i];
        if (qemu->alive && qemu->host == host && g_str_equal(qemu->gate, gate)) {
            fast_say(fast, host, "%s killed with gate %s", qemu->sid, gate);
            guest_die(qemu, true);
            any = true;
        }
    }
    for (guint i = host->tasks->len; i-- > 0;) {
        Task *task = host->tasks->pdata[i];
        if (g_strcmp0(task->gate, gate) == 0) {
            task->dead = true;
            g_ptr_array_remove_index(host->tasks, i);
        }
    }
    if (any)
        check_killed(host);
}

void
guest_refresh_local(Host *host)
{
    Fast *fast = host->fast;
    HaLocal *local = &host->local;

    g_hash_table_remove_all(local->running);
    g_hash_table_remove_all(local->busy);
    g_hash_table_remove_all(local->gates);
    for (guint i = 0; i < fast->qemus->len; i++) {
        const Qemu *qemu = fast->qemus->pdata[i];
        if (!qemu->alive || qemu->host != host)
            continue;
        g_hash_table_add(local->running, g_strdup(qemu->sid));
        g_hash_table_insert(local->gates, g_strdup(qemu->sid), g_strdup(qemu->gate));
    }
    for (guint i = 0; i < host->tasks->len; i++) {
        const Task *task = host->tasks->pdata[i];
        g_hash_table_add(local->busy, g_strdup(task->sid));
        if (task->gate != NULL && !g_hash_table_contains(local->gates, task->sid))
            g_hash_table_insert(local->gates, g_strdup(task->sid), g_strdup(task->gate));
    }
}

/* ------------------------------------------------------------------ tasks */

static void
job_done(Fast *fast, Host *host, uint64_t id, gpointer data)
{
    if (host->lrm != NULL)
        lrm_job_done(host->lrm, &host->lrm_seat.env, id, GPOINTER_TO_INT(data));
}

static void
task_end(Task *task, int rc)
{
    Host *host = task->host;

    task->dead = true;
    if (task->id != 0 && host->procs[PROC_LRMD].alive)
        fast_at(host->fast, host->fast->now_ms + fast_dice(host->fast, 0, 3), host, PROC_LRMD,
                job_done, task->id, GINT_TO_POINTER(rc), NULL);
    g_ptr_array_remove(host->tasks, task);
}

typedef void (*TaskStep)(Task *task);

static void run_step(Fast *fast, Host *host, uint64_t number, gpointer data);

typedef struct {
    Task *task;
    TaskStep step;
} StepData;

static void
step_free(gpointer data)
{
    StepData *step = data;

    task_unref(step->task);
    g_free(step);
}

/* A task is a process of its own: it outlives lrmd, stands still with its host, dies with its gate.
 */
static void
task_later(Task *task, int64_t low_ms, int64_t high_ms, TaskStep step)
{
    Fast *fast = task->host->fast;
    StepData *data = g_new(StepData, 1);

    *data = (StepData){ task, step };
    task->refs++;
    /* A task may be swapped out for as long as it likes (S41); while starts are bad, some are. */
    if (fast->start_fails > 0 && fast_dice(fast, 0, 19) == 0)
        high_ms = low_ms = fast_dice(fast, 500, 15000);
    fast_at(fast, fast->now_ms + fast_dice(fast, low_ms, high_ms), task->host, -1, run_step, 0,
            data, step_free);
}

static void
run_step(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    StepData *step = data;
    Task *task = step->task;

    if (task->dead || !host->power || host->boots != task->boots)
        return;
    if (host->frozen > 0) {
        task_later(task, 50, 50,
                   step->step); /* looks again; nothing happens while it stands still */
        return;
    }
    step->step(task);
}

static Qemu *
new_qemu(Task *task)
{
    Qemu *qemu = g_new0(Qemu, 1);

    qemu->sid = g_strdup(task->sid);
    qemu->host = task->host;
    qemu->boot = g_strdup(task->host->boot);
    qemu->start_id = g_strdup(task->start_id);
    qemu->gate = g_strdup(task->gate != NULL ? task->gate : "u");
    qemu->alive = true;
    g_ptr_array_add(task->host->fast->qemus, qemu);
    return qemu;
}

static void
start_continue(Task *task)
{
    Host *host = task->host;
    Qemu *qemu = guest_find(host, task->sid);

    if (qemu == NULL) {
        task_end(task, HA_RC_ERROR);
        return;
    }
    qemu->continued = true;
    qemu->continued_ms = host->fast->now_ms;
    fast_say(host->fast, host, "%s runs", qemu->sid);
    check_continued(qemu);
    task_end(task, HA_RC_OK);
}

static void
start_exec(Task *task)
{
    Host *host = task->host;
    Fast *fast = host->fast;

    if ((double)fast_dice(fast, 0, 999) / 1000 < fast->start_fails) {
        task_end(task, HA_RC_ERROR);
        return;
    }
    check_created(new_qemu(task));
    task_later(task, 10, 60, start_continue);
}

static void
start_record(Task *task)
{
    Host *host = task->host;
    Op *op = op_new(host, PROC_CFSD, OP_RUN);

    task->refs++;
    op->task = task;
    op_send(op);
}

static void
start_enter(Task *task)
{
    Host *host = task->host;
    bool guarded = !ha_generation_none(task->generation);
    g_autofree char *gate = guarded ? ha_generation_text(task->generation) : g_strdup("u");

    /* S41: first into the gate, then check, then exec. */
    if (guarded && !g_hash_table_contains(host->gates, gate)) {
        task_end(task, HA_RC_ERROR);
        return;
    }
    g_free(task->gate);
    task->gate = g_steal_pointer(&gate);
    task_later(task, 1, 20, start_record);
}

static void
move_commit(Task *task)
{
    Op *op = op_new(task->host, PROC_CFSD, OP_MOVE);

    task->refs++;
    op->task = task;
    op_send(op);
}

static void
stop_record(Task *task)
{
    Op *op = op_new(task->host, PROC_CFSD, OP_RUN_CLEAR);

    task->refs++;
    op->task = task;
    op_send(op);
}

static void
stop_kill(Task *task)
{
    Host *host = task->host;
    Fast *fast = host->fast;
    Qemu *qemu = guest_find(host, task->sid);

    if (qemu != NULL && (double)fast_dice(fast, 0, 999) / 1000 < fast->stop_fails) {
        task_end(task, HA_RC_ERROR);
        return;
    }
    if (qemu != NULL) {
        g_free(task->start_id);
        task->start_id = g_strdup(qemu->start_id);
        guest_die(qemu, true);
        stop_record(task);
    } else if (task->kind == HA_JOB_MOVE) {
        move_commit(task);
    } else {
        task_end(task, HA_RC_OK);
    }
}

static void
guard_move(Task *task)
{
    Host *host = task->host;
    Qemu *qemu = guest_find(host, task->sid);
    bool guarded = !ha_generation_none(task->generation);
    g_autofree char *gate = guarded ? ha_generation_text(task->generation) : g_strdup("u");

    if (qemu == NULL || (guarded && !g_hash_table_contains(host->gates, gate))) {
        task_end(task, HA_RC_ERROR);
        return;
    }
    g_free(qemu->gate);
    qemu->gate = g_steal_pointer(&gate);
    task_end(task, HA_RC_OK);
}

void
guest_task_answer(Op *op, int outcome)
{
    Task *task = op->task;
    Host *host = task->host;

    if (task->dead || !host->power || host->boots != task->boots)
        return;
    switch (op->kind) {
    case OP_RUN: /* S40: unknown is not committed: nothing is started */
        if (outcome == ANSWER_OK)
            task_later(task, 30, 150, start_exec);
        else
            task_end(task, HA_RC_ERROR);
        break;
    case OP_RUN_CLEAR:
        if (task->kind == HA_JOB_MOVE && outcome == ANSWER_OK)
            move_commit(task);
        else
            task_end(task, task->kind == HA_JOB_STOP ? HA_RC_OK : HA_RC_ERROR);
        break;
    default:
        task_end(task, outcome == ANSWER_OK ? HA_RC_OK : HA_RC_ERROR);
    }
}

static Task *
task_new(Host *host, HaJobKind kind, const char *sid)
{
    Task *task = g_new0(Task, 1);

    task->refs = 1;
    task->host = host;
    task->boots = host->boots;
    task->kind = kind;
    task->sid = g_strdup(sid);
    task->start_id = g_strdup_printf("start-%u", (guint)++host->fast->starts);
    g_ptr_array_add(host->tasks, task);
    return task;
}

HaOutcome
guest_submit(HaEnv *env, const HaJob *job, int *rc)
{
    Seat *seat = (Seat *)env;
    Task *task = task_new(seat->host, job->kind, job->sid);

    task->id = job->id;
    task->target = g_strdup(job->target);
    task->generation = job->generation;
    switch (job->kind) {
    case HA_JOB_START:
        task_later(task, 5, 40, start_enter);
        break;
    case HA_JOB_STOP:
    case HA_JOB_MOVE:
        task_later(task, 50, 600, stop_kill);
        break;
    case HA_JOB_GUARD:
        task_later(task, 1, 10, guard_move);
        break;
    }
    return HA_PENDING;
}

void
guest_start_by_hand(Host *host, const char *sid)
{
    if (host_runs(host) && host->quorate)
        task_later(task_new(host, HA_JOB_START, sid), 50, 300, start_enter);
}
