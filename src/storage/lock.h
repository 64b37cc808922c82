#pragma once
#include "storage/core/storage_cfg.h"
#include "storage/storage.h"

/*
 * The lock of one storage: a cfs lease if it is shared, else a file of this node. It covers the
 * choice of a name and metadata, never the copying of data.
 */
typedef struct StorageLock StorageLock;

#define STORAGE_LOCK_WAIT_MS 60000

/** storage_lock: @cfs may be NULL for a storage that is not shared.
 *  Errors: Q_ERROR_BUSY "… got lock request timeout", Q_ERROR_NO_QUORUM */
StorageLock *storage_lock(CfsClient *cfs, const QSection *section, int wait_ms, GError **error);
void storage_unlock(StorageLock *lock);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageLock, storage_unlock)
