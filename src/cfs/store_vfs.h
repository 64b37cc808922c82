#pragma once

/*
 * SQLite's log (config.db-wal) written in sectors instead of pages of the kernel's cache: a commit
 * of a few hundred bytes writes a few hundred bytes, where a buffered file writes at least 4 KiB.
 * What SQLite writes is gathered and goes to the disk past the cache when SQLite asks for a sync.
 * Where that cannot be done (tmpfs), the log is an ordinary file.
 */
#define STORE_VFS_NAME "quorate"

/** store_vfs_register: any number of times, from one thread at a time. */
void store_vfs_register(void);
