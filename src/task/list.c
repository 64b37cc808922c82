#include "task/list.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "task/log_priv.h"
#include "task/task.h"

enum {
    ACTIVE_MAX = 25,
    INDEX_MAX_BYTES = 50000,
    FILE_MAX_BYTES = 4 * 1024 * 1024,
    LOCK_WAIT_MS = 10000,
    PUBLISH_MAX_BYTES = 32 * 1024,
};

const char *
task_folder(void)
{
    const char *folder = g_getenv("QUORATE_TASK_DIR");

    return folder != NULL ? folder : Q_TASK_DIR;
}

void
task_entry_free(TaskEntry *entry)
{
    if (entry != NULL) {
        upid_free(entry->upid);
        g_free(entry->text);
        g_free(entry->status);
        g_free(entry);
    }
}

/* ------------------------------------------------------------------ lines */

/* active: "UPID 0", "UPID 1 HEXTIME STATUS"; index: "UPID HEXTIME STATUS". NULL: not understood. */
static TaskEntry *
entry_parse(const char *line, bool is_active)
{
    g_auto(GStrv) words = g_strsplit(line, " ", is_active ? 4 : 3);
    guint count = g_strv_length(words);
    char **end = words + (is_active ? 2 : 1);
    bool running = is_active && count == 2 && strcmp(words[1], "0") == 0;

    if (!running && count != (is_active ? 4 : 3)) {
        return NULL;
    }
    Upid *upid = upid_parse(words[0], NULL);
    if (upid == NULL) {
        return NULL;
    }
    TaskEntry *entry = g_new0(TaskEntry, 1);
    entry->upid = upid;
    entry->text = g_strdup(words[0]);
    entry->running = running;
    if (!running) {
        entry->ended_at_s = g_ascii_strtoll(end[0], NULL, 16);
        entry->status = g_strdup(end[1]);
    }
    return entry;
}

static void
entry_print(const TaskEntry *entry, bool is_active, GString *out)
{
    if (entry->running) {
        g_string_append_printf(out, "%s 0\n", entry->text);
        return;
    }
    g_string_append_printf(out, "%s %s%08" G_GINT64_MODIFIER "X %s\n", entry->text,
                           is_active ? "1 " : "", (guint64)entry->ended_at_s, entry->status);
}

static GPtrArray *
entries_read(const char *name, bool is_active)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)task_entry_free);
    g_autofree char *path = g_build_filename(task_folder(), name, NULL);
    g_autofree char *text = q_file_read(path, FILE_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        TaskEntry *entry = entry_parse(*line, is_active);
        if (entry != NULL) {
            g_ptr_array_add(entries, entry);
        }
    }
    return entries;
}

/* Without fsync: after a power cut no task of this list runs any more, and the logs tell the rest.
 */
static bool
replace_file(const char *name, const GString *text, GError **error)
{
    g_autofree char *path = g_build_filename(task_folder(), name, NULL);
    g_autofree char *temp = g_strconcat(path, ".tmp", NULL);
    FILE *file = fopen(temp, "we");

    if (file == NULL || fwrite(text->str, 1, text->len, file) != text->len) {
        q_set_error_errno(error, errno, "cannot write '%s'", path);
        if (file != NULL) {
            fclose(file);
        }
        return false;
    }
    if (fclose(file) != 0 || rename(temp, path) != 0) {
        return q_set_error_errno(error, errno, "cannot write '%s'", path);
    }
    return true;
}

static bool
index_append(const GString *text, GError **error)
{
    g_autofree char *path = g_build_filename(task_folder(), "index", NULL);
    g_autofree char *old = g_build_filename(task_folder(), "index.1", NULL);
    struct stat info;

    if (stat(path, &info) == 0 && info.st_size > INDEX_MAX_BYTES) {
        rename(path, old);
    }
    FILE *file = fopen(path, "ae");
    if (file == NULL) {
        return q_set_error_errno(error, errno, "cannot write '%s'", path);
    }
    fwrite(text->str, 1, text->len, file);
    if (fclose(file) != 0) {
        return q_set_error_errno(error, errno, "cannot write '%s'", path);
    }
    return true;
}

/* ------------------------------------------------------------------ the active list */

