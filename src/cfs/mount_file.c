#include "cfs/mount_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "cfs/writing.h"

/*
 * Open files. Writes are collected and become one update at close(), fsync() or the last release;
 * nothing, if the content did not change. Who reads sees the visible version; who writes sees what
 * it has written.
 */

enum { PIDS_MAX = 16 }; /* writers of one file that are remembered */

/* One flush under way. */
typedef struct {
    Writing *writing;
    GPtrArray *reqs; /* fuse_req_t that wait for it */
    bool *answered;
} Flight;

struct Writing {
    CfsMount *mount;
    uint64_t inode;
    GPtrArray *handles;  /* Handle that may write */
    WriteBuffer *buffer; /* NULL: nobody has written since the last flush ended */
    Flight *flight;      /* newest; NULL: none */
    unsigned flights;
    pid_t pids[PIDS_MAX];
    unsigned pid_count;
};

typedef struct {
    Writing *writing;  /* NULL: only reads, or virtual */
    GBytes *content;   /* for reading, as of the last read from the start */
    int virtual_index; /* -1: a stored file */
    bool append;
    bool wrote;      /* since its last flush */
    int lost_errnum; /* what it wrote was in a flush that failed elsewhere */
} Handle;

static Handle *
handle_of(struct fuse_file_info *fi)
{
    return (Handle *)(uintptr_t)fi->fh;
}

/* ------------------------------------------------------------------ who writes */

void
writing_free(gpointer data)
{
    Writing *writing = data;

    write_buffer_free(writing->buffer);
    g_ptr_array_unref(writing->handles);
    g_free(writing);
}

static Writing *
writing_join(CfsMount *mount, uint64_t inode, Handle *handle)
{
    Writing *writing = g_hash_table_lookup(mount->writing, &inode);

    if (writing == NULL) {
        writing = g_new0(Writing, 1);
        writing->mount = mount;
        writing->inode = inode;
        writing->handles = g_ptr_array_new();
        g_hash_table_insert(mount->writing, &writing->inode, writing);
    }
    g_ptr_array_add(writing->handles, handle);
    return writing;
}

static void
writing_drop_if_unused(Writing *writing)
{
    if (writing->handles->len == 0 && writing->flights == 0) {
        g_hash_table_remove(writing->mount->writing, &writing->inode);
    }
}

static void
remember_pid(Writing *writing, pid_t pid)
{
    for (unsigned i = 0; i < MIN(writing->pid_count, PIDS_MAX); i++) {
        if (writing->pids[i] == pid) {
            return;
        }
    }
    writing->pids[writing->pid_count++ % PIDS_MAX] = pid;
}

bool
writing_length(const CfsMount *mount, uint64_t inode, pid_t pid, uint64_t *length)
{
    const Writing *writing = g_hash_table_lookup(mount->writing, &inode);

    if (writing == NULL || writing->buffer == NULL) {
        return false;
    }
    for (unsigned i = 0; i < MIN(writing->pid_count, PIDS_MAX); i++) {
        if (writing->pids[i] == pid) {
            *length = write_buffer_length(writing->buffer);
            return true;
        }
    }
    return false;
}

static WriteBuffer *
writing_buffer(Writing *writing)
{
    if (writing->buffer == NULL) {
        const TreeEntry *entry = tree_find(mount_tree(writing->mount), writing->inode);
        writing->buffer = write_buffer_new(entry != NULL ? entry->data : NULL);
    }
    return writing->buffer;
}

/* ------------------------------------------------------------------ flush */

static void
flight_end(Flight *flight, int errnum)
{
    Writing *writing = flight->writing;

    for (guint i = 0; i < flight->reqs->len; i++) {
        fuse_reply_err(flight->reqs->pdata[i], errnum);
    }
    /* Handles whose writes were in it and that did not wait learn of it when they flush. */
    for (guint i = 0; errnum != 0 && i < writing->handles->len; i++) {
        Handle *handle = writing->handles->pdata[i];
        if (handle->wrote) {
            handle->lost_errnum = errnum;
        }
    }
    if (flight == writing->flight) {
        writing->flight = NULL;
    }
    writing->flights--;
    if (writing->flights == 0 && writing->buffer != NULL && !write_buffer_dirty(writing->buffer)) {
        g_clear_pointer(&writing->buffer, write_buffer_free);
    }
    if (flight->answered != NULL) {
        *flight->answered = true;
    }
    g_ptr_array_unref(flight->reqs);
    g_free(flight);
    writing_drop_if_unused(writing);
}

static void
on_flushed(const CfsOutcome *outcome, gpointer data)
{
    flight_end(data, cfs_outcome_errno(outcome));
}

