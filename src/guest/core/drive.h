#pragma once
#include "guest/core/config.h"

/* A drive of a configuration: "scsi3: st:9/vm-9-disk-0.qcow2,size=4G". */
typedef struct {
    char *id;        /* "scsi3" */
    const char *bus; /* "scsi" */
    int index;       /* 3 */
    bool cdrom;
    QPropertyString *options;
} GuestDrive;

void guest_drive_free(GuestDrive *drive);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestDrive, guest_drive_free)

/** guest_drive_parse: Errors: Q_ERROR_INVALID "scsi3: why", also if @id is no drive. */
GuestDrive *guest_drive_parse(const char *id, const char *value, GError **error);

/** guest_drives: all of @section, in the order ide, scsi, virtio, sata, by number.
 *  Returns: (transfer full) (element-type GuestDrive), NULL if one does not parse */
GPtrArray *guest_drives(const GuestSection *section, GError **error);

const char *guest_drive_file(const GuestDrive *drive); /* volume, path, "none" or "cdrom" */
bool guest_drive_is_empty(const GuestDrive *drive);    /* a CD drive without medium of ours */
bool guest_drive_is_cloudinit(const GuestDrive *drive);

/**
 * guest_boot_indexes:
 *
 * Which devices the firmware may boot, by `boot` and `bootdisk` (qm.conf(5)).
 *
 * Returns: (transfer full): device id ("scsi0", "net0") -> bootindex as GINT_TO_POINTER
 */
GHashTable *guest_boot_indexes(const GuestSection *section, GPtrArray *drives, GError **error);

/** guest_boot_default: the order that a new guest gets: first disk, first CD, first NIC.
 *  Returns: (transfer full): "order=scsi0;ide2;net0", NULL if there is none of them */
char *guest_boot_default(const GuestSection *section);
