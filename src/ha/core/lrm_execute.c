#include "ha/core/lrm_priv.h"
#include <string.h>

/* What is done with services (ha.md 12.4, 12.5). */

void
worker_free(gpointer data)
{
    Worker *worker = data;

    g_free(worker->sid);
    g_free(worker->uid);
    g_free(worker->target);
    g_free(worker);
}

static Worker *
find_worker(Lrm *lrm, const char *sid)
{
    for (guint i = 0; i < lrm->workers->len; i++) {
        Worker *worker = lrm->workers->pdata[i];
        if (g_str_equal(worker->sid, sid))
            return worker;
    }
    return NULL;
}

static void
queue(Lrm *lrm, const HaService *service, const char *uid, HaState command)
{
    Worker *worker = find_worker(lrm, service->sid);

    if (worker != NULL && worker->job_id != 0)
        return;
    if (worker == NULL) {
        worker = g_new0(Worker, 1);
        worker->sid = g_strdup(service->sid);
        g_ptr_array_add(lrm->workers, worker);
    }
    g_free(worker->uid);
    g_free(worker->target);
    worker->uid = g_strdup(uid);
    worker->target = g_strdup(service->target);
    worker->command = command;
    worker->timeout_s = service->timeout_s;
}

static bool
runs_here(const HaWorld *world, const char *sid)
{
    return g_hash_table_contains(world->local->running, sid);
}

/* The master has its answer already; still, a stopped service is looked at again each time, and a
 * started one when its process is gone and nobody but us looks after it. */
static bool
is_answered(Lrm *lrm, HaEnv *env, const HaWorld *world, const HaService *service)
{
    const HaResult *result = g_hash_table_lookup(lrm->status->results, service->uid);

    if (result == NULL)
        return false;
    if (env->timing->classic)
        return service->state != HA_STATE_STOPPED;
    if (service->state == HA_STATE_STOPPED)
        return !runs_here(world, service->sid);
    if (service->state != HA_STATE_STARTED || result->rc != HA_RC_OK
        || runs_here(world, service->sid))
        return true;
    if (find_worker(lrm, service->sid) == NULL)
        lrm_emit(env, ha_event_new(HA_EVENT_SERVICE_FOUND_DEAD, HA_F_SID, service->sid, HA_F_END));
    return false;
}

void
lrm_queue_services(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(lrm->view->services);

    for (guint i = 0; i < sids->len; i++) {
        const HaService *service = ha_status_service(lrm->view, sids->pdata[i]);
        if (g_strcmp0(service->node, env->node) != 0 || service->uid == NULL
            || service->state == HA_STATE_RECOVERY || service->state == HA_STATE_FREEZE
            || service->state == HA_STATE_REQUEST_START || is_answered(lrm, env, world, service))
            continue;
        queue(lrm, service, service->uid, service->state);
    }
}

void
lrm_queue_stops(Lrm *lrm, HaEnv *env)
{
    if (lrm->view == NULL)
        return;
    g_autoptr(GPtrArray) sids = q_sorted_keys(lrm->view->services);
    for (guint i = 0; i < sids->len; i++) {
        HaService *service = ha_status_service(lrm->view, sids->pdata[i]);
        if (g_strcmp0(service->node, env->node) == 0) {
            service->timeout_s = -1;
            queue(lrm, service, NULL, HA_STATE_REQUEST_STOP);
        }
    }
}

/* ------------------------------------------------------------------ the end of a worker */

/* Results of things that the master no longer asks about. */
static void
drop_old_results(Lrm *lrm)
{
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) uids = q_sorted_keys(lrm->status->results);
    GHashTableIter iter;
    gpointer service;

    g_hash_table_iter_init(&iter, lrm->view->services); /* into a set: in any order */
    while (g_hash_table_iter_next(&iter, NULL, &service)) {
        if (((HaService *)service)->uid != NULL)
            g_hash_table_add(wanted, ((HaService *)service)->uid);
    }
    for (guint i = 0; i < uids->len; i++) {
        if (!g_hash_table_contains(wanted, uids->pdata[i]))
            g_hash_table_remove(lrm->status->results, uids->pdata[i]);
    }
}

