#include "cfs/store_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/sorted.h"
#include "cfs/store_vfs.h"
#include "sys/file.h"

enum {
    /* Small: a change of one entry should not write 4 KiB for each of its pages. */
    PAGE_BYTES = 512,
    CHECKPOINT_PAGES = 8000,
    CACHE_KIB = 2048,
    BUSY_MS = 10000,
    COPIES_KEPT = 10,
};

typedef enum {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_PUT_ENTRY,
    SQL_DROP_ENTRY,
    SQL_PUT_ROW,
    SQL_DROP_ROW,
    SQL_DROP_ALL_ENTRIES,
    SQL_DROP_ALL_ROWS,
    SQL_COUNT,
} Sql;

static const char *const sql_texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_PUT_ENTRY] = "REPLACE INTO tree (inode, parent, version, writer, mtime, type, name, data)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [SQL_DROP_ENTRY] = "DELETE FROM tree WHERE inode = ?1",
    [SQL_PUT_ROW] = "REPLACE INTO quorate (key, value) VALUES (?1, ?2)",
    [SQL_DROP_ROW] = "DELETE FROM quorate WHERE key = ?1",
    [SQL_DROP_ALL_ENTRIES] = "DELETE FROM tree",
    [SQL_DROP_ALL_ROWS] = "DELETE FROM quorate",
};

/* Source of the layout of `tree`: Proxmox VE documentation, pmxcfs, and existing databases. */
static const char *const schema =
    "CREATE TABLE IF NOT EXISTS tree ("
    " inode INTEGER PRIMARY KEY NOT NULL CHECK (typeof(inode) = 'integer'),"
    " parent INTEGER NOT NULL CHECK (typeof(parent) = 'integer'),"
    " version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),"
    " writer INTEGER NOT NULL CHECK (typeof(writer) = 'integer'),"
    " mtime INTEGER NOT NULL CHECK (typeof(mtime) = 'integer'),"
    " type INTEGER NOT NULL CHECK (typeof(type) = 'integer'),"
    " name TEXT NOT NULL,"
    " data BLOB);"
    "CREATE TABLE IF NOT EXISTS quorate ("
    " key TEXT PRIMARY KEY NOT NULL,"
    " value BLOB NOT NULL) WITHOUT ROWID;";

struct StoreFile {
    char *path;
    sqlite3 *db;
    bool doubted; /* a write or fsync failed */
    sqlite3_stmt *statements[SQL_COUNT];
};

static bool
set_sql_error(StoreFile *file, GError **error, const char *what)
{
    return q_set_error(error, Q_ERROR_IO, "database '%s': %s: %s", file->path, what,
                       file->db != NULL ? sqlite3_errmsg(file->db) : "out of memory");
}

/* ------------------------------------------------------------------ opening */

void
store_file_close(StoreFile *file)
{
    if (file == NULL) {
        return;
    }
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(file->statements[i]);
    }
    if (file->doubted) {
        /* A checkpoint would take the log's content for safe because a later fsync says so, and
         * delete the log. */
        sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    sqlite3_close(file->db);
    g_free(file->path);
    g_free(file);
}

void
store_file_doubt(StoreFile *file)
{
    file->doubted = true;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreFile, store_file_close)
typedef struct sqlite3_stmt SqlStatement;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SqlStatement, sqlite3_finalize)

static bool
configure(StoreFile *file, GError **error)
{
    g_autofree char *pragmas =
        g_strdup_printf("PRAGMA page_size = %d;" /* of a new file; others keep theirs */
                        "PRAGMA journal_mode = WAL;"
                        "PRAGMA synchronous = FULL;"
                        "PRAGMA wal_autocheckpoint = %d;"
                        "PRAGMA journal_size_limit = %d;"
                        "PRAGMA cache_size = -%d;",
                        PAGE_BYTES, CHECKPOINT_PAGES, 2 * CHECKPOINT_PAGES * PAGE_BYTES, CACHE_KIB);

    sqlite3_busy_timeout(file->db, BUSY_MS);
    if (sqlite3_exec(file->db, pragmas, NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_exec(file->db, schema, NULL, NULL, NULL) != SQLITE_OK) {
        return set_sql_error(file, error, "cannot be opened");
    }
    return true;
}

StoreFile *
store_file_open(const char *path, GError **error)
{
    g_autoptr(StoreFile) file = g_new0(StoreFile, 1);
    mode_t old = umask(0077);

    store_vfs_register();
    file->path = g_strdup(path);
    int status = sqlite3_open_v2(path, &file->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                 STORE_VFS_NAME);
    bool ok = status == SQLITE_OK && configure(file, error);
    umask(old);
    if (status != SQLITE_OK) {
        set_sql_error(file, error, "cannot be opened");
    }
    for (int i = 0; ok && i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3(file->db, sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &file->statements[i], NULL)
            != SQLITE_OK) {
            ok = set_sql_error(file, error, "unexpected layout");
        }
    }
    return ok ? g_steal_pointer(&file) : NULL;
}

