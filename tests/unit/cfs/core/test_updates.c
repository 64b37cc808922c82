#include <errno.h>
#include <string.h>
#include "bench.h"

/* Errno of every change (cfs.md 4 to 6), decided in order: one table, one replica. */

typedef enum { MKDIR, CREATE, EXCL, WRITE, REMOVE, RENAME, RENAME_NEW, MTIME, PATCH } What;

static Update *
make(What what, const char *path, const char *other)
{
    g_autoptr(GBytes) x = g_bytes_new_static("x", 1);
    Update *update = update_new();
    UpdateRange range = { 3, x };

    switch (what) {
    case MKDIR:
        update_mkdir(update, path);
        break;
    case CREATE:
        update_create(update, path, NULL, false);
        break;
    case EXCL:
        update_create(update, path, NULL, true);
        break;
    case WRITE:
        update_write(update, path, x);
        break;
    case REMOVE:
        update_remove(update, path);
        break;
    case RENAME:
        update_rename(update, path, other);
        break;
    case RENAME_NEW:
        update_rename_new(update, path, other);
        break;
    case MTIME:
        update_mtime(update, path, g_ascii_strtoll(other, NULL, 10));
        break;
    case PATCH:
        update_patch(update, path, -1, &range, 1);
        break;
    }
    return update;
}

static void
test_errno(void)
{
    static const struct {
        What what;
        const char *path, *other;
        int errnum;
    } cases[] = {
        { MKDIR, "d", NULL, 0 },
        { MKDIR, "d", NULL, EEXIST },
        { MKDIR, "none/x", NULL, ENOENT },
        { CREATE, "d/f", NULL, 0 },
        { CREATE, "d/f", NULL, 0 },
        { EXCL, "d/f", NULL, EEXIST },
        { EXCL, "d", NULL, EEXIST },
        { MKDIR, "d/f/x", NULL, ENOTDIR },
        { WRITE, "d", NULL, ENOTDIR },
        { WRITE, "", NULL, EACCES },
        { WRITE, "d/.", NULL, EACCES },
        { WRITE, "d/..", NULL, EACCES },
        { WRITE, "d//f", NULL, EACCES },
        { PATCH, "d/none", NULL, ENOENT },
        { PATCH, "d/f", NULL, 0 },
        { REMOVE, "d", NULL, ENOTEMPTY },
        { REMOVE, "d/none", NULL, ENOENT },
        { RENAME, "d", "e", ENOTEMPTY },
        { RENAME, "d/f", "d/f", 0 },
        { RENAME, "d/none", "d/g", ENOENT },
        { MKDIR, "empty", NULL, 0 },
        { RENAME, "d/f", "empty", EISDIR },
        { RENAME, "empty", "d/f", ENOTDIR },
        { RENAME, "empty", "empty/inside", EINVAL },
        { RENAME, "empty", "moved", 0 },
        { RENAME_NEW, "d/f", "moved", EEXIST },
        { RENAME_NEW, "d/f", "g", 0 },
        { MTIME, "g", "1000", 0 },
        { MTIME, "none", "1000", ENOENT },
        /* guests */
        { MKDIR, "nodes", NULL, 0 },
        { MKDIR, "nodes/a", NULL, 0 },
        { MKDIR, "nodes/b", NULL, 0 },
        { MKDIR, "nodes/a/qemu-server", NULL, 0 },
        { MKDIR, "nodes/b/qemu-server", NULL, 0 },
        { MKDIR, "nodes/b/lxc", NULL, 0 },
        { WRITE, "nodes/a/qemu-server/100.conf", NULL, 0 },
        { WRITE, "nodes/a/qemu-server/100.conf", NULL, 0 },
        { WRITE, "nodes/b/qemu-server/100.conf", NULL, EEXIST },
        { EXCL, "nodes/b/lxc/100.conf", NULL, EEXIST },
        { WRITE, "nodes/b/qemu-server/0100.conf", NULL, 0 },
        { WRITE, "nodes/b/qemu-server/4294967296.conf", NULL, 0 },
        { RENAME, "g", "nodes/b/qemu-server/100.conf", EEXIST },
        { RENAME, "nodes/a/qemu-server/100.conf", "nodes/b/qemu-server/100.conf", 0 },
        { WRITE, "nodes/a/qemu-server/100.conf", NULL, EEXIST },
        { WRITE, "nodes/a/qemu-server/101.conf", NULL, 0 },
        { RENAME, "nodes/a/qemu-server/101.conf", "nodes/b/qemu-server/100.conf", EEXIST },
        { WRITE, "nodes/b/qemu-server/100.conf.tmp", NULL, 0 },
        { RENAME, "nodes/b/qemu-server/100.conf.tmp", "nodes/b/qemu-server/100.conf", 0 },
        { RENAME, "nodes/b/qemu-server/100.conf", "nodes/b/lxc/100.conf", 0 },
        { REMOVE, "nodes/b/lxc/100.conf", NULL, 0 },
        { WRITE, "nodes/a/qemu-server/100.conf", NULL, 0 },
        /* locks */
        { MKDIR, "priv", NULL, 0 },
        { MKDIR, "priv/lock", NULL, 0 },
        { MTIME, "priv/lock/l", "0", ENOENT },
        { MKDIR, "priv/lock/l", NULL, 0 },
        { MTIME, "priv/lock/l", "1900000000", 0 },
        { MTIME, "priv/lock/l", "1800000000", EACCES },
        { MTIME, "priv/lock/l", "0", EACCES },
        { RENAME, "priv/lock/l", "priv/lock/m", EACCES },
        { REMOVE, "priv/lock/l", NULL, 0 },
    };
    g_autoptr(Bench) bench = bench_new(false);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        UpdateResult result =
            bench_update(bench, make(cases[i].what, cases[i].path, cases[i].other));
        g_test_message("%zu: %d '%s' '%s'", i, cases[i].what, cases[i].path, cases[i].other);
        g_assert_cmpint(update_code_errno(result.code), ==, cases[i].errnum);
    }
    TreeGuest guest;
    g_assert_true(tree_guest(replica_tree(bench->replica), 100, &guest));
    g_assert_cmpstr(guest.node, ==, "a");
}

