#include "api/cluster_config_priv.h"
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "api/cluster_certs.h"
#include "api/cluster_tree.h"
#include "api/index.h"
#include "cluster/cluster_paths.h"
#include "cluster/host_address.h"
#include "cluster/join_token.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/service.h"

#define CREATE_QUORUM_MS 30000
#define SETTLE_POLL_US 200000
#define TOKEN_MS 1000 /* safety.md S38: 1 s to 8 nodes */
#define CONF_FILE_MAX (1024 * 1024)

/* ------------------------------------------------------------------ shared */

bool
cluster_check_link(const char *name, const char *value, GError **error)
{
    CorosyncLink link = { 0 };
    bool ok = corosync_link_parse(value, &link, error);

    g_free(link.addr);
    return ok;
}

int
cluster_parse_links(char **given, CorosyncLink links[COROSYNC_LINKS], GError **error)
{
    int count = 0;

    for (int i = 0; given != NULL && i < COROSYNC_LINKS; i++) {
        if (given[i] == NULL)
            continue;
        if (!corosync_link_parse(given[i], &links[i], error))
            return -1;
        count++;
    }
    return count;
}

/* No byte is zero: the key travels as a JSON string, one character a byte. */
bool
cluster_write_key(const char *path, GError **error)
{
    unsigned char key[COROSYNC_KEY_BYTES];

    if (access(path, F_OK) == 0)
        return q_set_error(error, Q_ERROR_EXISTS, "key file '%s' already exists", path);
    for (size_t i = 0; i < sizeof key;)
        if (getrandom(&key[i], 1, 0) == 1 && key[i] != 0)
            i++;
    return q_file_write_atomic(path, key, sizeof key, 0400, error);
}

static JsonNode *
index_run(ApiCall *call, const void *args, GError **error)
{
    return api_children("/cluster/config", "name");
}

static const ApiMethod index_row = {
    .verb = API_GET,
    .path = "/cluster/config",
    .doc = "Directory.",
    .returns = API_ROWS,
    .access = "perm(/, Sys.Audit)",
    .run = index_run,
};

/* ------------------------------------------------------------------ create */

typedef struct {
    char *clustername;
    char **link;
    int64_t nodeid, votes, token_coefficient;
} CreateArgs;

static bool
check_cluster_name(const char *name, const char *value, GError **error)
{
    return corosync_cluster_name_ok(value)
           || q_set_error(error, Q_ERROR_INVALID,
                          "letters, digits and inner hyphens, at most 15 characters");
}

static const ApiParam create_params[] = {
    API_PARAM(CreateArgs, clustername, API_STRING, .doc = "Name of the cluster.", .max_length = 15,
              .check = check_cluster_name),
    CLUSTER_LINK_PARAM(CreateArgs),
    API_PARAM(CreateArgs, nodeid, API_INTEGER, .optional = true, API_MIN(1), .def = "1",
              .doc = "Corosync's id of this node."),
    API_PARAM(CreateArgs, votes, API_INTEGER, .optional = true, API_MIN(1), .def = "1",
              .doc = "Votes of this node."),
    API_PARAM(CreateArgs, token_coefficient, API_INTEGER, API_NAME("token-coefficient"),
              .optional = true, API_MIN(0), .def = "0",
              .doc = "Milliseconds that Corosync's token timeout grows with each node beyond two. "
                     "High availability counts on 0."),
    { 0 },
};

static bool
create_links(ApiCall *call, const CreateArgs *args, CorosyncLink links[COROSYNC_LINKS],
             GError **error)
{
    int count = cluster_parse_links(args->link, links, error);

    if (count < 0)
        return false;
    if (count == 0) {
        links[0].addr = host_address_of(call->node, error);
        return links[0].addr != NULL;
    }
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        g_autofree char *name = g_strdup_printf("link%d", i);
        if (links[i].addr != NULL && !host_address_is_ours(links[i].addr))
            return api_blame(error, name, "cannot use IP '%s', not found on local node!",
                             links[i].addr);
    }
    return true;
}

