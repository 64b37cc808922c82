#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/json.h"
#include "lab/init.h"
#include "lab/init_priv.h"
#include "lab/socket.h"
#include "sys/log.h"
#include "sys/paths.h"

enum {
    REQUEST_MAX_BYTES = 256,
    START_WAIT_MS = 10000,
    LRM_WAIT_MS = 120000,
    CLIENTS_MAX = 64,
};

/* A client; after its request it waits for a move of @daemon, or for the end of the boot. */
typedef struct {
    LabInit *init;
    int fd;
    guint source, timer;
    LabDaemon *daemon;
    bool for_boot, for_start, then_start; /* then_start: restart, now stopping */
} Client;

static void
client_free(Client *client)
{
    g_ptr_array_remove(client->init->waiting, client);
    if (client->source != 0) {
        g_source_remove(client->source);
    }
    if (client->timer != 0) {
        g_source_remove(client->timer);
    }
    close(client->fd);
    g_free(client);
}

static void
answer(Client *client, const char *text)
{
    (void)!send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    client_free(client);
}

static void
answer_error(Client *client, const char *why)
{
    g_autofree char *text = g_strdup_printf("error %s", why);

    answer(client, text);
}

/* A daemon that runs but never said READY=1: it runs. */
static gboolean
on_start_timeout(gpointer data)
{
    Client *client = data;

    client->timer = 0;
    answer(client, "ok running");
    return G_SOURCE_REMOVE;
}

static void
start(Client *client)
{
    g_autoptr(GError) error = NULL;

    if (!lab_daemon_can_run(client->daemon, &error)) {
        answer_error(client, error->message);
        return;
    }
    if (lab_daemon_state(client->daemon) == LAB_DAEMON_RUNNING) {
        answer(client, "ok running");
        return;
    }
    client->for_start = true;
    client->then_start = false;
    client->timer = g_timeout_add(START_WAIT_MS, on_start_timeout, client);
    lab_daemon_start(client->daemon);
}

void
lab_init_answer_waiting(LabInit *init, LabDaemon *daemon, const char *why)
{
    LabDaemonState state = lab_daemon_state(daemon);
    g_autoptr(GPtrArray) clients = g_ptr_array_copy(init->waiting, NULL, NULL);

    for (guint i = 0; i < clients->len; i++) {
        Client *client = clients->pdata[i];

        if (client->daemon != daemon) {
            continue;
        }
        if (client->for_start && state == LAB_DAEMON_RUNNING) {
            answer(client, "ok running");
        } else if (client->for_start
                   && (state == LAB_DAEMON_STOPPED || state == LAB_DAEMON_WAITING)) {
            answer_error(client, why != NULL ? why : "it was stopped");
        } else if (!client->for_start && state == LAB_DAEMON_STOPPED) {
            if (client->then_start) {
                start(client);
            } else {
                answer(client, "ok stopped");
            }
        }
    }
}

void
lab_init_answer_boot(LabInit *init)
{
    g_autofree char *text =
        init->late->len > 0 ? g_strdup_printf("ok late%s", init->late->str) : g_strdup("ok");
    g_autoptr(GPtrArray) clients = g_ptr_array_copy(init->waiting, NULL, NULL);

    init->booted = true;
    for (guint i = 0; i < clients->len; i++) {
        Client *client = clients->pdata[i];
        if (client->for_boot) {
            answer(client, text);
        }
    }
}

/* Daemons in reverse order, one after the other; then the host ends. */
void
lab_init_shutdown_step(LabInit *init)
{
    if (!init->ending || !init->guests_done) {
        return;
    }
    for (guint i = init->daemons->len; i-- > 0;) {
        LabDaemon *daemon = init->daemons->pdata[i];
        LabDaemonState state = lab_daemon_state(daemon);

        if (state == LAB_DAEMON_STOPPING) {
            return;
        }
        if (state != LAB_DAEMON_STOPPED) {
            lab_daemon_stop(daemon); /* comes back here when it has ended */
            return;
        }
    }
    g_main_loop_quit(init->loop);
}

/* The conversation with quorate-lrmd: hello, shutdown, until it has answered both or ends. */
typedef struct {
    LabInit *init;
    int fd;
    guint source, timer;
} LrmTalk;

static void
lrm_done(LrmTalk *talk, const char *why)
{
    LabInit *init = talk->init;

    if (why != NULL) {
        q_warn("the guests may not be down: quorate-lrmd %s", why);
    }
    if (talk->source != 0) {
        g_source_remove(talk->source);
    }
    if (talk->timer != 0) {
        g_source_remove(talk->timer);
    }
    close(talk->fd);
    g_free(talk);
    init->guests_done = true;
    lab_init_shutdown_step(init);
}

