#include <string.h>
#include "cfs/cluster_log.h"

static JsonObject *
entry(ClusterLog *log, const char *node, int64_t time_s, const char *message)
{
    g_autoptr(GError) error = NULL;
    CfsLogEntry what = { .priority = 6, .tag = "test", .user = "root@pam", .message = message };
    JsonObject *row = cluster_log_entry(log, node, time_s, &what, &error);

    g_assert_no_error(error);
    return row;
}

static void
add(ClusterLog *log, const char *node, int64_t time_s, const char *message)
{
    g_autoptr(JsonArray) rows = json_array_new();

    json_array_add_object_element(rows, entry(log, node, time_s, message));
    cluster_log_merge(log, rows);
}

static JsonArray *
shown(ClusterLog *log, unsigned max, const char *user, JsonObject **holder)
{
    g_autofree char *text = cluster_log_text(log, max, user);
    g_autoptr(GError) error = NULL;

    *holder = q_json_parse_object(text, -1, &error);
    g_assert_no_error(error);
    return q_json_array(*holder, "data");
}

static const char *
message_at(JsonArray *rows, guint index)
{
    return q_json_string(json_array_get_object_element(rows, index), "msg", "");
}

/* Two nodes that exchange all they have end with the same log, however often they do. */
static void
test_merge(void)
{
    ClusterLog *one = cluster_log_new();
    ClusterLog *two = cluster_log_new();

    add(one, "a", 100, "first");
    add(two, "b", 101, "second");
    add(one, "a", 102, "third");
    for (int i = 0; i < 3; i++) {
        g_autoptr(GPtrArray) from_one = cluster_log_chunks(one, 100);
        g_autoptr(GPtrArray) from_two = cluster_log_chunks(two, 100);
        for (guint j = 0; j < from_one->len; j++) {
            cluster_log_merge(two, from_one->pdata[j]);
        }
        for (guint j = 0; j < from_two->len; j++) {
            cluster_log_merge(one, from_two->pdata[j]);
        }
    }
    g_autofree char *text_one = cluster_log_text(one, 0, NULL);
    g_autofree char *text_two = cluster_log_text(two, 0, NULL);
    g_assert_cmpstr(text_one, ==, text_two);
    g_autoptr(JsonObject) holder = NULL;
    JsonArray *rows = shown(one, 0, NULL, &holder);
    g_assert_cmpuint(json_array_get_length(rows), ==, 3);
    g_assert_cmpstr(message_at(rows, 0), ==, "third"); /* newest first */
    g_assert_cmpstr(message_at(rows, 2), ==, "first");
    cluster_log_free(one);
    cluster_log_free(two);
}

static void
test_bounded(void)
{
    ClusterLog *log = cluster_log_new();
    g_autofree char *long_message = g_strnfill(10000, 'x');
    size_t bytes = 0;

    for (int i = 0; i < 200; i++) {
        add(log, "a", i, long_message);
    }
    g_autoptr(GPtrArray) chunks = cluster_log_chunks(log, 32 * 1024);
    for (guint i = 0; i < chunks->len; i++) {
        g_autoptr(JsonNode) node = q_json_node_array(json_array_ref(chunks->pdata[i]));
        g_autofree char *text = q_json_text(node, Q_JSON_COMPACT);
        g_assert_cmpuint(strlen(text), <, 64 * 1024);
        bytes += strlen(text);
    }
    g_assert_cmpuint(bytes, <, CFS_LOG_BYTES_MAX + 1024);
    g_assert_cmpuint(bytes, >, CFS_LOG_BYTES_MAX / 2);
    g_autoptr(JsonObject) holder = NULL;
    JsonArray *rows = shown(log, 5, NULL, &holder);
    g_assert_cmpuint(json_array_get_length(rows), ==, 5);
    g_assert_cmpuint(strlen(message_at(rows, 0)), <, CFS_LOG_ENTRY_MAX);
    cluster_log_free(log);
}

static void
test_texts(void)
{
    static const char *const cases[][2] = {
        { "plain", "plain" },
        { "line\nbreak\ttab", "line#010break#009tab" },
        { "\033[31mred", "#027[31mred" },
        { "\"quoted\" \\", "\"quoted\" \\" },
        { "\303\244", "\303\244" },
        { "bad \377 byte", "bad \357\277\275 byte" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        ClusterLog *log = cluster_log_new();
        add(log, "a", 1, cases[i][0]);
        g_autoptr(JsonObject) holder = NULL;
        JsonArray *rows = shown(log, 0, NULL, &holder);
        g_assert_cmpstr(message_at(rows, 0), ==, cases[i][1]);
        cluster_log_free(log);
    }
}

static void
test_user(void)
{
    ClusterLog *log = cluster_log_new();
    g_autoptr(JsonObject) mine = NULL;
    g_autoptr(JsonObject) others = NULL;

    add(log, "a", 1, "x");
    g_assert_cmpuint(json_array_get_length(shown(log, 0, "root@pam", &mine)), ==, 1);
    g_assert_cmpuint(json_array_get_length(shown(log, 0, "joe@pve", &others)), ==, 0);
    cluster_log_free(log);
}

/* What another node sends is not believed to be an entry. */
static void
test_foreign_rows(void)
{
    ClusterLog *log = cluster_log_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) rows = q_json_parse(
        "[1, null, [], {}, {\"node\":\"\"}, {\"node\":7, \"time\":\"x\"}]", -1, &error);

    g_assert_no_error(error);
    cluster_log_merge(log, json_node_get_array(rows));
    g_autofree char *text = cluster_log_text(log, 0, NULL);
    g_assert_cmpstr(text, ==, "{\n\"data\": []\n}\n");
    cluster_log_free(log);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/cluster-log/merge", test_merge);
    g_test_add_func("/cfs/cluster-log/bounded", test_bounded);
    g_test_add_func("/cfs/cluster-log/texts", test_texts);
    g_test_add_func("/cfs/cluster-log/user", test_user);
    g_test_add_func("/cfs/cluster-log/foreign-rows", test_foreign_rows);
    return g_test_run();
}
