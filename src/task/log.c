#include "task/log.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/file.h"
#include "task/list.h"
#include "task/log_priv.h"
#include "task/task.h"

enum {
    LOG_MODE = 0640,
    TAIL_BYTES = 16 * 1024,
    LINE_MAX_BYTES = 64 * 1024, /* a longer line is shown cut */
    FOLLOW_POLL_MS = 1000,      /* inotify tells sooner; this is for filesystems without it */
};

/* X/UPID; X is the last digit of the time. */
char *
task_log_path(const char *upid)
{
    g_autoptr(Upid) parsed = upid_parse(upid, NULL);

    if (parsed == NULL) {
        return NULL;
    }
    return g_strdup_printf("%s/%X/%s", task_folder(), (unsigned)(parsed->started_at_s & 0xf), upid);
}

static void
give_to_group(int fd)
{
    struct group *group = getgrnam("www-data");

    /* Without that group there is nobody else to read it. */
    if (group != NULL && fchown(fd, -1, group->gr_gid) != 0) {
        return;
    }
}

bool
task_log_create(const Upid *upid, int *fd, GError **error)
{
    g_autofree char *text = upid_text(upid);
    g_autofree char *path = task_log_path(text);
    g_autofree char *folder = path != NULL ? g_path_get_dirname(path) : NULL;

    if (path == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "'%s' is no task id", text);
    }
    if (!q_file_make_dir(folder, 0755, error)) {
        return false;
    }
    int log = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, LOG_MODE);
    if (log < 0) {
        return q_set_error_errno(error, errno, "cannot make the task log '%s'", path);
    }
    give_to_group(log);
    *fd = log;
    return true;
}

/* ------------------------------------------------------------------ final line */

char *
task_status_of_line(const char *line)
{
    if (strcmp(line, "TASK OK") == 0) {
        return g_strdup("OK");
    }
    if (g_str_has_prefix(line, "TASK WARNINGS: ")) {
        return g_strdup(line + strlen("TASK "));
    }
    if (g_str_has_prefix(line, "TASK ERROR: ")) {
        return g_strdup(line + strlen("TASK ERROR: "));
    }
    return NULL;
}

char *
task_log_final(const GError *error, int warnings)
{
    if (error != NULL) {
        g_autofree char *text = g_strdup(error->message);
        g_strdelimit(g_strchomp(text), "\n\r", ' ');
        return g_strdup_printf("TASK ERROR: %s\n", text);
    }
    return warnings > 0 ? g_strdup_printf("TASK WARNINGS: %d\n", warnings) : g_strdup("TASK OK\n");
}

char *
task_log_last_line(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0) {
        q_set_error_errno(error, errno, "%s", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    off_t from = MAX(0, info.st_size - TAIL_BYTES);
    g_autofree char *tail = g_malloc0(TAIL_BYTES + 1);
    ssize_t got = pread(fd, tail, TAIL_BYTES, from);
    close(fd);
    if (got <= 0) {
        return NULL;
    }
    tail[got] = '\0';
    g_strchomp(tail);
    char *newline = strrchr(tail, '\n');
    return g_utf8_make_valid(newline != NULL ? newline + 1 : tail, -1);
}

/* ------------------------------------------------------------------ lines for the API */

static void
add_line(JsonArray *lines, int64_t number, const char *text)
{
    JsonObject *line = json_object_new();
    g_autofree char *valid = g_utf8_make_valid(text, strnlen(text, LINE_MAX_BYTES));

    json_object_set_int_member(line, "n", number);
    json_object_set_string_member(line, "t", valid);
    json_array_add_object_element(lines, line);
}

JsonArray *
task_log_lines(const char *upid, int64_t start, int64_t limit, int64_t *total)
{
    JsonArray *lines = json_array_new();
    g_autofree char *path = task_log_path(upid);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    g_autofree char *why = g_strdup_printf("unable to open file - %s", g_strerror(errno));
    char *text = NULL;
    size_t size = 0;
    ssize_t length;
    int64_t number = 0;

    while (file != NULL && (length = getline(&text, &size, file)) >= 0) {
        if (number++ < start || (limit > 0 && number > start + limit)) {
            continue;
        }
        if (length > 0 && text[length - 1] == '\n') {
            text[length - 1] = '\0';
        }
        add_line(lines, number, text);
    }
    free(text);
    if (file != NULL) {
        fclose(file);
    }
    if (number == 0) {
        add_line(lines, 1, file != NULL ? "no content" : why);
        number = 1;
    }
    *total = number;
    return lines;
}

/* ------------------------------------------------------------------ following */

static void
write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, data, length);

        if (written < 0 && errno != EINTR) {
            return; /* nobody reads any more; the task goes on */
        }
        data += written > 0 ? written : 0;
        length -= written > 0 ? written : 0;
    }
}

/* Passes on what is new in whole lines. @held: the incomplete last line, or one that may be final.
 */
static void
pass_lines(int log, int out, GString *held)
{
    char buffer[16 * 1024];
    ssize_t got;

    while ((got = read(log, buffer, sizeof buffer)) > 0) {
        g_string_append_len(held, buffer, got);
        char *newline;
        while ((newline = memchr(held->str, '\n', held->len)) != NULL) {
            size_t length = newline - held->str + 1;
            g_autofree char *line = g_strndup(held->str, length - 1);
            g_autofree char *status = task_status_of_line(line);
            if (status == NULL) {
                write_all(out, held->str, length);
            }
            g_string_erase(held, 0, length);
        }
    }
}

char *
task_log_follow(const char *upid, int fd, const volatile sig_atomic_t *stop, GError **error)
{
    g_autoptr(Upid) parsed = upid_parse(upid, error);
    g_autofree char *path = parsed != NULL ? task_log_path(upid) : NULL;
    int log = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (log < 0) {
        if (parsed != NULL) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "no such task");
        }
        return NULL;
    }
    int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int worker = pidfd_open(parsed->pid, 0);
    g_autoptr(GString) held = g_string_new(NULL);
    bool stopping = false;

    if (notify >= 0) {
        inotify_add_watch(notify, path, IN_MODIFY);
    }
    while (worker >= 0 && task_running(parsed)) {
        struct pollfd set[2] = { { worker, POLLIN, 0 }, { notify, POLLIN, 0 } };
        char events[4096];

        pass_lines(log, fd, held);
        if (stop != NULL && *stop != 0 && !stopping) {
            stopping = true;
            task_stop(parsed, NULL);
        }
        poll(set, 2, FOLLOW_POLL_MS);
        while (notify >= 0 && read(notify, events, sizeof events) > 0) {
        }
    }
    pass_lines(log, fd, held);
    write_all(fd, held->str, held->len);
    if (worker >= 0) {
        close(worker);
    }
    if (notify >= 0) {
        close(notify);
    }
    close(log);
    return task_status(parsed);
}
