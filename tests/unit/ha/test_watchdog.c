#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "ha/watchdog_client.h"
#include "ha/watchdog_server.h"
#include "ha/watchdog_wire.h"
#include "sys/clock.h"
#include "sys/file.h"

/* A device that says what was done to it; the server under test in a thread of its own. */
typedef struct {
    char *folder;
    char *device_path, *socket_path, *deadlines_path;
    int listener;
    GThread *device_thread, *server_thread;
    int stop_device, stop_server;
    int fed, closed, opened; /* atomic */
    int timeout_s;
} Bench;

static void
obey(Bench *bench, const char *text)
{
    if (text[0] == 'T') {
        bench->timeout_s = (int)g_ascii_strtoll(text + 1, NULL, 10);
    } else if (text[0] == 'K') {
        g_atomic_int_inc(&bench->fed);
    } else if (text[0] == 'V') {
        g_atomic_int_inc(&bench->closed);
    }
}

static gpointer
run_device(gpointer data)
{
    Bench *bench = data;
    int client = -1;

    for (;;) {
        struct pollfd set[3] = { { bench->stop_device, POLLIN },
                                 { bench->listener, POLLIN },
                                 { client, POLLIN } };
        char text[64], answer[64];

        poll(set, 3, -1);
        if (set[0].revents != 0) {
            close(client);
            return NULL;
        }
        if (set[1].revents != 0) {
            client = accept(bench->listener, NULL, NULL);
            g_atomic_int_inc(&bench->opened);
            continue;
        }
        ssize_t got = recv(client, text, sizeof text - 1, 0);
        if (got <= 0) {
            close(client);
            client = -1;
            continue;
        }
        text[got] = '\0';
        obey(bench, text);
        int length = g_snprintf(answer, sizeof answer, "T %d 1000", bench->timeout_s);
        send(client, answer, length, MSG_NOSIGNAL);
    }
}

static gpointer
run_server(gpointer data)
{
    Bench *bench = data;
    WatchdogSettings settings = {
        .socket_path = bench->socket_path,
        .deadlines_path = bench->deadlines_path,
        .device_path = bench->device_path,
        .timeout_s = 2,
        .granularity_ms = -1,
    };
    g_autoptr(GError) error = NULL;

    g_assert_true(watchdog_server_run(&settings, bench->stop_server, &error));
    return NULL;
}

static void
start_server(Bench *bench)
{
    bench->stop_server = eventfd(0, EFD_CLOEXEC);
    bench->server_thread = g_thread_new("server", run_server, bench);
    for (int i = 0; i < 200 && access(bench->socket_path, F_OK) != 0; i++) {
        g_usleep(10000);
    }
}

static void
stop_server(Bench *bench)
{
    uint64_t one = 1;

    g_assert_cmpint(write(bench->stop_server, &one, sizeof one), ==, sizeof one);
    g_thread_join(bench->server_thread);
    close(bench->stop_server);
}

static void
bench_start(Bench *bench, gconstpointer data)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    bench->folder = g_dir_make_tmp("watchdog-XXXXXX", NULL);
    bench->device_path = g_build_filename(bench->folder, "device", NULL);
    bench->socket_path = g_build_filename(bench->folder, "socket", NULL);
    bench->deadlines_path = g_build_filename(bench->folder, "deadlines", NULL);
    bench->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, bench->device_path, sizeof address.sun_path);
    g_assert_cmpint(bind(bench->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(bench->listener, 4), ==, 0);
    bench->timeout_s = 60;
    bench->stop_device = eventfd(0, EFD_CLOEXEC);
    bench->device_thread = g_thread_new("device", run_device, bench);
    if (data != NULL) {
        g_assert_true(q_file_write_atomic(bench->deadlines_path, data, strlen(data), 0600, NULL));
    }
    start_server(bench);
}

