#include <string.h>
#include "api/qemu_priv.h"
#include "base/sorted.h"
#include "guest/core/pending.h"
#include "guest/core/qemu_args.h"
#include "guest/disks.h"
#include "guest/host.h"

#define LOCK_MS 10000

/* ------------------------------------------------------------------ read */

typedef struct {
    char *node;
    uint32_t vmid;
    bool current;
    char *snapshot;
} ConfigArgs;

static const ApiParam config_params[] = {
    QEMU_PARAM_NODE(ConfigArgs),
    QEMU_PARAM_VMID(ConfigArgs),
    API_PARAM(ConfigArgs, current, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "As it is, without pending changes."),
    API_PARAM(ConfigArgs, snapshot, API_STRING, .optional = true, .doc = "Of this snapshot."),
    { 0 },
};

static JsonNode *
config_run(ApiCall *call, const void *data, GError **error)
{
    const ConfigArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;
    const GuestSection *section = NULL;

    if (file == NULL) {
        return NULL;
    }
    if (args->snapshot != NULL && args->current) {
        api_blame(error, "snapshot", "cannot use 'snapshot' together with 'current'");
        return NULL;
    }
    g_autoptr(GuestConfig) effective = guest_config_effective(file->config);
    section = guest_config_main(args->current ? file->config : effective);
    if (args->snapshot != NULL) {
        section = guest_config_snapshot(file->config, args->snapshot);
        if (section == NULL) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "snapshot '%s' does not exist", args->snapshot);
            return NULL;
        }
    }
    JsonObject *answer = qemu_config_json(section);
    json_object_set_string_member(answer, "digest", file->digest);
    return q_json_node_object(answer);
}

const ApiMethod api_qemu_config = {
    .verb = API_GET,
    .path = "/nodes/{node}/qemu/{vmid}/config",
    .doc = "Configuration of a guest, pending changes applied.",
    .params = config_params,
    .returns = API_OBJECT,
    .access = "perm(/vms/{vmid}, VM.Audit)",
    .on_node = "node",
    .as_root = true,
    .run = config_run,
};

/* ------------------------------------------------------------------ pending */

typedef struct {
    char *node;
    uint32_t vmid;
} GuestArgs;

static const ApiParam guest_params[] = { QEMU_PARAM_NODE(GuestArgs),
                                         QEMU_PARAM_VMID(GuestArgs),
                                         { 0 } };

static const ApiColumn pending_columns[] = {
    { "key", API_STRING, .doc = "Key." },
    { "value", API_STRING, .optional = true, .doc = "Present value." },
    { "pending", API_STRING, .optional = true, .doc = "Value from the next start on." },
    { "delete", API_INTEGER, .optional = true,
      .doc = "1: removed at the next start; 2: with its volume." },
    { 0 },
};

static JsonNode *
pending_run(ApiCall *call, const void *data, GError **error)
{
    const GuestArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;
    if (file == NULL) {
        return NULL;
    }
    g_autoptr(GPtrArray) rows = guest_pending_rows(file->config);
    JsonArray *answer = json_array_new();

    for (guint i = 0; i < rows->len; i++) {
        const GuestPendingRow *row = rows->pdata[i];
        bool secret = strcmp(row->key, "cipassword") == 0;
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "key", row->key);
        if (row->value != NULL) {
            json_object_set_string_member(object, "value", secret ? "**********" : row->value);
        }
        if (row->pending != NULL) {
            json_object_set_string_member(object, "pending", secret ? "**********" : row->pending);
        }
        if (row->removal != 0) {
            json_object_set_int_member(object, "delete", row->removal);
        }
        json_array_add_object_element(answer, object);
    }
    return q_json_node_array(answer);
}

const ApiMethod api_qemu_pending = {
    .verb = API_GET,
    .path = "/nodes/{node}/qemu/{vmid}/pending",
    .doc = "Configuration of a guest, with what waits for its next start.",
    .params = guest_params,
    .returns = API_ROWS,
    .columns = pending_columns,
    .access = "perm(/vms/{vmid}, VM.Audit)",
    .on_node = "node",
    .as_root = true,
    .run = pending_run,
};

/* ------------------------------------------------------------------ change */

typedef struct {
    char *node;
    uint32_t vmid;
    GHashTable *keys;
    char **delete;
    char **revert;
    bool force;
    bool skiplock;
    char *digest;
    int64_t background_delay;
} SetArgs;

