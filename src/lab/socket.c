#include "lab/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, ANSWER_MAX_BYTES = 4096 };

/* Returns the descriptor of the socket's folder, which must stay open while @address is used. */
static int
address_of(const char *path, struct sockaddr_un *address, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
    int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0) {
        q_set_error_errno(error, errno, "socket %s", path);
        return -1;
    }
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", dir, name);
    return dir;
}

int
lab_socket_listen(const char *path, int type, GError **error)
{
    struct sockaddr_un address;
    int dir = address_of(path, &address, error);
    int fd = dir >= 0 ? socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

    if (fd >= 0) {
        unlink(path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0
            || (type != SOCK_DGRAM && listen(fd, BACKLOG) != 0)) {
            q_set_error_errno(error, errno, "socket %s", path);
            close(fd);
            fd = -1;
        }
    }
    if (dir >= 0) {
        close(dir);
    }
    return fd;
}

int
lab_socket_connect(const char *path, int type, GError **error)
{
    struct sockaddr_un address;
    int dir = address_of(path, &address, error);
    int fd = dir >= 0 ? socket(AF_UNIX, type | SOCK_CLOEXEC, 0) : -1;

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "nobody answers on %s: %s", path,
                    g_strerror(errno));
        close(fd);
        fd = -1;
    }
    if (dir >= 0) {
        close(dir);
    }
    return fd;
}

char *
lab_socket_ask(const char *path, const char *request, int timeout_ms, GError **error)
{
    char answer[ANSWER_MAX_BYTES];
    ssize_t got = 0;
    int fd = lab_socket_connect(path, SOCK_SEQPACKET, error);

    if (fd < 0) {
        return NULL;
    }
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    bool sent = send(fd, request, strlen(request), MSG_NOSIGNAL) > 0;
    int ready = sent ? poll(&wait, 1, timeout_ms) : 0;
    if (ready > 0) {
        got = recv(fd, answer, sizeof answer - 1, 0);
    }
    close(fd);
    if (sent && ready == 0) {
        q_set_error(error, Q_ERROR_TIMEOUT, "no answer to '%s' within %d ms", request, timeout_ms);
        return NULL;
    }
    if (got <= 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "%s was closed before it answered '%s'", path,
                    request);
        return NULL;
    }
    answer[got] = '\0';
    return g_strdup(answer);
}
