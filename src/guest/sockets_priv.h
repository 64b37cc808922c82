#pragma once
#include <glib.h>
#include <sys/types.h>
#include "base/error.h"

/*
 * TCP sockets of processes that are about to be killed (S30): the kernel goes on delivering what a
 * dead process had sent. They are noted while the processes still live, destroyed after their
 * death, and only their absence is proof.
 */
typedef struct GateSockets GateSockets;

/** gate_sockets_note: adds the TCP sockets that processes @pids hold now. */
GateSockets *gate_sockets_new(void);
bool gate_sockets_note(GateSockets *sockets, const GArray *pids, GError **error);

/** gate_sockets_end: destroys the noted ones. Returns: true if none of them is there any more. */
bool gate_sockets_end(GateSockets *sockets, GError **error);
void gate_sockets_free(GateSockets *sockets);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GateSockets, gate_sockets_free)
