#include "ha/watchdog_client.h"
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "ha/core/watchdog.h"
#include "ha/watchdog_wire.h"
#include "sys/file.h"
#include "sys/log.h"

enum { RETRY_MS = 100, FILE_MAX_BYTES = 64 * 1024 };

struct WatchdogClient {
    char *socket_path;
    char *deadlines_path;
    WatchdogNews news;
    gpointer data;
    int fd;
    guint readable; /* source ids */
    guint retry;

    WatchdogRequest asked;   /* under way; verb 0: nothing */
    WatchdogRequest promise; /* the newest, to be sent when there is a way; verb 0: none */
    WatchdogRequest done;    /* the newest that was answered; verb 0: none, or told already */
    uint32_t done_status;
    bool denied; /* the newest promise: it will not be kept */
    bool said_away;

    bool armed;
    uint32_t timeout_ms, granularity_ms;
    HaGeneration owner; /* of the newest promise that was kept */
    HaTime deadline;
    char *why;
};

static gboolean on_retry(gpointer data);

/* ------------------------------------------------------------------ the connection */

static void
drop(WatchdogClient *client)
{
    if (client->readable != 0) {
        g_source_remove(client->readable);
        client->readable = 0;
    }
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
    /* Unknown whether it was done; asking again does no harm. */
    client->asked.verb = 0;
    if (client->retry == 0) {
        client->retry = g_timeout_add(RETRY_MS, on_retry, client);
    }
}

static const char *
reason(uint32_t status)
{
    switch (status) {
    case ENODEV:
        return "no watchdog device; look at the log of quorate-watchdogd";
    case EBUSY:
        return "the watchdog device is in use by another program, or runs for somebody unknown";
    case EOPNOTSUPP:
        return "the watchdog device cannot be relied upon; look at the log of quorate-watchdogd";
    case ETIME:
        return "the deadline promised last has passed";
    default:
        return g_strerror(status);
    }
}

/* Not "not now", but "never": the generation's time is over, or nobody knows of it. */
static bool
is_denial(uint32_t status)
{
    return status == ETIME || status == EPERM || status == EINVAL || status == ENODEV;
}

static bool send_request(WatchdogClient *client, const WatchdogRequest *request);

static void
send_promise(WatchdogClient *client)
{
    if (client->promise.verb != 0 && client->asked.verb == 0) {
        send_request(client, &client->promise);
    }
}

static void
take_promise(WatchdogClient *client, uint32_t status)
{
    const WatchdogRequest *done = &client->done;

    if (status == 0) {
        client->owner = (HaGeneration){ done->epoch, done->sequence };
        client->deadline = (HaTime){ done->deadline_boot_ms, done->deadline_raw_ms };
    }
    if (client->promise.verb != 0 && memcmp(&client->promise, done, sizeof *done) == 0
        && (status == 0 || is_denial(status))) {
        client->promise.verb = 0;
        client->denied = status != 0;
    }
}

static void
take_answer(WatchdogClient *client, const WatchdogAnswer *answer)
{
    client->timeout_ms = answer->timeout_ms;
    client->granularity_ms = answer->granularity_ms;
    client->armed = answer->timeout_ms > 0;
    client->done = client->asked;
    client->done_status = answer->status;
    client->asked.verb = 0;
    g_free(client->why);
    client->why = answer->status != 0 ? g_strdup(reason(answer->status)) : NULL;
    if (client->done.verb == WATCHDOG_PROMISE) {
        take_promise(client, answer->status);
    }
    if (client->done.verb == WATCHDOG_CLOSE && answer->status == 0) {
        client->owner = (HaGeneration){ 0, 0 };
        client->promise.verb = 0;
    }
    send_promise(client);
}

