#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "cfs/client_priv.h"
#include "cfs/daemon.h"

/* A real mount of a real daemon of one node; the calls come from another thread. */

typedef struct {
    char *folder;
    char *socket;
    char *mountpoint;
    CfsDaemon *daemon;
    GMainLoop *loop;
    void (*body)(void);
} World;

static const char *mountpoint; /* of the running case */
static CfsClient *client;      /* likewise */

static gboolean
on_quit(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_REMOVE;
}

static gpointer
body_thread(gpointer data)
{
    World *world = data;
    g_autoptr(GError) error = NULL;

    client = cfs_client_connect_path(world->socket, "test", &error);
    g_assert_no_error(error);
    world->body();
    cfs_client_free(client);
    g_idle_add(on_quit, world->loop);
    return NULL;
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
run(gconstpointer body)
{
    World world = { .body = (void (*)(void))body };
    g_autoptr(GError) error = NULL;

    if (getuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        g_test_skip("needs root and /dev/fuse");
        return;
    }
    world.folder = g_dir_make_tmp("quorate-mount-XXXXXX", NULL);
    world.socket = g_build_filename(world.folder, "run", "cfs.sock", NULL);
    world.mountpoint = g_build_filename(world.folder, "pve", NULL);
    CfsDaemonSetup setup = { .host = { .folder = world.folder },
                             .socket = world.socket,
                             .mountpoint = world.mountpoint };
    world.daemon = cfs_daemon_new(&setup, &error);
    g_assert_no_error(error);
    mountpoint = world.mountpoint;
    world.loop = g_main_loop_new(NULL, FALSE);
    GThread *thread = g_thread_new("calls", body_thread, &world);
    g_main_loop_run(world.loop);
    g_thread_join(thread);
    cfs_daemon_free(world.daemon);
    g_main_loop_unref(world.loop);
    remove_tree(world.folder);
    g_free(world.folder);
    g_free(world.socket);
    g_free(world.mountpoint);
}

/* ------------------------------------------------------------------ words */

static char *
at(const char *name)
{
    return g_build_filename(mountpoint, name, NULL);
}

static int
open_at(const char *name, int flags)
{
    g_autofree char *path = at(name);

    return open(path, flags | O_CLOEXEC, 0640);
}

static void
put(const char *name, const char *text)
{
    int fd = open_at(name, O_WRONLY | O_CREAT | O_TRUNC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
    g_assert_cmpint(close(fd), ==, 0);
}

static void
assert_text(const char *name, const char *text)
{
    g_autofree char *path = at(name);
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &content, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(content, ==, text);
}

static off_t
size_of(const char *name)
{
    g_autofree char *path = at(name);
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_size;
}

/* How many updates the tree has seen. */
static int64_t
sequence(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) ok = cfs_client_call(client, "quorum", NULL, CFS_TIMEOUT_MS, &error);

    g_assert_no_error(error);
    return q_json_int(ok, "sequence", 0);
}

#define assert_errno(call, number)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        g_assert_cmpint((call), ==, -1);                                                           \
        g_assert_cmpstr(g_strerror(errno), ==, g_strerror(number));                                \
    } while (0)

/* ------------------------------------------------------------------ writes */

static void
test_one_update_a_close(void)
{
    char page[4096];
    memset(page, 'x', sizeof page);
    put("f", "before");
    int64_t start = sequence();

    int fd = open_at("f", O_WRONLY | O_TRUNC);
    for (int i = 0; i < 128; i++) {
        g_assert_cmpint(write(fd, page, sizeof page), ==, sizeof page);
    }
    g_assert_cmpint(sequence(), ==, start);
    assert_text("f", "before"); /* nobody sees half a file */
    g_assert_cmpint(close(fd), ==, 0);
    g_assert_cmpint(sequence(), ==, start + 1);
    g_assert_cmpint(size_of("f"), ==, 128 * sizeof page);

    put("g", "same");
    start = sequence();
    put("g", "same");
    fd = open_at("g", O_RDWR);
    g_assert_cmpint(fsync(fd), ==, 0);
    close(fd);
    g_assert_cmpint(sequence(), ==, start);
}