static bool
create_prepare(ApiCall *call, const void *data, GError **error)
{
    CorosyncLink links[COROSYNC_LINKS] = { 0 };
    CfsClient *cfs = api_cfs(call, error);
    bool there;

    if (cfs == NULL || !cluster_tree_has(cfs, CLUSTER_CONF_PATH, &there, error))
        return false;
    if (there)
        return q_set_error(error, Q_ERROR_EXISTS, "cluster config '%s/%s' already exists",
                           Q_PVE_DIR, CLUSTER_CONF_PATH);
    if (!corosync_node_name_ok(call->node))
        return q_set_error(error, Q_ERROR_INVALID,
                           "this node's name '%s' cannot be used: letters, digits, inner hyphens",
                           call->node);
    bool ok = create_links(call, data, links, error);
    corosync_links_clear(links);
    return ok;
}

/* Corosync first: if it does not start, the tree has not changed. */
static bool
start_cluster(CfsClient *cfs, const char *text, GError **error)
{
    bool old_key = access(COROSYNC_KEY_FILE, F_OK) == 0;
    bool ok = q_file_make_dir(COROSYNC_DIR, 0755, error)
              && (old_key || cluster_write_key(COROSYNC_KEY_FILE, error))
              && q_file_write_atomic(COROSYNC_CONF_FILE, text, strlen(text), 0644, error)
              && q_service_restart(COROSYNC_SERVICE, error)
              && cfs_write(cfs, CLUSTER_CONF_PATH, text, CFS_ABSENT, error);

    if (!ok && !g_error_matches(error != NULL ? *error : NULL, Q_ERROR, Q_ERROR_UNKNOWN)) {
        q_service_stop(COROSYNC_SERVICE, NULL);
        unlink(COROSYNC_CONF_FILE);
        if (!old_key)
            unlink(COROSYNC_KEY_FILE);
    }
    return ok;
}

/* The new cluster is quorate, and its files are there. cfsd goes over from alone to cluster
 * meanwhile: what it was asked just before may be lost. */
static bool
settle(ApiCall *call, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + CREATE_QUORUM_MS;
    const ClusterCertsOptions certs = { .say = api_say, .data = call };

    while (true) {
        g_autoptr(GError) why = NULL;
        g_autoptr(CfsClient) cfs = NULL;
        if (cluster_wait_quorum(CREATE_QUORUM_MS, &why)
            && (cfs = cfs_client_connect("pvecm", &why)) != NULL
            && cluster_certs_ensure(cfs, call->node, &certs, &why))
            return true;
        if (q_clock_mono_ms() >= deadline) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        g_usleep(SETTLE_POLL_US);
    }
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const CreateArgs *args = data;
    CorosyncLink links[COROSYNC_LINKS] = { 0 };
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);
    CfsClient *cfs = lock != NULL ? api_cfs(call, error) : NULL;

    /* Again, now that nobody else creates or joins on this node. */
    if (cfs == NULL || !create_prepare(call, data, error)
        || !create_links(call, args, links, error))
        return NULL;
    const CorosyncConfNew options = {
        .cluster_name = args->clustername,
        .node = call->node,
        .node_id = (uint32_t)args->nodeid,
        .votes = (uint32_t)args->votes,
        .token_ms = TOKEN_MS,
        .token_coefficient = args->token_coefficient,
        .links = links,
    };
    g_autoptr(CorosyncConf) conf = corosync_conf_new(&options);
    corosync_links_clear(links);
    g_autofree char *text = corosync_conf_text(conf);
    if (!corosync_conf_check(conf, NULL, error))
        return NULL;
    api_log(call, "Corosync Cluster Engine Authentication key: %s", COROSYNC_KEY_FILE);
    api_log(call, "Writing corosync config to %s/%s", Q_PVE_DIR, CLUSTER_CONF_PATH);
    if (!start_cluster(cfs, text, error)) {
        q_prefix_error(error, "cluster '%s' was not created: ", args->clustername);
        return NULL;
    }
    api_log(call, "Restart corosync and cluster filesystem");
    if (!settle(call, error)) {
        q_prefix_error(error, "cluster '%s' is created, but ", args->clustername);
        return NULL;
    }
    return q_json_node_null();
}

const ApiMethod api_cluster_config_create = {
    .verb = API_POST,
    .path = "/cluster/config",
    .doc = "Form a new cluster of this node.",
    .params = create_params,
    .returns = API_UPID,
    .task = "clustercreate",
    .task_id = "clustername",
    .access = "root",
    .as_root = true,
    .prepare = create_prepare,
    .run = create_run,
};

