#include "cluster/probe.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#define MAGIC "quorate-probe-1 "
#define MAGIC_BYTES 16
#define SMALL_BYTES 64
#define ECHOES_MAX 8
#define ECHO_POLL_MS 100

/* A UDP socket of @local (port 0: any), and the address of @remote if that is given; -1: errno. */
static int
open_udp(const char *local, uint16_t local_port, const char *remote, uint16_t remote_port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *from = NULL, *to = NULL;
    g_autofree char *from_port = g_strdup_printf("%u", local_port);
    g_autofree char *to_port = g_strdup_printf("%u", remote_port);
    int fd = -1;

    if (getaddrinfo(local, from_port, &hints, &from) != 0)
        return -1;
    hints.ai_family = from->ai_family;
    if (remote == NULL || getaddrinfo(remote, to_port, &hints, &to) == 0) {
        fd = socket(from->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int discover = from->ai_family == AF_INET6 ? IPV6_PMTUDISC_DO : IP_PMTUDISC_DO;
        /* Whole packets only: fragments would hide a link with a small MTU. */
        if (fd >= 0 && from->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof discover);
        else if (fd >= 0)
            setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof discover);
        if (fd >= 0
            && (bind(fd, from->ai_addr, from->ai_addrlen) != 0
                || (to != NULL && connect(fd, to->ai_addr, to->ai_addrlen) != 0))) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(from);
    if (to != NULL)
        freeaddrinfo(to);
    return fd;
}

static bool
echoed(int fd, size_t length)
{
    char packet[PROBE_BYTES] = MAGIC, answer[PROBE_BYTES + 1];

    if (getrandom(packet + MAGIC_BYTES, SMALL_BYTES - MAGIC_BYTES, 0) < 0)
        return false;
    for (int try = 0; try < PROBE_TRIES; try++) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        if (send(fd, packet, length, MSG_NOSIGNAL) != (ssize_t)length && errno == EMSGSIZE)
            return false;
        while (poll(&poll_fd, 1, PROBE_WAIT_MS) == 1) {
            ssize_t n = recv(fd, answer, sizeof answer, 0);
            if (n == (ssize_t)length && memcmp(answer, packet, length) == 0)
                return true;
            if (n < 0 && errno == ECONNREFUSED)
                break;
        }
    }
    return false;
}

bool
probe_send(const char *from, const char *to, uint16_t port, GError **error)
{
    int fd = open_udp(from, 0, to, port);

    if (fd < 0)
        return q_set_error_errno(error, errno, "no UDP from %s to %s", from, to);
    bool large = echoed(fd, PROBE_BYTES);
    bool small = large || echoed(fd, SMALL_BYTES);
    close(fd);
    if (large)
        return true;
    if (small)
        return q_set_error(
            error, Q_ERROR_UNREACHABLE,
            "UDP packets of %d bytes do not pass between %s and %s, small ones do; check "
            "the MTU of the network",
            PROBE_BYTES, from, to);
    return q_set_error(
        error, Q_ERROR_UNREACHABLE,
        "UDP port %u of %s is not reached from %s, or not back; check addresses, cables "
        "and firewalls",
        port, to, from);
}

/* ------------------------------------------------------------------ the other end */

struct ProbeEcho {
    GThread *thread;
    int stop; /* atomic */
    struct pollfd fds[ECHOES_MAX];
    int count;
};

static gpointer
echo_run(gpointer data)
{
    ProbeEcho *echo = data;

    while (!g_atomic_int_get(&echo->stop)) {
        if (poll(echo->fds, (nfds_t)echo->count, ECHO_POLL_MS) <= 0)
            continue;
        for (int i = 0; i < echo->count; i++) {
            char packet[PROBE_BYTES];
            struct sockaddr_storage from;
            socklen_t length = sizeof from;
            ssize_t n = recvfrom(echo->fds[i].fd, packet, sizeof packet, MSG_DONTWAIT,
                                 (struct sockaddr *)&from, &length);
            if (n >= SMALL_BYTES && memcmp(packet, MAGIC, MAGIC_BYTES) == 0)
                sendto(echo->fds[i].fd, packet, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&from,
                       length);
        }
    }
    return NULL;
}

ProbeEcho *
probe_echo_start(const char *const *addresses, int count)
{
    ProbeEcho *echo = g_new0(ProbeEcho, 1);

    for (int i = 0; i < count && echo->count < ECHOES_MAX; i++) {
        int fd =
            addresses[i] != NULL ? open_udp(addresses[i], (uint16_t)(PROBE_PORT + i), NULL, 0) : -1;
        if (fd >= 0)
            echo->fds[echo->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    if (echo->count > 0)
        echo->thread = g_thread_new("probe-echo", echo_run, echo);
    return echo;
}

void
probe_echo_stop(ProbeEcho *echo)
{
    if (echo == NULL)
        return;
    g_atomic_int_set(&echo->stop, 1);
    if (echo->thread != NULL)
        g_thread_join(echo->thread);
    for (int i = 0; i < echo->count; i++)
        close(echo->fds[i].fd);
    g_free(echo);
}
