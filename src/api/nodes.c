#include "api/nodes.h"
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "api/index.h"
#include "api/version.h"
#include "cluster/pki.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"

enum { SMALL_FILE_BYTES = 1024 * 1024, TICKS = 7 };

/* ------------------------------------------------------------------ figures of this machine */

static char *
read_small(const char *path)
{
    char *text = q_file_read(path, SMALL_FILE_BYTES, NULL, NULL);

    return text != NULL ? text : g_strdup("");
}

/* "MemTotal:  16384 kB" in bytes. */
static int64_t
meminfo_bytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at != NULL ? g_ascii_strtoll(at + strlen(key), NULL, 10) * 1024 : 0;
}

/* Busy and waiting share of all processors since boot: without a daemon that samples, the only
 * figures that there are. */
static void
cpu_shares(double *busy, double *wait)
{
    g_autofree char *text = read_small("/proc/stat");
    double ticks[TICKS] = { 0 }, all = 0;

    /* user nice system idle iowait irq softirq */
    const char *at = text + strcspn(text, " ");
    for (int i = 0; i < TICKS; i++) {
        char *end;
        ticks[i] = g_ascii_strtod(at, &end);
        all += ticks[i];
        at = end;
    }
    *busy = all > 0 ? (all - ticks[3] - ticks[4]) / all : 0;
    *wait = all > 0 ? ticks[4] / all : 0;
}

static int64_t
uptime_s(void)
{
    g_autofree char *text = read_small("/proc/uptime");

    return (int64_t)g_ascii_strtod(text, NULL);
}

static void
put_bytes(JsonObject *into, const char *name, int64_t total, int64_t free_bytes, int64_t available,
          const char *available_name)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "total", total);
    json_object_set_int_member(object, "free", free_bytes);
    json_object_set_int_member(object, "used", total - free_bytes);
    if (available_name != NULL) {
        json_object_set_int_member(object, available_name, available);
    }
    json_object_set_object_member(into, name, object);
}

static void
put_memory(JsonObject *status)
{
    g_autofree char *text = read_small("/proc/meminfo");
    g_autofree char *shared = read_small("/sys/kernel/mm/ksm/pages_sharing");
    int64_t available = meminfo_bytes(text, "MemAvailable:");
    JsonObject *ksm = json_object_new();
    struct statvfs root = { 0 };

    put_bytes(status, "memory", meminfo_bytes(text, "MemTotal:"), meminfo_bytes(text, "MemFree:"),
              available, "available");
    put_bytes(status, "swap", meminfo_bytes(text, "SwapTotal:"), meminfo_bytes(text, "SwapFree:"),
              0, NULL);
    json_object_set_int_member(ksm, "shared",
                               g_ascii_strtoll(shared, NULL, 10) * sysconf(_SC_PAGESIZE));
    json_object_set_object_member(status, "ksm", ksm);
    if (statvfs("/", &root) == 0) {
        int64_t block = (int64_t)root.f_frsize;
        put_bytes(status, "rootfs", block * (int64_t)root.f_blocks, block * (int64_t)root.f_bfree,
                  block * (int64_t)root.f_bavail, "avail");
    }
}

/* The value behind the first "key : value" of /proc/cpuinfo. */
static char *
cpuinfo_value(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    const char *colon = at != NULL ? strchr(at, ':') : NULL;

    return colon != NULL ? g_strstrip(g_strndup(colon + 1, strcspn(colon + 1, "\n")))
                         : g_strdup("");
}

static void
put_processors(JsonObject *status)
{
    g_autofree char *text = read_small("/proc/cpuinfo");
    g_autofree char *model = cpuinfo_value(text, "model name");
    g_autofree char *mhz = cpuinfo_value(text, "cpu MHz");
    g_autofree char *flags = cpuinfo_value(text, "flags");
    g_autofree char *cores_text = cpuinfo_value(text, "cpu cores");
    JsonObject *info = json_object_new();
    g_autoptr(GHashTable) packages = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (const char *at = text; (at = strstr(at, "physical id")) != NULL; at++) {
        g_hash_table_add(packages, cpuinfo_value(at, "physical id"));
    }
    int64_t sockets = MAX(1, (int64_t)g_hash_table_size(packages));
    json_object_set_int_member(info, "cpus", get_nprocs());
    json_object_set_int_member(info, "sockets", sockets);
    json_object_set_int_member(info, "cores",
                               MAX(1, g_ascii_strtoll(cores_text, NULL, 10)) * sockets);
    json_object_set_string_member(info, "model", model);
    json_object_set_string_member(info, "mhz", mhz);
    json_object_set_string_member(info, "flags", flags);
    json_object_set_string_member(
        info, "hvm", strstr(flags, "vmx") != NULL || strstr(flags, "svm") != NULL ? "1" : "0");
    json_object_set_int_member(info, "user_hz", sysconf(_SC_CLK_TCK));
    json_object_set_object_member(status, "cpuinfo", info);
}

