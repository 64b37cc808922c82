#include "guest/disks.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/sorted.h"
#include "guest/core/pending.h"
#include "storage/core/volume_id.h"

#define GIB (1024.0 * 1024 * 1024)
#define MAX_GIB                                                                                    \
    (128.0 * 1024) /* 128 TiB: beyond what file systems of these storages hold in one file */

/* ------------------------------------------------------------------ finding */

static bool
takes_direct(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 || errno != EINVAL;
}

static Storage *
storage_of(StorageSet *set, const char *volid, GError **error)
{
    g_autoptr(VolumeId) id = volume_id_parse(volid, error);

    return id != NULL ? storage_get(set, volume_id_storage(id), error) : NULL;
}

static bool
check_content(const GuestDrive *drive, const char *content, GError **error)
{
    bool is_image = g_strcmp0(content, "images") == 0 || content == NULL;

    return is_image || (drive->cdrom && strcmp(content, "iso") == 0)
           || q_set_error(error, Q_ERROR_INVALID, "'%s' is no disk image", guest_drive_file(drive));
}

static GuestVolume *
open_volume(StorageSet *set, const GuestDrive *drive, bool must_exist, GError **error)
{
    const char *file = guest_drive_file(drive);
    Storage *storage = file[0] != '/' ? storage_of(set, file, error) : NULL;
    g_autoptr(GuestVolume) volume = g_new0(GuestVolume, 1);
    g_autofree char *content = NULL;

    if (file[0] != '/' && (storage == NULL || (must_exist && !storage_activate(storage, error)))) {
        return NULL;
    }
    volume->path = storage_path(set, file, &volume->format, NULL, &content, error);
    if (volume->path == NULL || !check_content(drive, content, error)) {
        return NULL;
    }
    const char *format = q_property_get(drive->options, "format", NULL);
    if (g_strcmp0(content, "images") != 0) {
        g_free(volume->format);
        volume->format = g_strdup(format != NULL ? format : "raw");
    } else if (format != NULL && strcmp(format, volume->format) != 0) {
        q_set_error(error, Q_ERROR_INVALID, "the volume's format is '%s', not '%s'", volume->format,
                    format);
        return NULL;
    }
    volume->shared = storage != NULL ? storage_is_shared(storage)
                                     : q_property_bool(drive->options, "shared", false);
    if (must_exist && access(volume->path, R_OK) < 0) {
        if (errno == ENOENT) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "volume '%s' does not exist", file);
        } else {
            q_set_error_errno(error, errno, "volume '%s'", file);
        }
        return NULL;
    }
    volume->cached = must_exist && !takes_direct(volume->path);
    return g_steal_pointer(&volume);
}

static GHashTable *
open_all(StorageSet *set, const GuestSection *section, bool must_exist, GError **error)
{
    g_autoptr(GPtrArray) drives = guest_drives(section, error);
    g_autoptr(GHashTable) volumes =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)guest_volume_free);

    for (guint i = 0; drives != NULL && i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];

        if (guest_drive_is_empty(drive)) {
            continue;
        }
        GuestVolume *volume = open_volume(set, drive, must_exist, error);
        if (volume == NULL) {
            q_prefix_error(error, "%s: ", drive->id);
            return NULL;
        }
        g_hash_table_insert(volumes, g_strdup(drive->id), volume);
    }
    return drives != NULL ? g_steal_pointer(&volumes) : NULL;
}

GHashTable *
guest_disks_open(StorageSet *set, const GuestSection *section, GError **error)
{
    return open_all(set, section, true, error);
}

GHashTable *
guest_disks_describe(StorageSet *set, const GuestSection *section, GError **error)
{
    return open_all(set, section, false, error);
}

bool
guest_disks_fit_ha(StorageSet *set, const GuestSection *section, GError **error)
{
    g_autoptr(GPtrArray) drives = guest_drives(section, error);

    for (guint i = 0; drives != NULL && i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];
        const char *cache = q_property_get(drive->options, "cache", "none");
        g_autoptr(GuestVolume) volume = !drive->cdrom && !guest_drive_is_empty(drive)
                                            ? open_volume(set, drive, false, NULL)
                                            : NULL;

        if (volume != NULL && volume->shared && !q_is_word_of("none directsync", cache)) {
            return q_set_error(
                error, Q_ERROR_INVALID,
                "%s: cache=%s on shared storage is not safe under HA: use none or directsync",
                drive->id, cache);
        }
    }
    return drives != NULL;
}

/* ------------------------------------------------------------------ making */

/* "STORAGE:4", "STORAGE:0.5": GiB to make. */
static bool
is_allocation(const char *file, char **storage, double *gib)
{
    const char *colon = strchr(file, ':');

    if (colon == NULL || !q_matches("\\d+(\\.\\d+)?", colon + 1)) {
        return false;
    }
    *storage = g_strndup(file, colon - file);
    *gib = g_ascii_strtod(colon + 1, NULL);
    return true;
}

static bool
check_allocation(StorageSet *set, const char *id, double gib, const GuestDrive *drive,
                 GError **error)
{
    Storage *storage = storage_get(set, id, error);

    if (storage == NULL) {
        return false;
    }
    if (drive->cdrom) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "a CD-ROM drive takes an ISO image: %s:iso/NAME.iso", id);
    }
    if (q_property_get(drive->options, "import-from", NULL) != NULL) {
        return q_set_error(error, Q_ERROR_UNSUPPORTED, "import-from is not supported yet");
    }
    if (!storage_has_content(storage, "images")) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "storage '%s' does not support content type 'images'", id);
    }
    return (gib > 0 && gib <= MAX_GIB)
           || q_set_error(error, Q_ERROR_INVALID,
                          "a size of %g GiB is not possible: more than 0, at most %.0f", gib,
                          MAX_GIB);
}

