#include "http/proxy.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib-unix.h>
#include <grp.h>
#include <libsoup/soup.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "access/keys.h"
#include "access/throttle.h"
#include "http/apid.h"
#include "http/certificate.h"
#include "http/credentials.h"
#include "http/server.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/paths.h"
#include "sys/process.h"
#include "sys/service.h"

enum { PORT = 8006, APID_SILENCE_S = 600, RELAYS_MAX = 512 };

#define ACCESS_LOG_DIR "/var/log/pveproxy"
#define ACCESS_LOG ACCESS_LOG_DIR "/access.log"

typedef struct {
    HttpServer *server;
    SoupSession *apid;
    CfsClient *cfs;
    GTlsCertificate *of_machine;
    Throttle *throttle; /* of tokens; logins are apid's */
    char *node;
    FILE *access_log;
} Proxy;

/* One request on its way to apid and back. */
typedef struct {
    Proxy *proxy;
    HttpRequest *request;
    HttpCredentials credentials;
    char *user;   /* who it is; NULL: nobody */
    char *member; /* of a verified certificate */
    char *reject; /* why what was shown is not good */
    bool forwarded;
} Relay;

/* ------------------------------------------------------------------ the end of a request */

static void
log_access(const Relay *relay, int status, size_t length)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%d/%m/%Y:%H:%M:%S %z");
    const HttpRequest *request = relay->request;
    const char *query = http_request_query(request);

    if (relay->proxy->access_log != NULL) {
        fprintf(relay->proxy->access_log, "%s - %s [%s] \"%s %s%s%s HTTP/1.1\" %d %zu\n",
                http_request_peer(request), relay->user != NULL ? relay->user : "-", time,
                http_request_verb(request), http_request_path(request), *query != '\0' ? "?" : "",
                query, status, length);
        fflush(relay->proxy->access_log);
    }
}

static void
relay_free(Relay *relay)
{
    http_credentials_clear(&relay->credentials);
    g_free(relay->user);
    g_free(relay->member);
    g_free(relay->reject);
    g_free(relay);
}

static void
finish_error(Relay *relay, QError code, int status, const char *text)
{
    g_autoptr(GError) error = NULL;

    q_set_error(&error, code, "%s", text);
    q_error_set_http_status(error, status);
    HttpAnswer answer = http_answer_error(HTTP_JSON, error);
    log_access(relay, answer.status, strlen(answer.body));
    http_request_answer_json(relay->request, &answer);
    http_answer_clear(&answer);
    relay_free(relay);
}

static void
pass_header(HttpRequest *request, SoupMessageHeaders *from, const char *name)
{
    const char *value = soup_message_headers_get_one(from, name);

    if (value != NULL) {
        http_request_add_header(request, name, value);
    }
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer data)
{
    Relay *relay = data;
    g_autoptr(GError) error = NULL;
    SoupMessage *message = soup_session_get_async_result_message(SOUP_SESSION(source), result);
    g_autoptr(GBytes) body =
        soup_session_send_and_read_finish(SOUP_SESSION(source), result, &error);

    if (body == NULL) {
        g_autofree char *text = g_strdup_printf("quorate-apid does not answer: %s", error->message);
        finish_error(relay, Q_ERROR_UNREACHABLE, 595, text);
        return;
    }
    SoupMessageHeaders *headers = soup_message_get_response_headers(message);
    const char *type = soup_message_headers_get_one(headers, "Content-Type");
    int status = (int)soup_message_get_status(message);
    gsize length;
    const char *bytes = g_bytes_get_data(body, &length);

    pass_header(relay->request, headers, "Content-Disposition");
    pass_header(relay->request, headers, "Retry-After");
    log_access(relay, status, length);
    http_request_answer(relay->request, status, soup_message_get_reason_phrase(message),
                        type != NULL ? type : HTTP_JSON_TYPE, bytes, length);
    relay_free(relay);
}

/* ------------------------------------------------------------------ to apid */

static void
put_header(SoupMessageHeaders *headers, const char *name, const char *value)
{
    if (value != NULL) {
        soup_message_headers_append(headers, name, value);
    }
}

static const char *
client_address(const Relay *relay)
{
    const char *told = http_request_header(relay->request, "PVEClientIP");

    return relay->forwarded && told != NULL ? told : http_request_peer(relay->request);
}

