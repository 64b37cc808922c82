#include "guest/core/drive.h"
#include <string.h>

static const char *const buses[] = { "ide", "scsi", "virtio",
                                     "sata" }; /* the order of disks everywhere */

void
guest_drive_free(GuestDrive *drive)
{
    if (drive != NULL) {
        g_free(drive->id);
        q_property_string_free(drive->options);
        g_free(drive);
    }
}

GuestDrive *
guest_drive_parse(const char *id, const char *value, GError **error)
{
    int index;
    const GuestKey *key = guest_key_find(id, &index);

    if (key == NULL || !guest_key_is_disk(key)) {
        q_set_error(error, Q_ERROR_INVALID, "'%s' is no drive", id);
        return NULL;
    }
    QPropertyString *options =
        q_property_string_parse(guest_disk_rows, value, Q_PROPERTY_LENIENT, error);
    if (options == NULL) {
        q_prefix_error(error, "%s: ", id);
        return NULL;
    }
    GuestDrive *drive = g_new0(GuestDrive, 1);
    drive->id = g_strdup(id);
    drive->bus = key->name;
    drive->index = index;
    drive->options = options;
    /* "cdrom" is the host's drive: a CD also where nobody wrote media=cdrom. */
    drive->cdrom = strcmp(q_property_get(options, "media", "disk"), "cdrom") == 0
                   || strcmp(q_property_get(options, "file", ""), "cdrom") == 0;
    return drive;
}

GPtrArray *
guest_drives(const GuestSection *section, GError **error)
{
    g_autoptr(GPtrArray) drives = g_ptr_array_new_with_free_func((GDestroyNotify)guest_drive_free);

    for (size_t i = 0; i < G_N_ELEMENTS(buses); i++) {
        for (int n = 0; n < 31; n++) {
            g_autofree char *id = g_strdup_printf("%s%d", buses[i], n);
            const char *value = guest_key_find(id, NULL) != NULL ? guest_get(section, id) : NULL;

            if (value != NULL) {
                GuestDrive *drive = guest_drive_parse(id, value, error);
                if (drive == NULL) {
                    return NULL;
                }
                g_ptr_array_add(drives, drive);
            }
        }
    }
    return g_steal_pointer(&drives);
}

const char *
guest_drive_file(const GuestDrive *drive)
{
    return q_property_get(drive->options, "file", "none");
}

bool
guest_drive_is_empty(const GuestDrive *drive)
{
    return drive->cdrom && q_is_word_of("none cdrom", guest_drive_file(drive));
}

bool
guest_drive_is_cloudinit(const GuestDrive *drive)
{
    return g_regex_match_simple("(^|[:/])vm-\\d+-cloudinit(\\.|$)", guest_drive_file(drive), 0, 0);
}

/* ------------------------------------------------------------------ boot order */

static GuestDrive *
find_drive(GPtrArray *drives, const char *id)
{
    for (guint i = 0; i < drives->len; i++) {
        if (strcmp(((GuestDrive *)drives->pdata[i])->id, id) == 0) {
            return drives->pdata[i];
        }
    }
    return NULL;
}

static void
set_index(GHashTable *indexes, const char *id, int index)
{
    g_hash_table_insert(indexes, g_strdup(id), GINT_TO_POINTER(index));
}

static void
boot_by_order(const char *order, GHashTable *indexes)
{
    g_auto(GStrv) devices = g_strsplit(order, ";", -1);
    int index = 100;

    for (int i = 0; devices[i] != NULL; i++) {
        char *id = g_strstrip(devices[i]);

        if (*id != '\0' && !g_hash_table_contains(indexes, id)) {
            set_index(indexes, id, index++);
        }
    }
}

static void
boot_networks(const GuestSection *section, GHashTable *indexes, int index)
{
    for (int n = 0; n < 32; n++) {
        g_autofree char *id = g_strdup_printf("net%d", n);

        if (guest_get(section, id) != NULL) {
            set_index(indexes, id, index++);
        }
    }
}

/* Only the boot disk, after as many steps as there are disks before it. */
static void
boot_disk(const GuestSection *section, GPtrArray *drives, GHashTable *indexes, int index)
{
    const char *bootdisk = guest_get(section, "bootdisk");

    if (bootdisk == NULL || find_drive(drives, bootdisk) == NULL) {
        return;
    }
    for (guint i = 0; i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];

        if (strcmp(drive->id, bootdisk) == 0) {
            set_index(indexes, drive->id, index);
            return;
        }
        index += !drive->cdrom;
    }
}

static void
boot_by_letters(const GuestSection *section, const char *letters, GPtrArray *drives,
                GHashTable *indexes)
{
    for (int i = 0; letters[i] != '\0'; i++) {
        int index = (i + 1) * 100;

        switch (letters[i]) {
        case 'c':
            boot_disk(section, drives, indexes, index);
            break;
        case 'd':
            for (guint d = 0; d < drives->len; d++) {
                const GuestDrive *drive = drives->pdata[d];

                if (drive->cdrom) {
                    set_index(indexes, drive->id, index++);
                }
            }
            break;
        case 'n':
            boot_networks(section, indexes, index);
            break;
        default: /* 'a': there are no floppies, the letter only counts */
            break;
        }
    }
}

GHashTable *
guest_boot_indexes(const GuestSection *section, GPtrArray *drives, GError **error)
{
    g_autoptr(GHashTable) indexes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const char *boot = guest_get(section, "boot");

    if (boot != NULL && *boot == '\0') {
        return g_steal_pointer(&indexes); /* nothing shall be booted */
    }
    g_autoptr(QPropertyString) string = guest_get_properties(section, "boot", error);
    if (boot != NULL && string == NULL) {
        return NULL;
    }
    const char *order = string != NULL ? q_property_get(string, "order", NULL) : NULL;
    if (order != NULL) {
        boot_by_order(order, indexes);
    } else {
        const char *letters = string != NULL ? q_property_get(string, "legacy", "cdn") : "cdn";
        boot_by_letters(section, letters, drives, indexes);
    }
    return g_steal_pointer(&indexes);
}

char *
guest_boot_default(const GuestSection *section)
{
    g_autoptr(GPtrArray) drives = guest_drives(section, NULL);
    g_autoptr(GPtrArray) order = g_ptr_array_new_with_free_func(g_free);

    for (int cdrom = 0; cdrom < 2 && drives != NULL; cdrom++) {
        for (guint i = 0; i < drives->len; i++) {
            const GuestDrive *drive = drives->pdata[i];

            if (drive->cdrom == (cdrom == 1) && !guest_drive_is_cloudinit(drive)) {
                g_ptr_array_add(order, g_strdup(drive->id));
                break;
            }
        }
    }
    for (int n = 0; n < 32; n++) {
        g_autofree char *id = g_strdup_printf("net%d", n);

        if (guest_get(section, id) != NULL) {
            g_ptr_array_add(order, g_steal_pointer(&id));
            break;
        }
    }
    if (order->len == 0) {
        return NULL;
    }
    g_ptr_array_add(order, NULL);
    g_autofree char *list = g_strjoinv(";", (char **)order->pdata);
    return g_strdup_printf("order=%s", list);
}