static void
test_exclusive(void)
{
    int fd = open_at("x", O_WRONLY | O_CREAT | O_EXCL);
    g_assert_cmpint(fd, >=, 0);
    assert_errno(open_at("x", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
    close(fd);
}

static void
test_append(void)
{
    int one = open_at("log", O_WRONLY | O_CREAT | O_APPEND);
    int two = open_at("log", O_WRONLY | O_APPEND);

    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(write(one, "one\n", 4), ==, 4);
        g_assert_cmpint(write(two, "two\n", 4), ==, 4);
    }
    close(one);
    close(two);
    assert_text("log", "one\ntwo\none\ntwo\none\ntwo\n");

    /* Others append meanwhile: each by its own handle, as from other nodes. */
    one = open_at("log", O_WRONLY | O_APPEND);
    g_assert_cmpint(write(one, "end\n", 4), ==, 4);
    g_assert_true(cfs_write(client, "other", "x", CFS_ANY, NULL));
    close(one);
    g_assert_cmpint(size_of("log"), ==, 28);
}

static void
test_own_view(void)
{
    struct stat st;
    char buffer[16];
    int fd = open_at("own", O_RDWR | O_CREAT);

    g_assert_cmpint(write(fd, "12345", 5), ==, 5);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 5);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 5);
    g_assert_cmpint(pread(fd, buffer, sizeof buffer, 0), ==, 5);
    g_assert_cmpmem(buffer, 5, "12345", 5);
    assert_text("own", ""); /* others: what is committed */
    g_assert_cmpint(ftruncate(fd, 2), ==, 0);
    g_assert_cmpint(fsync(fd), ==, 0);
    assert_text("own", "12");
    g_assert_cmpint(pwrite(fd, "x", 1, 4), ==, 1);
    close(fd);
    g_assert_cmpint(size_of("own"), ==, 5);
}

/* Two handles, different parts, either order. */
static void
test_two_handles(void)
{
    put("two", "aaaabbbb");
    int one = open_at("two", O_WRONLY);
    int two = open_at("two", O_WRONLY);

    g_assert_cmpint(pwrite(one, "1111", 4, 0), ==, 4);
    g_assert_cmpint(pwrite(two, "2222", 4, 4), ==, 4);
    close(two);
    close(one);
    assert_text("two", "11112222");

    /* A change by somebody else between write and close is not lost. */
    one = open_at("two", O_WRONLY);
    g_assert_cmpint(pwrite(one, "X", 1, 0), ==, 1);
    g_assert_true(cfs_write(client, "two", "11113333", CFS_ANY, NULL));
    close(one);
    assert_text("two", "X1113333");
}

static void
test_zeros(void)
{
    g_autofree char *path = at("z");
    static const char zeros[7] = "";
    g_autofree char *content = NULL;
    gsize length;

    put("z", "");
    g_assert_cmpint(truncate(path, 7), ==, 0);
    g_assert_true(g_file_get_contents(path, &content, &length, NULL));
    g_assert_cmpmem(content, length, zeros, 7);
    g_assert_cmpint(truncate(path, 3), ==, 0);
    g_assert_cmpint(size_of("z"), ==, 3);
    assert_errno(truncate(path, TREE_FILE_MAX + 1), EFBIG);
    int fd = open_at("z", O_WRONLY);
    assert_errno(pwrite(fd, "x", 1, TREE_FILE_MAX), EFBIG);
    assert_errno(ftruncate(fd, TREE_FILE_MAX + 1), EFBIG);
    close(fd);
}

