#include "http/server.h"
#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "http/head.h"

enum {
    TURN_S = 30, /* for a handshake, a whole request, the next request, the answer's way out */
    CONNECTIONS_MAX = 1000,
    PER_ADDRESS_MAX = 200,
    READ_BYTES = 16 * 1024,
    LINGER_S = 2, /* for a refused request to arrive: a reset would take our answer with it */
    TLS_HANDSHAKE_BYTE = 0x16,
};

struct HttpServer {
    HttpHandler handler;
    gpointer data;
    GSocketService *service;
    GTlsCertificate *certificate;
    guint connections;
    GHashTable *by_address; /* text → count */
};

/* One connection, doing one thing at a time: handshake, read, handler, write, read, … */
typedef struct {
    HttpServer *server;
    GSocketConnection *raw;
    GIOStream *stream; /* TLS or raw */
    char *peer;
    bool is_unix, is_plain, has_uid;
    uid_t uid;
    guint timer;
    GByteArray *input; /* read and not used yet */
    char buffer[READ_BYTES];
    GString *output;
    bool close_after;
    bool unread; /* refused before its end */
} Connection;

struct HttpRequest {
    Connection *connection;
    HttpHead *head;
    GBytes *body;
    GString *extra; /* header lines of the answer */
};

static void read_more(Connection *connection);
static void next_request(Connection *connection);

/* ------------------------------------------------------------------ life */

static void
count(HttpServer *server, const char *peer, int change)
{
    int of_peer = GPOINTER_TO_INT(g_hash_table_lookup(server->by_address, peer)) + change;

    server->connections = (guint)((int)server->connections + change);
    if (of_peer <= 0) {
        g_hash_table_remove(server->by_address, peer);
    } else {
        g_hash_table_insert(server->by_address, g_strdup(peer), GINT_TO_POINTER(of_peer));
    }
}

static void
connection_end(Connection *connection)
{
    g_clear_handle_id(&connection->timer, g_source_remove);
    count(connection->server, connection->peer, -1);
    g_io_stream_close_async(connection->stream, G_PRIORITY_DEFAULT, NULL, NULL, NULL);
    g_object_unref(connection->stream);
    g_object_unref(connection->raw);
    g_byte_array_unref(connection->input);
    if (connection->output != NULL) {
        g_string_free(connection->output, TRUE);
    }
    g_free(connection->peer);
    g_free(connection);
}

/* Whatever the connection waits for ends with an error, and whoever waits ends the connection. */
static gboolean
on_turn_timeout(gpointer data)
{
    Connection *connection = data;

    connection->timer = 0;
    g_socket_shutdown(g_socket_connection_get_socket(connection->raw), TRUE, TRUE, NULL);
    return G_SOURCE_REMOVE;
}

static void
turn_begin(Connection *connection, guint seconds)
{
    g_clear_handle_id(&connection->timer, g_source_remove);
    connection->timer = g_timeout_add_seconds(seconds, on_turn_timeout, connection);
}

/* ------------------------------------------------------------------ writing */

static void
on_drained(GObject *source, GAsyncResult *result, gpointer data)
{
    Connection *connection = data;

    if (g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL) <= 0) {
        connection_end(connection);
        return;
    }
    g_input_stream_read_async(g_io_stream_get_input_stream(connection->stream), connection->buffer,
                              sizeof connection->buffer, G_PRIORITY_DEFAULT, NULL, on_drained,
                              connection);
}

/* Nothing more is said; what still arrives is thrown away, for a while. */
static void
linger(Connection *connection)
{
    g_socket_shutdown(g_socket_connection_get_socket(connection->raw), FALSE, TRUE, NULL);
    turn_begin(connection, LINGER_S);
    g_input_stream_read_async(g_io_stream_get_input_stream(connection->stream), connection->buffer,
                              sizeof connection->buffer, G_PRIORITY_DEFAULT, NULL, on_drained,
                              connection);
}

static void
on_written(GObject *source, GAsyncResult *result, gpointer data)
{
    Connection *connection = data;
    bool ok = g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, NULL);

    g_string_free(g_steal_pointer(&connection->output), TRUE);
    if (ok && connection->unread) {
        linger(connection);
    } else if (!ok || connection->close_after) {
        connection_end(connection);
    } else {
        next_request(connection);
    }
}

static void
write_output(Connection *connection, GString *output)
{
    connection->output = output;
    turn_begin(connection, TURN_S);
    g_output_stream_write_all_async(g_io_stream_get_output_stream(connection->stream), output->str,
                                    output->len, G_PRIORITY_DEFAULT, NULL, on_written, connection);
}

