#include "api/call.h"
#include <stdio.h>
#include <string.h>
#include "access/users.h"
#include "api/permission.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/process.h"

struct ApiCallPriv {
    const ApiSession *session;
    ApiArgs *args;
    CfsClient *cfs;
    UserCfg *users;
    int64_t total;
    char *task_type, *task_id;
    int warnings;
};

/* ------------------------------------------------------------------ what run may use */

CfsClient *
api_cfs(ApiCall *call, GError **error)
{
    if (call->priv->cfs == NULL) {
        call->priv->cfs =
            cfs_client_connect(call->is_cli || call->is_task ? "quorate" : "quorate-apid", error);
    }
    return call->priv->cfs;
}

bool
api_given(const ApiCall *call, const char *name)
{
    return g_hash_table_contains(call->priv->args->given, name);
}

void
api_say(const char *line, gpointer data)
{
    ApiCall *call = data;

    if (call->is_task) {
        printf("%s\n", line);
        fflush(stdout);
    } else if (call->is_cli) {
        fprintf(stderr, "%s\n", line);
    }
}

void
api_log(ApiCall *call, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    api_say(line, call);
}

void
api_warn(ApiCall *call, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *line = g_strconcat("WARN: ", text, NULL);
    call->priv->warnings++;
    api_say(line, call);
}

static const UserCfg *
call_users(ApiCall *call)
{
    if (call->priv->users == NULL) {
        call->priv->users = users_read();
    }
    return call->priv->users;
}

bool
api_is_root(const ApiCall *call)
{
    return g_strcmp0(call->user, ACCESS_ROOT) == 0;
}

bool
api_may(ApiCall *call, const char *path, const char *privileges)
{
    g_auto(GStrv) names = g_strsplit(privileges, ",", -1);

    for (char **name = names; *name != NULL; name++) {
        g_strstrip(*name);
    }
    return api_is_root(call)
           || (call->user != NULL
               && access_holds(call_users(call), call->user, path, (const char *const *)names,
                               false));
}

bool
api_blame(GError **error, const char *name, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    return q_error_blame(error, name, "%s", why);
}

bool
api_status(GError **error, QError code, int http_status, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        q_set_error(error, code, "%s", text);
        q_error_set_http_status(*error, http_status);
    }
    return false;
}

void
api_set_total(ApiCall *call, int64_t total)
{
    call->priv->total = total;
}

void
api_set_task(ApiCall *call, const char *type, const char *id)
{
    if (type != NULL) {
        g_free(call->priv->task_type);
        call->priv->task_type = g_strdup(type);
    }
    if (id != NULL) {
        g_free(call->priv->task_id);
        call->priv->task_id = g_strdup(id);
    }
}

char *
api_ask_secret(ApiCall *call, const char *prompt, GError **error)
{
    const ApiHost *host = call->priv->session->host;

    if (!call->is_cli || host == NULL || host->ask == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "%s is missing, and there is no terminal to ask",
                    prompt);
        return NULL;
    }
    return host->ask(prompt, error);
}

JsonNode *
api_on_node(ApiCall *call, const char *node, ApiVerb verb, const char *path, JsonObject *parameters,
            GError **error)
{
    const ApiSession *session = call->priv->session;

    if (strcmp(node, session->node) != 0) {
        int64_t total;
        if (session->host == NULL || session->host->forward == NULL) {
            q_set_error(error, Q_ERROR_UNREACHABLE, "this program does not speak to other nodes");
            return NULL;
        }
        return session->host->forward(session, node, verb, path, parameters, &total, error);
    }
    g_autoptr(JsonObject) raw = json_object_new();
    g_autoptr(GList) names = parameters != NULL ? json_object_get_members(parameters) : NULL;
    for (GList *item = names; item != NULL; item = item->next) {
        json_object_set_member(raw, item->data, json_object_dup_member(parameters, item->data));
    }
    const ApiMethod *method = api_find(verb, path, false, raw, error);
    return method != NULL ? api_call(session, method, raw, NULL, error) : NULL;
}

/* ------------------------------------------------------------------ placing */

