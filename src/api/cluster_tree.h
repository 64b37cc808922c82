#pragma once
#include "api/method.h"
#include "cluster/corosync_conf.h"

/* What the rows of /cluster/config share: corosync.conf of the tree, read and changed in order. */
#define CLUSTER_CONF_PATH "corosync.conf"

/** cluster_tree_conf: @version (out) (optional). Errors: Q_ERROR_NOT_FOUND "Corosync config … does
 * not exist - is this node part of a cluster?" */
CorosyncConf *cluster_tree_conf(CfsClient *cfs, uint64_t *version, GError **error);

/** cluster_tree_text: (transfer full) (nullable): @path; absent: NULL without an error, version 0.
 */
char *cluster_tree_text(CfsClient *cfs, const char *path, uint64_t *version, GError **error);

/**
 * ClusterChange:
 *
 * Changes @conf, and adds what goes with it to @txn; conditions of its own too. May be called again
 * when somebody else was faster.
 */
typedef bool (*ClusterChange)(CfsClient *cfs, CorosyncConf *conf, CfsTxn *txn, gpointer data,
                              GError **error);

/**
 * cluster_tree_change:
 * @fresh: (out) (optional) (transfer full): the configuration as it is from now on
 *
 * One update: read, change, config_version + 1, check, write on condition of the version read.
 */
bool cluster_tree_change(CfsClient *cfs, ClusterChange change, gpointer data, CorosyncConf **fresh,
                         GError **error);

/** cluster_tree_make_dirs: adds to @txn what is missing of @path, from the top. */
bool cluster_tree_make_dirs(CfsClient *cfs, CfsTxn *txn, const char *path, GError **error);
/** cluster_tree_has: is there a file or folder? */
bool cluster_tree_has(CfsClient *cfs, const char *path, bool *there, GError **error);

/** cluster_wait_quorum: asks a new cfsd again and again. Errors: Q_ERROR_NO_QUORUM with the reason.
 */
bool cluster_wait_quorum(int timeout_ms, GError **error);
