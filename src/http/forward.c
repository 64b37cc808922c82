#include "http/forward.h"
#include <gio/gio.h>
#include <string.h>
#include "access/keys.h"
#include "http/answer.h"
#include "http/form.h"
#include "sys/paths.h"

enum {
    CONNECT_S = 3,
    SILENCE_S = 30,
    PORT = 8006,
    READ_BYTES = 64 * 1024,
    ANSWER_MAX_BYTES = 64 * 1024 * 1024,
};

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

static GSocketConnection *
connect_to(const char *node, GSocketAddress *address, GError **error)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GError) cause = NULL;

    g_socket_client_set_enable_proxy(client, FALSE);
    g_socket_client_set_timeout(client, CONNECT_S);
    GSocketConnection *connection =
        g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &cause);
    if (connection == NULL) {
        bool timed_out = g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
        bool refused = g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
        unreachable(error, timed_out ? 596 : 595, node,
                    timed_out ? "Connection timed out"
                    : refused ? "Connection refused"
                              : "No route to host");
        return NULL;
    }
    g_socket_set_timeout(g_socket_connection_get_socket(connection), SILENCE_S);
    return connection;
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

/* TLS with both certificates checked: ours there, the other's here, by its name. */
static GIOStream *
start_tls(GSocketConnection *connection, const char *own_node, const char *node, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GTlsCertificate) own = own_certificate(own_node, error);
    g_autoptr(GTlsDatabase) ca =
        own != NULL ? g_tls_file_database_new(Q_PVE_DIR "/pve-root-ca.pem", &cause) : NULL;
    g_autoptr(GSocketConnectable) identity = g_network_address_new(node, PORT);
    g_autoptr(GIOStream) tls =
        ca != NULL ? g_tls_client_connection_new(G_IO_STREAM(connection), identity, &cause) : NULL;

    if (own == NULL) {
        return NULL;
    }
    if (tls != NULL) {
        g_tls_connection_set_database(G_TLS_CONNECTION(tls), ca);
        g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), own);
    }
    if (tls == NULL || !g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, &cause)) {
        bool bad = g_error_matches(cause, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE);
        unreachable(error, 596, node, bad ? "certificate verify failed" : cause->message);
        return NULL;
    }
    return g_steal_pointer(&tls);
}

/* ------------------------------------------------------------------ the request */

static void
put_header(GString *out, const char *name, const char *value)
{
    if (value != NULL && strpbrk(value, "\r\n") == NULL) {
        g_string_append_printf(out, "%s: %s\r\n", name, value);
    }
}

static bool
put_who(GString *out, const ApiSession *session, const char *node, ApiVerb verb, const char *path,
        GError **error)
{
    put_header(out, "PVEDisableProxy", "true");
    put_header(out, "PVEClientIP", session->client);
    put_header(out, "Cookie", session->cookie);
    put_header(out, "CSRFPreventionToken", session->csrf);
    put_header(out, "Authorization", session->authorization);
    if (session->cookie != NULL || session->authorization != NULL) {
        return true;
    }
    g_autofree char *aad = g_strdup_printf("%s %s %s", api_verb_name(verb), path, node);
    g_autofree char *ticket = keys_ticket("PVENODE", session->node, aad, error);
    if (ticket == NULL) {
        return false;
    }
    g_string_append_printf(out, "Authorization: PVENODE=%s\r\n", ticket);
    return true;
}

static GString *
request_text(const ApiSession *session, const char *node, ApiVerb verb, const char *path,
             JsonObject *parameters, GError **error)
{
    g_autofree char *form = parameters != NULL ? http_form_encode(parameters) : g_strdup("");
    bool body = verb == API_POST || verb == API_PUT;
    GString *out = g_string_new(NULL);

    g_string_append_printf(out, "%s /api2/json%s%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n",
                           api_verb_name(verb), path, !body && *form != '\0' ? "?" : "",
                           body ? "" : form, node);
    if (!put_who(out, session, node, verb, path, error)) {
        g_string_free(out, TRUE);
        return NULL;
    }
    if (body) {
        g_string_append_printf(out,
                               "Content-Type: application/x-www-form-urlencoded\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               strlen(form), form);
    } else {
        g_string_append(out, "\r\n");
    }
    return out;
}

/* ------------------------------------------------------------------ the answer */

/* To the end: the other side closes. */
static GByteArray *
read_all(GIOStream *stream, const char *node, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree char *buffer = g_malloc(READ_BYTES);
    g_autoptr(GError) cause = NULL;
    gssize got;

    while ((got = g_input_stream_read(g_io_stream_get_input_stream(stream), buffer, READ_BYTES,
                                      NULL, &cause))
           > 0) {
        g_byte_array_append(bytes, (guint8 *)buffer, (guint)got);
        if (bytes->len > ANSWER_MAX_BYTES) {
            unreachable(error, 597, node, "the answer is too long");
            return NULL;
        }
    }
    /* An end without TLS's good-bye is fine: Content-Length tells whether all has come. */
    if (got < 0 && !g_error_matches(cause, G_TLS_ERROR, G_TLS_ERROR_EOF)) {
        bool timed_out = g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
        unreachable(error, timed_out ? 596 : 597, node,
                    timed_out ? "Connection timed out" : cause->message);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

/* "HTTP/1.1 STATUS PHRASE", headers, body. */
static JsonNode *
judge_answer(const GByteArray *bytes, const char *node, int64_t *total, GError **error)
{
    const char *text = (const char *)bytes->data;
    const char *end = memmem(text, bytes->len, "\r\n\r\n", 4);

    if (end == NULL || !g_str_has_prefix(text, "HTTP/1.1 ")) {
        unreachable(error, 597, node, "no answer, or none of ours");
        return NULL;
    }
    g_autofree char *head = g_strndup(text, (gsize)(end - text));
    const char *mark = strstr(head, "\r\nContent-Length: ");
    const char *status = head + strlen("HTTP/1.1 ");
    size_t length = bytes->len - (size_t)(end + 4 - text);
    if (mark == NULL
        || g_ascii_strtoull(mark + strlen("\r\nContent-Length: "), NULL, 10) != length) {
        unreachable(error, 597, node, "the answer was cut off");
        return NULL;
    }
    size_t line = strcspn(status, "\r");
    g_autofree char *phrase = line > 4 ? g_strndup(status + 4, line - 4) : g_strdup("");
    g_autoptr(GBytes) body = g_bytes_new(end + 4, length);
    return http_answer_read((int)g_ascii_strtoll(status, NULL, 10), phrase, body, total, error);
}

static JsonNode *
call_at(const ApiSession *session, const char *node, GSocketAddress *address, ApiVerb verb,
        const char *path, JsonObject *parameters, int64_t *total, GError **error)
{
    GString *request = request_text(session, node, verb, path, parameters, error);
    g_autoptr(GSocketConnection) connection =
        request != NULL ? connect_to(node, address, error) : NULL;
    g_autoptr(GIOStream) tls =
        connection != NULL ? start_tls(connection, session->node, node, error) : NULL;
    g_autoptr(GByteArray) answer = NULL;
    g_autoptr(GError) cause = NULL;

    if (tls != NULL
        && g_output_stream_write_all(g_io_stream_get_output_stream(tls), request->str, request->len,
                                     NULL, NULL, &cause)) {
        answer = read_all(tls, node, error);
    } else if (tls != NULL) {
        unreachable(error, 596, node, cause->message);
    }
    if (request != NULL) {
        g_string_free(request, TRUE);
    }
    return answer != NULL ? judge_answer(answer, node, total, error) : NULL;
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
    return call_at(session, node, address, verb, path, parameters, total, error);
}
