#pragma once
#include "cfs/daemon.h"

/*
 * /etc/pve: FUSE's low-level interface in the main loop. Reads are answered from the visible tree;
 * changes when the core has answered, so that nothing waits and nothing needs a lock. The kernel
 * keeps no attribute and no name: what is visible here is seen at once.
 */

/** cfs_mount_new: unmounts what a dead predecessor left, then mounts. Serves from the main loop. */
CfsMount *cfs_mount_new(CfsDaemon *daemon, const char *path, GError **error);
void cfs_mount_free(CfsMount *mount); /* unmounts; NULL is fine */
