#include "storage/storage.h"
#include <string.h>
#include "storage/core/volume_id.h"
#include "storage/lock.h"
#include "storage/plugin.h"

struct Storage {
    char *id;
    const QSection *section; /* borrowed from the set's configuration */
    const StoragePlugin *plugin;
};

struct StorageSet {
    StorageConfig *config;
    char *node;
    GHashTable *open; /* id -> Storage */
};

static const StoragePlugin *const plugins[] = { &storage_dir };

static void
storage_close(gpointer data)
{
    Storage *storage = data;

    g_free(storage->id);
    g_free(storage);
}

StorageSet *
storage_set_read(CfsClient *cfs, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autofree char *text = cfs_read(cfs, "storage.cfg", NULL, NULL, &missing);

    if (text == NULL && !g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return NULL;
    }
    StorageSet *set = g_new0(StorageSet, 1);
    set->config = storage_config_parse(text);
    set->node = g_strdup(cfs_client_node(cfs));
    set->open = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, storage_close);
    return set;
}

void
storage_set_free(StorageSet *set)
{
    if (set != NULL) {
        g_hash_table_unref(set->open);
        storage_config_free(set->config);
        g_free(set->node);
        g_free(set);
    }
}

GPtrArray *
storage_set_ids(StorageSet *set)
{
    return storage_config_ids(set->config);
}

const QSection *
storage_set_section(StorageSet *set, const char *id, GError **error)
{
    return storage_config_find(set->config, id, error);
}

Storage *
storage_get(StorageSet *set, const char *id, GError **error)
{
    Storage *storage = g_hash_table_lookup(set->open, id);
    const QSection *section = storage == NULL ? storage_config_find(set->config, id, error) : NULL;

    if (storage != NULL || section == NULL) {
        return storage;
    }
    if (storage_section_is_disabled(section)) {
        q_set_error(error, Q_ERROR_IO, "storage '%s' is disabled", id);
        return NULL;
    }
    if (!storage_section_is_on(section, set->node)) {
        q_set_error(error, Q_ERROR_IO, "storage '%s' is not available on node '%s'", id, set->node);
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(plugins); i++) {
        if (strcmp(plugins[i]->type, q_section_type(section)) == 0) {
            storage = g_new0(Storage, 1);
            storage->id = g_strdup(id);
            storage->section = section;
            storage->plugin = plugins[i];
            g_hash_table_insert(set->open, storage->id, storage);
            return storage;
        }
    }
    q_set_error(error, Q_ERROR_UNSUPPORTED, "storage '%s': type '%s' is not supported yet", id,
                q_section_type(section));
    return NULL;
}

bool
storage_available_on(StorageSet *set, const char *id, const char *node, GError **error)
{
    const QSection *section = storage_config_find(set->config, id, error);

    return section != NULL && !storage_section_is_disabled(section)
           && storage_section_is_on(section, node);
}

const char *
storage_id(const Storage *storage)
{
    return storage->id;
}

const char *
storage_type(const Storage *storage)
{
    return q_section_type(storage->section);
}

bool
storage_is_shared(const Storage *storage)
{
    return storage_section_is_shared(storage->section);
}

bool
storage_has_content(const Storage *storage, const char *content)
{
    g_auto(GStrv) contents = storage_section_content(storage->section);

    return g_strv_contains((const char *const *)contents, content);
}

bool
storage_activate(Storage *storage, GError **error)
{
    return storage->plugin->activate(storage->section, error)
           || q_prefix_error(error, "storage '%s': ", storage->id);
}

void
storage_status_clear(StorageStatus *status)
{
    g_clear_pointer(&status->why, g_free);
}

void
storage_status(Storage *storage, StorageStatus *status)
{
    *status = (StorageStatus){ 0 };
    storage->plugin->status(storage->section, status);
}

void
storage_volume_free(StorageVolume *volume)
{
    if (volume != NULL) {
        g_free(volume->volid);
        g_free(volume->content);
        g_free(volume->format);
        g_free(volume->parent);
        g_free(volume);
    }
}

