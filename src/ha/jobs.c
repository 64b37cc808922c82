#include "ha/jobs.h"
#include <string.h>
#include "guest/gate.h"
#include "ha/mirror.h"
#include "sys/log.h"
#include "task/list.h"
#include "task/task.h"

#define TASK_USER "root@pam"

struct HaJobs {
    HaJobsEvents events;
    gpointer data;
    GPtrArray *running; /* Running */
};

typedef struct {
    HaJobs *jobs;
    uint64_t id; /* 0: of a manager before us */
    HaJobKind kind;
    char *sid;
    char *target;
    bool live;
    HaGeneration generation;
    char *upid; /* NULL: not known yet, or no task */
} Running;

static void
running_free(gpointer data)
{
    Running *running = data;

    g_free(running->sid);
    g_free(running->target);
    g_free(running->upid);
    g_free(running);
}

static Running *
add_running(HaJobs *jobs, uint64_t id, HaJobKind kind, const char *sid)
{
    Running *running = g_new0(Running, 1);

    *running = (Running){ .jobs = jobs, .id = id, .kind = kind, .sid = g_strdup(sid) };
    g_ptr_array_add(jobs->running, running);
    return running;
}

static const char *
action_name(const Running *running)
{
    return running->live ? "migrate" : "relocate";
}

static void
finish(Running *running, int rc)
{
    HaJobs *jobs = running->jobs;
    uint64_t id = running->id;

    if (running->kind == HA_JOB_MOVE && rc == HA_RC_OK) {
        jobs->events.emit(ha_event_new(HA_EVENT_MOVE_END, HA_F_SID, running->sid, HA_F_ACTION,
                                       action_name(running), HA_F_TO, running->target, HA_F_END),
                          jobs->data);
    }
    g_ptr_array_remove_fast(jobs->running, running);
    jobs->events.done(id, rc, jobs->data);
}

/* ------------------------------------------------------------------ tasks */

static void
on_task_ended(const char *upid, const char *status, gpointer data)
{
    Running *running = data;
    bool ok = strcmp(status, "OK") == 0 || g_str_has_prefix(status, "WARNINGS");

    if (!ok) {
        q_warn("%s: %s: %s", running->sid, upid, status);
    }
    finish(running, ok ? HA_RC_OK : HA_RC_ERROR);
}

static void
on_task_started(const char *upid, const GError *error, gpointer data)
{
    Running *running = data;

    if (upid == NULL) {
        q_warn("%s: no task could be started: %s", running->sid, error->message);
        finish(running, HA_RC_ERROR);
        return;
    }
    running->upid = g_strdup(upid);
    task_watch(upid, on_task_ended, running);
}

static void
start_task(Running *running, const HaJob *job)
{
    static const struct {
        const char *method, *type;
    } kinds[] = {
        [HA_JOB_START] = { "ha_start_guest", "qmstart" },
        [HA_JOB_STOP] = { "ha_stop_guest", "qmstop" },
        [HA_JOB_MOVE] = { "ha_move_guest", "qmigrate" },
    };
    g_autofree char *vmid = g_strdup_printf("%u", ha_sid_vmid(job->sid));
    g_autofree char *generation = ha_generation_text(job->generation);
    g_autoptr(JsonObject) arguments = json_object_new();

    json_object_set_string_member(arguments, "vmid", vmid);
    json_object_set_string_member(arguments, "generation", generation);
    if (job->kind == HA_JOB_STOP && job->timeout_s >= 0) {
        json_object_set_int_member(arguments, "timeout", job->timeout_s);
    }
    if (job->kind == HA_JOB_MOVE) {
        json_object_set_string_member(arguments, "target", job->target);
    }
    TaskSpec spec = {
        .type = kinds[job->kind].type,
        .id = vmid,
        .user = TASK_USER,
        .method = kinds[job->kind].method,
        .arguments = arguments,
    };
    task_start_async(&spec, on_task_started, running);
}

/* ------------------------------------------------------------------ into the gate (S33) */

static void
adopt_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Running *running = data;
    GError *error = NULL;
    CfsGeneration generation = { running->generation.epoch, running->generation.sequence };

    if (gate_adopt(ha_sid_vmid(running->sid), generation, &error)) {
        g_task_return_boolean(task, TRUE);
    } else {
        g_task_return_error(task, error);
    }
}

