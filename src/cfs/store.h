#pragma once
#include "cfs/core/replica.h"

/*
 * The database behind the tree: config.db, SQLite in WAL mode with synchronous=FULL. Table `tree`
 * has the layout that Proxmox VE's has, so that an existing database opens; ours is `quorate`. One
 * worker thread writes, in order; whatever has arrived meanwhile becomes one transaction.
 */
typedef struct CfsStore CfsStore;

typedef struct {
    bool fresh;         /* there was no database */
    GPtrArray *entries; /* TreeEntry *, without row 0 */
    GArray *rows;       /* StoreRow */
    uint64_t version;   /* of row 0 */
    uint32_t writer;
    int64_t mtime_s;
} CfsLoaded;
void cfs_loaded_free(CfsLoaded *loaded);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsLoaded, cfs_loaded_free)

/** @failed: it is not on disk, or nobody can tell. Called in the main loop, in order. */
typedef void (*CfsPersistedFunc)(uint64_t token, bool failed, gpointer data);

/**
 * cfs_store_open:
 * @folder: e.g. Q_DB_DIR; made if missing, 0750
 * @loaded: (out) (transfer full): what the database holds
 *
 * Takes the lock of the folder (10 tries, 1 s apart). A database that cannot be read is left alone.
 *
 * Errors: Q_ERROR_BUSY (another cfsd runs), Q_ERROR_IO with what to do.
 */
CfsStore *cfs_store_open(const char *folder, CfsPersistedFunc persisted, gpointer data,
                         CfsLoaded **loaded, GError **error);
void cfs_store_free(CfsStore *store); /* carries out what was handed over first; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsStore, cfs_store_free)

/** cfs_store_write: @write (transfer full) is only read by the thread, and freed in the main loop.
 */
void cfs_store_write(CfsStore *store, uint64_t token, StoreWrite *write);

/** cfs_store_error: (transfer full) (nullable): words for the last failed write */
char *cfs_store_error(CfsStore *store);
