#include "api/version.h"
#include "api/index.h"

static const ApiColumn version_columns[] = {
    { "release", API_STRING, .doc = "Release whose API is followed." },
    { "repoid", API_STRING, .doc = "Names this build." },
    { "version", API_STRING, .doc = "Version whose API is followed." },
    { "quorate", API_STRING, .optional = true, .doc = "Version of Quorate." },
    { 0 },
};

char *
api_version_repoid(void)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, QUORATE_VERSION, -1);

    return g_strndup(sum, 16);
}

static JsonNode *
version_run(ApiCall *call, const void *args, GError **error)
{
    JsonObject *version = json_object_new();
    g_autofree char *repoid = api_version_repoid();

    json_object_set_string_member(version, "version", API_LEVEL);
    json_object_set_string_member(version, "release", API_RELEASE);
    json_object_set_string_member(version, "repoid", repoid);
    json_object_set_string_member(version, "quorate", QUORATE_VERSION);
    return q_json_node_object(version);
}

static JsonNode *
root_run(ApiCall *call, const void *args, GError **error)
{
    return api_children("/", "subdir");
}

static const ApiColumn root_columns[] = {
    { "subdir", API_STRING, .doc = "Name of an area." },
    { 0 },
};

const ApiMethod api_version_root = {
    .verb = API_GET,
    .path = "/",
    .doc = "Areas of the API.",
    .returns = API_ROWS,
    .columns = root_columns,
    .access = "all",
    .run = root_run,
};

const ApiMethod api_version_version = {
    .verb = API_GET,
    .path = "/version",
    .doc = "Versions of the API and of the program.",
    .returns = API_OBJECT,
    .columns = version_columns,
    .access = "all",
    .run = version_run,
};

typedef struct {
    char *node;
} NodeArgs;

static const ApiParam node_params[] = {
    API_PARAM(NodeArgs, node, API_NODE, .doc = "Node that is asked."),
    { 0 },
};

const ApiMethod api_version_of_node = {
    .verb = API_GET,
    .path = "/nodes/{node}/version",
    .doc = "Versions that a node runs.",
    .params = node_params,
    .returns = API_OBJECT,
    .columns = version_columns,
    .access = "all",
    .on_node = "node",
    .run = version_run,
};

const ApiMethod *const api_version_methods[] = { &api_version_root, &api_version_version,
                                                 &api_version_of_node, NULL };
