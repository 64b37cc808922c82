/* quorate-crmd: the cluster resource manager; one of the cluster's is master, by lease. */
#include <stdlib.h>
#include "ha/core/crm.h"
#include "ha/host.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"

enum { LOCK_WAIT_MS = 2000 };

static void
step(HaEnv *env, gpointer crm)
{
    crm_step(crm, env);
}

static int64_t
wake_ms(gpointer crm)
{
    return crm_wake_ms(crm);
}

static void
committed(HaEnv *env, uint64_t id, const GError *error, gpointer crm)
{
    crm_committed(crm, env, id, error);
}

static void
terminate(HaEnv *env, gpointer crm)
{
    crm_shutdown(crm, env);
}

static bool
left(gpointer crm)
{
    return crm_left(crm);
}

int
main(void)
{
    static const HaManager calls = {
        .step = step,
        .wake_ms = wake_ms,
        .committed = committed,
        .terminate = terminate,
        .left = left,
    };
    g_autoptr(GError) error = NULL;

    q_log_init("quorate-crmd");
    /* Two managers of one boot would each take the other's lease (safety.md S18). */
    g_autoptr(QFileLock) lock = q_file_make_dir(Q_RUN_DIR, 0750, &error)
                                    ? q_file_lock(Q_RUN_DIR "/crmd.lock", LOCK_WAIT_MS, &error)
                                    : NULL;
    HaHost *host = lock != NULL ? ha_host_new(HA_HOST_CRM, &error) : NULL;
    if (host == NULL) {
        q_err("cannot start: %s", error->message);
        return EXIT_FAILURE;
    }
    Crm *crm = crm_new(ha_host_env(host));
    ha_host_run(host, &calls, crm);
    ha_host_free(host);
    crm_free(crm);
    return EXIT_SUCCESS;
}
