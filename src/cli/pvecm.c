#include "cli/pvecm.h"
#include <stdio.h>
#include "api/cluster_config.h"

enum { EXIT_NOT_QUORATE = 2 };

static int
show_status(const CliCall *call, JsonNode *answer)
{
    JsonObject *status = json_node_get_object(answer);

    fputs(q_json_string(status, "text", ""), stdout);
    return q_json_bool(status, "quorate", false) ? 0 : EXIT_NOT_QUORATE;
}

static int
show_text(const CliCall *call, JsonNode *answer)
{
    fputs(json_node_get_string(answer), stdout);
    return 0;
}

/* clang-format off */
static const CliCommand commands[] = {
    { "create", &api_cluster_config_create, CLI_WORDS("clustername") },
    { "add", &api_pvecm_add, CLI_WORDS("hostname") },
    { "addnode", &api_cluster_config_add_node, CLI_WORDS("node") },
    { "delnode", &api_cluster_config_delete_node, CLI_WORDS("node") },
    { "status", &api_pvecm_status, .show = show_status },
    { "nodes", &api_pvecm_nodes, .show = show_text },
    { "expected", &api_pvecm_expected, CLI_WORDS("expected") },
    { "token", &api_pvecm_token },
    { "leave", &api_pvecm_leave },
    { "updatecerts", &api_pvecm_updatecerts },
    { "keygen", &api_pvecm_keygen, CLI_WORDS("file") },
    { "apiver", &api_cluster_config_apiversion },
    { "config check", &api_pvecm_config_check, CLI_WORDS("file") },
    { 0 },
};
/* clang-format on */

const CliProgram cli_pvecm = {
    .name = "pvecm",
    .doc = "Form, join and look at the cluster.",
    .commands = commands,
};
