#pragma once
#include "cfs/core/version.h"

/*
 * The tree of files as one version of it: the accepted one, on which updates are decided, and the
 * visible one, which readers see (S13), are two Tree values that share their entries.
 * Paths are relative to the root, without leading or trailing slash; "" is the root.
 */

#define TREE_FILE_MAX (1024 * 1024)        /* bytes of one file */
#define TREE_BYTES_MAX (128 * 1024 * 1024) /* bytes of all files together */
#define TREE_ENTRIES_MAX (256 * 1024)      /* files and folders, the root not counted */
#define TREE_NAME_MAX 256                  /* bytes of one name */
#define TREE_PATH_MAX 4095                 /* bytes of a path */
#define TREE_ROOT 0                        /* inode of the root */

typedef enum { TREE_DIR = 4, TREE_FILE = 8 } TreeType; /* values of the database */

/** One row of table `tree`. Immutable; shared by reference. */
typedef struct {
    uint64_t inode;
    uint64_t parent;
    uint64_t version; /* of the tree when it last changed */
    int64_t mtime_s;
    uint32_t writer; /* node id */
    TreeType type;
    GBytes *data; /* NULL for folders, never NULL for files */
    char *name;
    Digest digest; /* of all of the above */
    int references;
} TreeEntry;

/** tree_entry_new: @data: (nullable) (transfer full): NULL for a file is an empty file */
TreeEntry *tree_entry_new(uint64_t inode, uint64_t parent, uint64_t version, uint32_t writer,
                          int64_t mtime_s, TreeType type, const char *name, GBytes *data);
TreeEntry *tree_entry_ref(TreeEntry *entry);
void tree_entry_unref(TreeEntry *entry);
size_t tree_entry_size(const TreeEntry *entry); /* bytes of content */

typedef struct Tree Tree;

Tree *tree_new(void); /* an empty root, version 0 */
Tree *tree_copy(const Tree *tree);
void tree_free(Tree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tree, tree_free)

/** tree_lookup: Returns: (transfer none): NULL if there is none. The root has an entry too. */
const TreeEntry *tree_lookup(const Tree *tree, const char *path);
const TreeEntry *tree_find(const Tree *tree, uint64_t inode);
const TreeEntry *tree_child(const Tree *tree, uint64_t parent, const char *name);

/** tree_list: Returns: (transfer container) (element-type TreeEntry): by name; NULL if no folder */
GPtrArray *tree_list(const Tree *tree, uint64_t inode);
char *tree_path(const Tree *tree, const TreeEntry *entry); /* (transfer full) */

typedef struct {
    uint64_t version; /* of the whole tree: +1 for every change (row 0 of the table) */
    uint32_t writer;  /* of the last change */
    int64_t mtime_s;  /* of the last change */
    uint64_t entries; /* without the root */
    uint64_t bytes;
    Digest digest; /* over all entries and the fields above */
} TreeFigures;
TreeFigures tree_figures(const Tree *tree);

typedef enum { TREE_QEMU, TREE_LXC, TREE_OPENVZ } TreeGuestType;
const char *tree_guest_type_name(TreeGuestType type); /* "qemu", "lxc", "openvz" */

/** A registered guest: nodes/NODE/{qemu-server,lxc,openvz}/VMID.conf */
typedef struct {
    uint32_t vmid;
    TreeGuestType type;
    const char *node;       /* borrowed from the tree, until it changes */
    const TreeEntry *entry; /* likewise */
} TreeGuest;

bool tree_guest(const Tree *tree, uint32_t vmid, TreeGuest *guest);
/** tree_guests: Returns: (transfer full) (element-type TreeGuest): by vmid */
GArray *tree_guests(const Tree *tree);
/** tree_guest_path: true if @path is a place for a guest's configuration; outs are optional */
bool tree_guest_path(const char *path, char **node, TreeGuestType *type, uint32_t *vmid);

bool tree_path_is_private(const char *path); /* priv, nodes/N/priv, and all below */
/** tree_lock_name: "NAME" if @path is priv/lock/NAME, else NULL */
const char *tree_lock_name(const char *path);
