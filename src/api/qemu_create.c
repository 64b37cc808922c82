#include <string.h>
#include "api/qemu_priv.h"
#include "base/sorted.h"
#include "guest/core/drive.h"
#include "guest/core/machine.h"
#include "guest/core/pending.h"
#include "guest/disks.h"
#include "guest/gate.h"
#include "guest/host.h"
#include "guest/record.h"
#include "sys/clock.h"

#define LOCK_MS 5000
#define DESTROY_LOCK_MS 10000

/* ------------------------------------------------------------------ create */

typedef struct {
    char *node;
    uint32_t vmid;
    GHashTable *keys;
    bool start;
    char *storage;
} CreateArgs;

static const ApiParam create_params[] = {
    API_PARAM(CreateArgs, node, API_NODE, .doc = "Node that the guest is made on."),
    QEMU_PARAM_VMID(CreateArgs),
    API_PARAM(CreateArgs, keys, API_SPLICE, .splice = &qemu_keys),
    API_PARAM(CreateArgs, start, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Start it afterwards."),
    API_PARAM(CreateArgs, storage, API_STORAGE, .optional = true,
              .doc = "Storage for disks that name none (\"SIZE\" alone)."),
    { 0 },
};

static bool
check_vacant(ApiCall *call, uint32_t vmid, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GError) failed = NULL;
    g_autofree char *owner = cfs != NULL ? guest_find_node(cfs, vmid, &failed) : NULL;

    if (cfs == NULL) {
        return false;
    }
    if (failed != NULL) {
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    return owner == NULL
           || q_set_error(error, Q_ERROR_EXISTS,
                          "unable to create VM %u - VM %u already exists on node '%s'", vmid, vmid,
                          owner);
}

/* "4" with --storage local means "local:4". */
static char *
with_storage(const CreateArgs *args, const char *key, const char *value)
{
    const GuestKey *row = guest_key_find(key, NULL);

    return args->storage != NULL && guest_key_is_disk(row)
                   && q_matches("\\d+(\\.\\d+)?(,.*)?", value)
               ? g_strdup_printf("%s:%s", args->storage, value)
               : g_strdup(value);
}

/* Whatever can be refused is refused here, before there is a task or a file. */
static bool
create_prepare(ApiCall *call, const void *data, GError **error)
{
    const CreateArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    g_autoptr(GPtrArray) names = q_sorted_keys(args->keys);
    g_autoptr(GuestConfig) config = guest_config_parse(NULL);
    g_autoptr(GError) bad_boot = NULL;

    if (set == NULL || !check_vacant(call, args->vmid, error)) {
        return false;
    }
    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *value = with_storage(args, name, g_hash_table_lookup(args->keys, name));

        if (!qemu_check_key(call, args->vmid, name, value, NULL, error)
            || !qemu_check_value(call, set, name, value, error)) {
            return false;
        }
        guest_set(guest_config_main(config), name, value);
    }
    return guest_check_boot(guest_config_main(config), &bad_boot)
           || qemu_blame(call, error, "boot", bad_boot->message);
}

typedef struct {
    ApiCall *call;
    const CreateArgs *args;
    CfsClient *cfs;
    StorageSet *set;
    GPtrArray *made;
    char *path;
    uint64_t version; /* of the reservation */
} Creating;

/* The id is taken in the cluster before anything is made for it: two who want it cannot both. */
static bool
reserve(Creating *creating, GError **error)
{
    g_autoptr(GError) failed = NULL;

    creating->path = guest_file_path(creating->call->node, creating->args->vmid);
    if (!cfs_write(creating->cfs, creating->path, "lock: create\n", CFS_ABSENT, &failed)) {
        if (failed->code == Q_ERROR_EXISTS || failed->code == Q_ERROR_CONFLICT) {
            return check_vacant(creating->call, creating->args->vmid, error)
                   && (g_propagate_error(error, g_steal_pointer(&failed)), false);
        }
        g_propagate_prefixed_error(error, g_steal_pointer(&failed), "unable to create VM %u - ",
                                   creating->args->vmid);
        return false;
    }
    g_autofree char *text =
        cfs_read(creating->cfs, creating->path, &creating->version, NULL, error);
    return text != NULL;
}

