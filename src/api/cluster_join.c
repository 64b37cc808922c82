#include "api/cluster_config_priv.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "api/cluster_certs.h"
#include "api/cluster_tree.h"
#include "cluster/cluster_paths.h"
#include "cluster/host_address.h"
#include "cluster/join_client.h"
#include "cluster/join_state.h"
#include "cluster/join_token.h"
#include "cluster/pki.h"
#include "cluster/probe.h"
#include "cluster/quorum_status.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/service.h"

#define JOIN_QUORUM_MS 60000
#define JOIN_LOOK_MS 4000 /* a join takes about 2.5 s from here */
#define CONF_MAX (1024 * 1024)
#define HOSTNAME_MAX 255

/* The new node's side of a join. Steps and what each leaves behind: cluster/join_state.h. */

typedef struct {
    char *hostname, *fingerprint, *password, *token;
    char **link;
    int64_t nodeid, votes;
    bool force, abort;
} JoinArgs;

typedef struct {
    ApiCall *call;
    const JoinArgs *args;
    CorosyncLink links[COROSYNC_LINKS];
    char *own_ip; /* NULL: links are given */
    JoinClient *client;
    JoinState state;
} Join;

static void
join_clear(Join *join)
{
    corosync_links_clear(join->links);
    g_free(join->own_ip);
    join_client_free(join->client);
    join_state_clear(&join->state);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Join, join_clear)

/* ------------------------------------------------------------------ before anything happens */

static void
check_files(GPtrArray *errors)
{
    g_autofree char *text = q_file_read(COROSYNC_CONF_FILE, CONF_MAX, NULL, NULL);
    g_autoptr(CorosyncConf) conf = text != NULL ? corosync_conf_parse(text, NULL) : NULL;
    bool sample = conf != NULL && corosync_conf_is_sample(conf);

    if (access(COROSYNC_KEY_FILE, F_OK) == 0)
        g_ptr_array_add(errors,
                        g_strdup("authentication key '" COROSYNC_KEY_FILE "' already exists"));
    if (text != NULL && !sample)
        g_ptr_array_add(errors, g_strdup("cluster config '" COROSYNC_CONF_FILE "' already exists"));
    /* What the package brings runs alone, on the loopback. */
    if (q_service_running(COROSYNC_SERVICE) && !sample)
        g_ptr_array_add(errors, g_strdup("corosync is already running, is this node already in a "
                                         "cluster?!"));
}

static void
check_tree(Join *join, GPtrArray *errors)
{
    CfsClient *cfs = api_cfs(join->call, NULL);
    g_autofree char *vmlist = cfs != NULL ? cfs_read(cfs, ".vmlist", NULL, NULL, NULL) : NULL;
    g_autoptr(JsonObject) list = vmlist != NULL ? q_json_parse_object(vmlist, -1, NULL) : NULL;
    JsonObject *ids = list != NULL ? q_json_object(list, "ids") : NULL;
    bool there = false;

    if (cfs != NULL && cluster_tree_has(cfs, CLUSTER_CONF_PATH, &there, NULL) && there)
        g_ptr_array_add(errors, g_strdup("cluster config '" Q_PVE_DIR "/" CLUSTER_CONF_PATH
                                         "' already exists"));
    if (ids != NULL && json_object_get_size(ids) > 0)
        g_ptr_array_add(errors, g_strdup("this host already contains virtual guests"));
}

/* All complaints at once, as an administrator wants them. */
static bool
check_local(Join *join, GError **error)
{
    g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *folder = g_get_current_dir();

    if (g_str_has_prefix(folder, Q_PVE_DIR))
        return q_set_error(error, Q_ERROR_INVALID,
                           "the working directory is under " Q_PVE_DIR ": the tree is about to be "
                           "replaced; change to another one");
    check_files(errors);
    check_tree(join, errors);
    for (int i = 0; i < COROSYNC_LINKS; i++)
        if (join->links[i].addr != NULL && !host_address_is_ours(join->links[i].addr))
            g_ptr_array_add(errors,
                            g_strdup_printf("link%d: cannot use IP '%s', not found on local "
                                            "node!",
                                            i, join->links[i].addr));
    if (errors->len == 0)
        return true;
    GString *text = g_string_new("detected the following error(s):");
    for (guint i = 0; i < errors->len; i++)
        g_string_append_printf(text, "\n* %s", (char *)errors->pdata[i]);
    if (join->args->force) {
        api_log(join->call, "%s", text->str);
        api_log(join->call, "WARNING : detected error but forced to continue!");
    } else {
        q_set_error(error, Q_ERROR_EXISTS, "%s\nCheck if node may join a cluster failed!",
                    text->str);
    }
    g_string_free(text, TRUE);
    return join->args->force;
}

