#include "lab/hardware.h"
#include <inttypes.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/bmc.h"
#include "lab/cgroup.h"
#include "lab/forward.h"
#include "lab/power.h"
#include "lab/socket.h"
#include "lab/watch.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { REQUEST_MAX_BYTES = 4096, CLIENTS_MAX = 128, START_WAIT_MS = 10000, PRIORITY = 5 };

typedef struct {
    const Lab *lab;
    LabPower *power;
    LabWatch *watch;
    GPtrArray *clients;
} Hardware;

/* A request that waits for a host to be in a state, or an answer that is being sent. */
typedef struct {
    Hardware *hardware;
    int fd;
    guint source;
    int node;
    LabPowerState until;
    GString *answer;
    size_t sent;
} Client;

static void
client_free(Client *client)
{
    g_ptr_array_remove(client->hardware->clients, client);
    if (client->source != 0) {
        g_source_remove(client->source);
    }
    close(client->fd);
    if (client->answer != NULL) {
        g_string_free(client->answer, TRUE);
    }
    g_free(client);
}

static gboolean
on_writable(int fd, GIOCondition condition, gpointer data)
{
    Client *client = data;
    ssize_t sent = send(fd, client->answer->str + client->sent, client->answer->len - client->sent,
                        MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent < 0 && errno == EAGAIN) {
        return G_SOURCE_CONTINUE;
    }
    client->sent += MAX(sent, 0);
    if (sent >= 0 && client->sent < client->answer->len) {
        return G_SOURCE_CONTINUE;
    }
    client->source = 0;
    client_free(client);
    return G_SOURCE_REMOVE;
}

/* Takes @object; the client is gone when it has been sent. */
static void
answer(Client *client, const char *member, JsonNode *value)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autofree char *text = NULL;

    json_object_set_member(object, member, value);
    text = q_json_object_text(object, Q_JSON_COMPACT);
    client->answer = g_string_new(text);
    client->node = 0;
    if (client->source != 0) {
        g_source_remove(client->source);
    }
    client->source = g_unix_fd_add(client->fd, G_IO_OUT | G_IO_HUP, on_writable, client);
}

static void
answer_ok(Client *client)
{
    answer(client, "ok", q_json_node_object(json_object_new()));
}

static void
answer_error(Client *client, const char *why)
{
    answer(client, "error", q_json_node_string(why));
}

static void
on_power(int node, gpointer data)
{
    Hardware *hardware = data;
    LabPowerState state = lab_power_state(hardware->power, node);
    const char *why = lab_power_why(hardware->power, node);

    if (state == LAB_ON) {
        lab_watch_host_on(hardware->watch, node, lab_host_pid(hardware->lab, node, NULL));
    } else if (state == LAB_DYING) {
        lab_watch_host_off(hardware->watch, node);
    }
    for (guint i = hardware->clients->len; i-- > 0;) {
        Client *client = hardware->clients->pdata[i];
        if (client->node != node) {
            continue;
        }
        if (client->until == LAB_ON && (state == LAB_OFF || state == LAB_DYING)) {
            answer_error(client, why != NULL ? why : "it was switched off again");
        } else if (client->until == state) {
            answer_ok(client);
        }
    }
}

static void
wait_for(Client *client, bool wait, int node, LabPowerState state)
{
    if (!wait) {
        answer_ok(client);
        return;
    }
    client->node = node;
    client->until = state;
    if (lab_power_state(client->hardware->power, node) == state) {
        answer_ok(client);
    }
}

static void
serve_power(Client *client, int node, const char *action, bool wait)
{
    Hardware *hardware = client->hardware;

    q_info("[%" PRId64 "] asked: power %s node%d", q_clock_mono_ms(), action, node);
    if (strcmp(action, "off") == 0) {
        lab_power_off(hardware->power, node, -1);
        wait_for(client, wait, node, LAB_OFF);
    } else if (strcmp(action, "reset") == 0) {
        lab_power_off(hardware->power, node, hardware->lab->boot_delay_ms);
        wait_for(client, wait, node, LAB_OFF);
    } else if (strcmp(action, "on") == 0) {
        lab_power_on(hardware->power, node);
        wait_for(client, wait, node, LAB_ON);
    } else {
        answer_error(client, "power off, on or reset");
    }
}

