#include "lab/daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/paths.h"

enum {
    STOP_WAIT_MS = 10000,
    RESTART_FIRST_MS = 50,
    RESTART_MAX_MS = 2000,
    LASTED_MS = 10000, /* who ran that long starts again at once */
};

/* What the unit files of the product say. */
typedef struct {
    const char *name;
    const char *argument;
    const char *needs[3]; /* files; without them it is not started */
    int watchdog_ms;      /* signs of life at least this often; 0: none asked for */
} Unit;

/* clang-format off */
static const Unit units[] = {
    { "quorate-watchdogd" },
    { "quorate-cfsd", .argument = "-f", .watchdog_ms = 2000 },
    { "corosync", .argument = "-f", .needs = { "/etc/corosync/corosync.conf", "/etc/corosync/authkey" } },
    { "quorate-lrmd" },
    { "quorate-crmd" },
    { "quorate-schedd" },
    { "quorate-apid" },
    { "quorate-proxyd" },
};
/* clang-format on */

const char *const lab_daemon_names[] = {
    "quorate-watchdogd", "quorate-cfsd", "corosync",       "quorate-lrmd", "quorate-crmd",
    "quorate-schedd",    "quorate-apid", "quorate-proxyd", NULL,
};

struct LabDaemon {
    const Unit *unit;
    char *program;
    LabDaemonState state;
    pid_t pid;
    int64_t started_ms;
    int64_t sign_ms; /* of the last WATCHDOG=1; 0: it never gave one */
    int restart_ms;  /* wait before the next start */
    guint timer;     /* of the wait before a restart, or before SIGKILL */
    LabDaemonChanged changed;
    gpointer data;
};

LabDaemon *
lab_daemon_new(const char *name, const char *program_dir, LabDaemonChanged changed, gpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (strcmp(units[i].name, name) == 0) {
            LabDaemon *daemon = g_new0(LabDaemon, 1);
            daemon->unit = &units[i];
            daemon->program = strcmp(name, "corosync") == 0
                                  ? g_find_program_in_path(name)
                                  : g_build_filename(program_dir, name, NULL);
            daemon->restart_ms = RESTART_FIRST_MS;
            daemon->changed = changed;
            daemon->data = data;
            return daemon;
        }
    }
    g_assert_not_reached();
}

void
lab_daemon_free(LabDaemon *daemon)
{
    if (daemon->timer != 0) {
        g_source_remove(daemon->timer);
    }
    g_free(daemon->program);
    g_free(daemon);
}

const char *
lab_daemon_name(const LabDaemon *daemon)
{
    return daemon->unit->name;
}

LabDaemonState
lab_daemon_state(const LabDaemon *daemon)
{
    return daemon->state;
}

pid_t
lab_daemon_pid(const LabDaemon *daemon)
{
    return daemon->pid;
}

bool
lab_daemon_can_run(const LabDaemon *daemon, GError **error)
{
    if (daemon->program == NULL || access(daemon->program, X_OK) != 0) {
        return q_set_error(error, Q_ERROR_NOT_FOUND, "there is no program '%s'",
                           daemon->program != NULL ? daemon->program : daemon->unit->name);
    }
    for (int i = 0; daemon->unit->needs[i] != NULL; i++) {
        if (access(daemon->unit->needs[i], R_OK) != 0) {
            return q_set_error(error, Q_ERROR_NOT_FOUND, "there is no %s", daemon->unit->needs[i]);
        }
    }
    return true;
}

static void
set_state(LabDaemon *daemon, LabDaemonState state, const char *why)
{
    daemon->state = state;
    if (daemon->timer != 0) {
        g_source_remove(daemon->timer);
        daemon->timer = 0;
    }
    daemon->changed(daemon, why, daemon->data);
}

