#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include "cfs/mount.h"

/* Inode numbers: those of the tree, moved by one because FUSE's root is 1 and the tree's is 0;
 * virtual entries far above. Inodes of the tree are never used again, so no count of lookups is
 * needed. */
#define MOUNT_VIRTUAL_BASE (1ULL << 62)

struct CfsMount {
    CfsDaemon *daemon;
    struct fuse_session *session;
    char *path;
    guint source;
    struct fuse_buf buffer;
    gid_t gid;           /* of www-data */
    GHashTable *writing; /* inode of the tree → Writing */
};

static inline uint64_t
mount_tree_inode(fuse_ino_t ino)
{
    return ino - FUSE_ROOT_ID + TREE_ROOT;
}

static inline fuse_ino_t
mount_ino(uint64_t inode)
{
    return inode - TREE_ROOT + FUSE_ROOT_ID;
}

static inline bool
mount_is_virtual(fuse_ino_t ino)
{
    return ino >= MOUNT_VIRTUAL_BASE;
}

static inline int
mount_virtual_index(fuse_ino_t ino)
{
    return ino - MOUNT_VIRTUAL_BASE;
}

static inline CfsMount *
mount_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static inline const Tree *
mount_tree(const CfsMount *mount)
{
    return cfs_host_tree(mount->daemon->host);
}

/** mount_entry: the visible entry behind @ino, NULL if there is none (any more) or it is virtual */
const TreeEntry *mount_entry(const CfsMount *mount, fuse_ino_t ino);
/** mount_child_path: (transfer full): path of @name below @parent; NULL and @errnum: no such folder
 */
char *mount_child_path(const CfsMount *mount, fuse_ino_t parent, const char *name, int *errnum);
bool mount_name_is_virtual(fuse_ino_t parent, const char *name);

/* ------------------------------------------------------------------ mount_attr.c */

/** mount_attr: @pid: who asks: whoever writes the file sees its own unflushed length; 0: nobody */
void mount_attr(CfsMount *mount, const TreeEntry *entry, pid_t pid, struct stat *attr);
void mount_virtual_attr(CfsMount *mount, int index, struct stat *attr);
void mount_reply_entry(fuse_req_t req, const char *path); /* ENOENT if it is gone again */
mode_t mount_rule_mode(const CfsMount *mount, const TreeEntry *entry); /* with quorum */

void mount_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_set_attr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi);
void mount_readlink(fuse_req_t req, fuse_ino_t ino);
void mount_statfs(fuse_req_t req, fuse_ino_t ino);
void mount_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                   struct fuse_file_info *fi);
void mount_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* ------------------------------------------------------------------ mount_change.c */

/* A request that waits for the core. */
typedef struct MountCall MountCall;
typedef void (*MountDone)(MountCall *call, int errnum);
struct MountCall {
    CfsMount *mount;
    fuse_req_t req;
    bool *answered; /* set when the answer comes while the call is being made */
    MountDone done; /* answers the request; the call is freed afterwards */
    char *path;
    fuse_ino_t ino;
    struct fuse_file_info fi;
};

/** mount_call: @update (transfer full), @path (transfer full) (nullable). Can be interrupted. */
void mount_call(fuse_req_t req, Update *update, MountDone done, char *path, fuse_ino_t ino,
                const struct fuse_file_info *fi);
/** mount_interruptible: call @number of the host is cancelled when the kernel interrupts @req. */
void mount_interruptible(fuse_req_t req, uint64_t number);

/** mount_refused: logs why corosync.conf is guarded. Returns: errno */
int mount_refused(const GError *error);
/** mount_guard: for content of a file. Returns: errno, 0 if it may be so */
int mount_guard(CfsMount *mount, const char *path, const void *data, size_t length, Update *update);

void mount_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void mount_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                  const char *to_name, unsigned flags);

/* ------------------------------------------------------------------ mount_file.c */

/* A file that somebody on this node writes; shared by all handles that may write it. */
typedef struct Writing Writing;

/** writing_length: true if @pid writes the file and has not flushed: @length as it sees it */
bool writing_length(const CfsMount *mount, uint64_t inode, pid_t pid, uint64_t *length);
/** mount_truncate: of an open handle: takes part in its next flush. Returns: errno */
int mount_truncate(fuse_req_t req, struct fuse_file_info *fi, off_t length);
void writing_free(gpointer writing);

void mount_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                  struct fuse_file_info *fi);
void mount_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                struct fuse_file_info *fi);
void mount_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                 struct fuse_file_info *fi);
void mount_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void mount_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
