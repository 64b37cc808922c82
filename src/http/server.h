#pragma once
#include <gio/gio.h>
#include "http/answer.h"

/*
 * The HTTP/1.1 server of both daemons, in the main loop. Limits (head 8 KiB, body 512 KiB, time)
 * are kept here; what a request means is the handler's. A slow client costs a connection, nothing
 * else.
 */
typedef struct HttpServer HttpServer;
typedef struct HttpRequest HttpRequest;

/** HttpHandler: must answer @request once, now or later. */
typedef void (*HttpHandler)(HttpRequest *request, gpointer data);

HttpServer *http_server_new(HttpHandler handler, gpointer data);
void http_server_stop(HttpServer *server); /* no new connections; it lives as long as the process */

/** http_server_listen_tls: on all addresses, IPv6 and IPv4. Plain HTTP there is sent to https. */
bool http_server_listen_tls(HttpServer *server, guint16 port, GError **error);

/** http_server_set_certificate: from now on; connections under way keep theirs. (transfer none) */
void http_server_set_certificate(HttpServer *server, GTlsCertificate *certificate);

/** http_server_listen_unix: replaces a socket left behind; mode 0660 for group www-data. */
bool http_server_listen_unix(HttpServer *server, const char *path, GError **error);

/* ------------------------------------------------------------------ a request */

const char *http_request_verb(const HttpRequest *request);
const char *http_request_path(const HttpRequest *request);                     /* still %-encoded */
const char *http_request_query(const HttpRequest *request);                    /* "" if none */
const char *http_request_header(const HttpRequest *request, const char *name); /* or NULL */
GBytes *http_request_body(const HttpRequest *request);                         /* (transfer none) */
const char *
http_request_peer(const HttpRequest *request); /* address as text; "" for a Unix socket */
bool http_request_peer_uid(const HttpRequest *request, uid_t *uid); /* of a Unix socket */
GTlsCertificate *
http_request_certificate(const HttpRequest *request); /* the client's, not judged */

/** http_request_add_header: to the answer. */
void http_request_add_header(HttpRequest *request, const char *name, const char *value);

/** http_request_answer: ends the request. @type: of @body, which may be NULL. */
void http_request_answer(HttpRequest *request, int status, const char *phrase, const char *type,
                         const char *body, size_t length);
void http_request_answer_json(HttpRequest *request, const HttpAnswer *answer);

#define HTTP_JSON_TYPE "application/json;charset=UTF-8" /* clients compare it exactly */