/* Returns: errno, or 0 with @update (NULL: nothing changed) */
static int
build_flush(Writing *writing, Update **result)
{
    CfsMount *mount = writing->mount;
    const TreeEntry *entry = tree_find(mount_tree(mount), writing->inode);
    g_autoptr(Update) update = update_new();

    if (entry == NULL) {
        return ENOENT; /* removed meanwhile, or replaced by another file */
    }
    if (writing->flights == 0 && write_buffer_equals(writing->buffer, entry->data)) {
        return 0;
    }
    g_autofree char *path = tree_path(mount_tree(mount), entry);
    int errnum = mount_guard(mount, path, write_buffer_data(writing->buffer),
                             write_buffer_length(writing->buffer), update);
    if (errnum != 0) {
        return errnum;
    }
    write_buffer_flush(writing->buffer, path, update);
    *result = g_steal_pointer(&update);
    return 0;
}

/* @req NULL: nobody waits */
static void
start_flight(Writing *writing, Update *update, fuse_req_t req)
{
    Flight *flight = g_new0(Flight, 1);
    bool answered = false;
    uint64_t number = 0;

    flight->writing = writing;
    flight->reqs = g_ptr_array_new();
    if (req != NULL) {
        g_ptr_array_add(flight->reqs, req);
    }
    flight->answered = &answered;
    writing->flight = flight;
    writing->flights++;
    cfs_host_update(writing->mount->daemon->host, update, on_flushed, flight, &number);
    if (!answered) {
        flight->answered = NULL;
        if (req != NULL) {
            mount_interruptible(req, number);
        }
    }
}

/* Answers @req (nullable) when all that was written so far is durable. */
static void
flush_for(Writing *writing, fuse_req_t req)
{
    Update *update = NULL;
    int errnum = 0;

    if (writing->buffer != NULL && write_buffer_dirty(writing->buffer)) {
        errnum = build_flush(writing, &update);
        if (update == NULL) {
            /* Unchanged, or never to be: the next writer begins with what is visible. */
            g_clear_pointer(&writing->buffer, write_buffer_free);
        }
    } else if (writing->flight != NULL && req != NULL) {
        g_ptr_array_add(writing->flight->reqs, req);
        return;
    }
    if (update != NULL) {
        start_flight(writing, update, req);
    } else if (req != NULL) {
        fuse_reply_err(req, errnum);
    }
}

static void
flush_handle(fuse_req_t req, struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);
    int lost = handle->lost_errnum;

    handle->lost_errnum = 0;
    if (handle->writing == NULL || lost != 0) {
        fuse_reply_err(req, lost);
        return;
    }
    handle->wrote = false;
    flush_for(handle->writing, req);
}

void
mount_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    flush_handle(req, fi);
}

void
mount_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    flush_handle(req, fi);
}

void
mount_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);
    Writing *writing = handle->writing;

    if (writing != NULL) {
        g_ptr_array_remove_fast(writing->handles, handle);
        if (writing->handles->len == 0) {
            flush_for(writing, NULL);
            writing_drop_if_unused(writing);
        }
    }
    g_clear_pointer(&handle->content, g_bytes_unref);
    g_free(handle);
    fuse_reply_err(req, 0);
}

/* ------------------------------------------------------------------ open */

static bool
may_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static Handle *
handle_new(CfsMount *mount, const TreeEntry *entry, struct fuse_file_info *fi, pid_t pid)
{
    Handle *handle = g_new0(Handle, 1);

    handle->virtual_index = -1;
    handle->append = (fi->flags & O_APPEND) != 0;
    if (may_write(fi->flags)) {
        handle->writing = writing_join(mount, entry->inode, handle);
        remember_pid(handle->writing, pid);
    }
    if ((fi->flags & O_TRUNC) && (tree_entry_size(entry) > 0 || handle->writing->buffer != NULL)) {
        write_buffer_truncate(writing_buffer(handle->writing), 0);
        handle->wrote = true;
    }
    fi->fh = (uintptr_t)handle;
    fi->direct_io = 1;
    return handle;
}

/* Returns: errno */
static int
open_virtual(CfsMount *mount, int index, struct fuse_file_info *fi)
{
    Handle *handle = g_new0(Handle, 1);
    char *text = cfs_virtual_text(mount->daemon->virtual, index);

    handle->virtual_index = index;
    handle->content = g_bytes_new_take(text, strlen(text));
    fi->fh = (uintptr_t)handle;
    fi->direct_io = 1;
    return 0;
}

