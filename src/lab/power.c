#include "lab/power.h"
#include <inttypes.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "lab/init.h"
#include "lab/net.h"
#include "lab/watchdog.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { EMPTY_POLL_MS = 5, STUCK_MS = 5000 };

typedef struct {
    LabPower *power;
    int node;
    LabPowerState state;
    pid_t pid;          /* pid 1, when on */
    pid_t helper;       /* while booting */
    GString *report;    /* of the helper */
    int64_t boot_at_ms; /* while dying: -1 stays off; else the boot comes that late */
    int64_t dying_ms;   /* since */
    guint timer;        /* until the cgroup is empty, or until the boot */
    char *why;
    char *cgroup;
    LabWatchdog *watchdog;
} Host;

struct LabPower {
    const Lab *lab;
    int control; /* netlink, in the bridges' namespace */
    Host hosts[LAB_NODES_MAX + 1];
    void (*changed)(int node, gpointer data);
    gpointer data;
};

LabPowerState
lab_power_state(const LabPower *power, int node)
{
    return power->hosts[node].state;
}

const char *
lab_power_why(const LabPower *power, int node)
{
    return power->hosts[node].why;
}

static void
set_state(Host *host, LabPowerState state)
{
    host->state = state;
    host->power->changed(host->node, host->power->data);
}

static gboolean
on_boot_time(gpointer data)
{
    Host *host = data;

    host->timer = 0;
    lab_power_on(host->power, host->node);
    return G_SOURCE_REMOVE;
}

static void
now_off(Host *host)
{
    g_autofree char *pid_file = lab_node_path(host->power->lab, host->node, "pid");

    unlink(pid_file);
    lab_cgroup_remove(host->cgroup);
    host->pid = host->helper = 0;
    if (host->boot_at_ms >= 0) {
        int64_t wait = MAX(host->boot_at_ms - q_clock_mono_ms(), 0);
        host->timer = g_timeout_add(wait, on_boot_time, host);
    }
    q_info("[%" PRId64 "] node%d is off", q_clock_mono_ms(), host->node);
    set_state(host, LAB_OFF);
}

static gboolean
on_empty_poll(gpointer data)
{
    Host *host = data;

    if (lab_cgroup_populated(host->cgroup)) {
        if (q_clock_mono_ms() - host->dying_ms > STUCK_MS) {
            host->dying_ms = q_clock_mono_ms();
            q_warn("node%d: killed processes are still there", host->node);
        }
        lab_cgroup_kill(host->cgroup); /* a process may have joined meanwhile */
        return G_SOURCE_CONTINUE;
    }
    host->timer = 0;
    now_off(host);
    return G_SOURCE_REMOVE;
}

void
lab_power_off(LabPower *power, int node, int64_t boot_after_ms)
{
    Host *host = &power->hosts[node];

    if (host->state == LAB_ON || host->state == LAB_BOOTING) {
        lab_net_ports_down(power->control, node);
        if (host->pid > 0) {
            kill(host->pid, SIGKILL);
        }
        lab_cgroup_kill(host->cgroup);
    }
    host->boot_at_ms = boot_after_ms < 0 ? -1 : q_clock_mono_ms() + boot_after_ms;
    lab_watchdog_reset(host->watchdog);
    if (host->state == LAB_DYING) {
        return; /* only what comes after it has changed */
    }
    if (host->timer != 0) {
        g_source_remove(host->timer);
        host->timer = 0;
    }
    if (host->state == LAB_OFF) {
        now_off(host);
        return;
    }
    q_info("[%" PRId64 "] node%d: power off", q_clock_mono_ms(), node);
    host->dying_ms = q_clock_mono_ms();
    host->timer = g_timeout_add_full(G_PRIORITY_HIGH, EMPTY_POLL_MS, on_empty_poll, host, NULL);
    set_state(host, LAB_DYING);
}

