#include "ha/watchdog_server.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>
#include "ha/core/watchdog.h"
#include "ha/watchdog_device.h"
#include "ha/watchdog_wire.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/service.h"

enum {
    FEED_MS = 250,
    CLIENTS_MAX = 16,
    FIRST_CLIENT = 3,
    FILE_MAX_BYTES = 64 * 1024,
    UNKNOWN_GRANULARITY_MS = 1000,
};

typedef struct {
    const WatchdogSettings *settings;
    Watchdog *rule;         /* who has promised what, and whether the device may be fed */
    WatchdogDevice *device; /* NULL: closed, or could not be opened again yet */
    char *said;             /* the refusal that is in the log already */
    bool holding;           /* a deadline has come too near: not fed any more */
    struct pollfd poll[FIRST_CLIENT + CLIENTS_MAX]; /* stop, timer, listen, clients */
    int clients;
} Server;

static HaTime
now(void)
{
    return (HaTime){ q_clock_boot_ms(), q_clock_raw_ms() };
}

/* Opens the device if it is not open. It tells the timeout that it really has; until then what was
 * configured is believed. */
static bool
open_device(Server *server, GError **error)
{
    const WatchdogSettings *s = server->settings;

    if (server->device != NULL) {
        return true;
    }
    server->device = watchdog_device_open(s->device_path, s->timeout_s, s->granularity_ms,
                                          s->accept_virtual, error);
    if (server->device == NULL) {
        return false;
    }
    g_autofree char *text = watchdog_text(server->rule);
    watchdog_free(server->rule);
    server->rule = watchdog_new(watchdog_device_timeout_ms(server->device),
                                watchdog_device_granularity_ms(server->device), text, true);
    q_info("watchdog '%s' open, %d ms", s->device_path, watchdog_device_timeout_ms(server->device));
    return true;
}

/* What the last watchdogd of this boot left: deadlines that still bind us (S28). */
static void
load(Server *server)
{
    const WatchdogSettings *s = server->settings;
    g_autofree char *text = q_file_read(s->deadlines_path, FILE_MAX_BYTES, NULL, NULL);
    bool running = text != NULL ? text[0] != '\0' : watchdog_device_runs(s->device_path);

    server->rule = watchdog_new(s->timeout_s * 1000, MAX(s->granularity_ms, UNKNOWN_GRANULARITY_MS),
                                text, running);
    if (running) {
        q_info("taking up a running watchdog%s",
               text == NULL ? " that somebody unknown started" : "");
    }
}

static void
feed(Server *server)
{
    g_autoptr(GError) error = NULL;

    if (!watchdog_armed(server->rule)) {
        return;
    }
    if (!watchdog_may_feed(server->rule, now())) {
        if (!server->holding) {
            q_warn("not feeding the watchdog: the deadline promised for guests is too near");
        }
        server->holding = true;
        return;
    }
    if (server->holding) {
        q_info("a later deadline was promised: feeding the watchdog again");
    }
    server->holding = false;
    if (!open_device(server, &error) || !watchdog_device_feed(server->device, &error)) {
        q_err("%s", error->message);
    }
}

/* ------------------------------------------------------------------ requests */

/* What a successor would not know must not be fed upon: nothing is answered before this. */
static bool
save(Server *server, GError **error)
{
    g_autofree char *text = watchdog_text(server->rule);

    return q_file_write_atomic(server->settings->deadlines_path, text, strlen(text), 0600, error);
}

/* Nothing is promised yet and the device is not to be had: as if never armed. */
static void
disarm(Server *server)
{
    bool device_too;

    if (watchdog_close(server->rule, (HaGeneration){ 0, 0 }, &device_too, NULL)) {
        save(server, NULL);
    }
}

