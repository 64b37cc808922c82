#include "cfs/mount.h"
#include "cfs/mount_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "sys/file.h"
#include "sys/log.h"
#include "sys/loop.h"

enum {
    READ_BATCH = 16,   /* requests in one turn of the loop */
    LEFTOVER_MAX = 16, /* mounts upon one another */
    EXIT_UNMOUNTED = 70,
};

#define MOUNT_OPTIONS "default_permissions,allow_other,fsname=/dev/fuse"

/* ------------------------------------------------------------------ session */

static void
on_init(void *userdata, struct fuse_conn_info *conn)
{
    /* open(O_TRUNC) and what is written afterwards become one update. */
    conn->want |= conn->capable & FUSE_CAP_ATOMIC_O_TRUNC;
    conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE
                    | FUSE_CAP_READDIRPLUS | FUSE_CAP_AUTO_INVAL_DATA);
    conn->time_gran = 1000000000; /* times are whole seconds */
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = mount_lookup,
    .getattr = mount_getattr,
    .setattr = mount_set_attr,
    .readlink = mount_readlink,
    .mkdir = mount_mkdir,
    .unlink = mount_remove,
    .rmdir = mount_remove,
    .rename = mount_rename,
    .open = mount_open,
    .create = mount_create,
    .read = mount_read,
    .write = mount_write,
    .flush = mount_flush,
    .fsync = mount_fsync,
    .release = mount_release,
    .opendir = mount_opendir,
    .readdir = mount_readdir,
    .releasedir = mount_releasedir,
    .statfs = mount_statfs,
};

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer data)
{
    CfsMount *mount = data;

    for (int i = 0; i < READ_BATCH; i++) {
        int length = fuse_session_receive_buf(mount->session, &mount->buffer);
        if (length == -EINTR || length == -EAGAIN) {
            break;
        }
        if (length <= 0 || fuse_session_exited(mount->session)) {
            q_err("'%s' was unmounted by somebody else: ending, so that it is mounted again",
                  mount->path);
            mount->source = 0;
            q_loop_quit(EXIT_UNMOUNTED);
            return G_SOURCE_REMOVE;
        }
        fuse_session_process_buf(mount->session, &mount->buffer);
    }
    cfs_host_idle(mount->daemon->host);
    return G_SOURCE_CONTINUE;
}

/* ------------------------------------------------------------------ what is where */

const TreeEntry *
mount_entry(const CfsMount *mount, fuse_ino_t ino)
{
    return mount_is_virtual(ino) ? NULL : tree_find(mount_tree(mount), mount_tree_inode(ino));
}

bool
mount_name_is_virtual(fuse_ino_t parent, const char *name)
{
    return parent == FUSE_ROOT_ID && cfs_virtual_find(name) >= 0;
}

char *
mount_child_path(const CfsMount *mount, fuse_ino_t parent, const char *name, int *errnum)
{
    const TreeEntry *folder = mount_entry(mount, parent);

    if (folder == NULL || folder->type != TREE_DIR) {
        *errnum = folder == NULL ? ENOENT : ENOTDIR;
        return NULL;
    }
    if (strlen(name) > TREE_NAME_MAX) {
        *errnum = ENAMETOOLONG;
        return NULL;
    }
    if (folder->inode == TREE_ROOT) {
        return g_strdup(name);
    }
    g_autofree char *path = tree_path(mount_tree(mount), folder);
    return g_strdup_printf("%s/%s", path, name);
}

/* ------------------------------------------------------------------ mounting */

/* Whether a FUSE filesystem is mounted right there. */
static bool
is_fuse_mount(const char *path)
{
    g_autofree char *table = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL)) {
        return false;
    }
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);
        const char *type = strstr(*line, " - ");
        if (g_strv_length(words) > 5 && strcmp(words[4], path) == 0 && type != NULL
            && g_str_has_prefix(type + 3, "fuse")) {
            return true;
        }
    }
    return false;
}

/* Processes that look into a dead mount get an error instead of waiting for ever. */
static void
clear_leftovers(const char *path)
{
    for (int i = 0; i < LEFTOVER_MAX && is_fuse_mount(path); i++) {
        q_info("unmounting what a dead predecessor left on '%s'", path);
        if (umount2(path, MNT_DETACH | MNT_FORCE) != 0 && umount2(path, MNT_DETACH) != 0) {
            q_warn("cannot unmount '%s': %s", path, g_strerror(errno));
            return;
        }
    }
}

static bool
check_mountpoint(const char *path, GError **error)
{
    struct stat st;

    if (!q_file_make_dir(path, 0755, error)) {
        return q_prefix_error(error, "mount point: ");
    }
    if (stat(path, &st) != 0) {
        return q_set_error_errno(error, errno, "mount point '%s'", path);
    }
    return S_ISDIR(st.st_mode)
           || q_set_error(error, Q_ERROR_INVALID,
                          "mount point '%s' is no folder: move it away and start again", path);
}

static bool
open_session(CfsMount *mount, GError **error)
{
    char *argv[] = { (char *)"quorate-cfsd", (char *)"-o", (char *)MOUNT_OPTIONS, NULL };
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);

    mount->session = fuse_session_new(&args, &operations, sizeof operations, mount);
    fuse_opt_free_args(&args);
    if (mount->session == NULL) {
        return q_set_error(error, Q_ERROR_INTERNAL, "libfuse refuses our options");
    }
    if (fuse_session_mount(mount->session, mount->path) != 0) {
        g_clear_pointer(&mount->session, fuse_session_destroy);
        return q_set_error(error, Q_ERROR_IO,
                           "cannot mount '%s': is /dev/fuse there ('modprobe fuse'), and may this "
                           "process mount?",
                           mount->path);
    }
    int fd = fuse_session_fd(mount->session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    mount->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, mount);
    /* Else GLib takes the descriptor out of its set around each call, and wakes itself up twice. */
    g_source_set_can_recurse(g_main_context_find_source_by_id(NULL, mount->source), TRUE);
    return true;
}

CfsMount *
cfs_mount_new(CfsDaemon *daemon, const char *path, GError **error)
{
    CfsMount *mount = g_new0(CfsMount, 1);
    const struct group *group = getgrnam("www-data");

    mount->daemon = daemon;
    mount->path = g_strdup(path);
    mount->gid = group != NULL ? group->gr_gid : 0;
    mount->writing = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, writing_free);
    if (group == NULL) {
        q_set_error(error, Q_ERROR_NOT_FOUND,
                    "group www-data is missing: 'addgroup --system --gid 33 www-data'");
        cfs_mount_free(mount);
        return NULL;
    }
    clear_leftovers(path);
    if (!check_mountpoint(path, error) || !open_session(mount, error)) {
        cfs_mount_free(mount);
        return NULL;
    }
    return mount;
}

void
cfs_mount_free(CfsMount *mount)
{
    if (mount == NULL) {
        return;
    }
    g_clear_handle_id(&mount->source, g_source_remove);
    if (mount->session != NULL) {
        fuse_session_unmount(mount->session);
        fuse_session_destroy(mount->session);
    }
    free(mount->buffer.mem);
    g_hash_table_unref(mount->writing);
    g_free(mount->path);
    g_free(mount);
}
