#include <string.h>
#include "api/ha.h"
#include "api/ha_priv.h"
#include "guest/core/drive.h"
#include "guest/lifecycle.h"
#include "ha/commit.h"
#include "ha/core/status.h"
#include "storage/storage.h"
#include "sys/realtime.h"

/* What the local manager has done to a guest, each in a task of its own. Not for people: they
 * change the requested state, and the managers get there. */

typedef struct {
    uint32_t vmid;
    char *generation;
    int64_t timeout;
    char *target;
} TaskArgs;

#define PARAM_VMID API_PARAM(TaskArgs, vmid, API_VMID, .doc = "The guest.")
#define PARAM_GENERATION                                                                           \
    API_PARAM(TaskArgs, generation, API_STRING,                                                    \
              .doc = "Of this node's lease: in whose gate it may run.")

static bool
guest_call(GuestCall *guest, ApiCall *call, const TaskArgs *args, GError **error)
{
    *guest = (GuestCall){
        .cfs = api_cfs(call, error),
        .vmid = args->vmid,
        .say = api_say,
        .data = call,
    };
    q_realtime_leave_child(); /* nobody between the manager and us has */
    return guest->cfs != NULL
           && (cfs_generation_parse(args->generation, &guest->generation)
               || api_blame(error, "generation", "expected EPOCH.SEQUENCE"));
}

static JsonNode *
ended(bool ok)
{
    return ok ? q_json_node_null() : NULL;
}

/* ------------------------------------------------------------------ start */

static const ApiParam start_params[] = { PARAM_VMID, PARAM_GENERATION, { 0 } };

static JsonNode *
start_run(ApiCall *call, const void *data, GError **error)
{
    GuestCall guest;

    return ended(guest_call(&guest, call, data, error) && guest_start(&guest, error));
}

static const ApiMethod start_guest = {
    .name = "ha_start_guest",
    .doc = "Start a guest under this node's lease.",
    .params = start_params,
    .returns = API_UPID,
    .access = "root",
    .needs_quorum = true,
    .task = "qmstart",
    .task_id = "vmid",
    .run = start_run,
};

/* ------------------------------------------------------------------ stop */

static const ApiParam stop_params[] = {
    PARAM_VMID,
    PARAM_GENERATION,
    API_PARAM(TaskArgs, timeout, API_INTEGER, .optional = true, .def = "-1",
              .doc = "Seconds until it is killed; 0: at once; -1: the guest's own."),
    { 0 },
};

static bool
stop_guest(GuestCall *guest, int64_t timeout_s, GError **error)
{
    if (timeout_s == 0) {
        return guest_kill(guest, error);
    }
    guest->timeout_s = timeout_s > 0 ? (int)MIN(timeout_s, G_MAXINT) : 0;
    return guest_shutdown(guest, true, error);
}

static JsonNode *
stop_run(ApiCall *call, const void *data, GError **error)
{
    const TaskArgs *args = data;
    GuestCall guest;

    return ended(guest_call(&guest, call, args, error) && stop_guest(&guest, args->timeout, error));
}

static const ApiMethod stop_guest_row = {
    .name = "ha_stop_guest",
    .doc = "Stop a guest that is under HA.",
    .params = stop_params,
    .returns = API_UPID,
    .access = "root",
    .task = "qmstop",
    .task_id = "vmid",
    .run = stop_run,
};

/* ------------------------------------------------------------------ move */

static const ApiParam move_params[] = {
    PARAM_VMID,
    PARAM_GENERATION,
    API_PARAM(TaskArgs, target, API_NODE, .doc = "Node to move it to."),
    { 0 },
};

/* Looked at before the guest is stopped: one that cannot start there is better left running here.
 */
static bool
disks_are_there(ApiCall *call, CfsClient *cfs, const char *text, const char *target, GError **error)
{
    g_autoptr(GuestConfig) config = guest_config_parse(text);
    g_autoptr(GPtrArray) drives = guest_drives(guest_config_main(config), error);
    g_autoptr(StorageSet) storages = drives != NULL ? storage_set_read(cfs, error) : NULL;

    if (storages == NULL) {
        return false;
    }
    for (guint i = 0; i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];
        const char *file = guest_drive_file(drive);
        const char *colon = strchr(file, ':');

        if (guest_drive_is_empty(drive) || colon == NULL) {
            continue;
        }
        g_autofree char *id = g_strndup(file, colon - file);
        Storage *storage = storage_get(storages, id, error);
        if (storage == NULL) {
            return false;
        }
        if (!storage_is_shared(storage) || !storage_available_on(storages, id, target, NULL)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "disk '%s' is on storage '%s', which node '%s' does not share",
                               drive->id, id, target);
        }
    }
    return true;
}

/* The handing over: one update, and only while nothing of the guest runs and this node's lease is
 * what it was. */
static bool
hand_over(const GuestCall *guest, const char *node, const char *target, GError **error)
{
    g_autofree char *from = ha_guest_path(node, guest->vmid);
    g_autofree char *to = ha_guest_path(target, guest->vmid);
    g_autofree char *lease = ha_agent_lease(node);
    uint64_t version;
    g_autofree char *text = cfs_read(guest->cfs, from, &version, NULL, error);

    if (text == NULL) {
        return false;
    }
    CfsTxn *txn = cfs_txn_new();
    cfs_txn_if_version(txn, from, version);
    cfs_txn_if_run(txn, guest->vmid, NULL);
    cfs_txn_if_mig(txn, guest->vmid, NULL);
    cfs_txn_if_lease(txn, lease, guest->generation);
    cfs_txn_rename(txn, from, to);
    return cfs_txn_commit(guest->cfs, txn, NULL, error);
}

static JsonNode *
move_run(ApiCall *call, const void *data, GError **error)
{
    const TaskArgs *args = data;
    g_autofree char *path = ha_guest_path(call->node, args->vmid);
    GuestCall guest;

    if (!guest_call(&guest, call, args, error)) {
        return NULL;
    }
    g_autofree char *text = cfs_read(guest.cfs, path, NULL, NULL, error);
    if (text == NULL || !disks_are_there(call, guest.cfs, text, args->target, error)) {
        return NULL;
    }
    if (guest_running(args->vmid)) {
        api_log(call, "stopping VM %u to move it", args->vmid);
        if (!guest_shutdown(&guest, true, error)) {
            return NULL;
        }
    }
    api_log(call, "handing VM %u over to node '%s'", args->vmid, args->target);
    return ended(hand_over(&guest, call->node, args->target, error));
}

static const ApiMethod move_guest = {
    .name = "ha_move_guest",
    .doc = "Stop a guest and hand it over to another node.",
    .params = move_params,
    .returns = API_UPID,
    .access = "root",
    .needs_quorum = true,
    .task = "qmigrate",
    .task_id = "vmid",
    .run = move_run,
};

const ApiMethod *const api_ha_methods[] = {
    &api_ha_index,
    &api_ha_resources,
    &api_ha_resource_create,
    &api_ha_resource_read,
    &api_ha_resource_update,
    &api_ha_resource_delete,
    &api_ha_migrate,
    &api_ha_relocate,
    &api_ha_stop,
    &api_ha_maintenance,
    &api_ha_rules,
    &api_ha_rule_create,
    &api_ha_rule_read,
    &api_ha_rule_update,
    &api_ha_rule_delete,
    &api_ha_status,
    &api_ha_status_current,
    &api_ha_manager_status,
    &api_ha_arm,
    &api_ha_disarm,
    &start_guest,
    &stop_guest_row,
    &move_guest,
    NULL,
};