/* ------------------------------------------------------------------ trust and login */

static bool
ask_yes(const char *question)
{
    char line[16] = "";

    fputs(question, stdout);
    fflush(stdout);
    return fgets(line, sizeof line, stdin) != NULL && strcmp(g_strstrip(line), "yes") == 0;
}

static char *
ask_password(Join *join, GError **error)
{
    g_autofree char *prompt =
        g_strdup_printf("Please enter superuser (root) password for '%s': ", join->args->hostname);
    char line[256] = "";

    if (isatty(STDIN_FILENO))
        return api_ask_secret(join->call, prompt, error);
    if (fgets(line, sizeof line, stdin) == NULL) {
        q_set_error(error, Q_ERROR_INVALID,
                    "no password given, neither on a terminal nor on standard "
                    "input");
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return g_strdup(line);
}

static bool
trust(Join *join, GError **error)
{
    const JoinArgs *args = join->args;
    g_autofree char *shown = join_client_look(join->client, error);

    if (shown == NULL)
        return false;
    if (args->fingerprint != NULL) {
        join_client_trust(join->client, args->fingerprint);
        return pki_fingerprint_same(shown, args->fingerprint)
               || q_set_error(
                   error, Q_ERROR_DENIED,
                   "'%s' shows another certificate than expected: fingerprint %s, not %s",
                   args->hostname, shown, args->fingerprint);
    }
    g_autofree char *question = g_strdup_printf(
        "The authenticity of host '%s' can't be established.\nX509 SHA256 key fingerprint is %s.\n"
        "Are you sure you want to continue connecting (yes/no)? ",
        args->hostname, shown);
    if (!join->call->is_cli || !ask_yes(question))
        return q_set_error(error, Q_ERROR_DENIED,
                           "the certificate of '%s', fingerprint %s, was not accepted",
                           args->hostname, shown);
    join_client_trust(join->client, shown);
    return true;
}

static bool
login(Join *join, GError **error)
{
    const JoinArgs *args = join->args;
    g_autofree char *password = NULL;
    int64_t version;

    api_log(join->call, "Establishing API connection with host '%s'", args->hostname);
    if (!trust(join, error))
        return false;
    if (args->token != NULL)
        return true;
    password = args->password != NULL ? g_strdup(args->password) : ask_password(join, error);
    if (password == NULL || !join_client_login(join->client, "root@pam", password, error))
        return false;
    api_log(join->call, "Login succeeded.");
    api_log(join->call, "check cluster join API version");
    g_autoptr(JsonNode) answer =
        join_client_call(join->client, "GET", "/cluster/config/apiversion", NULL, error);
    if (answer == NULL)
        return false;
    version = JSON_NODE_HOLDS_VALUE(answer) ? json_node_get_int(answer) : 0;
    return version == CLUSTER_JOIN_API
           || q_set_error(error, Q_ERROR_UNSUPPORTED,
                          "'%s' joins nodes by version %" G_GINT64_FORMAT ", this node by %d",
                          args->hostname, version, CLUSTER_JOIN_API);
}

/* ------------------------------------------------------------------ the request */

static JsonObject *
request_parameters(Join *join)
{
    const JoinArgs *args = join->args;
    JsonObject *parameters = json_object_new();

    json_object_set_int_member(parameters, "apiversion", CLUSTER_JOIN_API);
    json_object_set_int_member(parameters, "votes", args->votes);
    json_object_set_int_member(parameters, "now-ms", q_clock_wall_ms());
    json_object_set_int_member(parameters, "probe-port", PROBE_PORT);
    json_object_set_string_member(parameters, "version", QUORATE_VERSION);
    json_object_set_string_member(parameters, "join-secret", join->state.secret);
    if (args->nodeid > 0)
        json_object_set_int_member(parameters, "nodeid", args->nodeid);
    if (args->force)
        json_object_set_int_member(parameters, "force", 1);
    if (join->own_ip != NULL)
        json_object_set_string_member(parameters, "new_node_ip", join->own_ip);
    for (int i = 0; i < COROSYNC_LINKS; i++) {
        g_autofree char *name = g_strdup_printf("link%d", i);
        if (join->links[i].addr != NULL)
            json_object_set_string_member(parameters, name, join->links[i].addr);
    }
    if (args->token != NULL) {
        json_object_set_string_member(parameters, "node", join->call->node);
        json_object_set_string_member(parameters, "token", args->token);
    }
    return parameters;
}

static JsonObject *
request_addition(Join *join, GError **error)
{
    g_autofree char *path = join->args->token != NULL
                                ? g_strdup("/cluster/config/token-join")
                                : g_strdup_printf("/cluster/config/nodes/%s", join->call->node);
    const char *addresses[COROSYNC_LINKS] = { NULL };
    g_autoptr(GError) why = NULL;

    if (join->own_ip != NULL)
        api_log(join->call,
                "No cluster network links passed explicitly, fallback to local node IP '%s'",
                join->own_ip);
    api_log(join->call, "Request addition of this node");
    for (int i = 0; i < COROSYNC_LINKS; i++)
        addresses[i] = join->links[i].addr;
    if (join->own_ip != NULL)
        addresses[0] = join->own_ip;
    g_autoptr(ProbeEcho) echo = probe_echo_start(addresses, COROSYNC_LINKS);
    g_autoptr(JsonObject) parameters = request_parameters(join);
    g_autoptr(JsonNode) answer = join_client_call(join->client, "POST", path, parameters, &why);
    if (answer != NULL && JSON_NODE_HOLDS_OBJECT(answer))
        return json_node_dup_object(answer);
    q_set_error(error, why != NULL && why->domain == Q_ERROR ? (QError)why->code : Q_ERROR_IO,
                "An error occurred on the cluster node: %s\nCluster join aborted!",
                why != NULL ? why->message : "it answered nonsense");
    return NULL;
}

static unsigned char *
answer_key(JsonObject *answer, gsize *length)
{
    const char *base64 = q_json_string(answer, "corosync_authkey_base64", NULL);
    const char *text = q_json_string(answer, "corosync_authkey", "");
    GByteArray *key;

    if (base64 != NULL)
        return g_base64_decode(base64, length);
    key = g_byte_array_new();
    for (const char *p = text; *p != '\0'; p = g_utf8_next_char(p)) {
        guint8 byte = (guint8)g_utf8_get_char(p);
        g_byte_array_append(key, &byte, 1);
    }
    *length = key->len;
    return g_byte_array_free(key, FALSE);
}

static bool
install(Join *join, JsonObject *answer, GError **error)
{
    const char *text = q_json_string(answer, "corosync_conf", "");
    JsonArray *warnings = q_json_array(answer, "warnings");
    gsize length = 0;
    g_autofree unsigned char *key = answer_key(answer, &length);

    for (guint i = 0; warnings != NULL && i < json_array_get_length(warnings); i++)
        api_warn(join->call, "%s", json_array_get_string_element(warnings, i));
    if (!corosync_conf_check_change(NULL, text, join->call->node, NULL, error))
        return false;
    if (length < 128)
        return q_set_error(error, Q_ERROR_IO, "the cluster node gave no key for Corosync");
    api_log(join->call, "Join request OK, finishing setup locally");
    return join_install_files(&join->state, key, length, text, error)
           && join_swap_database(&join->state, api_say, join->call, error)
           && join_start_services(error);
}

/* ------------------------------------------------------------------ the wait, and the vote */

/* Links without contact, for who wonders why there is no quorum. */
static char *
missing_links(void)
{
    g_autoptr(QuorumStatus) status = quorum_status_read(NULL);

    if (status == NULL)
        return g_strdup("corosync does not answer");
    if (status->remarks->len == 0)
        return g_strdup("all links have contact");
    g_ptr_array_add(status->remarks, NULL);
    return g_strjoinv("; ", (char **)status->remarks->pdata);
}

/* Whoever joined meanwhile has changed the cluster's file; with an older one Corosync stays out. */
static void
follow_cluster(Join *join)
{
    g_autoptr(JoinClient) client = join_client_new(join->state.host, join->state.fingerprint);
    g_autoptr(JsonObject) parameters = json_object_new();
    g_autofree char *text = q_file_read(COROSYNC_CONF_FILE, CONF_MAX, NULL, NULL);
    g_autoptr(GError) why = NULL;

    json_object_set_string_member(parameters, "node", join->state.node);
    json_object_set_string_member(parameters, "join-secret", join->state.secret);
    g_autoptr(JsonNode) answer =
        join_client_call(client, "POST", "/cluster/config/join-conf", parameters, NULL);
    const char *fresh = answer != NULL ? json_node_get_string(answer) : NULL;
    if (fresh == NULL || text == NULL
        || !corosync_conf_check_change(text, fresh, join->state.node, NULL, NULL))
        return;
    api_log(join->call, "corosync.conf has changed meanwhile: restarting corosync");
    if (!q_file_write_atomic(COROSYNC_CONF_FILE, fresh, strlen(fresh), 0644, &why)
        || !q_service_restart(COROSYNC_SERVICE, &why))
        api_warn(join->call, "%s", why->message);
}

static bool
wait_quorum(Join *join, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + JOIN_QUORUM_MS;

    while (true) {
        g_autoptr(GError) why = NULL;
        if (cluster_wait_quorum(JOIN_LOOK_MS, &why))
            return true;
        if (q_clock_mono_ms() >= deadline) {
            g_autofree char *links = missing_links();
            g_autofree char *reason = g_strdup(strchr(why->message, ':'));
            return q_set_error(error, Q_ERROR_NO_QUORUM, "no quorum within %d s%s (%s)",
                               JOIN_QUORUM_MS / 1000, reason != NULL ? reason : "", links);
        }
        follow_cluster(join);
    }
}

static bool
wait_and_vote(Join *join, GError **error)
{
    api_log(join->call, "waiting for quorum...");
    if (!wait_quorum(join, error))
        return false;
    api_log(join->call, "OK");
    g_autoptr(CfsClient) cfs = cfs_client_connect("pvecm", error);
    return cfs != NULL && join_state_enter(&join->state, JOIN_VOTE, error)
           && cluster_give_vote(cfs, join->call->node, error);
}

/* ------------------------------------------------------------------ taking it back */

/* The cluster's word on our entry: "removed", "absent" or "member". */
static char *
undo_on_cluster(Join *join, GError **error)
{
    g_autoptr(JoinClient) client = join_client_new(join->state.host, join->state.fingerprint);
    g_autoptr(JsonObject) parameters = json_object_new();

    json_object_set_string_member(parameters, "node", join->state.node);
    json_object_set_string_member(parameters, "join-secret", join->state.secret);
    g_autoptr(JsonNode) answer =
        join_client_call(client, "POST", "/cluster/config/join-undo", parameters, error);
    return answer != NULL ? g_strdup(json_node_get_string(answer)) : NULL;
}

static void
say_nothing(const char *line, gpointer data)
{
}

/* @call: NULL: nobody listens */
static bool
finish(ApiCall *call, const char *node, JoinState *state, GError **error)
{
    g_autoptr(CfsClient) cfs = cfs_client_connect("pvecm", error);
    const ClusterCertsOptions certs = { .say = call != NULL ? api_say : say_nothing, .data = call };

    return cfs != NULL && cluster_certs_ensure(cfs, node, &certs, error)
           && join_finish(state, certs.say, certs.data, error);
}

/**
 * Both sides as they were before. While our vote may have been given, only the cluster can tell,
 * and if it has been, the join is completed instead.
 */
static bool
undo(Join *join, GError **error)
{
    g_autoptr(GError) why = NULL;
    bool voted = join->state.step == JOIN_VOTE;
    g_autofree char *said = NULL;

    if (!voted && !join_stop_services(&join->state, error))
        return false;
    said = undo_on_cluster(join, &why);
    if (said == NULL && voted) {
        q_set_error(
            error, Q_ERROR_UNREACHABLE,
            "whether this node has its vote already, only the cluster can tell, and '%s' does "
            "not answer: %s; try again: pvecm add --abort",
            join->state.host, why->message);
        return false;
    }
    if (g_strcmp0(said, "member") == 0 && join->state.step >= JOIN_DATABASE) {
        api_log(join->call, "this node is a member with its vote already: completing the join");
        return join_start_services(error) && cluster_wait_quorum(JOIN_QUORUM_MS, error)
               && finish(join->call, join->call->node, &join->state, error);
    }
    if (voted && !join_stop_services(&join->state, error))
        return false;
    if (!join_undo_files(&join->state, error) || !join_state_end(error))
        return false;
    if (said == NULL)
        api_log(
            join->call,
            "the entry of this node could not be taken back on '%s': %s; it ends by itself within "
            "10 minutes",
            join->state.host, why->message);
    api_log(join->call, "the join is undone: this node is as it was before");
    return true;
}

static bool
undo_former(Join *join, GError **error)
{
    if (!join_state_load(&join->state, error))
        return false;
    if (join->state.step == JOIN_NONE)
        return true;
    api_log(join->call, "undoing an interrupted join to '%s'", join->state.host);
    return undo(join, error);
}

bool
cluster_join_resume(const char *node, GError **error)
{
    g_auto(JoinState) state = { 0 };
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, 0, NULL);

    if (lock == NULL) /* it is not interrupted */
        return true;
    if (!join_state_load(&state, error))
        return false;
    if (state.step != JOIN_VOTE)
        return true;
    g_autoptr(CfsClient) cfs = cfs_client_connect("apid", error);
    g_autoptr(GError) why = NULL;
    if (cfs == NULL)
        return false;
    if (!cluster_give_vote(cfs, node, &why) && !g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return finish(NULL, node, &state, error);
}

/* ------------------------------------------------------------------ the whole */

static bool
prepare_join(Join *join, GError **error)
{
    const JoinArgs *args = join->args;
    int links = cluster_parse_links(args->link, join->links, error);

    if (links < 0)
        return false;
    if (!corosync_node_name_ok(join->call->node))
        return q_set_error(error, Q_ERROR_INVALID,
                           "this node's name '%s' cannot be used: letters, digits, inner hyphens",
                           join->call->node);
    if (links == 0) {
        join->own_ip = host_address_of(join->call->node, error);
        if (join->own_ip == NULL)
            return false;
    }
    join->client = join_client_new(args->hostname, args->fingerprint);
    return true;
}

static bool
carry_out(Join *join, GError **error)
{
    g_autofree char *shown = NULL;

    if (!prepare_join(join, error) || !check_local(join, error) || !login(join, error))
        return false;
    shown = join_client_look(join->client, error);
    if (shown == NULL)
        return false;
    join_state_clear(&join->state);
    join->state = (JoinState){ .host = g_strdup(join->args->hostname),
                               .fingerprint = g_steal_pointer(&shown),
                               .node = g_strdup(join->call->node),
                               .secret = join_secret_new() };
    if (!join_state_enter(&join->state, JOIN_REQUEST, error))
        return false;
    g_autoptr(JsonObject) answer = request_addition(join, error);
    return answer != NULL && install(join, answer, error) && wait_and_vote(join, error);
}

static JsonNode *
join_run(ApiCall *call, const void *data, GError **error)
{
    g_auto(Join) join = { .call = call, .args = data };
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);
    g_autoptr(GError) why = NULL;

    if (lock == NULL || !undo_former(&join, error))
        return NULL;
    if (carry_out(&join, &why)) {
        if (!finish(call, call->node, &join.state, &why)) /* a member for good: apid tries again */
            api_warn(call, "%s", why->message);
        api_log(call, "successfully added node '%s' to cluster.", call->node);
        return q_json_node_null();
    }
    if (join.state.step != JOIN_NONE) {
        g_autoptr(GError) worse = NULL;
        if (!undo(&join, &worse))
            q_prefix_error(&why, "%s; then: ", worse->message);
    }
    g_propagate_error(error, g_steal_pointer(&why));
    return NULL;
}