static bool
arm(Server *server, GError **error)
{
    if (watchdog_armed(server->rule) && server->device != NULL) {
        return watchdog_arm(server->rule, error);
    }
    /* Opening feeds once, which an open deadline may forbid. */
    if (watchdog_armed(server->rule) && !watchdog_may_feed(server->rule, now())) {
        return q_set_error(error, Q_ERROR_BUSY, "a deadline promised before is too near");
    }
    /* On record before the device runs: whoever comes after us knows that it is ours. */
    if (!watchdog_arm(server->rule, error) || !save(server, error)) {
        return false;
    }
    if (!open_device(server, error)) {
        disarm(server);
        return false;
    }
    return true;
}

/* Also while the device could not be opened again after our restart: a later deadline may allow it.
 */
static bool
promise(Server *server, HaGeneration owner, const WatchdogRequest *request, GError **error)
{
    HaTime deadline = { request->deadline_boot_ms, request->deadline_raw_ms };

    if (!watchdog_armed(server->rule)) {
        return q_set_error(error, Q_ERROR_NOT_FOUND, "the watchdog is not open");
    }
    if (!watchdog_promise(server->rule, owner, deadline, now(), error) || !save(server, error)) {
        return false;
    }
    if (server->device == NULL) {
        feed(server);
    }
    return true;
}

/* Only an open device can be closed in order: after our restart it may not be open yet. */
static bool
close_device(Server *server, GError **error)
{
    const WatchdogSettings *s = server->settings;

    if (server->device == NULL) {
        server->device = watchdog_device_open(s->device_path, s->timeout_s, s->granularity_ms,
                                              s->accept_virtual, error);
    }
    if (server->device == NULL) {
        return false;
    }
    g_clear_pointer(&server->device, watchdog_device_close);
    server->holding = false;
    q_info("watchdog closed in order");
    return true;
}

static bool
close_owner(Server *server, HaGeneration owner, GError **error)
{
    const WatchdogSettings *s = server->settings;
    g_autofree char *before = watchdog_text(server->rule);
    bool device_too = false;

    if (!watchdog_armed(server->rule)) {
        return true;
    }
    if (!watchdog_close(server->rule, owner, &device_too, error)) {
        return false;
    }
    if (device_too && !close_device(server, error)) {
        watchdog_free(server->rule); /* it runs on, so the promise stands */
        server->rule = watchdog_new(s->timeout_s * 1000,
                                    MAX(s->granularity_ms, UNKNOWN_GRANULARITY_MS), before, true);
        return false;
    }
    return save(server, error);
}

static bool
carry_out(Server *server, const WatchdogRequest *request, GError **error)
{
    HaGeneration owner = { request->epoch, request->sequence };

    switch (request->magic == WATCHDOG_MAGIC ? request->verb : 0) {
    case WATCHDOG_ASK:
        return true;
    case WATCHDOG_ARM:
        return arm(server, error);
    case WATCHDOG_PROMISE:
        return promise(server, owner, request, error);
    case WATCHDOG_CLOSE:
        return close_owner(server, owner, error);
    default:
        return q_set_error(error, Q_ERROR_INVALID, "not a request to the watchdog");
    }
}

