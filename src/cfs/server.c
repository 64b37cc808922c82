#include "cfs/server.h"
#include <errno.h>
#include <glib-unix.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/log.h"

enum {
    PROTOCOL_VERSION = 1,
    IN_FLIGHT_MAX = 64, /* more are left in the socket until answers went out */
    OUTGOING_MAX = 512, /* messages; a peer that lets them pile up does not read */
    READ_BATCH = 16,    /* messages of one peer in one turn of the loop */
    BACKLOG = 64,
};

struct CfsServer {
    CfsServerSetup setup;
    char *path;
    gid_t gid;
    int fd;
    guint source;
    GPtrArray *peers; /* CfsPeer, referenced */
};

struct CfsPeer {
    gint refs;
    CfsServer *server; /* NULL: the peer is gone */
    int fd;
    guint source;
    GIOCondition condition; /* of source */
    struct ucred cred;
    bool root;
    char *program;   /* NULL: has not greeted */
    GQueue outgoing; /* CfsFrame */
    unsigned in_flight;
};

struct CfsRequest {
    CfsPeer *peer; /* referenced */
    CfsFrame *frame;
    int64_t id;
};

static void peer_listen(CfsPeer *peer);

/* ------------------------------------------------------------------ peers */

static CfsPeer *
peer_ref(CfsPeer *peer)
{
    peer->refs++;
    return peer;
}

static void
peer_unref(gpointer data)
{
    CfsPeer *peer = data;

    if (--peer->refs == 0) {
        g_free(peer->program);
        g_free(peer);
    }
}

/* Keeps the structure for requests under way; their answers go nowhere. */
static void
peer_close(CfsPeer *peer)
{
    CfsServer *server = peer->server;

    if (server == NULL) {
        return;
    }
    peer->server = NULL;
    g_clear_handle_id(&peer->source, g_source_remove);
    close(peer->fd);
    g_queue_clear_full(&peer->outgoing, (GDestroyNotify)cfs_frame_free);
    if (peer->program != NULL) {
        server->setup.peer_gone(peer, server->setup.host);
    }
    g_ptr_array_remove_fast(server->peers, peer); /* drops its reference */
}

static bool
in_group(int fd, const struct ucred *cred, gid_t gid)
{
    gid_t groups[256];
    socklen_t size = sizeof groups;

    if (cred->gid == gid) {
        return true;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) != 0) {
        return false;
    }
    for (size_t i = 0; i < size / sizeof *groups; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return false;
}

static void
flush_outgoing(CfsPeer *peer)
{
    while (peer->server != NULL && !g_queue_is_empty(&peer->outgoing)) {
        CfsFrameResult result = cfs_frame_send(peer->fd, g_queue_peek_head(&peer->outgoing));
        if (result == CFS_FRAME_AGAIN) {
            return;
        }
        if (result != CFS_FRAME_DONE) {
            peer_close(peer);
            return;
        }
        cfs_frame_free(g_queue_pop_head(&peer->outgoing));
    }
}

void
cfs_peer_send(CfsPeer *peer, JsonObject *message)
{
    g_autoptr(GError) error = NULL;

    if (peer->server == NULL) {
        json_object_unref(message);
        return;
    }
    CfsFrame *frame = cfs_frame_new(message, &error);
    if (frame == NULL) {
        q_warn("control socket: cannot answer %s: %s", cfs_peer_program(peer), error->message);
        peer_close(peer);
        return;
    }
    g_queue_push_tail(&peer->outgoing, frame);
    if (g_queue_get_length(&peer->outgoing) > OUTGOING_MAX) {
        q_warn("control socket: %s (pid %d) does not read its answers: cut off",
               cfs_peer_program(peer), peer->cred.pid);
        peer_close(peer);
        return;
    }
    if (g_queue_get_length(&peer->outgoing) == 1) {
        flush_outgoing(peer);
    }
    if (peer->server != NULL) {
        peer_listen(peer);
    }
}

bool
cfs_peer_slow(const CfsPeer *peer)
{
    return peer->outgoing.length > 0;
}

const char *
cfs_peer_program(const CfsPeer *peer)
{
    return peer->program != NULL ? peer->program : "a program that has not greeted";
}

pid_t
cfs_peer_pid(const CfsPeer *peer)
{
    return peer->cred.pid;
}

GPtrArray *
cfs_server_peers(CfsServer *server)
{
    GPtrArray *peers = g_ptr_array_new();

    for (guint i = 0; i < server->peers->len; i++) {
        CfsPeer *peer = server->peers->pdata[i];
        if (peer->program != NULL) {
            g_ptr_array_add(peers, peer);
        }
    }
    return peers;
}