void
mount_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    const TreeEntry *entry = mount_entry(mount, ino);
    int errnum = 0;

    if (mount_is_virtual(ino)) {
        errnum = open_virtual(mount, mount_virtual_index(ino), fi);
    } else if (entry == NULL || entry->type != TREE_FILE) {
        errnum = entry == NULL ? ENOENT : EISDIR;
    } else if (may_write(fi->flags) && !cfs_host_writable(mount->daemon->host)) {
        errnum = EACCES;
    } else {
        handle_new(mount, entry, fi, fuse_req_ctx(req)->pid);
    }
    if (errnum != 0) {
        fuse_reply_err(req, errnum);
    } else {
        fuse_reply_open(req, fi);
    }
}

static void
created(MountCall *call, int errnum)
{
    const TreeEntry *entry = errnum == 0 ? tree_lookup(mount_tree(call->mount), call->path) : NULL;

    if (entry == NULL || entry->type != TREE_FILE) {
        /* Made, and already gone again or a folder: somebody else was as quick. */
        fuse_reply_err(call->req, errnum != 0 ? errnum : entry == NULL ? ENOENT : EISDIR);
        return;
    }
    struct fuse_entry_param param = { .ino = mount_ino(entry->inode) };
    pid_t pid = fuse_req_ctx(call->req)->pid;
    handle_new(call->mount, entry, &call->fi, pid);
    mount_attr(call->mount, entry, pid, &param.attr);
    fuse_reply_create(call->req, &param, &call->fi);
}

void
mount_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
             struct fuse_file_info *fi)
{
    int errnum = 0;
    g_autofree char *path = mount_child_path(mount_of(req), parent, name, &errnum);

    if (path == NULL || mount_name_is_virtual(parent, name)) {
        fuse_reply_err(req, path == NULL ? errnum : EACCES);
        return;
    }
    g_autoptr(Update) update = update_new();
    g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);
    errnum = mount_guard(mount_of(req), path, NULL, 0, update);
    if (errnum != 0) {
        fuse_reply_err(req, errnum);
        return;
    }
    update_create(update, path, nothing, (fi->flags & O_EXCL) != 0);
    mount_call(req, g_steal_pointer(&update), created, g_steal_pointer(&path), 0, fi);
}

/* ------------------------------------------------------------------ read and write */

void
mount_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    Handle *handle = handle_of(fi);
    const char *data;
    gsize length;

    if (handle->writing != NULL && handle->writing->buffer != NULL) {
        data = write_buffer_data(handle->writing->buffer);
        length = write_buffer_length(handle->writing->buffer);
    } else {
        /* One version from start to end; whoever reads from the start again gets the newest. */
        const TreeEntry *entry = mount_entry(mount, ino);
        if (entry != NULL && (offset == 0 || handle->content == NULL)) {
            g_clear_pointer(&handle->content, g_bytes_unref);
            handle->content = g_bytes_ref(entry->data);
        }
        if (handle->content == NULL) {
            fuse_reply_err(req, ENOENT);
            return;
        }
        data = g_bytes_get_data(handle->content, &length);
    }
    if ((gsize)offset >= length) {
        fuse_reply_buf(req, NULL, 0);
    } else {
        fuse_reply_buf(req, data + offset, MIN(size, length - (gsize)offset));
    }
}

void
mount_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
            struct fuse_file_info *fi)
{
    CfsMount *mount = mount_of(req);
    Handle *handle = handle_of(fi);
    Writing *writing = handle->writing;

    if (handle->virtual_index >= 0) {
        int errnum = cfs_virtual_write(mount->daemon->virtual, handle->virtual_index, data, size);
        if (errnum != 0) {
            fuse_reply_err(req, errnum);
        } else {
            fuse_reply_write(req, size);
        }
        return;
    }
    if (writing == NULL || !cfs_host_writable(mount->daemon->host)) {
        fuse_reply_err(req, writing == NULL ? EBADF : EACCES);
        return;
    }
    if (handle->append) {
        offset = write_buffer_length(writing_buffer(writing));
    }
    if (offset > TREE_FILE_MAX || size > TREE_FILE_MAX - (size_t)offset) {
        fuse_reply_err(req, EFBIG);
        return;
    }
    write_buffer_write(writing_buffer(writing), offset, data, size);
    handle->wrote = true;
    remember_pid(writing, fuse_req_ctx(req)->pid);
    fuse_reply_write(req, size);
}

int
mount_truncate(fuse_req_t req, struct fuse_file_info *fi, off_t length)
{
    Handle *handle = handle_of(fi);
    Writing *writing = handle->writing;

    if (writing == NULL) {
        return EINVAL;
    }
    if (!cfs_host_writable(writing->mount->daemon->host)) {
        return EACCES;
    }
    if (length > TREE_FILE_MAX) {
        return EFBIG;
    }
    if ((size_t)length != write_buffer_length(writing_buffer(writing))) {
        write_buffer_truncate(writing->buffer, length);
        handle->wrote = true;
    }
    remember_pid(writing, fuse_req_ctx(req)->pid);
    return 0;
}
