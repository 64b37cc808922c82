#include "http/head.h"
#include <string.h>

static bool
refuse(GError **error, QError code, int status, const char *format, const char *what)
{
    if (error != NULL) {
        q_set_error(error, code, format, what);
        q_error_set_http_status(*error, status);
    }
    return false;
}

size_t
http_head_length(const char *text, size_t length)
{
    const char *end = memmem(text, length, "\r\n\r\n", 4);
    const char *bare = memmem(text, length, "\n\n", 2); /* old scripts end lines so */

    if (end != NULL && (bare == NULL || end < bare)) {
        return (size_t)(end - text) + 4;
    }
    return bare != NULL ? (size_t)(bare - text) + 2 : 0;
}

const char *
http_head_get(const HttpHead *head, const char *name)
{
    for (guint i = 0; i + 1 < head->headers->len; i += 2) {
        if (g_ascii_strcasecmp(head->headers->pdata[i], name) == 0) {
            return head->headers->pdata[i + 1];
        }
    }
    return NULL;
}

void
http_head_free(HttpHead *head)
{
    if (head == NULL) {
        return;
    }
    g_free(head->verb);
    g_free(head->path);
    g_free(head->query);
    g_ptr_array_unref(head->headers);
    g_free(head);
}

static bool
is_token(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL) {
            return false;
        }
    }
    return length > 0;
}

static bool
is_printable(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p <= 0x20 || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

/* "GET /path?query HTTP/1.1" */
static bool
parse_request_line(HttpHead *head, const char *line, GError **error)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 4);

    if (g_strv_length(words) != 3 || !is_token(words[0], strlen(words[0]))
        || !is_printable(words[1]) || !g_str_has_prefix(words[2], "HTTP/")) {
        return refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request");
    }
    if (strcmp(words[2], "HTTP/1.1") != 0 && strcmp(words[2], "HTTP/1.0") != 0) {
        return refuse(error, Q_ERROR_UNSUPPORTED, 506, "http protocol version %s not supported",
                      words[2] + strlen("HTTP/"));
    }
    if (words[1][0] != '/') {
        bool user_info = strchr(words[1], '@') != NULL;
        return refuse(error, Q_ERROR_INVALID, 400, "%s", user_info ? "invalid url" : "bad request");
    }
    size_t path_length = strcspn(words[1], "?#");
    const char *mark = strchr(words[1], '?');
    head->verb = g_strdup(words[0]);
    head->path = g_strndup(words[1], path_length);
    head->query =
        g_strndup(mark != NULL ? mark + 1 : "", mark != NULL ? strcspn(mark + 1, "#") : 0);
    head->minor = words[2][strlen("HTTP/1.")] - '0';
    return true;
}

static bool
parse_header_line(HttpHead *head, const char *line, GError **error)
{
    size_t name_length = strcspn(line, ":");

    /* No blanks around the name, no folded lines: RFC 9112, 5.1 and 5.2. */
    if (line[name_length] != ':' || !is_token(line, name_length)) {
        return refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request: malformed header line");
    }
    g_autofree char *value = g_strstrip(g_strdup(line + name_length + 1));
    for (const unsigned char *p = (const unsigned char *)value; *p != '\0'; p++) {
        if ((*p < 0x20 && *p != '\t') || *p == 0x7f) {
            return refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request: malformed header line");
        }
    }
    g_ptr_array_add(head->headers, g_strndup(line, name_length));
    g_ptr_array_add(head->headers, g_steal_pointer(&value));
    return true;
}

static bool
is_known_verb(const char *verb)
{
    static const char *const known[] = { "GET", "POST", "PUT", "DELETE", NULL };

    return g_strv_contains(known, verb);
}

static guint
count_header(const HttpHead *head, const char *name)
{
    guint count = 0;

    for (guint i = 0; i + 1 < head->headers->len; i += 2) {
        count += g_ascii_strcasecmp(head->headers->pdata[i], name) == 0;
    }
    return count;
}

