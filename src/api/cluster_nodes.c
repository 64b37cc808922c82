#include "api/cluster_config_priv.h"
#include <stdlib.h>
#include <string.h>
#include "api/cluster_tree.h"
#include "cluster/cluster_paths.h"
#include "cluster/host_address.h"
#include "cluster/join_token.h"
#include "cluster/probe.h"
#include "cluster/quorum_status.h"
#include "sys/clock.h"
#include "sys/file.h"

#define CLOCK_SLACK_MS 5000 /* between joiner and member */

/* The member's side of a join, and of its end. */

typedef struct {
    char *node, *new_node_ip, *join_secret, *version, *token;
    char **link;
    int64_t nodeid, votes, apiversion, now_ms, probe_port;
    bool force;
} AddArgs;

/* clang-format off */
#define ADD_PARAMS                                                                                  \
    API_PARAM(AddArgs, node, API_STRING, .max_length = 63, .doc = "Name of the new node."),        \
    API_PARAM(AddArgs, new_node_ip, API_STRING, .optional = true,                                   \
              .doc = "Address of the new node, for clusters with one link and no 'link0' given."), \
    CLUSTER_LINK_PARAM(AddArgs),                                                                    \
    API_PARAM(AddArgs, nodeid, API_INTEGER, .optional = true, API_MIN(1),                           \
              .doc = "Corosync's id of the new node; the lowest free one unless given."),          \
    API_PARAM(AddArgs, votes, API_INTEGER, .optional = true, API_MIN(0), .def = "1",                \
              .doc = "Votes of the new node, once it holds the cluster's tree."),                  \
    API_PARAM(AddArgs, apiversion, API_INTEGER, .optional = true, .def = "1",                       \
              .doc = "Version of the way in which the new node joins."),                           \
    API_PARAM(AddArgs, force, API_BOOLEAN, .optional = true, .def = "0",                            \
              .doc = "Take an entry of that name again if id and votes fit."),                     \
    API_PARAM(AddArgs, join_secret, API_STRING, API_NAME("join-secret"), .optional = true,          \
              .secret = true, .min_length = 32, .max_length = 128,                                 \
              .doc = "With it the new node can take its entry back."),                             \
    API_PARAM(AddArgs, version, API_STRING, .optional = true, .max_length = 64,                     \
              .doc = "Version of Quorate on the new node."),                                       \
    API_PARAM(AddArgs, now_ms, API_INTEGER, API_NAME("now-ms"), .optional = true,                   \
              .doc = "The new node's wall clock, unix time in milliseconds."),                     \
    API_PARAM(AddArgs, probe_port, API_INTEGER, API_NAME("probe-port"), .optional = true,           \
              API_MIN(1), API_MAX(65528),                                                           \
              .doc = "The new node echoes UDP there, link n on this port + n.")
/* clang-format on */

static const ApiParam add_params[] = { ADD_PARAMS, { 0 } };
static const ApiParam token_join_params[] = {
    ADD_PARAMS,
    API_PARAM(AddArgs, token, API_STRING, .secret = true, .max_length = 128,
              .doc = "Secret of a token that 'pvecm token' made."),
    { 0 },
};

/* ------------------------------------------------------------------ checks */

static bool
check_joiner(ApiCall *call, const AddArgs *args, GError **error)
{
    if (args->apiversion < CLUSTER_JOIN_API)
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "unsupported old API version on joining node ('%" G_GINT64_FORMAT
                           "' < '%d'), please upgrade it",
                           args->apiversion, CLUSTER_JOIN_API);
    if (args->apiversion > CLUSTER_JOIN_API)
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "unsupported newer API version on joining node ('%" G_GINT64_FORMAT
                           "' > '%d'), please upgrade this cluster",
                           args->apiversion, CLUSTER_JOIN_API);
    if (!corosync_node_name_ok(args->node))
        return api_blame(error, "node", "'%s': letters, digits and inner hyphens, at most 63",
                         args->node);
    if (args->version != NULL
        && strtol(args->version, NULL, 10) != strtol(QUORATE_VERSION, NULL, 10))
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "the new node runs version %s, this one " QUORATE_VERSION
                           ": another major version; bring both to the same first",
                           args->version);
    if (args->join_secret != NULL && api_given(call, "now-ms")) {
        int64_t ahead_ms = args->now_ms - q_clock_wall_ms();
        if (ABS(ahead_ms) > CLOCK_SLACK_MS)
            return q_set_error(error, Q_ERROR_INVALID,
                               "the new node's clock is %.1f s %s ours; set it first (chrony)",
                               (double)ABS(ahead_ms) / 1000, ahead_ms > 0 ? "ahead of" : "behind");
    }
    return true;
}

