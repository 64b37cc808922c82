#pragma once
#include "cfs/client.h"
#include "base/section_config.h"

/*
 * Storages as guests and commands use them. Definitions come from storage.cfg (storage/core), work
 * is done by the plugin of the type (storage/plugin.h). A Storage is one consistent reading of
 * storage.cfg with this node's point of view; it goes stale, so open it for one piece of work.
 */
typedef struct StorageSet StorageSet; /* all of storage.cfg */
typedef struct Storage Storage;       /* one of them, usable here; borrowed from its set */

/** storage_set_read: reads storage.cfg; `local` is always in it. */
StorageSet *storage_set_read(CfsClient *cfs, GError **error);
void storage_set_free(StorageSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageSet, storage_set_free)

GPtrArray *storage_set_ids(StorageSet *set); /* const char *, sorted; container to free */
const QSection *storage_set_section(StorageSet *set, const char *id,
                                    GError **error); /* also of disabled ones */

/** storage_get: Errors: "storage 'X' does not exist", "storage 'X' is disabled",
 *  "storage 'X' is not available on node 'N'", unsupported type. */
Storage *storage_get(StorageSet *set, const char *id, GError **error);

/** storage_available_on: whether a guest with a disk on @id could run on @node, by configuration.
 */
bool storage_available_on(StorageSet *set, const char *id, const char *node, GError **error);

const char *storage_id(const Storage *storage);
const char *storage_type(const Storage *storage);
bool storage_is_shared(const Storage *storage);
bool storage_has_content(const Storage *storage, const char *content); /* "images", "iso", … */

/** storage_activate: makes it usable (idempotent); waits at most a few seconds. */
bool storage_activate(Storage *storage, GError **error);

typedef struct {
    bool active;
    uint64_t total_bytes, used_bytes, avail_bytes;
    char *why; /* not active: the reason */
} StorageStatus;
void storage_status_clear(StorageStatus *status);
void storage_status(Storage *storage, StorageStatus *status);

typedef struct {
    char *volid; /* "local:100/vm-100-disk-0.qcow2" */
    char *content;
    char *format;
    uint32_t vmid; /* owner; 0: none */
    uint64_t size_bytes, used_bytes;
    int64_t ctime_s;
    char *parent; /* backing volume, or NULL */
} StorageVolume;
void storage_volume_free(StorageVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageVolume, storage_volume_free)

/** storage_list: @content NULL: all; @vmid 0: all. (transfer full) (element-type StorageVolume) */
GPtrArray *storage_list(Storage *storage, const char *content, uint32_t vmid, GError **error);

/** storage_volume_stat: Errors: Q_ERROR_NOT_FOUND "volume 'V' does not exist" */
StorageVolume *storage_volume_stat(StorageSet *set, const char *volid, GError **error);

/** storage_path: (transfer full): where QEMU opens it; the volume need not exist. @format (out)
 *  (optional) (transfer full), @vmid, @content likewise. Absolute paths are returned as they are.
 */
char *storage_path(StorageSet *set, const char *volid, char **format, uint32_t *vmid,
                   char **content, GError **error);

/**
 * storage_alloc:
 * @name: (nullable): NULL: the lowest free "vm-VMID-disk-N"
 * @format: (nullable): NULL: the storage's default
 *
 * Under the storage's lock (a cfs lease if shared). Refused before anything is made if the file
 * system has no room for the image.
 *
 * Returns: (transfer full): the volume id
 */
char *storage_alloc(StorageSet *set, CfsClient *cfs, const char *id, uint32_t vmid,
                    const char *name, const char *format, uint64_t size_bytes, GError **error);

/** storage_free: deletes one volume. Q_ERROR_NOT_FOUND if it is not there; refuses what it does not
 *  understand as a volume of this storage. */
bool storage_free(StorageSet *set, CfsClient *cfs, const char *volid, GError **error);