static void
put_head(Connection *connection, GString *out, int status, const char *phrase, const char *type,
         size_t length)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *date = g_date_time_format(now, "%a, %d %b %Y %H:%M:%S GMT");

    g_string_append_printf(out,
                           "HTTP/1.1 %d %s\r\nCache-Control: max-age=0\r\nConnection: %s\r\n"
                           "Date: %s\r\nPragma: no-cache\r\nServer: pve-api-daemon/3.0\r\n"
                           "Expires: %s\r\nContent-Length: %zu\r\n"
                           "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                           "Content-Security-Policy: default-src 'self'\r\n",
                           status, phrase, connection->close_after ? "close" : "Keep-Alive", date,
                           date, length);
    if (type != NULL && length > 0) {
        g_string_append_printf(out, "Content-Type: %s\r\n", type);
    }
}

static void
answer(Connection *connection, int status, const char *phrase, const char *type, const char *body,
       size_t length, const char *extra)
{
    GString *out = g_string_sized_new(length + 1024);

    connection->close_after = connection->close_after || status >= 400;
    put_head(connection, out, status, phrase, type, length);
    g_string_append(out, extra);
    g_string_append(out, "\r\n");
    g_string_append_len(out, body, (gssize)length);
    write_output(connection, out);
}

static void
refuse(Connection *connection, const GError *error)
{
    HttpAnswer refusal = http_answer_error(HTTP_JSON, error);

    connection->close_after = connection->unread = true;
    answer(connection, refusal.status, refusal.phrase, HTTP_JSON_TYPE, refusal.body,
           strlen(refusal.body), "");
    http_answer_clear(&refusal);
}

/* ------------------------------------------------------------------ requests */

static void
request_free(HttpRequest *request)
{
    http_head_free(request->head);
    g_bytes_unref(request->body);
    g_string_free(request->extra, TRUE);
    g_free(request);
}

void
http_request_answer(HttpRequest *request, int status, const char *phrase, const char *type,
                    const char *body, size_t length)
{
    Connection *connection = request->connection;

    connection->close_after = connection->close_after || !request->head->keep_alive;
    answer(connection, status, phrase, type, body != NULL ? body : "", length, request->extra->str);
    request_free(request);
}

void
http_request_answer_json(HttpRequest *request, const HttpAnswer *json)
{
    http_request_answer(request, json->status, json->phrase, HTTP_JSON_TYPE, json->body,
                        json->body != NULL ? strlen(json->body) : 0);
}

/* Plain HTTP on the port of HTTPS. */
static void
answer_redirect(HttpRequest *request)
{
    const char *host = http_request_header(request, "Host");
    const char *path = http_request_path(request), *query = http_request_query(request);
    bool get = strcmp(http_request_verb(request), "GET") == 0;

    request->connection->close_after = true;
    if (host != NULL && *host != '\0') {
        g_autofree char *location =
            g_strdup_printf("https://%s%s%s%s", host, path, *query != '\0' ? "?" : "", query);
        http_request_add_header(request, "Location", location);
    }
    http_request_answer(request, get ? 301 : 308, get ? "Moved Permanently" : "Permanent Redirect",
                        NULL, NULL, 0);
}

/* The head at the beginning of the input, and whether its body is there too. */
static bool
take_request(Connection *connection, HttpHead *head, size_t head_length)
{
    GByteArray *input = connection->input;

    if (input->len < head_length + head->body_length) {
        return false;
    }
    HttpRequest *request = g_new0(HttpRequest, 1);
    request->connection = connection;
    request->head = head;
    request->body = g_bytes_new(input->data + head_length, head->body_length);
    request->extra = g_string_new(NULL);
    g_byte_array_remove_range(input, 0, (guint)(head_length + head->body_length));
    g_clear_handle_id(&connection->timer, g_source_remove); /* from here on it is our time */
    if (connection->is_plain && !connection->is_unix) {
        answer_redirect(request);
    } else {
        connection->server->handler(request, connection->server->data);
    }
    return true;
}

static void
send_continue(Connection *connection)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    /* A few bytes into an empty send buffer do not wait. */
    g_output_stream_write_all(g_io_stream_get_output_stream(connection->stream), line,
                              sizeof line - 1, NULL, NULL, NULL);
}

