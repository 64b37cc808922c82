#pragma once
#include "api/cluster_config.h"
#include "cluster/corosync_conf.h"

/* link0..link7 as a family's elements: NULL where there is none. */
#define CLUSTER_LINK_PARAM(Args)                                                                   \
    API_PARAM(Args, link, API_FAMILY, .optional = true, API_MAX(COROSYNC_LINKS - 1),               \
              .doc = "Address of this node on the link, and the link's priority (the higher "      \
                     "wins): ADDRESS[,priority=0..255].",                                          \
              .doc_type = "[address=]ADDRESS[,priority=N]", .check = cluster_check_link)
bool cluster_check_link(const char *name, const char *value, GError **error);

/** cluster_parse_links: Returns: how many are given; -1 with @error. */
int cluster_parse_links(char **given, CorosyncLink links[COROSYNC_LINKS], GError **error);

/** cluster_write_key: Corosync's key, new; 0400. Errors: Q_ERROR_EXISTS. */
bool cluster_write_key(const char *path, GError **error);

/** cluster_give_vote: this node's own vote, once its tree is the cluster's (safety.md S4). */
bool cluster_give_vote(CfsClient *cfs, const char *node, GError **error);

/** cluster_drop_pending: takes the entry of a node out that has not got its vote yet.
 *  @secret: (nullable): must be the one with which it was added; Q_ERROR_DENIED.
 *  @state: (out): "removed", "member" (it has its vote), "absent" */
bool cluster_drop_pending(CfsClient *cfs, const char *node, const char *secret, const char **state,
                          GError **error);

/** cluster_join_resume: completes an interrupted join whose vote was asked for. */
bool cluster_join_resume(const char *node, GError **error);
