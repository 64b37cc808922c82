#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli/cli.h"
#include "cli/session.h"
#include "http/forward.h"
#include "task/task.h"

enum { REMOTE_POLL_US = 500 * 1000, REMOTE_FAILURES_MAX = 20 };

static volatile sig_atomic_t interrupted; /* a signal handler has nothing else to write to */

static void
on_interrupt(int number)
{
    interrupted = 1;
}

/* New lines of a log on another node; returns how many it has now. */
static int64_t
remote_lines(const Upid *upid, const char *text, int64_t seen, int fd, GError **error)
{
    g_autofree char *path = g_strdup_printf("/nodes/%s/tasks/%s/log", upid->node, text);
    g_autoptr(JsonObject) parameters = json_object_new();
    int64_t total = -1;

    json_object_set_int_member(parameters, "start", seen);
    json_object_set_int_member(parameters, "limit", 0);
    g_autoptr(JsonNode) lines =
        http_forward(cli_session(), upid->node, API_GET, path, parameters, &total, error);
    if (lines == NULL || !JSON_NODE_HOLDS_ARRAY(lines)) {
        return seen;
    }
    JsonArray *array = json_node_get_array(lines);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonObject *line = json_array_get_object_element(array, i);
        const char *content = q_json_string(line, "t", "");
        if (!g_str_has_prefix(content, "TASK ") && strcmp(content, "no content") != 0) {
            dprintf(fd, "%s\n", content);
        }
        seen = MAX(seen, q_json_int(line, "n", 0));
    }
    return seen;
}

static char *
follow_remote(const Upid *upid, const char *text, int fd, GError **error)
{
    g_autofree char *task = g_strdup_printf("/nodes/%s/tasks/%s", upid->node, text);
    g_autofree char *path = g_strconcat(task, "/status", NULL);
    int64_t seen = 0, total;
    int failures = 0;

    for (;;) {
        g_autoptr(GError) cause = NULL;
        g_autoptr(JsonNode) status =
            http_forward(cli_session(), upid->node, API_GET, path, NULL, &total, &cause);
        if (status == NULL) {
            if (++failures > REMOTE_FAILURES_MAX) {
                g_propagate_error(error, g_steal_pointer(&cause));
                return NULL;
            }
        } else {
            failures = 0;
            seen = remote_lines(upid, text, seen, fd, NULL);
            JsonObject *state = json_node_get_object(status);
            if (strcmp(q_json_string(state, "status", ""), "stopped") == 0) {
                return g_strdup(q_json_string(state, "exitstatus", "unexpected status"));
            }
        }
        if (interrupted) {
            interrupted = 0;
            g_autoptr(JsonNode) ignored =
                http_forward(cli_session(), upid->node, API_DELETE, task, NULL, &total, NULL);
        }
        g_usleep(REMOTE_POLL_US);
    }
}

int
cli_follow_task(const CliCall *call, JsonNode *answer)
{
    const char *text = JSON_NODE_HOLDS_VALUE(answer) ? json_node_get_string(answer) : NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(Upid) upid = text != NULL ? upid_parse(text, NULL) : NULL;
    bool pure = strcmp(call->format, "text") != 0; /* standard output is for the answer alone */
    int fd = call->quiet || pure ? STDERR_FILENO : STDOUT_FILENO;
    struct sigaction action = { .sa_handler = on_interrupt };

    if (upid == NULL) {
        return 0;
    }
    if (pure) {
        fprintf(stderr, "%s\n", text);
    }
    fflush(stdout);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    g_autofree char *status = strcmp(upid->node, cli_session()->node) == 0
                                  ? task_log_follow(text, fd, &interrupted, &error)
                                  : follow_remote(upid, text, fd, &error);
    if (status == NULL) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    if (strcmp(status, "OK") == 0 || g_str_has_prefix(status, "WARNINGS: ")) {
        return 0;
    }
    fprintf(stderr, "%s\n", status);
    return 1;
}
