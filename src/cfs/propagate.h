#pragma once
#include "cfs/daemon.h"

/*
 * The tree's corosync.conf to the host, where Corosync reads it: written when it is newer than the
 * host's. The node that made the change then has all nodes reload. Files and child processes are
 * the business of a helper thread: nothing here holds the main loop up.
 */

/** cfs_propagate_new: looks at once, then after cfs_propagate_visible(). @path: of the host's file
 */
CfsPropagate *cfs_propagate_new(CfsHost *host, const char *path);
void cfs_propagate_free(CfsPropagate *propagate); /* waits for what is under way; NULL is fine */

void cfs_propagate_visible(CfsPropagate *propagate, const ReplicaEffect *effect);