static void
send_to_apid(Relay *relay)
{
    HttpRequest *request = relay->request;
    const char *query = http_request_query(request);
    g_autofree char *uri = g_strdup_printf("http://localhost%s%s%s", http_request_path(request),
                                           *query != '\0' ? "?" : "", query);
    g_autoptr(SoupMessage) message = soup_message_new(http_request_verb(request), uri);
    GBytes *body = http_request_body(request);

    if (message == NULL) {
        finish_error(relay, Q_ERROR_INVALID, 400, "bad request");
        return;
    }
    SoupMessageHeaders *headers = soup_message_get_request_headers(message);
    put_header(headers, HTTP_USER_HEADER, relay->user);
    put_header(headers, HTTP_CLIENT_HEADER, client_address(relay));
    put_header(headers, HTTP_NODE_HEADER, relay->member);
    put_header(headers, HTTP_REJECT_HEADER, relay->reject);
    put_header(headers, HTTP_FORWARDED_HEADER, relay->forwarded ? "1" : NULL);
    put_header(headers, "Cookie", http_request_header(request, "Cookie"));
    put_header(headers, "Authorization", http_request_header(request, "Authorization"));
    put_header(headers, "CSRFPreventionToken", http_request_header(request, "CSRFPreventionToken"));
    if (g_bytes_get_size(body) > 0) {
        const char *type = http_request_header(request, "Content-Type");
        soup_message_set_request_body_from_bytes(
            message, type != NULL ? type : "application/x-www-form-urlencoded", body);
    }
    soup_session_send_and_read_async(relay->proxy->apid, message, G_PRIORITY_DEFAULT, NULL,
                                     on_answer, relay);
}

/* ------------------------------------------------------------------ who asks */

static void
judge_ticket(Relay *relay)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *user = NULL;

    if (!keys_ticket_check(relay->credentials.text, "PVE", NULL, &user, &error)) {
        relay->reject = g_strdup(error->message);
        return;
    }
    if (g_str_has_prefix(user, "!tfa!")) {
        relay->reject = g_strdup("permission denied - invalid PVE ticket");
        return;
    }
    if (strcmp(http_request_verb(relay->request), "GET") != 0) {
        const char *token = http_request_header(relay->request, "CSRFPreventionToken");
        g_autofree char *secret = keys_csrf_secret(NULL);
        if (token == NULL || secret == NULL
            || !csrf_token_is_good(token, secret, user, q_clock_wall_s())) {
            relay->reject = g_strdup("Permission denied - invalid csrf token");
            return;
        }
    }
    relay->user = g_steal_pointer(&user);
}

/* Root of another member: what its certificate says counts here, its ticket in apid. */
static void
judge_member(Relay *relay)
{
    GTlsCertificate *certificate = http_request_certificate(relay->request);
    g_autoptr(Ticket) ticket = ticket_parse(relay->credentials.text, NULL);

    if (certificate != NULL && ticket != NULL
        && http_certificate_is_member(certificate, ticket->data)) {
        relay->member = g_strdup(ticket->data);
    } else {
        relay->reject = g_strdup("permission denied - invalid PVENODE ticket");
    }
}

static void
on_token_checked(CfsClient *cfs, JsonObject *ok, const GError *error, gpointer data)
{
    Relay *relay = data;
    const char *peer = http_request_peer(relay->request);

    if (ok != NULL) {
        relay->user = g_strdup(relay->credentials.text);
    } else {
        throttle_failed(relay->proxy->throttle, peer, relay->credentials.text, q_clock_mono_ms());
        relay->reject = g_strdup("authentication failed: no such token, or another secret");
        q_notice("authentication failure; rhost=%s user=%s msg=bad token", peer,
                 relay->credentials.text);
    }
    send_to_apid(relay);
}

/* Answers later. */
static void
judge_token(Relay *relay)
{
    int wait_s = throttle_wait_s(relay->proxy->throttle, http_request_peer(relay->request),
                                 relay->credentials.text, q_clock_mono_ms());
    JsonObject *arguments;

    if (wait_s > 0) {
        g_autofree char *text = g_strdup_printf("too many failed logins, retry in %d s", wait_s);
        g_autofree char *seconds = g_strdup_printf("%d", wait_s);
        http_request_add_header(relay->request, "Retry-After", seconds);
        finish_error(relay, Q_ERROR_BUSY, 429, text);
        return;
    }
    arguments = json_object_new();
    json_object_set_string_member(arguments, "token", relay->credentials.text);
    json_object_set_string_member(arguments, "secret", relay->credentials.secret);
    cfs_client_send(relay->proxy->cfs, "token.check", arguments, on_token_checked, relay);
}

static bool
is_api_path(const char *path)
{
    return g_str_has_prefix(path, "/api2/json/") || g_str_has_prefix(path, "/api2/extjs/")
           || strcmp(path, "/api2/json") == 0 || strcmp(path, "/api2/extjs") == 0;
}

