#include "sys/process.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/file.h"

enum { OUTPUT_MAX_BYTES = 16 * 1024 * 1024, HOST_NAME_MAX_BYTES = 256 };

/* In the child, between fork and exec: own process group, so that a timeout ends helpers too. */
static void
child_setup(gpointer data)
{
    setpgid(0, 0);
}

static bool
spawn(const char *const *argv, const QRunOptions *options, bool want_out, bool want_err, pid_t *pid,
      int fds[3], GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_auto(GStrv) env = g_get_environ();
    GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD;
    bool with_input = options != NULL && options->input != NULL;

    for (int i = 0; options != NULL && options->env != NULL && options->env[i] != NULL; i++) {
        g_auto(GStrv) pair = g_strsplit(options->env[i], "=", 2);
        env = g_environ_setenv(env, pair[0], pair[1] != NULL ? pair[1] : "", TRUE);
    }
    flags |= want_err ? 0 : G_SPAWN_CHILD_INHERITS_STDERR;
    if (!g_spawn_async_with_pipes(NULL, (char **)argv, env, flags, child_setup, NULL, pid,
                                  with_input ? &fds[0] : NULL, want_out ? &fds[1] : NULL,
                                  want_err ? &fds[2] : NULL, &cause)) {
        bool missing = g_error_matches(cause, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT);
        return q_set_error(error, missing ? Q_ERROR_NOT_FOUND : Q_ERROR_IO, "cannot run '%s': %s",
                           argv[0], cause->message);
    }
    return true;
}

static void
pump_out(int *fd, GString *into)
{
    char buffer[65536];
    ssize_t got = read(*fd, buffer, sizeof buffer);

    if (got > 0) {
        size_t room = OUTPUT_MAX_BYTES - into->len;
        g_string_append_len(into, buffer, MIN((size_t)got, room));
    } else if (got == 0 || errno != EINTR) {
        close(*fd);
        *fd = -1;
    }
}

static void
pump_in(int *fd, const char **input)
{
    ssize_t sent = write(*fd, *input, strlen(*input));

    if (sent >= 0) {
        *input += sent;
    }
    if (**input == '\0' || (sent < 0 && errno != EINTR && errno != EAGAIN)) {
        close(*fd);
        *fd = -1;
    }
}

/* Until both outputs are closed. Returns false at the deadline. */
static bool
pump(int fds[3], const char *input, GString *out, GString *err, int64_t deadline_ms)
{
    while (fds[0] >= 0 || fds[1] >= 0 || fds[2] >= 0) {
        struct pollfd set[3] = { { fds[0], POLLOUT }, { fds[1], POLLIN }, { fds[2], POLLIN } };
        int64_t left = deadline_ms == 0 ? -1 : deadline_ms - q_clock_mono_ms();

        if (deadline_ms != 0 && left <= 0) {
            return false;
        }
        if (poll(set, 3, left) < 0 && errno != EINTR) {
            return false;
        }
        if (fds[0] >= 0 && set[0].revents != 0) {
            pump_in(&fds[0], &input);
        }
        if (fds[1] >= 0 && set[1].revents != 0) {
            pump_out(&fds[1], out);
        }
        if (fds[2] >= 0 && set[2].revents != 0) {
            pump_out(&fds[2], err);
        }
    }
    return true;
}

/* Reaps; -1 when the deadline passed first. */
static int
reap(pid_t pid, int64_t deadline_ms)
{
    enum { POLL_US = 2000 };
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, deadline_ms == 0 ? 0 : WNOHANG);

        if (got == pid) {
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (deadline_ms != 0 && q_clock_mono_ms() >= deadline_ms) {
            return -1;
        }
        if (got == 0) {
            g_usleep(POLL_US);
        }
    }
}

int
q_run(const char *const *argv, const QRunOptions *options, char **out, char **err, GError **error)
{
    g_autoptr(GString) out_text = g_string_new(NULL), err_text = g_string_new(NULL);
    int timeout_ms = options != NULL ? options->timeout_ms : 0;
    int64_t deadline = timeout_ms > 0 ? q_clock_mono_ms() + timeout_ms : 0;
    int fds[3] = { -1, -1, -1 };
    pid_t pid;

    if (!spawn(argv, options, out != NULL, err != NULL, &pid, fds, error)) {
        return -1;
    }
    if (fds[0] >= 0) {
        fcntl(fds[0], F_SETFL, O_NONBLOCK); /* a child that does not read must not stop us */
    }
    bool done = pump(fds, options != NULL ? options->input : NULL, out_text, err_text, deadline);
    int status = done ? reap(pid, deadline) : -1;
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (status < 0) {
        kill(-pid, SIGKILL);
        reap(pid, 0);
        q_set_error(error, Q_ERROR_TIMEOUT, "'%s' did not end within %d ms", argv[0], timeout_ms);
        return -1;
    }
    if (out != NULL) {
        *out = g_string_free(g_steal_pointer(&out_text), FALSE);
    }
    if (err != NULL) {
        *err = g_string_free(g_steal_pointer(&err_text), FALSE);
    }
    return status;
}

bool
q_run_ok(const char *const *argv, const QRunOptions *options, char **out, GError **error)
{
    g_autofree char *text = NULL, *err = NULL;
    int status = q_run(argv, options, &text, &err, error);

    if (status < 0) {
        return false;
    }
    if (status != 0) {
        char *last = g_strrstr(g_strchomp(err), "\n");

        return q_set_error(error, Q_ERROR_IO, "'%s' failed with status %d: %s", argv[0], status,
                           last != NULL ? last + 1 : err);
    }
    if (out != NULL) {
        *out = g_steal_pointer(&text);
    }
    return true;
}

/* The fields of /proc/PID/stat behind the command, which may hold blanks and parentheses. */
static bool
read_stat(pid_t pid, char *state, uint64_t *ticks)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = q_file_read(path, 4096, NULL, NULL);
    const char *fields = text != NULL ? strrchr(text, ')') : NULL;
    unsigned long long start;

    if (fields == NULL
        || sscanf(
               fields + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               state, &start)
               != 2) {
        return false;
    }
    *ticks = start;
    return true;
}

uint64_t
q_process_start_ticks(pid_t pid)
{
    uint64_t ticks = 0;
    char state;

    return read_stat(pid, &state, &ticks) ? ticks : 0;
}

bool
q_process_alive(pid_t pid, uint64_t start_ticks)
{
    uint64_t ticks;
    char state;

    return read_stat(pid, &state, &ticks) && ticks == start_ticks && state != 'Z' && state != 'X';
}

char *
q_boot_id(void)
{
    g_autofree char *kernel = q_file_read("/proc/sys/kernel/random/boot_id", 64, NULL, NULL);

    return g_strdup_printf("%s-%" G_GUINT64_FORMAT, kernel != NULL ? g_strchomp(kernel) : "unknown",
                           q_process_start_ticks(1));
}

char *
q_node_name(void)
{
    char name[HOST_NAME_MAX_BYTES] = "localhost";

    gethostname(name, sizeof name - 1);
    name[strcspn(name, ".")] = '\0';
    return g_strdup(name);
}
