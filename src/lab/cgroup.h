#pragma once
#include <sys/types.h>
#include "base/error.h"

/*
 * Every process of a lab is in one subtree of cgroup2: that is how a host is frozen as a whole and
 * how `down` finds what a killed lab left.
 */

/** lab_cgroup_mount: (transfer full) (nullable): where cgroup2 is mounted on this machine */
char *lab_cgroup_mount(void);

bool lab_cgroup_make(const char *path, GError **error); /* fine if there; its parent must be */
bool lab_cgroup_join(const char *path, pid_t pid, GError **error); /* 0: this process */

/** lab_cgroup_freeze: waits up to a second until every process stands still (or runs again). */
bool lab_cgroup_freeze(const char *path, bool freeze, GError **error);
bool lab_cgroup_is_frozen(const char *path); /* was asked to be */

void lab_cgroup_kill(const char *path);      /* SIGKILL to the whole subtree, frozen or not */
bool lab_cgroup_populated(const char *path); /* false also if it does not exist */

/** lab_cgroup_wait_empty: Returns: false if processes are still there after @timeout_ms */
bool lab_cgroup_wait_empty(const char *path, int timeout_ms);

/** lab_cgroup_pids: (transfer full) (element-type int): of the whole subtree */
GArray *lab_cgroup_pids(const char *path);
void lab_cgroup_remove(const char *path); /* with its children; all must be empty */