static bool
set_keys(Creating *creating, GuestSection *section, GError **error)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(creating->args->keys);

    for (guint i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];
        g_autofree char *value =
            with_storage(creating->args, name, g_hash_table_lookup(creating->args->keys, name));
        g_autofree char *prepared =
            qemu_prepare_value(creating->call, creating->set, creating->args->vmid, name, value,
                               creating->made, error);

        if (prepared == NULL) {
            return false;
        }
        guest_set(section, name, prepared);
        if (guest_key_is_disk(guest_key_find(name, NULL))) {
            api_log(creating->call, "%s: %s", name, prepared);
        }
    }
    return true;
}

/* What every guest gets, given or not: its identity, how it boots, on what it was made. */
static bool
set_defaults(Creating *creating, GuestSection *section, GError **error)
{
    GuestHost host;
    g_autofree char *uuid = g_uuid_string_random();
    g_autofree char *generation = g_uuid_string_random();
    g_autofree char *boot = guest_boot_default(section);
    g_autoptr(QPropertyString) smbios = guest_get_properties(section, "smbios1", NULL);
    g_autoptr(QPropertyString) machine = guest_get_properties(section, "machine", NULL);

    if (!guest_host_look(creating->call->node, &host, error)) {
        return false;
    }
    if (guest_get(section, "boot") == NULL && guest_get(section, "bootdisk") == NULL) {
        guest_set(section, "boot", boot != NULL ? boot : "");
    }
    if (smbios == NULL) {
        g_autofree char *value = g_strdup_printf("uuid=%s", uuid);
        guest_set(section, "smbios1", value);
    } else if (q_property_get(smbios, "uuid", NULL) == NULL) {
        q_property_set(smbios, "uuid", uuid);
        g_autofree char *value = q_property_string_text(smbios);
        guest_set(section, "smbios1", value);
    }
    if (guest_get(section, "vmgenid") == NULL) {
        guest_set(section, "vmgenid", generation);
    }
    g_autofree char *meta = g_strdup_printf("creation-qemu=%d.%d,ctime=%" G_GINT64_FORMAT,
                                            host.newest_major, host.newest_minor, q_clock_wall_s());
    guest_set(section, "meta", meta);
    const char *type = machine != NULL ? q_property_get(machine, "type", "pc") : "pc";
    if (guest_windows_version(guest_get(section, "ostype")) > 0 && q_is_word_of("pc q35", type)) {
        g_autofree char *pinned =
            g_strdup_printf("pc-%s-%d.%d", strcmp(type, "q35") == 0 ? "q35" : "i440fx",
                            host.newest_major, host.newest_minor);
        guest_set(section, "machine", pinned);
    }
    return true;
}

static bool
fill(Creating *creating, GError **error)
{
    g_autoptr(GuestConfig) config = guest_config_parse(NULL);
    GuestSection *section = guest_config_main(config);
    g_autoptr(GError) bad_boot = NULL;

    if (!set_keys(creating, section, error) || !set_defaults(creating, section, error)) {
        return false;
    }
    if (!guest_check_boot(section, &bad_boot)) {
        return qemu_blame(creating->call, error, "boot", bad_boot->message);
    }
    g_autofree char *text = guest_config_text(config);
    return cfs_write(creating->cfs, creating->path, text, creating->version, error);
}

/* Nothing stays of a creation that failed, unless its last update may still happen (S14). */
static void
undo(Creating *creating, const GError *failed)
{
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    g_autoptr(GError) error = NULL;

    if (g_error_matches(failed, Q_ERROR, Q_ERROR_UNKNOWN)) {
        api_warn(creating->call, "it is not known whether VM %u was made: look with qm config %u",
                 creating->args->vmid, creating->args->vmid);
        return;
    }
    guest_disks_free(creating->set, creating->cfs, creating->made, api_say, creating->call);
    cfs_txn_if_version(txn, creating->path, creating->version);
    cfs_txn_remove(txn, creating->path);
    if (!cfs_txn_commit(creating->cfs, g_steal_pointer(&txn), NULL, &error)) {
        api_warn(creating->call, "'%s' stays behind: %s", creating->path, error->message);
    }
}

