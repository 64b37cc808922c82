#pragma once
#include "cfs/host.h"
#include "cfs/server.h"
#include "cfs/status.h"
#include "cfs/virtual.h"
#include "cfs/watch.h"

/* quorate-cfsd as a whole: everything around one host, in one main loop. */
typedef struct CfsMount CfsMount;
typedef struct CfsPropagate CfsPropagate;

typedef struct {
    CfsHost *host;
    CfsStatus *status;
    CfsVirtual *virtual;
    CfsWatches *watches;
    CfsServer *server;
    CfsMount *mount;         /* NULL without one (tests) */
    CfsPropagate *propagate; /* NULL without one (tests, -l) */
    bool corosync;           /* it may be looked for */
    bool clustered;
    bool quorate;
} CfsDaemon;

typedef struct {
    CfsHostSetup host;
    const char *socket;     /* of control */
    const char *mountpoint; /* NULL: no mount */
    const char *conf_path;  /* where corosync.conf is carried to; NULL: nowhere */
} CfsDaemonSetup;

/** cfs_daemon_new: serves when it returns. Errors: whatever is wrong with the host, in words. */
CfsDaemon *cfs_daemon_new(const CfsDaemonSetup *setup, GError **error);
void cfs_daemon_free(CfsDaemon *daemon); /* unmounts; NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CfsDaemon, cfs_daemon_free)

extern const CfsOp cfs_ops[]; /* of the control socket; their host is a CfsDaemon */
