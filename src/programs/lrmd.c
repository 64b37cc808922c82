/* quorate-lrmd: the local resource manager; holds this node's lease and ends its guests in time. */
#include <stdlib.h>
#include "ha/core/lrm.h"
#include "ha/host.h"
#include "ha/lrm_socket.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "sys/realtime.h"

enum { PRIORITY = 70 };

static void
step(HaEnv *env, gpointer lrm)
{
    lrm_step(lrm, env);
}

static int64_t
wake_ms(gpointer lrm)
{
    return lrm_wake_ms(lrm);
}

static void
committed(HaEnv *env, uint64_t id, const GError *error, gpointer lrm)
{
    lrm_committed(lrm, env, id, error);
}

static void
job_done(HaEnv *env, uint64_t id, int rc, gpointer lrm)
{
    lrm_job_done(lrm, env, id, rc);
}

static void
terminate(HaEnv *env, gpointer lrm)
{
    lrm_shutdown(lrm, env, HA_SHUTDOWN_DAEMON);
}

static bool
left(gpointer lrm)
{
    return lrm_left(lrm);
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
    if (!q_file_make_dir(Q_RUN_DIR, 0750, &error)) {
        q_err("cannot start: %s", error->message);
        return EXIT_FAILURE;
    }
    g_autoptr(QFileLock) lock = q_file_lock(Q_RUN_DIR "/lrmd.lock", 0, &error);
    HaHost *host = lock != NULL ? ha_host_new(HA_HOST_LRM, &error) : NULL;
    if (host == NULL) {
        q_err("cannot start: %s", error->message);
        return EXIT_FAILURE;
    }
    q_realtime_enter(PRIORITY);
    Lrm *lrm = lrm_new(ha_host_env(host));
    LrmSocket *socket = lrm_socket_new(Q_LRM_SOCKET, host, lrm, &error);
    if (socket == NULL) {
        q_err("%s", error->message);
        return EXIT_FAILURE;
    }
    ha_host_run(host, &calls, lrm);
    lrm_socket_free(socket);
    ha_host_free(host);
    lrm_free(lrm);
    return EXIT_SUCCESS;
}
