#include "api/tasks.h"
#include <string.h>
#include <unistd.h>
#include "access/core/user_cfg.h"
#include "api/index.h"
#include "task/list.h"
#include "task/log.h"
#include "task/task.h"

/* ------------------------------------------------------------------ who may see which */

/* An own one, also that of an own token; else the privilege on the node. */
static bool
may(ApiCall *call, const Upid *upid, const char *privilege)
{
    g_autofree char *path = g_strdup_printf("/nodes/%s", upid->node);
    g_autofree char *owner = access_owner(upid->user);

    return strcmp(owner, call->user) == 0 || strcmp(upid->user, call->user) == 0
           || api_may(call, path, privilege);
}

typedef struct {
    char *node;
    char *upid;
    int64_t start, limit;
    bool download;
} TaskArgs;

/* The task that a call is about, if the caller may: here, and there is a log of it. */
static Upid *
find_task(ApiCall *call, const TaskArgs *args, const char *privilege, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Upid) upid = upid_parse(args->upid, &cause);

    if (upid == NULL) {
        api_blame(error, "upid", "%s", cause->message);
        return NULL;
    }
    if (!may(call, upid, privilege)) {
        q_set_error(error, Q_ERROR_DENIED, "Permission check failed (/nodes/%s, %s)", upid->node,
                    privilege);
        return NULL;
    }
    g_autofree char *path = task_log_path(args->upid);
    if (strcmp(upid->node, call->node) != 0 || access(path, F_OK) != 0) {
        api_blame(error, "upid", "no such task");
        return NULL;
    }
    return g_steal_pointer(&upid);
}

static void
put_upid(JsonObject *object, const Upid *upid, const char *text)
{
    g_auto(GStrv) user = g_strsplit(upid->user, "!", 2);

    json_object_set_string_member(object, "upid", text);
    json_object_set_string_member(object, "node", upid->node);
    json_object_set_int_member(object, "pid", upid->pid);
    json_object_set_int_member(object, "pstart", (gint64)upid->start_ticks);
    json_object_set_int_member(object, "starttime", upid->started_at_s);
    json_object_set_string_member(object, "type", upid->type);
    json_object_set_string_member(object, "id", upid->id);
    json_object_set_string_member(object, "user", user[0]);
    if (user[1] != NULL) {
        json_object_set_string_member(object, "tokenid", user[1]);
    }
}

/* ------------------------------------------------------------------ GET /nodes/{node}/tasks */

typedef struct {
    char *node;
    bool errors;
    int64_t limit, since, start, until;
    char *source;
    char **statusfilter;
    char *typefilter, *userfilter;
    uint32_t vmid;
} ListArgs;

static const ApiParam list_params[] = {
    API_PARAM(ListArgs, node, API_NODE, .doc = "Node whose tasks are listed."),
    API_PARAM(ListArgs, errors, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Only those that did not end well."),
    API_PARAM(ListArgs, limit, API_INTEGER, .optional = true, .def = "50", API_MIN(0),
              .doc = "At most so many; 0: all."),
    API_PARAM(ListArgs, since, API_INTEGER, .optional = true,
              .doc = "Started at or after, unix time."),
    API_PARAM(ListArgs, source, API_ENUM, .optional = true, .def = "archive",
              API_VALUES("archive", "active", "all"), .doc = "Ended ones, running ones, or both."),
    API_PARAM(ListArgs, start, API_INTEGER, .optional = true, .def = "0", API_MIN(0),
              .doc = "Leave out so many."),
    API_PARAM(ListArgs, statusfilter, API_LIST, .optional = true,
              .format = "pve-task-status-type-list",
              .doc = "How they ended: ok, warning, error, unknown."),
    API_PARAM(ListArgs, typefilter, API_STRING, .optional = true, .doc = "Of this type."),
    API_PARAM(ListArgs, until, API_INTEGER, .optional = true,
              .doc = "Started at or before, unix time."),
    API_PARAM(ListArgs, userfilter, API_STRING, .optional = true,
              .doc = "Of users with this in their name."),
    API_PARAM(ListArgs, vmid, API_VMID, .optional = true, .doc = "About this guest."),
    { 0 },
};

static bool
entry_allowed(const TaskEntry *entry, gpointer call)
{
    return may(call, entry->upid, "Sys.Audit");
}

static JsonNode *
list_run(ApiCall *call, const void *data, GError **error)
{
    const ListArgs *args = data;
    g_autofree char *id = args->vmid != 0 ? g_strdup_printf("%u", args->vmid) : NULL;
    bool active_only = strcmp(args->source, "active") == 0;
    TaskQuery query = { .start = args->start,
                        .limit = args->limit,
                        .user = args->userfilter,
                        .type = args->typefilter,
                        .id = id,
                        .since = args->since,
                        .until = args->until,
                        .archive = !active_only,
                        .active = strcmp(args->source, "archive") != 0,
                        .errors = args->errors,
                        .status = args->statusfilter,
                        .allowed = entry_allowed,
                        .data = call };
    int64_t total;
    g_autoptr(GPtrArray) entries = task_list_query(&query, &total, error);

    if (entries == NULL) {
        return NULL;
    }
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < entries->len; i++) {
        const TaskEntry *entry = entries->pdata[i];
        JsonObject *row = json_object_new();
        put_upid(row, entry->upid, entry->text);
        if (entry->running) {
            json_object_set_string_member(row, "status", "RUNNING");
        } else {
            json_object_set_int_member(row, "endtime", entry->ended_at_s);
            json_object_set_string_member(row, "status", entry->status);
        }
        json_array_add_object_element(rows, row);
    }
    api_set_total(call, total);
    return q_json_node_array(rows);
}

