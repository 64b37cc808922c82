#pragma once
#include "ha/core/lrm.h"
#include "ha/host.h"

/*
 * /run/quorate/lrm.sock, root only; messages as on cfs.sock. "state": what the local manager is and
 * guards. "shutdown" {kind: reboot|shutdown}: this node goes down; answered when its guests are
 * done.
 */
typedef struct LrmSocket LrmSocket;

LrmSocket *lrm_socket_new(const char *path, HaHost *host, Lrm *lrm, GError **error);
void lrm_socket_free(LrmSocket *socket);

void lrm_socket_left(LrmSocket *socket); /* the manager has left: who waits for it is answered */
