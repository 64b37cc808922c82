#include "sys/process.h"
#include <string.h>
#include <unistd.h>
#include "sys/clock.h"

static void
test_output(void)
{
    const char *argv[] = { "sh", "-c", "cat; echo \"$WORD\"; echo bad >&2; exit 3", NULL };
    const char *env[] = { "WORD=here", NULL };
    g_autofree char *out = NULL, *err = NULL;
    g_autoptr(GError) error = NULL;
    int status = q_run(argv, &(QRunOptions){ .input = "in\n", .env = env }, &out, &err, &error);

    g_assert_no_error(error);
    g_assert_cmpint(status, ==, 3);
    g_assert_cmpstr(out, ==, "in\nhere\n");
    g_assert_cmpstr(err, ==, "bad\n");
    g_assert_false(q_run_ok(argv, NULL, NULL, &error));
    g_assert_cmpstr(error->message, ==, "'sh' failed with status 3: bad");
}

static void
test_timeout(void)
{
    /* The grandchild holds the pipe: only a kill of the whole group ends this in time. */
    const char *argv[] = { "sh", "-c", "sleep 30 & wait", NULL };
    g_autofree char *out = NULL;
    g_autoptr(GError) error = NULL;
    int64_t began = q_clock_mono_ms();

    g_assert_cmpint(q_run(argv, &(QRunOptions){ .timeout_ms = 100 }, &out, NULL, &error), ==, -1);
    g_assert_error(error, Q_ERROR, Q_ERROR_TIMEOUT);
    g_assert_cmpint(q_clock_mono_ms() - began, <, 10000);
}

static void
test_missing(void)
{
    const char *argv[] = { "quorate-no-such-program", NULL };
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(q_run(argv, NULL, NULL, NULL, &error), ==, -1);
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
}

static void
test_large_output(void)
{
    const char *argv[] = { "head", "-c", "3000000", "/dev/zero", NULL };
    g_autofree char *out = NULL;

    g_assert_cmpint(q_run(argv, NULL, &out, NULL, NULL), ==, 0);
}

static void
test_alive(void)
{
    uint64_t ticks = q_process_start_ticks(getpid());

    g_assert_cmpuint(ticks, >, 0);
    g_assert_true(q_process_alive(getpid(), ticks));
    g_assert_false(q_process_alive(getpid(), ticks + 1));
    g_assert_cmpuint(q_process_start_ticks(-5), ==, 0);
}

static void
test_names(void)
{
    g_autofree char *boot = q_boot_id(), *node = q_node_name();

    g_assert_cmpuint(strlen(boot), >, 37);
    g_assert_null(strchr(node, '.'));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/process/output", test_output);
    g_test_add_func("/process/timeout", test_timeout);
    g_test_add_func("/process/missing", test_missing);
    g_test_add_func("/process/large-output", test_large_output);
    g_test_add_func("/process/alive", test_alive);
    g_test_add_func("/process/names", test_names);
    return g_test_run();
}