/* UDP both ways on each link, from the member's own address, in full-size packets. */
static bool
check_reachable(ApiCall *call, const AddArgs *args, const CorosyncLink *links, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(CorosyncConf) conf = cfs != NULL ? cluster_tree_conf(cfs, NULL, error) : NULL;
    CorosyncNode self;

    if (conf == NULL)
        return false;
    if (args->probe_port == 0 || !corosync_conf_node(conf, call->node, &self))
        return true;
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        const char *target = links[i].addr;
        if (target == NULL && i == 0)
            target = args->new_node_ip; /* the fallback on a cluster with one link */
        if (target == NULL || self.addr[i] == NULL)
            continue;
        if (!probe_send(self.addr[i], target, (uint16_t)(args->probe_port + i), error))
            return q_prefix_error(error, "link %d: ", i);
    }
    return true;
}

/* ------------------------------------------------------------------ adding */

typedef struct {
    const AddArgs *args;
    const CorosyncLink *links;
} Adding;

static bool
add_secrets(CfsClient *cfs, const AddArgs *args, CfsTxn *txn, GError **error)
{
    int64_t now_s = q_clock_wall_s();
    uint64_t version;
    GError *lost = NULL;

    if (args->token != NULL) {
        g_autofree char *old = cluster_tree_text(cfs, JOIN_TOKENS_FILE, &version, &lost);
        g_autofree char *left =
            lost == NULL ? join_tokens_spend(old, args->token, now_s, &lost) : NULL;
        if (left == NULL) {
            g_propagate_error(error, lost);
            return false;
        }
        cfs_txn_if_version(txn, JOIN_TOKENS_FILE, version);
        cfs_txn_write(txn, JOIN_TOKENS_FILE, left);
    }
    g_autofree char *pending = cluster_tree_text(cfs, JOIN_PENDING_FILE, &version, &lost);
    if (lost != NULL) {
        g_propagate_error(error, lost);
        return false;
    }
    g_autofree char *random = args->join_secret == NULL ? join_secret_new() : NULL;
    g_autofree char *more = join_pending_add(
        pending, args->node, random != NULL ? random : args->join_secret, args->votes, now_s);
    cfs_txn_if_version(txn, JOIN_PENDING_FILE, version);
    cfs_txn_write(txn, JOIN_PENDING_FILE, more);
    return true;
}

/* Its vote comes when its tree is durable (safety.md S4): a node that never starts costs nothing.
 */
static bool
add_change(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data, GError **error)
{
    static const char *const folders[] = { "qemu-server", "lxc", "priv" };
    const Adding *adding = data;
    const AddArgs *args = adding->args;
    CorosyncNode node = { .name = args->node, .id = (uint32_t)args->nodeid, .votes = 0 };
    g_autoptr(GArray) before = corosync_conf_nodes(conf);
    guint count = before->len;
    g_autofree char *own = g_strdup_printf("nodes/%s", args->node);
    CorosyncNode old;

    if (args->force && corosync_conf_node(conf, args->node, &old)
        && strcmp(old.name, args->node) == 0)
        node.votes = (uint32_t)args->votes; /* the old entry again: it must fit */
    for (int i = 0; i < COROSYNC_LINKS; i++)
        node.addr[i] = adding->links[i].addr;
    if (!corosync_conf_add_node(conf, &node, args->force, args->new_node_ip, error)
        || !add_secrets(cfs, args, txn, error))
        return false;
    corosync_conf_set_votes(conf, args->node, 0);
    corosync_conf_fit_token(conf, count);
    if (!cluster_tree_make_dirs(cfs, txn, own, error))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s", own, folders[i]);
        bool there;
        if (!cluster_tree_has(cfs, path, &there, error))
            return false;
        if (!there)
            cfs_txn_mkdir(txn, path);
    }
    return true;
}

