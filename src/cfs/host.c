#include "cfs/host.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "cfs/host_priv.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/process.h"

enum {
    CALL_MS = 10000,
    /* The core holds small messages back until nothing else waits; under load something always
     * does, so that it is told after this many inputs too. */
    IDLE_AFTER_INPUTS = 32,
};

/* ------------------------------------------------------------------ inputs */

Clocks
cfs_host_clocks(void)
{
    return (Clocks){ .boot_ms = q_clock_boot_ms(),
                     .mono_ms = q_clock_mono_ms(),
                     .raw_ms = q_clock_raw_ms(),
                     .wall_s = q_clock_wall_s() };
}

/* An input that came while effects are carried out; it owns what it points to. */
typedef struct {
    ReplicaInput input;
    LeaseOp op;
    char *name;
    char *process;
} Waiting;

static void
waiting_free(gpointer data)
{
    Waiting *waiting = data;

    if (waiting->input.kind == REPLICA_REQUEST && waiting->input.request.update != NULL) {
        update_free(waiting->input.request.update);
    }
    g_free(waiting->name);
    g_free(waiting->process);
    g_free(waiting);
}

static void
keep_for_later(CfsHost *host, const ReplicaInput *input)
{
    Waiting *waiting = g_new0(Waiting, 1);

    waiting->input = *input;
    if (input->kind == REPLICA_LEASE) {
        waiting->op = *input->request.op;
        waiting->name = g_strdup(input->request.op->name);
        waiting->process = g_strdup(input->request.op->process);
        waiting->op.name = waiting->name;
        waiting->op.process = waiting->process;
        waiting->input.request.op = &waiting->op;
    }
    g_assert(input->kind != REPLICA_MESSAGE && input->kind != REPLICA_BULK
             && (input->kind != REPLICA_VIEW || input->view.n_members == 0));
    g_queue_push_tail(&host->waiting, waiting);
}

static void
step_once(CfsHost *host, ReplicaInput *input)
{
    g_autoptr(GArray) effects = replica_effects_new();

    input->now = cfs_host_clocks();
    replica_step(host->replica, input, effects);
    for (guint i = 0; i < effects->len; i++) {
        cfs_host_carry_out(host, &g_array_index(effects, ReplicaEffect, i));
    }
}

void
cfs_host_feed(CfsHost *host, const ReplicaInput *input)
{
    if (host->stepping) {
        keep_for_later(host, input);
        return;
    }
    ReplicaInput first = *input;
    Waiting *waiting;

    host->stepping = true;
    step_once(host, &first);
    while ((waiting = g_queue_pop_head(&host->waiting)) != NULL) {
        step_once(host, &waiting->input);
        if (waiting->input.kind == REPLICA_REQUEST) {
            waiting->input.request.update = NULL; /* the core's */
        }
        waiting_free(waiting);
    }
    host->stepping = false;

    if (input->kind != REPLICA_IDLE) {
        host->inputs_since_idle++;
        host->idle_wanted = true;
    }
    if (host->inputs_since_idle >= IDLE_AFTER_INPUTS) {
        host->inputs_since_idle = 0;
        cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_IDLE });
        return;
    }
    host->wake_ms = replica_wake_ms(host->replica);
}

void
cfs_host_idle(CfsHost *host)
{
    if (!host->idle_wanted || host->stepping) {
        return;
    }
    host->idle_wanted = false;
    host->inputs_since_idle = 0;
    cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_IDLE });
}

static void
on_persisted(uint64_t token, bool failed, gpointer data)
{
    cfs_host_feed(data, &(ReplicaInput){ .kind = REPLICA_PERSISTED,
                                         .persisted = { .token = token, .failed = failed } });
    cfs_host_idle(data);
}

/* ------------------------------------------------------------------ calls */

/* Numbers rise, so that the order of calls is also the order of their deadlines. */
static Call *
call_new(CfsHost *host, CfsOutcomeFunc done, gpointer data, uint64_t *number)
{
    Call *call = g_new0(Call, 1);

    call->number = ++host->last_call;
    call->done = done;
    call->data = data;
    call->deadline_ms = q_clock_mono_ms() + host->call_ms;
    g_queue_push_tail(&host->by_age, call);
    call->link = g_queue_peek_tail_link(&host->by_age);
    g_hash_table_insert(host->calls, &call->number, call);
    if (number != NULL) {
        *number = call->number;
    }
    return call;
}

void
cfs_host_answer(CfsHost *host, uint64_t number, const UpdateResult *result)
{
    Call *call = g_hash_table_lookup(host->calls, &number);

    if (call == NULL) {
        return;
    }
    g_queue_delete_link(&host->by_age, call->link);
    g_hash_table_remove(host->calls, &number);
    CfsOutcome outcome = { .result = *result, .timed_out = call->timed_out };
    call->done(&outcome, call->data);
    g_free(call);
}