static bool
allow(ApiCall *call, GError **error)
{
    if (call->method->access == NULL) {
        return q_set_error(error, Q_ERROR_INTERNAL, "nobody may: the method has no permission");
    }
    if (call->user != NULL && strchr(call->user, '!') != NULL && call->method->no_token) {
        return q_set_error(error, Q_ERROR_DENIED,
                           "Permission check failed (URI '%s' not available with API token, need "
                           "proper ticket.",
                           call->method->path);
    }
    if (api_access_is_world(call->method->access) || api_is_root(call)) {
        return true;
    }
    ApiAsker asker = { .cfg = call_users(call),
                       .user = call->user,
                       .arguments = call->priv->args->texts };
    return api_access_check(call->method->access, &asker, error);
}

/* The path of this call with its parameters in it, and the other parameters. */
static char *
filled_path(const ApiCall *call, JsonObject *raw, JsonObject *rest)
{
    g_auto(GStrv) parts = g_strsplit(call->method->path, "/", -1);
    GString *path = g_string_new(NULL);
    g_autoptr(GList) names = raw != NULL ? json_object_get_members(raw) : NULL;

    for (GList *item = names; item != NULL; item = item->next) {
        json_object_set_member(rest, item->data, json_object_dup_member(raw, item->data));
    }
    for (char **part = parts + 1; *part != NULL; part++) {
        if (**part != '{') {
            g_string_append_printf(path, "/%s", *part);
            continue;
        }
        g_autofree char *name = g_strndup(*part + 1, strlen(*part) - 2);
        const char *value = g_hash_table_lookup(call->priv->args->texts, name);
        g_autofree char *escaped = g_uri_escape_string(value != NULL ? value : "", ":", FALSE);
        g_string_append_printf(path, "/%s", escaped);
        if (json_object_has_member(rest, name)) {
            json_object_remove_member(rest, name);
        }
    }
    return g_string_free(path, FALSE);
}

/* The node that it is to run on, if that is another one. */
static const char *
elsewhere(const ApiCall *call)
{
    const char *node = call->method->on_node != NULL
                           ? g_hash_table_lookup(call->priv->args->texts, call->method->on_node)
                           : NULL;

    return node != NULL && strcmp(node, call->node) != 0 ? node : NULL;
}

static JsonNode *
forward(ApiCall *call, const char *node, JsonObject *raw, GError **error)
{
    const ApiSession *session = call->priv->session;
    g_autoptr(JsonObject) rest = json_object_new();

    if (session->no_forward) {
        api_status(error, Q_ERROR_INTERNAL, 500, "proxy loop detected: this is '%s', not '%s'",
                   call->node, node);
        return NULL;
    }
    if (session->host == NULL || session->host->forward == NULL || call->method->path == NULL) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "this runs on node '%s' only", node);
        return NULL;
    }
    g_autofree char *path = filled_path(call, raw, rest);
    return session->host->forward(session, node, call->method->verb, path, rest, &call->priv->total,
                                  error);
}

static bool
check_quorum(ApiCall *call, GError **error)
{
    if (!call->method->needs_quorum) {
        return true;
    }
    CfsClient *cfs = api_cfs(call, error);
    if (cfs == NULL) {
        return false;
    }
    g_autofree char *why = NULL;
    if (!cfs_quorate(cfs, &why)) {
        return q_set_error(error, Q_ERROR_NO_QUORUM, "cluster not ready - no quorum?");
    }
    return true;
}

/* ------------------------------------------------------------------ running */

/* "vm:100" has a colon; a task's id must not. */
static char *
task_id_text(const char *value)
{
    return g_strdelimit(g_strdup(value != NULL ? value : ""), ":/ \t\r\n", '_');
}