/* All that the helper says: "PID" of the host's pid 1, or "error WHY". */
static gboolean
on_helper(int fd, GIOCondition condition, gpointer data)
{
    Host *host = data;
    char text[1024];
    ssize_t got = read(fd, text, sizeof text);

    if (got > 0) {
        g_string_append_len(host->report, text, got);
        return G_SOURCE_CONTINUE;
    }
    close(fd);
    host->helper = 0;
    if (host->state != LAB_BOOTING) {
        return G_SOURCE_REMOVE; /* switched off meanwhile */
    }
    host->pid = strtol(host->report->str, NULL, 10);
    if (host->pid > 0) {
        q_info("[%" PRId64 "] node%d is on, pid 1 is %d", q_clock_mono_ms(), host->node,
               (int)host->pid);
        set_state(host, LAB_ON);
        if (kill(host->pid, 0) != 0) { /* reaped before we knew whose it was */
            lab_power_off(host->power, host->node, -1);
        }
    } else {
        host->why = g_strdup(host->report->len > 0 ? host->report->str : "its boot was killed");
        q_warn("node%d: %s", host->node, host->why);
        lab_power_off(host->power, host->node, -1);
    }
    return G_SOURCE_REMOVE;
}

void
lab_power_on(LabPower *power, int node)
{
    Host *host = &power->hosts[node];
    g_autofree char *name = g_strdup_printf("node%d", node);
    int report[2];

    if (host->state == LAB_DYING) {
        host->boot_at_ms = q_clock_mono_ms();
        return;
    }
    if (host->state != LAB_OFF || pipe2(report, O_CLOEXEC) != 0) {
        return;
    }
    if (host->timer != 0) {
        g_source_remove(host->timer);
        host->timer = 0;
    }
    g_clear_pointer(&host->why, g_free);
    g_string_truncate(host->report, 0);
    host->helper = fork();
    if (host->helper == 0) {
        dup2(report[1], STDOUT_FILENO);
        execl(power->lab->program, "quorate-lab", "--lab", power->lab->name, "boot", name, NULL);
        _exit(127);
    }
    close(report[1]);
    g_unix_fd_add_full(G_PRIORITY_HIGH, report[0], G_IO_IN | G_IO_HUP, on_helper, host, NULL);
    set_state(host, LAB_BOOTING);
}

void
lab_power_reaped(LabPower *power, pid_t pid, int status)
{
    for (int i = 1; i <= power->lab->nodes; i++) {
        Host *host = &power->hosts[i];

        if (host->pid != pid || host->state != LAB_ON) {
            continue;
        }
        /* reboot(2) in a PID namespace ends its pid 1 by SIGHUP (restart) or SIGINT (halt). */
        bool again =
            WIFEXITED(status) ? WEXITSTATUS(status) == LAB_INIT_REBOOT : WTERMSIG(status) == SIGHUP;
        q_info("[%" PRId64 "] node%d: pid 1 ended, status 0x%x", q_clock_mono_ms(), i, status);
        lab_power_off(power, i, again ? power->lab->boot_delay_ms : -1);
    }
}

static void
on_expired(gpointer data)
{
    Host *host = data;

    q_warn("[%" PRId64 "] node%d: its watchdog expired", q_clock_mono_ms(), host->node);
    lab_power_off(host->power, host->node, host->power->lab->boot_delay_ms);
}

LabPower *
lab_power_new(const Lab *lab, void (*changed)(int node, gpointer data), gpointer data,
              GError **error)
{
    LabPower *power = g_new0(LabPower, 1);

    power->lab = lab;
    power->changed = changed;
    power->data = data;
    power->control = lab_net_control(lab, error);
    if (power->control < 0) {
        return NULL;
    }
    for (int i = 1; i <= lab->nodes; i++) {
        Host *host = &power->hosts[i];
        g_autofree char *path = lab_node_path(lab, i, "lab/watchdog");

        host->power = power;
        host->node = i;
        host->report = g_string_new(NULL);
        host->boot_at_ms = -1;
        host->cgroup = lab_node_cgroup(lab, i);
        host->watchdog = lab_watchdog_new(path, on_expired, host, error);
        if (host->watchdog == NULL) {
            return NULL;
        }
    }
    return power;
}
