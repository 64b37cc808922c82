#include "cli/qm.h"
#include <stdio.h>
#include <string.h>
#include "api/qemu.h"
#include "guest/core/config.h"

/* Members in byte order. */
static GList *
sorted_members(JsonObject *object)
{
    return g_list_sort(json_object_get_members(object), (GCompareFunc)strcmp);
}

static int
show_list(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = json_node_get_array(answer);

    /* Nothing at all for no guests: scripts count lines. */
    if (json_array_get_length(rows) > 0 && call->header) {
        printf("%10s %-20s %-10s %-10s %12s %-10s\n", "VMID", "NAME", "STATUS", "MEM(MB)",
               "BOOTDISK(GB)", "PID");
    }
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        const char *status = q_json_string(row, "qmpstatus", q_json_string(row, "status", ""));

        printf("%10" G_GINT64_FORMAT " %-20s %-10s %-10" G_GINT64_FORMAT
               " %12.2f %-10" G_GINT64_FORMAT "\n",
               q_json_int(row, "vmid", 0), q_json_string(row, "name", ""), status,
               q_json_int(row, "maxmem", 0) / (1024 * 1024),
               q_json_int(row, "maxdisk", 0) / (1024.0 * 1024 * 1024), q_json_int(row, "pid", 0));
    }
    return 0;
}

static void
print_nested(JsonObject *object, int depth)
{
    g_autoptr(GList) members = sorted_members(object);

    for (GList *item = members; item != NULL; item = item->next) {
        JsonNode *value = json_object_get_member(object, item->data);

        for (int i = 0; i < depth; i++) {
            putchar('\t');
        }
        if (JSON_NODE_HOLDS_OBJECT(value)) {
            printf("%s:\n", (char *)item->data);
            print_nested(json_node_get_object(value), depth + 1);
        } else {
            g_autofree char *text =
                JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING
                    ? json_node_dup_string(value)
                    : q_json_text(value, Q_JSON_COMPACT);
            printf("%s: %s\n", (char *)item->data, text);
        }
    }
}

static int
show_status(const CliCall *call, JsonNode *answer)
{
    JsonObject *object = json_node_get_object(answer);

    json_object_remove_member(object, "cpu");
    print_nested(object, 0);
    return 0;
}

static int
show_config(const CliCall *call, JsonNode *answer)
{
    JsonObject *object = json_node_get_object(answer);
    const char *description = q_json_string(object, "description", NULL);

    json_object_remove_member(object, "digest");
    if (description != NULL) {
        g_autofree char *encoded = guest_encode_text(description);
        json_object_set_string_member(object, "description", encoded);
    }
    print_nested(object, 0);
    return 0;
}

static int
show_pending(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = json_node_get_array(answer);

    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        const char *key = q_json_string(row, "key", "");
        const char *value = q_json_string(row, "value", NULL),
                   *pending = q_json_string(row, "pending", NULL);
        bool is_text = strcmp(key, "description") == 0;
        g_autofree char *shown =
            value != NULL && is_text ? guest_encode_text(value) : g_strdup(value);
        g_autofree char *waiting =
            pending != NULL && is_text ? guest_encode_text(pending) : g_strdup(pending);

        if (q_json_int(row, "delete", 0) != 0) {
            printf("del %s: %s\n", key, shown != NULL ? shown : "");
            continue;
        }
        if (shown != NULL) {
            printf("cur %s: %s\n", key, shown);
        }
        if (waiting != NULL) {
            printf("new %s: %s\n", key, waiting);
        }
    }
    return 0;
}

/* clang-format off */
static const CliCommand commands[] = {
    { "list",     &api_qemu_list,       CLI_WORDS(NULL),                  CLI_ON_THIS_NODE, .show = show_list },
    { "create",   &api_qemu_create,     CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "set",      &api_qemu_config_set, CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "config",   &api_qemu_config,     CLI_WORDS("vmid"),                CLI_ON_THIS_NODE, .show = show_config },
    { "pending",  &api_qemu_pending,    CLI_WORDS("vmid"),                CLI_ON_THIS_NODE, .show = show_pending },
    { "showcmd",  &api_qemu_showcmd,    CLI_WORDS("vmid") },
    { "start",    &api_qemu_start,      CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "stop",     &api_qemu_stop,       CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "shutdown", &api_qemu_shutdown,   CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "reboot",   &api_qemu_reboot,     CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "reset",    &api_qemu_reset,      CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "suspend",  &api_qemu_suspend,    CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "resume",   &api_qemu_resume,     CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "status",   &api_qm_status,       CLI_WORDS("vmid"),                .show = show_status },
    { "monitor",  &api_qemu_monitor,    CLI_WORDS("vmid", "command"),     CLI_ON_THIS_NODE },
    { "destroy",  &api_qemu_destroy,    CLI_WORDS("vmid"),                CLI_ON_THIS_NODE },
    { "unlock",   &api_qemu_unlock,     CLI_WORDS("vmid") },
    { "recover",  &api_qemu_recover,    CLI_WORDS("vmid") },
    { 0 },
};
/* clang-format on */

const CliProgram cli_qm = { .name = "qm", .doc = "virtual machines", .commands = commands };
