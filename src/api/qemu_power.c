#include <string.h>
#include "api/ha_priv.h"
#include "api/qemu_priv.h"

/* Start, stop, shutdown, reboot, reset. A guest under HA is not touched here: its requested state
 * is set, and the manager does the rest. */

#define REBOOT_S 180

typedef struct {
    char *node;
    uint32_t vmid;
    bool skiplock;
    int64_t timeout;
    bool force;
    bool keep_active;
    bool overrule;
} PowerArgs;

#define PARAM_TIMEOUT(text)                                                                        \
    API_PARAM(PowerArgs, timeout, API_INTEGER, .optional = true, API_MIN(0), API_MAX(86400),       \
              .doc = text)

/* ------------------------------------------------------------------ for the guests under HA */

static bool
is_managed(ApiCall *call, uint32_t vmid, bool *managed, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_auto(GuestHa) ha = { 0 };

    if (cfs == NULL || !guest_ha_read(cfs, vmid, &ha, error)) {
        return false;
    }
    *managed = ha.managed;
    return true;
}

static bool
prepare_ha(ApiCall *call, const PowerArgs *args, const char *ha_task, GError **error)
{
    bool managed;

    if (!qemu_check_skiplock(call, args->skiplock, error)
        || !qemu_check_exists(call, args->vmid, error)
        || !is_managed(call, args->vmid, &managed, error)) {
        return false;
    }
    if (managed && ha_task != NULL) {
        api_set_task(call, ha_task, NULL);
    }
    return true;
}

#define HA_SHUTDOWN_S 60

/* A command in the master's queue says how long the guest may take; the master sets the requested
 * state with the same decision. */
static bool
request_stop(ApiCall *call, uint32_t vmid, int64_t timeout_s, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *line = g_strdup_printf("stop vm:%u %" G_GINT64_FORMAT, vmid, timeout_s);

    return cfs != NULL && ha_queue_command(cfs, line, error);
}

/* Returns: true if the request went to HA (or failed: then @error is set). @timeout_s: of a stop;
 * -1: it is a start. */
static bool
request_ha(ApiCall *call, uint32_t vmid, int64_t timeout_s, bool *done, GError **error)
{
    bool managed = false;

    *done = false;
    if (!is_managed(call, vmid, &managed, error)) {
        return true;
    }
    if (!managed) {
        return false;
    }
    *done = timeout_s < 0 ? guest_ha_request(api_cfs(call, NULL), vmid, "started", error)
                          : request_stop(call, vmid, timeout_s, error);
    if (*done) {
        api_log(call, "Requesting HA %s for VM %u", timeout_s < 0 ? "start" : "stop", vmid);
    }
    return true;
}

static JsonNode *
result(bool done)
{
    return done ? q_json_node_null() : NULL;
}

/* ------------------------------------------------------------------ start */

static const ApiParam start_params[] = {
    QEMU_PARAM_NODE(PowerArgs),
    QEMU_PARAM_VMID(PowerArgs),
    QEMU_PARAM_SKIPLOCK(PowerArgs),
    PARAM_TIMEOUT("Seconds that QEMU may take to start."),
    { 0 },
};

static bool
start_prepare(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;

    if (!prepare_ha(call, args, "hastart", error)) {
        return false;
    }
    return true;
}

static JsonNode *
start_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;
    bool done;

    if (request_ha(call, args->vmid, -1, &done, error)) {
        return result(done);
    }
    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    guest.timeout_s = args->timeout;
    return result(guest_start(&guest, error));
}

#define POWER_ROW(verb_path, text, rows, type, preparing, running)                                 \
    {                                                                                              \
        .verb = API_POST, .path = "/nodes/{node}/qemu/{vmid}/status/" verb_path, .doc = text,      \
        .params = rows, .returns = API_UPID, .task = type, .task_id = "vmid",                      \
        .access = "perm(/vms/{vmid}, VM.PowerMgmt)", .on_node = "node", .as_root = true,           \
        .prepare = preparing, .run = running,                                                      \
    }

const ApiMethod api_qemu_start = {
    .verb = API_POST,
    .path = "/nodes/{node}/qemu/{vmid}/status/start",
    .doc = "Start a guest.",
    .params = start_params,
    .returns = API_UPID,
    .task = "qmstart",
    .task_id = "vmid",
    .access = "perm(/vms/{vmid}, VM.PowerMgmt)",
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .prepare = start_prepare,
    .run = start_run,
};

/* ------------------------------------------------------------------ stop */

static const ApiParam stop_params[] = {
    QEMU_PARAM_NODE(PowerArgs),
    QEMU_PARAM_VMID(PowerArgs),
    QEMU_PARAM_SKIPLOCK(PowerArgs),
    PARAM_TIMEOUT("Seconds before force is used."),
    API_PARAM(PowerArgs, keep_active, API_BOOLEAN, API_NAME("keepActive"), .optional = true,
              .def = "0", .doc = "Do not deactivate storage volumes."),
    API_PARAM(PowerArgs, overrule, API_BOOLEAN, API_NAME("overrule-shutdown"), .optional = true,
              .def = "0", .doc = "Stop also while a shutdown is under way (it always does)."),
    { 0 },
};