static gint
compare_volumes(gconstpointer a, gconstpointer b)
{
    return strcmp((*(StorageVolume *const *)a)->volid, (*(StorageVolume *const *)b)->volid);
}

GPtrArray *
storage_list(Storage *storage, const char *content, uint32_t vmid, GError **error)
{
    g_autoptr(GPtrArray) volumes =
        g_ptr_array_new_with_free_func((GDestroyNotify)storage_volume_free);

    if (!storage->plugin->list(storage->section, content, vmid, volumes, error)) {
        q_prefix_error(error, "storage '%s': ", storage->id);
        return NULL;
    }
    g_ptr_array_sort(volumes, compare_volumes);
    return g_steal_pointer(&volumes);
}

/* ------------------------------------------------------------------ volumes */

static Storage *
open_volume(StorageSet *set, const char *volid, VolumeId **id, GError **error)
{
    g_autoptr(VolumeId) parsed = volume_id_parse(volid, error);
    Storage *storage = parsed != NULL ? storage_get(set, volume_id_storage(parsed), error) : NULL;

    if (storage != NULL) {
        *id = g_steal_pointer(&parsed);
    }
    return storage;
}

StorageVolume *
storage_volume_stat(StorageSet *set, const char *volid, GError **error)
{
    g_autoptr(VolumeId) id = NULL;
    Storage *storage = open_volume(set, volid, &id, error);

    return storage != NULL ? storage->plugin->stat(storage->section, volume_id_name(id), error)
                           : NULL;
}

char *
storage_path(StorageSet *set, const char *volid, char **format, uint32_t *vmid, char **content,
             GError **error)
{
    g_autoptr(VolumeId) id = NULL;

    if (volid[0] == '/') {
        if (format != NULL) {
            *format =
                g_strdup("raw"); /* never probed: a guest could write another format's header */
        }
        if (vmid != NULL) {
            *vmid = 0;
        }
        if (content != NULL) {
            *content = NULL;
        }
        return g_strdup(volid);
    }
    Storage *storage = open_volume(set, volid, &id, error);
    return storage != NULL ? storage->plugin->path(storage->section, volume_id_name(id), format,
                                                   vmid, content, error)
                           : NULL;
}

char *
storage_alloc(StorageSet *set, CfsClient *cfs, const char *id, uint32_t vmid, const char *name,
              const char *format, uint64_t size_bytes, GError **error)
{
    Storage *storage = storage_get(set, id, error);
    g_autofree char *reserved = NULL;

    if (storage == NULL || !storage_activate(storage, error)) {
        return NULL;
    }
    g_autofree char *standard = storage_section_format(storage->section);
    const char *wanted = format != NULL ? format : standard;
    if (!storage_has_content(storage, "images")) {
        q_set_error(error, Q_ERROR_INVALID, "storage '%s' does not support content type 'images'",
                    id);
        return NULL;
    }
    if (!storage->plugin->room(storage->section, wanted, size_bytes, error)) {
        q_prefix_error(error, "storage '%s': ", id);
        return NULL;
    }
    {
        g_autoptr(StorageLock) lock =
            storage_lock(cfs, storage->section, STORAGE_LOCK_WAIT_MS, error);

        if (lock != NULL) {
            reserved = storage->plugin->reserve(storage->section, vmid, name, wanted, error);
        }
    }
    if (reserved == NULL) {
        return NULL;
    }
    if (!storage->plugin->make(storage->section, reserved, wanted, size_bytes, error)) {
        storage->plugin->free(storage->section, reserved, NULL);
        q_prefix_error(error, "storage '%s': ", id);
        return NULL;
    }
    return g_strdup_printf("%s:%s", id, reserved);
}

bool
storage_free(StorageSet *set, CfsClient *cfs, const char *volid, GError **error)
{
    g_autoptr(VolumeId) id = NULL;
    Storage *storage = open_volume(set, volid, &id, error);

    if (storage == NULL || !storage_activate(storage, error)) {
        return false;
    }
    g_autoptr(StorageLock) lock = storage_lock(cfs, storage->section, STORAGE_LOCK_WAIT_MS, error);
    return lock != NULL && storage->plugin->free(storage->section, volume_id_name(id), error);
}