static JsonNode *
start_task(ApiCall *call, JsonObject *raw, ApiExtra *extra, GError **error)
{
    const ApiMethod *method = call->method;
    struct ApiCallPriv *priv = call->priv;

    priv->task_type = g_strdup(method->task);
    priv->task_id = task_id_text(
        method->task_id != NULL ? g_hash_table_lookup(priv->args->texts, method->task_id) : NULL);
    if (method->prepare != NULL && !method->prepare(call, priv->args->data, error)) {
        return NULL;
    }
    g_autofree char *id = api_method_id(method);
    g_autofree char *task_id = task_id_text(priv->task_id);
    TaskSpec spec = { .type = priv->task_type,
                      .id = task_id,
                      .user = call->user,
                      .method = id,
                      .arguments = raw,
                      .client = call->client };
    g_autofree char *upid = task_start(&spec, error);
    if (upid == NULL) {
        return NULL;
    }
    if (extra != NULL) {
        extra->upid = g_strdup(upid);
    }
    return q_json_node_string(upid);
}

static JsonNode *
run_here(ApiCall *call, JsonObject *raw, ApiExtra *extra, GError **error)
{
    JsonNode *answer;

    if (!check_quorum(call, error)) {
        return NULL;
    }
    if (call->method->returns == API_UPID && !call->is_task) {
        return start_task(call, raw, extra, error);
    }
    g_autoptr(GError) cause = NULL;
    answer = call->method->run(call, call->priv->args->data, &cause);
    if (answer == NULL) {
        if (cause == NULL) {
            q_set_error(&cause, Q_ERROR_INTERNAL, "failed without a reason");
        }
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    g_autofree char *complaint = call->is_task ? NULL : api_answer_complaint(call->method, answer);
    if (complaint != NULL) {
        g_autofree char *id = api_method_id(call->method);
        q_warn("%s: %s", id, complaint);
    }
    return answer;
}

static void
priv_clear(struct ApiCallPriv *priv)
{
    api_args_free(priv->args);
    cfs_client_free(priv->cfs);
    user_cfg_free(priv->users);
    g_free(priv->task_type);
    g_free(priv->task_id);
}

JsonNode *
api_call(const ApiSession *session, const ApiMethod *method, JsonObject *raw, ApiExtra *extra,
         GError **error)
{
    struct ApiCallPriv priv = { .session = session, .total = -1 };
    ApiCall call = { .method = method,
                     .user = session->user,
                     .node = session->node,
                     .client = session->client,
                     .is_cli = session->is_cli,
                     .priv = &priv };
    JsonNode *answer = NULL;

    if (!api_access_is_world(method->access != NULL ? method->access : "")
        && session->user == NULL) {
        q_set_error(error, Q_ERROR_UNAUTHENTICATED, "No ticket");
        return NULL;
    }
    priv.args = api_bind(method->params, raw, session->origin, session->node, error);
    if (priv.args != NULL && allow(&call, error)) {
        const char *node = elsewhere(&call);
        answer =
            node != NULL ? forward(&call, node, raw, error) : run_here(&call, raw, extra, error);
    }
    if (extra != NULL) {
        extra->total = priv.total;
    }
    priv_clear(&priv);
    return answer;
}

/* ------------------------------------------------------------------ in a worker */

static const ApiHost *worker_host; /* set once, before the worker's only method runs */

void
api_task_init(const ApiHost *host)
{
    worker_host = host;
}

bool
api_task_run(const TaskWork *work, int *warnings, GError **error)
{
    const ApiMethod *method = api_find_id(work->method);
    g_autofree char *node = q_node_name();
    ApiSession session = { .host = worker_host,
                           .user = work->upid->user,
                           .client = work->client,
                           .node = node,
                           .origin = API_FROM_COMMAND };
    struct ApiCallPriv priv = { .session = &session, .total = -1 };
    ApiCall call = { .method = method,
                     .user = session.user,
                     .node = node,
                     .client = work->client,
                     .is_task = true,
                     .priv = &priv };

    if (method == NULL) {
        return q_set_error(error, Q_ERROR_INTERNAL, "no such method: '%s'", work->method);
    }
    priv.args = api_bind(method->params, work->arguments, API_FROM_COMMAND, node, error);
    g_autoptr(JsonNode) answer = NULL;
    if (priv.args != NULL) {
        answer = run_here(&call, work->arguments, NULL, error);
    }
    *warnings = priv.warnings;
    priv_clear(&priv);
    return answer != NULL;
}
