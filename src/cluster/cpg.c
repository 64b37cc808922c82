#include "cluster/cpg.h"
#include <corosync/cpg.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "sys/log.h"

enum {
    RETRY_MS = 50,     /* between tries to join */
    SEND_AGAIN_MS = 2, /* while Corosync takes no more */
    QUEUE_MAX_BYTES = 16 << 20,
    DISPATCH_BATCH = 64, /* messages in one turn of the loop: others want theirs too */
    JOIN_TRIES = 20,     /* of cpg_join(), which is refused while a ring forms */
    JOIN_AGAIN_US = 20000,
};

struct ClusterCpg {
    char *group;
    const ClusterCpgEvents *events;
    gpointer data;
    cpg_handle_t handle; /* 0: not joined */
    bool viewed;         /* the first view has come */
    bool leave;          /* asked for from within a callback */
    uint32_t node;
    guint fd_source;
    guint retry_source;
    guint send_source;
    GQueue queue; /* GBytes */
    size_t queued_bytes;
    GCancellable *joining; /* NULL: no thread is trying */
};

static void cpg_try_later(ClusterCpg *cpg);

/* ------------------------------------------------------------------ what Corosync says */

static ClusterMember *
members_of(const struct cpg_address *list, size_t count)
{
    ClusterMember *members = g_new0(ClusterMember, count + 1);

    for (size_t i = 0; i < count; i++) {
        members[i] = (ClusterMember){ list[i].nodeid, list[i].pid };
    }
    return members;
}

static ClusterCpg *
context_of(cpg_handle_t handle)
{
    void *context = NULL;

    cpg_context_get(handle, &context);
    return context;
}

static void
on_confchg(cpg_handle_t handle, const struct cpg_name *group, const struct cpg_address *now,
           size_t now_count, const struct cpg_address *left, size_t left_count,
           const struct cpg_address *joined, size_t joined_count)
{
    ClusterCpg *cpg = context_of(handle);
    g_autofree ClusterMember *members = members_of(now, now_count);
    g_autofree ClusterMember *leavers = members_of(left, left_count);
    g_autofree ClusterMember *joiners = members_of(joined, joined_count);

    if (cpg->leave) {
        return;
    }
    cpg->viewed = true;
    cpg->events->view(members, now_count, leavers, left_count, joiners, joined_count, cpg->data);
}

static void
on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node, uint32_t pid,
           void *bytes, size_t length)
{
    ClusterCpg *cpg = context_of(handle);

    if (!cpg->leave) {
        cpg->events->message((ClusterMember){ node, pid }, bytes, length, cpg->data);
    }
}

/* ------------------------------------------------------------------ losing the group */

static void
forget_queue(ClusterCpg *cpg)
{
    g_queue_clear_full(&cpg->queue, (GDestroyNotify)g_bytes_unref);
    cpg->queued_bytes = 0;
    g_clear_handle_id(&cpg->send_source, g_source_remove);
}

static gpointer
close_thread(gpointer data)
{
    cpg_finalize((cpg_handle_t)(uintptr_t)data);
    return NULL;
}

/* In a thread: leaving waits for a stopped Corosync. */
static void
close_later(cpg_handle_t handle)
{
    if (handle != 0) {
        g_thread_unref(g_thread_new("cpg-close", close_thread, (gpointer)(uintptr_t)handle));
    }
}

static void
close_handle(ClusterCpg *cpg)
{
    g_clear_handle_id(&cpg->fd_source, g_source_remove);
    forget_queue(cpg);
    close_later(cpg->handle);
    cpg->handle = 0;
    cpg->viewed = false;
    cpg->leave = false;
}