/* ------------------------------------------------------------------ loading */

void
cfs_loaded_free(CfsLoaded *loaded)
{
    if (loaded != NULL) {
        g_clear_pointer(&loaded->entries, g_ptr_array_unref);
        g_clear_pointer(&loaded->rows, g_array_unref);
        g_free(loaded);
    }
}

static void
clear_row(gpointer data)
{
    StoreRow *row = data;

    g_free(row->key);
    g_clear_pointer(&row->value, g_bytes_unref);
}

static GBytes *
column_bytes(sqlite3_stmt *statement, int column)
{
    const void *data = sqlite3_column_blob(statement, column);

    return g_bytes_new(data, sqlite3_column_bytes(statement, column));
}

static bool
load_entry(CfsLoaded *loaded, sqlite3_stmt *row, GError **error)
{
    int64_t inode = sqlite3_column_int64(row, 0);
    int64_t type = sqlite3_column_int64(row, 5);
    const char *name = (const char *)sqlite3_column_text(row, 6);
    bool has_data = sqlite3_column_type(row, 7) != SQLITE_NULL;

    if (inode == TREE_ROOT) {
        loaded->version = sqlite3_column_int64(row, 2);
        loaded->writer = sqlite3_column_int64(row, 3);
        loaded->mtime_s = sqlite3_column_int64(row, 4);
        return true;
    }
    if (name == NULL || strlen(name) != (size_t)sqlite3_column_bytes(row, 6)
        || (type != TREE_DIR && type != TREE_FILE) || (type == TREE_DIR && has_data)) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "row %" G_GINT64_FORMAT " of table 'tree' is no file and no folder",
                           inode);
    }
    g_ptr_array_add(loaded->entries,
                    tree_entry_new(inode, sqlite3_column_int64(row, 1),
                                   sqlite3_column_int64(row, 2), sqlite3_column_int64(row, 3),
                                   sqlite3_column_int64(row, 4), type, name,
                                   type == TREE_FILE ? column_bytes(row, 7) : NULL));
    return true;
}

static bool
load_entries(StoreFile *file, CfsLoaded *loaded, GError **error)
{
    g_autoptr(SqlStatement) row = NULL;
    int status = sqlite3_prepare_v2(
        file->db, "SELECT inode, parent, version, writer, mtime, type, name, data FROM tree", -1,
        &row, NULL);

    while (status == SQLITE_OK || status == SQLITE_ROW) {
        status = sqlite3_step(row);
        if (status == SQLITE_ROW && !load_entry(loaded, row, error)) {
            return false;
        }
    }
    return status == SQLITE_DONE || set_sql_error(file, error, "cannot be read");
}

static bool
load_rows(StoreFile *file, CfsLoaded *loaded, GError **error)
{
    g_autoptr(SqlStatement) row = NULL;
    int status =
        sqlite3_prepare_v2(file->db, "SELECT key, value FROM quorate ORDER BY key", -1, &row, NULL);

    while (status == SQLITE_OK || status == SQLITE_ROW) {
        status = sqlite3_step(row);
        if (status == SQLITE_ROW) {
            StoreRow one = { .key = g_strdup((const char *)sqlite3_column_text(row, 0)),
                             .value = column_bytes(row, 1) };
            g_array_append_val(loaded->rows, one);
        }
    }
    return status == SQLITE_DONE || set_sql_error(file, error, "cannot be read");
}

