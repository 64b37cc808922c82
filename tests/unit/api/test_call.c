#include <string.h>
#include "api/call.h"
#include "api/index.h"
#include "api/nodes.h"
#include "api/tasks.h"
#include "api/version.h"
#include "sys/process.h"
#include "task/list.h"

/* Calls through the whole way: bind, allow, place, run, check; as this machine, without a cluster.
 */

static JsonNode *
call_as(const char *user, ApiVerb verb, const char *path, const char *json, ApiExtra *extra,
        GError **error)
{
    g_autoptr(JsonObject) raw = q_json_parse_object(json, -1, NULL);
    ApiSession session = { .user = user, .node = "node1", .origin = API_FROM_HTTP };
    const ApiMethod *method = api_find(verb, path, true, raw, error);

    return method != NULL ? api_call(&session, method, raw, extra, error) : NULL;
}

static void
test_who(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) version = call_as("root@pam", API_GET, "/version", "{}", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(q_json_string(json_node_get_object(version), "version", ""), ==, API_LEVEL);
    g_assert_null(call_as(NULL, API_GET, "/version", "{}", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_UNAUTHENTICATED);
    g_assert_cmpstr(error->message, ==, "No ticket");
    g_clear_error(&error);
    g_assert_null(call_as("eve@pve", API_GET, "/nodes/node1/status", "{}", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_assert_cmpstr(error->message, ==, "Permission check failed (/nodes/node1, Sys.Audit)");
    g_clear_error(&error);
    g_autoptr(JsonNode) open = call_as(NULL, API_GET, "/access/domains", "{}", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(open)), ==, 2);
    /* Who is nobody learns nothing of parameters. */
    g_assert_null(call_as(NULL, API_GET, "/nodes/node1/tasks", "{\"limit\":\"x\"}", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_UNAUTHENTICATED);
}

typedef struct {
    char *node, *path;
    int count;
} Forwarded;

static Forwarded last; /* what the function below was asked for */

static JsonNode *
fake_forward(const ApiSession *session, const char *node, ApiVerb verb, const char *path,
             JsonObject *parameters, int64_t *total, GError **error)
{
    g_free(last.node);
    g_free(last.path);
    last.node = g_strdup(node);
    g_autofree char *rest = q_json_object_text(parameters, Q_JSON_COMPACT);
    last.path = g_strdup_printf("%s %s %s", api_verb_name(verb), path, rest);
    last.count++;
    *total = 7;
    return q_json_node_string("from there");
}

static void
test_placing(void)
{
    static const ApiHost host = { .forward = fake_forward };
    ApiSession session = {
        .host = &host, .user = "root@pam", .node = "node1", .origin = API_FROM_HTTP
    };
    g_autoptr(JsonObject) raw = q_json_parse_object("{\"limit\":5}", -1, NULL);
    g_autoptr(GError) error = NULL;
    ApiExtra extra = { 0 };

    const ApiMethod *method =
        api_find(API_GET, "/nodes/node2/tasks/a%2Fb%20c/log", true, raw, &error);
    g_assert_true(method == &api_tasks_log);
    g_autoptr(JsonNode) answer = api_call(&session, method, raw, &extra, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(json_node_get_string(answer), ==, "from there");
    g_assert_cmpstr(last.node, ==, "node2");
    g_assert_cmpstr(last.path, ==, "GET /nodes/node2/tasks/a%2Fb%20c/log {\"limit\":5}");
    g_assert_cmpint(extra.total, ==, 7);

    session.no_forward = true;
    g_assert_null(api_call(&session, method, raw, NULL, &error));
    g_assert_nonnull(strstr(error->message, "proxy loop detected"));
    g_assert_cmpint(q_error_http_status(error), ==, 500);
    g_assert_cmpint(last.count, ==, 1);

    g_clear_error(&error);
    session.no_forward = false;
    session.user = "eve@pve"; /* the entry node checks too */
    g_autoptr(JsonObject) other = json_object_new();
    method = api_find(API_GET, "/nodes/node2/status", true, other, NULL);
    g_assert_null(api_call(&session, method, other, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_assert_cmpint(last.count, ==, 1);
}

static void
test_localhost(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) here =
        call_as("root@pam", API_GET, "/nodes/localhost/time", "{}", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(q_json_int(json_node_get_object(here), "time", 0), >, 1297163644);
}

static void
test_node_status(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) status =
        call_as("root@pam", API_GET, "/nodes/node1/status", "{}", NULL, &error);

    g_assert_no_error(error);
    JsonObject *memory = q_json_object(json_node_get_object(status), "memory");
    g_assert_cmpint(q_json_int(memory, "total", 0), >, q_json_int(memory, "free", 0));
    g_autofree char *complaint = api_answer_complaint(&api_nodes_status, status);
    g_assert_cmpstr(complaint, ==, NULL);
}

static void
test_tasks(void)
{
    static const char upid[] = "UPID:node1:7FFFFFF0:00C0FFEE:6B05AB47:qmstart:100:ada@pve:";
    g_autoptr(GError) error = NULL;
    ApiExtra extra;

    g_assert_true(task_list_add(upid, &error));
    g_assert_no_error(error);
    g_autoptr(JsonNode) own =
        call_as("ada@pve", API_GET, "/nodes/node1/tasks", "{}", &extra, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(own)), ==, 1);
    g_assert_cmpint(extra.total, ==, 1);
    g_autofree char *complaint = api_answer_complaint(&api_tasks_list, own);
    g_assert_cmpstr(complaint, ==, NULL);
    g_autoptr(JsonNode) others =
        call_as("eve@pve", API_GET, "/nodes/node1/tasks", "{}", NULL, &error);
    g_assert_cmpuint(json_array_get_length(json_node_get_array(others)), ==, 0);

    g_autofree char *path = g_strdup_printf("/nodes/node1/tasks/%s/status", upid);
    g_assert_null(call_as("eve@pve", API_GET, path, "{}", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_clear_error(&error);
    g_assert_null(call_as("root@pam", API_GET, path, "{}", NULL, &error)); /* it has no log */
    g_assert_cmpstr(q_error_blames(error)->pdata[0], ==, "upid");
    g_clear_error(&error);
    g_assert_null(
        call_as("root@pam", API_GET, "/nodes/node1/tasks/UPID%3A..%2F/log", "{}", NULL, &error));
    g_assert_cmpstr(q_error_blames(error)->pdata[0], ==, "upid");
}

static void
test_index(void)
{
    g_autoptr(JsonNode) node = api_children("/nodes/{node}/tasks/{upid}", "name");
    g_autofree char *text = q_json_text(node, Q_JSON_COMPACT);

    g_assert_cmpstr(text, ==, "[{\"name\":\"log\"},{\"name\":\"status\"}]");
}

static void
test_answers(void)
{
    static const struct {
        const char *json, *complaint;
    } cases[] = {
        { "{\"release\":\"9\",\"repoid\":\"a\",\"version\":\"9\"}", NULL },
        { "{\"release\":\"9\",\"repoid\":\"a\"}", "'version' is missing" },
        { "{\"release\":9,\"repoid\":\"a\",\"version\":\"9\"}", "'release' is no string" },
        { "[]", "the answer is no object" },
        { "null", "the answer is no object" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonNode) node = q_json_parse(cases[i].json, -1, NULL);
        g_autofree char *complaint = api_answer_complaint(&api_version_version, node);
        g_assert_cmpstr(complaint, ==, cases[i].complaint);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *folder = g_dir_make_tmp("quorate-call-XXXXXX", NULL);
    g_setenv("QUORATE_TASK_DIR", folder, TRUE);
    g_test_add_func("/call/who", test_who);
    g_test_add_func("/call/placing", test_placing);
    g_test_add_func("/call/localhost", test_localhost);
    g_test_add_func("/call/node-status", test_node_status);
    g_test_add_func("/call/tasks", test_tasks);
    g_test_add_func("/call/index", test_index);
    g_test_add_func("/call/answers", test_answers);
    int status = g_test_run();
    const char *const remove[] = { "rm", "-rf", folder, NULL };
    q_run(remove, NULL, NULL, NULL, NULL);
    return status;
}
