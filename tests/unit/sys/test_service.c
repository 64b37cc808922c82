#include "sys/service.h"
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/loop.h"

/* What a supervisor would hear, on a socket of our own. */
static void
test_notify(void)
{
    g_autofree char *dir = g_dir_make_tmp("quorate-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "notify", NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char heard[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    q_notify("READY=1");
    g_assert_cmpint(recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT), ==, 7);
    g_assert_cmpstr(heard, ==, "READY=1");
    g_unsetenv("NOTIFY_SOCKET");
    q_notify("READY=1"); /* nobody listens: nothing happens */
    close(fd);
    unlink(path);
    rmdir(dir);
}

static gboolean
quit_soon(gpointer data)
{
    q_loop_quit(7);
    return G_SOURCE_REMOVE;
}

static void
test_loop(void)
{
    int64_t began = q_clock_mono_ms();

    g_timeout_add(20, quit_soon, NULL);
    g_assert_cmpint(q_loop_run(), ==, 7);
    g_assert_cmpint(q_clock_mono_ms() - began, >=, 15);
}

static gboolean
raise_term(gpointer data)
{
    kill(getpid(), SIGTERM);
    return G_SOURCE_REMOVE;
}

static void
test_signal(void)
{
    g_idle_add(raise_term, NULL);
    g_assert_cmpint(q_loop_run(), ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/service/notify", test_notify);
    g_test_add_func("/loop/quit", test_loop);
    g_test_add_func("/loop/signal", test_signal);
    return g_test_run();
}
