#include "cluster/join_client.h"
#include <string.h>
#include <gio/gio.h>
#include "cluster/pki.h"

/* A host with a certificate of its own that gives one prepared answer to each request. */
typedef struct {
    GSocketService *service;
    GTlsCertificate *certificate;
    char *fingerprint, *name;
    const char *answer;
    GMutex lock;
    char *request; /* the last one */
} Host;

static char *
read_request(GInputStream *stream)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];

    while (true) {
        gssize n = g_input_stream_read(stream, buffer, sizeof buffer, NULL, NULL);
        if (n <= 0)
            break;
        g_string_append_len(text, buffer, n);
        const char *end = strstr(text->str, "\r\n\r\n");
        const char *length = strstr(text->str, "Content-Length: ");
        if (end == NULL)
            continue;
        size_t body = length != NULL ? g_ascii_strtoull(length + 16, NULL, 10) : 0;
        if (text->len >= (size_t)(end + 4 - text->str) + body)
            break;
    }
    return g_string_free(text, FALSE);
}

static gboolean
on_run(GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
       gpointer data)
{
    Host *host = data;
    g_autoptr(GIOStream) tls =
        g_tls_server_connection_new(G_IO_STREAM(connection), host->certificate, NULL);

    if (!g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, NULL))
        return TRUE;
    char *request = read_request(g_io_stream_get_input_stream(tls));
    g_mutex_lock(&host->lock);
    g_free(host->request);
    host->request = request;
    g_mutex_unlock(&host->lock);
    if (request[0] != '\0')
        g_output_stream_write_all(g_io_stream_get_output_stream(tls), host->answer,
                                  strlen(host->answer), NULL, NULL, NULL);
    g_io_stream_close(tls, NULL, NULL);
    return TRUE;
}

static gpointer
serve(gpointer loop)
{
    g_main_loop_run(loop);
    return NULL;
}

static Host *
host_new(void)
{
    const PkiSubject subject = { "n1", NULL, NULL };
    g_autoptr(GError) error = NULL;
    Host *host = g_new0(Host, 1);
    g_autofree char *ca_key = pki_key_new(2048, &error);
    g_autofree char *key = pki_key_new(2048, &error);
    g_autofree char *ca = pki_ca_new(ca_key, g_get_real_time() / G_USEC_PER_SEC, &error);
    g_autofree char *cert =
        pki_cert_new(ca, ca_key, key, &subject, g_get_real_time() / G_USEC_PER_SEC, &error);
    g_autofree char *both = g_strconcat(cert, key, NULL);

    host->certificate = g_tls_certificate_new_from_pem(both, -1, &error);
    g_assert_no_error(error);
    host->fingerprint = pki_fingerprint(cert, &error);
    host->service = g_threaded_socket_service_new(4);
    uint16_t port =
        g_socket_listener_add_any_inet_port(G_SOCKET_LISTENER(host->service), NULL, &error);
    g_assert_no_error(error);
    host->name = g_strdup_printf("127.0.0.1:%u", port);
    g_signal_connect(host->service, "run", G_CALLBACK(on_run), host);
    g_socket_service_start(host->service);
    g_thread_unref(g_thread_new("host", serve, g_main_loop_new(NULL, FALSE)));
    return host;
}

static Host *host;

static JsonNode *
call(const char *fingerprint, GError **error)
{
    g_autoptr(JoinClient) client = join_client_new(host->name, fingerprint);
    g_autoptr(JsonObject) parameters = json_object_new();

    json_object_set_string_member(parameters, "node", "n2");
    return join_client_call(client, "POST", "/cluster/config/nodes/n2", parameters, error);
}

