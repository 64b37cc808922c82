#include "guest/core/pending.h"
#include <string.h>
#include "base/sorted.h"
#include "guest/core/drive.h"

#define UNUSED_MAX 256

bool
guest_volume_is_owned(const char *volume, uint32_t vmid)
{
    g_autofree char *pattern = g_strdup_printf("[^/:]+:(?:.*/)?(?:vm|base|subvol)-%u-[^/]+", vmid);

    return q_matches(pattern, volume);
}

static bool
is_drive(const char *key)
{
    const GuestKey *row = guest_key_find(key, NULL);

    return row != NULL && guest_key_is_disk(row);
}

/* The volume of @key's value that belongs to this guest: (transfer full), or NULL. */
static char *
owned_volume(const char *key, const char *value, uint32_t vmid)
{
    const GuestKey *row = guest_key_find(key, NULL);
    g_autoptr(QPropertyString) string = NULL;

    if (row == NULL || row->properties == NULL || value == NULL
        || !(guest_key_is_disk(row) || row->properties == guest_unused_rows
             || row->properties == guest_efidisk_rows || row->properties == guest_tpm_rows)) {
        return NULL;
    }
    string = q_property_string_parse(row->properties, value, Q_PROPERTY_LENIENT, NULL);
    const char *file = string != NULL ? q_property_get(string, "file", NULL) : NULL;
    return file != NULL && guest_volume_is_owned(file, vmid) ? g_strdup(file) : NULL;
}

static bool
is_used_elsewhere(const GuestSection *section, const char *except, const char *volume,
                  uint32_t vmid)
{
    g_autoptr(GPtrArray) keys = guest_section_keys(section);

    for (guint i = 0; i < keys->len; i++) {
        g_autofree char *other =
            strcmp(keys->pdata[i], except) != 0
                ? owned_volume(keys->pdata[i], guest_get(section, keys->pdata[i]), vmid)
                : NULL;
        if (g_strcmp0(other, volume) == 0) {
            return true;
        }
    }
    return false;
}

static void
keep_unused(GuestSection *section, const char *volume)
{
    for (int n = 0; n < UNUSED_MAX; n++) {
        g_autofree char *key = g_strdup_printf("unused%d", n);

        if (guest_get(section, key) == NULL) {
            guest_set(section, key, volume);
            return;
        }
    }
}

static bool
snapshots_use(const GuestConfig *config, const char *volume, uint32_t vmid)
{
    g_autoptr(GPtrArray) names = guest_config_snapshots(config);

    for (guint i = 0; i < names->len; i++) {
        if (is_used_elsewhere(guest_config_snapshot(config, names->pdata[i]), "", volume, vmid)) {
            return true;
        }
    }
    return false;
}

/* Takes @key out of the main section, and sees to the volume that it held. */
static void
remove_now(GuestConfig *config, const char *key, bool force, const GuestChange *change)
{
    GuestSection *section = guest_config_main(config);
    g_autofree char *volume = owned_volume(key, guest_get(section, key), change->vmid);
    const GuestKey *row = guest_key_find(key, NULL);
    bool is_unused = row != NULL && row->properties == guest_unused_rows;

    guest_set(section, key, NULL);
    if (volume == NULL || is_used_elsewhere(section, key, volume, change->vmid)) {
        return;
    }
    bool generated = strstr(volume, "-cloudinit") != NULL;
    if ((force || is_unused || generated) && !snapshots_use(config, volume, change->vmid)) {
        g_ptr_array_add(change->freed, g_strdup(volume));
    } else {
        keep_unused(section, volume);
    }
}

static void
set_now(GuestConfig *config, const char *key, const char *value, const GuestChange *change)
{
    GuestSection *section = guest_config_main(config);
    g_autofree char *before = owned_volume(key, guest_get(section, key), change->vmid);
    g_autofree char *after = owned_volume(key, value, change->vmid);
    g_autofree char *copy = g_strdup(value);

    if (before != NULL && g_strcmp0(before, after) != 0) {
        remove_now(config, key, false, change);
    }
    guest_set(section, key, copy);
}

/* ------------------------------------------------------------------ the boot order */

