#pragma once
#include "api/call.h"

/**
 * http_forward: an ApiHost's forward: the call on another member over HTTPS, both certificates of
 * the cluster's CA, the other's name checked; as the caller's ticket or token says, else as root by
 * a PVENODE ticket (this process must be able to read the node's key then).
 *
 * Waits; connect 3 s, 30 s of silence. Errors: Q_ERROR_UNREACHABLE with HTTP status 595 (offline,
 * no connection) or 596 (TLS, silence), Q_ERROR_INTERNAL "no such cluster node 'x'", else what the
 * other node answered.
 */
JsonNode *http_forward(const ApiSession *session, const char *node, ApiVerb verb, const char *path,
                       JsonObject *parameters, int64_t *total, GError **error);
