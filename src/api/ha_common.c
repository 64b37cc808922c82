#include <string.h>
#include "api/ha_priv.h"
#include "base/sorted.h"
#include "cluster/corosync_conf.h"
#include "ha/core/status.h"

#define DIGEST_TEXT "detected modified configuration - file changed by other user? Try again."

void
ha_sections_free(HaSections *sections)
{
    if (sections != NULL) {
        q_section_config_free(sections->config);
        g_free(sections->digest);
        g_free(sections);
    }
}

HaSections *
ha_sections_read(CfsClient *cfs, const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    uint64_t version = CFS_ABSENT;
    g_autofree char *text = cfs_read(cfs, path, &version, NULL, &cause);

    if (text == NULL && !g_error_matches(cause, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    HaSections *sections = g_new0(HaSections, 1);
    sections->path = path;
    sections->config = q_section_config_parse(text);
    sections->version = text != NULL ? version : CFS_ABSENT;
    sections->digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, text != NULL ? text : "", -1);
    return sections;
}

bool
ha_sections_check_digest(const HaSections *sections, const char *digest, GError **error)
{
    return digest == NULL || g_ascii_strcasecmp(digest, sections->digest) == 0
           || q_set_error(error, Q_ERROR_CONFLICT, "%s", DIGEST_TEXT);
}

void
ha_sections_add(const HaSections *sections, CfsTxn *txn)
{
    g_autofree char *text = q_section_config_text(sections->config);

    cfs_txn_if_version(txn, sections->path, sections->version);
    cfs_txn_write(txn, sections->path, text);
}

bool
ha_make_folder(CfsClient *cfs, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GPtrArray) entries = cfs_list(cfs, "ha", &cause);

    if (entries != NULL || !g_error_matches(cause, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        return true; /* whatever else is wrong shows when it is written to */
    }
    g_clear_error(&cause);
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_mkdir(txn, "ha");
    if (cfs_txn_commit(cfs, txn, NULL, &cause) || g_error_matches(cause, Q_ERROR, Q_ERROR_EXISTS)) {
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&cause));
    return false;
}

bool
ha_sections_write(const HaSections *sections, CfsClient *cfs, GError **error)
{
    if (!ha_make_folder(cfs, error)) {
        return false;
    }
    CfsTxn *txn = cfs_txn_new();
    ha_sections_add(sections, txn);
    return cfs_txn_commit(cfs, txn, NULL, error);
}

/* ------------------------------------------------------------------ guests and nodes */

char *
ha_sid_parse(const char *text, uint32_t *vmid, GError **error)
{
    const char *number = g_str_has_prefix(text, "vm:") ? text + strlen("vm:") : text;
    guint64 value;

    if (g_str_has_prefix(text, "ct:")) {
        api_blame(error, "sid", "containers are not supported: '%s'", text);
        return NULL;
    }
    if (!g_ascii_string_to_unsigned(number, 10, 100, 999999999, &value, NULL)) {
        api_blame(error, "sid", "'%s' is no service id; expected vm:NUMBER or a guest's number",
                  text);
        return NULL;
    }
    if (vmid != NULL) {
        *vmid = (uint32_t)value;
    }
    return g_strdup_printf("vm:%u", (uint32_t)value);
}

char *
ha_guest_node(CfsClient *cfs, uint32_t vmid, GError **error)
{
    g_autofree char *name = g_strdup_printf("%u.conf", vmid);
    g_autoptr(GPtrArray) nodes = cfs_list(cfs, "nodes", error);

    if (nodes == NULL) {
        return NULL;
    }
    for (guint i = 0; i < nodes->len; i++) {
        const CfsEntry *node = nodes->pdata[i];
        g_autofree char *folder = g_strdup_printf("nodes/%s/qemu-server", node->name);
        g_autoptr(GPtrArray) guests = cfs_list(cfs, folder, NULL);

        for (guint g = 0; guests != NULL && g < guests->len; g++) {
            if (strcmp(((CfsEntry *)guests->pdata[g])->name, name) == 0) {
                return g_strdup(node->name);
            }
        }
    }
    q_set_error(error, Q_ERROR_NOT_FOUND, "guest %u does not exist", vmid);
    return NULL;
}

static void
note_online(CfsClient *cfs, GHashTable *online)
{
    g_autoptr(JsonObject) members = cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, NULL);
    JsonObject *list = members != NULL ? q_json_object(members, "nodelist") : NULL;
    g_autoptr(GList) names = list != NULL ? json_object_get_members(list) : NULL;

    for (GList *item = names; item != NULL; item = item->next) {
        JsonObject *row = q_json_object(list, item->data);

        if (row != NULL && q_json_bool(row, "online", false)) {
            g_hash_table_add(online, g_strdup(item->data));
        }
    }
}

GPtrArray *
ha_cluster_nodes(ApiCall *call, CfsClient *cfs, GHashTable **online, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *text = cfs_read(cfs, "corosync.conf", NULL, NULL, &cause);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    if (online != NULL) {
        *online = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        note_online(cfs, *online);
    }
    g_autoptr(CorosyncConf) conf = text != NULL ? corosync_conf_parse(text, NULL) : NULL;
    if (conf == NULL) {
        g_ptr_array_add(names, g_strdup(call->node));
        if (online != NULL) {
            g_hash_table_add(*online, g_strdup(call->node));
        }
        return names;
    }
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    for (guint i = 0; i < nodes->len; i++) {
        g_ptr_array_add(names, g_strdup(g_array_index(nodes, CorosyncNode, i).name));
    }
    g_ptr_array_sort(names, q_strcmp_ptr);
    return names;
}

/* ------------------------------------------------------------------ commands */

static char *
append_line(const char *text, gpointer line, GError **error)
{
    bool open_end = text[0] != '\0' && text[strlen(text) - 1] != '\n';

    return g_strdup_printf("%s%s%s\n", text, open_end ? "\n" : "", (const char *)line);
}

bool
ha_queue_command(CfsClient *cfs, const char *line, GError **error)
{
    return ha_make_folder(cfs, error)
           && cfs_modify(cfs, HA_COMMANDS_FILE, append_line, (gpointer)line, error);
}

/* ------------------------------------------------------------------ sections as JSON */

JsonObject *
ha_section_json(const QSection *section, const char *const *numbers, const char *const *booleans)
{
    JsonObject *object = json_object_new();
    g_autoptr(GPtrArray) keys = q_section_keys(section);

    for (guint i = 0; i < keys->len; i++) {
        const char *key = keys->pdata[i];

        if (numbers != NULL && g_strv_contains(numbers, key)) {
            json_object_set_int_member(object, key, q_section_get_int(section, key, 0));
        } else if (booleans != NULL && g_strv_contains(booleans, key)) {
            json_object_set_int_member(object, key, q_section_get_bool(section, key, true));
        } else {
            json_object_set_string_member(object, key, q_section_get(section, key, ""));
        }
    }
    return object;
}

bool
ha_delete_keys(ApiCall *call, QSection *section, char **keys, const char *const *known,
               GError **error)
{
    for (int i = 0; keys != NULL && keys[i] != NULL; i++) {
        if (!g_strv_contains(known, keys[i])) {
            return api_blame(error, "delete", "no such option '%s'", keys[i]);
        }
        if (api_given(call, keys[i])) {
            return api_blame(error, "delete", "option '%s' cannot be set and deleted at once",
                             keys[i]);
        }
        q_section_set(section, keys[i], NULL);
    }
    return true;
}
