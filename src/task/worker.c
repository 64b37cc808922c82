#include "task/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cfs/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/process.h"
#include "task/list.h"
#include "task/log_priv.h"

enum { SPEC_MAX_BYTES = 4 * 1024 * 1024 };

static JsonObject *
read_spec(GError **error)
{
    g_autofree char *text = NULL;
    size_t length;

    if (lseek(STDIN_FILENO, 0, SEEK_SET) != 0) {
        q_set_error(error, Q_ERROR_INVALID,
                    "tasks are started by the daemons and commands, not by hand");
        return NULL;
    }
    text = q_file_read("/dev/stdin", SPEC_MAX_BYTES, &length, error);
    return text != NULL ? q_json_parse_object(text, length, error) : NULL;
}

/* ------------------------------------------------------------------ quorate task new */

static Upid *
own_upid(JsonObject *spec, GError **error)
{
    const char *type = q_json_string(spec, "type", "");
    const char *id = q_json_string(spec, "id", "");
    const char *user = q_json_string(spec, "user", "");

    if (!upid_type_is_valid(type) || !upid_id_is_valid(id) || *user == '\0') {
        q_set_error(error, Q_ERROR_INVALID, "task type '%s', id '%s', user '%s': malformed", type,
                    id, user);
        return NULL;
    }
    Upid *upid = g_new0(Upid, 1);
    upid->node = q_node_name();
    upid->pid = getpid();
    upid->start_ticks = q_process_start_ticks(getpid());
    upid->started_at_s = q_clock_wall_s();
    upid->type = g_strdup(type);
    upid->id = g_strdup(id);
    upid->user = g_strdup(user);
    return upid;
}

static bool
say(int fd, const char *format, const char *what)
{
    return dprintf(fd, format, what) > 0;
}

int
task_new_main(void)
{
    g_autoptr(GError) error = NULL;
    int teller = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int log = -1;

    setsid(); /* a group of its own: what stops the task stops its helpers */
    g_autoptr(JsonObject) spec = read_spec(&error);
    g_autoptr(Upid) upid = spec != NULL ? own_upid(spec, &error) : NULL;
    if (upid == NULL || !task_log_create(upid, &log, &error)) {
        say(teller, "error %s\n", error->message);
        return 1;
    }
    g_autofree char *text = upid_text(upid);
    /* A list that cannot be written does not stop the task: the log tells all. */
    task_list_add(text, NULL);

    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    say(teller, "%s\n", text);
    if (self != NULL && access(self, X_OK) == 0) {
        execl(self, "quorate", "task", "run", text, NULL);
    }
    execl("/proc/self/exe", "quorate", "task", "run", text, NULL); /* the file was replaced */
    dprintf(log, "TASK ERROR: cannot run the worker: %s\n", g_strerror(errno));
    return 1;
}

/* ------------------------------------------------------------------ quorate task run UPID */

static void
on_interrupt(int number)
{
    static const char line[] = "TASK ERROR: received interrupt\n";

    if (write(STDOUT_FILENO, line, sizeof line - 1) < 0) {
        _exit(2);
    }
    _exit(1);
}

static bool
is_own(const Upid *upid, GError **error)
{
    if (upid->pid != getpid() || upid->start_ticks != q_process_start_ticks(getpid())) {
        return q_set_error(error, Q_ERROR_INVALID, "this process is not the worker of that task");
    }
    return true;
}

static void
publish(CfsClient **cfs)
{
    if (*cfs == NULL) {
        *cfs = cfs_client_connect("quorate task", NULL);
    }
    if (*cfs != NULL) {
        task_list_publish(*cfs);
    }
}

int
task_run_main(const char *text, TaskRunFunc run)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Upid) upid = upid_parse(text, &error);

    if (upid == NULL || !is_own(upid, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 255;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, on_interrupt);
    signal(SIGINT, on_interrupt);
    signal(SIGPIPE, SIG_IGN);

    CfsClient *cfs = NULL;
    int warnings = 0;
    g_autoptr(JsonObject) spec = read_spec(&error);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    publish(&cfs);
    if (spec != NULL) {
        g_autoptr(JsonObject) none = json_object_new();
        JsonObject *arguments = q_json_object(spec, "arguments");
        TaskWork work = { .upid = upid,
                          .text = text,
                          .method = q_json_string(spec, "method", ""),
                          .arguments = arguments != NULL ? arguments : none,
                          .client = q_json_string(spec, "client", NULL) };
        bool ok = run(&work, &warnings, &error);
        if (!ok && error == NULL) {
            q_set_error(&error, Q_ERROR_INTERNAL, "failed without a reason");
        }
    }
    signal(SIGTERM, SIG_IGN); /* done: the final line is written once */
    signal(SIGINT, SIG_IGN);
    g_autofree char *final = task_log_final(error, warnings);
    fputs(final, stdout);
    fflush(stdout);
    g_strchomp(final);
    g_autofree char *status = task_status_of_line(final);
    task_list_end(text, status, NULL);
    publish(&cfs);
    cfs_client_free(cfs);
    return error != NULL;
}