/* ------------------------------------------------------------------ rows */

static bool
check_hostname(const char *name, const char *value, GError **error)
{
    bool ok = value[0] != '\0' && strlen(value) <= HOSTNAME_MAX;

    for (const char *p = value; *p != '\0'; p++)
        ok &= g_ascii_isalnum(*p) || strchr("-.:", *p) != NULL;
    return ok || q_set_error(error, Q_ERROR_INVALID, "'%s' is no host name or address", value);
}

#define FINGERPRINT_PATTERN "([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}"
/* clang-format off */
#define JOIN_PARAMS                                                                                 \
    CLUSTER_LINK_PARAM(JoinArgs),                                                                   \
    API_PARAM(JoinArgs, nodeid, API_INTEGER, .optional = true, API_MIN(1),                          \
              .doc = "Corosync's id of this node; the lowest free one unless given."),             \
    API_PARAM(JoinArgs, votes, API_INTEGER, .optional = true, API_MIN(0), .def = "1",               \
              .doc = "Votes of this node."),                                                       \
    API_PARAM(JoinArgs, force, API_BOOLEAN, .optional = true, .def = "0",                           \
              .doc = "Go on in spite of what the checks of this node find.")
/* clang-format on */

static const ApiParam join_params[] = {
    API_PARAM(JoinArgs, hostname, API_STRING, .doc = "A member of the cluster: name or address.",
              .check = check_hostname),
    API_PARAM(JoinArgs, fingerprint, API_STRING, .pattern = FINGERPRINT_PATTERN,
              .doc = "SHA-256 of the member's certificate."),
    API_PARAM(JoinArgs, password, API_STRING, .secret = true, .max_length = 128,
              .doc = "Password of root there."),
    JOIN_PARAMS,
    { 0 },
};

