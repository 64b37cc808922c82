#include "guest/file.h"
#include <stdlib.h>
#include <string.h>
#include "base/section_config.h"

#define LOCK_DIR "/var/lock/qemu-server"
#define HA_RESOURCES "ha/resources.cfg"

void
guest_file_free(GuestFile *file)
{
    if (file != NULL) {
        g_free(file->node);
        g_free(file->path);
        g_free(file->text);
        g_free(file->digest);
        guest_config_free(file->config);
        g_free(file);
    }
}

char *
guest_file_path(const char *node, uint32_t vmid)
{
    return g_strdup_printf("nodes/%s/qemu-server/%u.conf", node, vmid);
}

GuestFile *
guest_file_read(CfsClient *cfs, const char *node, uint32_t vmid, GError **error)
{
    g_autoptr(GuestFile) file = g_new0(GuestFile, 1);
    g_autoptr(GError) missing = NULL;

    file->vmid = vmid;
    file->node = g_strdup(node != NULL ? node : cfs_client_node(cfs));
    file->path = guest_file_path(file->node, vmid);
    file->text = cfs_read(cfs, file->path, &file->version, NULL, &missing);
    if (file->text == NULL) {
        if (g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "Configuration file '%s' does not exist",
                        file->path);
            if (error != NULL) {
                q_error_set_http_status(*error, 500); /* clients match on it */
            }
        } else {
            g_propagate_error(error, g_steal_pointer(&missing));
        }
        return NULL;
    }
    file->digest = guest_config_digest(file->text);
    file->config = guest_config_parse(file->text);
    return g_steal_pointer(&file);
}

bool
guest_file_write(CfsClient *cfs, GuestFile *file, GError **error)
{
    g_autofree char *text = guest_config_text(file->config);

    return strcmp(text, file->text) == 0 || cfs_write(cfs, file->path, text, file->version, error);
}

bool
guest_file_check_digest(const GuestFile *file, const char *digest, GError **error)
{
    return digest == NULL || strcmp(digest, file->digest) == 0
           || q_set_error(
               error, Q_ERROR_CONFLICT,
               "detected modified configuration - file changed by other user? Try again. "
               "(checksum mismatch (file change by other user?))");
}

bool
guest_file_check_lock(const GuestFile *file, bool skiplock, GError **error)
{
    const char *lock = guest_get(guest_config_main(file->config), "lock");

    return lock == NULL || skiplock || q_set_error(error, Q_ERROR_BUSY, "VM is locked (%s)", lock);
}

/* ------------------------------------------------------------------ who has what */

static int
compare_ids(gconstpointer a, gconstpointer b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static bool
parse_conf_name(const char *name, uint32_t *vmid)
{
    g_autofree char *stem =
        g_str_has_suffix(name, ".conf") ? g_strndup(name, strlen(name) - 5) : NULL;
    guint64 number;

    if (stem == NULL || !g_ascii_string_to_unsigned(stem, 10, 100, 999999999, &number, NULL)) {
        return false;
    }
    *vmid = number;
    return true;
}

GArray *
guest_list(CfsClient *cfs, const char *node, GError **error)
{
    g_autofree char *path = g_strdup_printf("nodes/%s/qemu-server", node);
    g_autoptr(GError) missing = NULL;
    g_autoptr(GPtrArray) entries = cfs_list(cfs, path, &missing);
    GArray *list = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    if (entries == NULL && !g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_array_unref(list);
        g_propagate_error(error, g_steal_pointer(&missing));
        return NULL;
    }
    for (guint i = 0; entries != NULL && i < entries->len; i++) {
        const CfsEntry *entry = entries->pdata[i];
        uint32_t vmid;

        if (!entry->is_dir && parse_conf_name(entry->name, &vmid)) {
            g_array_append_val(list, vmid);
        }
    }
    g_array_sort(list, compare_ids);
    return list;
}

/* 1: there, 0: not there, -1: error */
static int
has_entry(CfsClient *cfs, const char *folder, const char *name, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autoptr(GPtrArray) entries = cfs_list(cfs, folder, &missing);

    if (entries == NULL) {
        if (g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)) {
            return 0;
        }
        g_propagate_error(error, g_steal_pointer(&missing));
        return -1;
    }
    for (guint i = 0; i < entries->len; i++) {
        if (strcmp(((CfsEntry *)entries->pdata[i])->name, name) == 0) {
            return 1;
        }
    }
    return 0;
}