static void
group_lost(ClusterCpg *cpg)
{
    close_handle(cpg);
    g_clear_handle_id(&cpg->retry_source, g_source_remove); /* a pending on_leave() */
    cpg->events->lost(cpg->data);
    cpg_try_later(cpg);
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer data)
{
    ClusterCpg *cpg = data;
    cs_error_t status = CS_OK;

    for (int i = 0; i < DISPATCH_BATCH && status == CS_OK && !cpg->leave; i++) {
        status = cpg_dispatch(cpg->handle, CS_DISPATCH_ONE_NONBLOCKING);
    }
    if (!cpg->leave && cpg->events->drained != NULL) {
        cpg->events->drained(cpg->data);
    }
    if (cpg->leave) {
        group_lost(cpg);
        return G_SOURCE_CONTINUE; /* close_handle() has removed this source */
    }
    if (status != CS_OK && status != CS_ERR_TRY_AGAIN) {
        q_warn("group %s: lost Corosync (%s)", cpg->group, cs_strerror(status));
        group_lost(cpg);
    }
    return G_SOURCE_CONTINUE;
}

/* ------------------------------------------------------------------ joining */

typedef struct {
    char *group;
    cpg_handle_t handle;
    uint32_t node;
    int fd;
} Joined;

static void
joined_free(gpointer data)
{
    Joined *joined = data;

    close_later(joined->handle); /* nobody wanted it any more */
    g_free(joined->group);
    g_free(joined);
}

/* In a thread: the library waits for a stopped Corosync. */
static void
join_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Joined *joined = data;
    cpg_model_v1_data_t model = { .model = CPG_MODEL_V1,
                                  .cpg_deliver_fn = on_deliver,
                                  .cpg_confchg_fn = on_confchg };
    struct cpg_name name = { .length = strlen(joined->group) };
    cs_error_t status =
        cpg_model_initialize(&joined->handle, CPG_MODEL_V1, (cpg_model_data_t *)&model, NULL);

    if (status != CS_OK) {
        joined->handle = 0;
        g_task_return_boolean(task, FALSE);
        return;
    }
    memcpy(name.value, joined->group, name.length);
    for (int i = 0; i < JOIN_TRIES; i++) {
        status = cpg_join(joined->handle, &name);
        if (status != CS_ERR_TRY_AGAIN) {
            break;
        }
        g_usleep(JOIN_AGAIN_US);
    }
    g_task_return_boolean(task, status == CS_OK
                                    && cpg_local_get(joined->handle, &joined->node) == CS_OK
                                    && cpg_fd_get(joined->handle, &joined->fd) == CS_OK);
}

static void
on_joined(GObject *source, GAsyncResult *result, gpointer data)
{
    ClusterCpg *cpg = data;
    Joined *joined = g_task_get_task_data(G_TASK(result));
    bool ok = g_task_propagate_boolean(G_TASK(result), NULL);

    if (g_cancellable_is_cancelled(g_task_get_cancellable(G_TASK(result)))) {
        return; /* freed meanwhile */
    }
    g_clear_object(&cpg->joining);
    if (!ok) {
        cpg_try_later(cpg);
        return;
    }
    cpg->handle = joined->handle;
    joined->handle = 0;
    cpg->node = joined->node;
    cpg_context_set(cpg->handle, cpg);
    cpg->fd_source = g_unix_fd_add_full(G_PRIORITY_DEFAULT, joined->fd,
                                        G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, cpg, NULL);
    /* Else GLib takes the descriptor out of its set around each call, and wakes itself up twice. */
    g_source_set_can_recurse(g_main_context_find_source_by_id(NULL, cpg->fd_source), TRUE);
}

static gboolean
cpg_try(gpointer data)
{
    ClusterCpg *cpg = data;
    Joined *joined = g_new0(Joined, 1);

    joined->group = g_strdup(cpg->group);
    cpg->retry_source = 0;
    cpg->joining = g_cancellable_new();
    g_autoptr(GTask) task = g_task_new(NULL, cpg->joining, on_joined, cpg);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, joined, joined_free);
    g_task_run_in_thread(task, join_thread);
    return G_SOURCE_REMOVE;
}

