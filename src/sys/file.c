#include "sys/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/clock.h"

enum { LOCK_POLL_MS = 20 };

static bool
write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, data, length);

        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return false;
        }
        data += written;
        length -= written;
    }
    return true;
}

static bool
fsync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return false;
    }
    /* Filesystems without folder fsync say EINVAL; there is nothing more to ask of them. */
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    close(fd);
    return ok;
}

bool
q_file_write_atomic(const char *path, const void *data, size_t length, mode_t mode, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *temp = g_strdup_printf("%s/.%s.tmp.%d", folder, name, (int)getpid());
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0) {
        return q_set_error_errno(error, errno, "cannot write '%s'", path);
    }
    /* The mode is meant as said, whatever the umask. */
    if (!write_all(fd, data, length) || fchmod(fd, mode) != 0 || fsync(fd) != 0) {
        q_set_error_errno(error, errno, "cannot write '%s'", path);
        close(fd);
        unlink(temp);
        return false;
    }
    close(fd);
    if (rename(temp, path) != 0 || !fsync_dir(folder)) {
        q_set_error_errno(error, errno, "cannot write '%s'", path);
        unlink(temp);
        return false;
    }
    return true;
}

void
q_file_forget_attempts(const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *prefix = g_strdup_printf(".%s.tmp.", name);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry;

    while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_prefix(entry, prefix)) {
            g_autofree char *attempt = g_build_filename(folder, entry, NULL);
            unlink(attempt);
        }
    }
}

char *
q_file_read(const char *path, size_t max_bytes, size_t *length, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[65536];
    ssize_t got;

    if (fd < 0) {
        q_set_error_errno(error, errno, "cannot read '%s'", path);
        return NULL;
    }
    while ((got = read(fd, buffer, sizeof buffer)) != 0) {
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            q_set_error_errno(error, errno, "cannot read '%s'", path);
            close(fd);
            return NULL;
        }
        g_string_append_len(text, buffer, got);
        if (text->len > max_bytes) {
            q_set_error(error, Q_ERROR_FULL, "'%s' is larger than %zu bytes", path, max_bytes);
            close(fd);
            return NULL;
        }
    }
    close(fd);
    if (length != NULL) {
        *length = text->len;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

bool
q_file_make_dir(const char *path, mode_t mode, GError **error)
{
    if (g_mkdir_with_parents(path, mode) != 0) {
        return q_set_error_errno(error, errno, "cannot make folder '%s'", path);
    }
    return true;
}

struct QFileLock {
    int fd;
};

QFileLock *
q_file_lock(const char *path, int wait_ms, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    int64_t deadline = q_clock_mono_ms() + wait_ms;

    if (fd < 0) {
        q_set_error_errno(error, errno, "can't open file '%s'", path);
        return NULL;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (q_clock_mono_ms() >= deadline) {
            q_set_error(error, Q_ERROR_BUSY, "can't lock file '%s' - got timeout", path);
            close(fd);
            return NULL;
        }
        g_usleep(LOCK_POLL_MS * 1000);
    }
    QFileLock *lock = g_new0(QFileLock, 1);
    lock->fd = fd;
    return lock;
}

void
q_file_unlock(QFileLock *lock)
{
    if (lock != NULL) {
        close(lock->fd);
        g_free(lock);
    }
}
