#include "cluster/join_client.h"
#include <string.h>
#include <gio/gio.h>
#include "cluster/pki.h"

#define ANSWER_MAX (1024 * 1024) /* bytes */

struct JoinClient {
    char *host;
    char *fingerprint; /* NULL: not known */
    char *shown;       /* what the host showed last */
    char *ticket, *csrf;
    char *own_address;
};

JoinClient *
join_client_new(const char *host, const char *fingerprint)
{
    JoinClient *client = g_new0(JoinClient, 1);

    client->host = g_strdup(host);
    client->fingerprint = g_strdup(fingerprint);
    return client;
}

void
join_client_free(JoinClient *client)
{
    if (client == NULL)
        return;
    g_free(client->host);
    g_free(client->fingerprint);
    g_free(client->shown);
    g_free(client->ticket);
    g_free(client->csrf);
    g_free(client->own_address);
    g_free(client);
}

void
join_client_trust(JoinClient *client, const char *fingerprint)
{
    g_free(client->fingerprint);
    client->fingerprint = g_strdup(fingerprint);
}

char *
join_client_address(JoinClient *client)
{
    return g_strdup(client->own_address);
}

/* ------------------------------------------------------------------ the connection */

static gboolean
on_certificate(GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags flags,
               gpointer data)
{
    JoinClient *client = data;
    g_autofree char *pem = NULL;

    g_object_get(certificate, "certificate-pem", &pem, NULL);
    g_free(client->shown);
    client->shown = pem != NULL ? pki_fingerprint(pem, NULL) : NULL;
    /* Without a fingerprint to compare with we only look: nothing is sent afterwards. */
    return client->shown != NULL
           && (client->fingerprint == NULL
               || pki_fingerprint_same(client->shown, client->fingerprint));
}

static void
note_own_address(JoinClient *client, GSocketConnection *connection)
{
    g_autoptr(GSocketAddress) address = g_socket_connection_get_local_address(connection, NULL);

    if (!G_IS_INET_SOCKET_ADDRESS(address))
        return;
    g_free(client->own_address);
    client->own_address =
        g_inet_address_to_string(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address)));
}

static GIOStream *
open_tls(JoinClient *client, GError **error)
{
    g_autoptr(GSocketClient) sockets = g_socket_client_new();
    g_autoptr(GSocketConnectable) target = g_network_address_parse(client->host, JOIN_PORT, NULL);
    g_autoptr(GError) why = NULL;

    g_socket_client_set_timeout(sockets, JOIN_CALL_TIMEOUT_S);
    g_autoptr(GSocketConnection) connection = g_socket_client_connect(sockets, target, NULL, &why);
    if (connection == NULL) {
        q_set_error(error, Q_ERROR_UNREACHABLE, "cannot reach '%s' on port %d: %s", client->host,
                    JOIN_PORT, why->message);
        return NULL;
    }
    note_own_address(client, connection);
    g_autoptr(GIOStream) tls = g_tls_client_connection_new(G_IO_STREAM(connection), NULL, &why);
    if (tls != NULL) {
        /* No CA and no name decides: the handler below sees every certificate. */
        g_autoptr(GTlsDatabase) nobody = NULL;
        g_tls_connection_set_database(G_TLS_CONNECTION(tls), nobody);
        g_tls_connection_set_require_close_notify(G_TLS_CONNECTION(tls), FALSE);
        g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_certificate), client);
        g_clear_pointer(&client->shown, g_free);
        if (g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, &why) && client->shown != NULL)
            return g_steal_pointer(&tls);
    }
    if (client->shown != NULL && client->fingerprint != NULL
        && !pki_fingerprint_same(client->shown, client->fingerprint))
        q_set_error(error, Q_ERROR_DENIED,
                    "'%s' shows another certificate than expected: fingerprint %s, not %s",
                    client->host, client->shown, client->fingerprint);
    else
        q_set_error(error, Q_ERROR_UNREACHABLE, "TLS with '%s' failed: %s", client->host,
                    why != NULL ? why->message : "no certificate shown");
    return NULL;
}

