#pragma once

/* Corosync's own files and the names of the services that forming a cluster restarts. */
#define COROSYNC_DIR "/etc/corosync"
#define COROSYNC_CONF_FILE COROSYNC_DIR "/corosync.conf"
#define COROSYNC_KEY_FILE COROSYNC_DIR "/authkey"
#define COROSYNC_KEY_BYTES 256
#define COROSYNC_SERVICE "corosync"
#define CFSD_SERVICE "quorate-cfsd"
#define PVECM_LOCK_FILE "/var/lock/pvecm.lock"
#define PVECM_LOCK_WAIT_MS 10000
#define CLUSTER_JOIN_API 1 /* what `pvecm apiver` prints */