static bool
judge_body(HttpHead *head, GError **error)
{
    const char *length = http_head_get(head, "Content-Length");
    const char *type = http_head_get(head, "Content-Type");
    bool may_have_body = strcmp(head->verb, "POST") == 0 || strcmp(head->verb, "PUT") == 0;

    if (http_head_get(head, "Transfer-Encoding") != NULL) {
        return refuse(error, Q_ERROR_UNSUPPORTED, 501, "%s",
                      "chunked transfer encoding not supported");
    }
    guint64 bytes = 0;
    if (length != NULL
        && (count_header(head, "Content-Length") > 1 || strlen(length) > 18
            || strspn(length, "0123456789") != strlen(length)
            || !g_ascii_string_to_unsigned(length, 10, 0, G_MAXINT64, &bytes, NULL))) {
        return refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request: malformed Content-Length");
    }
    if (bytes > 0 && !may_have_body) {
        return refuse(error, Q_ERROR_UNSUPPORTED, 501, "Unexpected content for method '%s'",
                      head->verb);
    }
    if (bytes > HTTP_BODY_MAX_BYTES) {
        return refuse(error, Q_ERROR_FULL, 413, "for data too large: at most %s bytes",
                      G_STRINGIFY(524288));
    }
    if (bytes > 0 && type != NULL) {
        g_autofree char *bare = g_strstrip(g_ascii_strdown(type, (gssize)strcspn(type, ";")));
        if (strcmp(bare, "application/x-www-form-urlencoded") != 0
            && strcmp(bare, "application/json") != 0) {
            return refuse(error, Q_ERROR_UNSUPPORTED, 415,
                          "upload 'Content-Type '%s'' not implemented", bare);
        }
    }
    head->body_length = bytes;
    return true;
}

static void
judge_connection(HttpHead *head)
{
    const char *connection = http_head_get(head, "Connection");
    const char *expect = http_head_get(head, "Expect");
    g_autofree char *low = g_ascii_strdown(connection != NULL ? connection : "", -1);

    head->keep_alive =
        head->minor == 1 ? strstr(low, "close") == NULL : strstr(low, "keep-alive") != NULL;
    head->expects_continue =
        head->minor == 1 && expect != NULL && g_ascii_strcasecmp(expect, "100-continue") == 0;
}

HttpHead *
http_head_parse(const char *text, size_t length, GError **error)
{
    g_autoptr(HttpHead) head = g_new0(HttpHead, 1);
    g_autofree char *copy = g_strndup(text, length);
    g_auto(GStrv) lines = g_strsplit(copy, "\n", HTTP_HEAD_MAX_LINES + 4);

    head->headers = g_ptr_array_new_with_free_func(g_free);
    if (strlen(copy) != length) {
        refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request");
        return NULL;
    }
    for (guint i = 0; lines[i] != NULL; i++) {
        size_t end = strlen(lines[i]);
        if (end > 0 && lines[i][end - 1] == '\r') {
            lines[i][end - 1] = '\0';
        }
        if (lines[i][0] == '\0') {
            break;
        }
        if (i > HTTP_HEAD_MAX_LINES) {
            refuse(error, Q_ERROR_FULL, 431, "%s", "too many header lines: at most 64");
            return NULL;
        }
        if (i == 0 ? !parse_request_line(head, lines[0], error)
                   : !parse_header_line(head, lines[i], error)) {
            return NULL;
        }
    }
    if (head->verb == NULL) {
        refuse(error, Q_ERROR_INVALID, 400, "%s", "bad request");
        return NULL;
    }
    if (!is_known_verb(head->verb)) {
        refuse(error, Q_ERROR_UNSUPPORTED, 501, "method '%s' not available", head->verb);
        return NULL;
    }
    if (!judge_body(head, error)) {
        return NULL;
    }
    judge_connection(head);
    return g_steal_pointer(&head);
}
