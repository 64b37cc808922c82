#pragma once
#include "guest/core/qemu_args.h"
#include "guest/file.h"
#include "storage/storage.h"

/* Volumes of guests: found for a start, made for a configuration, freed with it. */

/** guest_disks_open: activates the storages and finds every volume of @section.
 *  Returns: (transfer full): drive id -> GuestVolume; NULL with an error that names the drive */
GHashTable *guest_disks_open(StorageSet *set, const GuestSection *section, GError **error);

/** guest_disks_describe: the same for showcmd: volumes need not exist, nothing is activated. */
GHashTable *guest_disks_describe(StorageSet *set, const GuestSection *section, GError **error);

/**
 * guest_disk_prepare:
 * @value: of a drive as the user gave it: "local:4" makes a volume of 4 GiB
 * @made: volumes that were made are added, so that a failure later can free them
 *
 * Returns: (transfer full): the value for the configuration, with the volume's real size
 */
char *guest_disk_prepare(StorageSet *set, CfsClient *cfs, uint32_t vmid, const char *id,
                         const char *value, GPtrArray *made, GError **error);

/**
 * guest_disks_fit_ha: whether a guest may be put under HA as its disks are (S30): what goes through
 * a node's page cache to a shared disk is written after the guest's death. Errors: names the drive.
 */
bool guest_disks_fit_ha(StorageSet *set, const GuestSection *section, GError **error);

/** guest_disk_check: what guest_disk_prepare() would refuse, without making anything. */
bool guest_disk_check(StorageSet *set, const char *id, const char *value, GError **error);

/** guest_disks_free: deletes volumes; each failure is said, none stops the others.
 *  Returns: the number of those left */
int guest_disks_free(StorageSet *set, CfsClient *cfs, GPtrArray *volumes,
                     void (*say)(const char *line, gpointer data), gpointer data);

/** guest_disks_owned: (transfer full) (element-type utf8): every volume in all sections of @config
 *  that belongs to @vmid, each once */
GPtrArray *guest_disks_owned(const GuestConfig *config, uint32_t vmid);
