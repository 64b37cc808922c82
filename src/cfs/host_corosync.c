#include "cfs/host_priv.h"
#include <string.h>
#include "cluster/corosync_conf.h"
#include "sys/log.h"

/* Corosync's side of the host: two groups and the quorum flag. */

#define MAIN_GROUP "quorate-cfs-1"
#define BULK_GROUP "quorate-cfs-bulk-1"

/* ------------------------------------------------------------------ events */

static void
on_view(const ClusterMember *members, size_t count, const ClusterMember *left, size_t left_count,
        const ClusterMember *joined, size_t joined_count, gpointer data)
{
    g_autofree uint32_t *nodes = g_new0(uint32_t, count + 1);

    for (size_t i = 0; i < count; i++) {
        nodes[i] = members[i].node;
    }
    cfs_host_feed(data, &(ReplicaInput){ .kind = REPLICA_VIEW,
                                         .view = { .members = nodes, .n_members = count } });
}

static void
on_message(ClusterMember sender, const void *bytes, size_t length, gpointer data)
{
    cfs_host_feed(
        data,
        &(ReplicaInput){ .kind = REPLICA_MESSAGE,
                         .message = { .node_id = sender.node, .data = bytes, .length = length } });
}

static void
on_main_lost(gpointer data)
{
    cfs_host_feed(data, &(ReplicaInput){ .kind = REPLICA_VIEW });
}

static void
on_bulk_view(const ClusterMember *members, size_t count, const ClusterMember *left,
             size_t left_count, const ClusterMember *joined, size_t joined_count, gpointer data)
{
    /* Who is there is told by the main group; what is lost here is asked for again. */
}

static void
on_bulk_message(ClusterMember sender, const void *bytes, size_t length, gpointer data)
{
    cfs_host_feed(
        data,
        &(ReplicaInput){ .kind = REPLICA_BULK,
                         .message = { .node_id = sender.node, .data = bytes, .length = length } });
}

static void
on_bulk_lost(gpointer data)
{
}

static void
on_flag(bool quorate, gpointer data)
{
    cfs_host_feed(data, &(ReplicaInput){ .kind = REPLICA_FLAG, .flag = quorate });
}

static void
on_drained(gpointer data)
{
    cfs_host_idle(data);
}

static const ClusterCpgEvents main_events = {
    .view = on_view, .message = on_message, .lost = on_main_lost, .drained = on_drained
};
static const ClusterCpgEvents bulk_events = { .view = on_bulk_view,
                                              .message = on_bulk_message,
                                              .lost = on_bulk_lost };

/* ------------------------------------------------------------------ who we are */

static uint32_t
id_in(const char *text, const char *node)
{
    g_autoptr(CorosyncConf) conf = text != NULL ? corosync_conf_parse(text, NULL) : NULL;
    CorosyncNode found;

    return conf != NULL && corosync_conf_node(conf, node, &found) ? found.id : 0;
}

static char *
text_of(const TreeEntry *entry)
{
    gsize length;
    const char *data = g_bytes_get_data(entry->data, &length);

    return g_strndup(length > 0 ? data : "", length);
}

uint32_t
cfs_host_find_id(GPtrArray *entries, const char *own_conf, const char *node)
{
    uint32_t id = 0;

    for (guint i = 0; i < entries->len && id == 0; i++) {
        const TreeEntry *entry = entries->pdata[i];
        if (entry->parent == TREE_ROOT && entry->type == TREE_FILE
            && strcmp(entry->name, CFS_TREE_COROSYNC_CONF) == 0) {
            g_autofree char *text = text_of(entry);
            id = id_in(text, node);
        }
    }
    if (id == 0) {
        id = id_in(own_conf, node);
    }
    return id != 0 ? id : 1;
}

bool
cfs_host_is_member(const char *conf, const char *node)
{
    g_autoptr(CorosyncConf) parsed = corosync_conf_parse(conf, NULL);
    CorosyncNode found;

    return parsed != NULL && corosync_conf_node(parsed, node, &found) && found.addr[0] != NULL
           && !g_str_has_prefix(found.addr[0], "127.") && strcmp(found.addr[0], "::1") != 0
           && strcmp(found.addr[0], "localhost") != 0;
}

/* ------------------------------------------------------------------ coming and going */

/* A core that began alone stays so: now there is a cluster. */
static bool
must_begin_anew(const CfsHost *host)
{
    const TreeEntry *conf = tree_lookup(replica_tree(host->replica), CFS_TREE_COROSYNC_CONF);

    return replica_alone(host->replica) && conf != NULL && conf->type == TREE_FILE;
}

static gboolean
follow_config(gpointer data)
{
    CfsHost *host = data;

    host->follow_source = 0;
    if (must_begin_anew(host)) {
        q_notice("this node has become a cluster");
        cfs_host_begin_anew(host);
    } else if (!replica_alone(host->replica) && host->main_group == NULL) {
        host->votequorum = cluster_votequorum_new(on_flag, host);
        host->bulk_group = cluster_cpg_new(BULK_GROUP, &bulk_events, host);
        host->main_group = cluster_cpg_new(MAIN_GROUP, &main_events, host);
    }
    return G_SOURCE_REMOVE;
}

void
cfs_host_follow_config(CfsHost *host)
{
    bool join = !replica_alone(host->replica) && host->main_group == NULL;

    /* Later: answers of the present step go out first. */
    if (host->corosync && !host->ending && host->follow_source == 0
        && (join || must_begin_anew(host))) {
        host->follow_source = g_idle_add_full(G_PRIORITY_DEFAULT, follow_config, host, NULL);
    }
}

void
cfs_host_leave_corosync(CfsHost *host)
{
    g_clear_handle_id(&host->follow_source, g_source_remove);
    g_clear_pointer(&host->main_group, cluster_cpg_free);
    g_clear_pointer(&host->bulk_group, cluster_cpg_free);
    g_clear_pointer(&host->votequorum, cluster_votequorum_free);
}