static bool
create(Creating *creating, GError **error)
{
    g_autoptr(QFileLock) lock =
        guest_lock_file(creating->args->vmid, LOCK_MS, api_say, creating->call, error);

    if (lock == NULL || !check_vacant(creating->call, creating->args->vmid, error)
        || !reserve(creating, error)) {
        return false;
    }
    g_autoptr(GError) failed = NULL;
    if (!fill(creating, &failed)) {
        undo(creating, failed);
        g_propagate_error(error, g_steal_pointer(&failed));
        return false;
    }
    return true;
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const CreateArgs *args = data;
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(g_free);
    GuestCall guest;

    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    g_autoptr(StorageSet) set = storage_set_read(guest.cfs, error);
    Creating creating = { .call = call, .args = args, .cfs = guest.cfs, .set = set, .made = made };
    bool done = set != NULL && create(&creating, error);
    g_free(creating.path);
    if (!done) {
        return NULL;
    }
    if (args->start) {
        g_autoptr(GError) failed = NULL;
        if (!guest_start(&guest, &failed)) {
            api_warn(call, "VM %u was made, but not started: %s", args->vmid, failed->message);
        }
    }
    return q_json_node_null();
}

const ApiMethod api_qemu_create = {
    .verb = API_POST,
    .path = "/nodes/{node}/qemu",
    .doc = "Make a guest.",
    .params = create_params,
    .returns = API_UPID,
    .task = "qmcreate",
    .task_id = "vmid",
    .access = "perm(/vms/{vmid}, VM.Allocate)+",
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .prepare = create_prepare,
    .run = create_run,
};

/* ------------------------------------------------------------------ destroy */

typedef struct {
    char *node;
    uint32_t vmid;
    bool purge;
    bool skiplock;
    bool unreferenced;
} DestroyArgs;

static const ApiParam destroy_params[] = {
    QEMU_PARAM_NODE(DestroyArgs),
    QEMU_PARAM_VMID(DestroyArgs),
    API_PARAM(DestroyArgs, purge, API_BOOLEAN, .optional = true,
              .doc = "Remove it from high availability too."),
    QEMU_PARAM_SKIPLOCK(DestroyArgs),
    API_PARAM(DestroyArgs, unreferenced, API_BOOLEAN, API_NAME("destroy-unreferenced-disks"),
              .optional = true, .def = "0",
              .doc = "Also delete images of this guest that its configuration does not name."),
    { 0 },
};

static bool
check_destroy(ApiCall *call, const DestroyArgs *args, CfsClient *cfs, const GuestFile *file,
              GError **error)
{
    g_auto(GuestHa) ha = { 0 };
    g_auto(GuestRecord) record = { 0 };

    /* What was left in the middle of a destroy is destroyed to the end. */
    const char *lock = guest_get(guest_config_main(file->config), "lock");
    bool half_done = g_strcmp0(lock, "destroyed") == 0;

    if (!guest_file_check_lock(file, args->skiplock || half_done, error)
        || !guest_ha_read(cfs, args->vmid, &ha, error)) {
        return false;
    }
    if (guest_get_bool(guest_config_main(file->config), "protection", false)) {
        return q_set_error(error, Q_ERROR_DENIED, "can't remove VM %u - protection mode enabled",
                           args->vmid);
    }
    if (ha.state != NULL && !args->purge) {
        return q_set_error(
            error, Q_ERROR_BUSY,
            "unable to remove VM %u - used in HA resources and purge parameter not set",
            args->vmid);
    }
    if (guest_running(args->vmid)) {
        return q_set_error(error, Q_ERROR_BUSY, "VM %u is running - destroy failed", args->vmid);
    }
    if (!guest_record_read(cfs, args->vmid, &record, error)) {
        return false;
    }
    return record.kind != GUEST_RECORD_OTHERS
           || q_set_error(
               error, Q_ERROR_BUSY,
               "VM %u may still run on node '%s' - destroy failed; when that node is off: "
               "qm recover %u --node-is-off %s",
               args->vmid, record.node, args->vmid, record.node);
}

