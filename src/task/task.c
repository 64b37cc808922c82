#include "task/task.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/process.h"
#include "task/list.h"
#include "task/log_priv.h"

enum { STOP_WAIT_MS = 5000, KILL_WAIT_MS = 5000, UPID_LINE_MAX = 4096 };

/* ------------------------------------------------------------------ starting */

static JsonObject *
spec_object(const TaskSpec *spec)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "type", spec->type);
    json_object_set_string_member(object, "id", spec->id != NULL ? spec->id : "");
    json_object_set_string_member(object, "user", spec->user);
    json_object_set_string_member(object, "method", spec->method);
    if (spec->arguments != NULL) {
        json_object_set_object_member(object, "arguments", json_object_ref(spec->arguments));
    }
    if (spec->client != NULL) {
        json_object_set_string_member(object, "client", spec->client);
    }
    return object;
}

/* Arguments travel in memory, never in argv, where everybody could read them. */
static int
spec_file(const TaskSpec *spec, GError **error)
{
    g_autoptr(JsonObject) object = spec_object(spec);
    g_autofree char *text = q_json_object_text(object, Q_JSON_COMPACT);
    size_t length = strlen(text);
    int fd = memfd_create("task", MFD_CLOEXEC);

    if (fd < 0 || write(fd, text, length) != (ssize_t)length) {
        q_set_error_errno(error, errno, "cannot hand over the arguments of the task");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* The command that runs tasks: beside this program (a build folder), in bin of the same prefix (a
 * daemon in libexec/quorate), else in PATH. */
static char *
quorate_program(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self != NULL ? g_path_get_dirname(self) : g_strdup("/usr/bin");
    const char *const places[] = { ".", "../../bin" };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(folder, places[i], "quorate", NULL);
        if (access(path, X_OK) == 0) {
            return g_steal_pointer(&path);
        }
    }
    return g_strdup("quorate");
}

/* Spawned through a child in between that ends at once: the worker belongs to init. */
static bool
spawn(const TaskSpec *spec, int *teller, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *program = quorate_program();
    const char *argv[] = { program, "task", "new", NULL };
    int input = spec_file(spec, error);

    if (input < 0) {
        return false;
    }
    bool ok = g_spawn_async_with_pipes_and_fds(
        NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_CLOEXEC_PIPES | G_SPAWN_STDERR_TO_DEV_NULL,
        NULL, NULL, input, -1, -1, NULL, NULL, 0, NULL, NULL, teller, NULL, &cause);
    close(input);
    if (!ok) {
        return q_set_error(error, Q_ERROR_IO, "cannot start a task: %s", cause->message);
    }
    return true;
}

/* What `task new` told: an UPID, or "error WHY". */
static char *
told_upid(const GString *told, GError **error)
{
    g_autofree char *line = g_strndup(told->str, strcspn(told->str, "\n"));

    if (g_str_has_prefix(line, "error ")) {
        q_set_error(error, Q_ERROR_IO, "cannot start a task: %s", line + strlen("error "));
        return NULL;
    }
    g_autoptr(Upid) upid = upid_parse(line, NULL);
    if (upid == NULL) {
        q_set_error(error, Q_ERROR_IO, "got no worker upid - start worker failed");
        return NULL;
    }
    return g_steal_pointer(&line);
}

/* Returns true when there is nothing more to read. */
static bool
read_told(int fd, GString *told)
{
    char buffer[1024];
    ssize_t got = read(fd, buffer, sizeof buffer);

    if (got > 0) {
        g_string_append_len(told, buffer, got);
    }
    return (got < 0 && errno != EINTR && errno != EAGAIN) || got == 0
           || memchr(told->str, '\n', told->len) != NULL || told->len > UPID_LINE_MAX;
}

char *
task_start(const TaskSpec *spec, GError **error)
{
    g_autoptr(GString) told = g_string_new(NULL);
    int64_t deadline_ms = q_clock_mono_ms() + TASK_START_MS;
    int fd;

    if (!spawn(spec, &fd, error)) {
        return NULL;
    }
    for (;;) {
        struct pollfd set = { fd, POLLIN, 0 };
        int64_t left_ms = deadline_ms - q_clock_mono_ms();
        if (left_ms <= 0) {
            break;
        }
        if (poll(&set, 1, left_ms) > 0 && read_told(fd, told)) {
            break;
        }
    }
    close(fd);
    return told_upid(told, error);
}

typedef struct {
    int fd;
    GString *told;
    guint reader, timer;
    TaskStartedFunc started;
    gpointer data;
    GError *error; /* of a start that failed before anything could be told */
} Starting;

static void
starting_end(Starting *starting)
{
    g_autoptr(GError) error = g_steal_pointer(&starting->error);
    g_autofree char *upid = error == NULL ? told_upid(starting->told, &error) : NULL;

    g_clear_handle_id(&starting->reader, g_source_remove);
    g_clear_handle_id(&starting->timer, g_source_remove);
    if (starting->fd >= 0) {
        close(starting->fd);
    }
    starting->started(upid, error, starting->data);
    g_string_free(starting->told, TRUE);
    g_free(starting);
}

static gboolean
on_told(int fd, GIOCondition condition, gpointer data)
{
    Starting *starting = data;

    if (!read_told(fd, starting->told)) {
        return G_SOURCE_CONTINUE;
    }
    starting->reader = 0;
    starting_end(starting);
    return G_SOURCE_REMOVE;
}

static gboolean
on_start_timeout(gpointer data)
{
    Starting *starting = data;

    starting->timer = 0;
    starting_end(starting);
    return G_SOURCE_REMOVE;
}

void
task_start_async(const TaskSpec *spec, TaskStartedFunc started, gpointer data)
{
    Starting *starting = g_new0(Starting, 1);

    starting->started = started;
    starting->data = data;
    starting->told = g_string_new(NULL);
    starting->fd = -1;
    if (!spawn(spec, &starting->fd, &starting->error)) {
        starting->timer = g_idle_add(on_start_timeout, starting);
        return;
    }
    starting->reader = g_unix_fd_add(starting->fd, G_IO_IN | G_IO_HUP, on_told, starting);
    starting->timer = g_timeout_add(TASK_START_MS, on_start_timeout, starting);
}

/* ------------------------------------------------------------------ watching */

typedef struct {
    char *upid;
    int fd; /* of the process; -1: it was gone already */
    TaskEndedFunc ended;
    gpointer data;
} Watching;

static void
watching_free(gpointer data)
{
    Watching *watching = data;

    if (watching->fd >= 0) {
        close(watching->fd);
    }
    g_free(watching->upid);
    g_free(watching);
}

static void
watching_tell(Watching *watching)
{
    g_autoptr(Upid) upid = upid_parse(watching->upid, NULL);
    g_autofree char *status = upid != NULL ? task_status(upid) : g_strdup("unexpected status");

    watching->ended(watching->upid, status, watching->data);
}

static gboolean
on_gone(gpointer data)
{
    watching_tell(data);
    return G_SOURCE_REMOVE;
}

static gboolean
on_pidfd(int fd, GIOCondition condition, gpointer data)
{
    watching_tell(data);
    return G_SOURCE_REMOVE;
}

/* The descriptor of exactly that process, or -1 if it is gone. */
static int
open_worker(const Upid *upid)
{
    int fd = pidfd_open(upid->pid, 0);

    if (fd >= 0 && !task_running(upid)) {
        close(fd);
        return -1;
    }
    return fd;
}

guint
task_watch(const char *text, TaskEndedFunc ended, gpointer data)
{
    Watching *watching = g_new0(Watching, 1);
    g_autoptr(Upid) upid = upid_parse(text, NULL);

    watching->upid = g_strdup(text);
    watching->ended = ended;
    watching->data = data;
    watching->fd = upid != NULL ? open_worker(upid) : -1;
    if (watching->fd < 0) {
        return g_idle_add_full(G_PRIORITY_DEFAULT, on_gone, watching, watching_free);
    }
    return g_unix_fd_add_full(G_PRIORITY_DEFAULT, watching->fd, G_IO_IN, on_pidfd, watching,
                              watching_free);
}

static bool
wait_gone(const Upid *upid, int timeout_ms)
{
    int64_t deadline_ms = q_clock_mono_ms() + timeout_ms;
    int fd = open_worker(upid);

    while (fd >= 0 && task_running(upid)) {
        struct pollfd set = { fd, POLLIN, 0 };
        int64_t left_ms = deadline_ms - q_clock_mono_ms();
        if (timeout_ms > 0 && left_ms <= 0) {
            break;
        }
        poll(&set, 1, timeout_ms > 0 ? left_ms : -1);
    }
    if (fd >= 0) {
        close(fd);
    }
    return !task_running(upid);
}

char *
task_wait(const char *text, int timeout_ms, GError **error)
{
    g_autoptr(Upid) upid = upid_parse(text, error);

    if (upid == NULL) {
        return NULL;
    }
    if (!wait_gone(upid, timeout_ms)) {
        q_set_error(error, Q_ERROR_TIMEOUT, "task %s still runs", text);
        return NULL;
    }
    return task_status(upid);
}

bool
task_running(const Upid *upid)
{
    return q_process_alive(upid->pid, upid->start_ticks);
}

/* ------------------------------------------------------------------ the end */

/* Says in the log what the worker could not say. */
static void
append_death(const char *path, bool after_newline)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    if (fd >= 0) {
        dprintf(fd, "%sTASK ERROR: worker ended without result\n", after_newline ? "" : "\n");
        close(fd);
    }
}

