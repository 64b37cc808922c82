#include "base/error.h"
#include <errno.h>

static void
test_names(void)
{
    for (QError code = 0; code < Q_ERROR_CODES; code++) {
        g_assert_cmpint(q_error_code_parse(q_error_code_name(code)), ==, code);
    }
    g_assert_cmpint(q_error_code_parse("NO_SUCH_CODE"), ==, Q_ERROR_INTERNAL);
}

static void
test_prefix(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(q_set_error(&error, Q_ERROR_BUSY, "held by %s", "node2"));
    g_assert_false(q_prefix_error(&error, "lease '%s': ", "x"));
    g_assert_error(error, Q_ERROR, Q_ERROR_BUSY);
    g_assert_cmpstr(error->message, ==, "lease 'x': held by node2");
    g_assert_false(q_prefix_error(NULL, "nobody asked"));
    g_assert_false(q_set_error(NULL, Q_ERROR_BUSY, "nobody asked"));
}

static void
test_errno(void)
{
    /* clang-format off */
    static const struct {
        int errnum;
        QError code;
    } cases[] = {
        { ENOENT, Q_ERROR_NOT_FOUND }, { EACCES, Q_ERROR_DENIED }, { ENOSPC, Q_ERROR_FULL },
        { EEXIST, Q_ERROR_EXISTS },    { EIO, Q_ERROR_IO },        { ECONNREFUSED, Q_ERROR_UNREACHABLE },
    };
    /* clang-format on */
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        q_set_error_errno(&error, cases[i].errnum, "opening it");
        g_assert_error(error, Q_ERROR, cases[i].code);
        g_assert_true(g_str_has_prefix(error->message, "opening it: "));
    }
}

static void
test_status(void)
{
    g_autoptr(GError) usage = g_error_new(Q_ERROR, Q_ERROR_INVALID, "x");
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x");

    g_assert_cmpint(q_error_http_status(usage), ==, 400);
    g_assert_cmpint(q_error_exit_code(usage), ==, 255);
    g_assert_cmpint(q_error_http_status(foreign), ==, 500);
    g_assert_cmpint(q_error_exit_code(foreign), ==, 1);
}

static void
test_blame(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(q_error_blame(&error, "memory", "got '%s'", "x"));
    g_assert_false(q_error_blame(&error, "cores", "too many"));
    g_assert_error(error, Q_ERROR, Q_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, "Parameter verification failed.");
    g_autoptr(GError) copy = g_error_copy(error);
    q_error_set_http_status(error, 424);
    g_assert_cmpint(q_error_http_status(error), ==, 424);
    g_assert_cmpint(q_error_http_status(copy), ==, 400);
    const GPtrArray *blames = q_error_blames(copy);
    g_assert_cmpuint(blames->len, ==, 4);
    g_assert_cmpstr(blames->pdata[0], ==, "memory");
    g_assert_cmpstr(blames->pdata[1], ==, "got 'x'");
    g_assert_cmpstr(blames->pdata[3], ==, "too many");
    g_autoptr(GError) other = g_error_new_literal(G_MARKUP_ERROR, 0, "other");
    g_assert_null(q_error_blames(other));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/names", test_names);
    g_test_add_func("/error/prefix", test_prefix);
    g_test_add_func("/error/errno", test_errno);
    g_test_add_func("/error/status", test_status);
    g_test_add_func("/error/blame", test_blame);
    return g_test_run();
}
