#include "cli/pvesm.h"
#include <stdio.h>
#include <string.h>
#include "api/storage.h"

static int
longest(JsonArray *rows, const char *member, int least)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        int length = strlen(q_json_string(row, member, ""));

        least = MAX(least, length);
    }
    return least;
}

static int
show_status(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = json_node_get_array(answer);
    int width = longest(rows, "storage", 4) + 1;

    if (call->header) {
        printf("%-*s %10s %10s %15s %15s %15s %8s\n", width, "Name", "Type", "Status",
               "Total (KiB)", "Used (KiB)", "Available (KiB)", "%");
    }
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        bool enabled = q_json_bool(row, "enabled", false);
        int64_t total = q_json_int(row, "total", 0) / 1024,
                used = q_json_int(row, "used", 0) / 1024;
        g_autofree char *percent =
            enabled ? g_strdup_printf("%.2f%%", total > 0 ? 100.0 * used / total : 0.0)
                    : g_strdup("N/A");

        printf("%-*s %10s %10s %15" G_GINT64_FORMAT " %15" G_GINT64_FORMAT " %15" G_GINT64_FORMAT
               " %8s\n",
               width, q_json_string(row, "storage", ""), q_json_string(row, "type", ""),
               !enabled                            ? "disabled"
               : q_json_bool(row, "active", false) ? "active"
                                                   : "inactive",
               total, used, q_json_int(row, "avail", 0) / 1024, percent);
    }
    return 0;
}

static int
show_volumes(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = json_node_get_array(answer);
    int width = longest(rows, "volid", 5);
    int size_width = 4;

    for (guint i = 0; i < json_array_get_length(rows); i++) {
        g_autofree char *size = g_strdup_printf(
            "%" G_GINT64_FORMAT, q_json_int(json_array_get_object_element(rows, i), "size", 0));
        size_width = MAX(size_width, (int)strlen(size));
    }
    if (call->header) {
        printf("%-*s %-7s %-9s %*s %s\n", width, "Volid", "Format", "Type", size_width, "Size",
               "VMID");
    }
    /* Guests' volumes first, then the rest. */
    for (int owned = 1; owned >= 0; owned--) {
        for (guint i = 0; i < json_array_get_length(rows); i++) {
            JsonObject *row = json_array_get_object_element(rows, i);
            int64_t vmid = q_json_int(row, "vmid", 0);
            g_autofree char *owner =
                vmid != 0 ? g_strdup_printf("%" G_GINT64_FORMAT, vmid) : g_strdup("");

            if ((vmid != 0) == (owned == 1)) {
                printf("%-*s %-7s %-9s %*" G_GINT64_FORMAT " %s\n", width,
                       q_json_string(row, "volid", ""), q_json_string(row, "format", ""),
                       q_json_string(row, "content", ""), size_width, q_json_int(row, "size", 0),
                       owner);
            }
        }
    }
    return 0;
}

static int
show_created(const CliCall *call, JsonNode *answer)
{
    printf("successfully created '%s'\n", json_node_get_string(answer));
    return 0;
}

/* clang-format off */
static const CliCommand commands[] = {
    { "status", &api_storage_status,  CLI_WORDS(NULL),                                  CLI_ON_THIS_NODE, .show = show_status },
    { "list",   &api_storage_content, CLI_WORDS("storage"),                             CLI_ON_THIS_NODE, .show = show_volumes },
    { "alloc",  &api_storage_alloc,   CLI_WORDS("storage", "vmid", "filename", "size"), CLI_ON_THIS_NODE, .show = show_created },
    { "free",   &api_storage_free,    CLI_WORDS("volume"),                              CLI_ON_THIS_NODE },
    { "path",   &api_storage_path,    CLI_WORDS("volume") },
    { "add",    &api_storage_create,  CLI_WORDS("type", "storage"),                     .show = cli_show_nothing },
    { "set",    &api_storage_update,  CLI_WORDS("storage"),                             .show = cli_show_nothing },
    { "remove", &api_storage_delete,  CLI_WORDS("storage"),                             .show = cli_show_nothing },
    { 0 },
};
/* clang-format on */

const CliProgram cli_pvesm = { .name = "pvesm", .doc = "storages", .commands = commands };
