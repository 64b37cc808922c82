#include "cluster/join_state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/json.h"
#include "base/sorted.h"
#include "cluster/cluster_paths.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/service.h"

#define STATE_PATH Q_STATE_DIR "/" JOIN_STATE_FILE
#define STATE_MAX 65536
#define ASIDE_DIR Q_DB_DIR "/before-join"
#define BACKUP_DIR Q_DB_DIR "/backup"
#define BACKUPS_KEPT 10
#define KEPT_SUFFIX ".before-join"
#define DATABASE "config.db" /* and what SQLite keeps beside it */

static const char *const step_names[] = { "none", "request", "files", "database", "vote" };

/* ------------------------------------------------------------------ the state's file */

void
join_state_clear(JoinState *state)
{
    g_clear_pointer(&state->host, g_free);
    g_clear_pointer(&state->fingerprint, g_free);
    g_clear_pointer(&state->node, g_free);
    g_clear_pointer(&state->secret, g_free);
}

bool
join_state_load(JoinState *state, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = q_file_read(STATE_PATH, STATE_MAX, NULL, &why);

    state->step = JOIN_NONE;
    if (text == NULL && g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND))
        return true;
    g_autoptr(JsonObject) file = text != NULL ? q_json_parse_object(text, -1, &why) : NULL;
    if (file == NULL)
        return q_set_error(error, Q_ERROR_IO, "%s: %s", STATE_PATH, why->message);
    const char *step = q_json_string(file, "step", "");
    for (size_t i = 0; i < G_N_ELEMENTS(step_names); i++)
        if (strcmp(step, step_names[i]) == 0)
            state->step = (JoinStep)i;
    join_state_clear(state);
    state->host = g_strdup(q_json_string(file, "host", ""));
    state->fingerprint = g_strdup(q_json_string(file, "fingerprint", ""));
    state->node = g_strdup(q_json_string(file, "node", ""));
    state->secret = g_strdup(q_json_string(file, "secret", ""));
    state->had_key = q_json_bool(file, "had-key", false);
    state->had_conf = q_json_bool(file, "had-conf", false);
    return true;
}

bool
join_state_enter(JoinState *state, JoinStep step, GError **error)
{
    g_autoptr(JsonObject) file = json_object_new();

    json_object_set_string_member(file, "step", step_names[step]);
    json_object_set_string_member(file, "host", state->host);
    json_object_set_string_member(file, "fingerprint", state->fingerprint);
    json_object_set_string_member(file, "node", state->node);
    json_object_set_string_member(file, "secret", state->secret);
    json_object_set_boolean_member(file, "had-key", state->had_key);
    json_object_set_boolean_member(file, "had-conf", state->had_conf);
    g_autofree char *text = q_json_object_text(file, Q_JSON_PRETTY);
    if (!q_file_make_dir(Q_STATE_DIR, 0755, error)
        || !q_file_write_atomic(STATE_PATH, text, strlen(text), 0600, error))
        return false;
    state->step = step;
    return true;
}

static bool
remove_path(const char *path, GError **error)
{
    return unlink(path) == 0 || errno == ENOENT
           || q_set_error_errno(error, errno, "removing '%s'", path);
}

bool
join_state_end(GError **error)
{
    return remove_path(STATE_PATH, error);
}

/* ------------------------------------------------------------------ /etc/corosync */

/* A second name for what is there: the first is then replaced atomically. */
static bool
keep_beside(const char *path, GError **error)
{
    g_autofree char *kept = g_strconcat(path, KEPT_SUFFIX, NULL);

    return link(path, kept) == 0 || errno == EEXIST
           || q_set_error_errno(error, errno, "keeping '%s'", path);
}

bool
join_install_files(JoinState *state, const void *key, size_t key_length, const char *conf,
                   GError **error)
{
    state->had_key = access(COROSYNC_KEY_FILE, F_OK) == 0;
    state->had_conf = access(COROSYNC_CONF_FILE, F_OK) == 0;
    return q_file_make_dir(COROSYNC_DIR, 0755, error) && join_state_enter(state, JOIN_FILES, error)
           && (!state->had_key || keep_beside(COROSYNC_KEY_FILE, error))
           && (!state->had_conf || keep_beside(COROSYNC_CONF_FILE, error))
           && q_file_write_atomic(COROSYNC_KEY_FILE, key, key_length, 0400, error)
           && q_file_write_atomic(COROSYNC_CONF_FILE, conf, strlen(conf), 0644, error);
}

static bool
restore_file(const char *path, bool had, GError **error)
{
    g_autofree char *kept = g_strconcat(path, KEPT_SUFFIX, NULL);

    if (!had)
        return remove_path(path, error);
    /* Not there: the step ended before it was replaced, or it is back already. */
    return rename(kept, path) == 0 || errno == ENOENT
           || q_set_error_errno(error, errno, "putting '%s' back", path);
}

/* ------------------------------------------------------------------ the database */

/* Names of the database's files in @folder, sorted; empty if there is no folder. */
static GPtrArray *
database_files(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        if (strcmp(name, DATABASE) == 0 || strcmp(name, DATABASE "-wal") == 0)
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, q_strcmp_ptr);
    return names;
}

