#include "lab/bmc.h"
#include <inttypes.h>
#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab/net.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { DELAY_MS = 500, LINE_MAX_BYTES = 256, IDLE_MS = 10000, CLIENTS_MAX = 64, BACKLOG = 64 };

typedef struct {
    const Lab *lab;
    LabPower *power;
    int clients;
} Bmc;

typedef struct {
    Bmc *bmc;
    int fd;
    guint source, timer;
    GString *line;
} Client;

static void
client_free(Client *client)
{
    if (client->source != 0) {
        g_source_remove(client->source);
    }
    if (client->timer != 0) {
        g_source_remove(client->timer);
    }
    close(client->fd);
    g_string_free(client->line, TRUE);
    client->bmc->clients--;
    g_free(client);
}

static gboolean
on_idle_timeout(gpointer data)
{
    Client *client = data;

    client->timer = 0;
    client_free(client);
    return G_SOURCE_REMOVE;
}

static char *
list(const Lab *lab)
{
    GString *text = g_string_new("ok");

    for (int i = 1; i <= lab->nodes; i++) {
        g_string_append_printf(text, " node%d", i);
    }
    return g_string_free(text, FALSE);
}

/* Returns: (transfer full): the answer. "off" is one only when nothing of the host lives. */
static char *
obey(Bmc *bmc, char **words)
{
    bool complete = words[0] != NULL && words[1] != NULL;
    int node;

    if (!complete || strcmp(words[0], bmc->lab->bmc_secret) != 0) {
        return g_strdup("error wrong password");
    }
    if (strcmp(words[1], "list") == 0) {
        return list(bmc->lab);
    }
    node = words[2] != NULL ? lab_node_index(bmc->lab, words[2], NULL) : 0;
    if (node == 0) {
        return g_strdup("error no such outlet");
    }
    q_info("[%" PRId64 "] power device: %s %s", q_clock_mono_ms(), words[1], words[2]);
    if (strcmp(words[1], "off") == 0) {
        lab_power_off(bmc->power, node, -1);
    } else if (strcmp(words[1], "on") == 0) {
        lab_power_on(bmc->power, node);
    } else if (strcmp(words[1], "status") != 0) {
        return g_strdup("error no such verb");
    }
    return NULL; /* the outlet's state, after the delay */
}

static gboolean
on_delay(gpointer data)
{
    Client *client = data;
    g_auto(GStrv) words = g_strsplit(g_strchomp(client->line->str), " ", 3);
    int node = lab_node_index(client->bmc->lab, words[2], NULL);
    bool off = lab_power_state(client->bmc->power, node) == LAB_OFF;

    (void)!send(client->fd, off ? "ok off\n" : "ok on\n", off ? 7 : 6, MSG_NOSIGNAL | MSG_DONTWAIT);
    client->timer = 0;
    client_free(client);
    return G_SOURCE_REMOVE;
}

static gboolean
on_client(int fd, GIOCondition condition, gpointer data)
{
    Client *client = data;
    char text[LINE_MAX_BYTES];
    ssize_t got = recv(fd, text, sizeof text, MSG_DONTWAIT);

    if (got <= 0 || client->line->len + got > LINE_MAX_BYTES) {
        client->source = 0;
        client_free(client);
        return G_SOURCE_REMOVE;
    }
    g_string_append_len(client->line, text, got);
    if (strchr(client->line->str, '\n') == NULL) {
        return G_SOURCE_CONTINUE;
    }
    g_autofree char *line = g_strchomp(g_strdup(client->line->str));
    g_auto(GStrv) words = g_strsplit(line, " ", 3);
    g_autofree char *answer = obey(client->bmc, words);
    client->source = 0;
    g_source_remove(client->timer);
    client->timer = 0;
    if (answer == NULL) {
        client->timer = g_timeout_add(DELAY_MS, on_delay, client);
    } else {
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
        client_free(client);
    }
    return G_SOURCE_REMOVE;
}

static gboolean
on_connect(int fd, GIOCondition condition, gpointer data)
{
    Bmc *bmc = data;
    int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client_fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (bmc->clients >= CLIENTS_MAX) {
        close(client_fd);
        return G_SOURCE_CONTINUE;
    }
    Client *client = g_new0(Client, 1);
    bmc->clients++;
    client->bmc = bmc;
    client->fd = client_fd;
    client->line = g_string_new(NULL);
    client->source = g_unix_fd_add(client_fd, G_IO_IN | G_IO_HUP, on_client, client);
    client->timer = g_timeout_add(IDLE_MS, on_idle_timeout, client);
    return G_SOURCE_CONTINUE;
}

bool
lab_bmc_start(const Lab *lab, LabPower *power, GError **error)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(LAB_BMC_PORT) };
    pid_t pid = lab_net_switch_pid(lab, error);
    LabNetScope scope;
    int fd, one = 1;

    if (pid == 0 || !lab_net_scope_enter(&scope, pid, error)) {
        return false;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    lab_net_scope_leave(&scope);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) {
        q_set_error_errno(error, errno, "the power device's port");
        close(fd);
        return false;
    }
    Bmc *bmc = g_new0(Bmc, 1);
    bmc->lab = lab;
    bmc->power = power;
    g_unix_fd_add(fd, G_IO_IN, on_connect, bmc);
    return true;
}
