#include <stdlib.h>
#include <string.h>
#include "api/qemu_priv.h"
#include "guest/core/drive.h"
#include "guest/core/pending.h"
#include "guest/qmp.h"
#include "sys/file.h"

#define QMP_MS 2000

/* ------------------------------------------------------------------ what both answers tell */

/* Size of the first disk that is booted: what people mean by "the disk" of a guest. */
static int64_t
boot_disk_bytes(const GuestSection *section)
{
    g_autoptr(GPtrArray) drives = guest_drives(section, NULL);
    g_autoptr(GHashTable) boot = drives != NULL ? guest_boot_indexes(section, drives, NULL) : NULL;
    int best = G_MAXINT;
    int64_t bytes = 0;

    for (guint i = 0; drives != NULL && i < drives->len; i++) {
        const GuestDrive *drive = drives->pdata[i];
        int index = boot != NULL ? GPOINTER_TO_INT(g_hash_table_lookup(boot, drive->id)) : 0;
        int rank = index > 0 ? index : G_MAXINT - 1;

        if (!drive->cdrom && rank < best) {
            best = rank;
            bytes = q_property_int(drive->options, "size", 0);
        }
    }
    return bytes;
}

static int64_t
resident_bytes(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
    g_autofree char *text = q_file_read(path, 65536, NULL, NULL);
    const char *line = text != NULL ? strstr(text, "VmRSS:") : NULL;

    return line != NULL ? strtoll(line + strlen("VmRSS:"), NULL, 10) * 1024 : 0;
}

static void
add_if_set(JsonObject *object, const GuestSection *section, const char *key)
{
    const char *value = guest_get(section, key);

    if (value != NULL) {
        json_object_set_string_member(object, key, value);
    }
}

static JsonObject *
describe(uint32_t vmid, const GuestSection *section)
{
    JsonObject *object = json_object_new();
    g_autofree char *name = guest_config_name(section, vmid);
    int64_t memory = guest_config_memory_mib(section) * 1024 * 1024;
    GuestProcess process;
    bool running = guest_process(vmid, &process);

    json_object_set_int_member(object, "vmid", vmid);
    json_object_set_string_member(object, "name", name);
    json_object_set_string_member(object, "status", running ? "running" : "stopped");
    json_object_set_int_member(object, "cpus", guest_config_cpus(section));
    json_object_set_int_member(object, "cpu", 0);
    json_object_set_int_member(object, "maxmem", memory);
    json_object_set_int_member(object, "mem", 0);
    json_object_set_int_member(object, "disk", 0);
    json_object_set_int_member(object, "maxdisk", boot_disk_bytes(section));
    json_object_set_int_member(object, "uptime", running ? process.uptime_s : 0);
    json_object_set_int_member(object, "diskread", 0);
    json_object_set_int_member(object, "diskwrite", 0);
    json_object_set_int_member(object, "netin", 0);
    json_object_set_int_member(object, "netout", 0);
    if (running) {
        int64_t resident = resident_bytes(process.pid);
        json_object_set_int_member(object, "pid", process.pid);
        json_object_set_int_member(object, "mem", MIN(resident, memory));
        json_object_set_int_member(object, "memhost", resident);
    }
    add_if_set(object, section, "tags");
    add_if_set(object, section, "lock");
    if (guest_get_bool(section, "template", false)) {
        json_object_set_int_member(object, "template", 1);
    }
    if (guest_get(section, "serial0") != NULL) {
        json_object_set_int_member(object, "serial", 1);
    }
    return object;
}

static void
add_qmp_status(JsonObject *object, uint32_t vmid)
{
    g_autofree char *status = guest_qmp_status(vmid, NULL);

    json_object_set_string_member(
        object, "qmpstatus", status != NULL ? status : q_json_string(object, "status", "unknown"));
}

/* ------------------------------------------------------------------ list */

typedef struct {
    char *node;
    bool full;
} ListArgs;

static const ApiParam list_params[] = {
    API_PARAM(ListArgs, node, API_NODE, .doc = "Node whose guests are listed."),
    API_PARAM(ListArgs, full, API_BOOLEAN, .optional = true,
              .doc = "Ask each running guest for its state."),
    { 0 },
};