/* Bytes as code points 0..255; a key with zero bytes travels in base64 alone. */
static void
put_key(JsonObject *answer, const char *key, size_t length)
{
    g_autofree char *base64 = g_base64_encode((const unsigned char *)key, length);
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < length; i++)
        g_string_append_unichar(text, (unsigned char)key[i]);
    if (memchr(key, 0, length) == NULL)
        json_object_set_string_member(answer, "corosync_authkey", text->str);
    json_object_set_string_member(answer, "corosync_authkey_base64", base64);
    g_string_free(text, TRUE);
}

static JsonNode *
add_answer(const CorosyncConf *conf, GPtrArray *warnings, GError **error)
{
    size_t length;
    g_autofree char *key = q_file_read(COROSYNC_KEY_FILE, 4096, &length, error);
    g_autofree char *text = corosync_conf_text(conf);

    if (key == NULL)
        return NULL;
    JsonObject *answer = json_object_new();
    JsonArray *lines = json_array_new();
    for (guint i = 0; warnings != NULL && i < warnings->len; i++)
        json_array_add_string_element(lines, warnings->pdata[i]);
    put_key(answer, key, length);
    json_object_set_string_member(answer, "corosync_conf", text);
    json_object_set_array_member(answer, "warnings", lines);
    return q_json_node_object(answer);
}

static JsonNode *
add_run(ApiCall *call, const void *data, GError **error)
{
    const AddArgs *args = data;
    CorosyncLink links[COROSYNC_LINKS] = { 0 };
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);
    CfsClient *cfs = lock != NULL ? api_cfs(call, error) : NULL;
    g_autoptr(CorosyncConf) fresh = NULL;
    g_autoptr(GPtrArray) warnings = NULL;
    JsonNode *answer = NULL;

    if (cfs == NULL || !check_joiner(call, args, error)
        || cluster_parse_links(args->link, links, error) < 0)
        return NULL;
    Adding adding = { args, links };
    /* The key is read first: an entry that nobody can use is not made. */
    if (check_reachable(call, args, links, error)
        && cluster_tree_change(cfs, add_change, &adding, &fresh, error)) {
        corosync_conf_check(fresh, &warnings, NULL);
        answer = add_answer(fresh, warnings, error);
    }
    corosync_links_clear(links);
    return answer;
}

static const ApiColumn add_columns[] = {
    { "corosync_authkey", API_STRING, .optional = true,
      .doc = "Corosync's key, a character a byte." },
    { "corosync_authkey_base64", API_STRING, .doc = "The same in base64." },
    { "corosync_conf", API_STRING, .doc = "corosync.conf with the new node." },
    { "warnings", API_STRINGS, .doc = "What deserves a word." },
    { 0 },
};

const ApiMethod api_cluster_config_add_node = {
    .verb = API_POST,
    .path = "/cluster/config/nodes/{node}",
    .doc = "The cluster's side of a join: an entry without a vote, which it gets when it holds the "
           "tree, and which ends after ten minutes if it never does.",
    .params = add_params,
    .returns = API_OBJECT,
    .columns = add_columns,
    .access = "root",
    .as_root = true,
    .needs_quorum = true,
    .run = add_run,
};

const ApiMethod api_cluster_config_token_join = {
    .verb = API_POST,
    .path = "/cluster/config/token-join",
    .doc = "As adding a node, for who has a one-time token; spends it in the same update.",
    .params = token_join_params,
    .returns = API_OBJECT,
    .columns = add_columns,
    .access = "world",
    .as_root = true,
    .needs_quorum = true,
    .run = add_run,
};

/* ------------------------------------------------------------------ the vote, or the end */

static bool
vote_change(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data, GError **error)
{
    const char *node = data;
    uint64_t version;
    JoinPending pending;
    GError *lost = NULL;
    g_autofree char *text = cluster_tree_text(cfs, JOIN_PENDING_FILE, &version, &lost);

    if (lost != NULL) {
        g_propagate_error(error, lost);
        return false;
    }
    if (!join_pending_get(text, node, &pending))
        return q_set_error(error, Q_ERROR_NOT_FOUND,
                           "the cluster has no pending join of '%s' any more", node);
    g_autofree char *left = join_pending_remove(text, node);
    cfs_txn_if_version(txn, JOIN_PENDING_FILE, version);
    cfs_txn_write(txn, JOIN_PENDING_FILE, left);
    return corosync_conf_set_votes(conf, node, (uint32_t)pending.votes)
           || q_set_error(error, Q_ERROR_NOT_FOUND, "corosync.conf does not list '%s' any more",
                          node);
}