/* @order without @key, or with it at the end; (transfer full), NULL if nothing is left. */
static char *
change_order(const char *order, const char *key, bool add)
{
    g_auto(GStrv) devices = g_strsplit(order, ";", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    bool found = false;

    for (int i = 0; devices[i] != NULL; i++) {
        bool same = strcmp(devices[i], key) == 0;

        found = found || same;
        if (devices[i][0] != '\0' && (add || !same)) {
            g_ptr_array_add(kept, devices[i]);
        }
    }
    if (add && !found) {
        g_ptr_array_add(kept, (char *)key);
    }
    g_ptr_array_add(kept, NULL);
    return kept->len > 1 ? g_strjoinv(";", (char **)kept->pdata) : NULL;
}

/* Deleted devices leave the order, new CD drives join it. */
static void
follow_boot_order(GuestConfig *config, const char *key, bool add, const GuestChange *change)
{
    g_autoptr(GuestConfig) effective = guest_config_effective(config);
    g_autoptr(QPropertyString) boot =
        guest_get_properties(guest_config_main(effective), "boot", NULL);
    const char *order = boot != NULL ? q_property_get(boot, "order", NULL) : NULL;

    if (order == NULL) {
        return;
    }
    g_autofree char *list = change_order(order, key, add);
    g_autofree char *value = list != NULL ? g_strdup_printf("order=%s", list) : g_strdup("");
    if (g_strcmp0(list, order) != 0) {
        guest_change_set(config, "boot", value, change);
    }
}

bool
guest_check_boot(const GuestSection *section, GError **error)
{
    g_autoptr(QPropertyString) boot = guest_get_properties(section, "boot", NULL);
    g_auto(GStrv) devices =
        g_strsplit(boot != NULL ? q_property_get(boot, "order", "") : "", ";", -1);

    for (int i = 0; devices[i] != NULL; i++) {
        const GuestKey *key = devices[i][0] != '\0' ? guest_key_find(devices[i], NULL) : NULL;
        bool bootable =
            key != NULL
            && (guest_key_is_disk(key) || key->properties == guest_net_rows
                || key->properties == guest_hostpci_rows || key->properties == guest_usb_rows);

        if (devices[i][0] != '\0' && (!bootable || guest_get(section, devices[i]) == NULL)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "device '%s' does not exist, it cannot be booted from", devices[i]);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ changes */

static bool
waits(const char *key, const GuestChange *change)
{
    const GuestKey *row = guest_key_find(key, NULL);

    return change->running && row != NULL && row->apply == GUEST_APPLY_PENDING;
}

/* Options of a drive that only jobs and the next start read: changed at once while it runs. */
static bool
is_quiet_drive_change(const char *before, const char *after)
{
    static const char *const quiet[] = { "backup", "replicate", "shared", "size" };
    g_autoptr(QPropertyString) old =
        q_property_string_parse(guest_disk_rows, before, Q_PROPERTY_LENIENT, NULL);
    g_autoptr(QPropertyString) new =
        q_property_string_parse(guest_disk_rows, after, Q_PROPERTY_LENIENT, NULL);

    if (old == NULL || new == NULL) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(quiet); i++) {
        q_property_set(old, quiet[i], NULL);
        q_property_set(new, quiet[i], NULL);
    }
    g_autofree char *left = q_property_string_text(old);
    g_autofree char *right = q_property_string_text(new);
    return strcmp(left, right) == 0;
}

static bool
is_new_cdrom(const GuestConfig *config, const char *key, const char *value)
{
    g_autoptr(GuestDrive) drive = is_drive(key) ? guest_drive_parse(key, value, NULL) : NULL;

    return drive != NULL && drive->cdrom && !guest_drive_is_cloudinit(drive)
           && guest_get(guest_config_main(config), key) == NULL
           && guest_get(guest_config_pending(config), key) == NULL;
}

void
guest_change_set(GuestConfig *config, const char *key, const char *value, const GuestChange *change)
{
    GuestSection *pending = guest_config_pending(config);
    const char *present = guest_get(guest_config_main(config), key);
    bool new_cdrom = is_new_cdrom(config, key, value);
    g_autofree char *wanted = g_strdup(value); /* @value may live in what we change */

    g_hash_table_remove(guest_deletions(config), key);
    if (waits(key, change) && g_strcmp0(present, wanted) != 0
        && !(is_drive(key) && present != NULL && is_quiet_drive_change(present, wanted))) {
        guest_set(pending, key, wanted);
    } else {
        guest_set(pending, key, NULL);
        set_now(config, key, wanted, change);
    }
    if (new_cdrom) {
        follow_boot_order(config, key, true, change);
    }
    if (strcmp(key, "boot") == 0 && strstr(wanted, "order=") != NULL
        && guest_get(guest_config_main(config), "bootdisk") != NULL) {
        guest_change_delete(config, "bootdisk", false, change);
    }
}

void
guest_change_delete(GuestConfig *config, const char *key, bool force, const GuestChange *change)
{
    guest_set(guest_config_pending(config), key, NULL);
    if (guest_get(guest_config_main(config), key) == NULL) {
        g_hash_table_remove(guest_deletions(config), key);
        return;
    }
    if (waits(key, change)) {
        g_hash_table_insert(guest_deletions(config), g_strdup(key), force ? g_strdup("!") : NULL);
    } else {
        g_hash_table_remove(guest_deletions(config), key);
        remove_now(config, key, force, change);
    }
    follow_boot_order(config, key, false, change);
}

void
guest_change_revert(GuestConfig *config, const char *key)
{
    guest_set(guest_config_pending(config), key, NULL);
    g_hash_table_remove(guest_deletions(config), key);
}

void
guest_pending_apply(GuestConfig *config, const GuestChange *change)
{
    GuestSection *pending = guest_config_pending(config);
    GuestChange now = { .vmid = change->vmid, .running = false, .freed = change->freed };
    g_autoptr(GPtrArray) removed = q_sorted_keys(guest_deletions(config));
    g_autoptr(GPtrArray) keys = guest_section_keys(pending);

    for (guint i = 0; i < removed->len; i++) {
        g_autofree char *key = g_strdup(removed->pdata[i]);
        bool force = g_hash_table_lookup(guest_deletions(config), key) != NULL;

        g_hash_table_remove(guest_deletions(config), key);
        remove_now(config, key, force, &now);
    }
    for (guint i = 0; i < keys->len; i++) {
        g_autofree char *key = g_strdup(keys->pdata[i]);
        g_autofree char *value = g_strdup(guest_get(pending, key));

        set_now(config, key, value, &now);
        guest_set(pending, key, NULL);
    }
}

GuestConfig *
guest_config_effective(const GuestConfig *config)
{
    g_autofree char *text = guest_config_text(config);
    GuestConfig *effective = guest_config_parse(text);
    GuestSection *main = guest_config_main(effective);
    GuestSection *pending = guest_config_pending(effective);
    g_autoptr(GPtrArray) removed = q_sorted_keys(guest_deletions(effective));
    g_autoptr(GPtrArray) keys = guest_section_keys(pending);

    for (guint i = 0; i < removed->len; i++) {
        guest_set(main, removed->pdata[i], NULL);
    }
    for (guint i = 0; i < keys->len; i++) {
        guest_set(main, keys->pdata[i], guest_get(pending, keys->pdata[i]));
    }
    return effective;
}

/* ------------------------------------------------------------------ listing */

static void
row_free(gpointer data)
{
    GuestPendingRow *row = data;

    g_free(row->key);
    g_free(row->value);
    g_free(row->pending);
    g_free(row);
}

static void
add_keys(GHashTable *all, GPtrArray *keys)
{
    for (guint i = 0; i < keys->len; i++) {
        g_hash_table_add(all, g_strdup(keys->pdata[i]));
    }
}

GPtrArray *
guest_pending_rows(const GuestConfig *config)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func(row_free);
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) present = guest_section_keys(guest_config_main(config));
    g_autoptr(GPtrArray) waiting = guest_section_keys(guest_config_pending(config));

    add_keys(all, present);
    add_keys(all, waiting);
    g_autoptr(GPtrArray) keys = q_sorted_keys(all);
    for (guint i = 0; i < keys->len; i++) {
        GuestPendingRow *row = g_new0(GuestPendingRow, 1);
        gpointer force;

        row->key = g_strdup(keys->pdata[i]);
        row->value = g_strdup(guest_get(guest_config_main(config), row->key));
        row->pending = g_strdup(guest_get(guest_config_pending(config), row->key));
        if (g_hash_table_lookup_extended(guest_deletions(config), row->key, NULL, &force)) {
            row->removal = force != NULL ? 2 : 1;
        }
        g_ptr_array_add(rows, row);
    }
    return rows;
}