static const ApiColumn list_columns[] = {
    { "vmid", API_INTEGER, .doc = "Guest id." },
    { "status", API_STRING, .doc = "running or stopped." },
    { "name", API_STRING, .optional = true, .doc = "Name." },
    { "cpus", API_NUMBER, .optional = true, .doc = "CPUs." },
    { "maxmem", API_INTEGER, .optional = true, .doc = "Memory.", .renderer = "bytes" },
    { "maxdisk", API_INTEGER, .optional = true, .doc = "Size of the first boot disk.",
      .renderer = "bytes" },
    { "pid", API_INTEGER, .optional = true, .doc = "Process id." },
    { "uptime", API_INTEGER, .optional = true, .doc = "Seconds that it runs.",
      .renderer = "duration" },
    { "qmpstatus", API_STRING, .optional = true, .doc = "State as QEMU tells it." },
    { "tags", API_STRING, .optional = true, .doc = "Tags." },
    { "lock", API_STRING, .optional = true, .doc = "Operation under way." },
    { 0 },
};

static JsonNode *
list_run(ApiCall *call, const void *data, GError **error)
{
    const ListArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GArray) vmids = cfs != NULL ? guest_list(cfs, call->node, error) : NULL;
    if (vmids == NULL) {
        return NULL;
    }
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < vmids->len; i++) {
        uint32_t vmid = g_array_index(vmids, uint32_t, i);
        g_autofree char *path = g_strdup_printf("/vms/%u", vmid);
        g_autoptr(GuestFile) file =
            api_may(call, path, "VM.Audit") ? guest_file_read(cfs, NULL, vmid, NULL) : NULL;

        if (file != NULL) {
            JsonObject *row = describe(vmid, guest_config_main(file->config));
            if (args->full) {
                add_qmp_status(row, vmid);
            }
            json_array_add_object_element(rows, row);
        }
    }
    return q_json_node_array(rows);
}

const ApiMethod api_qemu_list = {
    .verb = API_GET,
    .path = "/nodes/{node}/qemu",
    .doc = "Guests of a node.",
    .params = list_params,
    .returns = API_ROWS,
    .columns = list_columns,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = list_run,
};

/* ------------------------------------------------------------------ one guest */

typedef struct {
    char *node;
    uint32_t vmid;
} StatusArgs;

static const ApiParam status_params[] = { QEMU_PARAM_NODE(StatusArgs),
                                          QEMU_PARAM_VMID(StatusArgs),
                                          { 0 } };

static void
add_blocks(JsonObject *object, Qmp *qmp)
{
    g_autoptr(JsonNode) answer = qmp_command(qmp, "query-blockstats", NULL, QMP_MS, NULL);
    JsonArray *rows =
        answer != NULL && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
    int64_t read = 0, written = 0;
    JsonObject *all = json_object_new();

    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        JsonObject *stats = q_json_object(row, "stats");
        g_autofree char *id = g_path_get_basename(q_json_string(row, "qdev", ""));

        if (stats != NULL) {
            read += q_json_int(stats, "rd_bytes", 0);
            written += q_json_int(stats, "wr_bytes", 0);
            if (id[0] != '\0' && id[0] != '.') {
                /* "/machine/peripheral/scsi0/virtio-backend": the device's own name counts. */
                g_auto(GStrv) parts = g_strsplit(q_json_string(row, "qdev", ""), "/", -1);
                const char *name = g_strv_length(parts) > 3 ? parts[3] : id;
                json_object_set_object_member(all, name, json_object_ref(stats));
            }
        }
    }
    json_object_set_int_member(object, "diskread", read);
    json_object_set_int_member(object, "diskwrite", written);
    json_object_set_object_member(object, "blockstat", all);
}

static void
add_balloon(JsonObject *object, Qmp *qmp)
{
    g_autoptr(JsonNode) answer = qmp_command(qmp, "query-balloon", NULL, QMP_MS, NULL);

    if (answer != NULL && JSON_NODE_HOLDS_OBJECT(answer)) {
        JsonObject *info = json_node_get_object(answer);
        json_object_set_int_member(object, "balloon", q_json_int(info, "actual", 0));
        json_object_set_object_member(object, "ballooninfo", json_object_ref(info));
    }
}