static void
bench_stop(Bench *bench, gconstpointer data)
{
    uint64_t one = 1;

    stop_server(bench);
    g_assert_cmpint(write(bench->stop_device, &one, sizeof one), ==, sizeof one);
    g_thread_join(bench->device_thread);
    close(bench->listener);
    close(bench->stop_device);
    unlink(bench->device_path);
    unlink(bench->deadlines_path);
    g_assert_cmpint(rmdir(bench->folder), ==, 0);
    g_free(bench->folder);
    g_free(bench->device_path);
    g_free(bench->socket_path);
    g_free(bench->deadlines_path);
}

static WatchdogAnswer
ask(Bench *bench, uint32_t verb, uint64_t sequence, int64_t left_ms)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    WatchdogRequest request = {
        .magic = WATCHDOG_MAGIC,
        .verb = verb,
        .epoch = sequence > 0 ? 7 : 0,
        .sequence = sequence,
        .deadline_boot_ms = left_ms != 0 ? q_clock_boot_ms() + left_ms : 0,
        .deadline_raw_ms = left_ms != 0 ? q_clock_raw_ms() + left_ms : 0,
    };
    WatchdogAnswer answer = { 0 };

    g_strlcpy(address.sun_path, bench->socket_path, sizeof address.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(send(fd, &request, sizeof request, 0), ==, sizeof request);
    g_assert_cmpint(recv(fd, &answer, sizeof answer, 0), ==, sizeof answer);
    close(fd);
    g_assert_cmpuint(answer.magic, ==, WATCHDOG_MAGIC);
    return answer;
}

static int
fed_within(Bench *bench, int ms)
{
    int before = g_atomic_int_get(&bench->fed);

    g_usleep(ms * 1000);
    return g_atomic_int_get(&bench->fed) - before;
}

static void
test_closed_until_armed(Bench *bench, gconstpointer data)
{
    WatchdogAnswer answer = ask(bench, WATCHDOG_ASK, 0, 0);

    g_assert_cmpuint(answer.status, ==, 0);
    g_assert_cmpuint(answer.timeout_ms, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&bench->opened), ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 1, 9000).status, ==, ENODEV);

    answer = ask(bench, WATCHDOG_ARM, 0, 0);
    g_assert_cmpuint(answer.status, ==, 0);
    g_assert_cmpuint(answer.timeout_ms, ==, 2000);
    g_assert_cmpuint(answer.granularity_ms, ==, 0);
    g_assert_cmpint(fed_within(bench, 800), >=, 2); /* nobody has promised: it is kept alive */

    g_assert_cmpuint(ask(bench, WATCHDOG_CLOSE, 0, 0).status, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 1);
}

static void
test_feeds_as_promised(Bench *bench, gconstpointer data)
{
    g_assert_cmpuint(ask(bench, WATCHDOG_ARM, 0, 0).status, ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 1, 60000).status, ==, 0);
    g_assert_cmpint(fed_within(bench, 800), >=, 2);

    /* Another owner's nearer deadline rules: now + H is past it. */
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 2, 1500).status, ==, 0);
    fed_within(bench, 20);
    g_assert_cmpint(fed_within(bench, 800), ==, 0);

    /* Gone in order, the other one's counts again. */
    g_assert_cmpuint(ask(bench, WATCHDOG_CLOSE, 3, 0).status, ==, EPERM);
    g_assert_cmpuint(ask(bench, WATCHDOG_CLOSE, 2, 0).status, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 0);
    g_assert_cmpint(fed_within(bench, 800), >=, 2);
    g_assert_cmpuint(ask(bench, WATCHDOG_CLOSE, 1, 0).status, ==, 0);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 1);
}

static void
test_late_promise_is_refused(Bench *bench, gconstpointer data)
{
    g_assert_cmpuint(ask(bench, WATCHDOG_ARM, 0, 0).status, ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 1, 100).status, ==, 0);
    g_usleep(200000);
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 1, 60000).status, ==, ETIME);
    g_assert_cmpint(fed_within(bench, 600), ==, 0);
}

