#include "lab/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/file.h"

enum { FILE_MAX_BYTES = 1024 * 1024, FREEZE_WAIT_MS = 1000, POLL_US = 2000 };

char *
lab_cgroup_mount(void)
{
    g_autofree char *text = q_file_read("/proc/self/mounts", FILE_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 4);
        if (g_strv_length(words) == 4 && strcmp(words[2], "cgroup2") == 0) {
            return g_strdup(words[1]);
        }
    }
    return NULL;
}

static bool
write_to(const char *path, const char *name, const char *value, GError **error)
{
    g_autofree char *file = g_build_filename(path, name, NULL);
    int fd = open(file, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        q_set_error_errno(error, errno, "writing '%s' to %s", value, file);
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(fd);
    return true;
}

/* The number behind "NAME " in cgroup.events; -1 if it is not there. */
static int
event_value(const char *path, const char *name)
{
    g_autofree char *file = g_build_filename(path, "cgroup.events", NULL);
    g_autofree char *text = q_file_read(file, FILE_MAX_BYTES, NULL, NULL);
    const char *at = text != NULL ? strstr(text, name) : NULL;

    return at != NULL ? (int)strtol(at + strlen(name), NULL, 10) : -1;
}

bool
lab_cgroup_make(const char *path, GError **error)
{
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return q_set_error_errno(error, errno, "cannot make cgroup %s", path);
    }
    return true;
}

bool
lab_cgroup_join(const char *path, pid_t pid, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d", (int)pid);

    return write_to(path, "cgroup.procs", text, error);
}

bool
lab_cgroup_freeze(const char *path, bool freeze, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + FREEZE_WAIT_MS;

    if (!write_to(path, "cgroup.freeze", freeze ? "1" : "0", error)) {
        return false;
    }
    /* A process that waits in the kernel counts as frozen only when it comes back; it does nothing
     * until then, so a timeout here is no failure. */
    while (event_value(path, "frozen ") == (freeze ? 0 : 1) && q_clock_mono_ms() < deadline) {
        g_usleep(POLL_US);
    }
    return true;
}

bool
lab_cgroup_is_frozen(const char *path)
{
    g_autofree char *file = g_build_filename(path, "cgroup.freeze", NULL);
    g_autofree char *text = q_file_read(file, 16, NULL, NULL);

    return text != NULL && text[0] == '1';
}

void
lab_cgroup_kill(const char *path)
{
    if (write_to(path, "cgroup.kill", "1", NULL)) {
        return;
    }
    /* Before Linux 5.14: one by one, until a look finds none that was not there before. */
    g_autoptr(GArray) pids = lab_cgroup_pids(path);
    for (guint i = 0; i < pids->len; i++) {
        kill(g_array_index(pids, int, i), SIGKILL);
    }
}

bool
lab_cgroup_populated(const char *path)
{
    return event_value(path, "populated ") == 1;
}

bool
lab_cgroup_wait_empty(const char *path, int timeout_ms)
{
    int64_t deadline = q_clock_mono_ms() + timeout_ms;

    while (lab_cgroup_populated(path)) {
        if (q_clock_mono_ms() >= deadline) {
            return false;
        }
        g_usleep(POLL_US);
    }
    return true;
}

static void
collect(const char *path, GArray *pids)
{
    g_autofree char *file = g_build_filename(path, "cgroup.procs", NULL);
    g_autofree char *text = q_file_read(file, FILE_MAX_BYTES, NULL, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    for (char *at = text; at != NULL && *at != '\0';) {
        int pid = strtol(at, &at, 10);
        if (pid > 0) {
            g_array_append_val(pids, pid);
        }
        at += strspn(at, "\n");
    }
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR)) {
            collect(child, pids);
        }
    }
}

GArray *
lab_cgroup_pids(const char *path)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(int));

    collect(path, pids);
    return pids;
}

void
lab_cgroup_remove(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR)) {
            lab_cgroup_remove(child);
        }
    }
    rmdir(path);
}