static void
add_running(JsonObject *object, Qmp *qmp)
{
    g_autoptr(JsonNode) version = qmp_command(qmp, "query-version", NULL, QMP_MS, NULL);
    JsonObject *qemu = version != NULL && JSON_NODE_HOLDS_OBJECT(version)
                           ? q_json_object(json_node_get_object(version), "qemu")
                           : NULL;
    JsonObject *ask = json_object_new();
    g_autoptr(JsonNode) type = NULL;

    if (qemu != NULL) {
        g_autofree char *text =
            g_strdup_printf("%d.%d.%d", (int)q_json_int(qemu, "major", 0),
                            (int)q_json_int(qemu, "minor", 0), (int)q_json_int(qemu, "micro", 0));
        json_object_set_string_member(object, "running-qemu", text);
    }
    json_object_set_string_member(ask, "path", "/machine");
    json_object_set_string_member(ask, "property", "type");
    type = qmp_command(qmp, "qom-get", ask, QMP_MS, NULL);
    if (type != NULL && JSON_NODE_HOLDS_VALUE(type)) {
        g_autofree char *name = g_strdup(json_node_get_string(type));
        if (name != NULL && g_str_has_suffix(name, "-machine")) {
            name[strlen(name) - strlen("-machine")] = '\0';
        }
        json_object_set_string_member(object, "running-machine", name != NULL ? name : "");
    }
}

static void
add_live(JsonObject *object, uint32_t vmid)
{
    g_autoptr(Qmp) qmp = guest_running(vmid) ? qmp_connect(vmid, QMP_MS, NULL) : NULL;

    if (qmp != NULL) {
        add_blocks(object, qmp);
        add_balloon(object, qmp);
        add_running(object, qmp);
    }
}

static bool
add_ha(ApiCall *call, CfsClient *cfs, uint32_t vmid, JsonObject *object, GError **error)
{
    g_auto(GuestHa) ha = { 0 };
    JsonObject *answer;

    if (!guest_ha_read(cfs, vmid, &ha, error)) {
        return false;
    }
    answer = json_object_new();
    json_object_set_int_member(answer, "managed", ha.managed);
    if (ha.state != NULL) {
        json_object_set_string_member(answer, "state", ha.state);
    }
    json_object_set_object_member(object, "ha", answer);
    return true;
}

static JsonNode *
read_status(ApiCall *call, uint32_t vmid, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, vmid, error) : NULL;
    if (file == NULL) {
        return NULL;
    }
    g_autoptr(JsonObject) answer = describe(vmid, guest_config_main(file->config));
    g_autoptr(QPropertyString) agent =
        guest_get_properties(guest_config_main(file->config), "agent", NULL);
    if (!add_ha(call, cfs, vmid, answer, error)) {
        return NULL;
    }
    if (agent != NULL && q_property_bool(agent, "enabled", false)) {
        json_object_set_int_member(answer, "agent", 1);
    }
    add_qmp_status(answer, vmid);
    add_live(answer, vmid);
    return q_json_node_object(g_steal_pointer(&answer));
}

static JsonNode *
status_run(ApiCall *call, const void *data, GError **error)
{
    const StatusArgs *args = data;

    return read_status(call, args->vmid, error);
}

const ApiMethod api_qemu_status = {
    .verb = API_GET,
    .path = "/nodes/{node}/qemu/{vmid}/status/current",
    .doc = "State of a guest.",
    .params = status_params,
    .returns = API_OBJECT,
    .access = "perm(/vms/{vmid}, VM.Audit)",
    .on_node = "node",
    .as_root = true,
    .run = status_run,
};

typedef struct {
    uint32_t vmid;
    bool verbose;
} QmStatusArgs;

static const ApiParam qm_status_params[] = {
    QEMU_PARAM_VMID(QmStatusArgs),
    API_PARAM(QmStatusArgs, verbose, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Everything that is known."),
    { 0 },
};

static JsonNode *
qm_status_run(ApiCall *call, const void *data, GError **error)
{
    const QmStatusArgs *args = data;
    g_autoptr(JsonNode) all = read_status(call, args->vmid, error);

    if (all == NULL || args->verbose) {
        return g_steal_pointer(&all);
    }
    JsonObject *answer = json_object_new();
    json_object_set_string_member(answer, "status",
                                  q_json_string(json_node_get_object(all), "qmpstatus", "unknown"));
    return q_json_node_object(answer);
}

const ApiMethod api_qm_status = {
    .name = "qm_status",
    .doc = "State of a guest.",
    .params = qm_status_params,
    .returns = API_OBJECT,
    .access = "root",
    .run = qm_status_run,
};
