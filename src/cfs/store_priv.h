#pragma once
#include <sqlite3.h>
#include "cfs/store.h"

/* One open database file, without thread: what store.c and its tests share. */
typedef struct StoreFile StoreFile;

/** store_file_open: makes the tables if they are missing. Errors: Q_ERROR_IO. */
StoreFile *store_file_open(const char *path, GError **error);
void store_file_close(StoreFile *file); /* NULL is fine */
void store_file_doubt(StoreFile *file); /* after an error: closing must not tidy up any more */
bool store_file_load(StoreFile *file, CfsLoaded *loaded, GError **error);

bool store_file_begin(StoreFile *file, GError **error);
bool store_file_apply(StoreFile *file, const StoreWrite *write, GError **error);
bool store_file_commit(StoreFile *file, GError **error);
void store_file_rollback(StoreFile *file);

/**
 * store_file_replace: S16: a new file from @write (whole), fsynced, renamed to "PATH.new", the
 * folder fsynced; then the old file's log is removed and the new file renamed over @path. Whoever
 * finds a "PATH.new" calls store_file_finish().
 *
 * Returns: (transfer full): the new file, open; NULL: the old one must not be used any more
 */
StoreFile *store_file_replace(const char *path, const StoreWrite *write, GError **error);

bool store_file_finish(const char *path, GError **error);

/** store_file_keep: a copy in FOLDER/backup/, the ten newest are kept. @why: part of its name. */
bool store_file_keep(StoreFile *file, const char *why, GError **error);
