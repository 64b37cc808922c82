#pragma once
#include <sys/types.h>
#include "base/error.h"

/**
 * q_file_write_atomic:
 *
 * Writes a new file beside @path (".NAME.tmp.PID"), fsyncs it, renames it over @path and fsyncs
 * the folder: after a power cut there is the old content or the new one.
 */
bool q_file_write_atomic(const char *path, const void *data, size_t length, mode_t mode,
                         GError **error);

/** q_file_forget_attempts: removes what q_file_write_atomic() of a process that was killed left
 *  beside @path. Only for who knows that nobody is writing @path now. */
void q_file_forget_attempts(const char *path);

/** q_file_read: Returns: (transfer full): the content, NUL-terminated; NULL with Q_ERROR_FULL if it
 *  is longer than @max_bytes. @length is optional. */
char *q_file_read(const char *path, size_t max_bytes, size_t *length, GError **error);

bool q_file_make_dir(const char *path, mode_t mode,
                     GError **error); /* with parents; fine if there */

typedef struct QFileLock QFileLock;

/** q_file_lock: exclusive flock on @path (made if missing). @wait_ms 0: try once.
 *  Returns: NULL with Q_ERROR_BUSY and "can't lock file 'PATH' - got timeout" */
QFileLock *q_file_lock(const char *path, int wait_ms, GError **error);
void q_file_unlock(QFileLock *lock); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QFileLock, q_file_unlock)