/* What somebody has removed or replaced cannot be written any more, and it is said. */
static void
test_gone_while_open(void)
{
    char buffer[16];
    put("gone", "content");
    int reader = open_at("gone", O_RDONLY);
    int writer = open_at("gone", O_WRONLY);
    g_autofree char *path = at("gone");

    g_assert_cmpint(pread(reader, buffer, 3, 0), ==, 3);
    g_assert_cmpint(write(writer, "new", 3), ==, 3);
    g_assert_cmpint(unlink(path), ==, 0);
    assert_errno(close(writer), ENOENT);
    g_assert_cmpint(pread(reader, buffer, sizeof buffer, 3), ==, 4); /* the version begun with */
    close(reader);
}

static void
test_replaced_while_read(void)
{
    char buffer[16];
    put("r", "old content");
    int reader = open_at("r", O_RDONLY);

    g_assert_cmpint(pread(reader, buffer, 4, 0), ==, 4);
    g_assert_true(cfs_write(client, "r", "NEW", CFS_ANY, NULL));
    g_assert_cmpint(pread(reader, buffer, sizeof buffer, 4), ==, 7); /* one version, whole */
    g_assert_cmpmem(buffer, 7, "content", 7);
    g_assert_cmpint(pread(reader, buffer, sizeof buffer, 0), ==,
                    3); /* from the start: the newest */
    g_assert_cmpmem(buffer, 3, "NEW", 3);
    close(reader);
}

/* ------------------------------------------------------------------ names */

static void
test_names(void)
{
    g_autofree char *one = at("one");
    g_autofree char *two = at("two");
    g_autofree char *folder = at("folder");
    g_autofree char *inside = at("folder/inside");
    g_autofree char *virtual = at(".members");
    g_autofree char *name = g_strnfill(TREE_NAME_MAX, 'n');
    g_autofree char *longer = g_strnfill(TREE_NAME_MAX + 1, 'n');

    put("one", "1");
    put("two", "2");
    g_assert_cmpint(renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_NOREPLACE), ==, -1);
    g_assert_cmpint(errno, ==, EEXIST);
    assert_errno(renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE), EINVAL);
    g_assert_cmpint(rename(one, two), ==, 0);
    assert_text("two", "1");
    g_assert_cmpint(renameat2(AT_FDCWD, two, AT_FDCWD, one, RENAME_NOREPLACE), ==, 0);
    g_assert_cmpint(mkdir(folder, 0755), ==, 0);
    assert_errno(mkdir(folder, 0755), EEXIST);
    g_assert_cmpint(rename(one, inside), ==, 0);
    assert_errno(rmdir(folder), ENOTEMPTY);
    assert_errno(rename(folder, one), ENOTEMPTY);
    assert_errno(rename(inside, virtual), EACCES);
    assert_errno(unlink(virtual), EACCES);
    int fd = open_at(name, O_WRONLY | O_CREAT);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    assert_errno(open_at(longer, O_WRONLY | O_CREAT), ENAMETOOLONG);
    g_assert_cmpint(unlink(inside), ==, 0);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

static void
test_guest_ids(void)
{
    static const char *const folders[] = { "nodes", "nodes/a", "nodes/a/qemu-server", "nodes/b",
                                           "nodes/b/qemu-server" };
    g_autofree char *a = at("nodes/a/qemu-server/100.conf");
    g_autofree char *b = at("nodes/b/qemu-server/100.conf");

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = at(folders[i]);
        g_assert_cmpint(mkdir(path, 0755), ==, 0);
    }
    put("nodes/a/qemu-server/100.conf", "name: x\n");
    assert_errno(open_at("nodes/b/qemu-server/100.conf", O_WRONLY | O_CREAT), EEXIST);
    g_assert_cmpint(rename(a, b), ==, 0);
    assert_errno(open_at("nodes/a/qemu-server/100.conf", O_WRONLY | O_CREAT), EEXIST);
    assert_text("nodes/b/qemu-server/100.conf", "name: x\n");
}

