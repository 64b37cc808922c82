#include "api/cluster_tree.h"
#include <string.h>
#include "sys/clock.h"
#include "sys/paths.h"

enum { CHANGE_TRIES = 20, RETRY_US = 20000, POLL_US = 200000 };

char *
cluster_tree_text(CfsClient *cfs, const char *path, uint64_t *version, GError **error)
{
    g_autoptr(GError) why = NULL;
    uint64_t present = CFS_ABSENT;
    char *text = cfs_read(cfs, path, &present, NULL, &why);

    if (version != NULL)
        *version = text != NULL ? present : CFS_ABSENT;
    if (text == NULL && !g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND))
        g_propagate_error(error, g_steal_pointer(&why));
    return text;
}

CorosyncConf *
cluster_tree_conf(CfsClient *cfs, uint64_t *version, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = cluster_tree_text(cfs, CLUSTER_CONF_PATH, version, &why);

    if (text != NULL)
        return corosync_conf_parse(text, error);
    if (why != NULL)
        g_propagate_error(error, g_steal_pointer(&why));
    else
        q_set_error(error, Q_ERROR_NOT_FOUND,
                    "Corosync config '%s/%s' does not exist - is this node part of a cluster?",
                    Q_PVE_DIR, CLUSTER_CONF_PATH);
    return NULL;
}

/* Returns: whether it is done; without an error set, somebody else was faster. */
static bool
try_change(CfsClient *cfs, ClusterChange change, gpointer data, CorosyncConf **fresh,
           GError **error)
{
    uint64_t version;
    g_autoptr(CorosyncConf) conf = cluster_tree_conf(cfs, &version, error);
    g_autoptr(CfsTxn) txn = cfs_txn_new();
    g_autoptr(GError) why = NULL;

    if (conf == NULL || !corosync_conf_check(conf, NULL, error))
        return false;
    cfs_txn_if_version(txn, CLUSTER_CONF_PATH, version);
    if (!change(cfs, conf, txn, data, error))
        return false;
    corosync_conf_bump(conf);
    if (!corosync_conf_check(conf, NULL, error))
        return false;
    g_autofree char *text = corosync_conf_text(conf);
    cfs_txn_write(txn, CLUSTER_CONF_PATH, text);
    if (cfs_txn_commit(cfs, g_steal_pointer(&txn), NULL, &why)) {
        if (fresh != NULL)
            *fresh = g_steal_pointer(&conf);
        return true;
    }
    /* EXISTS: a folder that somebody else made meanwhile. */
    if (!g_error_matches(why, Q_ERROR, Q_ERROR_CONFLICT)
        && !g_error_matches(why, Q_ERROR, Q_ERROR_EXISTS))
        g_propagate_error(error, g_steal_pointer(&why));
    return false;
}

bool
cluster_tree_change(CfsClient *cfs, ClusterChange change, gpointer data, CorosyncConf **fresh,
                    GError **error)
{
    for (int i = 0; i < CHANGE_TRIES; i++) {
        GError *why = NULL;
        if (try_change(cfs, change, data, fresh, &why))
            return true;
        if (why != NULL) {
            g_propagate_error(error, why);
            return false;
        }
        g_usleep(RETRY_US);
    }
    return q_set_error(error, Q_ERROR_BUSY,
                       "corosync.conf was changed by others %d times in a row; try "
                       "again",
                       CHANGE_TRIES);
}

bool
cluster_tree_has(CfsClient *cfs, const char *path, bool *there, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *name = g_path_get_basename(path);
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) entries = cfs_list(cfs, strcmp(parent, ".") == 0 ? "" : parent, &why);

    *there = false;
    if (entries == NULL && !g_error_matches(why, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    for (guint i = 0; entries != NULL && i < entries->len; i++)
        *there |= strcmp(((CfsEntry *)entries->pdata[i])->name, name) == 0;
    return true;
}

bool
cluster_tree_make_dirs(CfsClient *cfs, CfsTxn *txn, const char *path, GError **error)
{
    for (const char *end = path; end != NULL;) {
        end = strchr(end + 1, '/');
        g_autofree char *part = end != NULL ? g_strndup(path, end - path) : g_strdup(path);
        bool there;
        if (!cluster_tree_has(cfs, part, &there, error))
            return false;
        if (!there)
            cfs_txn_mkdir(txn, part);
    }
    return true;
}

bool
cluster_wait_quorum(int timeout_ms, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + timeout_ms;
    g_autofree char *why = NULL;

    while (true) {
        g_autoptr(GError) lost = NULL;
        g_autoptr(CfsClient) cfs = cfs_client_connect("pvecm", &lost);
        g_clear_pointer(&why, g_free);
        if (cfs == NULL)
            why = g_strdup(lost->message);
        else if (cfs_quorate(cfs, &why))
            return true;
        if (q_clock_mono_ms() >= deadline)
            return q_set_error(error, Q_ERROR_NO_QUORUM, "no quorum within %d s: %s",
                               timeout_ms / 1000, why);
        g_usleep(POLL_US);
    }
}