static void
on_request(HttpRequest *request, gpointer data)
{
    Relay *relay = g_new0(Relay, 1);
    const char *path = http_request_path(request);
    GTlsCertificate *certificate = http_request_certificate(request);

    relay->proxy = data;
    relay->request = request;
    if (!is_api_path(path)) {
        bool api = g_str_has_prefix(path, "/api2");
        g_autofree char *text = g_strdup_printf(strcmp(path, "/api2") == 0 ? "no such uri"
                                                : api ? "no formatter for uri %s"
                                                      : "no such file '%s'",
                                                path);
        finish_error(relay, api ? Q_ERROR_UNSUPPORTED : Q_ERROR_NOT_FOUND, api ? 501 : 404, text);
        return;
    }
    relay->credentials = http_credentials_read(http_request_header(request, "Cookie"),
                                               http_request_header(request, "Authorization"));
    relay->forwarded = http_request_header(request, "PVEDisableProxy") != NULL
                       && certificate != NULL && http_certificate_is_member(certificate, NULL);
    switch (relay->credentials.kind) {
    case HTTP_TOKEN:
        judge_token(relay);
        return;
    case HTTP_TICKET:
        judge_ticket(relay);
        break;
    case HTTP_MEMBER:
        judge_member(relay);
        break;
    case HTTP_NOBODY:
        break;
    }
    send_to_apid(relay);
}

/* ------------------------------------------------------------------ the certificate */

static void
load_certificate(Proxy *proxy)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GTlsCertificate) certificate = http_certificate_of_node(proxy->node, &error);

    if (certificate != NULL) {
        http_server_set_certificate(proxy->server, certificate);
    } else {
        q_notice("showing this machine's own certificate: %s", error->message);
        http_server_set_certificate(proxy->server, proxy->of_machine);
    }
}

static void
on_changed(CfsClient *client, JsonObject *message, gpointer data)
{
    load_certificate(data);
}

static void
on_connected(CfsClient *client, gpointer data)
{
    load_certificate(data);
}

static void
watch_certificate(Proxy *proxy)
{
    g_autofree char *own = g_strdup_printf("nodes/%s/pve", proxy->node);
    const char *const prefixes[] = { own, NULL };

    proxy->cfs = cfs_client_new_async("quorate-proxyd", on_connected, NULL, proxy);
    cfs_client_watch(proxy->cfs, prefixes, NULL, on_changed, proxy);
}

/* ------------------------------------------------------------------ the daemon */

static void
open_access_log(Proxy *proxy)
{
    FILE *log = fopen(ACCESS_LOG, "ae");

    if (log == NULL) {
        q_warn("no access log: %s: %s", ACCESS_LOG, g_strerror(errno));
        return;
    }
    if (proxy->access_log != NULL) {
        fclose(proxy->access_log);
    }
    proxy->access_log = log;
}

static gboolean
on_hangup(gpointer data)
{
    open_access_log(data); /* the old one was rotated away */
    return G_SOURCE_CONTINUE;
}

static bool
become_proxy(GError **error)
{
    struct passwd *user = getpwnam(HTTP_PROXY_USER);
    struct group *group = getgrnam("www-data");

    if (geteuid() != 0) {
        return true;
    }
    if (user == NULL || group == NULL) {
        return q_set_error(error, Q_ERROR_NOT_FOUND,
                           "no user '" HTTP_PROXY_USER
                           "' or no group 'www-data': run systemd-sysusers");
    }
    if (setgroups(1, &group->gr_gid) != 0 || setgid(group->gr_gid) != 0
        || setuid(user->pw_uid) != 0) {
        return q_set_error_errno(error, errno, "cannot become '" HTTP_PROXY_USER "'");
    }
    return true;
}

static void
give_log_away(void)
{
    struct passwd *user = getpwnam(HTTP_PROXY_USER);
    struct group *group = getgrnam("www-data");

    if (user == NULL || group == NULL || !q_file_make_dir(ACCESS_LOG_DIR, 0750, NULL)) {
        return;
    }
    int fd = open(ACCESS_LOG, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0640);
    if (fd < 0 || fchown(fd, user->pw_uid, group->gr_gid) != 0
        || chown(ACCESS_LOG_DIR, user->pw_uid, group->gr_gid) != 0) {
        q_warn("no access log: %s: %s", ACCESS_LOG, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

int
http_proxy_main(void)
{
    g_autoptr(GError) error = NULL;
    Proxy proxy = { .node = q_node_name(), .throttle = throttle_new() };

    q_log_init("quorate-proxyd");
    proxy.server = http_server_new(on_request, &proxy);
    proxy.of_machine = http_certificate_of_machine(proxy.node, &error);
    if (proxy.of_machine == NULL || !http_server_listen_tls(proxy.server, PORT, &error)) {
        q_err("%s", error->message);
        return 1;
    }
    http_server_set_certificate(proxy.server, proxy.of_machine);
    give_log_away();
    if (!become_proxy(&error)) {
        q_err("%s", error->message);
        return 1;
    }
    open_access_log(&proxy);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(Q_APID_SOCKET);
    proxy.apid = soup_session_new_with_options("remote-connectable", address, "timeout",
                                               (guint)APID_SILENCE_S, "max-conns", RELAYS_MAX,
                                               "max-conns-per-host", RELAYS_MAX, NULL);
    watch_certificate(&proxy);
    g_unix_signal_add(SIGHUP, on_hangup, &proxy);
    q_notify("READY=1");
    return q_loop_run();
}
