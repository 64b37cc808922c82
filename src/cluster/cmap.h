#pragma once
#include "base/error.h"

/*
 * Single values of Corosync's running configuration and statistics, by the names of
 * cmap_keys(8): "totem.config_version", "nodelist.local_node_pos". For people to see: no decision
 * rests on them (weights come from the tree). Each call connects anew and may wait for a stopped
 * Corosync, so daemons call it from a thread only.
 */

/** cluster_cmap_string: numbers as decimal text too. Returns: (transfer full): NULL with
 *  Q_ERROR_UNREACHABLE (no Corosync) or Q_ERROR_NOT_FOUND */
char *cluster_cmap_string(const char *key, GError **error);

/** cluster_cmap_keys: Returns: (transfer full): the names that begin with @prefix, in Corosync's
 * order; NULL with Q_ERROR_UNREACHABLE */
char **cluster_cmap_keys(const char *prefix, GError **error);
