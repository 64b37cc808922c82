#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/random.h"
#include "cfs/core/replica.h"
#include "cfs/store_priv.h"
#include "sys/file.h"

/* The database: what was written is what is loaded, also after a crash at any point of replacing
 * it, and damage is refused in words. */

typedef struct {
    char *folder;
    char *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("quorate-store-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->folder, "config.db", NULL);
}

static void
remove_tree(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            remove_tree(path);
        }
        unlink(path);
    }
    rmdir(folder);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    remove_tree(fixture->folder);
    g_free(fixture->folder);
    g_free(fixture->path);
}

/* ------------------------------------------------------------------ writes */

static void
clear_row(gpointer data)
{
    StoreRow *row = data;

    g_free(row->key);
    g_clear_pointer(&row->value, g_bytes_unref);
}

static StoreWrite *
write_new(uint64_t version)
{
    StoreWrite *write = g_new0(StoreWrite, 1);

    write->entries = g_ptr_array_new_with_free_func((GDestroyNotify)tree_entry_unref);
    write->removed = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    write->rows = g_array_new(FALSE, FALSE, sizeof(StoreRow));
    g_array_set_clear_func(write->rows, clear_row);
    write->figures = (TreeFigures){ .version = version, .writer = 2, .mtime_s = 1700000000 };
    return write;
}

static void
add_file(StoreWrite *write, uint64_t inode, const char *name, const void *data, size_t length)
{
    g_ptr_array_add(write->entries, tree_entry_new(inode, TREE_ROOT, inode, 1, 1700000000,
                                                   TREE_FILE, name, g_bytes_new(data, length)));
}

static void
add_row(StoreWrite *write, const char *key, const char *value)
{
    StoreRow row = { g_strdup(key), value != NULL ? g_bytes_new(value, strlen(value)) : NULL };

    g_array_append_val(write->rows, row);
}

static void
put(StoreFile *file, StoreWrite *write)
{
    g_autoptr(GError) error = NULL;

    store_file_begin(file, &error);
    g_assert_no_error(error);
    store_file_apply(file, write, &error);
    g_assert_no_error(error);
    store_file_commit(file, &error);
    g_assert_no_error(error);
    store_write_free(write);
}

static StoreFile *
open_file(const char *path)
{
    g_autoptr(GError) error = NULL;
    StoreFile *file = store_file_open(path, &error);

    g_assert_no_error(error);
    return file;
}

static CfsLoaded *
load_path(const char *path)
{
    g_autoptr(GError) error = NULL;
    CfsLoaded *loaded = g_new0(CfsLoaded, 1);
    StoreFile *file = open_file(path);

    store_file_load(file, loaded, &error);
    g_assert_no_error(error);
    store_file_close(file);
    return loaded;
}

