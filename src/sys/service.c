#include "sys/service.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/process.h"

#define SYSTEMD_DIR "/run/systemd/system"
#define LAB_SOCKET "/run/lab/init"

enum { REQUEST_TIMEOUT_S = 60 };

/* One request to the lab host's supervisor. Returns: the word after "ok", or NULL with the reason.
 */
static char *
ask_lab(const char *verb, const char *name, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = LAB_SOCKET };
    struct timeval timeout = { .tv_sec = REQUEST_TIMEOUT_S };
    g_autofree char *request = g_strdup_printf("%s %s", verb, name);
    char answer[512] = "";
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0
        || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0
        || recv(fd, answer, sizeof answer - 1, 0) <= 0) {
        q_set_error_errno(error, errno, "cannot %s service '%s': the host's supervisor", verb,
                          name);
        close(fd);
        return NULL;
    }
    close(fd);
    if (g_str_has_prefix(answer, "ok")) {
        return g_strdup(g_strstrip(answer + 2));
    }
    q_set_error(error, Q_ERROR_IO, "cannot %s service '%s': %s", verb, name,
                g_str_has_prefix(answer, "error ") ? answer + 6 : answer);
    return NULL;
}

static bool
request(const char *verb, const char *name, GError **error)
{
    if (g_file_test(SYSTEMD_DIR, G_FILE_TEST_IS_DIR)) {
        const char *argv[] = { "systemctl", verb, name, NULL };
        return q_run_ok(argv, &(QRunOptions){ .timeout_ms = REQUEST_TIMEOUT_S * 1000 }, NULL,
                        error);
    }
    if (g_file_test(LAB_SOCKET, G_FILE_TEST_EXISTS)) {
        g_autofree char *state = ask_lab(verb, name, error);
        return state != NULL;
    }
    return q_set_error(
        error, Q_ERROR_UNSUPPORTED,
        "cannot %s service '%s': this host runs neither systemd nor a lab's supervisor", verb,
        name);
}

bool
q_service_start(const char *name, GError **error)
{
    return request("start", name, error);
}

bool
q_service_stop(const char *name, GError **error)
{
    return request("stop", name, error);
}

bool
q_service_restart(const char *name, GError **error)
{
    return request("restart", name, error);
}

bool
q_service_running(const char *name)
{
    if (g_file_test(SYSTEMD_DIR, G_FILE_TEST_IS_DIR)) {
        const char *argv[] = { "systemctl", "is-active", "--quiet", name, NULL };
        return q_run(argv, NULL, NULL, NULL, NULL) == 0;
    }
    g_autofree char *state = ask_lab("state", name, NULL);
    return g_strcmp0(state, "running") == 0;
}

void
q_notify(const char *state)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t length;
    int fd;

    if (path == NULL || strlen(path) >= sizeof address.sun_path) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    length = offsetof(struct sockaddr_un, sun_path) + strlen(path);
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* abstract */
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        /* A supervisor that does not listen is its problem, not ours. */
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
        close(fd);
    }
}