static uint32_t
errno_of(const GError *error)
{
    static const struct {
        QError code;
        int errnum;
    } table[] = {
        { Q_ERROR_NOT_FOUND, ENODEV },       { Q_ERROR_BUSY, EBUSY },
        { Q_ERROR_UNSUPPORTED, EOPNOTSUPP }, { Q_ERROR_DENIED, EPERM },
        { Q_ERROR_TIMEOUT, ETIME },          { Q_ERROR_INVALID, EINVAL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (g_error_matches(error, Q_ERROR, table[i].code)) {
            return table[i].errnum;
        }
    }
    return EIO;
}

/* A local manager asks twice a second for what it needs. */
static void
say_once(Server *server, const char *why)
{
    if (g_strcmp0(server->said, why) != 0) {
        g_free(server->said);
        server->said = g_strdup(why);
        q_warn("request of a guardian refused: %s", why);
    }
}

static void
answer(Server *server, int client, const WatchdogRequest *request)
{
    WatchdogAnswer reply = { .magic = WATCHDOG_MAGIC };
    g_autoptr(GError) error = NULL;
    HaTime deadline;

    if (!carry_out(server, request, &error)) {
        say_once(server, error->message);
        reply.status = errno_of(error);
    } else if (request->verb != WATCHDOG_ASK) {
        g_clear_pointer(&server->said, g_free);
    }
    if (server->device != NULL) {
        reply.timeout_ms = watchdog_device_timeout_ms(server->device);
        reply.granularity_ms = watchdog_device_granularity_ms(server->device);
    }
    if (watchdog_deadline(server->rule, (HaGeneration){ 0, 0 }, NULL, &deadline)) {
        reply.deadline_ms = deadline.boot_ms;
    }
    if (send(client, &reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        q_warn("a client of the watchdog does not read its answer: %s", g_strerror(errno));
    }
}

/* ------------------------------------------------------------------ sockets */

static int
listen_on(const char *path, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    unlink(path);
    mode_t mask = umask(0177);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0
              && listen(fd, CLIENTS_MAX) == 0;
    int saved = errno;
    umask(mask);
    if (!ok) {
        if (fd >= 0) {
            close(fd);
        }
        q_set_error_errno(error, saved, "cannot listen on '%s'", path);
        return -1;
    }
    return fd;
}

static void
take_client(Server *server)
{
    int fd = accept4(server->poll[2].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0 && server->clients == CLIENTS_MAX) {
        close(fd);
    } else if (fd >= 0) {
        server->poll[FIRST_CLIENT + server->clients++] = (struct pollfd){ fd, POLLIN };
    }
}

/* A client that goes away takes nothing with it: its promises stand. */
static void
serve_client(Server *server, int index)
{
    struct pollfd *slot = &server->poll[FIRST_CLIENT + index];
    WatchdogRequest request;
    ssize_t got = recv(slot->fd, &request, sizeof request, MSG_DONTWAIT);

    if (got == sizeof request) {
        answer(server, slot->fd, &request);
    } else if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {
        close(slot->fd);
        *slot = server->poll[FIRST_CLIENT + --server->clients];
    }
}

static void
serve(Server *server)
{
    uint64_t ticks;

    while (server->poll[0].revents == 0) {
        if (poll(server->poll, FIRST_CLIENT + server->clients, -1) < 0) {
            continue;
        }
        for (int i = server->clients - 1; i >= 0; i--) {
            if (server->poll[FIRST_CLIENT + i].revents != 0) {
                serve_client(server, i);
            }
        }
        if (server->poll[2].revents != 0) {
            take_client(server);
        }
        if (server->poll[1].revents != 0 && read(server->poll[1].fd, &ticks, sizeof ticks) > 0) {
            feed(server);
            q_notify("WATCHDOG=1");
        }
    }
}

bool
watchdog_server_run(const WatchdogSettings *settings, int stop_fd, GError **error)
{
    Server server = { .settings = settings };
    struct itimerspec every = { { 0, FEED_MS * 1000000L }, { 0, 1 } };

    load(&server);
    int listening = listen_on(settings->socket_path, error);
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (listening < 0 || timer < 0 || timerfd_settime(timer, 0, &every, NULL) != 0) {
        return listening < 0 ? false : q_set_error_errno(error, errno, "no timer");
    }
    server.poll[0] = (struct pollfd){ stop_fd, POLLIN };
    server.poll[1] = (struct pollfd){ timer, POLLIN };
    server.poll[2] = (struct pollfd){ listening, POLLIN };
    q_notify("READY=1");
    serve(&server);

    /* With a promise open this is refused, and the device runs on for whoever reads the deadlines.
     */
    if (close_owner(&server, (HaGeneration){ 0, 0 }, NULL)) {
        g_clear_pointer(&server.device, watchdog_device_close);
    } else {
        q_warn("ending while guests are guarded: the watchdog runs on, unfed");
        g_clear_pointer(&server.device, watchdog_device_abandon);
    }
    watchdog_free(server.rule);
    g_free(server.said);
    unlink(settings->socket_path);
    for (int i = 1; i < FIRST_CLIENT + server.clients; i++) {
        close(server.poll[i].fd);
    }
    return true;
}