static void
look_at_input(Connection *connection)
{
    GByteArray *input = connection->input;
    size_t length = http_head_length((const char *)input->data, input->len);
    g_autoptr(GError) error = NULL;

    if (length > HTTP_HEAD_MAX_BYTES || (length == 0 && input->len > HTTP_HEAD_MAX_BYTES)) {
        q_set_error(&error, Q_ERROR_FULL, "head of the request too long: at most %d bytes",
                    HTTP_HEAD_MAX_BYTES);
        q_error_set_http_status(error, 431);
        refuse(connection, error);
        return;
    }
    if (length == 0) {
        read_more(connection);
        return;
    }
    HttpHead *head = http_head_parse((const char *)input->data, length, &error);
    if (head == NULL) {
        refuse(connection, error);
        return;
    }
    bool waits = head->expects_continue && input->len == length && head->body_length > 0;
    if (!take_request(connection, head, length)) {
        http_head_free(head);
        if (waits) {
            send_continue(connection);
        }
        read_more(connection);
    }
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    Connection *connection = data;
    gssize got = g_input_stream_read_finish(G_INPUT_STREAM(source), result, NULL);

    if (got <= 0) {
        connection_end(connection);
        return;
    }
    g_byte_array_append(connection->input, (guint8 *)connection->buffer, (guint)got);
    look_at_input(connection);
}

static void
read_more(Connection *connection)
{
    g_input_stream_read_async(g_io_stream_get_input_stream(connection->stream), connection->buffer,
                              sizeof connection->buffer, G_PRIORITY_DEFAULT, NULL, on_read,
                              connection);
}

static void
next_request(Connection *connection)
{
    turn_begin(connection, TURN_S);
    if (connection->input->len > 0) {
        look_at_input(connection);
    } else {
        read_more(connection);
    }
}

/* ------------------------------------------------------------------ new connections */

static void
on_handshake(GObject *source, GAsyncResult *result, gpointer data)
{
    Connection *connection = data;

    if (!g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, NULL)) {
        connection_end(connection);
        return;
    }
    next_request(connection);
}

static gboolean
on_client_certificate(GTlsConnection *tls, GTlsCertificate *certificate, GTlsCertificateFlags flags,
                      gpointer data)
{
    return TRUE; /* what it is worth is judged where something depends on it */
}

static void
start_tls(Connection *connection)
{
    static const char *const protocols[] = { "http/1.1", NULL };
    GIOStream *tls = g_tls_server_connection_new(G_IO_STREAM(connection->raw),
                                                 connection->server->certificate, NULL);

    if (tls == NULL) {
        connection_end(connection);
        return;
    }
    g_object_set(tls, "authentication-mode", G_TLS_AUTHENTICATION_REQUESTED, NULL);
    g_tls_connection_set_advertised_protocols(G_TLS_CONNECTION(tls), protocols);
    g_tls_connection_set_require_close_notify(G_TLS_CONNECTION(tls), FALSE);
    g_signal_connect(tls, "accept-certificate", G_CALLBACK(on_client_certificate), NULL);
    g_object_unref(connection->stream);
    connection->stream = tls;
    g_tls_connection_handshake_async(G_TLS_CONNECTION(tls), G_PRIORITY_DEFAULT, NULL, on_handshake,
                                     connection);
}

/* The first byte tells TLS from plain text. */
static gboolean
on_first_byte(GSocket *socket, GIOCondition condition, gpointer data)
{
    Connection *connection = data;
    unsigned char first;
    ssize_t got = recv(g_socket_get_fd(socket), &first, 1, MSG_PEEK | MSG_DONTWAIT);

    if (got != 1 || (first == TLS_HANDSHAKE_BYTE && connection->server->certificate == NULL)) {
        connection_end(connection);
    } else if (first == TLS_HANDSHAKE_BYTE) {
        start_tls(connection);
    } else {
        connection->is_plain = true;
        next_request(connection);
    }
    return G_SOURCE_REMOVE;
}

static char *
peer_text(GSocketConnection *raw)
{
    g_autoptr(GSocketAddress) address = g_socket_connection_get_remote_address(raw, NULL);

    if (address == NULL || !G_IS_INET_SOCKET_ADDRESS(address)) {
        return g_strdup("");
    }
    GInetAddress *ip = g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address));
    g_autofree char *text = g_inet_address_to_string(ip);
    return g_strdup(g_str_has_prefix(text, "::ffff:") ? text + strlen("::ffff:") : text);
}