char *
guest_find_node(CfsClient *cfs, uint32_t vmid, GError **error)
{
    static const char *const kinds[] = { "qemu-server", "lxc" }; /* ids are unique over both */
    g_autoptr(GPtrArray) nodes = cfs_list(cfs, "nodes", error);
    g_autofree char *name = g_strdup_printf("%u.conf", vmid);

    for (guint i = 0; nodes != NULL && i < nodes->len; i++) {
        const CfsEntry *node = nodes->pdata[i];

        for (size_t k = 0; node->is_dir && k < G_N_ELEMENTS(kinds); k++) {
            g_autofree char *folder = g_strdup_printf("nodes/%s/%s", node->name, kinds[k]);
            int found = has_entry(cfs, folder, name, error);

            if (found != 0) {
                return found > 0 ? g_strdup(node->name) : NULL;
            }
        }
    }
    return NULL;
}

QFileLock *
guest_lock_file(uint32_t vmid, int wait_ms, void (*say)(const char *line, gpointer data),
                gpointer data, GError **error)
{
    g_autofree char *path = g_strdup_printf(LOCK_DIR "/lock-%u.conf", vmid);

    if (!q_file_make_dir(LOCK_DIR, 0755, error)) {
        return NULL;
    }
    QFileLock *lock = q_file_lock(path, 0, NULL);
    if (lock == NULL && wait_ms > 0) {
        if (say != NULL) {
            say("trying to acquire lock...", data);
        }
        lock = q_file_lock(path, wait_ms, error);
        if (lock != NULL && say != NULL) {
            say(" OK", data);
        }
    } else if (lock == NULL) {
        q_set_error(error, Q_ERROR_BUSY, "can't lock file '%s' - got timeout", path);
    }
    return lock;
}

/* ------------------------------------------------------------------ high availability's wish */

void
guest_ha_clear(GuestHa *ha)
{
    g_clear_pointer(&ha->state, g_free);
}

bool
guest_ha_read(CfsClient *cfs, uint32_t vmid, GuestHa *ha, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autofree char *text = cfs_read(cfs, HA_RESOURCES, NULL, NULL, &missing);
    g_autofree char *id = g_strdup_printf("%u", vmid);

    *ha = (GuestHa){ 0 };
    if (text == NULL) {
        return g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)
               || (g_propagate_error(error, g_steal_pointer(&missing)), false);
    }
    g_autoptr(QSectionConfig) resources = q_section_config_parse(text);
    GPtrArray *sections = q_section_config_sections(resources);
    for (guint i = 0; i < sections->len; i++) {
        const QSection *section = sections->pdata[i];

        if (strcmp(q_section_type(section), "vm") == 0 && strcmp(q_section_id(section), id) == 0) {
            const char *state = q_section_get(section, "state", "started");

            ha->state = g_strdup(strcmp(state, "enabled") == 0 ? "started" : state);
            ha->managed = strcmp(state, "ignored") != 0;
        }
    }
    return true;
}

typedef struct {
    char *id;
    const char *state;
} HaChange;

static char *
change_state(const char *text, gpointer data, GError **error)
{
    const HaChange *change = data;
    g_autoptr(QSectionConfig) resources = q_section_config_parse(text);
    GPtrArray *sections = q_section_config_sections(resources);

    for (guint i = 0; i < sections->len; i++) {
        QSection *section = sections->pdata[i];

        if (strcmp(q_section_type(section), "vm") == 0
            && strcmp(q_section_id(section), change->id) == 0) {
            q_section_set(section, "state", change->state);
            return q_section_config_text(resources);
        }
    }
    q_set_error(error, Q_ERROR_NOT_FOUND, "no such resource 'vm:%s'", change->id);
    return NULL;
}

bool
guest_ha_request(CfsClient *cfs, uint32_t vmid, const char *state, GError **error)
{
    g_autofree char *id = g_strdup_printf("%u", vmid);
    HaChange change = { id, state };

    return cfs_modify(cfs, HA_RESOURCES, change_state, &change, error);
}
