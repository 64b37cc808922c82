#include "cfs/store_vfs.h"
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SECTOR_BYTES = 512, /* where the kernel does not tell */
    MEMORY_ALIGN = 4096,
    GATHER_MAX_BYTES = 1 << 20, /* more goes out before the sync */
};

typedef struct {
    sqlite3_file base; /* first: SQLite's view of us */
    int fd;            /* O_DIRECT */
    size_t sector;
    /* Gathered: bytes [start, end) of the file; start is on a sector's boundary. */
    char *buffer; /* aligned */
    size_t room;
    int64_t start, end;
    bool changed;       /* the disk does not have all of it */
    int64_t valid_end;  /* what lies behind it in the file are remains of an earlier round */
    sqlite3_file *real; /* the unix VFS's file, behind this structure */
} LogFile;

static LogFile *
log_of(sqlite3_file *file)
{
    return (LogFile *)file;
}

static int64_t
round_down(const LogFile *log, int64_t offset)
{
    return offset - offset % (int64_t)log->sector;
}

static int64_t
round_up(const LogFile *log, int64_t offset)
{
    return round_down(log, offset + (int64_t)log->sector - 1);
}

/* ------------------------------------------------------------------ gathering */

static bool
make_room(LogFile *log, size_t size)
{
    void *larger;

    if (size <= log->room) {
        return true;
    }
    size = (size + 65535) / 65536 * 65536;
    if (posix_memalign(&larger, MEMORY_ALIGN, size) != 0) {
        return false;
    }
    if (log->buffer != NULL) {
        memcpy(larger, log->buffer, log->end - log->start);
    }
    free(log->buffer);
    log->buffer = larger;
    log->room = size;
    return true;
}

static int
read_real(LogFile *log, void *data, int amount, int64_t offset)
{
    int status = log->real->pMethods->xRead(log->real, data, amount, offset);

    return status == SQLITE_IOERR_SHORT_READ ? SQLITE_OK : status; /* zeros behind the end */
}

static bool
write_direct(LogFile *log, size_t length)
{
    size_t done = 0;

    while (done < length) {
        ssize_t n = pwrite(log->fd, log->buffer + done, length - done, log->start + done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0 || n % (ssize_t)log->sector != 0) {
            return false;
        }
        done += n;
    }
    return true;
}

/* Gathered bytes to the disk's queue. The last sector stays gathered: the next frame goes into it.
 */
static int
flush_gathered(LogFile *log)
{
    if (!log->changed) {
        return SQLITE_OK;
    }
    int64_t padded = round_up(log, log->end);
    size_t gap = padded - log->end;
    if (!make_room(log, padded - log->start)) {
        return SQLITE_IOERR_NOMEM;
    }
    memset(log->buffer + (log->end - log->start), 0, gap);
    if (log->valid_end > log->end) {
        int amount = MIN(log->valid_end, padded) - log->end;
        int status = read_real(log, log->buffer + (log->end - log->start), amount, log->end);
        if (status != SQLITE_OK) {
            return status;
        }
    }
    if (!write_direct(log, padded - log->start)) {
        return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    log->changed = false;
    int64_t keep = round_down(log, log->end);
    memmove(log->buffer, log->buffer + (keep - log->start), log->end - keep);
    log->start = keep;
    return SQLITE_OK;
}

/* Begins to gather at @offset, with what its sector holds before it. */
static int
begin_at(LogFile *log, int64_t offset)
{
    int status = flush_gathered(log);

    if (status != SQLITE_OK) {
        return status;
    }
    log->start = round_down(log, offset);
    log->end = log->start;
    if (!make_room(log, log->sector)) {
        return SQLITE_IOERR_NOMEM;
    }
    status = read_real(log, log->buffer, offset - log->start, log->start);
    log->end = offset;
    return status;
}

/* ------------------------------------------------------------------ methods */

static int
log_close(sqlite3_file *file)
{
    LogFile *log = log_of(file);
    int status = flush_gathered(log);
    int closed = log->real->pMethods->xClose(log->real);

    close(log->fd);
    free(log->buffer);
    return status != SQLITE_OK ? status : closed;
}

static int
log_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset)
{
    LogFile *log = log_of(file);
    int64_t from = MAX(offset, log->start);
    int64_t to = MIN(offset + amount, log->end);

    if (from == offset && to == offset + amount) {
        memcpy(data, log->buffer + (offset - log->start), amount);
        return SQLITE_OK;
    }
    int status = log->real->pMethods->xRead(log->real, data, amount, offset);
    if (from < to) {
        memcpy((char *)data + (from - offset), log->buffer + (from - log->start), to - from);
        /* A short read is whole if the end that was missing is gathered. */
        if (status == SQLITE_IOERR_SHORT_READ && to == offset + amount) {
            status = SQLITE_OK;
        }
    }
    return status;
}

static int
log_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    LogFile *log = log_of(file);

    if (offset == 0) {
        log->valid_end = 0; /* a new header: by its salt all frames behind it are void */
    }
    if (offset < log->start || offset > log->end || log->end - log->start > GATHER_MAX_BYTES) {
        int status = begin_at(log, offset);
        if (status != SQLITE_OK) {
            return status;
        }
    }
    if (!make_room(log, offset + amount - log->start)) {
        return SQLITE_IOERR_NOMEM;
    }
    memcpy(log->buffer + (offset - log->start), data, amount);
    log->end = MAX(log->end, offset + amount);
    log->valid_end = MAX(log->valid_end, log->end);
    log->changed = true;
    return SQLITE_OK;
}