static gboolean
on_incoming(GSocketService *service, GSocketConnection *raw, GObject *source, gpointer data)
{
    HttpServer *server = data;
    GSocket *socket = g_socket_connection_get_socket(raw);
    Connection *connection = g_new0(Connection, 1);

    connection->server = server;
    connection->raw = g_object_ref(raw);
    connection->stream = G_IO_STREAM(g_object_ref(raw));
    connection->peer = peer_text(raw);
    connection->input = g_byte_array_new();
    connection->is_unix = g_socket_get_family(socket) == G_SOCKET_FAMILY_UNIX;
    count(server, connection->peer, 1);
    guint of_peer = GPOINTER_TO_UINT(g_hash_table_lookup(server->by_address, connection->peer));
    if (server->connections > CONNECTIONS_MAX
        || (of_peer > PER_ADDRESS_MAX && !connection->is_unix)) {
        connection_end(connection);
        return TRUE;
    }
    if (connection->is_unix) {
        g_autoptr(GCredentials) who = g_socket_get_credentials(socket, NULL);
        connection->uid = who != NULL ? g_credentials_get_unix_user(who, NULL) : (uid_t)-1;
        connection->has_uid = connection->uid != (uid_t)-1;
        next_request(connection);
        return TRUE;
    }
    g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
    turn_begin(connection, TURN_S);
    g_autoptr(GSource) waiting = g_socket_create_source(socket, G_IO_IN | G_IO_HUP, NULL);
    g_source_set_callback(waiting, G_SOURCE_FUNC(on_first_byte), connection, NULL);
    g_source_attach(waiting, NULL);
    return TRUE;
}

/* ------------------------------------------------------------------ the server */

HttpServer *
http_server_new(HttpHandler handler, gpointer data)
{
    HttpServer *server = g_new0(HttpServer, 1);

    server->handler = handler;
    server->data = data;
    server->by_address = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    server->service = g_socket_service_new();
    g_signal_connect(server->service, "incoming", G_CALLBACK(on_incoming), server);
    return server;
}

void
http_server_stop(HttpServer *server)
{
    g_socket_service_stop(server->service);
    g_socket_listener_close(G_SOCKET_LISTENER(server->service));
}

bool
http_server_listen_tls(HttpServer *server, guint16 port, GError **error)
{
    g_autoptr(GError) cause = NULL;

    /* [::] takes IPv4 too; where there is no IPv6, this listens on IPv4 alone. */
    if (!g_socket_listener_add_inet_port(G_SOCKET_LISTENER(server->service), port, NULL, &cause)) {
        return q_set_error(error, Q_ERROR_IO, "cannot listen on port %u: %s", port, cause->message);
    }
    return true;
}

void
http_server_set_certificate(HttpServer *server, GTlsCertificate *certificate)
{
    g_set_object(&server->certificate, certificate);
}

bool
http_server_listen_unix(HttpServer *server, const char *path, GError **error)
{
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GError) cause = NULL;
    struct group *group = getgrnam("www-data");

    unlink(path);
    mode_t before = umask(0117);
    bool ok = g_socket_listener_add_address(G_SOCKET_LISTENER(server->service), address,
                                            G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
                                            NULL, &cause);
    umask(before);
    if (!ok) {
        return q_set_error(error, Q_ERROR_IO, "cannot listen on %s: %s", path, cause->message);
    }
    if (group != NULL && chown(path, (uid_t)-1, group->gr_gid) != 0) {
        return q_set_error_errno(error, errno, "cannot give %s to group www-data", path);
    }
    return true;
}

/* ------------------------------------------------------------------ what a handler sees */

const char *
http_request_verb(const HttpRequest *request)
{
    return request->head->verb;
}

const char *
http_request_path(const HttpRequest *request)
{
    return request->head->path;
}

const char *
http_request_query(const HttpRequest *request)
{
    return request->head->query;
}

const char *
http_request_header(const HttpRequest *request, const char *name)
{
    return http_head_get(request->head, name);
}

GBytes *
http_request_body(const HttpRequest *request)
{
    return request->body;
}

const char *
http_request_peer(const HttpRequest *request)
{
    return request->connection->peer;
}

bool
http_request_peer_uid(const HttpRequest *request, uid_t *uid)
{
    *uid = request->connection->uid;
    return request->connection->has_uid;
}

GTlsCertificate *
http_request_certificate(const HttpRequest *request)
{
    GIOStream *stream = request->connection->stream;

    return G_IS_TLS_CONNECTION(stream)
               ? g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(stream))
               : NULL;
}

void
http_request_add_header(HttpRequest *request, const char *name, const char *value)
{
    g_string_append_printf(request->extra, "%s: %s\r\n", name, value);
}
