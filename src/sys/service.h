#pragma once
#include "base/error.h"

/*
 * The node's supervisor: systemd where it runs, else the supervisor of a lab host, which listens on
 * /run/lab/init (SOCK_SEQPACKET, one text request a message: "start NAME", "stop NAME",
 * "restart NAME", "state NAME"; answered "ok running", "ok stopped" or "error WHY" when done).
 * NAME is the unit without ".service": "corosync", "quorate-cfsd".
 */
bool q_service_start(const char *name, GError **error);
bool q_service_stop(const char *name, GError **error);
bool q_service_restart(const char *name, GError **error);
bool q_service_running(const char *name); /* false also if nobody can tell */

/**
 * q_notify:
 * @state: "READY=1", "STATUS=…", "WATCHDOG=1", "STOPPING=1" (sd_notify(3))
 *
 * Tells the supervisor through $NOTIFY_SOCKET; without one it does nothing.
 */
void q_notify(const char *state);