static void
on_adopted(GObject *source, GAsyncResult *result, gpointer data)
{
    Running *running = data;
    g_autoptr(GError) error = NULL;
    bool ok = g_task_propagate_boolean(G_TASK(result), &error);

    if (!ok) {
        q_warn("%s: cannot put the running guest under this node's lease: %s", running->sid,
               error->message);
    }
    finish(running, ok ? HA_RC_OK : HA_RC_ERROR);
}

static void
start_adoption(Running *running)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, on_adopted, running);

    g_task_set_task_data(task, running, NULL);
    g_task_run_in_thread(task, adopt_in_thread);
}

/* ------------------------------------------------------------------ what the manager calls */

static bool
is_locked(HaJobs *jobs, const HaJob *job, const HaConfig *config)
{
    const char *action = job->kind == HA_JOB_START  ? "start"
                         : job->kind == HA_JOB_STOP ? "shutdown"
                         : job->live                ? "migrate"
                                                    : "relocate";

    if (config == NULL || config->lock == NULL || job->kind == HA_JOB_GUARD) {
        return false;
    }
    jobs->events.emit(ha_event_new(HA_EVENT_SERVICE_LOCKED, HA_F_SID, job->sid, HA_F_LOCK,
                                   config->lock, HA_F_ACTION, action, HA_F_END),
                      jobs->data);
    return true;
}

HaOutcome
ha_jobs_submit(HaJobs *jobs, const HaJob *job, const HaConfig *config, int *rc)
{
    for (guint i = 0; i < jobs->running->len; i++) {
        const Running *other = jobs->running->pdata[i];

        if (strcmp(other->sid, job->sid) == 0) {
            return HA_REFUSED; /* one thing at a time with one guest */
        }
    }
    if (job->kind == HA_JOB_MOVE) {
        jobs->events.emit(ha_event_new(HA_EVENT_MOVE_BEGIN, HA_F_SID, job->sid, HA_F_ACTION,
                                       job->live ? "migrate" : "relocate", HA_F_TO, job->target,
                                       HA_F_END),
                          jobs->data);
    }
    if (is_locked(jobs, job, config)) {
        *rc = HA_RC_ERROR;
        return HA_DONE;
    }
    Running *running = add_running(jobs, job->id, job->kind, job->sid);
    running->target = g_strdup(job->target);
    running->live = job->live;
    running->generation = job->generation;
    if (job->kind == HA_JOB_GUARD) {
        start_adoption(running);
    } else {
        start_task(running, job);
    }
    return HA_PENDING;
}

void
ha_jobs_busy(const HaJobs *jobs, GHashTable *busy)
{
    for (guint i = 0; i < jobs->running->len; i++) {
        const Running *running = jobs->running->pdata[i];

        g_hash_table_add(busy, g_strdup(running->sid));
    }
}

void
ha_jobs_adopt(HaJobs *jobs)
{
    static const char *const types[] = { "qmstart", "qmstop", "qmigrate", NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) active = task_list_active(&error);

    if (active == NULL) {
        q_warn("cannot look for tasks of an earlier local manager: %s", error->message);
        return;
    }
    for (guint i = 0; i < active->len; i++) {
        const TaskEntry *entry = active->pdata[i];

        if (entry->running && g_strv_contains(types, entry->upid->type)) {
            g_autofree char *sid = g_strdup_printf("vm:%s", entry->upid->id);
            Running *running = add_running(jobs, 0, HA_JOB_START, sid);
            running->upid = g_strdup(entry->text);
            task_watch(entry->text, on_task_ended, running);
        }
    }
}

HaJobs *
ha_jobs_new(const HaJobsEvents *events, gpointer data)
{
    HaJobs *jobs = g_new0(HaJobs, 1);

    jobs->events = *events;
    jobs->data = data;
    jobs->running = g_ptr_array_new_with_free_func(running_free);
    return jobs;
}

void
ha_jobs_free(HaJobs *jobs)
{
    if (jobs != NULL) {
        g_ptr_array_unref(jobs->running);
        g_free(jobs);
    }
}
