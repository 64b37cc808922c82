#include "guest/launch.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include "guest/qmp.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"

#define POLL_MS 10
#define ANSWER_MS 1000
#define OUTPUT_MAX (1 << 20)

/* Standard input from nowhere, both outputs into a file that outlives the task: what QEMU says
 * later, of a failing disk perhaps, must have somewhere to go. */
static pid_t
spawn(const char *const *argv, const char *variable, const char *log_path, GError **error)
{
    g_auto(GStrv) env = g_get_environ();
    g_auto(GStrv) pair = g_strsplit(variable, "=", 2);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = -1;

    env = g_environ_setenv(env, pair[0], pair[1], TRUE);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log_path, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&files, "/");
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int reason = posix_spawnp(&pid, argv[0], &files, &attributes, (char **)argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (reason != 0) {
        q_set_error_errno(error, reason, "cannot run %s", argv[0]);
        return -1;
    }
    return pid;
}

static char *
read_output(const char *log_path)
{
    char *text = q_file_read(log_path, OUTPUT_MAX, NULL, NULL);

    return text != NULL ? g_strchomp(text) : g_strdup("");
}

static bool
ended(pid_t pid, const char *log_path, GError **error)
{
    int status;

    if (waitpid(pid, &status, WNOHANG) != pid) {
        return false;
    }
    g_autofree char *said = read_output(log_path);
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    q_set_error(error, Q_ERROR_IO, "start failed: QEMU exited with code %d%s%s", code,
                *said != '\0' ? ": " : "", said);
    return true;
}

bool
guest_launch(uint32_t vmid, const char *const *argv, const char *variable, int timeout_ms,
             char **output, GError **error)
{
    g_autofree char *log_path = g_strdup_printf(Q_GUEST_RUN_DIR "/%u.log", vmid);
    g_autofree char *socket_path = qmp_socket_path(vmid, "qmp-own");
    int64_t deadline_ms = q_clock_mono_ms() + timeout_ms;
    pid_t pid = spawn(argv, variable, log_path, error);

    if (pid < 0) {
        return q_prefix_error(error, "start failed: ");
    }
    while (!ended(pid, log_path, error)) {
        g_autoptr(Qmp) qmp =
            access(socket_path, F_OK) == 0 ? qmp_connect(vmid, ANSWER_MS, NULL) : NULL;

        if (qmp != NULL) {
            *output = read_output(log_path);
            return true;
        }
        if (q_clock_mono_ms() >= deadline_ms) {
            kill(pid, SIGKILL); /* our child, not yet waited for: nobody else has this pid */
            waitpid(pid, NULL, 0);
            return q_set_error(error, Q_ERROR_TIMEOUT,
                               "start failed: QEMU does not answer after %d s", timeout_ms / 1000);
        }
        g_usleep(POLL_MS * 1000);
    }
    return false;
}