static const TreeEntry *
find_entry(const CfsLoaded *loaded, const char *name)
{
    for (guint i = 0; i < loaded->entries->len; i++) {
        const TreeEntry *entry = loaded->entries->pdata[i];
        if (strcmp(entry->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void
assert_content(const CfsLoaded *loaded, const char *name, const void *data, size_t length)
{
    const TreeEntry *entry = find_entry(loaded, name);

    g_assert_nonnull(entry);
    gsize size;
    const void *bytes = g_bytes_get_data(entry->data, &size);
    g_assert_cmpmem(bytes, size, data, length);
}

/* ------------------------------------------------------------------ cases */

static void
test_round_trip(Fixture *fixture, gconstpointer data)
{
    static const char odd[] = "nul \0 and \xff";
    StoreFile *file = open_file(fixture->path);
    StoreWrite *write = write_new(7);

    add_file(write, 1, "odd", odd, sizeof odd);
    add_file(write, 2, "empty", "", 0);
    add_file(write, 3, "gone", "x", 1);
    add_row(write, "epoch", "4");
    add_row(write, "old", "y");
    put(file, write);
    write = write_new(8);
    uint64_t gone = 3;
    g_array_append_val(write->removed, gone);
    add_row(write, "old", NULL);
    put(file, write);
    store_file_close(file);

    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    g_assert_cmpuint(loaded->version, ==, 8);
    g_assert_cmpuint(loaded->writer, ==, 2);
    g_assert_cmpuint(loaded->entries->len, ==, 2);
    assert_content(loaded, "odd", odd, sizeof odd);
    assert_content(loaded, "empty", "", 0);
    g_assert_cmpuint(loaded->rows->len, ==, 1);
    g_assert_cmpstr(g_array_index(loaded->rows, StoreRow, 0).key, ==, "epoch");
}

static void
test_whole(Fixture *fixture, gconstpointer data)
{
    StoreFile *file = open_file(fixture->path);
    StoreWrite *write = write_new(1);

    add_file(write, 1, "before", "b", 1);
    add_row(write, "before", "b");
    put(file, write);
    write = write_new(2);
    write->whole = true;
    add_file(write, 2, "after", "a", 1);
    put(file, write);
    store_file_close(file);

    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    g_assert_cmpuint(loaded->entries->len, ==, 1);
    g_assert_nonnull(find_entry(loaded, "after"));
    g_assert_cmpuint(loaded->rows->len, ==, 0);
}

/* Columns as an existing system made them: only the table `tree`, larger pages. */
static void
test_known_layout(Fixture *fixture, gconstpointer data)
{
    sqlite3 *db = NULL;

    g_assert_cmpint(sqlite3_open(fixture->path, &db), ==, SQLITE_OK);
    g_assert_cmpint(
        sqlite3_exec(
            db,
            "CREATE TABLE tree (inode INTEGER PRIMARY KEY NOT NULL, parent INTEGER NOT NULL CHECK"
            "(typeof(parent)=='integer'), version INTEGER NOT NULL CHECK(typeof(version)=="
            "'integer'), writer INTEGER NOT NULL CHECK(typeof(writer)=='integer'), mtime INTEGER "
            "NOT NULL CHECK(typeof(mtime)=='integer'), type INTEGER NOT NULL CHECK(typeof(type)=="
            "'integer'), name TEXT NOT NULL, data BLOB);"
            "INSERT INTO tree VALUES (0, 0, 12, 1, 1700000000, 8, '__version__', NULL);"
            "INSERT INTO tree VALUES (2, 0, 3, 1, 1700000000, 4, 'nodes', NULL);"
            "INSERT INTO tree VALUES (5, 0, 12, 1, 1700000000, 8, 'user.cfg', x'6869');"
            "INSERT INTO tree VALUES (6, 0, 11, 1, 1700000000, 8, 'none', NULL);",
            NULL, NULL, NULL),
        ==, SQLITE_OK);
    sqlite3_close(db);

    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    g_assert_cmpuint(loaded->version, ==, 12);
    g_assert_cmpuint(loaded->entries->len, ==, 3);
    assert_content(loaded, "user.cfg", "hi", 2);
    assert_content(loaded, "none", "", 0);
    g_assert_cmpint(find_entry(loaded, "nodes")->type, ==, TREE_DIR);
}

static void
test_replace(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    StoreFile *file = open_file(fixture->path);
    StoreWrite *write = write_new(1);

    add_file(write, 1, "old", "o", 1);
    put(file, write);
    store_file_doubt(file);
    store_file_close(file);

    write = write_new(2);
    write->whole = write->new_file = true;
    add_file(write, 2, "new", "n", 1);
    file = store_file_replace(fixture->path, write, &error);
    g_assert_no_error(error);
    store_write_free(write);
    store_file_close(file);

    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    g_assert_null(find_entry(loaded, "old"));
    assert_content(loaded, "new", "n", 1);
}

static void
copy_file(const char *from, const char *to)
{
    g_autofree char *content = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(from, &content, &length, NULL));
    g_assert_true(g_file_set_contents(to, content, length, NULL));
}

/* Died when the new file was complete and the old one, with its log, still in place: the log must
 * not be replayed over the new file. */
static void
test_crash_while_replacing(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *other = g_strconcat(fixture->path, ".other", NULL);
    g_autofree char *fresh = g_strconcat(fixture->path, ".new", NULL);
    g_autofree char *log = g_strconcat(fixture->path, "-wal", NULL);
    StoreWrite *write = write_new(1);

    StoreFile *file = open_file(fixture->path);
    add_file(write, 1, "old", "o", 1);
    put(file, write);
    store_file_doubt(file); /* the log stays */
    store_file_close(file);
    g_assert_true(g_file_test(log, G_FILE_TEST_EXISTS));

    file = open_file(other);
    write = write_new(2);
    add_file(write, 2, "new", "n", 1);
    put(file, write);
    store_file_close(file);
    copy_file(other, fresh);

    g_assert_true(store_file_finish(fixture->path, &error));
    g_assert_no_error(error);
    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    g_assert_cmpuint(loaded->entries->len, ==, 1);
    assert_content(loaded, "new", "n", 1);
    g_assert_false(g_file_test(fresh, G_FILE_TEST_EXISTS));
}

/* A file whose disk has failed is left for what it holds: nothing acknowledged goes with it. */
static void
test_doubted_keeps_log(Fixture *fixture, gconstpointer data)
{
    StoreFile *file = open_file(fixture->path);
    StoreWrite *write = write_new(1);

    add_file(write, 1, "f", "x", 1);
    put(file, write);
    store_file_doubt(file);
    store_file_close(file);

    g_autoptr(CfsLoaded) loaded = load_path(fixture->path);
    assert_content(loaded, "f", "x", 1);
}

static void
test_kept_copies(Fixture *fixture, gconstpointer data)
{
    g_autofree char *folder = g_build_filename(fixture->folder, "backup", NULL);
    StoreFile *file = open_file(fixture->path);
    StoreWrite *write = write_new(1);
    guint count = 0;
    const char *name;

    add_file(write, 1, "f", "x", 1);
    put(file, write);
    for (int i = 0; i < 12; i++) {
        g_autoptr(GError) error = NULL;
        store_file_keep(file, "discarded", &error);
        g_assert_no_error(error);
    }
    store_file_close(file);

    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    while ((name = g_dir_read_name(dir)) != NULL) {
        count++;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autoptr(CfsLoaded) loaded = load_path(path);
        assert_content(loaded, "f", "x", 1);
        g_autofree char *log = g_strconcat(path, "-wal", NULL);
        g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS));
    }
    g_assert_cmpuint(count, ==, 10);
}

static void
overwrite(const char *path, off_t offset, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, text, strlen(text), offset), ==, (ssize_t)strlen(text));
    close(fd);
}