const ApiMethod api_cluster_config_join = {
    .verb = API_POST,
    .path = "/cluster/config/join",
    .doc = "Join this node to an existing cluster.",
    .params = join_params,
    .returns = API_UPID,
    .task = "clusterjoin",
    .access = "root",
    .as_root = true,
    .run = join_run,
};

static const ApiParam add_params[] = {
    API_PARAM(JoinArgs, hostname, API_STRING, .optional = true,
              .doc = "A member of the cluster: name or address. A token names one itself.",
              .check = check_hostname),
    API_PARAM(JoinArgs, fingerprint, API_STRING, .optional = true, .pattern = FINGERPRINT_PATTERN,
              .doc = "SHA-256 of the member's certificate; asked for unless given."),
    API_PARAM(JoinArgs, token, API_STRING, .optional = true, .secret = true,
              .doc = "What 'pvecm token' printed on a member, in place of root's password."),
    API_PARAM(JoinArgs, abort, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Undo an interrupted join, on both sides."),
    JOIN_PARAMS,
    { 0 },
};

static JsonNode *
abort_run(ApiCall *call, const JoinArgs *args, GError **error)
{
    g_auto(Join) join = { .call = call, .args = args };
    g_autoptr(QFileLock) lock = q_file_lock(PVECM_LOCK_FILE, PVECM_LOCK_WAIT_MS, error);

    if (lock == NULL || !join_state_load(&join.state, error))
        return NULL;
    if (join.state.step == JOIN_NONE) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "there is no interrupted join on this node");
        return NULL;
    }
    return undo(&join, error) ? q_json_node_null() : NULL;
}

static JsonNode *
add_run(ApiCall *call, const void *data, GError **error)
{
    JoinArgs args = *(const JoinArgs *)data;
    g_auto(JoinToken) token = { 0 };

    if (args.abort)
        return abort_run(call, &args, error);
    if (args.token != NULL) {
        if (!join_token_parse(args.token, &token, error))
            return NULL;
        args.token = token.secret;
        args.fingerprint = token.fingerprint;
        if (args.hostname == NULL)
            args.hostname = token.host;
    }
    if (args.hostname == NULL) {
        api_blame(error, "hostname", "property is missing and it is not optional");
        return NULL;
    }
    return join_run(call, &args, error);
}

const ApiMethod api_pvecm_add = {
    .name = "pvecm_add",
    .doc = "Join this node to an existing cluster: by root's password there, or a one-time token.",
    .params = add_params,
    .access = "root",
    .run = add_run,
};
