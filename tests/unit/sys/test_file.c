#include "sys/file.h"
#include <glib/gstdio.h>
#include <sys/stat.h>

static char *
temp_dir(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("quorate-test-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

static void
test_atomic(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    g_autoptr(GError) error = NULL;
    struct stat st;
    size_t length;

    g_assert_true(q_file_write_atomic(path, "old", 3, 0600, &error));
    g_assert_true(q_file_write_atomic(path, "new\0x", 5, 0640, &error));
    g_autofree char *text = q_file_read(path, 100, &length, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(text, length, "new\0x", 5);
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0640);
    g_assert_null(q_file_read(path, 4, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_FULL);
    g_unlink(path);
    /* Nothing but the file itself was left behind, so the folder is empty now. */
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void
test_attempts(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *path = g_build_filename(dir, "file", NULL);
    g_autofree char *attempt = g_build_filename(dir, ".file.tmp.4711", NULL);
    g_autofree char *other = g_build_filename(dir, ".other.tmp.4711", NULL);

    g_assert_true(g_file_set_contents(attempt, "half", -1, NULL));
    g_assert_true(g_file_set_contents(other, "half", -1, NULL));
    q_file_forget_attempts(path);
    g_assert_false(g_file_test(attempt, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
    g_unlink(other);
    g_rmdir(dir);
}

static void
test_missing(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(q_file_read("/nonexistent/file", 10, NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(q_file_write_atomic("/nonexistent/file", "x", 1, 0600, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
}

static void
test_lock(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    g_autoptr(GError) error = NULL;
    QFileLock *first = q_file_lock(path, 0, &error);

    g_assert_nonnull(first);
    g_assert_null(q_file_lock(path, 50, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_BUSY);
    g_assert_true(g_str_has_suffix(error->message, "' - got timeout"));
    q_file_unlock(first);
    g_clear_error(&error);
    g_autoptr(QFileLock) second = q_file_lock(path, 0, &error);
    g_assert_nonnull(second);
    g_unlink(path);
    g_rmdir(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/file/atomic", test_atomic);
    g_test_add_func("/file/attempts", test_attempts);
    g_test_add_func("/file/missing", test_missing);
    g_test_add_func("/file/lock", test_lock);
    return g_test_run();
}