static bool
sync_folder(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        q_set_error_errno(error, errno, "fsync of '%s'", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool
link_all(const char *from, const char *to, GError **error)
{
    g_autoptr(GPtrArray) names = database_files(from);

    for (guint i = 0; i < names->len; i++) {
        g_autofree char *old = g_build_filename(from, names->pdata[i], NULL);
        g_autofree char *new = g_build_filename(to, names->pdata[i], NULL);
        if (link(old, new) != 0)
            return q_set_error_errno(error, errno, "linking '%s' to '%s'", old, new);
    }
    return sync_folder(to, error);
}

static bool
remove_all(const char *folder, GError **error)
{
    g_autoptr(GPtrArray) names = database_files(folder);

    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        if (!remove_path(path, error))
            return false;
    }
    /* Derived from the log beside it; a stale one would belong to another file. */
    g_autofree char *shm = g_build_filename(folder, DATABASE "-shm", NULL);
    return remove_path(shm, error);
}

bool
join_swap_database(JoinState *state, JoinSay say, gpointer data, GError **error)
{
    say("stopping quorate-cfsd service", data);
    if (!q_service_stop(CFSD_SERVICE, error))
        return false;
    /* Until both names are complete, the first ones are untouched. */
    if (!q_file_make_dir(ASIDE_DIR, 0700, error) || !remove_all(ASIDE_DIR, error)
        || !link_all(Q_DB_DIR, ASIDE_DIR, error) || !join_state_enter(state, JOIN_DATABASE, error)
        || !remove_all(Q_DB_DIR, error))
        return false;
    return sync_folder(Q_DB_DIR, error);
}

bool
join_start_services(GError **error)
{
    return q_service_restart(COROSYNC_SERVICE, error) && q_service_start(CFSD_SERVICE, error);
}

/* ------------------------------------------------------------------ taking it back */

bool
join_stop_services(JoinState *state, GError **error)
{
    if (state->step < JOIN_FILES)
        return true;
    return q_service_stop(CFSD_SERVICE, error) && q_service_stop(COROSYNC_SERVICE, error);
}

bool
join_undo_files(JoinState *state, GError **error)
{
    if (state->step >= JOIN_DATABASE) {
        if (!remove_all(Q_DB_DIR, error) || !link_all(ASIDE_DIR, Q_DB_DIR, error)
            || !join_state_enter(state, JOIN_FILES, error))
            return false;
    }
    if (state->step >= JOIN_FILES) {
        q_file_forget_attempts(COROSYNC_KEY_FILE);
        q_file_forget_attempts(COROSYNC_CONF_FILE);
        if (!remove_all(ASIDE_DIR, error) || !restore_file(COROSYNC_KEY_FILE, state->had_key, error)
            || !restore_file(COROSYNC_CONF_FILE, state->had_conf, error)
            || !join_state_enter(state, JOIN_REQUEST, error))
            return false;
        rmdir(ASIDE_DIR);
    }
    return q_service_start(CFSD_SERVICE, error);
}

/* ------------------------------------------------------------------ keeping it */

static void
prune_backups(void)
{
    g_autoptr(GDir) dir = g_dir_open(BACKUP_DIR, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        if (g_str_has_prefix(name, "config-") && g_str_has_suffix(name, ".db"))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, q_strcmp_ptr); /* names begin with the time: the oldest first */
    for (guint i = 0; i + BACKUPS_KEPT < names->len; i++) {
        g_autofree char *path = g_build_filename(BACKUP_DIR, names->pdata[i], NULL);
        g_autofree char *wal = g_strconcat(path, "-wal", NULL);
        unlink(path);
        unlink(wal);
    }
}

bool
join_finish(JoinState *state, JoinSay say, gpointer data, GError **error)
{
    g_autoptr(GPtrArray) names = database_files(ASIDE_DIR);
    g_autofree char *key = g_strconcat(COROSYNC_KEY_FILE, KEPT_SUFFIX, NULL);
    g_autofree char *conf = g_strconcat(COROSYNC_CONF_FILE, KEPT_SUFFIX, NULL);

    if (!q_file_make_dir(BACKUP_DIR, 0700, error))
        return false;
    g_autofree char *base =
        g_strdup_printf(BACKUP_DIR "/config-%" G_GINT64_FORMAT ".db", q_clock_wall_s());
    for (guint i = 0; i < names->len; i++) {
        const char *suffix = (const char *)names->pdata[i] + strlen(DATABASE);
        g_autofree char *from = g_build_filename(ASIDE_DIR, names->pdata[i], NULL);
        g_autofree char *to = g_strconcat(base, suffix, NULL);
        if (rename(from, to) != 0)
            return q_set_error_errno(error, errno, "moving '%s' to '%s'", from, to);
    }
    if (names->len > 0) {
        g_autofree char *line = g_strdup_printf("the old database is kept as '%s'", base);
        say(line, data);
    }
    rmdir(ASIDE_DIR);
    prune_backups();
    return remove_path(key, error) && remove_path(conf, error) && join_state_end(error);
}
