#include <string.h>
#include "api/qemu_priv.h"
#include "guest/qmp.h"
#include "guest/record.h"

#define MONITOR_MS 30000
#define LOCK_MS 10000

/* ------------------------------------------------------------------ unlock */

typedef struct {
    uint32_t vmid;
    char *node_is_off;
} AdminArgs;

static const ApiParam unlock_params[] = { QEMU_PARAM_VMID(AdminArgs), { 0 } };

static JsonNode *
unlock_run(ApiCall *call, const void *data, GError **error)
{
    const AdminArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(QFileLock) lock =
        cfs != NULL ? guest_lock_file(args->vmid, LOCK_MS, api_say, call, error) : NULL;
    g_autoptr(GuestFile) file = lock != NULL ? guest_file_read(cfs, NULL, args->vmid, error) : NULL;

    if (file == NULL) {
        return NULL;
    }
    guest_set(guest_config_main(file->config), "lock", NULL);
    return guest_file_write(cfs, file, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_qemu_unlock = {
    .name = "qm_unlock",
    .doc = "Remove a guest's `lock`, whatever it says.",
    .params = unlock_params,
    .returns = API_NULL,
    .access = "root",
    .needs_quorum = true,
    .run = unlock_run,
};

/* ------------------------------------------------------------------ recover */

static const ApiParam recover_params[] = {
    QEMU_PARAM_VMID(AdminArgs),
    API_PARAM(AdminArgs, node_is_off, API_STRING, API_NAME("node-is-off"),
              .doc = "The node that you know to be off. If it is not, the guest runs twice and its "
                     "disks are lost."),
    { 0 },
};

/* A node that is heard is not off, whatever anybody says. */
static bool
check_is_away(CfsClient *cfs, const char *node, GError **error)
{
    g_autoptr(JsonObject) members = cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, error);
    JsonObject *list = members != NULL ? q_json_object(members, "nodelist") : NULL;
    JsonObject *member = list != NULL ? q_json_object(list, node) : NULL;

    if (members == NULL) {
        return false;
    }
    if (strcmp(node, cfs_client_node(cfs)) == 0) {
        return q_set_error(error, Q_ERROR_CONFLICT, "'%s' is this node: it is not off", node);
    }
    return member == NULL || !q_json_bool(member, "online", false)
           || q_set_error(error, Q_ERROR_CONFLICT,
                          "node '%s' is a member of the cluster right now: it is not off", node);
}

static JsonNode *
recover_run(ApiCall *call, const void *data, GError **error)
{
    const AdminArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_auto(GuestRecord) record = { 0 };

    if (cfs == NULL || !guest_record_read(cfs, args->vmid, &record, error)) {
        return NULL;
    }
    if (record.kind == GUEST_RECORD_NONE) {
        q_set_error(error, Q_ERROR_CONFLICT,
                    "VM %u runs nowhere: nothing keeps it from being started", args->vmid);
        return NULL;
    }
    if (strcmp(record.node, args->node_is_off) != 0) {
        q_set_error(error, Q_ERROR_CONFLICT, "VM %u was started on node '%s', not on '%s'",
                    args->vmid, record.node, args->node_is_off);
        return NULL;
    }
    if (record.kind == GUEST_RECORD_DEAD) {
        api_log(call, "VM %u is known to have ended on node '%s'", args->vmid, record.node);
        return q_json_node_null();
    }
    if (!check_is_away(cfs, args->node_is_off, error)) {
        return NULL;
    }
    g_autofree char *statement =
        g_strdup_printf("%s on %s: node %s is off", call->user, call->node, args->node_is_off);
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    cfs_txn_if_run(txn, args->vmid, record.start_id);
    cfs_txn_dead(txn, args->vmid, statement);
    if (!cfs_txn_commit(cfs, g_steal_pointer(&txn), NULL, error)) {
        return NULL;
    }
    api_log(call,
            "recorded: VM %u has ended on node '%s'; to run it here: "
            "mv /etc/pve/nodes/%s/qemu-server/%u.conf /etc/pve/qemu-server/ && qm start %u",
            args->vmid, record.node, record.node, args->vmid, args->vmid);
    return q_json_node_null();
}

const ApiMethod api_qemu_recover = {
    .name = "qm_recover",
    .doc = "State that the node on which a guest was last started is off, so that it may be "
           "started elsewhere.",
    .params = recover_params,
    .returns = API_NULL,
    .access = "root",
    .needs_quorum = true,
    .run = recover_run,
};

/* ------------------------------------------------------------------ monitor */

typedef struct {
    char *node;
    uint32_t vmid;
    char *command;
} MonitorArgs;

static const ApiParam monitor_params[] = {
    QEMU_PARAM_NODE(MonitorArgs),
    QEMU_PARAM_VMID(MonitorArgs),
    API_PARAM(MonitorArgs, command, API_STRING, .doc = "Command of QEMU's human monitor."),
    { 0 },
};

static JsonNode *
monitor_run(ApiCall *call, const void *data, GError **error)
{
    const MonitorArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *path = g_strdup_printf("/vms/%u", args->vmid);
    bool only_looks = q_matches("(info|help|\\?)( .*)?", args->command);

    if (!only_looks && !api_may(call, path, "Sys.Modify")) {
        q_set_error(error, Q_ERROR_DENIED, "Permission check failed (%s, Sys.Modify)", path);
        return NULL;
    }
    /* A QEMU that is not the one on record may only be ended (S49). */
    if (cfs == NULL || !guest_check_recorded(cfs, args->vmid, error)) {
        return NULL;
    }
    g_autoptr(Qmp) qmp = qmp_connect(args->vmid, QMP_CONNECT_MS, error);
    JsonObject *arguments = json_object_new();
    json_object_set_string_member(arguments, "command-line", args->command);
    if (qmp == NULL) {
        json_object_unref(arguments);
        return NULL;
    }
    return qmp_command(qmp, "human-monitor-command", arguments, MONITOR_MS, error);
}

const ApiMethod api_qemu_monitor = {
    .verb = API_POST,
    .path = "/nodes/{node}/qemu/{vmid}/monitor",
    .doc = "Run one command in QEMU's monitor.",
    .params = monitor_params,
    .returns = API_STRING,
    .access = "any(/vms/{vmid}, Sys.Audit, Sys.Modify)+",
    .on_node = "node",
    .as_root = true,
    .run = monitor_run,
};

const ApiMethod *const api_qemu_methods[] = {
    &api_qemu_list,    &api_qemu_create,     &api_qemu_destroy,
    &api_qemu_config,  &api_qemu_config_set, &api_qemu_config_async,
    &api_qemu_pending, &api_qemu_status,     &api_qemu_start,
    &api_qemu_stop,    &api_qemu_shutdown,   &api_qemu_reboot,
    &api_qemu_reset,   &api_qemu_suspend,    &api_qemu_resume,
    &api_qemu_monitor, &api_qemu_showcmd,    &api_qemu_unlock,
    &api_qemu_recover, &api_qm_status,       NULL,
};
