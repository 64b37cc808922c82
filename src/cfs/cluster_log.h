#pragma once
#include "cfs/status.h"

/*
 * The cluster's log: the newest entries of all nodes, at most 128 KiB, sorted by time, node and
 * uid. Merging the same entries again changes nothing.
 */
typedef struct ClusterLog ClusterLog;

ClusterLog *cluster_log_new(void);
void cluster_log_free(ClusterLog *log);

/** cluster_log_entry: Returns: (transfer full): a new entry of @node, not yet in the log; NULL with
 *  Q_ERROR_INVALID. Control characters become #NNN; what is too long is cut. */
JsonObject *cluster_log_entry(ClusterLog *log, const char *node, int64_t time_s,
                              const CfsLogEntry *entry, GError **error);
/** cluster_log_merge: @rows: entries; what is no entry is left out. */
void cluster_log_merge(ClusterLog *log, JsonArray *rows);
/** cluster_log_chunks: (transfer full) (element-type JsonArray): all entries, oldest first, in
 * arrays whose text has about @bytes */
GPtrArray *cluster_log_chunks(const ClusterLog *log, size_t bytes);
char *cluster_log_text(const ClusterLog *log, unsigned max, const char *user);