static void
no_persisted(uint64_t token, bool failed, gpointer data)
{
}

/* Each damage is refused, and the file is afterwards what it was before. */
static void
test_damaged(Fixture *fixture, gconstpointer data)
{
    static const off_t places[] = { 0, 1024 + 100, 2048 + 3 };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_test_message("at %ld", (long)places[i]);
        unlink(fixture->path);
        StoreFile *file = open_file(fixture->path);
        StoreWrite *write = write_new(1);
        for (int n = 1; n < 200; n++) {
            g_autofree char *name = g_strdup_printf("file%d", n);
            add_file(write, n, name, "content of some length, so that there are pages", 46);
        }
        put(file, write);
        store_file_close(file);
        overwrite(
            fixture->path, places[i],
            "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
        g_autofree char *before = NULL;
        g_autofree char *after = NULL;
        gsize before_size, after_size;
        g_file_get_contents(fixture->path, &before, &before_size, NULL);

        g_autoptr(GError) error = NULL;
        CfsLoaded *loaded = NULL;
        g_autoptr(CfsStore) store =
            cfs_store_open(fixture->folder, no_persisted, NULL, &loaded, &error);
        if (store != NULL) {
            /* Damage in free space or in content is no damage of the layout. */
            cfs_loaded_free(loaded);
            g_test_message("not noticed");
            g_assert_cmpuint(i, >, 0);
            continue;
        }
        g_assert_nonnull(strstr(error->message, "start again"));
        g_file_get_contents(fixture->path, &after, &after_size, NULL);
        g_assert_cmpmem(before, before_size, after, after_size);
    }
}