char *
join_client_look(JoinClient *client, GError **error)
{
    g_autofree char *expected = g_steal_pointer(&client->fingerprint);
    g_autoptr(GIOStream) tls = open_tls(client, error);

    client->fingerprint = g_steal_pointer(&expected);
    if (tls == NULL)
        return NULL;
    g_io_stream_close(tls, NULL, NULL);
    return g_strdup(client->shown);
}

/* ------------------------------------------------------------------ one request, one answer */

static char *
request_text(const JoinClient *client, const char *verb, const char *path, JsonObject *parameters)
{
    g_autofree char *body =
        parameters != NULL ? q_json_object_text(parameters, Q_JSON_COMPACT) : NULL;
    bool v6 = strchr(client->host, ':') != NULL;
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s /api2/json%s HTTP/1.1\r\nHost: %s%s%s:%d\r\n", verb, path,
                           v6 ? "[" : "", client->host, v6 ? "]" : "", JOIN_PORT);
    g_string_append(text, "User-Agent: quorate/" QUORATE_VERSION "\r\nConnection: close\r\n");
    if (client->ticket != NULL)
        g_string_append_printf(text, "Cookie: PVEAuthCookie=%s\r\nCSRFPreventionToken: %s\r\n",
                               client->ticket, client->csrf);
    if (body != NULL)
        g_string_append_printf(text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                               strlen(body));
    else if (strcmp(verb, "POST") == 0)
        g_string_append(text, "Content-Length: 0\r\n");
    g_string_append_printf(text, "\r\n%s", body != NULL ? body : "");
    return g_string_free(text, FALSE);
}

static GString *
read_all(GInputStream *stream, GError **error)
{
    GString *text = g_string_new(NULL);
    char buffer[8192];

    while (true) {
        gssize n = g_input_stream_read(stream, buffer, sizeof buffer, NULL, error);
        if (n > 0 && text->len + (gsize)n <= ANSWER_MAX) {
            g_string_append_len(text, buffer, n);
            continue;
        }
        if (n == 0)
            return text;
        if (n > 0)
            q_set_error(error, Q_ERROR_FULL, "the answer is too long");
        g_string_free(text, TRUE);
        return NULL;
    }
}

/* Head and body of a whole answer; false if it was cut off or is none of HTTP's. */
static bool
split_answer(const GString *answer, int *status, const char **reason, const char **body,
             GError **error)
{
    const char *end = strstr(answer->str, "\r\n\r\n");
    guint64 length = 0, code = 0;

    if (end == NULL || !g_str_has_prefix(answer->str, "HTTP/1.") || strlen(answer->str) < 13)
        return q_set_error(error, Q_ERROR_UNKNOWN, "the answer is not HTTP");
    g_autofree char *head = g_strndup(answer->str, end - answer->str);
    g_auto(GStrv) lines = g_strsplit(head, "\r\n", -1);
    g_autofree char *digits = g_strndup(lines[0] + 9, 3);
    if (!g_ascii_string_to_unsigned(digits, 10, 100, 599, &code, NULL))
        return q_set_error(error, Q_ERROR_UNKNOWN, "the answer is not HTTP");
    for (int i = 1; lines[i] != NULL; i++)
        if (g_ascii_strncasecmp(lines[i], "content-length:", 15) == 0)
            g_ascii_string_to_unsigned(g_strstrip(lines[i] + 15), 10, 0, ANSWER_MAX, &length, NULL);
    *body = end + 4;
    if (answer->len - (gsize)(*body - answer->str) < length)
        return q_set_error(error, Q_ERROR_UNKNOWN, "the answer was cut off");
    *status = (int)code;
    *reason = answer->str + 12;
    return true;
}

static QError
code_of(int status)
{
    switch (status) {
    case 400:
        return Q_ERROR_INVALID;
    case 401:
        return Q_ERROR_UNAUTHENTICATED;
    case 403:
        return Q_ERROR_DENIED;
    case 404:
    case 501:
        return Q_ERROR_UNSUPPORTED;
    default:
        return Q_ERROR_IO;
    }
}

