#include "lab/watchdog.h"
#include <glib-unix.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab/socket.h"
#include "sys/clock.h"

enum { DEFAULT_TIMEOUT_S = 60, TIMEOUT_MAX_S = 65535, MESSAGE_MAX_BYTES = 64 };

struct LabWatchdog {
    int listener, client; /* -1: none */
    guint client_source, timer;
    int timeout_s;
    int64_t deadline_ms; /* 0: does not run */
    void (*expired)(gpointer data);
    gpointer data;
};

static gboolean on_deadline(gpointer data);

static void
stop(LabWatchdog *watchdog)
{
    watchdog->deadline_ms = 0;
    if (watchdog->timer != 0) {
        g_source_remove(watchdog->timer);
        watchdog->timer = 0;
    }
}

static void
feed(LabWatchdog *watchdog)
{
    stop(watchdog);
    watchdog->deadline_ms = q_clock_mono_ms() + watchdog->timeout_s * 1000;
    watchdog->timer = g_timeout_add_full(G_PRIORITY_HIGH, watchdog->timeout_s * 1000, on_deadline,
                                         watchdog, NULL);
}

static gboolean
on_deadline(gpointer data)
{
    LabWatchdog *watchdog = data;

    watchdog->timer = 0;
    watchdog->deadline_ms = 0;
    watchdog->expired(watchdog->data);
    return G_SOURCE_REMOVE;
}

static void
drop_client(LabWatchdog *watchdog)
{
    if (watchdog->client >= 0) {
        g_source_remove(watchdog->client_source);
        close(watchdog->client);
        watchdog->client = -1;
    }
}

static void
obey(LabWatchdog *watchdog, const char *text)
{
    char *end;
    long seconds;

    switch (text[0]) {
    case 'T':
        seconds = strtol(text + 1, &end, 10);
        if (end != text + 1 && seconds >= 1 && seconds <= TIMEOUT_MAX_S) {
            watchdog->timeout_s = seconds; /* else the answer shows that it was not taken */
        }
        feed(watchdog);
        break;
    case 'K':
        feed(watchdog);
        break;
    case 'V':
        stop(watchdog);
        break;
    default:
        break;
    }
}

static gboolean
on_client(int fd, GIOCondition condition, gpointer data)
{
    LabWatchdog *watchdog = data;
    char text[MESSAGE_MAX_BYTES], answer[MESSAGE_MAX_BYTES];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    if (got <= 0) {
        drop_client(watchdog);
        return G_SOURCE_REMOVE;
    }
    text[got] = '\0';
    obey(watchdog, text);
    int64_t left =
        watchdog->deadline_ms == 0 ? -1 : MAX(watchdog->deadline_ms - q_clock_mono_ms(), 0);
    int length = snprintf(answer, sizeof answer, "T %d %lld", watchdog->timeout_s, (long long)left);
    (void)!send(fd, answer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return G_SOURCE_CONTINUE;
}

/* As open(2) of a watchdog says EBUSY: a second client is shown the door, unless the first is gone
 * and we have only not been told yet. */
static bool
client_is_there(LabWatchdog *watchdog)
{
    struct pollfd client = { .fd = watchdog->client };

    return watchdog->client >= 0 && (poll(&client, 1, 0) == 0 || !(client.revents & POLLHUP));
}

static gboolean
on_connect(int fd, GIOCondition condition, gpointer data)
{
    LabWatchdog *watchdog = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (client_is_there(watchdog)) {
        close(client);
        return G_SOURCE_CONTINUE;
    }
    /* What the client that left had still to say comes first: its "V", for example. */
    while (watchdog->client >= 0) {
        on_client(watchdog->client, G_IO_IN, watchdog);
    }
    watchdog->client = client;
    watchdog->client_source =
        g_unix_fd_add_full(G_PRIORITY_HIGH, client, G_IO_IN | G_IO_HUP, on_client, watchdog, NULL);
    if (watchdog->deadline_ms == 0) {
        feed(watchdog);
    }
    return G_SOURCE_CONTINUE;
}

LabWatchdog *
lab_watchdog_new(const char *path, void (*expired)(gpointer data), gpointer data, GError **error)
{
    int listener = lab_socket_listen(path, SOCK_SEQPACKET, error);

    if (listener < 0) {
        return NULL;
    }
    LabWatchdog *watchdog = g_new0(LabWatchdog, 1);
    watchdog->listener = listener;
    watchdog->client = -1;
    watchdog->timeout_s = DEFAULT_TIMEOUT_S;
    watchdog->expired = expired;
    watchdog->data = data;
    g_unix_fd_add_full(G_PRIORITY_HIGH, listener, G_IO_IN, on_connect, watchdog, NULL);
    return watchdog;
}

void
lab_watchdog_reset(LabWatchdog *watchdog)
{
    stop(watchdog);
    drop_client(watchdog);
    watchdog->timeout_s = DEFAULT_TIMEOUT_S;
}
