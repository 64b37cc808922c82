#include "cli/ha_manager.h"
#include <stdio.h>
#include <string.h>
#include "api/ha.h"
#include "base/sorted.h"

/* A line an entry: its type, a blank, its status. */
static int
show_status(const CliCall *call, JsonNode *answer)
{
    JsonArray *rows = json_node_get_array(answer);

    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        printf("%s %s\n", q_json_string(row, "type", ""), q_json_string(row, "status", ""));
    }
    return 0;
}

static void
print_value(const char *key, JsonNode *value)
{
    g_autofree char *text =
        JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING
            ? json_node_dup_string(value)
            : q_json_text(value, Q_JSON_COMPACT);

    printf("\t%s %s\n", key, text);
}

/* As the file has it: the id, then a line for each setting. */
static int
show_resources(const CliCall *call, JsonNode *answer)
{
    static const char *const not_settings[] = { "sid", "type", "digest", NULL };
    JsonArray *rows = json_node_get_array(answer);

    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        g_autoptr(GList) members = json_object_get_members(row);

        members = g_list_sort(members, (GCompareFunc)strcmp);
        printf("%s\n", q_json_string(row, "sid", ""));
        for (GList *item = members; item != NULL; item = item->next) {
            if (!g_strv_contains(not_settings, item->data)) {
                print_value(item->data, json_object_get_member(row, item->data));
            }
        }
        printf("\n");
    }
    return 0;
}

static int
show_move(const CliCall *call, JsonNode *answer)
{
    JsonObject *row = json_node_get_object(answer);

    printf("requested: %s to node '%s'\n", q_json_string(row, "sid", ""),
           q_json_string(row, "requested-node", ""));
    return 0;
}

/* clang-format off */
static const CliCommand commands[] = {
    { "status", &api_ha_status_current, .show = show_status },
    { "config", &api_ha_resources, .show = show_resources },
    { "add", &api_ha_resource_create, CLI_WORDS("sid") },
    { "set", &api_ha_resource_update, CLI_WORDS("sid") },
    { "remove", &api_ha_resource_delete, CLI_WORDS("sid") },
    { "migrate", &api_ha_migrate, CLI_WORDS("sid", "node"), .show = show_move },
    { "relocate", &api_ha_relocate, CLI_WORDS("sid", "node"), .show = show_move },
    { "crm-command migrate", &api_ha_migrate, CLI_WORDS("sid", "node"), .show = show_move },
    { "crm-command relocate", &api_ha_relocate, CLI_WORDS("sid", "node"), .show = show_move },
    { "crm-command stop", &api_ha_stop, CLI_WORDS("sid", "timeout") },
    { "crm-command node-maintenance", &api_ha_maintenance, CLI_WORDS("action", "node") },
    { "crm-command disarm-ha", &api_ha_disarm, CLI_WORDS("resource-mode") },
    { "crm-command arm-ha", &api_ha_arm },
    { "rules list", &api_ha_rules, CLI_COLUMNS("rule", "type", "resources", "nodes", "affinity") },
    { "rules config", &api_ha_rules },
    { "rules add", &api_ha_rule_create, CLI_WORDS("type", "rule") },
    { "rules set", &api_ha_rule_update, CLI_WORDS("type", "rule") },
    { "rules remove", &api_ha_rule_delete, CLI_WORDS("rule") },
    { 0 },
};
/* clang-format on */

const CliProgram cli_ha_manager = {
    .name = "ha-manager",
    .doc = "Keep guests running: services, rules, the managers' state.",
    .commands = commands,
};