/* A failed start is tried again here as often as configured, before the master hears of it. */
static bool
tries_again(Lrm *lrm, HaEnv *env, const HaWorld *world, const Worker *worker)
{
    const HaConfig *config = ha_world_config(world, worker->sid);
    int tries = GPOINTER_TO_INT(g_hash_table_lookup(lrm->retries, worker->sid));
    int most = config != NULL ? config->max_restart : 0;

    if (tries >= most) {
        lrm_emit(env, ha_event_new(HA_EVENT_START_RETRIES_EXHAUSTED, HA_F_SID, worker->sid,
                                   HA_F_TRIES, tries, HA_F_END));
        g_hash_table_remove(lrm->retries, worker->sid);
        return false;
    }
    tries++;
    g_hash_table_insert(lrm->retries, g_strdup(worker->sid), GINT_TO_POINTER(tries));
    lrm_emit(env, ha_event_new(HA_EVENT_START_RETRY, HA_F_TRIES, tries, HA_F_SID, worker->sid,
                               HA_F_END));
    return true;
}

static void
finish(Lrm *lrm, HaEnv *env, const HaWorld *world, Worker *worker, int rc)
{
    if (worker->uid == NULL) {
        lrm->stop_failed = lrm->stop_failed || rc != HA_RC_OK;
    } else {
        bool again = false;
        if (worker->command == HA_STATE_STARTED && rc == HA_RC_OK)
            g_hash_table_remove(lrm->retries, worker->sid);
        else if (worker->command == HA_STATE_STARTED && rc == HA_RC_ERROR)
            again = tries_again(lrm, env, world, worker);
        if (!again) {
            ha_lrm_status_set(lrm->status, worker->uid, worker->sid, worker->command, rc);
            drop_old_results(lrm);
            lrm->dirty = true;
        }
    }
    g_ptr_array_remove(lrm->workers, worker);
}

/* What the outcome of a job means for its command. Returns: the result code */
static int
job_result(HaEnv *env, const Worker *worker, int rc)
{
    bool ok = rc == HA_RC_OK;

    switch (worker->command) {
    case HA_STATE_STARTED:
        lrm_emit(env, ha_event_new(ok ? HA_EVENT_SERVICE_STARTED : HA_EVENT_START_FAILED, HA_F_SID,
                                   worker->sid, HA_F_END));
        break;
    case HA_STATE_REQUEST_STOP:
    case HA_STATE_STOPPED: {
        HaEvent *event = ha_event_new(ok ? HA_EVENT_SERVICE_STOPPED : HA_EVENT_STOP_FAILED,
                                      HA_F_SID, worker->sid, HA_F_END);
        ha_event_set_level(event, HA_INFO);
        lrm_emit(env, event);
        break;
    }
    default:
        if (!ok)
            lrm_emit(env, ha_event_new(HA_EVENT_MOVE_FAILED, HA_F_SID, worker->sid, HA_F_END));
    }
    return ok ? HA_RC_OK : HA_RC_ERROR;
}

/* ------------------------------------------------------------------ one command */

enum { BEGUN = -2, NOT_YET = -3 }; /* beside result codes */

static int
submit(Lrm *lrm, HaEnv *env, Worker *worker, HaJobKind kind)
{
    HaJob job = {
        .id = ++lrm->jobs,
        .kind = kind,
        .sid = worker->sid,
        .target = worker->target,
        .timeout_s = worker->timeout_s,
        .live = worker->command == HA_STATE_MIGRATE,
        .generation = env->timing->classic ? (HaGeneration){ 0, 0 } : lrm->lease.generation,
    };
    int rc = HA_RC_ERROR;

    switch (env->submit(env, &job, &rc)) {
    case HA_DONE:
        return job_result(env, worker, rc);
    case HA_PENDING:
        worker->job_id = job.id;
        return BEGUN;
    default:
        return NOT_YET;
    }
}

static int
execute_start(Lrm *lrm, HaEnv *env, const HaWorld *world, Worker *worker, const HaConfig *config)
{
    if (runs_here(world, worker->sid))
        return HA_RC_OK;
    /* S40: no record of an earlier start may be left; lrm_keep_records() is at it. */
    if (!env->timing->classic && config->run != NULL && g_strcmp0(config->run->node, env->node) == 0
        && g_strcmp0(config->run->boot, world->boot) == 0)
        return NOT_YET;
    lrm_emit(env, ha_event_new(HA_EVENT_SERVICE_STARTING, HA_F_SID, worker->sid, HA_F_END));
    return submit(lrm, env, worker, HA_JOB_START);
}