#define SET_PARAMS                                                                                 \
    QEMU_PARAM_NODE(SetArgs), QEMU_PARAM_VMID(SetArgs),                                            \
        API_PARAM(SetArgs, keys, API_SPLICE, .splice = &qemu_keys),                                \
        API_PARAM(SetArgs, delete, API_LIST, .optional = true, .doc = "Keys to remove."),          \
        API_PARAM(SetArgs, revert, API_LIST, .optional = true,                                     \
                  .doc = "Keys whose pending change is dropped."),                                 \
        API_PARAM(SetArgs, force, API_BOOLEAN, .optional = true, .requires = "delete",             \
                  .doc = "Delete the volumes of removed drives too."),                             \
        QEMU_PARAM_SKIPLOCK(SetArgs),                                                              \
        API_PARAM(SetArgs, digest, API_DIGEST, .optional = true,                                   \
                  .doc = "Refuse if the file is not as it was read.")

static const ApiParam set_params[] = { SET_PARAMS, { 0 } };
static const ApiParam async_params[] = {
    SET_PARAMS,
    API_PARAM(SetArgs, background_delay, API_INTEGER, .optional = true, API_MIN(1), API_MAX(30),
              .doc = "Seconds to wait for the result before the task is left to itself."),
    { 0 },
};

typedef struct {
    ApiCall *call;
    const SetArgs *args;
    CfsClient *cfs;
    GuestFile *file;
    StorageSet *set;
    GuestChange change;
    GPtrArray *made; /* volumes, to be freed if the change fails */
} Setting;

static bool
is_removal_protected(const Setting *setting, const char *name, GError **error)
{
    const GuestKey *key = guest_key_find(name, NULL);
    bool is_volume =
        key != NULL && (guest_key_is_disk(key) || key->properties == guest_unused_rows);

    if (!is_volume
        || !guest_get_bool(guest_config_main(setting->file->config), "protection", false)) {
        return false;
    }
    q_set_error(error, Q_ERROR_DENIED, "can't remove drive '%s' - protection mode enabled", name);
    return true;
}

static bool
is_there(const Setting *setting, const char *name)
{
    return guest_get(guest_config_main(setting->file->config), name) != NULL
           || guest_get(guest_config_pending(setting->file->config), name) != NULL;
}

static bool
delete_keys(Setting *setting, GError **error)
{
    char **names = setting->args->delete;

    for (int i = 0; names != NULL && names[i] != NULL; i++) {
        const char *present = guest_get(guest_config_main(setting->file->config), names[i]);
        const GuestKey *key = guest_key_find(names[i], NULL);

        if (g_hash_table_contains(setting->args->keys, names[i])) {
            return api_blame(error, "delete", "'%s' is set and deleted at once", names[i]);
        }
        if (!is_there(setting, names[i])) {
            if (key == NULL) {
                return api_blame(error, "delete", "unknown option '%s'", names[i]);
            }
            api_warn(setting->call, "'%s' is not set", names[i]);
            continue;
        }
        if (!qemu_check_key(setting->call, setting->args->vmid, names[i], NULL, present, error)
            || is_removal_protected(setting, names[i], error)) {
            return false;
        }
        guest_change_delete(setting->file->config, names[i], setting->args->force,
                            &setting->change);
    }
    return true;
}

static bool
set_keys(Setting *setting, GError **error)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(setting->args->keys);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        const char *value = g_hash_table_lookup(setting->args->keys, name);
        const char *present = guest_get(guest_config_main(setting->file->config), name);

        if (!qemu_check_key(setting->call, setting->args->vmid, name, value, present, error)) {
            return false;
        }
        g_autofree char *prepared = qemu_prepare_value(
            setting->call, setting->set, setting->args->vmid, name, value, setting->made, error);
        if (prepared == NULL) {
            return false;
        }
        guest_change_set(setting->file->config, name, prepared, &setting->change);
    }
    return true;
}

static void
tell_pending(const Setting *setting)
{
    g_autoptr(GPtrArray) rows = guest_pending_rows(setting->file->config);
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < rows->len; i++) {
        const GuestPendingRow *row = rows->pdata[i];

        if (row->pending != NULL || row->removal != 0) {
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", row->key);
        }
    }
    if (names->len > 0) {
        api_log(setting->call, "VM %u runs: these wait for its next start: %s", setting->args->vmid,
                names->str);
    }
}

static bool
change_config(Setting *setting, GError **error)
{
    const SetArgs *args = setting->args;

    if (!guest_file_check_digest(setting->file, args->digest, error)
        || !guest_file_check_lock(setting->file, args->skiplock, error)) {
        return false;
    }
    for (int i = 0; args->revert != NULL && args->revert[i] != NULL; i++) {
        if (!qemu_check_key(setting->call, args->vmid, args->revert[i], NULL, NULL, error)) {
            return false;
        }
        guest_change_revert(setting->file->config, args->revert[i]);
    }
    if (!delete_keys(setting, error) || !set_keys(setting, error)) {
        return false;
    }
    g_autoptr(GuestConfig) effective = guest_config_effective(setting->file->config);
    g_autoptr(GError) bad_boot = NULL;
    if (!guest_check_boot(guest_config_main(effective), &bad_boot)) {
        return qemu_blame(setting->call, error, "boot", bad_boot->message);
    }
    return guest_file_write(setting->cfs, setting->file, error);
}

