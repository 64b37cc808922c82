#include "lab/forward.h"
#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab/net.h"
#include "sys/file.h"

enum { API_PORT = 8006, BUFFER_BYTES = 65536, BACKLOG = 128 };

typedef struct {
    const Lab *lab;
    int node;
} Forward;

/* One direction of a connection: what was read from @from and not yet written to @to. */
typedef struct {
    int from, to;
    char buffer[BUFFER_BYTES];
    size_t start, end;
    bool eof;
    guint source;
} Half;

typedef struct {
    Half halves[2];
} Pair;

static void half_wait(Pair *pair, Half *half);

static void
pair_free(Pair *pair)
{
    for (int i = 0; i < 2; i++) {
        if (pair->halves[i].source != 0) {
            g_source_remove(pair->halves[i].source);
        }
    }
    close(pair->halves[0].from);
    close(pair->halves[0].to);
    g_free(pair);
}

/* Returns: false when the pair is gone. */
static bool
half_step(Pair *pair, Half *half)
{
    if (half->start == half->end) {
        ssize_t got = recv(half->from, half->buffer, BUFFER_BYTES, MSG_DONTWAIT);
        if (got < 0 && errno != EAGAIN) {
            pair_free(pair);
            return false;
        }
        half->start = 0;
        half->end = MAX(got, 0);
        if (got == 0) {
            half->eof = true;
            shutdown(half->to, SHUT_WR);
        }
    }
    if (half->start < half->end) {
        ssize_t sent = send(half->to, half->buffer + half->start, half->end - half->start,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            pair_free(pair);
            return false;
        }
        half->start += MAX(sent, 0);
    }
    if (pair->halves[0].eof && pair->halves[1].eof) {
        pair_free(pair);
        return false;
    }
    return true;
}

static gboolean
on_ready(int fd, GIOCondition condition, gpointer data)
{
    Pair *pair = data;
    Half *half = NULL;

    for (int i = 0; i < 2; i++) {
        GSource *source = g_main_current_source();
        if (pair->halves[i].source == g_source_get_id(source)) {
            half = &pair->halves[i];
        }
    }
    half->source = 0;
    if (half_step(pair, half) && !half->eof) {
        half_wait(pair, half);
    }
    return G_SOURCE_REMOVE;
}

static void
half_wait(Pair *pair, Half *half)
{
    bool full = half->start < half->end;

    half->source =
        g_unix_fd_add(full ? half->to : half->from,
                      full ? G_IO_OUT | G_IO_ERR : G_IO_IN | G_IO_HUP | G_IO_ERR, on_ready, pair);
}

/* A connection being made inside the host's network namespace; -1 if the host is off. */
static int
connect_inside(const Forward *forward)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(API_PORT) };
    g_autofree char *text = g_strdup_printf("10.77.0.%d", forward->node);
    pid_t pid = lab_host_pid(forward->lab, forward->node, NULL);
    LabNetScope scope;

    if (pid == 0 || !lab_net_scope_enter(&scope, pid, NULL)) {
        return -1;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    lab_net_scope_leave(&scope);
    inet_pton(AF_INET, text, &address.sin_addr);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static gboolean
on_connect(int fd, GIOCondition condition, gpointer data)
{
    const Forward *forward = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int host = client >= 0 ? connect_inside(forward) : -1;

    if (host < 0) {
        if (client >= 0) {
            close(client);
        }
        return G_SOURCE_CONTINUE;
    }
    Pair *pair = g_new0(Pair, 1);
    pair->halves[0].from = pair->halves[1].to = client;
    pair->halves[0].to = pair->halves[1].from = host;
    half_wait(pair, &pair->halves[0]);
    half_wait(pair, &pair->halves[1]);
    return G_SOURCE_CONTINUE;
}

bool
lab_forward_start(const Lab *lab, int node, GError **error)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_autofree char *path = lab_node_path(lab, node, "port");

    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0
        || getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        q_set_error_errno(error, errno, "a port on 127.0.0.1");
        close(fd);
        return false;
    }
    Forward *forward = g_new0(Forward, 1);
    forward->lab = lab;
    forward->node = node;
    g_unix_fd_add(fd, G_IO_IN, on_connect, forward);
    g_autofree char *text = g_strdup_printf("%d\n", ntohs(address.sin_port));
    return q_file_write_atomic(path, text, strlen(text), 0644, error);
}

int
lab_forward_port(const Lab *lab, int node)
{
    g_autofree char *path = lab_node_path(lab, node, "port");
    g_autofree char *text = q_file_read(path, 32, NULL, NULL);

    return text != NULL ? (int)strtol(text, NULL, 10) : 0;
}