static void
test_trust(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JoinClient) client = join_client_new(host->name, NULL);
    g_autofree char *shown = join_client_look(client, &error);
    g_autofree char *wrong = g_strdup(host->fingerprint);

    g_assert_no_error(error);
    g_assert_cmpstr(shown, ==, host->fingerprint);
    g_assert_null(join_client_call(client, "GET", "/version", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_clear_error(&error);

    host->answer = "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"data\":{\"a\":\"b c d\"}}\n";
    g_autoptr(JsonNode) data = call(host->fingerprint, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(q_json_string(json_node_get_object(data), "a", ""), ==, "b c d");
    g_assert_true(
        g_str_has_prefix(host->request, "POST /api2/json/cluster/config/nodes/n2 HTTP/1.1\r\n"));
    g_assert_true(g_str_has_suffix(host->request, "\r\n\r\n{\"node\":\"n2\"}"));

    /* Another certificate: nothing is sent. */
    g_clear_pointer(&host->request, g_free);
    wrong[0] = wrong[0] == '0' ? '1' : '0';
    g_assert_null(call(wrong, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_DENIED);
    g_assert_true(strstr(error->message, "another certificate than expected") != NULL);
    g_assert_true(host->request == NULL || host->request[0] == '\0');
}

static void
test_answers(void)
{
    static const struct {
        const char *answer;
        QError code;
        const char *message;
    } cases[] = {
        { "HTTP/1.1 401 authentication failure\r\nContent-Length: 13\r\n\r\n{\"data\":null}",
          Q_ERROR_UNAUTHENTICATED, "authentication failure" },
        { "HTTP/1.1 500 can't\r\n\r\n{\"data\":null,\"message\":\"can't add existing node "
          "'n2'\\n\"}",
          Q_ERROR_IO, "can't add existing node 'n2'" },
        { "HTTP/1.1 400 Parameter verification failed.\r\n\r\n"
          "{\"data\":null,\"message\":\"Parameter verification failed.\\n\","
          "\"errors\":{\"node\":\"bad name\\n\"}}",
          Q_ERROR_INVALID, "Parameter verification failed.\n\nnode: bad name" },
        { "HTTP/1.1 501 Method not implemented\r\n\r\n", Q_ERROR_UNSUPPORTED,
          "Method not implemented" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":1}", Q_ERROR_UNKNOWN,
          "the answer was cut off" },
        { "HTTP/1.1 200 OK\r\n\r\n{\"dat\":1}", Q_ERROR_UNKNOWN, NULL },
        { "SSH-2.0-OpenSSH\r\n", Q_ERROR_UNKNOWN, "the answer is not HTTP" },
        { "HTTP/1.1 xxx\r\n\r\n", Q_ERROR_UNKNOWN, "the answer is not HTTP" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%s", cases[i].answer);
        host->answer = cases[i].answer;
        g_assert_null(call(host->fingerprint, &error));
        g_assert_error(error, Q_ERROR, (int)cases[i].code);
        if (cases[i].message != NULL)
            g_assert_cmpstr(error->message, ==, cases[i].message);
    }
}

static void
test_login(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JoinClient) client = join_client_new(host->name, host->fingerprint);

    host->answer = "HTTP/1.1 200 OK\r\n\r\n{\"data\":{\"ticket\":\"PVE:root@pam:X::sig\","
                   "\"CSRFPreventionToken\":\"C:M\"}}";
    g_assert_true(join_client_login(client, "root@pam", "pw\"x", &error));
    g_assert_true(strstr(host->request, "{\"password\":\"pw\\\"x\",\"username\":\"root@pam\"}")
                  != NULL);
    g_autoptr(JsonNode) data = join_client_call(client, "GET", "/version", NULL, &error);
    g_assert_no_error(error);
    g_assert_true(strstr(host->request, "\r\nCookie: PVEAuthCookie=PVE:root@pam:X::sig\r\n")
                  != NULL);
    g_assert_true(strstr(host->request, "\r\nCSRFPreventionToken: C:M\r\n") != NULL);

    host->answer = "HTTP/1.1 200 OK\r\n\r\n{\"data\":{\"ticket\":\"PVE:!tfa!\",\"NeedTFA\":1}}";
    g_autoptr(JoinClient) second = join_client_new(host->name, host->fingerprint);
    g_assert_false(join_client_login(second, "root@pam", "pw", &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_UNSUPPORTED);
}

static void
test_unreachable(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JoinClient) client = join_client_new("127.0.0.1:1", "AB");

    g_assert_null(join_client_call(client, "GET", "/version", NULL, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_UNREACHABLE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    host = host_new();
    g_test_add_func("/cluster/join_client/trust", test_trust);
    g_test_add_func("/cluster/join_client/answers", test_answers);
    g_test_add_func("/cluster/join_client/login", test_login);
    g_test_add_func("/cluster/join_client/unreachable", test_unreachable);
    return g_test_run();
}
