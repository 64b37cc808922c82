#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab/socket.h"
#include "lab/watchdog.h"

static char *path;
static int expired;

static void
on_expired(gpointer data)
{
    expired++;
}

/* Lets the device serve for a while. */
static void
serve(int ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;

    while (g_get_monotonic_time() < end) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(1000);
    }
}

static int
open_device(void)
{
    g_autoptr(GError) error = NULL;
    int fd = lab_socket_connect(path, SOCK_SEQPACKET, &error);

    g_assert_no_error(error);
    serve(20);
    return fd;
}

/* Returns: LEFT_MS; checks the timeout. */
static int
say(int fd, const char *word, int timeout_s)
{
    char answer[64] = "";
    int seconds, left;

    g_assert_cmpint(send(fd, word, strlen(word), 0), >, 0);
    serve(20);
    g_assert_cmpint(recv(fd, answer, sizeof answer - 1, MSG_DONTWAIT), >, 0);
    g_assert_cmpint(sscanf(answer, "T %d %d", &seconds, &left), ==, 2);
    g_assert_cmpint(seconds, ==, timeout_s);
    return left;
}

static void
test_words(void)
{
    g_autoptr(GError) error = NULL;
    LabWatchdog *watchdog = lab_watchdog_new(path, on_expired, NULL, &error);
    char byte;

    g_assert_no_error(error);
    int fd = open_device();
    g_assert_cmpint(say(fd, "?", 60), >, 59000); /* connecting starts it */
    g_assert_cmpint(say(fd, "T 5", 5), >, 4000);
    g_assert_cmpint(say(fd, "T 0", 5), >, 4000); /* what cannot be is not taken */
    g_assert_cmpint(say(fd, "T x", 5), >, 4000);
    serve(200);
    g_assert_cmpint(say(fd, "?", 5), <, 4850); /* asking does not feed */
    g_assert_cmpint(say(fd, "K", 5), >, 4900);

    int second = open_device();
    g_assert_cmpint(recv(second, &byte, 1, 0), ==, 0); /* one client at a time */
    close(second);

    g_assert_cmpint(say(fd, "V", 5), ==, -1);
    close(fd);
    lab_watchdog_reset(watchdog);
}

static void
test_left_running(void)
{
    g_autoptr(GError) error = NULL;
    LabWatchdog *watchdog = lab_watchdog_new(path, on_expired, NULL, &error);
    int fd = open_device();

    expired = 0;
    say(fd, "T 1", 1);
    close(fd);
    serve(300);
    fd = open_device(); /* who comes next finds it running, not fed */
    g_assert_cmpint(say(fd, "?", 1), <, 750);
    serve(400);
    g_assert_cmpint(expired, ==, 0);
    serve(500);
    g_assert_cmpint(expired, ==, 1);

    say(fd, "K", 1);
    lab_watchdog_reset(watchdog); /* the host lost its power */
    serve(1200);
    g_assert_cmpint(expired, ==, 1);
    close(fd);
}

int
main(int argc, char **argv)
{
    g_autofree char *folder = g_dir_make_tmp("lab-XXXXXX", NULL);

    g_test_init(&argc, &argv, NULL);
    /* Longer than sun_path takes: such paths are reached all the same. */
    g_autofree char *deep =
        g_build_filename(folder, "a-folder-with-a-name-that-is-rather-long-0123456789",
                         "and-another-one-with-a-name-that-is-rather-long-0123456789", NULL);
    g_assert_cmpint(g_mkdir_with_parents(deep, 0700), ==, 0);
    path = g_build_filename(deep, "watchdog", NULL);
    g_assert_cmpuint(strlen(path), >, 108);
    g_test_add_func("/lab/watchdog/words", test_words);
    g_test_add_func("/lab/watchdog/left-running", test_left_running);
    int status = g_test_run();
    unlink(path);
    rmdir(deep);
    g_autofree char *parent = g_path_get_dirname(deep);
    rmdir(parent);
    rmdir(folder);
    return status;
}