/* ------------------------------------------------------------------ power cuts */

/* What a commit has put on disk, as another SQLite without our log file finds it after a power cut.
 */
static void
assert_on_disk(const Fixture *fixture, const uint32_t *sums, size_t count)
{
    g_autofree char *folder = g_dir_make_tmp("quorate-cut-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "config.db", NULL);
    g_autofree char *log = g_strconcat(path, "-wal", NULL);
    g_autofree char *our_log = g_strconcat(fixture->path, "-wal", NULL);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    size_t found = 0;

    copy_file(fixture->path, path);
    copy_file(our_log, log);
    g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
    g_assert_cmpint(
        sqlite3_prepare_v2(db, "SELECT inode, data FROM tree WHERE inode > 0", -1, &row, NULL), ==,
        SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW) {
        int64_t inode = sqlite3_column_int64(row, 0);
        g_autoptr(GBytes) data =
            g_bytes_new(sqlite3_column_blob(row, 1), sqlite3_column_bytes(row, 1));
        g_assert_cmpint(inode, <, (int64_t)count);
        g_assert_cmpuint(g_bytes_hash(data), ==, sums[inode]);
        found++;
    }
    sqlite3_finalize(row);
    g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
    for (size_t i = 1; i < count; i++) {
        found -= sums[i] != 0;
    }
    g_assert_cmpuint(found, ==, 0);
    remove_tree(folder);
}

static GBytes *
random_content(QRandom *random)
{
    size_t length = q_random_chance(random, 0.05) ? q_random_below(random, TREE_FILE_MAX)
                                                  : q_random_below(random, 2000);
    char *data = g_malloc(length + 1);

    for (size_t i = 0; i < length; i++) {
        data[i] = q_random_next(random);
    }
    return g_bytes_new_take(data, length);
}

static void
test_power_cuts(Fixture *fixture, gconstpointer data)
{
    enum { FILES = 40, COMMITS = 120 };
    uint32_t sums[FILES] = { 0 };
    QRandom random;
    q_random_seed(&random, 7);
    StoreFile *file = open_file(fixture->path);

    for (int i = 1; i <= COMMITS; i++) {
        StoreWrite *write = write_new(i);
        for (uint64_t n = 1 + q_random_below(&random, 4); n > 0; n--) {
            uint64_t inode = 1 + q_random_below(&random, FILES - 1);
            g_autoptr(GBytes) content = random_content(&random);
            g_autofree char *name = g_strdup_printf("f%" G_GUINT64_FORMAT, inode);
            add_file(write, inode, name, g_bytes_get_data(content, NULL),
                     g_bytes_get_size(content));
            sums[inode] = g_bytes_hash(content);
        }
        put(file, write);
        assert_on_disk(fixture, sums, FILES);
        if (i % 40 == 0) {
            store_file_doubt(file); /* as after a kill: the log is found again */
            store_file_close(file);
            file = open_file(fixture->path);
        }
    }
    store_file_close(file);
}

/* ------------------------------------------------------------------ with its thread */

typedef struct {
    uint64_t last;
    guint failed;
    uint64_t waited_for;
    GMainLoop *loop;
} Seen;

static void
on_persisted(uint64_t token, bool failed, gpointer data)
{
    Seen *seen = data;

    g_assert_cmpuint(token, ==, seen->last + 1); /* in order, none left out */
    seen->last = token;
    seen->failed += failed;
    if (token == seen->waited_for) {
        g_main_loop_quit(seen->loop);
    }
}

static void
test_thread(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsLoaded) loaded = NULL;
    Seen seen = { .loop = g_main_loop_new(NULL, FALSE), .waited_for = 500 };
    CfsStore *store = cfs_store_open(fixture->folder, on_persisted, &seen, &loaded, &error);

    g_assert_no_error(error);
    g_assert_true(loaded->fresh);
    for (uint64_t i = 1; i <= 1000; i++) {
        g_autofree char *name = g_strdup_printf("f%" G_GUINT64_FORMAT, i);
        StoreWrite *write = write_new(i);
        add_file(write, i, name, name, strlen(name));
        cfs_store_write(store, i, write);
    }
    g_main_loop_run(seen.loop);
    cfs_store_free(store); /* the rest is carried out and told */
    g_assert_cmpuint(seen.last, ==, 1000);
    g_assert_cmpuint(seen.failed, ==, 0);
    g_main_loop_unref(seen.loop);

    g_autoptr(CfsLoaded) again = load_path(fixture->path);
    g_assert_cmpuint(again->entries->len, ==, 1000);
    assert_content(again, "f1000", "f1000", 5);
}

