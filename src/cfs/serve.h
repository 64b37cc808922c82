#pragma once
#include "cfs/daemon.h"

/** cfs_into_background: the parent does not return: it exits 0 when the child serves, else 1.
 *  Returns: in the child: what cfs_serve() needs, or -1 */
int cfs_into_background(void);

/** cfs_serve: runs the daemon until it is told to end, keeping its supervisor informed. @ready: of
 *  cfs_into_background(), or -1. Returns: exit status */
int cfs_serve(const CfsDaemonSetup *setup, int ready);
