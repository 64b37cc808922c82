#include "http/apid.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "access/keys.h"
#include "access/users.h"
#include "api/call.h"
#include "api/cluster_certs.h"
#include "api/cluster_config.h"
#include "api/permission.h"
#include "api/tasks.h"
#include "http/form.h"
#include "http/forward.h"
#include "http/server.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/paths.h"
#include "sys/process.h"
#include "sys/service.h"

enum {
    THREADS_MAX = 16,
    WAITING_MAX = 256,
    LOGIN_DELAY_MS = 3000,
    HOUSE_S = 60,
    HOUSE_RETRY_S = 1,
};

typedef struct {
    HttpServer *server;
    GThreadPool *pool;
    char *node;
    uid_t proxy_uid;
    bool has_proxy;
    ClusterUpkeep *upkeep; /* of the house's thread alone */
} Apid;

/* One call on its way through a thread. */
typedef struct {
    Apid *apid;
    HttpRequest *request; /* main loop only */
    HttpFormat format;
    ApiVerb verb;
    char *path; /* behind /api2/FORMAT */
    char *query, *content_type;
    GBytes *body;
    char *user, *client, *member, *reject, *cookie, *authorization, *csrf;
    bool forwarded, is_login, download;
    HttpAnswer answer;
    char *text; /* of a download */
} Call;

static void
call_free(Call *call)
{
    g_free(call->path);
    g_free(call->query);
    g_free(call->content_type);
    g_bytes_unref(call->body);
    g_free(call->user);
    g_free(call->client);
    g_free(call->member);
    g_free(call->reject);
    g_free(call->cookie);
    g_free(call->authorization);
    g_free(call->csrf);
    g_free(call->text);
    http_answer_clear(&call->answer);
    g_free(call);
}

/* ------------------------------------------------------------------ in a thread */

static JsonObject *
read_parameters(const Call *call, GError **error)
{
    g_autoptr(JsonObject) raw = json_object_new();
    gsize length;
    const char *body = g_bytes_get_data(call->body, &length);
    bool json =
        call->content_type != NULL && g_str_has_prefix(call->content_type, "application/json");

    if (!http_form_decode(call->query, raw, error)) {
        return NULL;
    }
    if (length > 0 && json) {
        return http_json_decode(body, length, raw, error) ? g_steal_pointer(&raw) : NULL;
    }
    g_autofree char *form = g_strndup(body != NULL ? body : "", length);
    return http_form_decode(form, raw, error) ? g_steal_pointer(&raw) : NULL;
}

/* A command of root on another member: its certificate was seen by proxyd, but only the ticket,
 * which proxyd cannot make, lets it act as root. */
static bool
judge_node_ticket(Call *call, GError **error)
{
    const char *mark = "PVENODE=";
    g_autofree char *node = NULL;

    if (call->authorization == NULL || !g_str_has_prefix(call->authorization, mark)) {
        return true;
    }
    g_autofree char *aad =
        g_strdup_printf("%s %s %s", api_verb_name(call->verb), call->path, call->apid->node);
    if (call->member == NULL
        || !keys_ticket_check(call->authorization + strlen(mark), "PVENODE", aad, &node, NULL)
        || strcmp(node, call->member) != 0) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED,
                           "permission denied - invalid PVENODE ticket");
    }
    g_free(call->user);
    call->user = g_strdup(ACCESS_ROOT);
    g_clear_pointer(&call->reject, g_free);
    g_clear_pointer(&call->authorization, g_free); /* good for this one call */
    return true;
}

/* Whoever was disabled or deleted since is nobody, at once. */
static bool
judge_user(const Call *call, const ApiMethod *method, GError **error)
{
    if (method->access != NULL && api_access_is_world(method->access)) {
        return true;
    }
    if (call->reject != NULL) {
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "%s", call->reject);
    }
    if (call->user != NULL && strcmp(call->user, ACCESS_ROOT) != 0) {
        g_autoptr(UserCfg) cfg = users_read();
        return access_check_user(cfg, call->user, q_clock_wall_s(), error);
    }
    return true;
}

/* A log as a file of text. */
static char *
download_text(JsonNode *lines)
{
    GString *text = g_string_new(NULL);
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(lines) ? json_node_get_array(lines) : NULL;

    for (guint i = 0; array != NULL && i < json_array_get_length(array); i++) {
        g_string_append_printf(text, "%s\n",
                               q_json_string(json_array_get_object_element(array, i), "t", ""));
    }
    return g_string_free(text, FALSE);
}