static bool
ends_with_newline(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char last = '\n';

    if (fd >= 0) {
        if (lseek(fd, -1, SEEK_END) >= 0 && read(fd, &last, 1) != 1) {
            last = '\n';
        }
        close(fd);
    }
    return last == '\n';
}

char *
task_status(const Upid *upid)
{
    g_autofree char *text = upid_text(upid);
    g_autofree char *path = task_log_path(text);
    g_autoptr(GError) error = NULL;
    g_autofree char *line = task_log_last_line(path, &error);
    char *status = line != NULL ? task_status_of_line(line) : NULL;

    if (status != NULL) {
        return status;
    }
    if (error != NULL) {
        return g_strdup_printf("unable to get last line from task log - %s", error->message);
    }
    if (task_running(upid)) {
        return g_strdup("unexpected status");
    }
    /* It may have written its last line between our look at the log and at the process. */
    g_autofree char *again = task_log_last_line(path, NULL);
    status = again != NULL ? task_status_of_line(again) : NULL;
    if (status == NULL) {
        append_death(path, ends_with_newline(path));
        status = g_strdup("worker ended without result");
    }
    return status;
}

bool
task_stop(const Upid *upid, GError **error)
{
    if (!task_running(upid)) {
        return true;
    }
    /* The worker leads a session, hence its group; a group of the same number is its own. */
    pid_t group = getpgid(upid->pid) == upid->pid ? -upid->pid : upid->pid;
    kill(group, SIGTERM);
    if (wait_gone(upid, STOP_WAIT_MS)) {
        return true;
    }
    kill(group, SIGKILL);
    if (wait_gone(upid, KILL_WAIT_MS)) {
        return true;
    }
    return q_set_error(error, Q_ERROR_TIMEOUT, "task of pid %d does not end", (int)upid->pid);
}