/* The message, and what is said of each parameter, a line each. */
static char *
refusal_text(JsonObject *answer, const char *reason)
{
    g_autofree char *phrase = g_strndup(reason, strcspn(reason, "\r\n"));
    GString *text = g_string_new(NULL);
    JsonObject *errors = answer != NULL ? q_json_object(answer, "errors") : NULL;

    g_string_append(text, answer != NULL ? q_json_string(answer, "message", phrase) : phrase);
    if (errors != NULL) {
        g_autoptr(GList) names = json_object_get_members(errors);
        for (GList *name = names; name != NULL; name = name->next) {
            g_autofree char *why = g_strdup(q_json_string(errors, name->data, ""));
            g_string_append_printf(text, "\n%s: %s", (char *)name->data, g_strchomp(why));
        }
    }
    return g_strstrip(g_string_free(text, FALSE));
}

static JsonNode *
read_answer(JoinClient *client, const GString *text, GError **error)
{
    const char *reason = NULL, *body = NULL;
    int status = 0;

    if (!split_answer(text, &status, &reason, &body, error))
        return NULL;
    g_autoptr(JsonObject) answer = q_json_parse_object(body, -1, NULL);
    if (status != 200) {
        g_autofree char *why = refusal_text(answer, reason);
        q_set_error(error, code_of(status), "%s", why);
        return NULL;
    }
    if (answer == NULL || !json_object_has_member(answer, "data")) {
        q_set_error(error, Q_ERROR_UNKNOWN, "'%s' answered without data", client->host);
        return NULL;
    }
    return json_node_copy(json_object_get_member(answer, "data"));
}

JsonNode *
join_client_call(JoinClient *client, const char *verb, const char *path, JsonObject *parameters,
                 GError **error)
{
    g_autofree char *request = request_text(client, verb, path, parameters);
    g_autoptr(GError) why = NULL;

    if (client->fingerprint == NULL) {
        q_set_error(error, Q_ERROR_DENIED, "the certificate of '%s' is not trusted", client->host);
        return NULL;
    }
    g_autoptr(GIOStream) tls = open_tls(client, error);
    if (tls == NULL)
        return NULL;
    if (!g_output_stream_write_all(g_io_stream_get_output_stream(tls), request, strlen(request),
                                   NULL, NULL, &why)) {
        q_set_error(error, Q_ERROR_UNKNOWN, "sending to '%s': %s", client->host, why->message);
        return NULL;
    }
    GString *text = read_all(g_io_stream_get_input_stream(tls), &why);
    if (text == NULL) {
        q_set_error(error, Q_ERROR_UNKNOWN, "no answer from '%s': %s", client->host, why->message);
        return NULL;
    }
    JsonNode *data = read_answer(client, text, error);
    g_string_free(text, TRUE);
    return data;
}

bool
join_client_login(JoinClient *client, const char *user, const char *password, GError **error)
{
    g_autoptr(JsonObject) parameters = json_object_new();

    json_object_set_string_member(parameters, "username", user);
    json_object_set_string_member(parameters, "password", password);
    g_autoptr(JsonNode) data =
        join_client_call(client, "POST", "/access/ticket", parameters, error);
    if (data == NULL)
        return q_prefix_error(error, "login on '%s' as %s: ", client->host, user);
    JsonObject *login = JSON_NODE_HOLDS_OBJECT(data) ? json_node_get_object(data) : NULL;
    if (login == NULL || q_json_string(login, "ticket", NULL) == NULL)
        return q_set_error(error, Q_ERROR_UNAUTHENTICATED, "login on '%s' gave no ticket",
                           client->host);
    if (q_json_bool(login, "NeedTFA", false))
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "%s on '%s' needs a second factor; join with a token: pvecm token", user,
                           client->host);
    client->ticket = g_strdup(q_json_string(login, "ticket", ""));
    client->csrf = g_strdup(q_json_string(login, "CSRFPreventionToken", ""));
    return true;
}
