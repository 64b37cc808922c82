#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "storage/core/storage_cfg.h"
#include "storage/deadline.h"
#include "storage/plugin.h"

/* A storage in a folder of its own; removed at the end. */
typedef struct {
    char *path;
    StorageConfig *config;
    const QSection *section;
} Place;

static Place
place(const char *more)
{
    Place p = { g_dir_make_tmp("storage-XXXXXX", NULL) };
    g_autofree char *text = g_strdup_printf("dir: test\n\tpath %s\n%s\n", p.path, more);

    p.config = storage_config_parse(text);
    p.section = storage_config_find(p.config, "test", NULL);
    g_assert_nonnull(p.section);
    return p;
}

static void
place_end(Place *p)
{
    const char *const argv[] = { "rm", "-rf", p->path, NULL };

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
    storage_config_free(p->config);
    g_free(p->path);
}

static char *
make(const Place *p, uint32_t vmid, const char *name, const char *format, uint64_t bytes)
{
    g_autoptr(GError) error = NULL;
    char *made = storage_dir.reserve(p->section, vmid, name, format, &error);

    g_assert_no_error(error);
    g_assert_true(storage_dir.make(p->section, made, format, bytes, &error));
    g_assert_no_error(error);
    return made;
}

static void
test_life(void)
{
    Place p = place("");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) volumes =
        g_ptr_array_new_with_free_func((GDestroyNotify)storage_volume_free);

    g_assert_true(storage_dir.activate(p.section, &error));
    g_autofree char *raw = make(&p, 100, NULL, "raw", 1 << 20);
    g_autofree char *qcow2 = make(&p, 100, NULL, "qcow2", 3 << 20);
    g_assert_cmpstr(raw, ==, "100/vm-100-disk-0.raw");
    g_assert_cmpstr(qcow2, ==,
                    "100/vm-100-disk-1.qcow2"); /* a number once, whatever the extension */
    g_assert_true(storage_dir.free(p.section, raw, &error));
    g_autofree char *again = make(&p, 100, NULL, "qcow2", 1 << 20);
    g_assert_cmpstr(again, ==, "100/vm-100-disk-0.qcow2");
    g_assert_true(storage_dir.list(p.section, NULL, 100, volumes, &error));
    g_assert_cmpuint(volumes->len, ==, 2);
    g_autoptr(StorageVolume) stat = storage_dir.stat(p.section, qcow2, &error);
    g_assert_cmpuint(stat->size_bytes, ==, 3 << 20);
    g_assert_cmpstr(stat->format, ==, "qcow2");
    g_assert_false(storage_dir.free(p.section, raw, &error)); /* gone already */
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    place_end(&p);
}

static void
test_refused(void)
{
    Place p = place("");
    static const struct {
        const char *name, *format;
    } cases[] = { { "../x.raw", "raw" }, { "a/b.raw", "raw" }, { ".x.raw", "raw" },
                  { "x.qcow2", "raw" },  { "x y.raw", "raw" }, { NULL, "subvol" },
                  { NULL, "../../etc" } };

    g_assert_true(storage_dir.activate(p.section, NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s %s", cases[i].name, cases[i].format);
        g_assert_null(storage_dir.reserve(p.section, 100, cases[i].name, cases[i].format, &error));
        g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    }
    g_autofree char *made = make(&p, 100, "vm-100-own.raw", "raw", 4096);
    g_autoptr(GError) error = NULL;
    g_assert_null(storage_dir.reserve(p.section, 100, "vm-100-own.raw", "raw", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_EXISTS);
    g_clear_error(&error);
    g_assert_false(storage_dir.room(p.section, "raw", (uint64_t)1 << 55, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_FULL);
    place_end(&p);
}

static void
test_protected(void)
{
    Place p = place("\tcontent images,backup\n");
    g_autofree char *base = NULL, *dump = NULL, *guard = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(storage_dir.activate(p.section, NULL));
    dump = g_build_filename(p.path, "dump/vzdump-qemu-100-x.vma", NULL);
    guard = g_strconcat(dump, ".protected", NULL);
    g_assert_true(g_file_set_contents(dump, "x", 1, NULL)
                  && g_file_set_contents(guard, "", 0, NULL));
    g_assert_false(storage_dir.free(p.section, "backup/vzdump-qemu-100-x.vma", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_clear_error(&error);

    base = make(&p, 100, "base-100-disk-0.raw", "raw", 1 << 20);
    g_autofree char *folder = g_build_filename(p.path, "images/101", NULL);
    g_autofree char *clone = g_build_filename(folder, "vm-101-disk-0.qcow2", NULL);
    g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
    const char *const argv[] = { "qemu-img", "create", "-q",
                                 "-f",       "qcow2",  "-F",
                                 "raw",      "-b",     "../100/base-100-disk-0.raw",
                                 clone,      NULL };
    int status = -1;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_false(storage_dir.free(p.section, base, &error)); /* a clone stands on it */
    g_assert_error(error, Q_ERROR, Q_ERROR_BUSY);
    place_end(&p);
}

static void
test_mountpoint(void)
{
    Place p = place("\tis_mountpoint yes\n");
    StorageStatus status = { 0 };
    g_autoptr(GError) error = NULL;

    g_assert_false(storage_dir.activate(p.section, &error));
    g_assert_nonnull(strstr(error->message, "is not mounted"));
    storage_dir.status(p.section, &status);
    g_assert_false(status.active);
    storage_status_clear(&status);
    place_end(&p);
}

static void
sleep_long(gpointer data)
{
    g_usleep(300000);
}

static void
test_deadline(void)
{
    gint64 began_us = g_get_monotonic_time();

    g_assert_false(storage_within(50, sleep_long, g_malloc(1), g_free));
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 250000);
    gpointer data = g_malloc(1);
    g_assert_true(storage_within(5000, sleep_long, data, g_free));
    g_free(data);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/storage/dir/life", test_life);
    g_test_add_func("/storage/dir/refused", test_refused);
    g_test_add_func("/storage/dir/protected", test_protected);
    g_test_add_func("/storage/dir/mountpoint", test_mountpoint);
    g_test_add_func("/storage/dir/deadline", test_deadline);
    return g_test_run();
}
