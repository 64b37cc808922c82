#include "task/task.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/file.h"
#include "sys/process.h"
#include "task/list.h"
#include "task/log.h"
#include "task/worker.h"

/*
 * Real workers: this test's own program stands in for `quorate` (it is found beside itself under
 * that name), so that a task goes the whole way: new, log, UPID, exec, run, list.
 */
static char *folder;

static bool
run_work(const TaskWork *work, int *warnings, GError **error)
{
    const char *word = q_json_string(work->arguments, "word", "");

    printf("method %s, word %s\n", work->method, word);
    if (strcmp(work->method, "fail") == 0) {
        return q_set_error(error, Q_ERROR_IO, "it is broken:\nreally");
    }
    if (strcmp(work->method, "warn") == 0) {
        printf("WARN: careful\n");
        *warnings = 1;
    }
    if (strcmp(work->method, "sleep") == 0 || strcmp(work->method, "stubborn") == 0) {
        signal(SIGTERM, strcmp(work->method, "stubborn") == 0 ? SIG_IGN : SIG_DFL);
        printf("asleep\n");
        fflush(stdout);
        for (;;) {
            pause();
        }
    }
    if (strcmp(work->method, "wait") == 0) {
        printf("asleep\n");
        fflush(stdout);
        for (;;) {
            pause();
        }
    }
    return true;
}

static char *
start(const char *method, const char *id)
{
    g_autoptr(JsonObject) arguments = json_object_new();
    g_autoptr(GError) error = NULL;

    json_object_set_string_member(arguments, "word", "geheim");
    TaskSpec spec = {
        .type = "qmtest", .id = id, .user = "root@pam", .method = method, .arguments = arguments
    };
    char *upid = task_start(&spec, &error);
    g_assert_no_error(error);
    g_autofree char *log = task_log_path(upid);
    g_assert_true(g_file_test(log, G_FILE_TEST_EXISTS)); /* before anybody knows its name */
    return upid;
}

static void
wait_for_line(const char *upid, const char *line)
{
    for (int i = 0; i < 500; i++) {
        int64_t total;
        g_autoptr(JsonArray) lines = task_log_lines(upid, 0, 0, &total);
        for (guint n = 0; n < json_array_get_length(lines); n++) {
            JsonObject *row = json_array_get_object_element(lines, n);
            if (strcmp(q_json_string(row, "t", ""), line) == 0) {
                return;
            }
        }
        g_usleep(10000);
    }
    g_error("no line '%s'", line);
}

static void
assert_ends(const char *upid, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *status = task_wait(upid, 20000, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(status, ==, expected);
}

static void
test_ends(void)
{
    static const struct {
        const char *method, *status;
    } cases[] = {
        { "work", "OK" },
        { "fail", "it is broken: really" },
        { "warn", "WARNINGS: 1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *upid = start(cases[i].method, "100");
        assert_ends(upid, cases[i].status);
    }
}

/* What a command shows: the lines, not the final one. */
static void
test_follow(void)
{
    g_autofree char *upid = start("work", "101");
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(folder, "followed", NULL);
    FILE *out = fopen(path, "w+");

    g_autofree char *status = task_log_follow(upid, fileno(out), NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(status, ==, "OK");
    fclose(out);
    g_autofree char *text = q_file_read(path, 4096, NULL, NULL);
    g_assert_cmpstr(text, ==, "method work, word geheim\n");
}

static void
test_log_mode(void)
{
    g_autofree char *upid = start("work", NULL);
    g_autofree char *path = task_log_path(upid);
    struct stat info;

    assert_ends(upid, "OK");
    g_assert_cmpint(stat(path, &info), ==, 0);
    g_assert_cmpint(info.st_mode & 0777, ==, 0640);
}

static void
test_stop(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *polite = start("wait", "102");
    g_autoptr(Upid) upid = upid_parse(polite, NULL);

    wait_for_line(polite, "asleep");
    g_assert_true(task_running(upid));
    g_assert_true(task_stop(upid, &error));
    g_assert_no_error(error);
    assert_ends(polite, "received interrupt");
    g_assert_true(task_stop(upid, &error)); /* again is fine */

    g_autofree char *stubborn = start("stubborn", "103");
    g_autoptr(Upid) second = upid_parse(stubborn, NULL);
    wait_for_line(stubborn, "asleep");
    g_assert_true(task_stop(second, &error));
    g_assert_no_error(error);
    assert_ends(stubborn, "worker ended without result");
}

/* Nobody is there to say how it ended: the log gets its last line from whoever asks. */
static void
test_killed(void)
{
    g_autofree char *text = start("sleep", "104");
    g_autoptr(Upid) upid = upid_parse(text, NULL);
    g_autofree char *path = task_log_path(text);

    wait_for_line(text, "asleep");
    g_assert_cmpint(kill(upid->pid, SIGKILL), ==, 0);
    assert_ends(text, "worker ended without result");
    assert_ends(text, "worker ended without result");
    g_autofree char *log = q_file_read(path, 4096, NULL, NULL);
    g_assert_cmpstr(log, ==,
                    "method sleep, word geheim\nasleep\nTASK ERROR: worker ended without result\n");
}

/* Its arguments are nobody's to read in the process list. */
static void
test_arguments_hidden(void)
{
    g_autofree char *text = start("sleep", "105");
    g_autoptr(Upid) upid = upid_parse(text, NULL);

    wait_for_line(text, "asleep");
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)upid->pid);
    g_autofree char *argv = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(path, &argv, &length, NULL));
    for (gsize i = 0; i + 1 < length; i++) {
        argv[i] = argv[i] == '\0' ? ' ' : argv[i];
    }
    g_autofree char *expected = g_strdup_printf("quorate task run %s", text);
    g_assert_cmpstr(argv, ==, expected);
    g_assert_true(task_stop(upid, NULL));
}

