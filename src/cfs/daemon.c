#include "cfs/daemon.h"
#include <errno.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cfs/mount.h"
#include "cfs/propagate.h"
#include "sys/file.h"
#include "sys/clock.h"

enum { WRITABLE_MS = 3000 };

/* ------------------------------------------------------------------ what happens to whom */

static void
on_visible(const ReplicaEffect *effect, gpointer data)
{
    CfsDaemon *daemon = data;

    cfs_virtual_visible(daemon->virtual, effect);
    cfs_watches_visible(daemon->watches, effect);
    if (daemon->propagate != NULL) {
        cfs_propagate_visible(daemon->propagate, effect);
    }
}

static void
on_quorum(gpointer data)
{
    CfsDaemon *daemon = data;
    bool quorate = replica_quorum(cfs_host_replica(daemon->host)).state == QUORUM_YES;

    if (daemon->clustered != !replica_alone(cfs_host_replica(daemon->host))) {
        daemon->clustered = !daemon->clustered;
        cfs_status_follow(daemon->status, daemon->clustered && daemon->corosync);
    }
    cfs_virtual_members(daemon->virtual);
    if (quorate != daemon->quorate) {
        daemon->quorate = quorate;
        cfs_watches_quorum(daemon->watches, quorate);
    }
}

static void
on_status(const char *node, const char *key, const char *value, gpointer data)
{
    CfsDaemon *daemon = data;

    if (g_strcmp0(key, "nodeip") == 0) {
        cfs_virtual_members(daemon->virtual);
    }
    cfs_watches_status(daemon->watches, node, key);
}

static void
on_members(gpointer data)
{
    CfsDaemon *daemon = data;

    cfs_virtual_members(daemon->virtual);
}

static const char *
node_name(uint32_t id, gpointer data)
{
    CfsDaemon *daemon = data;

    return cfs_virtual_node_name(daemon->virtual, id);
}

/* ------------------------------------------------------------------ control socket */

static JsonObject *
hello(gpointer data)
{
    CfsDaemon *daemon = data;
    const CorosyncConf *conf = cfs_virtual_conf(daemon->virtual);
    JsonObject *ok = json_object_new();

    json_object_set_string_member(ok, "node", cfs_host_node(daemon->host));
    json_object_set_int_member(ok, "nodeid", cfs_host_node_id(daemon->host));
    json_object_set_string_member(ok, "boot", cfs_host_boot(daemon->host));
    json_object_set_string_member(ok, "cluster",
                                  conf != NULL ? corosync_conf_cluster_name(conf) : "");
    return ok;
}

static void
peer_gone(CfsPeer *peer, gpointer data)
{
    CfsDaemon *daemon = data;

    cfs_watches_peer_gone(daemon->watches, peer);
}

/* The folder of all our sockets: group www-data may enter. */
static bool
make_run_folder(const char *socket_path, gid_t gid, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(socket_path);

    if (!q_file_make_dir(folder, 0750, error)) {
        return false;
    }
    if (chmod(folder, 0750) != 0 || chown(folder, 0, gid) != 0) {
        return q_set_error_errno(error, errno, "folder '%s'", folder);
    }
    return true;
}

static bool
open_socket(CfsDaemon *daemon, const char *path, GError **error)
{
    const struct group *group = getgrnam("www-data");
    gid_t gid = group != NULL ? group->gr_gid : (gid_t)-1;
    CfsServerSetup setup = {
        .ops = cfs_ops, .hello = hello, .peer_gone = peer_gone, .host = daemon
    };

    if (!make_run_folder(path, gid, error)) {
        return false;
    }
    daemon->server = cfs_server_new(path, gid, &setup, error);
    return daemon->server != NULL;
}

/* ------------------------------------------------------------------ life */

/* A node alone is writable when somebody is told that it serves. */
static void
wait_until_writable(CfsDaemon *daemon)
{
    int64_t end_ms = q_clock_mono_ms() + WRITABLE_MS;

    while (replica_quorum(cfs_host_replica(daemon->host)).state != QUORUM_YES
           && replica_alone(cfs_host_replica(daemon->host)) && q_clock_mono_ms() < end_ms) {
        g_main_context_iteration(NULL, TRUE);
    }
}

CfsDaemon *
cfs_daemon_new(const CfsDaemonSetup *setup, GError **error)
{
    g_autoptr(CfsDaemon) daemon = g_new0(CfsDaemon, 1);

    daemon->watches = cfs_watches_new();
    daemon->host = cfs_host_new(&setup->host, error);
    if (daemon->host == NULL) {
        return NULL;
    }
    daemon->corosync = setup->host.corosync && !setup->host.local;
    daemon->clustered = !replica_alone(cfs_host_replica(daemon->host));
    CfsStatusEvents status_events = {
        .changed = on_status, .members = on_members, .name = node_name, .data = daemon
    };
    daemon->status = cfs_status_new(cfs_host_node(daemon->host), &status_events);
    daemon->virtual = cfs_virtual_new(daemon->host, daemon->status);
    CfsHostEvents events = { .visible = on_visible, .quorum = on_quorum, .data = daemon };
    cfs_host_listen(daemon->host, &events);
    cfs_status_follow(daemon->status, daemon->clustered && daemon->corosync);
    if (setup->conf_path != NULL && !setup->host.local) {
        daemon->propagate = cfs_propagate_new(daemon->host, setup->conf_path);
    }
    wait_until_writable(daemon);
    if (!open_socket(daemon, setup->socket, error)) {
        return NULL;
    }
    if (setup->mountpoint != NULL) {
        daemon->mount = cfs_mount_new(daemon, setup->mountpoint, error);
        if (daemon->mount == NULL) {
            return NULL;
        }
    }
    return g_steal_pointer(&daemon);
}

void
cfs_daemon_free(CfsDaemon *daemon)
{
    if (daemon == NULL) {
        return;
    }
    /* Whoever still waits is answered while there is somebody to carry the answer. */
    cfs_host_free(daemon->host);
    cfs_mount_free(daemon->mount);
    cfs_server_free(daemon->server);
    cfs_propagate_free(daemon->propagate);
    cfs_virtual_free(daemon->virtual);
    cfs_status_free(daemon->status);
    cfs_watches_free(daemon->watches);
    g_free(daemon);
}
