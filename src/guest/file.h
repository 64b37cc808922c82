#pragma once
#include "cfs/client.h"
#include "guest/core/config.h"
#include "sys/file.h"

/* A guest's configuration file in the cluster, with the version read, so that it is only replaced
 * by somebody who has seen it. */
typedef struct {
    uint32_t vmid;
    char *node;
    char *path; /* "nodes/node1/qemu-server/100.conf" */
    char *text; /* as read */
    char *digest;
    uint64_t version;
    GuestConfig *config;
} GuestFile;

void guest_file_free(GuestFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestFile, guest_file_free)

char *guest_file_path(const char *node, uint32_t vmid); /* (transfer full) */

/** guest_file_read: @node NULL: this node. Errors: Q_ERROR_NOT_FOUND
 *  "Configuration file 'nodes/n1/qemu-server/100.conf' does not exist" */
GuestFile *guest_file_read(CfsClient *cfs, const char *node, uint32_t vmid, GError **error);

/** guest_file_write: the configuration as it is now, on condition that the file is as it was read.
 */
bool guest_file_write(CfsClient *cfs, GuestFile *file, GError **error);

/** guest_file_check_digest: Errors: "checksum mismatch (file change by other user?)" */
bool guest_file_check_digest(const GuestFile *file, const char *digest, GError **error);

/** guest_file_check_lock: Errors: Q_ERROR_BUSY "VM is locked (backup)" */
bool guest_file_check_lock(const GuestFile *file, bool skiplock, GError **error);

/** guest_find_node: (transfer full): the node that has @vmid, of whatever guest type; NULL if none
 * (no error), or with an error */
char *guest_find_node(CfsClient *cfs, uint32_t vmid, GError **error);

/** guest_list: (transfer full): vmids on @node, sorted (element-type uint32_t) */
GArray *guest_list(CfsClient *cfs, const char *node, GError **error);

/** guest_lock_file: the node's lock of one guest. @say (nullable) is told when it must wait.
 *  Errors: Q_ERROR_BUSY "can't lock file '…' - got timeout" */
QFileLock *guest_lock_file(uint32_t vmid, int wait_ms, void (*say)(const char *line, gpointer data),
                           gpointer data, GError **error);

/* What high availability asks of a guest. */
typedef struct {
    bool managed; /* it is a service, and not "ignored" */
    char *state;  /* requested: "started", "stopped", …; NULL if not managed */
} GuestHa;
void guest_ha_clear(GuestHa *ha);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GuestHa, guest_ha_clear)
bool guest_ha_read(CfsClient *cfs, uint32_t vmid, GuestHa *ha, GError **error);

/** guest_ha_request: sets the requested state in ha/resources.cfg. */
bool guest_ha_request(CfsClient *cfs, uint32_t vmid, const char *state, GError **error);