/* ------------------------------------------------------------------ answers */

static void
request_end(CfsRequest *request, JsonObject *message)
{
    CfsPeer *peer = request->peer;

    json_object_set_int_member(message, "id", request->id);
    peer->in_flight--;
    cfs_peer_send(peer, message);
    cfs_frame_free(request->frame);
    peer_unref(peer);
    g_free(request);
}

void
cfs_request_ok(CfsRequest *request, JsonObject *ok)
{
    JsonObject *message = json_object_new();

    json_object_set_object_member(message, "ok", ok != NULL ? ok : json_object_new());
    request_end(request, message);
}

static JsonObject *
refusal(const GError *error)
{
    JsonObject *object = json_object_new();
    QError code = error->domain == Q_ERROR ? (QError)error->code : Q_ERROR_INTERNAL;

    json_object_set_string_member(object, "code", q_error_code_name(code));
    json_object_set_string_member(object, "message", error->message);
    return object;
}

void
cfs_request_refuse(CfsRequest *request, GError *error)
{
    JsonObject *message = json_object_new();

    json_object_set_object_member(message, "error", refusal(error));
    g_error_free(error);
    request_end(request, message);
}

void
cfs_request_refuse_for(CfsRequest *request, GError *error, int64_t left_ms)
{
    JsonObject *message = json_object_new();
    JsonObject *object = refusal(error);

    json_object_set_int_member(object, "left_ms", left_ms);
    json_object_set_object_member(message, "error", object);
    g_error_free(error);
    request_end(request, message);
}

JsonObject *
cfs_request_arguments(const CfsRequest *request)
{
    return cfs_frame_object(request->frame);
}

CfsPeer *
cfs_request_peer(const CfsRequest *request)
{
    return request->peer;
}

bool
cfs_request_root(const CfsRequest *request)
{
    return request->peer->root;
}

int64_t
cfs_request_id(const CfsRequest *request)
{
    return request->id;
}

GBytes *
cfs_request_bytes(CfsRequest *request, JsonObject *holder, GError **error)
{
    return cfs_frame_take_bytes(request->frame, holder, error);
}

/* ------------------------------------------------------------------ requests */

static const CfsOp *
find_op(const CfsServer *server, const char *name)
{
    for (const CfsOp *op = server->setup.ops; op->name != NULL; op++) {
        if (strcmp(op->name, name) == 0) {
            return op;
        }
    }
    return NULL;
}

static void
greet(CfsPeer *peer, JsonObject *request)
{
    CfsServer *server = peer->server;
    JsonObject *message = json_object_new();
    const char *program = q_json_string(request, "program", "");
    int64_t version = q_json_int(request, "version", 0);

    if (strcmp(q_json_string(request, "op", ""), "hello") != 0 || program[0] == '\0'
        || version != PROTOCOL_VERSION) {
        g_autoptr(GError) error =
            g_error_new(Q_ERROR, Q_ERROR_INVALID,
                        "the first message must be {\"op\":\"hello\",\"program\":…,\"version\":%d}",
                        PROTOCOL_VERSION);
        json_object_set_object_member(message, "error", refusal(error));
        cfs_peer_send(peer, message);
        peer_close(peer);
        return;
    }
    peer->program = g_strdup(program);
    json_object_set_object_member(message, "ok", server->setup.hello(server->setup.host));
    cfs_peer_send(peer, message);
}

static void
handle_request(CfsPeer *peer, CfsFrame *frame)
{
    JsonObject *message = cfs_frame_object(frame);
    CfsServer *server = peer->server;
    const char *name = q_json_string(message, "op", "");
    const CfsOp *op = find_op(server, name);
    CfsRequest *request = g_new0(CfsRequest, 1);

    request->peer = peer_ref(peer);
    request->frame = frame;
    request->id = q_json_int(message, "id", 0);
    peer->in_flight++;
    if (op == NULL) {
        cfs_request_refuse(
            request, g_error_new(Q_ERROR, Q_ERROR_UNSUPPORTED, "no operation '%s' here", name));
    } else if (op->right == CFS_OP_ROOT && !peer->root) {
        cfs_request_refuse(request,
                           g_error_new(Q_ERROR, Q_ERROR_DENIED, "'%s' is for root only", name));
    } else {
        op->run(request, server->setup.host);
    }
}

