#include "ha/host.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "guest/gate.h"
#include "ha/host_priv.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "sys/process.h"
#include "sys/service.h"

enum { TERMINATE_WAIT_MS = 10000, LIVE_MS = 1000 };

/* ------------------------------------------------------------------ stepping */

static void
set_timer(HaHost *host)
{
    int64_t now_ms = q_clock_boot_ms();
    int64_t wake_ms = CLAMP(host->calls.wake_ms(host->manager), now_ms + 1, now_ms + LIVE_MS);
    struct itimerspec at = { .it_value = { wake_ms / 1000, wake_ms % 1000 * 1000000 } };

    /* Absolute, on the clock that leases are measured by: a sleep of the machine does not delay it.
     */
    timerfd_settime(host->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void
step(HaHost *host)
{
    host->in_step = true;
    host->calls.step(&host->env, host->manager);
    host->in_step = false;
    set_timer(host);
    bool late = host->terminated && q_clock_boot_ms() - host->terminated_ms >= TERMINATE_WAIT_MS;
    if (host->calls.left(host->manager) || late) {
        g_main_loop_quit(host->loop);
    }
}

static gboolean
on_step(gpointer data)
{
    HaHost *host = data;

    host->step_source = 0;
    step(host);
    return G_SOURCE_REMOVE;
}

void
ha_host_step_soon(HaHost *host)
{
    if (host->loop != NULL && host->step_source == 0) {
        host->step_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_step, host, NULL);
    }
}

static gboolean
on_timer(gint fd, GIOCondition condition, gpointer data)
{
    HaHost *host = data;
    uint64_t ticks;

    if (read(fd, &ticks, sizeof ticks) > 0) {
        step(host);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
on_live(gpointer data)
{
    q_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

static gboolean
on_terminate(gpointer data)
{
    HaHost *host = data;

    if (!host->terminated) {
        host->terminated = true;
        host->terminated_ms = q_clock_boot_ms();
        host->calls.terminate(&host->env, host->manager);
        ha_host_step_soon(host);
    }
    return G_SOURCE_CONTINUE;
}

void
ha_host_run(HaHost *host, const HaManager *calls, gpointer manager)
{
    host->calls = *calls;
    host->manager = manager;
    host->loop = g_main_loop_new(NULL, FALSE);
    host->timer_source =
        g_unix_fd_add_full(G_PRIORITY_HIGH, host->timer_fd, G_IO_IN, on_timer, host, NULL);
    guint live = g_timeout_add(LIVE_MS, on_live, NULL);
    guint term = g_unix_signal_add(SIGTERM, on_terminate, host);
    guint interrupt = g_unix_signal_add(SIGINT, on_terminate, host);

    signal(SIGPIPE, SIG_IGN);
    ha_host_step_soon(host);
    q_notify("READY=1");
    g_main_loop_run(host->loop);
    g_source_remove(live);
    g_source_remove(term);
    g_source_remove(interrupt);
    g_source_remove(host->timer_source);
    if (host->step_source != 0) {
        g_source_remove(host->step_source);
        host->step_source = 0;
    }
    g_clear_pointer(&host->loop, g_main_loop_unref);
}

/* ------------------------------------------------------------------ news */

static void
on_mirror_news(gpointer data)
{
    HaHost *host = data;

    host->dirty = true;
    ha_host_settle_commits(host);
    ha_host_step_soon(host);
}

static void
on_connected(CfsClient *client, gpointer data)
{
    HaHost *host = data;

    ha_mirror_connected(host->mirror);
    ha_host_publish_refusal(host);
}

static void
on_lost(CfsClient *client, gpointer data)
{
    HaHost *host = data;

    ha_journal_line(host->journal, HA_WARN, "the connection to quorate-cfsd is lost");
    ha_mirror_lost(host->mirror);
}

static void
on_news(gpointer data)
{
    ha_host_step_soon(data);
}

static void
on_leases_connected(CfsClient *client, gpointer data)
{
    ha_host_step_soon(data); /* a renewal that could not be sent goes out now */
}

static void
on_job_done(uint64_t id, int rc, gpointer data)
{
    HaHost *host = data;

    if (id != 0 && host->loop != NULL) {
        host->calls.job_done(&host->env, id, rc, host->manager);
    }
    ha_host_step_soon(host);
}

/* ------------------------------------------------------------------ HaEnv */

static HaTime
env_now(HaEnv *env)
{
    return ha_now();
}

static HaOutcome
env_submit(HaEnv *env, const HaJob *job, int *rc)
{
    HaHost *host = (HaHost *)env;

    return ha_jobs_submit(host->jobs, job, ha_world_config(host->world, job->sid), rc);
}

static void
env_emit(HaEnv *env, const HaEvent *event)
{
    ha_journal_event(((HaHost *)env)->journal, event);
}

static void
emit_from_job(HaEvent *event, gpointer data)
{
    ha_journal_event(((HaHost *)data)->journal, event);
    ha_event_free(event);
}

HaEnv *
ha_host_env(HaHost *host)
{
    return &host->env;
}

const char *
ha_host_refusal(const HaHost *host)
{
    return host->refusal;
}

/* ------------------------------------------------------------------ life */

static void
new_local_parts(HaHost *host)
{
    static const HaJobsEvents events = { on_job_done, emit_from_job };

    host->watchdog = watchdog_client_new(Q_WATCHDOG_SOCKET, Q_RUN_DIR "/deadlines", on_news, host);
    host->end = ha_local_end_new(on_news, host);
    host->jobs = ha_jobs_new(&events, host);
    ha_jobs_adopt(host->jobs);
}

HaHost *
ha_host_new(HaHostRole role, GError **error)
{
    bool local = role == HA_HOST_LRM;
    const char *program = local ? "quorate-lrmd" : "quorate-crmd";
    g_autofree char *root = local ? gate_root(error) : NULL;

    if (local && root == NULL) {
        return NULL;
    }
    HaHost *host = g_new0(HaHost, 1);
    host->role = role;
    host->node = q_node_name();
    host->boot = q_boot_id();
    ha_timing("fast", NULL, &host->timing, NULL);
    host->profile = host->timing;
    host->env = (HaEnv){
        .node = host->node,
        .timing = &host->timing,
        .now = env_now,
        .read = ha_host_read,
        .lease_hold = ha_host_lease_hold,
        .lease_release = ha_host_lease_release,
        .guard = ha_host_guard,
        .commit = ha_host_commit,
        .submit = env_submit,
        .emit = env_emit,
    };
    g_autofree char *by = g_strdup_printf("%s/%s", host->node, local ? "lrm" : "crm");
    host->journal = ha_journal_new(by, local ? NULL : Q_STATE_DIR "/decisions");
    host->said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_queue_init(&host->commits);
    host->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    host->cfs = cfs_client_new_async(program, on_connected, on_lost, host);
    host->leases = cfs_client_new_async(program, on_leases_connected, NULL, host);
    host->mirror = ha_mirror_new(host->cfs, on_mirror_news, host);
    g_autofree char *agent = ha_agent_lease(host->node);
    g_autofree char *process = g_strdup_printf("crmd-%d", (int)getpid());
    host->own = ha_keeper_new(host->leases, local ? agent : HA_MANAGER_LEASE,
                              local ? NULL : process, on_news, host);
    host->fenced =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)ha_keeper_free);
    if (local) {
        new_local_parts(host);
    }
    return host;
}

void
ha_host_free(HaHost *host)
{
    if (host == NULL) {
        return;
    }
    /* Clients first: they answer all that is under way, to parts that must still be there. */
    cfs_client_free(host->cfs);
    cfs_client_free(host->leases);
    ha_mirror_free(host->mirror);
    ha_keeper_free(host->own);
    g_hash_table_unref(host->fenced);
    watchdog_client_free(host->watchdog);
    ha_local_end_free(host->end);
    ha_jobs_free(host->jobs);
    ha_host_drop_guests(host);
    g_clear_pointer(&host->local.running, g_hash_table_unref);
    g_clear_pointer(&host->local.busy, g_hash_table_unref);
    g_clear_pointer(&host->local.gates, g_hash_table_unref);
    g_clear_pointer(&host->world, ha_world_free);
    g_hash_table_unref(host->said);
    ha_journal_free(host->journal);
    close(host->timer_fd);
    g_free(host->refusal);
    g_free(host->device_refusal);
    g_free(host->node);
    g_free(host->boot);
    g_free(host);
}
