#include "guest/watch.h"
#include <dirent.h>
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/json.h"
#include "guest/process.h"
#include "guest/qmp.h"
#include "sys/paths.h"

#define SCAN_S 1
#define QUIT_S 60 /* from the guest's power-off until its QEMU is killed */
#define LINE_MAX_BYTES (1 << 20)

typedef struct {
    GuestWatch *watch;
    uint32_t vmid;
    GuestProcess process;
    int pid_fd, socket;
    guint pid_source, socket_source, kill_source;
    GString *input;
} Watched;

struct GuestWatch {
    GuestWatchFunc notify;
    gpointer data;
    GHashTable *guests; /* vmid -> Watched */
    guint scan_source;
};

static void
close_socket(Watched *guest)
{
    g_clear_handle_id(&guest->socket_source, g_source_remove);
    if (guest->socket >= 0) {
        close(guest->socket);
        guest->socket = -1;
    }
}

static void
watched_free(gpointer data)
{
    Watched *guest = data;

    close_socket(guest);
    g_clear_handle_id(&guest->pid_source, g_source_remove);
    g_clear_handle_id(&guest->kill_source, g_source_remove);
    if (guest->pid_fd >= 0) {
        close(guest->pid_fd);
    }
    g_string_free(guest->input, TRUE);
    g_free(guest);
}

static void
tell(Watched *guest, GuestWatchEvent event)
{
    guest->watch->notify(guest->vmid, event, guest->watch->data);
}

/* ------------------------------------------------------------------ events of QEMU */

static gboolean
kill_now(gpointer data)
{
    Watched *guest = data;

    guest->kill_source = 0;
    guest_process_signal(&guest->process, SIGKILL);
    return G_SOURCE_REMOVE;
}

static void
say(Watched *guest, const char *command)
{
    g_autofree char *line = g_strdup_printf("{\"execute\":\"%s\"}\n", command);

    /* Short lines into an empty socket buffer; if it fails the kill below ends it. */
    (void)!send(guest->socket, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
handle_event(Watched *guest, JsonObject *message)
{
    const char *name = q_json_string(message, "event", NULL);

    if (json_object_has_member(message, "QMP")) {
        say(guest, "qmp_capabilities");
        say(guest, "query-status");
        return;
    }
    JsonObject *answer = q_json_object(message, "return");
    bool is_off = answer != NULL && strcmp(q_json_string(answer, "status", ""), "shutdown") == 0;
    if (g_strcmp0(name, "SHUTDOWN") == 0 || is_off) {
        if (guest->kill_source == 0) {
            guest->kill_source = g_timeout_add_seconds(QUIT_S, kill_now, guest);
            tell(guest, GUEST_WATCH_SHUTDOWN);
        }
        say(guest, "quit");
    } else if (g_strcmp0(name, "GUEST_PANICKED") == 0) {
        tell(guest, GUEST_WATCH_PANICKED);
    } else if (g_strcmp0(name, "BLOCK_IO_ERROR") == 0) {
        JsonObject *data = q_json_object(message, "data");
        if (data != NULL && strcmp(q_json_string(data, "action", ""), "stop") == 0) {
            tell(guest, GUEST_WATCH_IO_ERROR);
        }
    }
}

static gboolean
readable(int fd, GIOCondition condition, gpointer data)
{
    Watched *guest = data;
    char buffer[4096];
    ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (got <= 0 || guest->input->len > LINE_MAX_BYTES) {
        guest->socket_source = 0;
        close_socket(guest); /* the next scan connects again, if QEMU still lives */
        return G_SOURCE_REMOVE;
    }
    g_string_append_len(guest->input, buffer, got);
    for (char *end; (end = memchr(guest->input->str, '\n', guest->input->len)) != NULL;) {
        g_autoptr(JsonObject) message =
            q_json_parse_object(guest->input->str, end - guest->input->str, NULL);

        g_string_erase(guest->input, 0, end - guest->input->str + 1);
        if (message != NULL) {
            handle_event(guest, message);
        }
    }
    return G_SOURCE_CONTINUE;
}

static void
open_events(Watched *guest)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autofree char *path = qmp_socket_path(guest->vmid, "qmp-events");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return; /* not yet listening: the next scan tries again */
    }
    guest->socket = fd;
    g_string_truncate(guest->input, 0);
    guest->socket_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, readable, guest);
}

/* ------------------------------------------------------------------ processes */

static gboolean
process_ended(int fd, GIOCondition condition, gpointer data)
{
    Watched *guest = data;
    GuestWatch *watch = guest->watch;
    uint32_t vmid = guest->vmid;

    guest->pid_source = 0;
    g_hash_table_remove(watch->guests, GUINT_TO_POINTER(vmid));
    watch->notify(vmid, GUEST_WATCH_ENDED, watch->data);
    return G_SOURCE_REMOVE;
}

static void
watch_process(GuestWatch *watch, uint32_t vmid, const GuestProcess *process)
{
    int fd = syscall(SYS_pidfd_open, process->pid, 0);

    if (fd < 0) {
        return; /* ended just now */
    }
    Watched *guest = g_new0(Watched, 1);
    guest->watch = watch;
    guest->vmid = vmid;
    guest->process = *process;
    guest->pid_fd = fd;
    guest->socket = -1;
    guest->input = g_string_new(NULL);
    guest->pid_source = g_unix_fd_add(fd, G_IO_IN, process_ended, guest);
    g_hash_table_insert(watch->guests, GUINT_TO_POINTER(vmid), guest);
    tell(guest, GUEST_WATCH_FOUND);
}

static gboolean
scan(gpointer data)
{
    GuestWatch *watch = data;
    DIR *dir = opendir(Q_GUEST_RUN_DIR);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        char *end;
        guint64 vmid = g_ascii_strtoull(entry->d_name, &end, 10);
        GuestProcess process;

        if (end == entry->d_name || strcmp(end, ".pid") != 0 || vmid > G_MAXUINT32) {
            continue;
        }
        Watched *guest = g_hash_table_lookup(watch->guests, GUINT_TO_POINTER((guint)vmid));
        if (guest == NULL && guest_process(vmid, &process)) {
            watch_process(watch, vmid, &process);
            guest = g_hash_table_lookup(watch->guests, GUINT_TO_POINTER((guint)vmid));
        }
        if (guest != NULL && guest->socket < 0) {
            open_events(guest);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return G_SOURCE_CONTINUE;
}

GuestWatch *
guest_watch_new(GuestWatchFunc notify, gpointer data)
{
    GuestWatch *watch = g_new0(GuestWatch, 1);

    watch->notify = notify;
    watch->data = data;
    watch->guests = g_hash_table_new_full(NULL, NULL, NULL, watched_free);
    watch->scan_source = g_timeout_add_seconds(SCAN_S, scan, watch);
    scan(watch);
    return watch;
}

void
guest_watch_free(GuestWatch *watch)
{
    if (watch != NULL) {
        g_source_remove(watch->scan_source);
        g_hash_table_unref(watch->guests);
        g_free(watch);
    }
}