static JsonNode *
set_run(ApiCall *call, const void *data, GError **error)
{
    const SetArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) freed = g_ptr_array_new_with_free_func(g_free);

    if (cfs == NULL || !qemu_check_skiplock(call, args->skiplock, error)) {
        return NULL;
    }
    if (g_hash_table_size(args->keys) == 0 && args->delete == NULL && args->revert == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "no options specified");
        return NULL;
    }
    g_autoptr(QFileLock) lock = guest_lock_file(args->vmid, LOCK_MS, api_say, call, error);
    g_autoptr(StorageSet) set = lock != NULL ? storage_set_read(cfs, error) : NULL;
    g_autoptr(GuestFile) file = set != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;
    if (file == NULL) {
        return NULL;
    }
    Setting setting = {
        .call = call,
        .args = args,
        .cfs = cfs,
        .file = file,
        .set = set,
        .made = made,
        .change = { .vmid = args->vmid, .running = guest_running(args->vmid), .freed = freed },
    };
    g_autoptr(GError) failed = NULL;
    if (!change_config(&setting, &failed)) {
        /* An update whose outcome is unknown may still name the new volumes: they stay. */
        if (!g_error_matches(failed, Q_ERROR, Q_ERROR_UNKNOWN)) {
            guest_disks_free(set, cfs, made, api_say, call);
        }
        g_propagate_error(error, g_steal_pointer(&failed));
        return NULL;
    }
    guest_disks_free(set, cfs, freed, api_say, call);
    tell_pending(&setting);
    return q_json_node_null();
}

#define MAY_CHANGE                                                                                 \
    "any(/vms/{vmid}, VM.Config.Disk, VM.Config.CDROM, VM.Config.CPU, VM.Config.Memory, "          \
    "VM.Config.Network, VM.Config.HWType, VM.Config.Options, VM.Config.Cloudinit)+"

const ApiMethod api_qemu_config_set = {
    .verb = API_PUT,
    .path = "/nodes/{node}/qemu/{vmid}/config",
    .doc = "Change a guest's configuration, at once.",
    .params = set_params,
    .returns = API_NULL,
    .access = MAY_CHANGE,
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .run = set_run,
};

static bool
async_prepare(ApiCall *call, const void *data, GError **error)
{
    const SetArgs *args = data;

    return qemu_check_skiplock(call, args->skiplock, error)
           && qemu_check_exists(call, args->vmid, error);
}

const ApiMethod api_qemu_config_async = {
    .verb = API_POST,
    .path = "/nodes/{node}/qemu/{vmid}/config",
    .doc = "Change a guest's configuration, as a task.",
    .params = async_params,
    .returns = API_UPID,
    .task = "qmconfig",
    .task_id = "vmid",
    .access = MAY_CHANGE,
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .prepare = async_prepare,
    .run = set_run,
};

/* ------------------------------------------------------------------ command line of QEMU */

typedef struct {
    uint32_t vmid;
    bool pretty;
    char *snapshot;
} ShowArgs;

static const ApiParam show_params[] = {
    QEMU_PARAM_VMID(ShowArgs),
    API_PARAM(ShowArgs, pretty, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "An option a line."),
    API_PARAM(ShowArgs, snapshot, API_STRING, .optional = true, .doc = "Of this snapshot."),
    { 0 },
};

static JsonNode *
showcmd_run(ApiCall *call, const void *data, GError **error)
{
    const ShowArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;
    g_autoptr(StorageSet) set = file != NULL ? storage_set_read(cfs, error) : NULL;
    GuestHost host;
    g_auto(GuestHa) ha = { 0 };

    if (set == NULL || !guest_host_look(call->node, &host, error)
        || !guest_ha_read(cfs, args->vmid, &ha, error)) {
        return NULL;
    }
    g_autoptr(GuestConfig) effective = guest_config_effective(file->config);
    const GuestSection *section = args->snapshot != NULL
                                      ? guest_config_snapshot(file->config, args->snapshot)
                                      : guest_config_main(effective);
    if (section == NULL) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "snapshot '%s' does not exist", args->snapshot);
        return NULL;
    }
    g_autoptr(GHashTable) volumes = guest_disks_describe(set, section, error);
    if (volumes == NULL) {
        return NULL;
    }
    host.volumes = volumes;
    host.guarded = ha.managed;
    g_autoptr(GuestCommand) command = guest_qemu_command(args->vmid, section, &host, error);
    if (command == NULL) {
        return NULL;
    }
    g_autofree char *text = guest_command_text(command, args->pretty);
    return q_json_node_string(text);
}

const ApiMethod api_qemu_showcmd = {
    .name = "qm_showcmd",
    .doc = "The command line with which QEMU is started.",
    .params = show_params,
    .returns = API_STRING,
    .access = "root",
    .run = showcmd_run,
};
