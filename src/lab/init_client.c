#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lab/commands_priv.h"
#include "lab/socket.h"
#include "sys/clock.h"

enum { REQUEST_WAIT_MS = 60000, LISTEN_WAIT_MS = 5000, POLL_US = 2000 };

/* A host is on a moment before its supervisor listens. */
static char *
ask(const char *path, const char *request, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + LISTEN_WAIT_MS;

    for (;;) {
        int fd = lab_socket_connect(path, SOCK_SEQPACKET, NULL);
        if (fd >= 0) {
            close(fd);
        }
        if (fd >= 0 || q_clock_mono_ms() > deadline) {
            return lab_socket_ask(path, request, REQUEST_WAIT_MS, error);
        }
        g_usleep(POLL_US);
    }
}

char *
lab_init_ask(const Lab *lab, int node, const char *request, GError **error)
{
    g_autofree char *path = lab_node_path(lab, node, "lab/init");
    g_autofree char *answer = NULL;

    if (lab_host_pid(lab, node, error) == 0) {
        return NULL;
    }
    if (lab_host_frozen(lab, node)) {
        q_set_error(error, Q_ERROR_BUSY, "node%d is frozen", node);
        return NULL;
    }
    answer = ask(path, request, error);
    if (answer == NULL) {
        return NULL;
    }
    if (!g_str_has_prefix(answer, "ok")) {
        q_set_error(error, Q_ERROR_IO, "node%d: %s: %s", node, request,
                    g_str_has_prefix(answer, "error ") ? answer + strlen("error ") : answer);
        return NULL;
    }
    return g_strdup(g_strstrip(answer + strlen("ok")));
}

bool
lab_init_daemon(const Lab *lab, int node, const char *verb, const char *name, GError **error)
{
    bool corosync = strcmp(name, "corosync") == 0;
    g_autofree char *service = g_strdup_printf("%s%s", corosync ? "" : "quorate-", name);
    g_autofree char *state_request = g_strdup_printf("state %s", service);
    const char *what = strcmp(verb, "stop") == 0 ? "pause" : verb;
    g_autofree char *state = lab_init_ask(lab, node, state_request, error);

    if (state == NULL) {
        return false;
    }
    if (strcmp(verb, "start") == 0 && strcmp(state, "running") == 0) {
        what = "continue";
    }
    g_autofree char *request = g_strdup_printf("%s %s", what, service);
    g_autofree char *answer = lab_init_ask(lab, node, request, error);
    return answer != NULL;
}