/* SQLite notices most damage only where it reads; half a tree must not become the cluster's. */
static bool
check_whole(StoreFile *file, GError **error)
{
    g_autoptr(SqlStatement) row = NULL;

    if (sqlite3_prepare_v2(file->db, "PRAGMA quick_check(1)", -1, &row, NULL) != SQLITE_OK
        || sqlite3_step(row) != SQLITE_ROW) {
        return set_sql_error(file, error, "cannot be checked");
    }
    const char *verdict = (const char *)sqlite3_column_text(row, 0);
    return g_strcmp0(verdict, "ok") == 0
           || q_set_error(error, Q_ERROR_IO, "database '%s': %s", file->path, verdict);
}

bool
store_file_load(StoreFile *file, CfsLoaded *loaded, GError **error)
{
    loaded->entries = g_ptr_array_new_with_free_func((GDestroyNotify)tree_entry_unref);
    loaded->rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
    g_array_set_clear_func(loaded->rows, clear_row);
    return check_whole(file, error) && load_entries(file, loaded, error)
           && load_rows(file, loaded, error);
}

/* ------------------------------------------------------------------ writing */

static bool
run(StoreFile *file, Sql sql, GError **error)
{
    sqlite3_stmt *statement = file->statements[sql];
    int status = sqlite3_step(statement);

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status == SQLITE_DONE || set_sql_error(file, error, sql_texts[sql]);
}

static bool
put_entry(StoreFile *file, const TreeEntry *entry, GError **error)
{
    sqlite3_stmt *put = file->statements[SQL_PUT_ENTRY];

    sqlite3_bind_int64(put, 1, entry->inode);
    sqlite3_bind_int64(put, 2, entry->parent);
    sqlite3_bind_int64(put, 3, entry->version);
    sqlite3_bind_int64(put, 4, entry->writer);
    sqlite3_bind_int64(put, 5, entry->mtime_s);
    sqlite3_bind_int64(put, 6, entry->type);
    sqlite3_bind_text(put, 7, entry->name, -1, SQLITE_STATIC);
    if (entry->type == TREE_FILE) {
        gsize length;
        const void *data = g_bytes_get_data(entry->data, &length);
        sqlite3_bind_blob64(put, 8, length > 0 ? data : "", length, SQLITE_STATIC);
    }
    return run(file, SQL_PUT_ENTRY, error);
}

/* Row 0: the tree's own version, as the known layout has it. */
static bool
put_figures(StoreFile *file, const TreeFigures *figures, GError **error)
{
    sqlite3_stmt *put = file->statements[SQL_PUT_ENTRY];

    sqlite3_bind_int64(put, 1, TREE_ROOT);
    sqlite3_bind_int64(put, 2, TREE_ROOT);
    sqlite3_bind_int64(put, 3, figures->version);
    sqlite3_bind_int64(put, 4, figures->writer);
    sqlite3_bind_int64(put, 5, figures->mtime_s);
    sqlite3_bind_int64(put, 6, TREE_FILE);
    sqlite3_bind_text(put, 7, "__version__", -1, SQLITE_STATIC);
    return run(file, SQL_PUT_ENTRY, error);
}

static bool
put_row(StoreFile *file, const StoreRow *row, GError **error)
{
    Sql sql = row->value != NULL ? SQL_PUT_ROW : SQL_DROP_ROW;
    sqlite3_stmt *statement = file->statements[sql];

    sqlite3_bind_text(statement, 1, row->key, -1, SQLITE_STATIC);
    if (row->value != NULL) {
        gsize length;
        const void *data = g_bytes_get_data(row->value, &length);
        sqlite3_bind_blob64(statement, 2, length > 0 ? data : "", length, SQLITE_STATIC);
    }
    return run(file, sql, error);
}

bool
store_file_apply(StoreFile *file, const StoreWrite *write, GError **error)
{
    if (write->whole
        && (!run(file, SQL_DROP_ALL_ENTRIES, error) || !run(file, SQL_DROP_ALL_ROWS, error))) {
        return false;
    }
    for (guint i = 0; write->removed != NULL && i < write->removed->len; i++) {
        sqlite3_bind_int64(file->statements[SQL_DROP_ENTRY], 1,
                           g_array_index(write->removed, uint64_t, i));
        if (!run(file, SQL_DROP_ENTRY, error)) {
            return false;
        }
    }
    for (guint i = 0; write->entries != NULL && i < write->entries->len; i++) {
        if (!put_entry(file, write->entries->pdata[i], error)) {
            return false;
        }
    }
    for (guint i = 0; write->rows != NULL && i < write->rows->len; i++) {
        if (!put_row(file, &g_array_index(write->rows, StoreRow, i), error)) {
            return false;
        }
    }
    return put_figures(file, &write->figures, error);
}