static void
on_ended(const char *upid, const char *status, gpointer data)
{
    *(char **)data = g_strdup(status);
}

static void
on_started(const char *upid, const GError *error, gpointer data)
{
    g_assert_no_error(error);
    task_watch(upid, on_ended, data);
}

static void
test_async(void)
{
    g_autofree char *status = NULL;
    TaskSpec spec = { .type = "qmtest", .id = "106", .user = "root@pam", .method = "fail" };

    task_start_async(&spec, on_started, &status);
    while (status == NULL) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_assert_cmpstr(status, ==, "it is broken: really");
}

static void
test_bad_start(void)
{
    g_autoptr(GError) error = NULL;
    TaskSpec spec = { .type = "qm/test", .id = "1", .user = "root@pam", .method = "work" };

    g_assert_null(task_start(&spec, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_IO);
    g_assert_nonnull(strstr(error->message, "malformed"));
}

/* ------------------------------------------------------------------ the list */

static GPtrArray *
query(const TaskQuery *query, int64_t *total)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *found = task_list_query(query, total, &error);

    g_assert_no_error(error);
    return found;
}

static void
test_list(void)
{
    g_autofree char *running = start("wait", "200");
    int64_t total;

    for (int i = 0; i < 30; i++) {
        g_autofree char *id = g_strdup_printf("3%02d", i);
        g_autofree char *upid = start(i % 3 == 0 ? "fail" : "work", id);
        assert_ends(upid, i % 3 == 0 ? "it is broken: really" : "OK");
    }
    g_autoptr(GPtrArray) all = query(&(TaskQuery){ .archive = true, .active = true }, &total);
    g_assert_cmpint(total, >=, 31);
    g_assert_cmpuint(all->len, ==, total);
    g_autoptr(GPtrArray) ended = query(&(TaskQuery){ .archive = true }, &total);
    for (guint i = 0; i < ended->len; i++) {
        g_assert_false(((TaskEntry *)ended->pdata[i])->running);
    }
    g_autoptr(GPtrArray) now = query(&(TaskQuery){ .active = true, .id = "200" }, &total);
    g_assert_cmpuint(now->len, ==, 1);
    g_assert_true(((TaskEntry *)now->pdata[0])->running);

    g_autoptr(GPtrArray) failed =
        query(&(TaskQuery){ .archive = true, .errors = true, .limit = 3 }, &total);
    g_assert_cmpuint(failed->len, ==, 3);
    g_assert_cmpint(total, >=, 10);
    g_autoptr(GPtrArray) one = query(&(TaskQuery){ .archive = true, .id = "305" }, &total);
    g_assert_cmpuint(one->len, ==, 1);
    g_assert_cmpstr(((TaskEntry *)one->pdata[0])->status, ==, "OK");
    g_autoptr(GPtrArray) nobody = query(&(TaskQuery){ .archive = true, .user = "ADA" }, &total);
    g_assert_cmpuint(nobody->len, ==, 0);
    g_autoptr(GPtrArray) root =
        query(&(TaskQuery){ .archive = true, .user = "ROOT", .start = 1, .limit = 2 }, &total);
    g_assert_cmpuint(root->len, ==, 2);

    g_autofree char *path = g_build_filename(folder, "active", NULL);
    g_autofree char *active = q_file_read(path, 65536, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(active), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 25);
    g_autoptr(Upid) upid = upid_parse(running, NULL);
    g_assert_true(task_stop(upid, NULL));
}

static void
test_log_lines(void)
{
    int64_t total;
    g_autofree char *upid = start("work", "400");

    assert_ends(upid, "OK");
    g_autoptr(JsonArray) second = task_log_lines(upid, 1, 50, &total);
    g_assert_cmpint(total, ==, 2);
    g_assert_cmpuint(json_array_get_length(second), ==, 1);
    JsonObject *line = json_array_get_object_element(second, 0);
    g_assert_cmpint(q_json_int(line, "n", 0), ==, 2);
    g_assert_cmpstr(q_json_string(line, "t", ""), ==, "TASK OK");

    g_autoptr(JsonArray) none =
        task_log_lines("UPID:node1:0000A1B2:00C0FFEE:6B05AB47:qmstart:1:root@pam:", 0, 50, &total);
    g_assert_true(g_str_has_prefix(q_json_string(json_array_get_object_element(none, 0), "t", ""),
                                   "unable to open file - "));
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "task") == 0 && strcmp(argv[2], "new") == 0) {
        return task_new_main();
    }
    if (argc == 4 && strcmp(argv[1], "task") == 0 && strcmp(argv[2], "run") == 0) {
        return task_run_main(argv[3], run_work);
    }
    g_test_init(&argc, &argv, NULL);
    g_autoptr(GError) error = NULL;
    folder = g_dir_make_tmp("quorate-task-XXXXXX", &error);
    g_assert_no_error(error);
    g_setenv("QUORATE_TASK_DIR", folder, TRUE);
    g_test_add_func("/task/ends", test_ends);
    g_test_add_func("/task/follow", test_follow);
    g_test_add_func("/task/log-mode", test_log_mode);
    g_test_add_func("/task/stop", test_stop);
    g_test_add_func("/task/killed", test_killed);
    g_test_add_func("/task/arguments-hidden", test_arguments_hidden);
    g_test_add_func("/task/async", test_async);
    g_test_add_func("/task/bad-start", test_bad_start);
    g_test_add_func("/task/list", test_list);
    g_test_add_func("/task/log-lines", test_log_lines);
    int status = g_test_run();
    const char *const remove[] = { "rm", "-rf", folder, NULL };
    q_run(remove, NULL, NULL, NULL, NULL);
    return status;
}