/* 600 names need more than one answer; each comes once, also while others come and go. */
static void
test_long_folder(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *folder = at("many");
    CfsTxn *txn = cfs_txn_new();

    cfs_txn_mkdir(txn, "many");
    for (int i = 0; i < 600; i++) {
        g_autofree char *path = g_strdup_printf("many/a-name-of-some-length-%d", i);
        cfs_txn_create(txn, path, "");
    }
    g_assert_true(cfs_txn_commit(client, txn, NULL, NULL));
    DIR *dir = opendir(folder);
    struct dirent *row;
    while ((row = readdir(dir)) != NULL) {
        g_assert_true(g_hash_table_add(seen, g_strdup(row->d_name)));
        if (g_hash_table_size(seen) == 10) {
            g_assert_true(cfs_write(client, "many/later", "x", CFS_ANY, NULL));
        }
    }
    closedir(dir);
    g_assert_cmpuint(g_hash_table_size(seen), ==, 602);
}

/* ------------------------------------------------------------------ what is fixed, what is virtual
 */

static void
test_fixed(void)
{
    g_autofree char *file = at("f");
    g_autofree char *root = at("");
    struct statvfs fs;

    put("f", "x");
    g_assert_cmpint(chmod(file, 0640), ==, 0);
    assert_errno(chmod(file, 0644), EPERM);
    assert_errno(chown(file, 1000, (gid_t)-1), EPERM);
    assert_errno(symlink("x", file), EEXIST);
    g_assert_cmpint(statvfs(root, &fs), ==, 0);
    g_assert_cmpuint(fs.f_namemax, ==, TREE_NAME_MAX);
    g_assert_cmpuint(fs.f_files - fs.f_ffree, >=, 1);
}

static void
test_virtual(void)
{
    g_autofree char *path = at(".version");
    struct stat st;
    char buffer[65536];

    put("storage.cfg", "x");
    g_assert_cmpint(stat(path, &st), ==, 0);
    int fd = open_at(".version", O_RDONLY);
    ssize_t length = read(fd, buffer, sizeof buffer);
    close(fd);
    g_assert_cmpint(length, ==, st.st_size);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) version = q_json_parse_object(buffer, length, &error);
    g_assert_no_error(error);
    int64_t before = q_json_int(version, "storage.cfg", 0);
    g_assert_true(cfs_write(client, "storage.cfg", "y", CFS_ANY, NULL));
    g_autofree char *text = cfs_read(client, ".version", NULL, NULL, NULL);
    g_autoptr(JsonObject) after = q_json_parse_object(text, -1, &error);
    g_assert_cmpint(q_json_int(after, "storage.cfg", 0), ==, before + 1);

    fd = open_at(".debug", O_WRONLY | O_TRUNC);
    assert_errno(write(fd, "junk\n", 5), EIO);
    g_assert_cmpint(write(fd, "1\n", 2), ==, 2);
    g_assert_cmpint(pwrite(fd, "0\n", 2, 0), ==, 2);
    close(fd);
    fd = open_at(".version", O_WRONLY);
    assert_errno(write(fd, "1", 1), EIO);
    close(fd);
}

static void
test_guarded(void)
{
    g_autofree char *from = at("corosync.conf.new");
    g_autofree char *to = at("corosync.conf");

    put("corosync.conf.new", "totem {\n");
    assert_errno(rename(from, to), EINVAL);
    assert_errno(open_at("corosync.conf", O_WRONLY | O_CREAT), EINVAL);
    assert_errno(access(to, F_OK), ENOENT);
}

static void
add(const char *name, void (*body)(void))
{
    g_autofree char *path = g_strconcat("/cfs/mount/", name, NULL);

    g_test_add_data_func(path, body, run);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("one-update-a-close", test_one_update_a_close);
    add("exclusive", test_exclusive);
    add("append", test_append);
    add("own-view", test_own_view);
    add("two-handles", test_two_handles);
    add("zeros", test_zeros);
    add("gone-while-open", test_gone_while_open);
    add("replaced-while-read", test_replaced_while_read);
    add("names", test_names);
    add("guest-ids", test_guest_ids);
    add("long-folder", test_long_folder);
    add("fixed", test_fixed);
    add("virtual", test_virtual);
    add("guarded", test_guarded);
    return g_test_run();
}
