#include "guest/steward.h"
#include <gio/gio.h>
#include "guest/lifecycle.h"
#include "guest/onboot.h"
#include "sys/log.h"

#define ROUND_S 60
#define SOON_MS 200 /* several guests that end at once are one look */

struct GuestSteward {
    char *program;
    GuestWatch *watch;
    GuestWatchFunc notify;
    gpointer data;
    CfsClient *cfs; /* only to hear of quorum */
    guint round_source, soon_source;
    bool busy, again; /* a look is under way; another one is wanted after it */
    int refs;         /* the daemon, and a look under way */
};

static void
steward_unref(GuestSteward *steward)
{
    if (--steward->refs == 0) {
        g_free(steward->program);
        g_free(steward);
    }
}

/* In a thread, with a connection of its own: it waits for the cluster. */
static void
reconcile(GTask *task, gpointer source, gpointer program, GCancellable *cancellable)
{
    GError *error = NULL;
    g_autoptr(CfsClient) cfs = cfs_client_connect(program, &error);

    if (cfs != NULL && guest_reconcile(cfs, NULL, &error)) {
        guest_onboot(cfs); /* after what is on record from before has been settled */
        g_task_return_boolean(task, TRUE);
    } else {
        g_task_return_error(task, error);
    }
}

static void
reconciled(GObject *source, GAsyncResult *result, gpointer data)
{
    GuestSteward *steward = data;
    g_autoptr(GError) error = NULL;

    /* A cluster that cannot be asked is no news here: the next round asks again. */
    if (!g_task_propagate_boolean(G_TASK(result), &error) && error->code != Q_ERROR_UNREACHABLE) {
        q_warn("looking after guests: %s", error->message);
    }
    steward->busy = false;
    if (steward->again && steward->watch != NULL) {
        guest_steward_look(steward);
    }
    steward_unref(steward);
}

void
guest_steward_look(GuestSteward *steward)
{
    steward->again = steward->busy;
    if (steward->busy) {
        return;
    }
    steward->busy = true;
    steward->refs++;
    g_autoptr(GTask) task = g_task_new(NULL, NULL, reconciled, steward);
    g_task_set_task_data(task, g_strdup(steward->program), g_free);
    g_task_run_in_thread(task, reconcile);
}

static gboolean
look_soon(gpointer data)
{
    GuestSteward *steward = data;

    steward->soon_source = 0;
    guest_steward_look(steward);
    return G_SOURCE_REMOVE;
}

static gboolean
look_again(gpointer data)
{
    guest_steward_look(data);
    return G_SOURCE_CONTINUE;
}

static void
on_event(uint32_t vmid, GuestWatchEvent event, gpointer data)
{
    GuestSteward *steward = data;

    if (event == GUEST_WATCH_SHUTDOWN) {
        q_info("VM %u has powered off", vmid);
    } else if (event == GUEST_WATCH_IO_ERROR) {
        q_warn("VM %u is paused by an error of its storage", vmid);
    } else if (event == GUEST_WATCH_ENDED && steward->soon_source == 0) {
        steward->soon_source = g_timeout_add(SOON_MS, look_soon, steward);
    }
    if (steward->notify != NULL) {
        steward->notify(vmid, event, steward->data);
    }
}

/* A new epoch: what is on record may have changed without us. */
static void
on_cluster(CfsClient *client, JsonObject *message, gpointer data)
{
    if (message == NULL || q_json_bool(message, "quorate", false)
        || q_json_bool(message, "reread", false)) {
        guest_steward_look(data);
    }
}

static void
on_connected(CfsClient *client, gpointer data)
{
    guest_steward_look(data);
}

GuestSteward *
guest_steward_new(const char *program, GuestWatchFunc notify, gpointer data)
{
    GuestSteward *steward = g_new0(GuestSteward, 1);

    steward->program = g_strdup(program);
    steward->notify = notify;
    steward->data = data;
    steward->refs = 1;
    static const char *const no_prefixes[] = { NULL };
    steward->watch = guest_watch_new(on_event, steward);
    steward->cfs = cfs_client_new_async(program, on_connected, NULL, steward);
    cfs_client_watch(steward->cfs, no_prefixes, NULL, on_cluster, steward);
    steward->round_source = g_timeout_add_seconds(ROUND_S, look_again, steward);
    return steward;
}

void
guest_steward_free(GuestSteward *steward)
{
    if (steward != NULL) {
        g_clear_handle_id(&steward->round_source, g_source_remove);
        g_clear_handle_id(&steward->soon_source, g_source_remove);
        g_clear_pointer(&steward->watch, guest_watch_free);
        g_clear_pointer(&steward->cfs, cfs_client_free);
        steward_unref(steward);
    }
}