static int
execute_stop(Lrm *lrm, HaEnv *env, const HaWorld *world, Worker *worker)
{
    if (!runs_here(world, worker->sid))
        return HA_RC_OK;
    lrm_emit(env, ha_event_new(HA_EVENT_SERVICE_STOPPING, HA_F_SID, worker->sid, HA_F_TIMEOUT,
                               worker->timeout_s, HA_F_END));
    return submit(lrm, env, worker, HA_JOB_STOP);
}

static int
execute_move(Lrm *lrm, HaEnv *env, const HaWorld *world, Worker *worker, const HaConfig *config)
{
    if (g_strcmp0(config->node, worker->target) == 0)
        return HA_RC_OK;
    if (worker->command == HA_STATE_REQUEST_START_BALANCE && runs_here(world, worker->sid)) {
        lrm_emit(env,
                 ha_event_new(HA_EVENT_START_BALANCE_IGNORED, HA_F_SID, worker->sid, HA_F_END));
        return HA_RC_IGNORED;
    }
    return submit(lrm, env, worker, HA_JOB_MOVE);
}

static int
execute(Lrm *lrm, HaEnv *env, const HaWorld *world, Worker *worker)
{
    const HaConfig *config = ha_world_config(world, worker->sid);

    if (!env->timing->classic && g_hash_table_contains(world->local->busy, worker->sid))
        return NOT_YET;
    if (config == NULL || config->node == NULL)
        return HA_RC_UNKNOWN_SERVICE;
    if (worker->command == HA_STATE_ERROR) {
        lrm_emit(env, ha_event_new(HA_EVENT_SERVICE_IN_ERROR, HA_F_SID, worker->sid, HA_F_END));
        return HA_RC_OK;
    }
    if (!g_str_equal(config->node, env->node)) {
        /* A move that this node has carried out, seen again. */
        if (!env->timing->classic && g_strcmp0(config->node, worker->target) == 0)
            return HA_RC_OK;
        lrm_emit(env, ha_event_new(HA_EVENT_SERVICE_NOT_HERE, HA_F_SID, worker->sid, HA_F_END));
        return HA_RC_WRONG_NODE;
    }
    switch (worker->command) {
    case HA_STATE_STARTED:
        return execute_start(lrm, env, world, worker, config);
    case HA_STATE_REQUEST_STOP:
    case HA_STATE_STOPPED:
        return execute_stop(lrm, env, world, worker);
    case HA_STATE_MIGRATE:
    case HA_STATE_RELOCATE:
    case HA_STATE_REQUEST_START_BALANCE:
        return execute_move(lrm, env, world, worker, config);
    default:
        return HA_RC_UNKNOWN_COMMAND;
    }
}

static gint
compare_waiting(gconstpointer a, gconstpointer b)
{
    const Worker *x = *(Worker *const *)a, *y = *(Worker *const *)b;
    return x->waited != y->waited ? y->waited - x->waited : strcmp(x->sid, y->sid);
}

bool
lrm_run_workers(Lrm *lrm, HaEnv *env, const HaWorld *world)
{
    g_autoptr(GPtrArray) waiting = g_ptr_array_new();
    int under_way = 0;
    int most = world->datacenter != NULL ? world->datacenter->max_workers : 4;

    for (guint i = 0; i < lrm->workers->len; i++) {
        Worker *worker = lrm->workers->pdata[i];
        if (worker->job_id != 0)
            under_way++;
        else
            g_ptr_array_add(waiting, worker);
    }
    g_ptr_array_sort(waiting, compare_waiting);
    for (guint i = 0; i < waiting->len; i++) {
        Worker *worker = waiting->pdata[i];
        if (!env->timing->classic && most > 0 && under_way >= most) {
            worker->waited += lrm->counts;
            continue;
        }
        int rc = execute(lrm, env, world, worker);
        if (rc == NOT_YET)
            worker->waited += lrm->counts;
        else if (rc == BEGUN)
            under_way++;
        else
            finish(lrm, env, world, worker, rc);
    }
    return lrm->workers->len > 0;
}

void
lrm_job_done(Lrm *lrm, HaEnv *env, uint64_t id, int rc)
{
    if (!lrm_gate_job_done(lrm, id, rc)) {
        for (guint i = 0; i < lrm->workers->len; i++) {
            Worker *worker = lrm->workers->pdata[i];
            if (worker->job_id == id) {
                const HaWorld *world = env->read(env);
                finish(lrm, env, world, worker, job_result(env, worker, rc));
                break;
            }
        }
    }
    lrm_step(lrm, env); /* jobs of a lease that is over are nobody's */
}
