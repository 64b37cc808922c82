#include "cfs/mount_priv.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "sys/clock.h"

/* Looking: names, attributes, folders. All of it from the visible tree, at once. */

enum { BLOCK_BYTES = 4096 };

/* ------------------------------------------------------------------ attributes */

/* Nobody stores modes: where an entry stands decides (cfs.md of the specification, section 3). */
mode_t
mount_rule_mode(const CfsMount *mount, const TreeEntry *entry)
{
    g_autofree char *path = tree_path(mount_tree(mount), entry);
    bool private = tree_path_is_private(path);

    if (entry->type == TREE_DIR) {
        return private ? 0700 : 0755;
    }
    return private ? 0600 : 0640;
}

/* Clients tell the lack of quorum by the missing write bits. */
static mode_t
without_writes(const CfsMount *mount, mode_t mode)
{
    return cfs_host_writable(mount->daemon->host) ? mode : mode & ~0222;
}

static void
set_times(struct stat *attr, int64_t time_s)
{
    attr->st_atim.tv_sec = attr->st_mtim.tv_sec = attr->st_ctim.tv_sec = time_s;
}

void
mount_attr(CfsMount *mount, const TreeEntry *entry, pid_t pid, struct stat *attr)
{
    uint64_t size = tree_entry_size(entry);

    *attr = (struct stat){ .st_ino = mount_ino(entry->inode), .st_gid = mount->gid };
    attr->st_mode = without_writes(mount, mount_rule_mode(mount, entry));
    if (entry->type == TREE_DIR) {
        attr->st_mode |= S_IFDIR;
        attr->st_nlink = 2;
    } else {
        attr->st_mode |= S_IFREG;
        attr->st_nlink = 1;
        if (pid != 0) {
            writing_length(mount, entry->inode, pid, &size);
        }
    }
    attr->st_size = size;
    attr->st_blksize = BLOCK_BYTES;
    attr->st_blocks = (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    set_times(attr, entry->mtime_s);
}

void
mount_virtual_attr(CfsMount *mount, int index, struct stat *attr)
{
    const VirtualEntry *entry = cfs_virtual_entry(index);
    g_autofree char *text = cfs_virtual_text(mount->daemon->virtual, index);

    *attr = (struct stat){ .st_ino = MOUNT_VIRTUAL_BASE + index,
                           .st_gid = mount->gid,
                           .st_nlink = 1,
                           .st_size = strlen(text),
                           .st_blksize = BLOCK_BYTES };
    attr->st_mode =
        without_writes(mount, entry->mode) | (entry->kind == VIRTUAL_LINK ? S_IFLNK : S_IFREG);
    set_times(attr, q_clock_wall_s());
}

static void
reply_tree_entry(fuse_req_t req, const TreeEntry *entry)
{
    struct fuse_entry_param param = { .ino = mount_ino(entry->inode) };

    mount_attr(mount_of(req), entry, fuse_req_ctx(req)->pid, &param.attr);
    fuse_reply_entry(req, &param);
}

void
mount_reply_entry(fuse_req_t req, const char *path)
{
    const TreeEntry *entry = tree_lookup(mount_tree(mount_of(req)), path);

    if (entry == NULL) {
        fuse_reply_err(req, ENOENT);
    } else {
        reply_tree_entry(req, entry);
    }
}

void
mount_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    CfsMount *mount = mount_of(req);
    int index = parent == FUSE_ROOT_ID ? cfs_virtual_find(name) : -1;

    if (index >= 0) {
        struct fuse_entry_param param = { .ino = MOUNT_VIRTUAL_BASE + index };
        mount_virtual_attr(mount, index, &param.attr);
        fuse_reply_entry(req, &param);
        return;
    }
    if (strlen(name) > TREE_NAME_MAX) {
        fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    const TreeEntry *folder = mount_entry(mount, parent);
    const TreeEntry *entry =
        folder != NULL ? tree_child(mount_tree(mount), folder->inode, name) : NULL;
    if (entry == NULL) {
        fuse_reply_err(req, ENOENT);
    } else {
        reply_tree_entry(req, entry);
    }
}

void
mount_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    const TreeEntry *entry = mount_entry(mount, ino);
    struct stat attr;

    if (mount_is_virtual(ino)) {
        mount_virtual_attr(mount, mount_virtual_index(ino), &attr);
    } else if (entry != NULL) {
        mount_attr(mount, entry, fuse_req_ctx(req)->pid, &attr);
    } else {
        fuse_reply_err(req, ENOENT);
        return;
    }
    fuse_reply_attr(req, &attr, 0);
}

void
mount_readlink(fuse_req_t req, fuse_ino_t ino)
{
    CfsMount *mount = mount_of(req);

    if (!mount_is_virtual(ino)) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    g_autofree char *target = cfs_virtual_text(mount->daemon->virtual, mount_virtual_index(ino));
    fuse_reply_readlink(req, target);
}

void
mount_statfs(fuse_req_t req, fuse_ino_t ino)
{
    TreeFigures figures = tree_figures(mount_tree(mount_of(req)));
    uint64_t used = (figures.bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    struct statvfs st = { .f_bsize = BLOCK_BYTES,
                          .f_frsize = BLOCK_BYTES,
                          .f_blocks = TREE_BYTES_MAX / BLOCK_BYTES,
                          .f_files = TREE_ENTRIES_MAX,
                          .f_namemax = TREE_NAME_MAX };

    st.f_bfree = st.f_bavail = used < st.f_blocks ? st.f_blocks - used : 0;
    st.f_ffree = st.f_favail =
        figures.entries < TREE_ENTRIES_MAX ? TREE_ENTRIES_MAX - figures.entries : 0;
    fuse_reply_statfs(req, &st);
}

/* ------------------------------------------------------------------ setting attributes */

/* Modes and owners are fixed; setting what is already so is not refused. Returns: errno */
static int
check_fixed(const CfsMount *mount, mode_t mode, const struct stat *attr, int to_set)
{
    if ((to_set & FUSE_SET_ATTR_MODE) && (attr->st_mode & 07777) != (mode & 0666)) {
        return EPERM;
    }
    if ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != 0) {
        return EPERM;
    }
    if ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != mount->gid) {
        return EPERM;
    }
    return 0;
}