static JsonNode *
run_method(Call *call, JsonObject *raw, ApiExtra *extra, GError **error)
{
    static const ApiHost host = { .forward = http_forward };
    const ApiMethod *method = api_find(call->verb, call->path, true, raw, error);

    if (method == NULL || !judge_node_ticket(call, error) || !judge_user(call, method, error)) {
        return NULL;
    }
    ApiSession session = { .host = &host,
                           .user = call->user,
                           .client = call->client,
                           .node = call->apid->node,
                           .origin = API_FROM_HTTP,
                           .no_forward = call->forwarded,
                           .cookie = call->cookie,
                           .authorization = call->authorization,
                           .csrf = call->csrf };
    if (method == &api_tasks_log && q_json_bool(raw, "download", false)) {
        call->download = true;
        json_object_remove_member(raw, "download");
        json_object_set_int_member(raw, "limit", 0);
    }
    return api_call(&session, method, raw, extra, error);
}

static void
audit(const Call *call, const ApiExtra *extra, const GError *error)
{
    if (call->verb == API_GET) {
        return;
    }
    const char *user = call->user != NULL ? call->user : "-";
    const char *client = call->client != NULL ? call->client : "-";
    q_info("%s %s by %s from %s: %s", api_verb_name(call->verb), call->path, user, client,
           error != NULL         ? error->message
           : extra->upid != NULL ? extra->upid
                                 : "done");
}

static gboolean on_done(gpointer data);
static void on_house_kept(GObject *source, GAsyncResult *result, gpointer data);

static void
work(gpointer data, gpointer pool_data)
{
    Call *call = data;
    g_autoptr(GError) error = NULL;
    ApiExtra extra = { .total = -1 };
    g_autoptr(JsonObject) raw = read_parameters(call, &error);
    g_autoptr(JsonNode) answer = raw != NULL ? run_method(call, raw, &extra, &error) : NULL;

    audit(call, &extra, error);
    g_free(extra.upid);
    if (answer == NULL) {
        call->answer = http_answer_error(call->format, error);
    } else if (call->download) {
        call->text = download_text(answer);
    } else {
        call->answer = http_answer_ok(call->format, answer, extra.total);
    }
    g_idle_add(on_done, call);
}

/* ------------------------------------------------------------------ in the main loop */

static gboolean
send_answer(gpointer data)
{
    Call *call = data;

    if (call->text != NULL) {
        http_request_add_header(call->request, "Content-Disposition",
                                "attachment; filename=\"task.log\"");
        http_request_answer(call->request, 200, "OK", "text/plain", call->text, strlen(call->text));
    } else {
        if (call->answer.status == 429) {
            http_request_add_header(call->request, "Retry-After", "10");
        }
        http_request_answer_json(call->request, &call->answer);
    }
    call_free(call);
    return G_SOURCE_REMOVE;
}

/* A failed login waits here, where it holds nothing but memory. */
static gboolean
on_done(gpointer data)
{
    Call *call = data;

    if (call->is_login && call->answer.status == 401) {
        g_timeout_add(LOGIN_DELAY_MS, send_answer, call);
    } else {
        send_answer(call);
    }
    return G_SOURCE_REMOVE;
}

static void
refuse(HttpRequest *request, HttpFormat format, QError code, int status, const char *text)
{
    g_autoptr(GError) error = NULL;

    q_set_error(&error, code, "%s", text);
    q_error_set_http_status(error, status);
    HttpAnswer answer = http_answer_error(format, error);
    http_request_answer_json(request, &answer);
    http_answer_clear(&answer);
}

/* "/api2/json/version" → HTTP_JSON and "/version". */
static const char *
split_path(const char *path, HttpFormat *format)
{
    static const struct {
        const char *prefix;
        HttpFormat format;
    } formats[] = { { "/api2/json", HTTP_JSON }, { "/api2/extjs", HTTP_EXTJS } };

    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        size_t length = strlen(formats[i].prefix);
        if (strncmp(path, formats[i].prefix, length) == 0
            && (path[length] == '/' || path[length] == '\0')) {
            *format = formats[i].format;
            return path[length] == '\0' ? "/" : path + length;
        }
    }
    return NULL;
}

static char *
copy_header(const HttpRequest *request, const char *name)
{
    const char *value = http_request_header(request, name);

    return value != NULL && *value != '\0' ? g_strdup(value) : NULL;
}

static bool
peer_is_known(const Apid *apid, const HttpRequest *request, bool *is_root)
{
    uid_t uid;

    if (!http_request_peer_uid(request, &uid)) {
        return false;
    }
    *is_root = uid == 0;
    return uid == 0 || (apid->has_proxy && uid == apid->proxy_uid);
}