static bool
destroy_prepare(ApiCall *call, const void *data, GError **error)
{
    const DestroyArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;

    return file != NULL && qemu_check_skiplock(call, args->skiplock, error)
           && check_destroy(call, args, cfs, file, error);
}

static char *
without_resource(const char *text, gpointer data, GError **error)
{
    const uint32_t *vmid = data;
    g_autoptr(QSectionConfig) resources = q_section_config_parse(text);
    g_autofree char *id = g_strdup_printf("%u", *vmid);

    q_section_config_remove(resources, id);
    return q_section_config_text(resources);
}

/* From here on nobody starts it; the file goes last, so that its id is not used again too early. */
static bool
mark_destroyed(CfsClient *cfs, GuestFile *file, GError **error)
{
    guest_set(guest_config_main(file->config), "lock", "destroyed");
    if (!guest_file_write(cfs, file, error)) {
        return false;
    }
    g_autofree char *text = cfs_read(cfs, file->path, &file->version, NULL, error);
    return text != NULL;
}

static void
free_unreferenced(ApiCall *call, CfsClient *cfs, StorageSet *set, uint32_t vmid)
{
    g_autoptr(GPtrArray) ids = storage_set_ids(set);

    for (guint i = 0; i < ids->len; i++) {
        Storage *storage = storage_get(set, ids->pdata[i], NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) volumes = storage != NULL && storage_has_content(storage, "images")
                                           ? storage_list(storage, "images", vmid, &error)
                                           : NULL;
        g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);

        for (guint v = 0; volumes != NULL && v < volumes->len; v++) {
            g_ptr_array_add(owned, g_strdup(((StorageVolume *)volumes->pdata[v])->volid));
        }
        if (error != NULL) {
            api_warn(call, "%s", error->message);
        }
        guest_disks_free(set, cfs, owned, api_say, call);
    }
}

/* Runs of this node that have ended leave a record; a configuration without guest needs none. */
static bool
clear_own_record(CfsClient *cfs, uint32_t vmid, GError **error)
{
    g_auto(GuestRecord) record = { 0 };

    if (!guest_record_read(cfs, vmid, &record, error)) {
        return false;
    }
    if (record.kind == GUEST_RECORD_NONE) {
        return true;
    }
    if (record.kind == GUEST_RECORD_OURS && !gate_empty(vmid)) {
        return q_set_error(error, Q_ERROR_BUSY, "processes of VM %u still live", vmid);
    }
    return guest_record_remove(cfs, vmid, record.start_id, error);
}

static JsonNode *
destroy_run(ApiCall *call, const void *data, GError **error)
{
    const DestroyArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(QFileLock) lock =
        cfs != NULL ? guest_lock_file(args->vmid, DESTROY_LOCK_MS, api_say, call, error) : NULL;
    g_autoptr(GuestFile) file = lock != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;
    g_autoptr(StorageSet) set = file != NULL ? storage_set_read(cfs, error) : NULL;
    uint32_t vmid = args->vmid;

    if (set == NULL || !check_destroy(call, args, cfs, file, error)
        || !mark_destroyed(cfs, file, error) || !clear_own_record(cfs, vmid, error)) {
        return NULL;
    }
    g_autoptr(GPtrArray) owned = guest_disks_owned(file->config, vmid);
    guest_disks_free(set, cfs, owned, api_say, call);
    if (args->unreferenced) {
        free_unreferenced(call, cfs, set, vmid);
    }
    if (args->purge && !cfs_modify(cfs, "ha/resources.cfg", without_resource, &vmid, error)) {
        return NULL;
    }
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    cfs_txn_if_version(txn, file->path, file->version);
    cfs_txn_remove(txn, file->path);
    return cfs_txn_commit(cfs, g_steal_pointer(&txn), NULL, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_qemu_destroy = {
    .verb = API_DELETE,
    .path = "/nodes/{node}/qemu/{vmid}",
    .doc = "Delete a guest and the volumes that it owns.",
    .params = destroy_params,
    .returns = API_UPID,
    .task = "qmdestroy",
    .task_id = "vmid",
    .access = "perm(/vms/{vmid}, VM.Allocate)",
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .prepare = destroy_prepare,
    .run = destroy_run,
};