void
cfs_host_update(CfsHost *host, Update *update, CfsOutcomeFunc done, gpointer data, uint64_t *number)
{
    Call *call = call_new(host, done, data, number);

    cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_REQUEST,
                                         .request = { .id = call->number, .update = update } });
}

void
cfs_host_lease(CfsHost *host, const LeaseOp *op, CfsOutcomeFunc done, gpointer data,
               uint64_t *number)
{
    Call *call = call_new(host, done, data, number);

    cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_LEASE,
                                         .request = { .id = call->number, .op = op } });
}

void
cfs_host_cancel(CfsHost *host, uint64_t number)
{
    if (number != 0 && g_hash_table_contains(host->calls, &number)) {
        cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_CANCEL, .request = { .id = number } });
    }
}

static void
expire_calls(CfsHost *host)
{
    int64_t now_ms = q_clock_mono_ms();
    Call *call;

    while ((call = g_queue_peek_head(&host->by_age)) != NULL && call->deadline_ms <= now_ms) {
        uint64_t number = call->number;
        call->timed_out = true;
        cfs_host_cancel(host, number);
        if (g_hash_table_contains(host->calls, &number)) {
            cfs_host_answer(host, number, &(UpdateResult){ .code = UPDATE_UNKNOWN });
        }
    }
}

int
cfs_outcome_errno(const CfsOutcome *outcome)
{
    return outcome->timed_out ? EIO : update_code_errno(outcome->result.code);
}

GError *
cfs_outcome_error(const CfsOutcome *outcome, const char *what)
{
    UpdateCode code = outcome->result.code;

    if (code == UPDATE_DONE) {
        return NULL;
    }
    if (outcome->timed_out && code == UPDATE_CANCELLED) {
        return g_error_new(Q_ERROR, Q_ERROR_TIMEOUT,
                           "%s: nothing was done: the cluster did not come to it in time", what);
    }
    return g_error_new(Q_ERROR, update_code_error(code), "%s: %s", what, update_code_text(code));
}

/* ------------------------------------------------------------------ looking */

const Replica *
cfs_host_replica(const CfsHost *host)
{
    return host->replica;
}

const Tree *
cfs_host_tree(const CfsHost *host)
{
    return replica_tree(host->replica);
}

bool
cfs_host_writable(const CfsHost *host)
{
    return replica_quorum(host->replica).state != QUORUM_NO;
}

bool
cfs_host_local(const CfsHost *host)
{
    return host->local;
}

const char *
cfs_host_node(const CfsHost *host)
{
    return host->node;
}

const char *
cfs_host_boot(const CfsHost *host)
{
    return host->boot;
}

uint32_t
cfs_host_node_id(const CfsHost *host)
{
    return host->node_id;
}

char *
cfs_host_disk_error(CfsHost *host)
{
    return host->disk_bad ? cfs_store_error(host->store) : NULL;
}

/* ------------------------------------------------------------------ life */

/* Two sources that look at the host instead of being set: setting a source's time wakes the loop up
 * once more each time. */
typedef struct {
    GSource base;
    CfsHost *host;
} HostSource;

static CfsHost *
host_of(GSource *source)
{
    return ((HostSource *)source)->host;
}

static int64_t
due_ms(const CfsHost *host)
{
    const Call *oldest = host->by_age.head != NULL ? host->by_age.head->data : NULL;

    return oldest != NULL ? MIN(host->wake_ms, oldest->deadline_ms) : host->wake_ms;
}

static gboolean
clock_check(GSource *source)
{
    return due_ms(host_of(source)) <= q_clock_mono_ms();
}

static gboolean
clock_prepare(GSource *source, gint *timeout_ms)
{
    int64_t due = due_ms(host_of(source));

    *timeout_ms = due == INT64_MAX ? -1 : (gint)CLAMP(due - q_clock_mono_ms(), 0, G_MAXINT);
    return *timeout_ms == 0;
}

static gboolean
clock_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    CfsHost *host = host_of(source);

    expire_calls(host);
    if (host->wake_ms <= q_clock_mono_ms()) {
        cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_TICK });
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
idle_check(GSource *source)
{
    return host_of(source)->idle_wanted;
}

static gboolean
idle_prepare(GSource *source, gint *timeout_ms)
{
    *timeout_ms = -1;
    return idle_check(source);
}

static gboolean
idle_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    cfs_host_idle(host_of(source));
    return G_SOURCE_CONTINUE;
}

static GSource *
add_source(CfsHost *host, GSourceFuncs *funcs, int priority)
{
    GSource *source = g_source_new(funcs, sizeof(HostSource));

    ((HostSource *)source)->host = host;
    g_source_set_priority(source, priority);
    g_source_attach(source, g_main_context_get_thread_default());
    return source;
}