static void
on_request(HttpRequest *request, gpointer data)
{
    Apid *apid = data;
    HttpFormat format = HTTP_JSON;
    const char *path = split_path(http_request_path(request), &format);
    bool is_root = false;
    ApiVerb verb;

    if (!peer_is_known(apid, request, &is_root)) {
        refuse(request, format, Q_ERROR_DENIED, 403, "this socket is for root and quorate-proxyd");
        return;
    }
    if (path == NULL || !api_verb_parse(http_request_verb(request), &verb)) {
        refuse(request, format, Q_ERROR_UNSUPPORTED, 501, "no such uri");
        return;
    }
    if (g_thread_pool_unprocessed(apid->pool) > WAITING_MAX) {
        refuse(request, format, Q_ERROR_BUSY, 503, "too many calls at once, try again");
        return;
    }
    Call *call = g_new0(Call, 1);
    call->apid = apid;
    call->request = request;
    call->format = format;
    call->verb = verb;
    call->path = g_strdup(path);
    call->query = g_strdup(http_request_query(request));
    call->content_type = copy_header(request, "Content-Type");
    call->body = g_bytes_ref(http_request_body(request));
    call->user = copy_header(request, HTTP_USER_HEADER);
    call->client = copy_header(request, HTTP_CLIENT_HEADER);
    call->member = copy_header(request, HTTP_NODE_HEADER);
    call->reject = copy_header(request, HTTP_REJECT_HEADER);
    call->forwarded = http_request_header(request, HTTP_FORWARDED_HEADER) != NULL;
    call->cookie = copy_header(request, "Cookie");
    call->authorization = copy_header(request, "Authorization");
    call->csrf = copy_header(request, "CSRFPreventionToken");
    call->is_login = verb == API_POST && strcmp(path, "/access/ticket") == 0;
    if (is_root && call->user == NULL && call->client == NULL) {
        call->user = g_strdup(ACCESS_ROOT);
    }
    g_thread_pool_push(apid->pool, call, NULL);
}

/* ------------------------------------------------------------------ the daemon */

/* Keys and certificates that are missing or old, joins that were interrupted: at the start, as soon
 * as something can be written, then once a minute. */
static void
keep_house(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Apid *apid = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsClient) cfs = cfs_client_connect("quorate-apid", NULL);

    if (cfs == NULL || !cfs_quorate(cfs, NULL)) {
        g_task_return_boolean(task, FALSE);
        return;
    }
    if (!cluster_certs_ensure(cfs, apid->node, NULL, &error)) {
        q_warn("certificates: %s", error->message);
        g_task_return_boolean(task, FALSE);
        return;
    }
    cluster_upkeep(apid->upkeep, cfs, apid->node);
    if (keys_rotate(cfs, &error)) {
        q_info("new key for tickets");
    } else if (error != NULL && !g_error_matches(error, Q_ERROR, Q_ERROR_CONFLICT)) {
        q_warn("the key for tickets stays as it is: %s", error->message);
    }
    g_task_return_boolean(task, TRUE);
}

static gboolean
on_house_time(gpointer data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, on_house_kept, data);

    g_task_set_task_data(task, data, NULL);
    g_task_run_in_thread(task, keep_house);
    return G_SOURCE_REMOVE;
}

static void
on_house_kept(GObject *source, GAsyncResult *result, gpointer data)
{
    bool done = g_task_propagate_boolean(G_TASK(result), NULL);

    g_timeout_add_seconds(done ? HOUSE_S : HOUSE_RETRY_S, on_house_time, data);
}

static bool
make_run_dir(GError **error)
{
    struct group *group = getgrnam("www-data");

    if (!q_file_make_dir(Q_RUN_DIR, 0750, error)) {
        return false;
    }
    if (group != NULL && chown(Q_RUN_DIR, (uid_t)-1, group->gr_gid) != 0) {
        return q_set_error_errno(error, errno, "cannot give %s to group www-data", Q_RUN_DIR);
    }
    return true;
}

int
http_apid_main(void)
{
    g_autoptr(GError) error = NULL;
    Apid apid = { .node = q_node_name(), .upkeep = cluster_upkeep_new() };
    struct passwd *proxy = getpwnam(HTTP_PROXY_USER);

    q_log_init("quorate-apid");
    apid.has_proxy = proxy != NULL;
    apid.proxy_uid = proxy != NULL ? proxy->pw_uid : 0;
    if (proxy == NULL) {
        q_warn("no user '" HTTP_PROXY_USER "': only root may call");
    }
    apid.pool = g_thread_pool_new(work, &apid, THREADS_MAX, FALSE, NULL);
    apid.server = http_server_new(on_request, &apid);
    if (!make_run_dir(&error) || !http_server_listen_unix(apid.server, Q_APID_SOCKET, &error)) {
        q_err("%s", error->message);
        return 1;
    }
    on_house_time(&apid);
    q_notify("READY=1");
    return q_loop_run();
}