static void
cpg_try_later(ClusterCpg *cpg)
{
    if (cpg->retry_source == 0 && cpg->joining == NULL) {
        cpg->retry_source = g_timeout_add(RETRY_MS, cpg_try, cpg);
    }
}

/* ------------------------------------------------------------------ sending */

/* Returns: false if the group is gone */
static bool
send_queued(ClusterCpg *cpg)
{
    while (!g_queue_is_empty(&cpg->queue)) {
        GBytes *bytes = g_queue_peek_head(&cpg->queue);
        gsize length;
        struct iovec part = { .iov_base = (void *)g_bytes_get_data(bytes, &length) };
        part.iov_len = length;
        cs_error_t status = cpg_mcast_joined(cpg->handle, CPG_TYPE_AGREED, &part, 1);
        if (status == CS_ERR_TRY_AGAIN) {
            return true;
        }
        if (status != CS_OK) {
            return false; /* the main loop finds out through the descriptor */
        }
        cpg->queued_bytes -= length;
        g_queue_pop_head(&cpg->queue);
        g_bytes_unref(bytes);
    }
    return true;
}

static gboolean
on_send_again(gpointer data)
{
    ClusterCpg *cpg = data;

    if (send_queued(cpg) && !g_queue_is_empty(&cpg->queue)) {
        return G_SOURCE_CONTINUE;
    }
    cpg->send_source = 0;
    return G_SOURCE_REMOVE;
}

bool
cluster_cpg_send(ClusterCpg *cpg, const void *bytes, size_t length)
{
    if (cpg->handle == 0 || cpg->leave || cpg->queued_bytes + length > QUEUE_MAX_BYTES) {
        return false;
    }
    g_queue_push_tail(&cpg->queue, g_bytes_new(bytes, length));
    cpg->queued_bytes += length;
    if (cpg->send_source == 0 && send_queued(cpg) && !g_queue_is_empty(&cpg->queue)) {
        cpg->send_source = g_timeout_add(SEND_AGAIN_MS, on_send_again, cpg);
    }
    return true;
}

size_t
cluster_cpg_queued_bytes(const ClusterCpg *cpg)
{
    return cpg->queued_bytes;
}

/* ------------------------------------------------------------------ life */

ClusterCpg *
cluster_cpg_new(const char *group, const ClusterCpgEvents *events, gpointer data)
{
    ClusterCpg *cpg = g_new0(ClusterCpg, 1);

    g_assert(strlen(group) < CPG_MAX_NAME_LENGTH);
    cpg->group = g_strdup(group);
    cpg->events = events;
    cpg->data = data;
    g_queue_init(&cpg->queue);
    cpg_try(cpg);
    return cpg;
}

void
cluster_cpg_free(ClusterCpg *cpg)
{
    if (cpg == NULL) {
        return;
    }
    close_handle(cpg);
    g_clear_handle_id(&cpg->retry_source, g_source_remove);
    if (cpg->joining != NULL) {
        g_cancellable_cancel(cpg->joining);
        g_clear_object(&cpg->joining);
    }
    g_free(cpg->group);
    g_free(cpg);
}

static gboolean
on_leave(gpointer data)
{
    ClusterCpg *cpg = data;

    cpg->retry_source = 0;
    if (cpg->leave) {
        group_lost(cpg);
    }
    return G_SOURCE_REMOVE;
}

void
cluster_cpg_rejoin(ClusterCpg *cpg)
{
    if (cpg->handle == 0 || cpg->leave) {
        return;
    }
    /* Not at once: this may be called from within the library's own callback. */
    cpg->leave = true;
    cpg->retry_source = g_timeout_add(0, on_leave, cpg);
}

bool
cluster_cpg_joined(const ClusterCpg *cpg)
{
    return cpg->handle != 0 && cpg->viewed && !cpg->leave;
}

ClusterMember
cluster_cpg_self(const ClusterCpg *cpg)
{
    return (ClusterMember){ cpg->node, getpid() };
}
