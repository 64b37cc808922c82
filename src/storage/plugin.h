#pragma once
#include "storage/core/storage_cfg.h"
#include "storage/storage.h"

/*
 * One storage type. Functions get the section of storage.cfg and work on this node; they may wait.
 * A new type is one file with such a table and its row in storage.c.
 */
typedef struct {
    const char *type;

    bool (*activate)(const QSection *section, GError **error);
    void (*status)(const QSection *section, StorageStatus *status);

    /** list: appends StorageVolume for @content (NULL: all) and @vmid (0: all). */
    bool (*list)(const QSection *section, const char *content, uint32_t vmid, GPtrArray *volumes,
                 GError **error);

    /** path: of volume @name, which need not exist. */
    char *(*path)(const QSection *section, const char *name, char **format, uint32_t *vmid,
                  char **content, GError **error);
    StorageVolume *(*stat)(const QSection *section, const char *name, GError **error);

    /** reserve: under the storage's lock: chooses a free name (@wanted NULL) or takes @wanted, and
     *  makes it so that nobody else can. Returns: (transfer full): the volume's name */
    char *(*reserve)(const QSection *section, uint32_t vmid, const char *wanted, const char *format,
                     GError **error);
    /** make: fills what reserve() made; not under the lock. */
    bool (*make)(const QSection *section, const char *name, const char *format, uint64_t size_bytes,
                 GError **error);
    bool (*free)(const QSection *section, const char *name, GError **error);
    /** room: Errors: Q_ERROR_FULL if a new image of that size cannot be kept */
    bool (*room)(const QSection *section, const char *format, uint64_t size_bytes, GError **error);
} StoragePlugin;

extern const StoragePlugin storage_dir;