static bool
stop_prepare(ApiCall *call, const void *data, GError **error)
{
    return prepare_ha(call, data, "hastop", error);
}

static JsonNode *
stop_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;
    bool done;

    if (request_ha(call, args->vmid, 0, &done, error)) {
        return result(done);
    }
    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    guest.timeout_s = args->timeout;
    return result(guest_stop(&guest, error));
}

const ApiMethod api_qemu_stop = POWER_ROW("stop", "Stop a guest at once, as if its power failed.",
                                          stop_params, "qmstop", stop_prepare, stop_run);

/* ------------------------------------------------------------------ shutdown */

static const ApiParam shutdown_params[] = {
    QEMU_PARAM_NODE(PowerArgs),
    QEMU_PARAM_VMID(PowerArgs),
    QEMU_PARAM_SKIPLOCK(PowerArgs),
    PARAM_TIMEOUT("Seconds to wait for the guest."),
    API_PARAM(PowerArgs, force, API_BOOLEAN, API_NAME("forceStop"), .optional = true, .def = "0",
              .doc = "Stop it if it does not shut down in time."),
    API_PARAM(PowerArgs, keep_active, API_BOOLEAN, API_NAME("keepActive"), .optional = true,
              .def = "0", .doc = "Do not deactivate storage volumes."),
    { 0 },
};

static JsonNode *
shutdown_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;
    bool done;

    if (request_ha(call, args->vmid, args->timeout > 0 ? args->timeout : HA_SHUTDOWN_S, &done,
                   error)) {
        return result(done);
    }
    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    guest.timeout_s = args->timeout;
    return result(guest_shutdown(&guest, args->force, error));
}

const ApiMethod api_qemu_shutdown =
    POWER_ROW("shutdown", "Ask a guest to shut down.", shutdown_params, "qmshutdown", stop_prepare,
              shutdown_run);

/* ------------------------------------------------------------------ reboot */

static const ApiParam reboot_params[] = {
    QEMU_PARAM_NODE(PowerArgs),
    QEMU_PARAM_VMID(PowerArgs),
    PARAM_TIMEOUT("Seconds to wait for the guest."),
    { 0 },
};

static bool
plain_prepare(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;

    if (!prepare_ha(call, args, NULL, error)) {
        return false;
    }
    return guest_running(args->vmid)
           || q_set_error(error, Q_ERROR_CONFLICT, "VM %u not running", args->vmid);
}

static bool
reboot_prepare(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    bool managed = false;

    if (!plain_prepare(call, data, error) || !is_managed(call, args->vmid, &managed, error)) {
        return false;
    }
    /* Between its two halves HA would see a dead service and start it elsewhere. */
    return !managed
           || q_set_error(error, Q_ERROR_UNSUPPORTED,
                          "VM %u is under HA: use qm reset, or ha-manager set vm:%u --state "
                          "stopped, then started",
                          args->vmid, args->vmid);
}

static JsonNode *
reboot_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;

    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.timeout_s = args->timeout > 0 ? args->timeout : REBOOT_S;
    if (!guest_shutdown(&guest, false, error)) {
        return NULL;
    }
    guest.timeout_s = 0;
    return result(guest_start(&guest, error));
}

const ApiMethod api_qemu_reboot =
    POWER_ROW("reboot", "Shut a guest down and start it again; pending changes take effect.",
              reboot_params, "qmreboot", reboot_prepare, reboot_run);

/* ------------------------------------------------------------------ reset, pause, resume */

static const ApiParam reset_params[] = {
    QEMU_PARAM_NODE(PowerArgs),
    QEMU_PARAM_VMID(PowerArgs),
    QEMU_PARAM_SKIPLOCK(PowerArgs),
    { 0 },
};

static JsonNode *
reset_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;

    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    return result(guest_reset(&guest, error));
}

static JsonNode *
suspend_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;

    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    return result(guest_pause(&guest, error));
}

static JsonNode *
resume_run(ApiCall *call, const void *data, GError **error)
{
    const PowerArgs *args = data;
    GuestCall guest;

    if (!qemu_guest_call(call, args->vmid, &guest, error)) {
        return NULL;
    }
    guest.skiplock = args->skiplock;
    return result(guest_resume(&guest, error));
}

const ApiMethod api_qemu_reset = POWER_ROW("reset", "Press a guest's reset button.", reset_params,
                                           "qmreset", plain_prepare, reset_run);
const ApiMethod api_qemu_suspend = POWER_ROW("suspend", "Stop a guest's CPUs.", reset_params,
                                             "qmpause", plain_prepare, suspend_run);
const ApiMethod api_qemu_resume = POWER_ROW("resume", "Let a paused guest run on.", reset_params,
                                            "qmresume", plain_prepare, resume_run);
