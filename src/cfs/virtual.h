#pragma once
#include "cfs/host.h"
#include "cfs/status.h"
#include "cluster/corosync_conf.h"

/*
 * The entries of /etc/pve that are in no database: links to this node's folders, and files that are
 * rendered when somebody looks. Keeps the counters that `.version` shows; they count in this
 * process.
 */
typedef struct CfsVirtual CfsVirtual;

typedef enum { VIRTUAL_LINK, VIRTUAL_TEXT } VirtualKind;

typedef struct {
    const char *name;
    VirtualKind kind;
    uint32_t mode; /* permission bits, as with quorum */
} VirtualEntry;

CfsVirtual *cfs_virtual_new(CfsHost *host, CfsStatus *status);
void cfs_virtual_free(CfsVirtual *virtual); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsVirtual, cfs_virtual_free)

/* Changes to count. */
void cfs_virtual_visible(CfsVirtual *virtual, const ReplicaEffect *effect);
void cfs_virtual_members(CfsVirtual *virtual); /* members, quorum or their addresses changed */

int cfs_virtual_count(void);
const VirtualEntry *cfs_virtual_entry(int index);
int cfs_virtual_find(const char *name); /* -1: none */

/** cfs_virtual_text: (transfer full): content of a file, target of a link, as of now */
char *cfs_virtual_text(CfsVirtual *virtual, int index);
/** cfs_virtual_write: returns 0, or the errno: only `.debug` takes "0\n" and "1\n" */
int cfs_virtual_write(CfsVirtual *virtual, int index, const char *data, size_t length);

/* The committed corosync.conf. */
const CorosyncConf *cfs_virtual_conf(const CfsVirtual *virtual);     /* NULL: none, or unreadable */
const char *cfs_virtual_node_name(CfsVirtual *virtual, uint32_t id); /* NULL: none; borrowed */
JsonObject *cfs_virtual_members_json(CfsVirtual *virtual);           /* (transfer full) */
