#include "http/forward.h"
#include <libsoup/soup.h>
#include <string.h>
#include "access/keys.h"
#include "http/answer.h"
#include "http/form.h"
#include "sys/clock.h"
#include "sys/paths.h"

enum { CONNECT_S = 3, SILENCE_S = 30, PORT = 8006 };

static bool
unreachable(GError **error, int status, const char *node, const char *why)
{
    q_set_error(error, Q_ERROR_UNREACHABLE, "%s (node '%s')", why, node);
    if (error != NULL) {
        q_error_set_http_status(*error, status);
    }
    return false;
}

/* ------------------------------------------------------------------ where it is */

/* The address of a member. NULL with an error if it is none, or known to be off. */
static char *
member_address(const char *node, GError **error)
{
    g_autoptr(CfsClient) cfs = cfs_client_connect("quorate-forward", error);
    g_autoptr(JsonObject) members =
        cfs != NULL ? cfs_client_call(cfs, "members", NULL, CFS_TIMEOUT_MS, error) : NULL;

    if (members == NULL) {
        return NULL;
    }
    JsonObject *list = q_json_object(members, "nodelist");
    JsonObject *member = list != NULL ? q_json_object(list, node) : NULL;
    if (member == NULL) {
        q_set_error(error, Q_ERROR_INTERNAL, "no such cluster node '%s'", node);
        return NULL;
    }
    if (!q_json_bool(member, "online", false)) {
        unreachable(error, 595, node, "No route to host: the node is offline");
        return NULL;
    }
    const char *address = q_json_string(member, "ip", "");
    if (*address == '\0') {
        unreachable(error, 595, node, "No route to host: the node's address is not known yet");
        return NULL;
    }
    return g_strdup(address);
}

/* A connection for a look at whether anybody listens, with a time limit of its own: what follows
 * may rightly be silent for longer. */
static bool
listens(const char *node, GSocketAddress *address, GError **error)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GError) cause = NULL;

    g_socket_client_set_timeout(client, CONNECT_S);
    g_autoptr(GSocketConnection) connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &cause);
    if (connection == NULL) {
        bool timed_out = g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
        bool refused = g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
        return unreachable(error, timed_out ? 596 : 595, node,
                           timed_out ? "Connection timed out"
                           : refused ? "Connection refused"
                                     : "No route to host");
    }
    return true;
}

/* ------------------------------------------------------------------ who we are */

static GTlsCertificate *
own_certificate(const char *node, GError **error)
{
    g_autofree char *cert = g_strdup_printf("%s/nodes/%s/pve-ssl.pem", Q_PVE_DIR, node);
    g_autofree char *key = g_strdup_printf("%s/nodes/%s/pve-ssl.key", Q_PVE_DIR, node);
    g_autoptr(GError) cause = NULL;
    GTlsCertificate *certificate = g_tls_certificate_new_from_files(cert, key, &cause);

    if (certificate == NULL) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "cannot read this node's certificate: %s",
                    cause->message);
    }
    return certificate;
}

static gboolean
on_request_certificate(SoupMessage *message, GTlsClientConnection *connection, gpointer certificate)
{
    soup_message_set_tls_client_certificate(message, certificate);
    return TRUE;
}

static bool
put_headers(SoupMessage *message, const ApiSession *session, const char *node, ApiVerb verb,
            const char *path, GError **error)
{
    SoupMessageHeaders *headers = soup_message_get_request_headers(message);

    soup_message_headers_append(headers, "PVEDisableProxy", "true");
    if (session->client != NULL) {
        soup_message_headers_append(headers, "PVEClientIP", session->client);
    }
    if (session->cookie != NULL) {
        soup_message_headers_append(headers, "Cookie", session->cookie);
    }
    if (session->csrf != NULL) {
        soup_message_headers_append(headers, "CSRFPreventionToken", session->csrf);
    }
    if (session->authorization != NULL) {
        soup_message_headers_append(headers, "Authorization", session->authorization);
    }
    if (session->cookie != NULL || session->authorization != NULL) {
        return true;
    }
    g_autofree char *aad = g_strdup_printf("%s %s %s", api_verb_name(verb), path, node);
    g_autofree char *ticket = keys_ticket("PVENODE", session->node, aad, error);
    if (ticket == NULL) {
        return false;
    }
    g_autofree char *value = g_strconcat("PVENODE=", ticket, NULL);
    soup_message_headers_append(headers, "Authorization", value);
    return true;
}