/* clang-format off */
static const ApiColumn list_columns[] = {
    { "endtime",   API_INTEGER, .optional = true, .renderer = "timestamp", .doc = "When it ended." },
    { "id",        API_STRING,  .doc = "What it is about." },
    { "node",      API_STRING,  .doc = "Where it runs." },
    { "pid",       API_INTEGER, .doc = "Its process." },
    { "pstart",    API_INTEGER, .doc = "Start of the process, ticks since boot." },
    { "starttime", API_INTEGER, .renderer = "timestamp", .doc = "When it began." },
    { "status",    API_STRING,  .optional = true, .doc = "How it ended, or RUNNING." },
    { "type",      API_STRING,  .doc = "What it does." },
    { "upid",      API_STRING,  .doc = "Its name." },
    { "user",      API_STRING,  .doc = "Who started it." },
    { 0 },
};
/* clang-format on */

const ApiMethod api_tasks_list = {
    .verb = API_GET,
    .path = "/nodes/{node}/tasks",
    .doc = "Tasks of a node, newest first.",
    .params = list_params,
    .returns = API_ROWS,
    .columns = list_columns,
    .access = "all+",
    .on_node = "node",
    .run = list_run,
};

/* ------------------------------------------------------------------ one task */

#define PARAM_NODE API_PARAM(TaskArgs, node, API_NODE, .doc = "Node that it runs on.")
#define PARAM_UPID API_PARAM(TaskArgs, upid, API_STRING, .doc = "The task's name.")

static const ApiParam task_params[] = { PARAM_NODE, PARAM_UPID, { 0 } };

static JsonNode *
index_run(ApiCall *call, const void *args, GError **error)
{
    return api_children("/nodes/{node}/tasks/{upid}", "name");
}

static const ApiColumn index_columns[] = {
    { "name", API_STRING, .doc = "What can be asked of it." },
    { 0 },
};

const ApiMethod api_tasks_index = {
    .verb = API_GET,
    .path = "/nodes/{node}/tasks/{upid}",
    .doc = "What can be asked of a task.",
    .params = task_params,
    .returns = API_ROWS,
    .columns = index_columns,
    .access = "all",
    .run = index_run,
};

static JsonNode *
status_run(ApiCall *call, const void *data, GError **error)
{
    const TaskArgs *args = data;
    g_autoptr(Upid) upid = find_task(call, args, "Sys.Audit", error);

    if (upid == NULL) {
        return NULL;
    }
    JsonObject *status = json_object_new();
    bool running = task_running(upid);
    put_upid(status, upid, args->upid);
    json_object_set_string_member(status, "status", running ? "running" : "stopped");
    if (!running) {
        g_autofree char *end = task_status(upid);
        json_object_set_string_member(status, "exitstatus", end);
    }
    return q_json_node_object(status);
}

/* clang-format off */
static const ApiColumn status_columns[] = {
    { "exitstatus", API_STRING,  .optional = true, .doc = "How it ended: OK, or why not." },
    { "id",         API_STRING,  .doc = "What it is about." },
    { "node",       API_STRING,  .doc = "Where it runs." },
    { "pid",        API_INTEGER, .doc = "Its process." },
    { "pstart",     API_INTEGER, .doc = "Start of the process, ticks since boot." },
    { "starttime",  API_INTEGER, .renderer = "timestamp", .doc = "When it began." },
    { "status",     API_STRING,  .doc = "running or stopped." },
    { "type",       API_STRING,  .doc = "What it does." },
    { "upid",       API_STRING,  .doc = "Its name." },
    { "user",       API_STRING,  .doc = "Who started it." },
    { 0 },
};
/* clang-format on */

const ApiMethod api_tasks_status = {
    .verb = API_GET,
    .path = "/nodes/{node}/tasks/{upid}/status",
    .doc = "State of a task.",
    .params = task_params,
    .returns = API_OBJECT,
    .columns = status_columns,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = status_run,
};

static const ApiParam log_params[] = {
    PARAM_NODE,
    PARAM_UPID,
    API_PARAM(TaskArgs, start, API_INTEGER, .optional = true, .def = "0", API_MIN(0),
              .doc = "First line, from 0."),
    API_PARAM(TaskArgs, limit, API_INTEGER, .optional = true, .def = "50", API_MIN(0),
              .doc = "At most so many lines; 0: all."),
    API_PARAM(TaskArgs, download, API_BOOLEAN, .optional = true,
              .doc = "The whole log as a file of text."),
    { 0 },
};