static void
test_restart_forgets_nothing(Bench *bench, gconstpointer data)
{
    g_assert_cmpuint(ask(bench, WATCHDOG_ARM, 0, 0).status, ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_PROMISE, 1, 6000).status, ==, 0);
    stop_server(bench);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 0);
    start_server(bench);
    g_assert_cmpint(fed_within(bench, 800), >=, 2);
    g_assert_cmpint(ask(bench, WATCHDOG_ASK, 0, 0).deadline_ms, >, q_clock_boot_ms());
    stop_server(bench);
    g_usleep(4500000); /* H = 2 s no longer fits before the deadline */
    start_server(bench);
    g_assert_cmpint(fed_within(bench, 800), ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_ARM, 0, 0).status, ==, EBUSY);
}

static void
test_damaged_file_feeds_nothing(Bench *bench, gconstpointer data)
{
    g_assert_cmpint(fed_within(bench, 700), ==, 0);
    g_assert_cmpuint(ask(bench, WATCHDOG_ARM, 0, 0).status, ==, EBUSY);
    g_assert_cmpuint(ask(bench, WATCHDOG_CLOSE, 1, 0).status, ==, EPERM);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 0);
}

/* ------------------------------------------------------------------ the local manager's side */

static const HaGeneration owner = { 7, 1 };

static void
on_news(gpointer data)
{
}

static void
turn(int ms)
{
    int64_t until = q_clock_boot_ms() + ms;

    do {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        g_usleep(1000);
    } while (q_clock_boot_ms() < until);
}

static HaTime
in_ms(int64_t ms)
{
    return (HaTime){ q_clock_boot_ms() + ms, q_clock_raw_ms() + ms };
}

static void
test_client(Bench *bench, gconstpointer data)
{
    g_autoptr(WatchdogClient) client =
        watchdog_client_new(bench->socket_path, bench->deadlines_path, on_news, NULL);
    HaTime deadline = in_ms(30000), kept;
    HaGeneration kept_owner;

    turn(30);
    g_assert_cmpint(watchdog_client_arm(client), ==, HA_PENDING);
    turn(30);
    g_assert_cmpint(watchdog_client_arm(client), ==, HA_DONE);
    g_assert_cmpint(watchdog_client_timeout_ms(client), ==, 2000);
    g_assert_false(watchdog_client_deadline(client, &kept_owner, &kept));
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_PENDING);
    turn(30);
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_DONE);
    g_assert_true(watchdog_client_deadline(client, &kept_owner, &kept));
    g_assert_cmpint(kept.boot_ms, ==, deadline.boot_ms);

    /* Promised while watchdogd is away: kept for it, and nobody is told that it cannot be. */
    stop_server(bench);
    turn(30);
    deadline = in_ms(40000);
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_PENDING);
    start_server(bench);
    turn(300);
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_DONE);
    g_assert_cmpint(fed_within(bench, 800), >=, 2);

    g_assert_cmpint(watchdog_client_close(client, owner), ==, HA_PENDING);
    turn(30);
    g_assert_cmpint(watchdog_client_close(client, owner), ==, HA_DONE);
    g_assert_cmpint(g_atomic_int_get(&bench->closed), ==, 1);
}

static void
test_client_too_late(Bench *bench, gconstpointer data)
{
    g_autoptr(WatchdogClient) client =
        watchdog_client_new(bench->socket_path, bench->deadlines_path, on_news, NULL);

    turn(30);
    watchdog_client_arm(client);
    turn(30);
    watchdog_client_promise(client, owner, in_ms(50));
    turn(100);
    HaTime deadline = in_ms(30000);
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_PENDING);
    turn(30);
    g_assert_cmpint(watchdog_client_promise(client, owner, deadline), ==, HA_REFUSED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, file, func)                                                                      \
    g_test_add("/ha/watchdog/" name, Bench, file, bench_start, func, bench_stop)
    ADD("closed-until-armed", NULL, test_closed_until_armed);
    ADD("feeds-as-promised", NULL, test_feeds_as_promised);
    ADD("late-promise", NULL, test_late_promise_is_refused);
    ADD("restart", NULL, test_restart_forgets_nothing);
    ADD("damaged-file", "armed\n7.1 12", test_damaged_file_feeds_nothing);
    ADD("client", NULL, test_client);
    ADD("client-too-late", NULL, test_client_too_late);
    return g_test_run();
}