static void
put_kernel(JsonObject *status)
{
    struct utsname name;
    JsonObject *kernel = json_object_new(), *boot = json_object_new();

    uname(&name);
    json_object_set_string_member(kernel, "sysname", name.sysname);
    json_object_set_string_member(kernel, "release", name.release);
    json_object_set_string_member(kernel, "version", name.version);
    json_object_set_string_member(kernel, "machine", name.machine);
    json_object_set_object_member(status, "current-kernel", kernel);
    g_autofree char *version =
        g_strdup_printf("%s %s %s", name.sysname, name.release, name.version);
    json_object_set_string_member(status, "kversion", version);
    json_object_set_string_member(boot, "mode",
                                  access("/sys/firmware/efi", F_OK) == 0 ? "efi" : "legacy-bios");
    json_object_set_object_member(status, "boot-info", boot);
}

static void
put_load(JsonObject *status)
{
    g_autofree char *text = read_small("/proc/loadavg");
    g_auto(GStrv) words = g_strsplit(text, " ", 4);
    JsonArray *load = json_array_new();

    for (int i = 0; i < 3 && words[i] != NULL; i++) {
        json_array_add_string_element(load, words[i]);
    }
    json_object_set_array_member(status, "loadavg", load);
}

/* ------------------------------------------------------------------ GET /nodes */

static void
put_fingerprint(JsonObject *row, const char *node)
{
    const char *const files[] = { "pveproxy-ssl.pem", "pve-ssl.pem" };

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_strdup_printf("%s/nodes/%s/%s", Q_PVE_DIR, node, files[i]);
        g_autofree char *pem = q_file_read(path, SMALL_FILE_BYTES, NULL, NULL);
        g_autofree char *fingerprint = pem != NULL ? pki_fingerprint(pem, NULL) : NULL;
        if (fingerprint != NULL) {
            json_object_set_string_member(row, "ssl_fingerprint", fingerprint);
            return;
        }
    }
}

static JsonObject *
node_row(ApiCall *call, const char *node, bool online)
{
    JsonObject *row = json_object_new();
    g_autofree char *id = g_strdup_printf("node/%s", node);
    g_autofree char *path = g_strdup_printf("/nodes/%s", node);

    json_object_set_string_member(row, "node", node);
    json_object_set_string_member(row, "id", id);
    json_object_set_string_member(row, "type", "node");
    json_object_set_string_member(row, "level", "");
    json_object_set_string_member(row, "status", online ? "online" : "offline");
    put_fingerprint(row, node);
    if (strcmp(node, call->node) == 0 && api_may(call, path, "Sys.Audit")) {
        g_autofree char *memory = read_small("/proc/meminfo");
        int64_t total = meminfo_bytes(memory, "MemTotal:");
        double busy, wait;
        cpu_shares(&busy, &wait);
        json_object_set_double_member(row, "cpu", busy);
        json_object_set_int_member(row, "maxcpu", get_nprocs());
        json_object_set_int_member(row, "maxmem", total);
        json_object_set_int_member(row, "mem", total - meminfo_bytes(memory, "MemAvailable:"));
        json_object_set_int_member(row, "uptime", uptime_s());
    }
    return row;
}

static JsonNode *
list_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(JsonObject) members =
        cfs != NULL ? cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, error) : NULL;
    JsonArray *rows;

    if (members == NULL) {
        return NULL;
    }
    rows = json_array_new();
    JsonObject *list = q_json_object(members, "nodelist");
    if (list == NULL) { /* alone: no cluster, no list */
        json_array_add_object_element(rows, node_row(call, call->node, true));
        return q_json_node_array(rows);
    }
    GList *names = g_list_sort(json_object_get_members(list), (GCompareFunc)strcmp);
    for (GList *name = names; name != NULL; name = name->next) {
        bool online = q_json_bool(q_json_object(list, name->data), "online", false);
        json_array_add_object_element(rows, node_row(call, name->data, online));
    }
    g_list_free(names);
    return q_json_node_array(rows);
}

/* clang-format off */
static const ApiColumn list_columns[] = {
    { "cpu",     API_NUMBER,  .optional = true, .renderer = "fraction_as_percentage", .doc = "Share of its processors that was busy." },
    { "level",   API_STRING,  .optional = true, .doc = "Level of support: none." },
    { "maxcpu",  API_INTEGER, .optional = true, .doc = "Processors." },
    { "maxmem",  API_INTEGER, .optional = true, .renderer = "bytes", .doc = "Memory." },
    { "mem",     API_INTEGER, .optional = true, .renderer = "bytes", .doc = "Memory in use." },
    { "node",    API_STRING,  .doc = "Its name." },
    { "ssl_fingerprint", API_STRING, .optional = true, .doc = "Of the certificate at its port 8006." },
    { "status",  API_STRING,  .doc = "online, offline or unknown." },
    { "uptime",  API_INTEGER, .optional = true, .renderer = "duration", .doc = "Time since it started." },
    { 0 },
};
/* clang-format on */

