#include "guest/process.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/process.h"

#define PROC_MAX (1 << 20)

char *
guest_pid_path(uint32_t vmid)
{
    return g_strdup_printf(Q_GUEST_RUN_DIR "/%u.pid", vmid);
}

/* Whether the command line of @pid holds "-pidfile PATH": nobody but this guest's QEMU does. */
static bool
is_qemu_of(pid_t pid, const char *pid_path)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    gsize length = 0;
    g_autofree char *words = q_file_read(path, PROC_MAX, &length, NULL);
    bool after_option = false;

    for (const char *word = words; word != NULL && word < words + length;
         word += strlen(word) + 1) {
        if (after_option && strcmp(word, pid_path) == 0) {
            return true;
        }
        after_option = strcmp(word, "-pidfile") == 0;
    }
    return false;
}

static bool
fill(pid_t pid, const char *pid_path, GuestProcess *process)
{
    uint64_t ticks = q_process_start_ticks(pid);

    if (ticks == 0 || !q_process_alive(pid, ticks) || !is_qemu_of(pid, pid_path)) {
        return false;
    }
    if (process != NULL) {
        process->pid = pid;
        process->start_ticks = ticks;
        process->uptime_s =
            (q_clock_boot_ms() - (int64_t)(ticks * 1000 / sysconf(_SC_CLK_TCK))) / 1000;
    }
    return true;
}

bool
guest_process(uint32_t vmid, GuestProcess *process)
{
    g_autofree char *path = guest_pid_path(vmid);
    g_autofree char *text = q_file_read(path, 64, NULL, NULL);
    guint64 pid;

    if (process != NULL) {
        *process = (GuestProcess){ 0 };
    }
    if (text != NULL && g_ascii_string_to_unsigned(g_strstrip(text), 10, 1, G_MAXINT, &pid, NULL)
        && fill(pid, path, process)) {
        return true;
    }
    /* The file may be lost or not yet written: the gate knows its processes. */
    g_autoptr(GArray) pids = gate_pids(vmid);
    for (guint i = 0; i < pids->len; i++) {
        if (fill(g_array_index(pids, pid_t, i), path, process)) {
            return true;
        }
    }
    return false;
}

bool
guest_running(uint32_t vmid)
{
    return guest_process(vmid, NULL);
}

char *
guest_process_start_id(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/environ", pid);
    gsize length = 0;
    g_autofree char *words = q_file_read(path, PROC_MAX, &length, NULL);

    for (const char *word = words; word != NULL && word < words + length;
         word += strlen(word) + 1) {
        if (g_str_has_prefix(word, GUEST_START_ENV "=")) {
            return g_strdup(word + strlen(GUEST_START_ENV "="));
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ ending one process */

bool
guest_process_wait(const GuestProcess *process, int wait_ms)
{
    int fd = syscall(SYS_pidfd_open, process->pid, 0);
    int64_t deadline_ms = q_clock_mono_ms() + wait_ms;
    bool gone = false;

    while (fd >= 0 && !gone) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int64_t left_ms = deadline_ms - q_clock_mono_ms();

        /* The pid may have become another's before we opened it: the ticks tell. */
        gone = !q_process_alive(process->pid, process->start_ticks);
        if (gone || left_ms <= 0) {
            break;
        }
        gone = poll(&poll_fd, 1, left_ms) > 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return gone || !q_process_alive(process->pid, process->start_ticks);
}

void
guest_process_signal(const GuestProcess *process, int number)
{
    int fd = syscall(SYS_pidfd_open, process->pid, 0);

    /* Through the descriptor, after the ticks were right: never to another process of that pid. */
    if (fd >= 0 && q_process_alive(process->pid, process->start_ticks)) {
        syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
}

void
guest_remove_run_files(uint32_t vmid)
{
    static const char *const kinds[] = { "pid", "qmp",     "qmp-own", "qmp-events", "qga",
                                         "vnc", "serial0", "serial1", "serial2",    "serial3" };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf(Q_GUEST_RUN_DIR "/%u.%s", vmid, kinds[i]);
        unlink(path);
    }
}
