#include "storage/lock.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"

#define LOCK_DIR "/var/lock/pve-manager"
#define RETRY_MS 100

struct StorageLock {
    QFileLock *file;
    CfsClient *cfs;
    char *lease;
    CfsGeneration generation;
};

static StorageLock *
lock_file(const char *id, int wait_ms, GError **error)
{
    g_autofree char *path = g_strdup_printf(LOCK_DIR "/pve-storage-%s", id);

    if (!q_file_make_dir(LOCK_DIR, 0755, error)) {
        return NULL;
    }
    QFileLock *file = q_file_lock(path, wait_ms, error);
    if (file == NULL) {
        return NULL;
    }
    StorageLock *lock = g_new0(StorageLock, 1);
    lock->file = file;
    return lock;
}

static StorageLock *
lock_lease(CfsClient *cfs, const char *id, int wait_ms, GError **error)
{
    g_autofree char *name = g_strdup_printf("storage-%s", id);
    int64_t deadline_ms = q_clock_mono_ms() + wait_ms;
    CfsGeneration generation;

    for (;;) {
        g_autoptr(GError) busy = NULL;
        int64_t left_ms = 0;

        if (cfs_lease_take(cfs, name, &generation, &left_ms, &busy)) {
            StorageLock *lock = g_new0(StorageLock, 1);
            lock->cfs = cfs;
            lock->lease = g_steal_pointer(&name);
            lock->generation = generation;
            return lock;
        }
        if (!g_error_matches(busy, Q_ERROR, Q_ERROR_BUSY)) {
            g_propagate_prefixed_error(error, g_steal_pointer(&busy),
                                       "cfs-lock '%s' error: ", name);
            return NULL;
        }
        if (q_clock_mono_ms() >= deadline_ms) {
            q_set_error(error, Q_ERROR_BUSY, "cfs-lock '%s' error: got lock request timeout", name);
            return NULL;
        }
        g_usleep(RETRY_MS * 1000);
    }
}

StorageLock *
storage_lock(CfsClient *cfs, const QSection *section, int wait_ms, GError **error)
{
    return storage_section_is_shared(section)
               ? lock_lease(cfs, q_section_id(section), wait_ms, error)
               : lock_file(q_section_id(section), wait_ms, error);
}

void
storage_unlock(StorageLock *lock)
{
    if (lock == NULL) {
        return;
    }
    if (lock->lease != NULL) {
        g_autoptr(GError) error = NULL;

        /* It lapses by itself; until then others wait. */
        if (!cfs_lease_release(lock->cfs, lock->lease, lock->generation, &error)) {
            q_warn("releasing '%s': %s", lock->lease, error->message);
        }
    }
    q_file_unlock(lock->file);
    g_free(lock->lease);
    g_free(lock);
}
