#pragma once
#include "cfs/core/tree.h"
#include "cfs/core/update.h"

/*
 * corosync.conf in the tree decides who may vote, so that a file that does not parse, is not newer,
 * or forgets this node never gets there. Judged against the visible version; that version becomes a
 * condition of the update, so that of two edits at once only one gets in.
 */
#define CFS_GUARDED_PATH "corosync.conf"

/**
 * cfs_guard_content:
 * @content: what @path is to hold
 * @node: this node, which must be in it
 *
 * Does nothing for other paths. Returns: false with Q_ERROR_INVALID and the reason
 */
bool cfs_guard_content(const Tree *tree, const char *path, GBytes *content, const char *node,
                       Update *update, GError **error);

/** cfs_guard_remove: a cluster does not lose its configuration by a slip; `-l` (@local) may remove
 * it. */
bool cfs_guard_remove(const char *path, bool local, GError **error);

/** cfs_guard_rename: the same for a file that is renamed to @to; it must be @from's visible
 * version. */
bool cfs_guard_rename(const Tree *tree, const char *from, const char *to, const char *node,
                      bool local, Update *update, GError **error);
