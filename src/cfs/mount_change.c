#include "cfs/mount_priv.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "cfs/guard.h"
#include "sys/log.h"

/* Changes of names, and how a request waits for the core. */

/* ------------------------------------------------------------------ waiting */

typedef struct {
    CfsHost *host;
    uint64_t number;
} Interrupt;

static gboolean
on_interrupt_later(gpointer data)
{
    Interrupt *interrupt = data;

    cfs_host_cancel(interrupt->host, interrupt->number);
    return G_SOURCE_REMOVE;
}

/* libfuse calls this with the request's lock held, under which it cannot be answered. */
static void
on_interrupt(fuse_req_t req, void *data)
{
    Interrupt *interrupt = g_new(Interrupt, 1);

    *interrupt = (Interrupt){ mount_of(req)->daemon->host, (uintptr_t)data };
    g_idle_add_full(G_PRIORITY_HIGH, on_interrupt_later, interrupt, g_free);
}

void
mount_interruptible(fuse_req_t req, uint64_t number)
{
    fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)number);
}

static void
on_outcome(const CfsOutcome *outcome, gpointer data)
{
    MountCall *call = data;

    call->done(call, cfs_outcome_errno(outcome));
    if (call->answered != NULL) {
        *call->answered = true;
    }
    g_free(call->path);
    g_free(call);
}

void
mount_call(fuse_req_t req, Update *update, MountDone done, char *path, fuse_ino_t ino,
           const struct fuse_file_info *fi)
{
    MountCall *call = g_new0(MountCall, 1);
    bool answered = false;
    uint64_t number = 0;

    call->mount = mount_of(req);
    call->req = req;
    call->done = done;
    call->path = path;
    call->ino = ino;
    if (fi != NULL) {
        call->fi = *fi;
    }
    call->answered = &answered;
    cfs_host_update(call->mount->daemon->host, update, on_outcome, call, &number);
    if (!answered) {
        call->answered = NULL;
        mount_interruptible(req, number);
    }
}

static void
reply_errnum(MountCall *call, int errnum)
{
    fuse_reply_err(call->req, errnum);
}

static void
reply_entry(MountCall *call, int errnum)
{
    if (errnum != 0) {
        fuse_reply_err(call->req, errnum);
    } else {
        mount_reply_entry(call->req, call->path);
    }
}

/* ------------------------------------------------------------------ names */

void
mount_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    int errnum = 0;
    g_autofree char *path = mount_child_path(mount_of(req), parent, name, &errnum);

    if (path == NULL || mount_name_is_virtual(parent, name)) {
        fuse_reply_err(req, path == NULL ? errnum : EACCES);
        return;
    }
    g_autoptr(Update) update = update_new();
    update_mkdir(update, path);
    mount_call(req, g_steal_pointer(&update), reply_entry, g_steal_pointer(&path), 0, NULL);
}

int
mount_refused(const GError *error)
{
    q_warn("refused: %s", error->message);
    return g_error_matches(error, Q_ERROR, Q_ERROR_DENIED) ? EACCES : EINVAL;
}

int
mount_guard(CfsMount *mount, const char *path, const void *data, size_t length, Update *update)
{
    g_autoptr(GBytes) content = NULL;
    g_autoptr(GError) error = NULL;

    if (strcmp(path, CFS_GUARDED_PATH) != 0) {
        return 0;
    }
    content = g_bytes_new(data, length);
    if (!cfs_guard_content(mount_tree(mount), path, content, cfs_host_node(mount->daemon->host),
                           update, &error)) {
        return mount_refused(error);
    }
    return 0;
}

/* Of a file or a folder: the kernel has checked which it is. */
void
mount_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    int errnum = 0;
    g_autofree char *path = mount_child_path(mount_of(req), parent, name, &errnum);

    if (path == NULL || mount_name_is_virtual(parent, name)) {
        fuse_reply_err(req, path == NULL ? errnum : EACCES);
        return;
    }
    g_autoptr(GError) error = NULL;
    if (!cfs_guard_remove(path, cfs_host_local(mount_of(req)->daemon->host), &error)) {
        fuse_reply_err(req, mount_refused(error));
        return;
    }
    g_autoptr(Update) update = update_new();
    update_remove(update, path);
    mount_call(req, g_steal_pointer(&update), reply_errnum, NULL, 0, NULL);
}

/* Returns: errno */
static int
add_rename(CfsMount *mount, Update *update, const char *from, const char *to, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    const CfsHost *host = mount->daemon->host;

    if (!cfs_guard_rename(mount_tree(mount), from, to, cfs_host_node(host), cfs_host_local(host),
                          update, &error)) {
        return mount_refused(error);
    }
    if (flags & RENAME_NOREPLACE) {
        update_rename_new(update, from, to);
    } else {
        update_rename(update, from, to);
    }
    return 0;
}

void
mount_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
             const char *to_name, unsigned flags)
{
    CfsMount *mount = mount_of(req);
    int errnum = 0;
    g_autofree char *from = mount_child_path(mount, parent, name, &errnum);
    g_autofree char *to =
        from != NULL ? mount_child_path(mount, to_parent, to_name, &errnum) : NULL;
    g_autoptr(Update) update = update_new();

    if (to != NULL) {
        if (mount_name_is_virtual(parent, name) || mount_name_is_virtual(to_parent, to_name)) {
            errnum = EACCES;
        } else if (flags & ~RENAME_NOREPLACE) {
            errnum = EINVAL; /* two names cannot be exchanged */
        } else {
            errnum = add_rename(mount, update, from, to, flags);
        }
    }
    if (errnum != 0) {
        fuse_reply_err(req, errnum);
        return;
    }
    mount_call(req, g_steal_pointer(&update), reply_errnum, NULL, 0, NULL);
}