/* ------------------------------------------------------------------ looking */

/* A block's keys as JSON; blocks inside by their link number, as clients expect of `interface`. */
static JsonObject *
totem_json(const CorosyncConf *conf)
{
    JsonObject *totem = json_object_new(), *interfaces = NULL;
    g_auto(GStrv) keys = corosync_conf_keys(conf, "totem");

    for (int i = 0; keys[i] != NULL; i++)
        json_object_set_string_member(totem, keys[i], corosync_conf_get(conf, "totem", keys[i]));
    for (int link = 0; link < COROSYNC_LINKS; link++) {
        int priority;
        if (!corosync_conf_interface(conf, link, &priority))
            continue;
        JsonObject *interface = json_object_new();
        g_autofree char *number = g_strdup_printf("%d", link);
        g_autofree char *text = g_strdup_printf("%d", priority);
        json_object_set_string_member(interface, "linknumber", number);
        if (priority > 0)
            json_object_set_string_member(interface, "knet_link_priority", text);
        if (interfaces == NULL) {
            interfaces = json_object_new();
            json_object_set_object_member(totem, "interface", interfaces);
        }
        json_object_set_object_member(interfaces, number, interface);
    }
    return totem;
}

static JsonNode *
totem_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;

    return conf != NULL ? q_json_node_object(totem_json(conf)) : NULL;
}

const ApiMethod api_cluster_config_totem = {
    .verb = API_GET,
    .path = "/cluster/config/totem",
    .doc = "Corosync's totem settings.",
    .returns = API_OBJECT,
    .access = "perm(/, Sys.Audit)",
    .run = totem_run,
};

static JsonObject *
node_json(const CorosyncNode *node)
{
    JsonObject *row = json_object_new();
    g_autofree char *id = g_strdup_printf("%u", node->id);
    g_autofree char *votes = g_strdup_printf("%u", node->votes);

    json_object_set_string_member(row, "name", node->name);
    json_object_set_string_member(row, "nodeid", id);
    json_object_set_string_member(row, "quorum_votes", votes);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        g_autofree char *key = g_strdup_printf("ring%d_addr", i);
        if (node->addr[i] != NULL)
            json_object_set_string_member(row, key, node->addr[i]);
    }
    return row;
}

static JsonNode *
nodes_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;

    if (conf == NULL)
        return NULL;
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < nodes->len; i++) {
        JsonObject *row = node_json(&g_array_index(nodes, CorosyncNode, i));
        json_object_set_string_member(row, "node", q_json_string(row, "name", ""));
        json_array_add_object_element(rows, row);
    }
    return q_json_node_array(rows);
}

static const ApiColumn nodes_columns[] = {
    { "node", API_STRING, .doc = "Name of the node." },
    { 0 },
};

const ApiMethod api_cluster_config_nodes = {
    .verb = API_GET,
    .path = "/cluster/config/nodes",
    .doc = "Nodes as corosync.conf lists them.",
    .returns = API_ROWS,
    .columns = nodes_columns,
    .access = "perm(/, Sys.Audit)",
    .run = nodes_run,
};

static JsonNode *
apiversion_run(ApiCall *call, const void *args, GError **error)
{
    return q_json_node_int(CLUSTER_JOIN_API);
}

const ApiMethod api_cluster_config_apiversion = {
    .verb = API_GET,
    .path = "/cluster/config/apiversion",
    .doc = "Version of the way in which nodes join.",
    .returns = API_INTEGER,
    .access = "perm(/, Sys.Audit)",
    .run = apiversion_run,
};

typedef struct {
    char *node;
} JoinInfoArgs;

static const ApiParam join_info_params[] = {
    API_PARAM(JoinInfoArgs, node, API_NODE, .optional = true,
              .doc = "Node through which to join; the one that is asked unless given."),
    { 0 },
};

static JsonArray *
join_info_nodes(CfsClient *cfs, const CorosyncConf *conf)
{
    g_autoptr(GArray) nodes = corosync_conf_nodes(conf);
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < nodes->len; i++) {
        const CorosyncNode *node = &g_array_index(nodes, CorosyncNode, i);
        JsonObject *row = node_json(node);
        g_autofree char *print = cluster_certs_fingerprint(cfs, node->name, NULL);
        g_autofree char *addr = node->addr[0] != NULL && !host_address_is_numeric(node->addr[0])
                                    ? host_address_of(node->addr[0], NULL)
                                    : g_strdup(node->addr[0]);
        if (addr != NULL)
            json_object_set_string_member(row, "pve_addr", addr);
        if (print != NULL) /* none yet: it is about to join */
            json_object_set_string_member(row, "pve_fp", print);
        json_array_add_object_element(rows, row);
    }
    return rows;
}

