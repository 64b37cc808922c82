#pragma once
#include "cfs/host.h"
#include "cluster/cpg.h"
#include "cluster/votequorum.h"

#define CFS_HOST_COROSYNC_CONF "/etc/corosync/corosync.conf"
#define CFS_TREE_COROSYNC_CONF "corosync.conf" /* in the tree */

typedef struct {
    uint64_t number;
    CfsOutcomeFunc done;
    gpointer data;
    int64_t deadline_ms; /* CLOCK_MONOTONIC */
    bool timed_out;
    GList *link; /* in by_age */
} Call;

struct CfsHost {
    char *node;
    char *boot;
    char *folder;
    uint32_t node_id;
    bool local;
    bool corosync;
    bool ending;
    int call_ms;
    Replica *replica;
    CfsStore *store;
    CfsHostEvents events;
    bool disk_bad;
    /* Corosync; NULL while alone. */
    ClusterCpg *main_group;
    ClusterCpg *bulk_group;
    ClusterVotequorum *votequorum;
    guint follow_source;
    /* Inputs. */
    bool stepping;
    GQueue waiting; /* Waiting: inputs that came meanwhile */
    unsigned inputs_since_idle;
    bool idle_wanted;
    int64_t wake_ms; /* CLOCK_MONOTONIC: when the core wants to be looked at */
    GSource *clock;
    GSource *idle;
    /* Calls under way. */
    uint64_t last_call;
    GHashTable *calls; /* number → Call */
    GQueue by_age;
};

void cfs_host_feed(CfsHost *host, const ReplicaInput *input);
void cfs_host_carry_out(CfsHost *host, ReplicaEffect *effect);
void cfs_host_answer(CfsHost *host, uint64_t number, const UpdateResult *result);

/** cfs_host_begin_anew: as if the daemon were started again; what is under way is answered UNKNOWN.
 */
void cfs_host_begin_anew(CfsHost *host);

/* host_corosync.c */
/** cfs_host_follow_config: joins the groups; begins anew when the tree has got its corosync.conf.
 */
void cfs_host_follow_config(CfsHost *host);
void cfs_host_leave_corosync(CfsHost *host);
/** cfs_host_is_member: whether @conf lists @node at an address that others could reach. */
bool cfs_host_is_member(const char *conf, const char *node);
/** cfs_host_find_id: from corosync.conf among @entries, else from @own_conf (nullable); else 1. */
uint32_t cfs_host_find_id(GPtrArray *entries, const char *own_conf, const char *node);