static JsonObject *
state_json(Hardware *hardware)
{
    static const char *const words[] = {
        [LAB_OFF] = "off", [LAB_BOOTING] = "booting", [LAB_ON] = "on", [LAB_DYING] = "dying"
    };
    LabHistory *history = lab_watch_history(hardware->watch);
    JsonObject *object = json_object_new();
    JsonArray *nodes = json_array_new(), *guests = json_array_new();

    for (int i = 1; i <= hardware->lab->nodes; i++) {
        json_array_add_string_element(nodes, words[lab_power_state(hardware->power, i)]);
    }
    for (guint i = 0; i < lab_history_length(history); i++) {
        const LabInterval *interval = lab_history_at(history, i);
        if (interval->end_ms < 0) {
            JsonObject *guest = json_object_new();
            g_autofree char *node = g_strdup_printf("node%d", interval->node);
            json_object_set_int_member(guest, "vmid", interval->vmid);
            json_object_set_string_member(guest, "node", node);
            json_object_set_int_member(guest, "pid", interval->pid);
            json_object_set_int_member(guest, "since_ms", interval->start_ms);
            json_array_add_object_element(guests, guest);
        }
    }
    json_object_set_array_member(object, "nodes", nodes);
    json_object_set_array_member(object, "guests", guests);
    return object;
}

static void
serve(Client *client, JsonObject *request)
{
    Hardware *hardware = client->hardware;
    LabHistory *history = lab_watch_history(hardware->watch);
    const char *op = q_json_string(request, "op", ""), *name = q_json_string(request, "node", "");
    int node = *name != '\0' ? lab_node_index(hardware->lab, name, NULL) : 0;
    int vmid = q_json_int(request, "vmid", 0);

    if (strcmp(op, "power") == 0 && node != 0) {
        serve_power(client, node, q_json_string(request, "action", ""),
                    q_json_bool(request, "wait", true));
    } else if (strcmp(op, "wait-off") == 0 && node != 0) {
        wait_for(client, true, node, LAB_OFF);
    } else if (strcmp(op, "state") == 0) {
        answer(client, "ok", q_json_node_object(state_json(hardware)));
    } else if (strcmp(op, "history") == 0 || strcmp(op, "overlaps") == 0) {
        JsonObject *object = json_object_new();
        json_object_set_array_member(object, "list",
                                     op[0] == 'h' ? lab_history_json(history, vmid)
                                                  : lab_history_overlaps(history, vmid));
        answer(client, "ok", q_json_node_object(object));
    } else {
        answer_error(client, "unknown request");
    }
}

static gboolean
on_client(int fd, GIOCondition condition, gpointer data)
{
    Client *client = data;
    char text[REQUEST_MAX_BYTES];
    ssize_t got = recv(fd, text, sizeof text, MSG_DONTWAIT);
    g_autoptr(JsonObject) request = got > 0 ? q_json_parse_object(text, got, NULL) : NULL;

    if (got <= 0) { /* gone, perhaps while it waited */
        client->source = 0;
        client_free(client);
        return G_SOURCE_REMOVE;
    }
    if (request == NULL) {
        answer_error(client, "no JSON object");
    } else {
        serve(client, request);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
on_connect(int fd, GIOCondition condition, gpointer data)
{
    Hardware *hardware = data;
    int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client_fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (hardware->clients->len >= CLIENTS_MAX) {
        close(client_fd);
        return G_SOURCE_CONTINUE;
    }
    Client *client = g_new0(Client, 1);
    client->hardware = hardware;
    client->fd = client_fd;
    g_ptr_array_add(hardware->clients, client);
    client->source = g_unix_fd_add(client_fd, G_IO_IN | G_IO_HUP, on_client, client);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_child(int fd, GIOCondition condition, gpointer data)
{
    Hardware *hardware = data;
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;

    while (read(fd, &ignored, sizeof ignored) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        lab_power_reaped(hardware->power, pid, status);
    }
    return G_SOURCE_CONTINUE;
}

static bool
serve_all(Hardware *hardware, GError **error)
{
    const Lab *lab = hardware->lab;
    g_autofree char *path = lab_path(lab, "hardware.sock");
    int fd;

    hardware->clients = g_ptr_array_new();
    hardware->watch = lab_watch_new(lab, error);
    hardware->power =
        hardware->watch != NULL ? lab_power_new(lab, on_power, hardware, error) : NULL;
    if (hardware->power == NULL || !lab_bmc_start(lab, hardware->power, error)) {
        return false;
    }
    for (int i = 1; i <= lab->nodes; i++) {
        if (!lab_forward_start(lab, i, error)) {
            return false;
        }
    }
    fd = lab_socket_listen(path, SOCK_STREAM, error);
    if (fd >= 0) {
        g_unix_fd_add(fd, G_IO_IN, on_connect, hardware);
    }
    return fd >= 0;
}

int
lab_hardware_main(const Lab *lab, int ready)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Hardware hardware = { .lab = lab };
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* hosts are children of helpers that end */
    prctl(PR_SET_NAME, "quorate-lab-hw");
    /* A watchdog that fires late is none: before all else on a busy machine, and never swapped.
     * What the machine forbids of it we go without. */
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK,
                       &(struct sched_param){ .sched_priority = PRIORITY });
    g_unix_fd_add(signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC), G_IO_IN, on_child, &hardware);
    if (!serve_all(&hardware, &error)) {
        dprintf(ready, "%s", error->message);
        return 1;
    }
    (void)!write(ready, "r", 1);
    close(ready);
    g_main_loop_run(loop);
    return 0;
}