static char *
allocate(StorageSet *set, CfsClient *cfs, uint32_t vmid, const char *storage, double gib,
         const GuestDrive *drive, GPtrArray *made, GError **error)
{
    if (!check_allocation(set, storage, gib, drive, error)) {
        return NULL;
    }
    /* Whole sectors of 4 KiB, whatever fraction was asked for. */
    uint64_t bytes = ((uint64_t)(gib * GIB) + 4095) / 4096 * 4096;
    char *volid = storage_alloc(set, cfs, storage, vmid, NULL,
                                q_property_get(drive->options, "format", NULL), bytes, error);
    if (volid != NULL) {
        g_ptr_array_add(made, g_strdup(volid));
        q_property_set(drive->options, "format", NULL); /* the name says it */
    }
    return volid;
}

bool
guest_disk_check(StorageSet *set, const char *id, const char *value, GError **error)
{
    g_autoptr(GuestDrive) drive = guest_drive_parse(id, value, error);
    g_autofree char *storage = NULL;
    double gib;

    if (drive == NULL) {
        return false;
    }
    if (is_allocation(guest_drive_file(drive), &storage, &gib)) {
        return check_allocation(set, storage, gib, drive, error);
    }
    g_autoptr(GuestVolume) volume =
        guest_drive_is_empty(drive) ? NULL : open_volume(set, drive, true, error);
    return volume != NULL || guest_drive_is_empty(drive);
}

char *
guest_disk_prepare(StorageSet *set, CfsClient *cfs, uint32_t vmid, const char *id,
                   const char *value, GPtrArray *made, GError **error)
{
    g_autoptr(GuestDrive) drive = guest_drive_parse(id, value, error);
    g_autofree char *storage = NULL, *volid = NULL;
    double gib;

    if (drive == NULL) {
        return NULL;
    }
    if (is_allocation(guest_drive_file(drive), &storage, &gib)) {
        volid = allocate(set, cfs, vmid, storage, gib, drive, made, error);
        if (volid == NULL) {
            return NULL;
        }
        q_property_set(drive->options, "file", volid);
    } else if (guest_drive_is_empty(drive)) {
        return g_strdup(value);
    }
    /* What is not made here must be there already, and of a kind that fits. */
    g_autoptr(GuestVolume) volume = open_volume(set, drive, true, error);
    if (volume == NULL) {
        return NULL;
    }
    if (guest_drive_file(drive)[0] == '/') {
        return g_strdup(value);
    }
    g_autoptr(StorageVolume) stat = storage_volume_stat(set, guest_drive_file(drive), error);
    if (stat == NULL) {
        return NULL;
    }
    g_autofree char *size = q_size_text(stat->size_bytes);
    q_property_set(drive->options, "size", size);
    return q_property_string_text(drive->options);
}

/* ------------------------------------------------------------------ freeing */

int
guest_disks_free(StorageSet *set, CfsClient *cfs, GPtrArray *volumes,
                 void (*say)(const char *line, gpointer data), gpointer data)
{
    int left = 0;

    for (guint i = 0; i < volumes->len; i++) {
        const char *volid = volumes->pdata[i];
        g_autoptr(GError) error = NULL;

        if (!storage_free(set, cfs, volid, &error)
            && !g_error_matches(error, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            g_autofree char *line =
                g_strdup_printf("WARN: could not remove disk '%s': %s", volid, error->message);
            say(line, data);
            left++;
        }
    }
    return left;
}

static void
collect(const GuestSection *section, uint32_t vmid, GHashTable *found)
{
    g_autoptr(GPtrArray) keys = guest_section_keys(section);

    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *key = guest_key_find(keys->pdata[i], NULL);
        g_autoptr(QPropertyString) string = NULL;
        const char *file = NULL;

        if (key != NULL && key->properties != NULL
            && (guest_key_is_disk(key) || key->properties == guest_unused_rows
                || key->properties == guest_efidisk_rows || key->properties == guest_tpm_rows)) {
            string = guest_get_properties(section, keys->pdata[i], NULL);
            file = string != NULL ? q_property_get(string, "file", NULL) : NULL;
        } else if (key != NULL && strcmp(key->name, "vmstate") == 0) {
            file = guest_get(section, "vmstate");
        }
        if (file != NULL && guest_volume_is_owned(file, vmid)) {
            g_hash_table_add(found, g_strdup(file));
        }
    }
}

GPtrArray *
guest_disks_owned(const GuestConfig *config, uint32_t vmid)
{
    g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) snapshots = guest_config_snapshots(config);
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);

    collect(guest_config_main(config), vmid, found);
    collect(guest_config_pending(config), vmid, found);
    for (guint i = 0; i < snapshots->len; i++) {
        collect(guest_config_snapshot(config, snapshots->pdata[i]), vmid, found);
    }
    g_autoptr(GPtrArray) names = q_sorted_keys(found);
    for (guint i = 0; i < names->len; i++) {
        g_ptr_array_add(list, g_strdup(names->pdata[i]));
    }
    return list;
}