static gint
newest_first(gconstpointer a, gconstpointer b)
{
    const TaskEntry *left = *(TaskEntry *const *)a, *right = *(TaskEntry *const *)b;

    if (left->upid->started_at_s != right->upid->started_at_s) {
        return left->upid->started_at_s < right->upid->started_at_s ? 1 : -1;
    }
    if (left->upid->start_ticks != right->upid->start_ticks) {
        return left->upid->start_ticks < right->upid->start_ticks ? 1 : -1;
    }
    return strcmp(left->text, right->text);
}

static QFileLock *
list_lock(GError **error)
{
    g_autofree char *path = g_build_filename(task_folder(), ".active.lock", NULL);

    if (!q_file_make_dir(task_folder(), 0755, error)) {
        return NULL;
    }
    return q_file_lock(path, LOCK_WAIT_MS, error);
}

/* A worker that is gone without having said so. Returns whether anything changed. */
static bool
settle(GPtrArray *entries)
{
    bool changed = false;

    for (guint i = 0; i < entries->len; i++) {
        TaskEntry *entry = entries->pdata[i];
        if (entry->running && !task_running(entry->upid)) {
            entry->running = false;
            entry->ended_at_s = q_clock_wall_s();
            entry->status = task_status(entry->upid);
            changed = true;
        }
    }
    return changed;
}

/* Running ones stay; of the others the newest, 25 in all; older ones go to the index. */
static bool
list_write(GPtrArray *entries, GError **error)
{
    g_autoptr(GString) active = g_string_new(NULL);
    g_autoptr(GString) rest = g_string_new(NULL);
    guint running = 0, kept = 0;

    g_ptr_array_sort(entries, newest_first);
    for (guint i = 0; i < entries->len; i++) {
        running += ((TaskEntry *)entries->pdata[i])->running;
    }
    guint room = running < ACTIVE_MAX ? ACTIVE_MAX - running : 0;
    for (guint i = 0; i < entries->len; i++) {
        TaskEntry *entry = entries->pdata[i];
        if (entry->running || kept++ < room) {
            entry_print(entry, true, active);
        } else {
            entry_print(entry, false, rest);
        }
    }
    if (rest->len > 0 && !index_append(rest, error)) {
        return false;
    }
    return replace_file("active", active, error);
}

bool
task_list_add(const char *upid, GError **error)
{
    g_autoptr(QFileLock) lock = list_lock(error);

    if (lock == NULL) {
        return false;
    }
    g_autoptr(GPtrArray) entries = entries_read("active", true);
    TaskEntry *entry = g_new0(TaskEntry, 1);
    entry->upid = upid_parse(upid, error);
    entry->text = g_strdup(upid);
    entry->running = true;
    if (entry->upid == NULL) {
        task_entry_free(entry);
        return false;
    }
    settle(entries);
    g_ptr_array_add(entries, entry);
    return list_write(entries, error);
}

bool
task_list_end(const char *upid, const char *status, GError **error)
{
    g_autoptr(QFileLock) lock = list_lock(error);

    if (lock == NULL) {
        return false;
    }
    g_autoptr(GPtrArray) entries = entries_read("active", true);
    for (guint i = 0; i < entries->len; i++) {
        TaskEntry *entry = entries->pdata[i];
        if (entry->running && strcmp(entry->text, upid) == 0) {
            entry->running = false;
            entry->ended_at_s = q_clock_wall_s();
            entry->status = g_strdup(status);
        }
    }
    settle(entries);
    return list_write(entries, error);
}

GPtrArray *
task_list_active(GError **error)
{
    g_autoptr(QFileLock) lock = list_lock(error);

    if (lock == NULL) {
        return NULL;
    }
    g_autoptr(GPtrArray) entries = entries_read("active", true);
    if (settle(entries) && !list_write(entries, error)) {
        return NULL;
    }
    g_ptr_array_sort(entries, newest_first);
    return g_steal_pointer(&entries);
}

/* ------------------------------------------------------------------ queries */

static const char *
status_class(const TaskEntry *entry)
{
    if (entry->running) {
        return "running";
    }
    if (strcmp(entry->status, "OK") == 0) {
        return "ok";
    }
    if (g_str_has_prefix(entry->status, "WARNINGS: ")) {
        return "warning";
    }
    if (strcmp(entry->status, "unexpected status") == 0) {
        return "unknown";
    }
    return "error";
}