const ApiMethod api_nodes_list = {
    .verb = API_GET,
    .path = "/nodes",
    .doc = "Nodes of the cluster.",
    .returns = API_ROWS,
    .columns = list_columns,
    .access = "all",
    .run = list_run,
};

/* ------------------------------------------------------------------ one node */

typedef struct {
    char *node;
} NodeArgs;

static const ApiParam node_params[] = {
    API_PARAM(NodeArgs, node, API_NODE, .doc = "Node that is asked."),
    { 0 },
};

static const ApiColumn index_columns[] = {
    { "name", API_STRING, .doc = "Name of an area." },
    { 0 },
};

static JsonNode *
index_run(ApiCall *call, const void *args, GError **error)
{
    return api_children("/nodes/{node}", "name");
}

const ApiMethod api_nodes_index = {
    .verb = API_GET,
    .path = "/nodes/{node}",
    .doc = "Areas of a node.",
    .params = node_params,
    .returns = API_ROWS,
    .columns = index_columns,
    .access = "all",
    .run = index_run,
};

static JsonNode *
status_run(ApiCall *call, const void *args, GError **error)
{
    JsonObject *status = json_object_new();
    g_autofree char *repoid = api_version_repoid();
    g_autofree char *version = g_strdup_printf("pve-manager/" API_LEVEL "/%s", repoid);
    double busy, wait;

    cpu_shares(&busy, &wait);
    json_object_set_int_member(status, "uptime", uptime_s());
    json_object_set_int_member(status, "idle", 0);
    json_object_set_double_member(status, "cpu", busy);
    json_object_set_double_member(status, "wait", wait);
    json_object_set_string_member(status, "pveversion", version);
    put_load(status);
    put_kernel(status);
    put_processors(status);
    put_memory(status);
    return q_json_node_object(status);
}

/* clang-format off */
static const ApiColumn status_columns[] = {
    { "boot-info",      API_OBJECT,  .doc = "How the machine started." },
    { "cpu",            API_NUMBER,  .renderer = "fraction_as_percentage", .doc = "Share of the processors that was busy since the start." },
    { "cpuinfo",        API_OBJECT,  .doc = "Processors." },
    { "current-kernel", API_OBJECT,  .doc = "The kernel." },
    { "loadavg",        API_STRINGS, .doc = "Processes that wanted to run, over 1, 5 and 15 minutes." },
    { "memory",         API_OBJECT,  .doc = "Memory." },
    { "pveversion",     API_STRING,  .doc = "Version of the API that is followed." },
    { "rootfs",         API_OBJECT,  .optional = true, .doc = "The root filesystem." },
    { "uptime",         API_INTEGER, .renderer = "duration", .doc = "Time since the start." },
    { 0 },
};
/* clang-format on */

const ApiMethod api_nodes_status = {
    .verb = API_GET,
    .path = "/nodes/{node}/status",
    .doc = "Figures of a node.",
    .params = node_params,
    .returns = API_OBJECT,
    .columns = status_columns,
    .access = "perm(/nodes/{node}, Sys.Audit)",
    .on_node = "node",
    .run = status_run,
};

static JsonNode *
time_run(ApiCall *call, const void *args, GError **error)
{
    JsonObject *object = json_object_new();
    int64_t now_s = q_clock_wall_s();
    g_autoptr(GTimeZone) zone = g_time_zone_new_local();
    int interval = g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, now_s);

    json_object_set_string_member(object, "timezone", g_time_zone_get_identifier(zone));
    json_object_set_int_member(object, "time", now_s);
    json_object_set_int_member(object, "localtime",
                               now_s + g_time_zone_get_offset(zone, MAX(0, interval)));
    return q_json_node_object(object);
}

static const ApiColumn time_columns[] = {
    { "localtime", API_INTEGER, .doc = "Seconds since 1970 as a clock on the wall shows them." },
    { "time", API_INTEGER, .renderer = "timestamp", .doc = "Seconds since 1970, UTC." },
    { "timezone", API_STRING, .doc = "Time zone." },
    { 0 },
};

const ApiMethod api_nodes_time = {
    .verb = API_GET,
    .path = "/nodes/{node}/time",
    .doc = "Time of a node.",
    .params = node_params,
    .returns = API_OBJECT,
    .columns = time_columns,
    .access = "perm(/nodes/{node}, Sys.Audit)",
    .on_node = "node",
    .run = time_run,
};

const ApiMethod *const api_nodes_methods[] = { &api_nodes_list, &api_nodes_index, &api_nodes_status,
                                               &api_nodes_time, NULL };