static void
drop_source(GSource *source)
{
    if (source != NULL) {
        g_source_destroy(source);
        g_source_unref(source);
    }
}

static uint64_t
random_number(void)
{
    uint64_t number = 0;

    while (number == 0 && getrandom(&number, sizeof number, 0) != sizeof number) {
    }
    return number;
}

/* The file that Corosync reads here, if it makes this node a member of something. The example that
 * Debian's package brings does not. */
static char *
read_own_conf(const CfsHost *host)
{
    g_autofree char *text =
        host->corosync ? q_file_read(CFS_HOST_COROSYNC_CONF, TREE_FILE_MAX, NULL, NULL) : NULL;

    return text != NULL && cfs_host_is_member(text, host->node) ? g_steal_pointer(&text) : NULL;
}

static bool
start_core(CfsHost *host, const CfsLoaded *loaded, GError **error)
{
    g_autofree char *own_conf = loaded->fresh ? read_own_conf(host) : NULL;

    host->node_id = cfs_host_find_id(loaded->entries, own_conf, host->node);
    ReplicaSetup setup = {
        .node_id = host->node_id,
        .node = host->node,
        .boot = host->boot,
        .incarnation = random_number(),
        .seed = random_number(),
        .join = own_conf != NULL,
        .local_edit = host->local,
        .entries = loaded->entries,
        .version = loaded->version,
        .writer = loaded->writer,
        .mtime_s = loaded->mtime_s,
        .rows = loaded->rows,
    };
    host->replica = replica_new(&setup, error);
    return host->replica != NULL
           || q_prefix_error(error, "the database holds no valid tree; put a copy in its place, or "
                                    "move it away on a node of a cluster: ");
}

/* Opens the database and begins. */
static bool
open_core(CfsHost *host, GError **error)
{
    g_autoptr(CfsLoaded) loaded = NULL;

    host->store = cfs_store_open(host->folder, on_persisted, host, &loaded, error);
    if (host->store == NULL || !start_core(host, loaded, error)) {
        return false;
    }
    cfs_host_feed(host, &(ReplicaInput){ .kind = REPLICA_START });
    cfs_host_follow_config(host);
    return true;
}

static void
close_core(CfsHost *host)
{
    Call *call;

    cfs_host_leave_corosync(host);
    while ((call = g_queue_peek_head(&host->by_age)) != NULL) {
        cfs_host_answer(host, call->number, &(UpdateResult){ .code = UPDATE_UNKNOWN });
    }
    if (host->replica != NULL) {
        g_clear_pointer(&host->store, cfs_store_free); /* what was handed over is on disk then */
    }
    g_queue_clear_full(&host->waiting, waiting_free);
    g_clear_pointer(&host->replica, replica_free);
}

void
cfs_host_begin_anew(CfsHost *host)
{
    g_autoptr(GError) error = NULL;

    close_core(host);
    if (!open_core(host, &error)) {
        q_err("cannot go on: %s", error->message);
        abort(); /* nobody may look at what is gone; the supervisor starts us again */
    }
}

CfsHost *
cfs_host_new(const CfsHostSetup *setup, GError **error)
{
    static GSourceFuncs clock_funcs = { .prepare = clock_prepare,
                                        .check = clock_check,
                                        .dispatch = clock_dispatch };
    static GSourceFuncs idle_funcs = { .prepare = idle_prepare,
                                       .check = idle_check,
                                       .dispatch = idle_dispatch };
    g_autoptr(CfsHost) host = g_new0(CfsHost, 1);

    host->node = q_node_name();
    host->boot = q_boot_id();
    host->folder = g_strdup(setup->folder);
    host->local = setup->local;
    host->corosync = setup->corosync && !setup->local;
    host->call_ms = setup->call_ms > 0 ? setup->call_ms : CALL_MS;
    host->calls = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&host->by_age);
    g_queue_init(&host->waiting);
    host->wake_ms = INT64_MAX;
    if (!open_core(host, error)) {
        return NULL;
    }
    host->clock = add_source(host, &clock_funcs, G_PRIORITY_DEFAULT);
    host->idle = add_source(host, &idle_funcs, G_PRIORITY_DEFAULT + 10);
    return g_steal_pointer(&host);
}

void
cfs_host_listen(CfsHost *host, const CfsHostEvents *events)
{
    host->events = *events;
}

void
cfs_host_free(CfsHost *host)
{
    if (host == NULL) {
        return;
    }
    host->ending = true;
    close_core(host);
    cfs_store_free(host->store); /* opened, but there was no core for it */
    drop_source(host->clock);
    drop_source(host->idle);
    g_hash_table_unref(host->calls);
    g_free(host->folder);
    g_free(host->node);
    g_free(host->boot);
    g_free(host);
}
