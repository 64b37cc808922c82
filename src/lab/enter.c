#include "lab/enter.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "sys/clock.h"

enum { OUTPUT_MAX_BYTES = 1024 * 1024 };

static volatile sig_atomic_t child_pid; /* for the signal handler alone */

/* What a terminal sends, it sends to the command too. */
static void
pass_on(int number, siginfo_t *info, void *context)
{
    if (child_pid > 0 && info->si_code == SI_USER) {
        kill(child_pid, number);
    }
}

/* Enters all of the host's namespaces; only children are in its PID namespace. */
static bool
enter(const Lab *lab, int node, pid_t pid, GError **error)
{
    g_autofree char *cgroup = lab_node_cgroup(lab, node);
    g_autofree char *scope = g_build_filename(cgroup, "exec", NULL);
    int fd = syscall(SYS_pidfd_open, pid, 0);

    /* Into the host's cgroup first: what runs in the host is frozen and killed with it. */
    if (fd < 0 || !lab_cgroup_make(scope, error) || !lab_cgroup_join(scope, 0, error)
        || setns(fd, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP
                         | CLONE_NEWPID)
               != 0) {
        if (error != NULL && *error == NULL) {
            q_set_error(error, Q_ERROR_UNREACHABLE, "node%d is off", node);
        }
        return false;
    }
    close(fd);
    return true;
}

static void G_GNUC_NORETURN
become(const Lab *lab, const char *const *argv, const char *folder)
{
    const char *path = g_getenv("PATH");
    g_autofree char *full = g_strdup_printf("%s:%s", lab->program_dir,
                                            path != NULL ? path : "/usr/sbin:/usr/bin:/sbin:/bin");

    setenv("PATH", full, 1);
    if (folder == NULL || chdir(folder) != 0) {
        (void)!chdir("/");
    }
    execvp(argv[0], (char **)argv);
    fprintf(stderr, "%s: %s\n", argv[0], g_strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

/* Checks and enters in a child (a process cannot leave a cgroup and mount namespace again), which
 * reports on a pipe why it could not; its own child is the command. */
static void G_GNUC_NORETURN
middle(const Lab *lab, int node, pid_t pid, const char *const *argv, int report)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_get_current_dir();
    int status;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!enter(lab, node, pid, &error)) {
        dprintf(report, "%s", error->message);
        _exit(LAB_EXIT_NO_HOST);
    }
    child_pid = fork();
    if (child_pid == 0) {
        close(report);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (const int *s = (const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0 }; *s != 0; s++) {
            signal(*s, SIG_DFL);
        }
        become(lab, argv, folder);
    }
    if (child_pid < 0) {
        dprintf(report, "node%d went off", node); /* its PID namespace takes no more processes */
        _exit(LAB_EXIT_NO_HOST);
    }
    close(report);
    while (waitpid(child_pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        _exit(128 + WTERMSIG(status));
    }
    _exit(WEXITSTATUS(status));
}

static pid_t
start(const Lab *lab, int node, const char *const *argv, int out, bool quiet, int *report,
      GError **error)
{
    pid_t host = lab_host_pid(lab, node, error);
    int pipe_fds[2];

    if (host == 0) {
        return -1;
    }
    if (lab_host_frozen(lab, node)) {
        q_set_error(error, Q_ERROR_BUSY,
                    "node%d is frozen; thaw it with: quorate-lab --lab %s thaw node%d", node,
                    lab->name, node);
        return -1;
    }
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        q_set_error_errno(error, errno, "a pipe");
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_fds[0]);
        if (out >= 0) {
            dup2(out, STDOUT_FILENO);
            dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
        }
        if (quiet) {
            dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        }
        middle(lab, node, host, argv, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    *report = pipe_fds[0];
    return pid;
}

/* After the child's end: what it had to say about the host, if anything. */
static int
finish(int status, int report, GError **error)
{
    char why[512] = "";
    ssize_t got = read(report, why, sizeof why - 1);

    close(report);
    if (got > 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "%s", why);
        return LAB_EXIT_NO_HOST;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
lab_enter_run(const Lab *lab, const char *node, const char *const *argv, GError **error)
{
    int index = lab_node_index(lab, node, error);
    int report, status = 0;
    struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_RESTART | SA_SIGINFO };
    pid_t pid;

    for (const int *s = (const int[]){ SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0 }; *s != 0; s++) {
        sigaction(*s, &action, NULL);
    }
    if (index == 0 || (pid = start(lab, index, argv, -1, false, &report, error)) < 0) {
        return LAB_EXIT_NO_HOST;
    }
    child_pid = pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return finish(status, report, error);
}

int
lab_enter_output(const Lab *lab, int node, const char *const *argv, int timeout_ms, bool quiet,
                 char **out, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int64_t deadline = q_clock_mono_ms() + timeout_ms;
    int fds[2], report, status = 0;
    char buffer[16384];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        q_set_error_errno(error, errno, "a pipe");
        return -1;
    }
    pid_t pid = start(lab, node, argv, fds[1], quiet, &report, error);
    close(fds[1]);
    while (pid > 0) {
        struct pollfd wait = { .fd = fds[0], .events = POLLIN };
        int64_t left = deadline - q_clock_mono_ms();
        ssize_t got = 0;

        if (left <= 0 || text->len > OUTPUT_MAX_BYTES || poll(&wait, 1, left) == 0) {
            kill(pid, SIGKILL); /* the command goes with it */
            q_set_error(error, Q_ERROR_TIMEOUT, "node%d: '%s' did not end within %d ms", node,
                        argv[0], timeout_ms);
            break;
        }
        if ((got = read(fds[0], buffer, sizeof buffer)) <= 0) {
            break;
        }
        g_string_append_len(text, buffer, got);
    }
    close(fds[0]);
    if (pid < 0) {
        return LAB_EXIT_NO_HOST;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (error != NULL && *error != NULL) {
        close(report);
        return -1;
    }
    *out = g_string_free(g_steal_pointer(&text), FALSE);
    return finish(status, report, error);
}
