/* quorate-lrmd: the local resource manager; holds this node's lease and ends its guests in time. */
#include <stdlib.h>
#include "guest/steward.h"
#include "ha/core/lrm.h"
#include "ha/host.h"
#include "ha/lrm_socket.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "sys/realtime.h"

enum { PRIORITY = 70, LOCK_WAIT_MS = 2000 };

typedef struct {
    Lrm *lrm;
    LrmSocket *socket;
    bool terminated;
} Daemon;

static void
step(HaEnv *env, gpointer data)
{
    Daemon *daemon = data;

    if (!lrm_left(daemon->lrm)) {
        lrm_step(daemon->lrm, env);
    }
    if (lrm_left(daemon->lrm)) {
        lrm_socket_left(daemon->socket);
    }
}

static int64_t
wake_ms(gpointer data)
{
    Daemon *daemon = data;

    return lrm_left(daemon->lrm) ? G_MAXINT64 : lrm_wake_ms(daemon->lrm);
}

static void
committed(HaEnv *env, uint64_t id, const GError *error, gpointer data)
{
    lrm_committed(((Daemon *)data)->lrm, env, id, error);
}

static void
job_done(HaEnv *env, uint64_t id, int rc, gpointer data)
{
    lrm_job_done(((Daemon *)data)->lrm, env, id, rc);
}

static void
terminate(HaEnv *env, gpointer data)
{
    Daemon *daemon = data;

    daemon->terminated = true;
    lrm_shutdown(daemon->lrm, env, HA_SHUTDOWN_DAEMON);
}

/* A node that goes down keeps its local manager, idle, to the end: one that exited would be started
 * again, and take the lease. */
static bool
left(gpointer data)
{
    Daemon *daemon = data;

    return daemon->terminated && lrm_left(daemon->lrm);
}

int
main(void)
{
    static const HaManager calls = {
        .step = step,
        .wake_ms = wake_ms,
        .committed = committed,
        .job_done = job_done,
        .terminate = terminate,
        .left = left,
    };
    g_autoptr(GError) error = NULL;

    q_log_init("quorate-lrmd");
    g_autoptr(QFileLock) lock = q_file_make_dir(Q_RUN_DIR, 0750, &error)
                                    ? q_file_lock(Q_RUN_DIR "/lrmd.lock", LOCK_WAIT_MS, &error)
                                    : NULL;
    HaHost *host = lock != NULL ? ha_host_new(HA_HOST_LRM, &error) : NULL;
    if (host == NULL) {
        q_err("cannot start: %s", error->message);
        return EXIT_FAILURE;
    }
    q_realtime_enter(PRIORITY);
    Daemon daemon = { .lrm = lrm_new(ha_host_env(host)) };
    daemon.socket = lrm_socket_new(Q_LRM_SOCKET, host, daemon.lrm, &error);
    if (daemon.socket == NULL) {
        q_err("%s", error->message);
        return EXIT_FAILURE;
    }
    /* Guests that nobody put under HA are looked after as well. */
    GuestSteward *steward = guest_steward_new("quorate-lrmd", NULL, NULL);
    ha_host_run(host, &calls, &daemon);
    guest_steward_free(steward);
    lrm_socket_free(daemon.socket);
    ha_host_free(host);
    lrm_free(daemon.lrm);
    return EXIT_SUCCESS;
}