static JsonNode *
join_info_run(ApiCall *call, const void *data, GError **error)
{
    const JoinInfoArgs *args = data;
    const char *preferred = args->node != NULL ? args->node : call->node;
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *text = NULL;

    if (cfs == NULL)
        return NULL;
    text = cluster_tree_text(cfs, CLUSTER_CONF_PATH, NULL, error);
    if (text == NULL) {
        if (error == NULL || *error == NULL)
            api_status(error, Q_ERROR_NOT_FOUND, 424,
                       "node is not in a cluster, no join info available!");
        return NULL;
    }
    g_autoptr(CorosyncConf) conf = corosync_conf_parse(text, error);
    if (conf == NULL)
        return NULL;
    if (!corosync_conf_node(conf, preferred, NULL)) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "no such cluster node '%s'", preferred);
        return NULL;
    }
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, text, -1);
    JsonObject *info = json_object_new();
    json_object_set_string_member(info, "preferred_node", preferred);
    json_object_set_string_member(info, "config_digest", digest);
    json_object_set_object_member(info, "totem", totem_json(conf));
    json_object_set_array_member(info, "nodelist", join_info_nodes(cfs, conf));
    return q_json_node_object(info);
}

const ApiMethod api_cluster_config_join_info = {
    .verb = API_GET,
    .path = "/cluster/config/join",
    .doc = "What a new node needs to know to join.",
    .params = join_info_params,
    .returns = API_OBJECT,
    .access = "perm(/, Sys.Audit)",
    .run = join_info_run,
};

/* ------------------------------------------------------------------ pvecm's own */

typedef struct {
    char *file;
} FileArgs;

static const ApiParam keygen_params[] = {
    API_PARAM(FileArgs, file, API_STRING, .doc = "File to write; it must not exist."),
    { 0 },
};

static JsonNode *
keygen_run(ApiCall *call, const void *data, GError **error)
{
    return cluster_write_key(((const FileArgs *)data)->file, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_pvecm_keygen = {
    .name = "pvecm_keygen",
    .doc = "Make a new key for Corosync.",
    .params = keygen_params,
    .access = "root",
    .run = keygen_run,
};

typedef struct {
    int64_t ttl;
} TokenArgs;

static const ApiParam token_params[] = {
    API_PARAM(TokenArgs, ttl, API_INTEGER, .optional = true, API_MIN(10), API_MAX(86400),
              .def = G_STRINGIFY(JOIN_TOKEN_TTL_S), .doc = "Seconds for which it is good."),
    { 0 },
};

typedef struct {
    const char *secret;
    int64_t ttl_s;
} NewToken;

static char *
add_token(const char *text, gpointer data, GError **error)
{
    const NewToken *token = data;
    int64_t now_s = q_clock_wall_s();

    return join_tokens_add(text, token->secret, now_s + token->ttl_s, now_s);
}

static JsonNode *
token_run(ApiCall *call, const void *data, GError **error)
{
    g_autofree char *secret = join_secret_new();
    NewToken token = { secret, ((const TokenArgs *)data)->ttl };
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    CorosyncNode node;

    if (conf == NULL)
        return NULL;
    if (!corosync_conf_node(conf, call->node, &node)) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "this node, '%s', is not in corosync.conf",
                    call->node);
        return NULL;
    }
    const char *addr = NULL;
    for (int i = COROSYNC_LINKS - 1; i >= 0; i--)
        addr = node.addr[i] != NULL ? node.addr[i] : addr;
    g_autofree char *print = cluster_certs_fingerprint(cfs, call->node, error);
    if (print == NULL || !cfs_modify(cfs, JOIN_TOKENS_FILE, add_token, &token, error))
        return NULL;
    g_autofree char *text = join_token_text(addr, print, secret);
    return q_json_node_string(text);
}