static void
test_patch_keeps_the_rest(void)
{
    g_autoptr(Bench) bench = bench_new(false);
    g_autoptr(GBytes) data = g_bytes_new_static("XY", 2);

    g_assert_cmpint(bench_write(bench, "f", "abcdef"), ==, UPDATE_DONE);
    Update *update = update_new();
    update_patch(update, "f", -1, &(UpdateRange){ 2, data }, 1);
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    g_autofree char *patched = bench_read(bench, "f");
    g_assert_cmpstr(patched, ==, "abXYef");

    update = update_new();
    update_patch(update, "f", 1, &(UpdateRange){ 4, data }, 1);
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_DONE);
    const TreeEntry *entry = tree_lookup(replica_tree(bench->replica), "f");
    g_assert_cmpmem(g_bytes_get_data(entry->data, NULL), tree_entry_size(entry), "a\0\0\0XY", 6);
}

static void
test_limits(void)
{
    g_autoptr(Bench) bench = bench_new(false);
    g_autofree char *name = g_strnfill(TREE_NAME_MAX, 'n');
    g_autofree char *long_name = g_strnfill(TREE_NAME_MAX + 1, 'n');
    g_autofree char *big = g_strnfill(TREE_FILE_MAX, 'b');
    g_autoptr(GBytes) x = g_bytes_new_static("x", 1);

    g_assert_cmpint(bench_write(bench, name, "x"), ==, UPDATE_DONE);
    g_assert_cmpint(bench_write(bench, long_name, "x"), ==, UPDATE_NAME_TOO_LONG);
    g_assert_cmpint(bench_write(bench, "big", big), ==, UPDATE_DONE);
    Update *update = update_new();
    update_patch(update, "big", -1, &(UpdateRange){ TREE_FILE_MAX, x }, 1);
    g_assert_cmpint(bench_update(bench, update).code, ==, UPDATE_TOO_BIG);
    for (int i = 1; i < TREE_BYTES_MAX / TREE_FILE_MAX; i++) {
        g_autofree char *path = g_strdup_printf("big%d", i);
        UpdateCode code = bench_write(bench, path, big);
        g_assert_cmpint(code, ==,
                        i < TREE_BYTES_MAX / TREE_FILE_MAX - 1 ? UPDATE_DONE : UPDATE_FULL);
    }
}

/* All or nothing: what came before the change that fails is taken back. */
static void
test_atomic(void)
{
    g_autoptr(Bench) bench = bench_new(false);
    Update *update = update_new();

    bench_write(bench, "f", "old");
    Digest before = tree_figures(replica_tree(bench->replica)).digest;
    g_autoptr(GBytes) new = g_bytes_new_static("new", 3);
    update_write(update, "f", new);
    update_mkdir(update, "d");
    update_remove(update, "none");
    UpdateResult result = bench_update(bench, update);
    g_assert_cmpint(result.code, ==, UPDATE_NOT_FOUND);
    g_assert_cmpint(result.which, ==, 2);
    g_assert_true(digest_equal(before, tree_figures(replica_tree(bench->replica)).digest));
}

static void
test_conditions(void)
{
    g_autoptr(Bench) bench = bench_new(false);

    bench_write(bench, "f", "1");
    uint64_t version = tree_lookup(replica_tree(bench->replica), "f")->version;
    static const struct {
        uint64_t add;
        UpdateCode code;
    } cases[] = { { 1, UPDATE_CONFLICT }, { 0, UPDATE_DONE }, { 0, UPDATE_CONFLICT } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GBytes) text = g_bytes_new_static("2", 1);
        Update *update = update_new();
        update_if_version(update, "none", 0);
        update_if_version(update, "f", version + cases[i].add);
        update_write(update, "f", text);
        UpdateResult result = bench_update(bench, update);
        g_assert_cmpint(result.code, ==, cases[i].code);
        g_assert_cmpint(result.which, ==, result.code == UPDATE_CONFLICT ? 1 : 0);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cfs/core/updates/errno", test_errno);
    g_test_add_func("/cfs/core/updates/patch", test_patch_keeps_the_rest);
    g_test_add_func("/cfs/core/updates/limits", test_limits);
    g_test_add_func("/cfs/core/updates/atomic", test_atomic);
    g_test_add_func("/cfs/core/updates/conditions", test_conditions);
    return g_test_run();
}