/* In the child. Its cgroup is its own, as systemd's units have: gates are beside it, not in it. */
static void G_GNUC_NORETURN
become(const LabDaemon *daemon)
{
    g_autofree char *slice = g_strdup_printf("/sys/fs/cgroup/system.slice/%s", daemon->unit->name);
    g_autofree char *log = g_strdup_printf(Q_LOG_DIR "/%s.log", daemon->unit->name);
    g_autofree char *watchdog_us = g_strdup_printf("%d", daemon->unit->watchdog_ms * 1000);
    const char *argv[] = { daemon->unit->name, daemon->unit->argument, NULL };
    sigset_t none;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    lab_cgroup_make(slice, NULL);
    lab_cgroup_join(slice, 0, NULL);
    if (fd >= 0) {
        dup2(fd, STDOUT_FILENO);
        dup2(fd, STDERR_FILENO);
    }
    if (daemon->unit->watchdog_ms > 0) {
        setenv("WATCHDOG_USEC", watchdog_us, 1);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    execv(daemon->program, (char **)argv);
    _exit(127);
}

void
lab_daemon_start(LabDaemon *daemon)
{
    if (daemon->pid != 0) {
        return;
    }
    daemon->pid = fork();
    if (daemon->pid == 0) {
        become(daemon);
    }
    if (daemon->pid < 0) {
        daemon->pid = 0;
        set_state(daemon, LAB_DAEMON_STOPPED, g_strerror(errno));
        return;
    }
    daemon->started_ms = q_clock_mono_ms();
    daemon->sign_ms = 0;
    set_state(daemon, LAB_DAEMON_STARTING, NULL);
}

static gboolean
on_stop_timeout(gpointer data)
{
    LabDaemon *daemon = data;

    q_warn("%s does not end; killing it", daemon->unit->name);
    daemon->timer = 0;
    kill(daemon->pid, SIGKILL);
    return G_SOURCE_REMOVE;
}

void
lab_daemon_stop(LabDaemon *daemon)
{
    if (daemon->pid == 0) {
        set_state(daemon, LAB_DAEMON_STOPPED, NULL);
        return;
    }
    if (daemon->state != LAB_DAEMON_STOPPING) {
        set_state(daemon, LAB_DAEMON_STOPPING, NULL);
        daemon->timer = g_timeout_add(STOP_WAIT_MS, on_stop_timeout, daemon);
    }
    kill(daemon->pid, SIGTERM);
    kill(daemon->pid, SIGCONT);
}

bool
lab_daemon_signal(LabDaemon *daemon, int number, GError **error)
{
    if (daemon->pid == 0) {
        return q_set_error(error, Q_ERROR_NOT_FOUND, "%s does not run", daemon->unit->name);
    }
    kill(daemon->pid, number);
    return true;
}

void
lab_daemon_notified(LabDaemon *daemon, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        if (strcmp(lines[i], "READY=1") == 0 && daemon->state == LAB_DAEMON_STARTING) {
            set_state(daemon, LAB_DAEMON_RUNNING, NULL);
        } else if (strcmp(lines[i], "WATCHDOG=1") == 0) {
            daemon->sign_ms = q_clock_mono_ms();
        }
    }
}

static gboolean
on_restart(gpointer data)
{
    LabDaemon *daemon = data;
    g_autoptr(GError) error = NULL;

    daemon->timer = 0;
    if (lab_daemon_can_run(daemon, &error)) {
        lab_daemon_start(daemon);
    } else {
        set_state(daemon, LAB_DAEMON_STOPPED, error->message);
    }
    return G_SOURCE_REMOVE;
}

void
lab_daemon_ended(LabDaemon *daemon, int status)
{
    bool wanted = daemon->state != LAB_DAEMON_STOPPING;
    g_autofree char *why = WIFSIGNALED(status)
                               ? g_strdup_printf("ended by signal %d", WTERMSIG(status))
                               : g_strdup_printf("ended with status %d", WEXITSTATUS(status));

    daemon->pid = 0;
    if (!wanted) {
        daemon->restart_ms = RESTART_FIRST_MS;
        set_state(daemon, LAB_DAEMON_STOPPED, NULL);
        return;
    }
    if (q_clock_mono_ms() - daemon->started_ms >= LASTED_MS) {
        daemon->restart_ms = RESTART_FIRST_MS;
    }
    q_warn("%s %s; starting it again in %d ms", daemon->unit->name, why, daemon->restart_ms);
    set_state(daemon, LAB_DAEMON_WAITING, why);
    daemon->timer = g_timeout_add(daemon->restart_ms, on_restart, daemon);
    daemon->restart_ms = MIN(daemon->restart_ms * 2, RESTART_MAX_MS);
}

void
lab_daemon_look(LabDaemon *daemon, bool slept)
{
    int64_t now = q_clock_mono_ms();

    if (daemon->pid == 0 || daemon->sign_ms == 0 || daemon->unit->watchdog_ms == 0) {
        return;
    }
    if (slept) {
        daemon->sign_ms = now; /* the daemon may have stood still with us */
    } else if (now - daemon->sign_ms > daemon->unit->watchdog_ms) {
        q_warn("%s gave no sign of life for %d ms; killing it", daemon->unit->name,
               daemon->unit->watchdog_ms);
        daemon->sign_ms = 0;
        kill(daemon->pid, SIGKILL);
    }
}
