#pragma once
#include "base/error.h"

/*
 * Does UDP pass between two hosts, in packets as large as Corosync's? The new node echoes on the
 * ports that Corosync will use; a member sends. Nothing but echoing what carries the right nonce.
 */
#define PROBE_PORT 5405  /* link n: + n */
#define PROBE_BYTES 1400 /* of UDP payload: an Ethernet packet less 72 bytes */
#define PROBE_WAIT_MS 400
#define PROBE_TRIES 3

/** probe_send: from our address @from to @to: Q_ERROR_UNREACHABLE: says whether small packets pass.
 */
bool probe_send(const char *from, const char *to, uint16_t port, GError **error);

typedef struct ProbeEcho ProbeEcho;

/** probe_echo_start: echoes in a thread on each of @addresses (%NULL where there is none, @count of
 *  them) at PROBE_PORT + n. A port that is taken is left out. */
ProbeEcho *probe_echo_start(const char *const *addresses, int count);
void probe_echo_stop(ProbeEcho *echo); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProbeEcho, probe_echo_stop)