static int
set_virtual(CfsMount *mount, int index, const struct stat *attr, int to_set)
{
    bool is_debug = strcmp(cfs_virtual_entry(index)->name, ".debug") == 0;

    if (to_set & FUSE_SET_ATTR_SIZE) {
        return is_debug ? 0 : EIO;
    }
    if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
        return EACCES;
    }
    return check_fixed(mount, cfs_virtual_entry(index)->mode, attr, to_set);
}

static void
attr_done(MountCall *call, int errnum)
{
    if (errnum != 0) {
        fuse_reply_err(call->req, errnum);
    } else {
        mount_getattr(call->req, call->ino, NULL);
    }
}

static int
add_size(CfsMount *mount, Update *update, const TreeEntry *entry, const char *path, off_t size)
{
    if (entry->type != TREE_FILE) {
        return EISDIR;
    }
    if (size > TREE_FILE_MAX) {
        return EFBIG;
    }
    if (size == (off_t)tree_entry_size(entry)) {
        return 0;
    }
    int errnum = mount_guard(mount, path, NULL, 0, update); /* a part of it is no configuration */
    if (errnum == 0) {
        update_patch(update, path, size, NULL, 0);
    }
    return errnum;
}

void
mount_set_attr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
               struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    const TreeEntry *entry = mount_entry(mount, ino);
    g_autoptr(Update) update = update_new();
    g_autofree char *path = entry != NULL ? tree_path(mount_tree(mount), entry) : NULL;
    int errnum = 0;

    if (mount_is_virtual(ino)) {
        errnum = set_virtual(mount, mount_virtual_index(ino), attr, to_set);
    } else if (entry == NULL) {
        errnum = ENOENT;
    } else {
        errnum = check_fixed(mount, mount_rule_mode(mount, entry), attr, to_set);
    }
    if (errnum == 0 && entry != NULL && (to_set & FUSE_SET_ATTR_SIZE)) {
        errnum = fi != NULL ? mount_truncate(req, fi, attr->st_size)
                            : add_size(mount, update, entry, path, attr->st_size);
    }
    if (errnum != 0) {
        fuse_reply_err(req, errnum);
        return;
    }
    if (entry != NULL && (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))) {
        update_mtime(update, path,
                     to_set & FUSE_SET_ATTR_MTIME_NOW ? q_clock_wall_s() : attr->st_mtim.tv_sec);
    }
    if (update_is_empty(update)) {
        mount_getattr(req, ino, fi);
        return;
    }
    mount_call(req, g_steal_pointer(&update), attr_done, NULL, ino, NULL);
}

/* ------------------------------------------------------------------ folders */

/* A folder as it was when it was opened. */
typedef struct {
    char *name;
    fuse_ino_t ino;
    mode_t mode;
} Row;

static void
row_clear(gpointer data)
{
    g_free(((Row *)data)->name);
}

static void
add_row(GArray *rows, const char *name, fuse_ino_t ino, mode_t mode)
{
    Row row = { .name = g_strdup(name), .ino = ino, .mode = mode };

    g_array_append_val(rows, row);
}

static void
add_virtual_rows(GArray *rows)
{
    for (int i = 0; i < cfs_virtual_count(); i++) {
        const VirtualEntry *entry = cfs_virtual_entry(i);
        add_row(rows, entry->name, MOUNT_VIRTUAL_BASE + i,
                entry->kind == VIRTUAL_LINK ? S_IFLNK : S_IFREG);
    }
}

void
mount_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    const TreeEntry *folder = mount_entry(mount, ino);

    if (folder == NULL || folder->type != TREE_DIR) {
        fuse_reply_err(req, mount_is_virtual(ino) ? EACCES : folder == NULL ? ENOENT : ENOTDIR);
        return;
    }
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(Row));
    g_autoptr(GPtrArray) entries = tree_list(mount_tree(mount), folder->inode);
    g_array_set_clear_func(rows, row_clear);
    add_row(rows, ".", ino, S_IFDIR);
    add_row(rows, "..", mount_ino(folder->parent), S_IFDIR);
    if (ino == FUSE_ROOT_ID) {
        add_virtual_rows(rows);
    }
    for (guint i = 0; i < entries->len; i++) {
        const TreeEntry *entry = entries->pdata[i];
        if (!mount_name_is_virtual(ino, entry->name)) {
            add_row(rows, entry->name, mount_ino(entry->inode),
                    entry->type == TREE_DIR ? S_IFDIR : S_IFREG);
        }
    }
    fi->fh = (uintptr_t)rows;
    fuse_reply_open(req, fi);
}

void
mount_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    GArray *rows = (GArray *)(uintptr_t)fi->fh;
    g_autofree char *buffer = g_malloc(size);
    size_t used = 0;

    for (guint i = offset; i < rows->len; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        struct stat attr = { .st_ino = row->ino, .st_mode = row->mode };
        size_t need = fuse_add_direntry(req, buffer + used, size - used, row->name, &attr, i + 1);
        if (need > size - used) {
            break;
        }
        used += need;
    }
    fuse_reply_buf(req, buffer, used);
}

void
mount_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    g_array_unref((GArray *)(uintptr_t)fi->fh);
    fuse_reply_err(req, 0);
}