const ApiMethod api_pvecm_token = {
    .name = "pvecm_token",
    .doc = "Make a one-time token with which a new node may join: HOST#FINGERPRINT#SECRET.",
    .params = token_params,
    .returns = API_STRING,
    .access = "root",
    .needs_quorum = true,
    .run = token_run,
};

typedef struct {
    bool force, silent, unmerge_known_hosts;
} UpdatecertsArgs;

static const ApiParam updatecerts_params[] = {
    API_PARAM(UpdatecertsArgs, force, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Make the node's certificate anew in any case."),
    API_PARAM(UpdatecertsArgs, silent, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Say nothing, also if there is no quorum."),
    API_PARAM(UpdatecertsArgs, unmerge_known_hosts, API_BOOLEAN, API_NAME("unmerge-known-hosts"),
              .optional = true, .def = "0", .doc = "No effect: nodes do not speak SSH."),
    { 0 },
};

#define UPDATECERTS_QUORUM_MS 80000

static JsonNode *
updatecerts_run(ApiCall *call, const void *data, GError **error)
{
    const UpdatecertsArgs *args = data;
    const ClusterCertsOptions options = { .force = args->force,
                                          .say = args->silent ? NULL : api_say,
                                          .data = call };
    g_autoptr(GError) why = NULL;

    if (!args->silent)
        api_log(call, "(re)generate node files");
    bool ok = cluster_wait_quorum(UPDATECERTS_QUORUM_MS, &why);
    CfsClient *cfs = ok ? api_cfs(call, &why) : NULL;
    ok = cfs != NULL && cluster_certs_ensure(cfs, call->node, &options, &why);
    if (ok || args->silent)
        return q_json_node_null();
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

const ApiMethod api_pvecm_updatecerts = {
    .name = "pvecm_updatecerts",
    .doc = "Make what is missing of folders, keys and certificates.",
    .params = updatecerts_params,
    .access = "root",
    .run = updatecerts_run,
};

static const ApiParam config_check_params[] = {
    API_PARAM(FileArgs, file, API_STRING, .doc = "File that is to become corosync.conf."),
    { 0 },
};

static JsonNode *
config_check_run(ApiCall *call, const void *data, GError **error)
{
    const FileArgs *args = data;
    g_autofree char *text = q_file_read(args->file, CONF_FILE_MAX, NULL, error);
    g_autoptr(CorosyncConf) fresh = NULL;
    g_autoptr(GPtrArray) warnings = NULL;
    CfsClient *cfs = text != NULL ? api_cfs(call, NULL) : NULL;

    if (text == NULL)
        return NULL;
    g_autofree char *old =
        cfs != NULL ? cluster_tree_text(cfs, CLUSTER_CONF_PATH, NULL, NULL) : NULL;
    if (cfs == NULL)
        api_warn(call, "cfsd does not run: the file is not compared with the present one");
    if (!corosync_conf_check_change(old, text, old != NULL ? call->node : NULL, &fresh, error)
        || !corosync_conf_check(fresh, &warnings, error))
        return NULL;
    for (guint i = 0; i < warnings->len; i++)
        api_warn(call, "%s", (char *)warnings->pdata[i]);
    g_autofree char *line = g_strdup_printf("%s: good, config_version %" G_GINT64_FORMAT,
                                            args->file, corosync_conf_version(fresh));
    return q_json_node_string(line);
}

const ApiMethod api_pvecm_config_check = {
    .name = "pvecm_config_check",
    .doc = "Would this file be taken as corosync.conf?",
    .params = config_check_params,
    .returns = API_STRING,
    .access = "root",
    .run = config_check_run,
};

const ApiMethod *const api_cluster_config_methods[] = {
    &index_row,
    &api_cluster_config_create,
    &api_cluster_config_totem,
    &api_cluster_config_nodes,
    &api_cluster_config_apiversion,
    &api_cluster_config_join_info,
    &api_cluster_config_add_node,
    &api_cluster_config_token_join,
    &api_cluster_config_join_conf,
    &api_cluster_config_join_undo,
    &api_cluster_config_delete_node,
    &api_cluster_config_join,
    &api_pvecm_add,
    &api_pvecm_leave,
    &api_cluster_status,
    &api_pvecm_status,
    &api_pvecm_nodes,
    &api_pvecm_expected,
    &api_pvecm_token,
    &api_pvecm_keygen,
    &api_pvecm_updatecerts,
    &api_pvecm_config_check,
    NULL,
};
