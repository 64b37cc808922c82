#pragma once

/* Where a node keeps things (the lab gives each host its own copy of these folders). */
#define Q_PVE_DIR "/etc/pve"            /* the replicated filesystem's mount */
#define Q_RUN_DIR "/run/quorate"        /* sockets, deadlines, TLS files: gone with the power */
#define Q_STATE_DIR "/var/lib/quorate"  /* kept */
#define Q_DB_DIR "/var/lib/pve-cluster" /* config.db */
#define Q_LOG_DIR "/var/log/quorate"    /* NAME.log where there is no journal */
#define Q_TASK_DIR "/var/log/pve/tasks"
#define Q_GUEST_RUN_DIR "/var/run/qemu-server"
#define Q_CONF_FILE "/etc/quorate/quorate.conf"
#define Q_CFS_SOCKET Q_RUN_DIR "/cfs.sock"
#define Q_LRM_SOCKET Q_RUN_DIR "/lrm.sock"
#define Q_WATCHDOG_SOCKET Q_RUN_DIR "/watchdog.sock"
#define Q_APID_SOCKET Q_RUN_DIR "/apid.sock"