bool
cluster_give_vote(CfsClient *cfs, const char *node, GError **error)
{
    return cluster_tree_change(cfs, vote_change, (gpointer)node, NULL, error);
}

typedef struct {
    const char *node, *secret, *state;
} Dropping;

static bool
drop_change(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data, GError **error)
{
    Dropping *dropping = data;
    uint64_t version;
    JoinPending pending;
    CorosyncNode node;
    GError *lost = NULL;
    g_autofree char *text = cluster_tree_text(cfs, JOIN_PENDING_FILE, &version, &lost);
    g_autoptr(GArray) before = corosync_conf_nodes(conf);
    guint count = before->len;

    if (lost != NULL) {
        g_propagate_error(error, lost);
        return false;
    }
    if (!join_pending_get(text, dropping->node, &pending)) {
        dropping->state = corosync_conf_node(conf, dropping->node, NULL) ? "member" : "absent";
        return q_set_error(error, Q_ERROR_NOT_FOUND, "no pending join of '%s'", dropping->node);
    }
    if (dropping->secret != NULL && !join_pending_knows(text, dropping->node, dropping->secret))
        return q_set_error(error, Q_ERROR_DENIED, "this is not the secret with which '%s' joins",
                           dropping->node);
    dropping->state = "removed";
    g_autofree char *left = join_pending_remove(text, dropping->node);
    cfs_txn_if_version(txn, JOIN_PENDING_FILE, version);
    cfs_txn_write(txn, JOIN_PENDING_FILE, left);
    /* Never one that counts: its weight is in the majority. */
    if (corosync_conf_node(conf, dropping->node, &node) && node.votes == 0)
        corosync_conf_remove_node(conf, dropping->node);
    corosync_conf_fit_token(conf, count);
    return true;
}

bool
cluster_drop_pending(CfsClient *cfs, const char *node, const char *secret, const char **state,
                     GError **error)
{
    Dropping dropping = { node, secret, NULL };
    g_autoptr(GError) why = NULL;

    if (cluster_tree_change(cfs, drop_change, &dropping, NULL, &why)
        || (dropping.state != NULL && g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND))) {
        *state = dropping.state;
        return true;
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

typedef struct {
    char *node, *join_secret;
} UndoArgs;

static const ApiParam undo_params[] = {
    API_PARAM(UndoArgs, node, API_STRING, .doc = "Name of the node that wanted to join."),
    API_PARAM(UndoArgs, join_secret, API_STRING, API_NAME("join-secret"), .secret = true,
              .min_length = 32, .max_length = 128, .doc = "The secret with which it was added."),
    { 0 },
};

/* Others may join at the same time: Corosync stops a newcomer whose file is older than the others'.
 */
static JsonNode *
join_conf_run(ApiCall *call, const void *data, GError **error)
{
    const UndoArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *text =
        cfs != NULL ? cluster_tree_text(cfs, JOIN_PENDING_FILE, NULL, error) : NULL;

    if (text == NULL || !join_pending_knows(text, args->node, args->join_secret)) {
        if (error == NULL || *error == NULL)
            q_set_error(error, Q_ERROR_DENIED, "no pending join of '%s' with this secret",
                        args->node);
        return NULL;
    }
    g_autofree char *conf = cfs_read(cfs, CLUSTER_CONF_PATH, NULL, NULL, error);
    return conf != NULL ? q_json_node_string(conf) : NULL;
}

const ApiMethod api_cluster_config_join_conf = {
    .verb = API_POST,
    .path = "/cluster/config/join-conf",
    .doc = "corosync.conf as it is now, for a node that is joining.",
    .params = undo_params,
    .returns = API_STRING,
    .access = "world",
    .as_root = true,
    .run = join_conf_run,
};

static JsonNode *
undo_run(ApiCall *call, const void *data, GError **error)
{
    const UndoArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    const char *state;

    if (cfs == NULL || !cluster_drop_pending(cfs, args->node, args->join_secret, &state, error))
        return NULL;
    return q_json_node_string(state);
}

const ApiMethod api_cluster_config_join_undo = {
    .verb = API_POST,
    .path = "/cluster/config/join-undo",
    .doc =
        "A node that did not complete its join takes its entry back. Answers removed, member (it "
        "has its vote) or absent.",
    .params = undo_params,
    .returns = API_STRING,
    .access = "world",
    .as_root = true,
    .needs_quorum = true,
    .run = undo_run,
};