/* After an error nothing goes to the old file any more until a whole new one was written. */
static void
test_after_an_error(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsLoaded) loaded = NULL;
    Seen seen = { .loop = g_main_loop_new(NULL, FALSE), .waited_for = 3 };
    CfsStore *store = cfs_store_open(fixture->folder, on_persisted, &seen, &loaded, &error);
    g_assert_no_error(error);

    /* A row that the table's own check refuses, as a full disk would. */
    StoreWrite *bad = write_new(1);
    StoreRow row = { NULL, g_bytes_new("x", 1) };
    g_array_append_val(bad->rows, row);
    cfs_store_write(store, 1, bad);
    StoreWrite *write = write_new(2);
    add_file(write, 2, "lost", "x", 1);
    cfs_store_write(store, 2, write);
    StoreWrite *whole = write_new(3);
    whole->whole = whole->new_file = true;
    add_file(whole, 3, "kept", "x", 1);
    cfs_store_write(store, 3, whole);
    g_main_loop_run(seen.loop);
    g_assert_cmpuint(seen.failed, ==, 2);
    g_autofree char *why = cfs_store_error(store);
    g_assert_nonnull(why);
    write = write_new(4);
    add_file(write, 4, "goes on", "x", 1);
    cfs_store_write(store, 4, write);
    cfs_store_free(store);
    g_assert_cmpuint(seen.last, ==, 4);
    g_assert_cmpuint(seen.failed, ==, 2);
    g_main_loop_unref(seen.loop);

    g_autoptr(CfsLoaded) again = load_path(fixture->path);
    g_assert_cmpuint(again->entries->len, ==, 2);
    g_assert_nonnull(find_entry(again, "kept"));
    g_assert_nonnull(find_entry(again, "goes on"));
}

static void
test_lock(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsLoaded) loaded = NULL;
    g_autofree char *path = g_build_filename(fixture->folder, ".pmxcfs.lockfile", NULL);
    g_autoptr(CfsStore) store =
        cfs_store_open(fixture->folder, no_persisted, NULL, &loaded, &error);

    g_assert_no_error(error);
    g_autoptr(QFileLock) lock = q_file_lock(path, 0, &error);
    g_assert_null(lock);
    g_assert_error(error, Q_ERROR, Q_ERROR_BUSY);
}

#define ADD(name, func) g_test_add("/cfs/store/" name, Fixture, NULL, set_up, func, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("round-trip", test_round_trip);
    ADD("whole", test_whole);
    ADD("known-layout", test_known_layout);
    ADD("replace", test_replace);
    ADD("crash-while-replacing", test_crash_while_replacing);
    ADD("doubted-keeps-log", test_doubted_keeps_log);
    ADD("kept-copies", test_kept_copies);
    ADD("damaged", test_damaged);
    ADD("power-cuts", test_power_cuts);
    ADD("thread", test_thread);
    ADD("after-an-error", test_after_an_error);
    ADD("lock", test_lock);
    return g_test_run();
}