static JsonNode *
log_run(ApiCall *call, const void *data, GError **error)
{
    const TaskArgs *args = data;
    g_autoptr(Upid) upid = find_task(call, args, "Sys.Audit", error);
    int64_t total;

    if (upid == NULL) {
        return NULL;
    }
    if (args->download && (api_given(call, "start") || api_given(call, "limit"))) {
        api_blame(error, "download", "cannot be used together with 'start' or 'limit'");
        return NULL;
    }
    JsonArray *lines =
        task_log_lines(args->upid, args->start, args->download ? 0 : args->limit, &total);
    api_set_total(call, total);
    return q_json_node_array(lines);
}

static const ApiColumn log_columns[] = {
    { "n", API_INTEGER, .doc = "Number of the line, from 1." },
    { "t", API_STRING, .doc = "The line." },
    { 0 },
};

const ApiMethod api_tasks_log = {
    .verb = API_GET,
    .path = "/nodes/{node}/tasks/{upid}/log",
    .doc = "Log of a task.",
    .params = log_params,
    .returns = API_ROWS,
    .columns = log_columns,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = log_run,
};

static JsonNode *
stop_run(ApiCall *call, const void *data, GError **error)
{
    g_autoptr(Upid) upid = find_task(call, data, "Sys.Modify", error);

    if (upid == NULL || !task_stop(upid, error)) {
        return NULL;
    }
    return q_json_node_null();
}

const ApiMethod api_tasks_stop = {
    .verb = API_DELETE,
    .path = "/nodes/{node}/tasks/{upid}",
    .doc = "Stop a task: SIGTERM to its processes, after 5 s SIGKILL.",
    .params = task_params,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = stop_run,
};

/* ------------------------------------------------------------------ GET /cluster/tasks */

static const char *
row_user(JsonObject *row)
{
    return q_json_string(row, "user", "");
}

static gint
newest_first(gconstpointer a, gconstpointer b)
{
    JsonObject *left = *(JsonObject *const *)a, *right = *(JsonObject *const *)b;
    int64_t difference = q_json_int(right, "starttime", 0) - q_json_int(left, "starttime", 0);

    return difference != 0
               ? (difference > 0 ? 1 : -1)
               : strcmp(q_json_string(left, "upid", ""), q_json_string(right, "upid", ""));
}

static void
take_rows(ApiCall *call, const char *text, GPtrArray *rows)
{
    g_autofree char *owner = access_owner(call->user);
    bool all = api_may(call, "/", "Sys.Audit");
    g_autoptr(JsonNode) node = q_json_parse(text, -1, NULL);

    if (node == NULL || !JSON_NODE_HOLDS_ARRAY(node)) {
        return;
    }
    JsonArray *list = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(list); i++) {
        JsonNode *row = json_array_get_element(list, i);
        if (JSON_NODE_HOLDS_OBJECT(row)
            && q_json_string(json_node_get_object(row), "upid", NULL) != NULL
            && (all || strcmp(row_user(json_node_get_object(row)), owner) == 0)) {
            g_ptr_array_add(rows, json_node_dup_object(row));
        }
    }
}

static JsonNode *
cluster_run(ApiCall *call, const void *args, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(JsonObject) members =
        cfs != NULL ? cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, error) : NULL;
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);

    if (members == NULL) {
        return NULL;
    }
    JsonObject *list = q_json_object(members, "nodelist");
    g_autoptr(GList) names = list != NULL ? json_object_get_members(list) : NULL;
    if (names == NULL) {
        names = g_list_prepend(NULL, (gpointer)call->node);
    }
    for (GList *name = names; name != NULL; name = name->next) {
        g_autofree char *text = cfs_status_get(cfs, name->data, "tasklist", NULL);
        if (text != NULL) {
            take_rows(call, text, rows);
        }
    }
    g_ptr_array_sort(rows, newest_first);
    JsonArray *answer = json_array_new();
    for (guint i = 0; i < rows->len; i++) {
        json_array_add_object_element(answer, json_object_ref(rows->pdata[i]));
    }
    return q_json_node_array(answer);
}

static const ApiColumn cluster_columns[] = {
    { "upid", API_STRING, .doc = "The task's name." },
    { 0 },
};

const ApiMethod api_tasks_cluster = {
    .verb = API_GET,
    .path = "/cluster/tasks",
    .doc = "Recent tasks of all nodes.",
    .returns = API_ROWS,
    .columns = cluster_columns,
    .access = "all+",
    .run = cluster_run,
};

const ApiMethod *const api_tasks_methods[] = { &api_tasks_list,
                                               &api_tasks_index,
                                               &api_tasks_stop,
                                               &api_tasks_status,
                                               &api_tasks_log,
                                               &api_tasks_cluster,
                                               NULL };
