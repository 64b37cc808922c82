#pragma once
#include <stddef.h>
#include "base/error.h"

/*
 * Membership of one Closed Process Group of Corosync, in the main loop. Nothing here waits: joining
 * runs in a helper thread, because Corosync's library waits while Corosync itself is stopped.
 * When Corosync goes, `lost` says so; it is looked for again every 50 ms, then a view comes.
 *
 * Delivery is agreed, not safe, and a sent message may come back in a later view or never
 * (docs/internals/cfs-protocol.md): what a view means is for the caller to decide.
 */
typedef struct ClusterCpg ClusterCpg;

typedef struct {
    uint32_t node; /* Corosync's node id */
    uint32_t pid;
} ClusterMember;

typedef struct {
    void (*view)(const ClusterMember *members, size_t count, const ClusterMember *left,
                 size_t left_count, const ClusterMember *joined, size_t joined_count,
                 gpointer data);
    void (*message)(ClusterMember sender, const void *bytes, size_t length, gpointer data);
    void (*lost)(gpointer data);    /* no member of anything until the next view */
    void (*drained)(gpointer data); /* (nullable): all that had arrived is delivered */
} ClusterCpgEvents;

/** cluster_cpg_new: @events must live as long as the group; @data goes to each of them. */
ClusterCpg *cluster_cpg_new(const char *group, const ClusterCpgEvents *events, gpointer data);
void cluster_cpg_free(ClusterCpg *cpg); /* leaves; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClusterCpg, cluster_cpg_free)

/**
 * cluster_cpg_send:
 *
 * Hands a message of at most 1 MiB to Corosync, or queues it while Corosync takes no more; the
 * queue is forgotten when Corosync goes.
 *
 * Returns: false if there is no group to send to, or 16 MiB wait already
 */
bool cluster_cpg_send(ClusterCpg *cpg, const void *bytes, size_t length);
size_t cluster_cpg_queued_bytes(const ClusterCpg *cpg);

/** cluster_cpg_rejoin: leaves and joins again; `lost` is called from the main loop, then a view. */
void cluster_cpg_rejoin(ClusterCpg *cpg);

bool cluster_cpg_joined(const ClusterCpg *cpg);
ClusterMember cluster_cpg_self(const ClusterCpg *cpg); /* node 0 before the first join */
