#pragma once
#include "base/wire.h"
#include "cfs/core/tree.h"

/* Changing a tree: for the core only. Nothing here checks; update_apply.c decides first. */

/** tree_put: adds @entry, or replaces the one with its inode. Its parent must be there. */
void tree_put(Tree *tree, TreeEntry *entry);
/** tree_drop: removes the entry; a folder must be empty. */
void tree_drop(Tree *tree, uint64_t inode);
void tree_set_figures(Tree *tree, uint64_t version, uint32_t writer, int64_t mtime_s);
bool tree_has_children(const Tree *tree, uint64_t inode);
uint64_t tree_guest_inode(const Tree *tree, uint32_t vmid);  /* 0: not registered */
Digest tree_folder_digest(const Tree *tree, uint64_t inode); /* over the entries directly in it */
GArray *
tree_folders(const Tree *tree);        /* (transfer full) uint64_t: inodes of all folders, sorted */
GPtrArray *tree_all(const Tree *tree); /* (transfer container) TreeEntry, by inode, no root */

/**
 * tree_load:
 * @entries: (element-type TreeEntry): in any order, without the root
 * Returns: %NULL with Q_ERROR_INVALID: no parent, a name twice, a loop, a guest id twice
 */
Tree *tree_load(GPtrArray *entries, uint64_t version, uint32_t writer, int64_t mtime_s,
                GError **error);

void tree_entry_encode(const TreeEntry *entry, GByteArray *bytes);
TreeEntry *tree_entry_decode(QReader *reader); /* NULL: malformed */
