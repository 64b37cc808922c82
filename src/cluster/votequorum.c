#include "cluster/votequorum.h"
#include <corosync/votequorum.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include "sys/log.h"

enum { RETRY_MS = 50 };

struct ClusterVotequorum {
    ClusterQuorumFunc changed;
    gpointer data;
    votequorum_handle_t handle; /* 0: not connected */
    bool quorate;
    guint fd_source;
    guint retry_source;
    GCancellable *connecting;
};

static void votequorum_try_later(ClusterVotequorum *votequorum);

static void
set_quorate(ClusterVotequorum *votequorum, bool quorate)
{
    if (votequorum->quorate != quorate) {
        votequorum->quorate = quorate;
        votequorum->changed(quorate, votequorum->data);
    }
}

static void
on_quorum(votequorum_handle_t handle, uint64_t context, uint32_t quorate, uint32_t node_count,
          votequorum_node_t nodes[])
{
    set_quorate((ClusterVotequorum *)(uintptr_t)context, quorate != 0);
}

static void
close_handle(ClusterVotequorum *votequorum)
{
    g_clear_handle_id(&votequorum->fd_source, g_source_remove);
    if (votequorum->handle != 0) {
        votequorum_finalize(votequorum->handle);
    }
    votequorum->handle = 0;
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer data)
{
    ClusterVotequorum *votequorum = data;
    cs_error_t status = votequorum_dispatch(votequorum->handle, CS_DISPATCH_ALL);

    if (status != CS_OK && status != CS_ERR_TRY_AGAIN) {
        close_handle(votequorum);
        set_quorate(votequorum, false);
        votequorum_try_later(votequorum);
    }
    return G_SOURCE_CONTINUE;
}

/* ------------------------------------------------------------------ connecting */

typedef struct {
    ClusterVotequorum *votequorum;
    votequorum_handle_t handle;
    int fd;
} Connected;

static void
connected_free(gpointer data)
{
    Connected *connected = data;

    if (connected->handle != 0) {
        votequorum_finalize(connected->handle);
    }
    g_free(connected);
}

/* In a thread: the library waits for a stopped Corosync. */
static void
connect_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Connected *connected = data;
    votequorum_callbacks_t callbacks = { .votequorum_quorum_notify_fn = on_quorum };

    if (votequorum_initialize(&connected->handle, &callbacks) != CS_OK) {
        connected->handle = 0;
        g_task_return_boolean(task, FALSE);
        return;
    }
    g_task_return_boolean(task,
                          votequorum_trackstart(connected->handle, (uintptr_t)connected->votequorum,
                                                CS_TRACK_CHANGES | CS_TRACK_CURRENT)
                                  == CS_OK
                              && votequorum_fd_get(connected->handle, &connected->fd) == CS_OK);
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    ClusterVotequorum *votequorum = data;
    Connected *connected = g_task_get_task_data(G_TASK(result));
    bool ok = g_task_propagate_boolean(G_TASK(result), NULL);

    if (g_cancellable_is_cancelled(g_task_get_cancellable(G_TASK(result)))) {
        return; /* freed meanwhile */
    }
    g_clear_object(&votequorum->connecting);
    if (!ok) {
        votequorum_try_later(votequorum);
        return;
    }
    votequorum->handle = connected->handle;
    connected->handle = 0;
    votequorum->fd_source =
        g_unix_fd_add(connected->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, votequorum);
}

static gboolean
votequorum_try(gpointer data)
{
    ClusterVotequorum *votequorum = data;
    Connected *connected = g_new0(Connected, 1);

    connected->votequorum = votequorum;
    votequorum->retry_source = 0;
    votequorum->connecting = g_cancellable_new();
    g_autoptr(GTask) task = g_task_new(NULL, votequorum->connecting, on_connected, votequorum);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, connected, connected_free);
    g_task_run_in_thread(task, connect_thread);
    return G_SOURCE_REMOVE;
}

static void
votequorum_try_later(ClusterVotequorum *votequorum)
{
    if (votequorum->retry_source == 0 && votequorum->connecting == NULL) {
        votequorum->retry_source = g_timeout_add(RETRY_MS, votequorum_try, votequorum);
    }
}

ClusterVotequorum *
cluster_votequorum_new(ClusterQuorumFunc changed, gpointer data)
{
    ClusterVotequorum *votequorum = g_new0(ClusterVotequorum, 1);

    votequorum->changed = changed;
    votequorum->data = data;
    votequorum_try(votequorum);
    return votequorum;
}

void
cluster_votequorum_free(ClusterVotequorum *votequorum)
{
    if (votequorum == NULL) {
        return;
    }
    close_handle(votequorum);
    g_clear_handle_id(&votequorum->retry_source, g_source_remove);
    if (votequorum->connecting != NULL) {
        g_cancellable_cancel(votequorum->connecting);
        g_clear_object(&votequorum->connecting);
    }
    g_free(votequorum);
}
