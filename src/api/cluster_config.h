#pragma once
#include "api/method.h"

/* Forming, joining and looking at the cluster: /cluster/config, /cluster/status, and pvecm's own.
 */
extern const ApiMethod api_cluster_config_create, api_cluster_config_totem,
    api_cluster_config_nodes, api_cluster_config_apiversion, api_cluster_config_join_info;
extern const ApiMethod api_cluster_config_add_node, api_cluster_config_token_join,
    api_cluster_config_join_conf, api_cluster_config_join_undo, api_cluster_config_delete_node;
extern const ApiMethod api_cluster_config_join, api_pvecm_add, api_pvecm_leave;
extern const ApiMethod api_cluster_status, api_pvecm_status, api_pvecm_nodes, api_pvecm_expected;
extern const ApiMethod api_pvecm_token, api_pvecm_keygen, api_pvecm_updatecerts,
    api_pvecm_config_check;

extern const ApiMethod *const api_cluster_config_methods[];

/** cluster_upkeep: once a minute by apid, in a thread: ends entries of nodes that never completed
 *  their join (ten minutes after this process first saw them), completes a join of this node that
 *  was interrupted after its vote was asked for. Says what it did in the log. */
typedef struct ClusterUpkeep ClusterUpkeep;
ClusterUpkeep *cluster_upkeep_new(void);
void cluster_upkeep_free(ClusterUpkeep *upkeep);
void cluster_upkeep(ClusterUpkeep *upkeep, CfsClient *cfs, const char *node);
