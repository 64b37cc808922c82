#pragma once
#include "base/error.h"

/*
 * Unix sockets by path, of any length: a path longer than sun_path is reached through a descriptor
 * of its folder. All are close-on-exec.
 */

/** lab_socket_listen: @type SOCK_STREAM or SOCK_SEQPACKET (listening), or SOCK_DGRAM (bound).
 *  Replaces a socket that is there. Non-blocking. Returns: the descriptor or -1. */
int lab_socket_listen(const char *path, int type, GError **error);

/** lab_socket_connect: blocking. Returns: the descriptor or -1 with Q_ERROR_UNREACHABLE. */
int lab_socket_connect(const char *path, int type, GError **error);

/** lab_socket_ask: one text request on a SOCK_SEQPACKET socket. @timeout_ms bounds the wait for the
 *  answer. Returns: (transfer full): the answer, or NULL with Q_ERROR_UNREACHABLE or _TIMEOUT. */
char *lab_socket_ask(const char *path, const char *request, int timeout_ms, GError **error);