static void
read_messages(CfsPeer *peer)
{
    for (int i = 0; i < READ_BATCH && peer->server != NULL && peer->in_flight < IN_FLIGHT_MAX;
         i++) {
        CfsFrame *frame = NULL;
        g_autoptr(GError) error = NULL;
        CfsFrameResult result = cfs_frame_receive(peer->fd, &frame, &error);
        if (result == CFS_FRAME_AGAIN) {
            return;
        }
        if (result != CFS_FRAME_DONE) {
            if (result == CFS_FRAME_BAD) {
                q_warn("control socket: %s (pid %d) is cut off: %s", cfs_peer_program(peer),
                       peer->cred.pid, error->message);
            }
            peer_close(peer);
            return;
        }
        if (peer->program == NULL) {
            greet(peer, cfs_frame_object(frame));
            cfs_frame_free(frame);
        } else {
            handle_request(peer, frame);
        }
    }
}

static gboolean
on_peer(gint fd, GIOCondition condition, gpointer data)
{
    CfsPeer *peer = peer_ref(data);

    if (condition & G_IO_OUT) {
        flush_outgoing(peer);
    }
    if (peer->server != NULL && (condition & (G_IO_HUP | G_IO_ERR))
        && peer->in_flight == IN_FLIGHT_MAX) {
        peer_close(peer); /* else it would be told to us without end */
    }
    if (peer->server != NULL && (condition & (G_IO_IN | G_IO_HUP | G_IO_ERR))) {
        read_messages(peer);
    }
    if (peer->server != NULL) {
        peer_listen(peer);
    }
    peer_unref(peer);
    return G_SOURCE_CONTINUE; /* has no effect if the source was replaced meanwhile */
}

/* What the main loop is to look for depends on what is under way. */
static void
peer_listen(CfsPeer *peer)
{
    GIOCondition condition = 0;

    if (peer->in_flight < IN_FLIGHT_MAX) {
        condition |= G_IO_IN;
    }
    if (!g_queue_is_empty(&peer->outgoing)) {
        condition |= G_IO_OUT;
    }
    if (peer->source != 0 && peer->condition == condition) {
        return;
    }
    g_clear_handle_id(&peer->source, g_source_remove);
    peer->condition = condition;
    peer->source = g_unix_fd_add(peer->fd, condition, on_peer, peer);
}

/* ------------------------------------------------------------------ listening */

static gboolean
on_connection(gint fd, GIOCondition condition, gpointer data)
{
    CfsServer *server = data;
    struct ucred cred;
    socklen_t size = sizeof cred;
    int socket_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (socket_fd < 0) {
        return G_SOURCE_CONTINUE;
    }
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0
        || (cred.uid != 0 && !in_group(socket_fd, &cred, server->gid))) {
        close(socket_fd);
        return G_SOURCE_CONTINUE;
    }
    CfsPeer *peer = g_new0(CfsPeer, 1);
    peer->refs = 1;
    peer->server = server;
    peer->fd = socket_fd;
    peer->cred = cred;
    peer->root = cred.uid == 0;
    g_queue_init(&peer->outgoing);
    g_ptr_array_add(server->peers, peer);
    peer_listen(peer);
    return G_SOURCE_CONTINUE;
}

static bool
server_listen(CfsServer *server, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, server->path, sizeof address.sun_path);
    server->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(server->path);
    if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&address, sizeof address) != 0
        || chmod(server->path, 0660) != 0 || chown(server->path, -1, server->gid) != 0
        || listen(server->fd, BACKLOG) != 0) {
        return q_set_error_errno(error, errno, "control socket '%s'", server->path);
    }
    server->source = g_unix_fd_add(server->fd, G_IO_IN, on_connection, server);
    return true;
}

CfsServer *
cfs_server_new(const char *path, gid_t gid, const CfsServerSetup *setup, GError **error)
{
    g_autoptr(CfsServer) server = g_new0(CfsServer, 1);

    server->setup = *setup;
    server->path = g_strdup(path);
    server->gid = gid;
    server->fd = -1;
    server->peers = g_ptr_array_new_with_free_func(peer_unref);
    if (!server_listen(server, error)) {
        return NULL;
    }
    return g_steal_pointer(&server);
}

void
cfs_server_free(CfsServer *server)
{
    if (server == NULL) {
        return;
    }
    while (server->peers->len > 0) {
        peer_close(server->peers->pdata[0]);
    }
    g_ptr_array_unref(server->peers);
    g_clear_handle_id(&server->source, g_source_remove);
    if (server->fd >= 0) {
        close(server->fd);
        unlink(server->path);
    }
    g_free(server->path);
    g_free(server);
}