bool
lab_hardware_start(const Lab *lab, GError **error)
{
    g_autofree char *log_path = lab_path(lab, "hardware.log");
    g_autofree char *pid_path = lab_path(lab, "hardware.pid");
    g_autofree char *cgroup = g_build_filename(lab->cgroup, "hardware", NULL);
    char word[512] = "";
    int ready[2];

    if (!lab_cgroup_make(cgroup, error) || pipe2(ready, O_CLOEXEC) != 0) {
        return *error == NULL && q_set_error_errno(error, errno, "a pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        g_autofree char *fd_text = g_strdup_printf("%d", ready[1]);

        setsid();
        lab_cgroup_join(cgroup, 0, NULL);
        dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        fcntl(ready[1], F_SETFD, 0);
        execl(lab->program, "quorate-lab", "--lab", lab->name, "hardware", fd_text, NULL);
        _exit(127);
    }
    close(ready[1]);
    struct pollfd wait = { .fd = ready[0], .events = POLLIN };
    ssize_t got = poll(&wait, 1, START_WAIT_MS) > 0 ? read(ready[0], word, sizeof word - 1) : 0;
    close(ready[0]);
    if (got != 1) {
        return q_set_error(error, Q_ERROR_IO, "the lab's hardware process does not start: %s",
                           got > 0 ? word : "see hardware.log");
    }
    return lab_pid_write(pid_path, pid, error);
}

bool
lab_hardware_lives(const Lab *lab)
{
    g_autofree char *path = lab_path(lab, "hardware.pid");

    return lab_pid_read(path) != 0;
}

JsonObject *
lab_hardware_ask(const Lab *lab, JsonObject *request, int timeout_ms, GError **error)
{
    g_autofree char *path = lab_path(lab, "hardware.sock");
    g_autofree char *text = q_json_object_text(request, Q_JSON_COMPACT);
    g_autoptr(GString) got = g_string_new(NULL);
    int64_t deadline = q_clock_mono_ms() + timeout_ms;
    int fd = lab_socket_connect(path, SOCK_STREAM, NULL);
    char buffer[65536];
    ssize_t length = fd >= 0 ? send(fd, text, strlen(text), MSG_NOSIGNAL) : -1;

    while (length > 0) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int64_t left = MAX(deadline - q_clock_mono_ms(), 0);

        if (poll(&wait, 1, left) <= 0) {
            close(fd);
            q_set_error(error, Q_ERROR_TIMEOUT, "the lab's hardware did not answer within %d ms",
                        timeout_ms);
            return NULL;
        }
        length = recv(fd, buffer, sizeof buffer, 0);
        g_string_append_len(got, buffer, MAX(length, 0));
    }
    if (fd >= 0) {
        close(fd);
    }
    if (got->len == 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE,
                    "the hardware process of lab '%s' is gone: no power, no watchdogs, no history; "
                    "take the lab down",
                    lab->name);
        return NULL;
    }
    g_autoptr(JsonObject) object = q_json_parse_object(got->str, got->len, error);
    JsonObject *ok = object != NULL ? q_json_object(object, "ok") : NULL;
    if (ok == NULL && object != NULL) {
        q_set_error(error, Q_ERROR_IO, "%s", q_json_string(object, "error", "no answer"));
    }
    return ok != NULL ? json_object_ref(ok) : NULL;
}