/* ------------------------------------------------------------------ the call */

static SoupMessage *
make_message(const char *node, ApiVerb verb, const char *path, JsonObject *parameters)
{
    g_autofree char *form = parameters != NULL ? http_form_encode(parameters) : g_strdup("");
    bool body = verb == API_POST || verb == API_PUT;
    g_autofree char *uri = g_strdup_printf("https://%s:%d/api2/json%s%s%s", node, PORT, path,
                                           !body && *form != '\0' ? "?" : "", body ? "" : form);
    SoupMessage *message = soup_message_new(api_verb_name(verb), uri);

    if (message != NULL && body) {
        g_autoptr(GBytes) bytes = g_bytes_new(form, strlen(form));
        soup_message_set_request_body_from_bytes(message, "application/x-www-form-urlencoded",
                                                 bytes);
    }
    return message;
}

static JsonNode *
send_message(SoupSession *soup, SoupMessage *message, const char *node, int64_t *total,
             GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GBytes) body = soup_session_send_and_read(soup, message, NULL, &cause);

    if (body == NULL) {
        unreachable(error, 596, node, cause->message);
        return NULL;
    }
    return http_answer_read(soup_message_get_status(message),
                            soup_message_get_reason_phrase(message), body, total, error);
}

static JsonNode *
call_at(const ApiSession *session, const char *node, GSocketAddress *address, ApiVerb verb,
        const char *path, JsonObject *parameters, int64_t *total, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GTlsCertificate) own = own_certificate(session->node, error);
    g_autoptr(GTlsDatabase) ca =
        own != NULL ? g_tls_file_database_new(Q_PVE_DIR "/pve-root-ca.pem", &cause) : NULL;
    g_autoptr(SoupMessage) message = make_message(node, verb, path, parameters);

    if (ca == NULL || message == NULL) {
        if (own != NULL) {
            q_set_error(error, Q_ERROR_UNREACHABLE, "cannot speak to node '%s': %s", node,
                        cause != NULL ? cause->message : "its name makes no address");
        }
        return NULL;
    }
    /* The name in the URI is what the certificate must say; the address is only where to connect.
     */
    g_autoptr(SoupSession) soup =
        soup_session_new_with_options("timeout", (guint)SILENCE_S, "remote-connectable", address,
                                      "tls-database", ca, "proxy-resolver", NULL, NULL);
    g_signal_connect(message, "request-certificate", G_CALLBACK(on_request_certificate), own);
    if (!put_headers(message, session, node, verb, path, error)) {
        return NULL;
    }
    return send_message(soup, message, node, total, error);
}

JsonNode *
http_forward(const ApiSession *session, const char *node, ApiVerb verb, const char *path,
             JsonObject *parameters, int64_t *total, GError **error)
{
    g_autofree char *text = member_address(node, error);
    g_autoptr(GInetAddress) ip = text != NULL ? g_inet_address_new_from_string(text) : NULL;

    if (ip == NULL) {
        if (text != NULL) {
            unreachable(error, 595, node, "No route to host: its address is malformed");
        }
        return NULL;
    }
    g_autoptr(GSocketAddress) address = g_inet_socket_address_new(ip, PORT);
    if (!listens(node, address, error)) {
        return NULL;
    }
    /* Whatever thread this is, its main context must not run for us. */
    g_autoptr(GMainContext) context = g_main_context_new();
    g_main_context_push_thread_default(context);
    JsonNode *answer = call_at(session, node, address, verb, path, parameters, total, error);
    g_main_context_pop_thread_default(context);
    return answer;
}