static gboolean
on_lrm(int fd, GIOCondition condition, gpointer data)
{
    LrmTalk *talk = data;
    char text[4096];
    ssize_t got = recv(fd, text, sizeof text, MSG_DONTWAIT);
    g_autoptr(JsonObject) object = got > 0 ? q_json_parse_object(text, got, NULL) : NULL;

    if (got > 0 && (object == NULL || q_json_int(object, "id", 0) != 1)) {
        return G_SOURCE_CONTINUE; /* the answer to hello */
    }
    talk->source = 0;
    lrm_done(talk, got <= 0                                  ? "closed the connection"
                   : json_object_has_member(object, "error") ? "could not end them all"
                                                             : NULL);
    return G_SOURCE_REMOVE;
}

static gboolean
on_lrm_timeout(gpointer data)
{
    LrmTalk *talk = data;

    talk->timer = 0;
    lrm_done(talk, "did not answer in time");
    return G_SOURCE_REMOVE;
}

static void
tell_lrm(LabInit *init)
{
    static const char hello[] = "{\"op\":\"hello\",\"program\":\"quorate-lab\",\"version\":1}";
    g_autofree char *request = g_strdup_printf("{\"id\":1,\"kind\":\"%s\",\"op\":\"shutdown\"}",
                                               init->reboot ? "reboot" : "shutdown");
    int fd = lab_socket_connect(Q_LRM_SOCKET, SOCK_SEQPACKET, NULL);
    LrmTalk *talk = NULL;

    if (fd >= 0) {
        talk = g_new0(LrmTalk, 1);
        talk->init = init;
        talk->fd = fd;
    }
    if (talk == NULL || send(fd, hello, strlen(hello), MSG_NOSIGNAL) < 0
        || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
        if (talk != NULL) {
            lrm_done(talk, "does not listen");
        } else {
            init->guests_done = true;
            lab_init_shutdown_step(init);
        }
        return;
    }
    talk->source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_lrm, talk);
    talk->timer = g_timeout_add(LRM_WAIT_MS, on_lrm_timeout, talk);
}

static void
serve_host(Client *client, const char *verb)
{
    LabInit *init = client->init;

    if (strcmp(verb, "boot") == 0) {
        client->for_boot = true;
        if (init->booted) {
            lab_init_answer_boot(init);
        }
    } else if (strcmp(verb, "shutdown") == 0 || strcmp(verb, "reboot") == 0) {
        answer(client, "ok");
        if (!init->ending) {
            q_notice("the host ends: %s", verb);
            init->ending = true;
            init->reboot = strcmp(verb, "reboot") == 0;
            tell_lrm(init);
        }
    } else {
        answer_error(client, "unknown request");
    }
}

static void
serve_daemon(Client *client, const char *verb)
{
    LabDaemon *daemon = client->daemon;
    g_autoptr(GError) error = NULL;
    int number = strcmp(verb, "kill") == 0       ? SIGKILL
                 : strcmp(verb, "pause") == 0    ? SIGSTOP
                 : strcmp(verb, "continue") == 0 ? SIGCONT
                                                 : 0;

    if (strcmp(verb, "state") == 0) {
        answer(client, lab_daemon_pid(daemon) != 0 ? "ok running" : "ok stopped");
    } else if (number != 0) {
        if (lab_daemon_signal(daemon, number, &error)) {
            answer(client, "ok running");
        } else {
            answer_error(client, error->message);
        }
    } else if (client->init->ending) {
        answer_error(client, "the host is shutting down");
    } else if (strcmp(verb, "start") == 0) {
        start(client);
    } else if (strcmp(verb, "stop") == 0 || strcmp(verb, "restart") == 0) {
        client->then_start = strcmp(verb, "restart") == 0;
        lab_daemon_stop(daemon); /* answers now or when it has ended */
    } else {
        answer_error(client, "unknown request");
    }
}

static gboolean
on_client(int fd, GIOCondition condition, gpointer data)
{
    Client *client = data;
    char text[REQUEST_MAX_BYTES];
    ssize_t got = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    if (got <= 0) { /* it went away, perhaps while it waited */
        client->source = 0;
        client_free(client);
        return G_SOURCE_REMOVE;
    }
    text[got] = '\0';
    g_auto(GStrv) words = g_strsplit(g_strstrip(text), " ", 2);
    if (words[0] == NULL || client->daemon != NULL || client->for_boot) {
        client->source = 0;
        answer_error(client, "one request a connection");
        return G_SOURCE_REMOVE;
    }
    if (words[1] == NULL) {
        serve_host(client, words[0]);
        return G_SOURCE_CONTINUE;
    }
    client->daemon = lab_init_find(client->init, words[1]);
    if (client->daemon == NULL) {
        answer_error(client, "there is no such service on this host");
    } else {
        serve_daemon(client, words[0]);
    }
    return G_SOURCE_CONTINUE;
}

gboolean
lab_init_on_request(int fd, GIOCondition condition, gpointer data)
{
    LabInit *init = data;
    int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client_fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (init->waiting->len >= CLIENTS_MAX) {
        close(client_fd);
        return G_SOURCE_CONTINUE;
    }
    Client *client = g_new0(Client, 1);
    client->init = init;
    client->fd = client_fd;
    g_ptr_array_add(init->waiting, client);
    client->source = g_unix_fd_add(client_fd, G_IO_IN | G_IO_HUP, on_client, client);
    return G_SOURCE_CONTINUE;
}