bool
store_file_begin(StoreFile *file, GError **error)
{
    return run(file, SQL_BEGIN, error);
}

bool
store_file_commit(StoreFile *file, GError **error)
{
    return run(file, SQL_COMMIT, error);
}

void
store_file_rollback(StoreFile *file)
{
    if (!sqlite3_get_autocommit(file->db)) {
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* ------------------------------------------------------------------ a new file */

static bool
sync_path(const char *path, int flags, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok) {
        q_set_error_errno(error, errno, "fsync of '%s'", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static void
remove_database(const char *path)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };

    for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
        g_autofree char *name = g_strconcat(path, endings[i], NULL);
        unlink(name);
    }
}

static bool
write_new(const char *path, const StoreWrite *write, GError **error)
{
    g_autoptr(StoreFile) file = store_file_open(path, error);

    if (file == NULL || !store_file_begin(file, error) || !store_file_apply(file, write, error)
        || !store_file_commit(file, error)) {
        return false;
    }
    /* All of it into the main file: the log beside it is not renamed along. */
    return sqlite3_wal_checkpoint_v2(file->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL)
               == SQLITE_OK
           || set_sql_error(file, error, "checkpoint");
}

/* From here on the new file is the truth, also if we die half way: store_file_finish() goes on. */
static bool
put_in_place(const char *path, const char *fresh, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    g_autofree char *index = g_strconcat(path, "-shm", NULL);

    /* The old log goes first: replayed over the new file it would damage it. */
    if ((unlink(log) != 0 && errno != ENOENT) || (unlink(index) != 0 && errno != ENOENT)
        || rename(fresh, path) != 0) {
        return q_set_error_errno(error, errno, "replacing database '%s'", path);
    }
    return sync_path(folder, O_DIRECTORY, error);
}

bool
store_file_finish(const char *path, GError **error)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);

    return access(fresh, F_OK) != 0 || put_in_place(path, fresh, error);
}

StoreFile *
store_file_replace(const char *path, const StoreWrite *write, GError **error)
{
    g_autofree char *draft = g_strconcat(path, ".tmp", NULL);
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    remove_database(draft);
    if (!write_new(draft, write, error) || !sync_path(draft, 0, error)) {
        remove_database(draft);
        return NULL;
    }
    if (rename(draft, fresh) != 0) {
        q_set_error_errno(error, errno, "replacing database '%s'", path);
        return NULL;
    }
    if (!sync_path(folder, O_DIRECTORY, error) || !put_in_place(path, fresh, error)) {
        return NULL;
    }
    return store_file_open(path, error);
}

/* ------------------------------------------------------------------ copies */

static void
drop_old_copies(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_prefix(name, "config-") && g_str_has_suffix(name, ".db")) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_ptr_array_sort(names, q_strcmp_ptr); /* by time: it stands in the name */
    for (guint i = 0; i + COPIES_KEPT < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        unlink(path);
    }
}

bool
store_file_keep(StoreFile *file, const char *why, GError **error)
{
    g_autofree char *base = g_path_get_dirname(file->path);
    g_autofree char *folder = g_build_filename(base, "backup", NULL);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format(now, "%Y%m%d-%H%M%S");
    g_autofree char *path = g_strdup_printf("%s/config-%s-%06d-%s.db", folder, stamp,
                                            g_date_time_get_microsecond(now), why);
    g_autoptr(SqlStatement) copy = NULL;

    if (!q_file_make_dir(folder, 0750, error)) {
        return false;
    }
    if (sqlite3_prepare_v2(file->db, "VACUUM INTO ?1", -1, &copy, NULL) != SQLITE_OK
        || sqlite3_bind_text(copy, 1, path, -1, SQLITE_STATIC) != SQLITE_OK
        || sqlite3_step(copy) != SQLITE_DONE) {
        set_sql_error(file, error, "cannot be copied aside");
        unlink(path);
        return false;
    }
    if (chmod(path, 0600) != 0 || !sync_path(path, 0, error)) {
        return false;
    }
    drop_old_copies(folder);
    return true;
}