static gboolean
on_readable(gint fd, GIOCondition condition, gpointer data)
{
    WatchdogClient *client = data;
    WatchdogAnswer answer;
    ssize_t got = recv(fd, &answer, sizeof answer, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (got == sizeof answer && answer.magic == WATCHDOG_MAGIC && client->asked.verb != 0) {
        take_answer(client, &answer);
        client->news(client->data);
        return G_SOURCE_CONTINUE;
    }
    client->readable = 0;
    drop(client);
    client->news(client->data);
    return G_SOURCE_REMOVE;
}

static bool
send_request(WatchdogClient *client, const WatchdogRequest *request)
{
    if (client->fd < 0
        || send(client->fd, request, sizeof *request, MSG_NOSIGNAL | MSG_DONTWAIT)
               != sizeof *request) {
        if (client->fd >= 0) {
            drop(client);
        }
        return false;
    }
    client->asked = *request;
    return true;
}

static bool
open_socket(WatchdogClient *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    WatchdogRequest ask = { .magic = WATCHDOG_MAGIC, .verb = WATCHDOG_ASK };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, client->socket_path, sizeof address.sun_path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    client->fd = fd;
    client->readable = g_unix_fd_add(fd, G_IO_IN, on_readable, client);
    send_request(client, &ask);
    return true;
}

static gboolean
on_retry(gpointer data)
{
    WatchdogClient *client = data;

    if (!open_socket(client)) {
        if (!client->said_away) {
            q_warn("quorate-watchdogd does not answer on %s", client->socket_path);
            client->said_away = true;
        }
        return G_SOURCE_CONTINUE;
    }
    client->said_away = false;
    client->retry = 0;
    client->news(client->data);
    return G_SOURCE_REMOVE;
}

/* ------------------------------------------------------------------ requests */

static bool
same(const WatchdogRequest *a, const WatchdogRequest *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static HaOutcome
ask(WatchdogClient *client, uint32_t verb, HaGeneration owner, HaTime deadline)
{
    WatchdogRequest request = {
        .magic = WATCHDOG_MAGIC,
        .verb = verb,
        .epoch = owner.epoch,
        .sequence = owner.sequence,
        .deadline_boot_ms = deadline.boot_ms,
        .deadline_raw_ms = deadline.raw_ms,
    };

    if (client->done.verb != 0 && same(&client->done, &request)) {
        client->done.verb = 0;
        return client->done_status == 0 ? HA_DONE : HA_REFUSED;
    }
    if (client->asked.verb != 0) {
        return HA_PENDING; /* this one, or one before it */
    }
    return send_request(client, &request) ? HA_PENDING : HA_REFUSED;
}

HaOutcome
watchdog_client_arm(WatchdogClient *client)
{
    /* Armed means open *now*: after a restart of watchdogd it is asked again. */
    if (client->armed && client->fd >= 0) {
        return HA_DONE;
    }
    return ask(client, WATCHDOG_ARM, (HaGeneration){ 0, 0 }, (HaTime){ 0, 0 });
}

HaOutcome
watchdog_client_promise(WatchdogClient *client, HaGeneration owner, HaTime deadline)
{
    if (ha_generation_compare(client->owner, owner) == 0
        && client->deadline.boot_ms >= deadline.boot_ms
        && client->deadline.raw_ms >= deadline.raw_ms) {
        return HA_DONE;
    }
    if (client->denied) {
        client->denied = false;
        return HA_REFUSED;
    }
    /* Kept until it is answered, also over a restart of watchdogd: the newest is all that counts.
     */
    client->promise = (WatchdogRequest){
        .magic = WATCHDOG_MAGIC,
        .verb = WATCHDOG_PROMISE,
        .epoch = owner.epoch,
        .sequence = owner.sequence,
        .deadline_boot_ms = deadline.boot_ms,
        .deadline_raw_ms = deadline.raw_ms,
    };
    send_promise(client);
    return HA_PENDING;
}

HaOutcome
watchdog_client_close(WatchdogClient *client, HaGeneration owner)
{
    return ask(client, WATCHDOG_CLOSE, owner, (HaTime){ 0, 0 });
}

bool
watchdog_client_connected(const WatchdogClient *client)
{
    return client->fd >= 0;
}

bool
watchdog_client_open(const WatchdogClient *client)
{
    return client->armed;
}

int
watchdog_client_timeout_ms(const WatchdogClient *client)
{
    return client->timeout_ms;
}

int
watchdog_client_granularity_ms(const WatchdogClient *client)
{
    return client->granularity_ms;
}

const char *
watchdog_client_why(const WatchdogClient *client)
{
    return client->fd < 0 ? "quorate-watchdogd does not run" : client->why;
}

bool
watchdog_client_deadline(WatchdogClient *client, HaGeneration *owner, HaTime *deadline)
{
    g_autofree char *text = q_file_read(client->deadlines_path, FILE_MAX_BYTES, NULL, NULL);

    if (text == NULL || text[0] == '\0') {
        return false;
    }
    g_autoptr(Watchdog) kept = watchdog_new(0, 0, text, true);
    return watchdog_deadline(kept, (HaGeneration){ 0, 0 }, owner, deadline);
}

/* ------------------------------------------------------------------ life */

WatchdogClient *
watchdog_client_new(const char *socket_path, const char *deadlines_path, WatchdogNews news,
                    gpointer data)
{
    WatchdogClient *client = g_new0(WatchdogClient, 1);

    client->socket_path = g_strdup(socket_path);
    client->deadlines_path = g_strdup(deadlines_path);
    client->news = news;
    client->data = data;
    client->fd = -1;
    if (!open_socket(client)) {
        client->retry = g_timeout_add(RETRY_MS, on_retry, client);
    }
    return client;
}

void
watchdog_client_free(WatchdogClient *client)
{
    if (client == NULL) {
        return;
    }
    if (client->readable != 0) {
        g_source_remove(client->readable);
    }
    if (client->retry != 0) {
        g_source_remove(client->retry);
    }
    if (client->fd >= 0) {
        close(client->fd);
    }
    g_free(client->socket_path);
    g_free(client->deadlines_path);
    g_free(client->why);
    g_free(client);
}
