#include "guest/qmp.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/paths.h"

#define MESSAGE_MAX (4 << 20)

struct Qmp {
    int fd;
    uint32_t vmid;
    GString *input;
    int64_t number;
};

char *
qmp_socket_path(uint32_t vmid, const char *kind)
{
    return g_strdup_printf(Q_GUEST_RUN_DIR "/%u.%s", vmid, kind);
}

void
qmp_free(Qmp *qmp)
{
    if (qmp != NULL) {
        close(qmp->fd);
        g_string_free(qmp->input, TRUE);
        g_free(qmp);
    }
}

static Qmp *
open_socket(uint32_t vmid, const char *kind, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autofree char *path = qmp_socket_path(vmid, kind);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (errno == ENOENT || errno == ECONNREFUSED) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "VM %u is not running", vmid);
        } else {
            q_set_error_errno(error, errno, "cannot connect to %s", path);
        }
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    Qmp *qmp = g_new0(Qmp, 1);
    qmp->fd = fd;
    qmp->vmid = vmid;
    qmp->input = g_string_new(NULL);
    return qmp;
}

/* Waits for input until @deadline_ms and appends it. */
static bool
read_more(Qmp *qmp, int64_t deadline_ms, GError **error)
{
    struct pollfd poll_fd = { .fd = qmp->fd, .events = POLLIN };
    char buffer[16384];

    for (;;) {
        int64_t left_ms = deadline_ms - q_clock_mono_ms();
        int ready = left_ms > 0 ? poll(&poll_fd, 1, left_ms) : 0;

        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready == 0) {
            return q_set_error(error, Q_ERROR_TIMEOUT, "VM %u: QEMU does not answer", qmp->vmid);
        }
        ssize_t got = ready > 0 ? recv(qmp->fd, buffer, sizeof(buffer), 0) : -1;
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return q_set_error(error, Q_ERROR_IO, "VM %u: QEMU closed the conversation", qmp->vmid);
        }
        g_string_append_len(qmp->input, buffer, got);
        return qmp->input->len <= MESSAGE_MAX
               || q_set_error(error, Q_ERROR_IO, "VM %u: an answer of QEMU is too long", qmp->vmid);
    }
}

/* The next message, a line of JSON. */
static JsonObject *
read_message(Qmp *qmp, int64_t deadline_ms, GError **error)
{
    for (;;) {
        char *end = memchr(qmp->input->str, '\n', qmp->input->len);

        if (end == NULL) {
            if (!read_more(qmp, deadline_ms, error)) {
                return NULL;
            }
            continue;
        }
        gssize length = end - qmp->input->str;
        const char *start = qmp->input->str;
        /* The agent puts 0xff before its answer to guest-sync-delimited. */
        while (length > 0 && (unsigned char)*start == 0xff) {
            start++;
            length--;
        }
        JsonObject *message = length > 0 ? q_json_parse_object(start, length, error) : NULL;
        bool blank = length == 0;
        g_string_erase(qmp->input, 0, end - qmp->input->str + 1);
        if (!blank) {
            return message;
        }
    }
}

static bool
send_all(Qmp *qmp, const char *text, GError **error)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t sent = send(qmp->fd, text, left, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return q_set_error_errno(error, errno, "VM %u: cannot talk to QEMU", qmp->vmid);
        }
        text += sent;
        left -= sent;
    }
    return true;
}

static bool
send_command(Qmp *qmp, const char *command, JsonObject *arguments, GError **error)
{
    g_autoptr(JsonObject) message = json_object_new();

    json_object_set_string_member(message, "execute", command);
    json_object_set_int_member(message, "id", ++qmp->number);
    if (arguments != NULL) {
        json_object_set_object_member(message, "arguments", arguments);
    }
    g_autofree char *text = q_json_object_text(message, Q_JSON_COMPACT);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    return send_all(qmp, line, error);
}

JsonNode *
qmp_command(Qmp *qmp, const char *command, JsonObject *arguments, int timeout_ms, GError **error)
{
    int64_t deadline_ms = q_clock_mono_ms() + timeout_ms;

    if (!send_command(qmp, command, arguments, error)) {
        return NULL;
    }
    for (;;) {
        g_autoptr(JsonObject) message = read_message(qmp, deadline_ms, error);

        if (message == NULL) {
            q_prefix_error(error, "%s: ", command);
            return NULL;
        }
        if (q_json_int(message, "id", 0) != qmp->number) {
            continue; /* an event, or the answer to something older */
        }
        JsonObject *failure = q_json_object(message, "error");
        if (failure != NULL) {
            q_set_error(error, Q_ERROR_IO, "VM %u: %s failed: %s", qmp->vmid, command,
                        q_json_string(failure, "desc", "no reason given"));
            return NULL;
        }
        JsonNode *answer = json_object_get_member(message, "return");
        return answer != NULL ? json_node_copy(answer) : q_json_node_null();
    }
}

bool
qmp_do(Qmp *qmp, const char *command, JsonObject *arguments, int timeout_ms, GError **error)
{
    g_autoptr(JsonNode) answer = qmp_command(qmp, command, arguments, timeout_ms, error);

    return answer != NULL;
}

Qmp *
qmp_connect(uint32_t vmid, int timeout_ms, GError **error)
{
    g_autoptr(Qmp) qmp = open_socket(vmid, "qmp-own", error);
    g_autoptr(JsonObject) greeting =
        qmp != NULL ? read_message(qmp, q_clock_mono_ms() + timeout_ms, error) : NULL;

    if (greeting == NULL || !qmp_do(qmp, "qmp_capabilities", NULL, timeout_ms, error)) {
        return NULL;
    }
    return g_steal_pointer(&qmp);
}

/* ------------------------------------------------------------------ the agent in the guest */

static bool
agent_sync(Qmp *agent, int64_t deadline_ms, GError **error)
{
    gint64 token = 1 + (q_clock_mono_ms() & 0x7fffffff);
    JsonObject *arguments = json_object_new();

    json_object_set_int_member(arguments, "id", token);
    /* 0xff makes the agent forget half a command that somebody else has left behind. */
    if (!send_all(agent, "\xff", error)
        || !send_command(agent, "guest-sync-delimited", arguments, error)) {
        return false;
    }
    for (;;) {
        g_autoptr(JsonObject) message = read_message(agent, deadline_ms, error);

        if (message == NULL) {
            return false;
        }
        if (q_json_int(message, "return", 0) == token) {
            return true;
        }
    }
}

JsonNode *
qmp_agent(uint32_t vmid, const char *command, JsonObject *arguments, bool answer, int timeout_ms,
          GError **error)
{
    g_autoptr(JsonObject) owned = arguments;
    int64_t deadline_ms = q_clock_mono_ms() + timeout_ms;
    g_autoptr(Qmp) agent = open_socket(vmid, "qga", error);

    if (agent == NULL) {
        return NULL;
    }
    if (!agent_sync(agent, deadline_ms, NULL)) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "QEMU guest agent is not running");
        return NULL;
    }
    if (!answer) {
        return send_command(agent, command, g_steal_pointer(&owned), error) ? q_json_node_null()
                                                                            : NULL;
    }
    return qmp_command(agent, command, g_steal_pointer(&owned), timeout_ms, error);
}
