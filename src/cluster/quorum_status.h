#pragma once
#include "cluster/corosync_conf.h"

/*
 * What Corosync says of membership and votes at this moment, and how `pvecm status` and
 * `pvecm nodes` say it. To look at, not to act on: whether something may change is decided by the
 * cluster filesystem, from weights in its committed configuration.
 */
typedef struct {
    uint32_t id;
    char *name; /* from the configuration that Corosync runs with; "" if unknown */
    char *addr; /* numeric, of its first link; "" if unknown */
    uint32_t votes;
    uint32_t flags; /* as QuorumStatus.flags; only the QDEVICE ones are shown */
    bool local;
} QuorumMember;

/* clang-format off */
enum { /* libvotequorum's bits */
    QUORUM_TWO_NODE          = 1 << 0,
    QUORUM_QUORATE           = 1 << 1,
    QUORUM_WAIT_FOR_ALL      = 1 << 2,
    QUORUM_LAST_MAN_STANDING = 1 << 3,
    QUORUM_AUTO_TIE_BREAKER  = 1 << 4,
    QUORUM_ALLOW_DOWNSCALE   = 1 << 5,
    QUORUM_QDEVICE           = 1 << 6,
    QUORUM_QDEVICE_ALIVE     = 1 << 7,
    QUORUM_QDEVICE_VOTED     = 1 << 8,
    QUORUM_QDEVICE_MASTER    = 1 << 9,
};
/* clang-format on */

typedef struct {
    char *date;     /* as ctime(3) writes it, without the newline */
    char *provider; /* "corosync_votequorum" */
    uint32_t local_id;
    uint32_t ring_id; /* lowest node id of the ring */
    uint64_t ring_seq;
    bool quorate;
    uint32_t expected, highest_expected, total_votes, quorum;
    uint32_t flags;
    uint32_t qdevice_votes;
    char *qdevice;      /* its name; NULL: none */
    GArray *members;    /* QuorumMember, present ones only, by address */
    GPtrArray *remarks; /* char *: "link 1: n3 not reached" */
} QuorumStatus;

/** quorum_status_read: asks the running Corosync. Errors: Q_ERROR_UNREACHABLE: it does not run. */
QuorumStatus *quorum_status_read(GError **error);
void quorum_status_free(QuorumStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QuorumStatus, quorum_status_free)

/** quorum_expect: sets expected votes until membership or configuration change.
 *  Errors: Q_ERROR_INVALID, with Corosync's reason; Q_ERROR_UNREACHABLE. */
bool quorum_expect(uint32_t votes, GError **error);

/** quorum_forget_node: tells Corosync that a node that was removed will not come back. */
bool quorum_forget_node(uint32_t id, GError **error);

/** quorum_reload: every Corosync of the cluster reads its corosync.conf anew. */
bool quorum_reload(GError **error);

/* The texts, from values alone. @conf: the cluster's configuration. (transfer full) */
char *quorum_status_text(const QuorumStatus *status, const CorosyncConf *conf);
char *quorum_nodes_text(const QuorumStatus *status);
