#include "lab/init.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "lab/daemon.h"
#include "lab/init_priv.h"
#include "lab/socket.h"
#include "sys/clock.h"
#include "sys/log.h"

#define NOTIFY_SOCKET "/run/notify"
#define EXITS_SOCKET "/run/lab/exits"

enum {
    READY_WAIT_MS = 5000, /* then those that stand behind it in the order start all the same */
    LOOK_MS = 200,
    SLEPT_MS = 1000, /* a look that comes that late: we were stopped */
    MESSAGE_MAX_BYTES = 4096,
};

LabDaemon *
lab_init_find(LabInit *init, const char *name)
{
    for (guint i = 0; i < init->daemons->len; i++) {
        if (strcmp(lab_daemon_name(init->daemons->pdata[i]), name) == 0) {
            return init->daemons->pdata[i];
        }
    }
    return NULL;
}

static void start_next(LabInit *init);

static gboolean
on_ready_timeout(gpointer data)
{
    LabInit *init = data;
    LabDaemon *daemon = init->daemons->pdata[init->next - 1];

    q_warn("%s did not report ready within %d ms", lab_daemon_name(daemon), READY_WAIT_MS);
    g_string_append_printf(init->late, " %s", lab_daemon_name(daemon));
    init->ready_timer = 0;
    start_next(init);
    return G_SOURCE_REMOVE;
}

/* The boot: each daemon that can run, when the one before it is ready. */
static void
start_next(LabInit *init)
{
    while (init->next < init->daemons->len && !init->ending) {
        LabDaemon *daemon = init->daemons->pdata[init->next++];

        if (lab_daemon_can_run(daemon, NULL)) {
            init->ready_timer = g_timeout_add(READY_WAIT_MS, on_ready_timeout, init);
            lab_daemon_start(daemon);
            return;
        }
    }
    lab_init_answer_boot(init);
}

static void
on_changed(LabDaemon *daemon, const char *why, gpointer data)
{
    LabInit *init = data;
    LabDaemonState state = lab_daemon_state(daemon);

    lab_init_answer_waiting(init, daemon, why);
    if (init->ready_timer != 0 && daemon == init->daemons->pdata[init->next - 1]
        && (state == LAB_DAEMON_RUNNING || state == LAB_DAEMON_STOPPED)) {
        g_source_remove(init->ready_timer);
        init->ready_timer = 0;
        start_next(init);
    }
    lab_init_shutdown_step(init);
}

static gboolean
on_look(gpointer data)
{
    LabInit *init = data;
    int64_t now = q_clock_mono_ms();

    for (guint i = 0; i < init->daemons->len; i++) {
        lab_daemon_look(init->daemons->pdata[i], now - init->looked_ms > SLEPT_MS);
    }
    init->looked_ms = now;
    return G_SOURCE_CONTINUE;
}

static gboolean
on_notify(int fd, GIOCondition condition, gpointer data)
{
    LabInit *init = data;
    char text[MESSAGE_MAX_BYTES], control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec part = { text, sizeof text - 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    for (;;) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *header = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
        struct ucred who;

        if (got < 0) {
            return G_SOURCE_CONTINUE;
        }
        if (header == NULL || header->cmsg_type != SCM_CREDENTIALS) {
            continue;
        }
        text[got] = '\0';
        memcpy(&who, CMSG_DATA(header), sizeof who);
        for (guint i = 0; i < init->daemons->len; i++) {
            if (lab_daemon_pid(init->daemons->pdata[i]) == who.pid) {
                lab_daemon_notified(init->daemons->pdata[i], text);
            }
        }
    }
}

/* The machine's side keeps the history of guest processes: it is told how orphans ended. */
static void
report_exit(LabInit *init, pid_t pid, int status)
{
    g_autofree char *text = g_strdup_printf("%d %d", (int)pid, status);

    if (init->exits < 0) {
        init->exits = lab_socket_connect(EXITS_SOCKET, SOCK_DGRAM, NULL);
    }
    if (init->exits >= 0
        && send(init->exits, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        close(init->exits);
        init->exits = -1;
    }
}

static gboolean
on_child(int fd, GIOCondition condition, gpointer data)
{
    LabInit *init = data;
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;

    while (read(fd, &ignored, sizeof ignored) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        LabDaemon *daemon = NULL;
        for (guint i = 0; i < init->daemons->len && daemon == NULL; i++) {
            if (lab_daemon_pid(init->daemons->pdata[i]) == pid) {
                daemon = init->daemons->pdata[i];
            }
        }
        if (daemon != NULL) {
            lab_daemon_ended(daemon, status);
        } else {
            report_exit(init, pid, status);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void
clean_environment(const char *program_dir)
{
    static const char *const kept[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "G_DEBUG",
                                        "G_MESSAGES_DEBUG" };
    g_autofree char *path = g_strdup_printf("PATH=%s:/usr/local/sbin:/usr/local/bin:/usr/sbin:"
                                            "/usr/bin:/sbin:/bin",
                                            program_dir);
    g_autoptr(GPtrArray) keep = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++) {
        if (g_getenv(kept[i]) != NULL) {
            g_ptr_array_add(keep, g_strdup_printf("%s=%s", kept[i], g_getenv(kept[i])));
        }
    }
    clearenv();
    putenv(g_strdup(path));
    setenv("HOME", "/root", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("NOTIFY_SOCKET", NOTIFY_SOCKET, 1);
    for (guint i = 0; i < keep->len; i++) {
        putenv(g_strdup(keep->pdata[i]));
    }
}

static bool
listen_all(LabInit *init, GError **error)
{
    static const char scope[] = "/sys/fs/cgroup/init.scope";
    int notify, requests, one = 1;

    if (!lab_cgroup_make(scope, error) || !lab_cgroup_join(scope, 0, error)
        || !lab_cgroup_make("/sys/fs/cgroup/system.slice", error)
        || (notify = lab_socket_listen(NOTIFY_SOCKET, SOCK_DGRAM, error)) < 0
        || (requests = lab_socket_listen("/run/lab/init", SOCK_SEQPACKET, error)) < 0) {
        return false;
    }
    setsockopt(notify, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    chmod(NOTIFY_SOCKET, 0666); /* proxyd is not root */
    chmod("/run/lab/init", 0600);
    g_unix_fd_add_full(G_PRIORITY_HIGH, notify, G_IO_IN, on_notify, init, NULL);
    g_unix_fd_add(requests, G_IO_IN, lab_init_on_request, init);
    return true;
}

int
lab_init_main(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *program_dir = g_path_get_dirname(program);
    LabInit *init = g_new0(LabInit, 1);
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    clean_environment(program_dir);
    q_log_init("supervisor");
    init->exits = -1;
    init->late = g_string_new(NULL);
    init->waiting = g_ptr_array_new();
    init->loop = g_main_loop_new(NULL, FALSE);
    init->looked_ms = q_clock_mono_ms();
    init->daemons = g_ptr_array_new();
    for (int i = 0; lab_daemon_names[i] != NULL; i++) {
        g_ptr_array_add(init->daemons,
                        lab_daemon_new(lab_daemon_names[i], program_dir, on_changed, init));
    }
    if (!listen_all(init, &error)) {
        q_err("%s", error->message);
        return 1;
    }
    g_unix_fd_add(signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC), G_IO_IN, on_child, init);
    g_timeout_add(LOOK_MS, on_look, init);
    start_next(init);
    g_main_loop_run(init->loop);
    return init->reboot ? LAB_INIT_REBOOT : LAB_INIT_OFF;
}
