#pragma once
#include "base/json.h"

/*
 * The new node's side of HTTPS to a member of the cluster. There is no CA in common yet: the
 * certificate is trusted by its SHA-256 fingerprint alone. Each call is a connection of its own.
 */
typedef struct JoinClient JoinClient;

#define JOIN_PORT 8006
#define JOIN_CALL_TIMEOUT_S 60

/** join_client_new: @host: name or address; @fingerprint: (nullable): not known yet */
JoinClient *join_client_new(const char *host, const char *fingerprint);
void join_client_free(JoinClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JoinClient, join_client_free)

/** join_client_look: (transfer full): the fingerprint that the host shows; says nothing to it. */
char *join_client_look(JoinClient *client, GError **error);
void join_client_trust(JoinClient *client, const char *fingerprint);

/** join_client_login: Errors: Q_ERROR_UNAUTHENTICATED: wrong password. */
bool join_client_login(JoinClient *client, const char *user, const char *password, GError **error);

/**
 * join_client_call:
 * @verb: "GET", "POST", "DELETE"
 * @path: "/cluster/config/join"
 * @parameters: (nullable): sent as JSON
 *
 * Returns: (transfer full): "data" of the answer. Errors: Q_ERROR_UNREACHABLE (nothing was sent),
 *   Q_ERROR_UNKNOWN (no answer: it may have happened), Q_ERROR_DENIED (another certificate), or
 * what the host said, with its message
 */
JsonNode *join_client_call(JoinClient *client, const char *verb, const char *path,
                           JsonObject *parameters, GError **error);
/** join_client_address: (transfer full) (nullable): our own address of the last connection */
char *join_client_address(JoinClient *client);
