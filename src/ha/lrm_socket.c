#include "ha/lrm_socket.h"
#include <string.h>
#include <sys/stat.h>
#include "base/sorted.h"
#include "cfs/server.h"
#include "ha/mirror.h"

struct LrmSocket {
    CfsServer *server;
    HaHost *host;
    Lrm *lrm;
    GPtrArray *waiting; /* CfsRequest *: "shutdown" */
};

static JsonArray *
running_guests(const HaWorld *world)
{
    g_autoptr(GPtrArray) sids = q_sorted_keys(world->local->running);
    JsonArray *guests = json_array_new();

    for (guint i = 0; i < sids->len; i++) {
        json_array_add_string_element(guests, sids->pdata[i]);
    }
    return guests;
}

static void
op_state(CfsRequest *request, gpointer data)
{
    LrmSocket *socket = data;
    HaEnv *env = ha_host_env(socket->host);
    JsonObject *ok = json_object_new();

    json_object_set_string_member(ok, "state", lrm_state(socket->lrm));
    json_object_set_string_member(ok, "mode", ha_mode_name(lrm_mode(socket->lrm)));
    ha_generation_to_json(ok, "generation", lrm_generation(socket->lrm));
    json_object_set_int_member(ok, "deadline_ms", lrm_deadline(socket->lrm).boot_ms);
    json_object_set_array_member(ok, "guests", running_guests(env->read(env)));
    if (ha_host_refusal(socket->host) != NULL) {
        json_object_set_string_member(ok, "refusal", ha_host_refusal(socket->host));
    }
    cfs_request_ok(request, ok);
}

static void
op_shutdown(CfsRequest *request, gpointer data)
{
    LrmSocket *socket = data;
    const char *kind = q_json_string(cfs_request_arguments(request), "kind", "");
    bool reboot = strcmp(kind, "reboot") == 0;

    if (!reboot && strcmp(kind, "shutdown") != 0) {
        cfs_request_refuse(request, g_error_new(Q_ERROR, Q_ERROR_INVALID,
                                                "kind '%s': expected reboot or shutdown", kind));
        return;
    }
    g_ptr_array_add(socket->waiting, request);
    lrm_shutdown(socket->lrm, ha_host_env(socket->host),
                 reboot ? HA_SHUTDOWN_REBOOT : HA_SHUTDOWN_POWEROFF);
    ha_host_step_soon(socket->host);
}

static const CfsOp ops[] = {
    { "state", CFS_OP_ROOT, op_state },
    { "shutdown", CFS_OP_ROOT, op_shutdown },
    { 0 },
};

static JsonObject *
hello(gpointer data)
{
    LrmSocket *socket = data;
    JsonObject *ok = json_object_new();

    json_object_set_string_member(ok, "node", ha_host_env(socket->host)->node);
    return ok;
}

static void
peer_gone(CfsPeer *peer, gpointer data)
{
    /* A request outlives its peer: the node goes down whether or not somebody waits for it. */
}

void
lrm_socket_left(LrmSocket *socket)
{
    for (guint i = 0; i < socket->waiting->len; i++) {
        cfs_request_ok(socket->waiting->pdata[i], json_object_new());
    }
    g_ptr_array_set_size(socket->waiting, 0);
}

LrmSocket *
lrm_socket_new(const char *path, HaHost *host, Lrm *lrm, GError **error)
{
    LrmSocket *socket = g_new0(LrmSocket, 1);
    CfsServerSetup setup = { .ops = ops, .hello = hello, .peer_gone = peer_gone, .host = socket };

    socket->host = host;
    socket->lrm = lrm;
    socket->waiting = g_ptr_array_new();
    socket->server = cfs_server_new(path, (gid_t)-1, &setup, error);
    if (socket->server == NULL) {
        lrm_socket_free(socket);
        return NULL;
    }
    chmod(path, 0600); /* the machinery makes it for a group, too */
    return socket;
}

void
lrm_socket_free(LrmSocket *socket)
{
    if (socket != NULL) {
        lrm_socket_left(socket);
        cfs_server_free(socket->server);
        g_ptr_array_unref(socket->waiting);
        g_free(socket);
    }
}
