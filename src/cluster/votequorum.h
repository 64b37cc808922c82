#pragma once
#include "base/error.h"

/*
 * Votequorum's flag, in the main loop. It comes after CPG's view change and counts votes that store
 * nothing, so it may forbid but never allow (docs/internals/cfs-protocol.md). Corosync is looked
 * for every 50 ms while it is away; away counts as "not quorate".
 */
typedef struct ClusterVotequorum ClusterVotequorum;

/** @quorate: called at each change, first when Corosync was reached. */
typedef void (*ClusterQuorumFunc)(bool quorate, gpointer data);

ClusterVotequorum *cluster_votequorum_new(ClusterQuorumFunc changed, gpointer data);
void cluster_votequorum_free(ClusterVotequorum *votequorum); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClusterVotequorum, cluster_votequorum_free)
