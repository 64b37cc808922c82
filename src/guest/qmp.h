#pragma once
#include "base/json.h"

/*
 * QEMU's machine protocol, in short conversations: connect, a few commands, free. A guest has three
 * monitors, each serves one client at a time: VMID.qmp is left to users and their tools,
 * VMID.qmp-own is for these conversations, VMID.qmp-events for the one that watches
 * (guest/watch.h).
 */
typedef struct Qmp Qmp;

#define QMP_CONNECT_MS 5000
#define QMP_COMMAND_MS 10000

/** qmp_connect: @timeout_ms also covers the wait for another conversation to end.
 *  Errors: Q_ERROR_NOT_FOUND (no socket: does not run), Q_ERROR_TIMEOUT, Q_ERROR_IO */
Qmp *qmp_connect(uint32_t vmid, int timeout_ms, GError **error);
void qmp_free(Qmp *qmp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qmp, qmp_free)

/**
 * qmp_command:
 * @arguments: (transfer full) (nullable)
 *
 * Returns: (transfer full): what QEMU returned; %NULL with Q_ERROR_IO and QEMU's own words, or
 *   Q_ERROR_TIMEOUT, after which the conversation is over
 */
JsonNode *qmp_command(Qmp *qmp, const char *command, JsonObject *arguments, int timeout_ms,
                      GError **error);

/** qmp_do: as qmp_command(), for those who only ask whether it worked. */
bool qmp_do(Qmp *qmp, const char *command, JsonObject *arguments, int timeout_ms, GError **error);

/** qmp_agent: one command to the agent in the guest, after a sync. Q_ERROR_UNREACHABLE "QEMU guest
 *  agent is not running" if it does not answer within @timeout_ms. With @answer false, success is
 * to have sent it. */
JsonNode *qmp_agent(uint32_t vmid, const char *command, JsonObject *arguments, bool answer,
                    int timeout_ms, GError **error);

char *qmp_socket_path(uint32_t vmid, const char *kind); /* (transfer full): "qmp-own" */