static bool
user_matches(const char *user, const char *part)
{
    g_autofree char *low_user = g_ascii_strdown(user, -1);
    g_autofree char *low_part = g_ascii_strdown(part, -1);

    return strstr(low_user, low_part) != NULL;
}

static bool
entry_matches(const TaskEntry *entry, const TaskQuery *query)
{
    const Upid *upid = entry->upid;
    const char *status = status_class(entry);

    if ((query->user != NULL && !user_matches(upid->user, query->user))
        || (query->type != NULL && strcmp(upid->type, query->type) != 0)
        || (query->id != NULL && strcmp(upid->id, query->id) != 0)
        || (query->since != 0 && upid->started_at_s < query->since)
        || (query->until != 0 && upid->started_at_s > query->until)) {
        return false;
    }
    if (query->errors && (entry->running || strcmp(status, "ok") == 0)) {
        return false;
    }
    if (query->status != NULL && !g_strv_contains((const char *const *)query->status, status)) {
        return false;
    }
    return query->allowed == NULL || query->allowed(entry, query->data);
}

static void
take_matching(GPtrArray *into, GPtrArray *from, const TaskQuery *query, bool running)
{
    for (guint i = 0; i < from->len; i++) {
        TaskEntry *entry = from->pdata[i];
        if ((!entry->running || running) && entry_matches(entry, query)) {
            g_ptr_array_add(into, entry);
            from->pdata[i] = NULL;
        }
    }
}

GPtrArray *
task_list_query(const TaskQuery *query, int64_t *total, GError **error)
{
    g_autoptr(GPtrArray) matching = g_ptr_array_new_with_free_func((GDestroyNotify)task_entry_free);
    g_autoptr(GPtrArray) active = task_list_active(error);

    if (active == NULL) {
        return NULL;
    }
    take_matching(matching, active, query, query->active);
    if (query->archive) {
        g_autoptr(GPtrArray) index = entries_read("index", false);
        g_autoptr(GPtrArray) older = entries_read("index.1", false);
        take_matching(matching, index, query, false);
        take_matching(matching, older, query, false);
    }
    g_ptr_array_sort(matching, newest_first);
    *total = matching->len;

    guint start = MIN((int64_t)matching->len, MAX(0, query->start));
    guint count = matching->len - start;
    count = query->limit > 0 ? MIN((int64_t)count, query->limit) : count;
    if (start + count < matching->len) {
        g_ptr_array_remove_range(matching, start + count, matching->len - start - count);
    }
    if (start > 0) {
        g_ptr_array_remove_range(matching, 0, start);
    }
    return g_steal_pointer(&matching);
}

/* ------------------------------------------------------------------ for the other nodes */

static JsonObject *
entry_object(const TaskEntry *entry)
{
    JsonObject *object = json_object_new();
    const Upid *upid = entry->upid;
    g_auto(GStrv) user = g_strsplit(upid->user, "!", 2);

    json_object_set_string_member(object, "upid", entry->text);
    json_object_set_string_member(object, "node", upid->node);
    json_object_set_int_member(object, "starttime", upid->started_at_s);
    json_object_set_string_member(object, "type", upid->type);
    json_object_set_string_member(object, "id", upid->id);
    json_object_set_string_member(object, "user", user[0]);
    if (user[1] != NULL) {
        json_object_set_string_member(object, "tokenid", user[1]);
    }
    json_object_set_string_member(object, "saved", entry->running ? "0" : "1");
    if (entry->running) {
        json_object_set_int_member(object, "pid", upid->pid);
    } else {
        json_object_set_int_member(object, "endtime", entry->ended_at_s);
        json_object_set_string_member(object, "status", entry->status);
    }
    return object;
}

void
task_list_publish(CfsClient *cfs)
{
    g_autoptr(GPtrArray) entries = task_list_active(NULL);
    g_autoptr(GString) text = g_string_new("[");

    for (guint i = 0; entries != NULL && i < entries->len; i++) {
        g_autoptr(JsonObject) object = entry_object(entries->pdata[i]);
        g_autofree char *row = q_json_object_text(object, Q_JSON_COMPACT);
        if (text->len + strlen(row) + 2 > PUBLISH_MAX_BYTES) {
            break;
        }
        g_string_append_printf(text, "%s%s", i > 0 ? "," : "", row);
    }
    g_string_append_c(text, ']');
    cfs_status_set(cfs, "tasklist", text->str, NULL);
}