static int
log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    LogFile *log = log_of(file);
    int status = flush_gathered(log);

    if (status != SQLITE_OK) {
        return status;
    }
    log->start = log->end = 0;
    log->valid_end = MIN(log->valid_end, size);
    return log->real->pMethods->xTruncate(log->real, size);
}

static int
log_sync(sqlite3_file *file, int flags)
{
    LogFile *log = log_of(file);
    int status = flush_gathered(log);

    if (status != SQLITE_OK) {
        return status;
    }
    return fdatasync(log->fd) == 0 ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int
log_size(sqlite3_file *file, sqlite3_int64 *size)
{
    LogFile *log = log_of(file);
    int status = log->real->pMethods->xFileSize(log->real, size);

    if (status == SQLITE_OK && log->changed) {
        *size = MAX(*size, log->end);
    }
    return status;
}

/* The log is not locked, and has no shared memory: both belong to the main file. */
static int
log_lock(sqlite3_file *file, int level)
{
    return SQLITE_OK;
}

static int
log_check_lock(sqlite3_file *file, int *reserved)
{
    *reserved = 0;
    return SQLITE_OK;
}

static int
log_control(sqlite3_file *file, int op, void *argument)
{
    sqlite3_file *real = log_of(file)->real;

    return real->pMethods->xFileControl(real, op, argument);
}

static int
log_sector_size(sqlite3_file *file)
{
    sqlite3_file *real = log_of(file)->real;

    return real->pMethods->xSectorSize(real);
}

static int
log_characteristics(sqlite3_file *file)
{
    sqlite3_file *real = log_of(file)->real;

    return real->pMethods->xDeviceCharacteristics(real);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_lock,
    .xCheckReservedLock = log_check_lock,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_characteristics,
};

/* ------------------------------------------------------------------ opening */

static size_t
sector_of(int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN)
        && st.stx_dio_offset_align > 0) {
        return st.stx_dio_offset_align;
    }
    return SECTOR_BYTES;
}

static sqlite3_vfs *
parent_of(sqlite3_vfs *vfs)
{
    return vfs->pAppData;
}

/* Whether a direct write works here: some filesystems only say so when it is tried. The first
 * sector is written as it is. */
static bool
try_direct(LogFile *log)
{
    sqlite3_int64 size = 0;

    if (!make_room(log, log->sector)
        || log->real->pMethods->xFileSize(log->real, &size) != SQLITE_OK
        || read_real(log, log->buffer, log->sector, 0) != SQLITE_OK) {
        return false;
    }
    bool works = write_direct(log, log->sector);
    if (size < (int64_t)log->sector) {
        works = ftruncate(log->fd, size) == 0 && works;
    }
    log->valid_end = size;
    return works;
}

static int
open_log(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    LogFile *log = log_of(file);
    sqlite3_vfs *parent = parent_of(vfs);

    memset(log, 0, sizeof *log);
    log->real = (sqlite3_file *)(log + 1);
    int status = parent->xOpen(parent, name, log->real, flags, out);
    if (status != SQLITE_OK) {
        return status;
    }
    log->fd = open(name, O_RDWR | O_DIRECT | O_CLOEXEC);
    if (log->fd >= 0) {
        log->sector = sector_of(log->fd);
        if (try_direct(log)) {
            log->base.pMethods = &log_methods;
            return SQLITE_OK;
        }
        close(log->fd);
        free(log->buffer);
    }
    log->real->pMethods->xClose(log->real);
    return parent->xOpen(parent, name, file, flags, out);
}

static int
vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *parent = parent_of(vfs);

    file->pMethods = NULL;
    return (flags & SQLITE_OPEN_WAL) ? open_log(vfs, name, file, flags, out)
                                     : parent->xOpen(parent, name, file, flags, out);
}

/* All else is the unix VFS's. */

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    return parent_of(vfs)->xDelete(parent_of(vfs), name, sync_folder);
}

static int
vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    return parent_of(vfs)->xAccess(parent_of(vfs), name, flags, result);
}

static int
vfs_full_path(sqlite3_vfs *vfs, const char *name, int size, char *path)
{
    return parent_of(vfs)->xFullPathname(parent_of(vfs), name, size, path);
}

static int
vfs_randomness(sqlite3_vfs *vfs, int size, char *bytes)
{
    return parent_of(vfs)->xRandomness(parent_of(vfs), size, bytes);
}

static int
vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
    return parent_of(vfs)->xSleep(parent_of(vfs), microseconds);
}

static int
vfs_time(sqlite3_vfs *vfs, double *now)
{
    return parent_of(vfs)->xCurrentTime(parent_of(vfs), now);
}

static int
vfs_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    return parent_of(vfs)->xGetLastError(parent_of(vfs), size, text);
}

void
store_vfs_register(void)
{
    static sqlite3_vfs ours = {
        .iVersion = 1,
        .zName = STORE_VFS_NAME,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_randomness,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
    };

    if (sqlite3_vfs_find(STORE_VFS_NAME) == NULL) {
        sqlite3_vfs *parent = sqlite3_vfs_find(NULL);
        ours.pAppData = parent;
        ours.szOsFile = sizeof(LogFile) + parent->szOsFile;
        ours.mxPathname = parent->mxPathname;
        sqlite3_vfs_register(&ours, 0);
    }
}
