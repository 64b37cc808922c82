#include <string.h>
#include "http/answer.h"
#include "http/credentials.h"
#include "http/form.h"
#include "http/head.h"

/* ------------------------------------------------------------------ heads */

static HttpHead *
parse(const char *text, GError **error)
{
    size_t length = http_head_length(text, strlen(text));

    g_assert_cmpuint(length, >, 0);
    return http_head_parse(text, length, error);
}

static void
test_head(void)
{
    static const char text[] =
        "PUT /api2/json/x?a=1&b=2#c HTTP/1.1\r\nHost: n1\r\nCONTENT-length: 5\r\n"
        "Content-Type: application/json; charset=utf-8\r\n\r\nhello";
    g_autoptr(GError) error = NULL;
    g_autoptr(HttpHead) head = parse(text, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(head->verb, ==, "PUT");
    g_assert_cmpstr(head->path, ==, "/api2/json/x");
    g_assert_cmpstr(head->query, ==, "a=1&b=2");
    g_assert_cmpstr(http_head_get(head, "hOsT"), ==, "n1");
    g_assert_null(http_head_get(head, "Cookie"));
    g_assert_cmpuint(head->body_length, ==, 5);
    g_assert_true(head->keep_alive);
    g_assert_cmpuint(http_head_length(text, 40), ==, 0);
    g_assert_cmpuint(http_head_length("GET / HTTP/1.0\n\nx", 17), ==, 16);
}

static void
test_keep_alive(void)
{
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", true },
        { "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false },
        { "GET / HTTP/1.0\r\n\r\n", false },
        { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(HttpHead) head = parse(cases[i].text, NULL);
        g_assert_true(head->keep_alive == cases[i].keep);
    }
}

static void
test_head_refused(void)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        { 400, "\r\n\r\n" },
        { 400, "GET\r\n\r\n" },
        { 400, "GET  / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1 x\r\n\r\n" },
        { 400, "G@T / HTTP/1.1\r\n\r\n" },
        { 400, "GET user@host/ HTTP/1.1\r\n\r\n" },
        { 400, "GET http://n1/ HTTP/1.1\r\n\r\n" },
        { 506, "GET / HTTP/2.0\r\n\r\n" },
        { 506, "GET / HTTP/1.2\r\n\r\n" },
        { 501, "HEAD / HTTP/1.1\r\n\r\n" },
        { 501, "OPTIONS / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nno colon\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nBlank : b\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nA: b\rX: c\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 501, "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\n" },
        { 501, "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n" },
        { 400, "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n" },
        { 413, "POST / HTTP/1.1\r\nContent-Length: 524289\r\n\r\n" },
        { 415, "POST / HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 3\r\n\r\n" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s'", cases[i].text);
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(cases[i].text, &error));
        g_assert_cmpint(q_error_http_status(error), ==, cases[i].status);
    }
}

static void
test_head_lines(void)
{
    g_autoptr(GString) text = g_string_new("GET / HTTP/1.1\r\n");
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 64; i++) {
        g_string_append(text, "A: b\r\n");
    }
    g_autofree char *good = g_strconcat(text->str, "\r\n", NULL);
    g_autofree char *bad = g_strconcat(text->str, "A: b\r\n\r\n", NULL);
    g_autoptr(HttpHead) head = parse(good, &error);
    g_assert_no_error(error);
    g_assert_null(parse(bad, &error));
    g_assert_cmpint(q_error_http_status(error), ==, 431);
}

/* A fence agent posts without a length: the body is empty. */
static void
test_no_length(void)
{
    g_autoptr(HttpHead) head = parse("POST /x HTTP/1.1\r\n\r\n", NULL);

    g_assert_cmpuint(head->body_length, ==, 0);
}

/* ------------------------------------------------------------------ forms */

static void
test_form(void)
{
    static const struct {
        const char *form, *json;
    } cases[] = {
        { "", "{}" },
        { "a=1&b=x%20y+z", "{\"a\":\"1\",\"b\":\"x y z\"}" },
        { "a=1;b=2", "{\"a\":\"1\",\"b\":\"2\"}" },
        { "a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}" },
        { "a", "{\"a\":\"\"}" },
        { "_dc=123&a=b=c", "{\"a\":\"b=c\"}" },
        { "a%3D=%26", "{\"a=\":\"&\"}" },
        { "=x&&", "{}" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonObject) into = json_object_new();
        g_autoptr(GError) error = NULL;
        g_test_message("'%s'", cases[i].form);
        g_assert_true(http_form_decode(cases[i].form, into, &error));
        g_autofree char *text = q_json_object_text(into, Q_JSON_COMPACT);
        g_assert_cmpstr(text, ==, cases[i].json);
        g_autofree char *form = http_form_encode(into);
        g_autoptr(JsonObject) again = json_object_new();
        g_assert_true(http_form_decode(form, again, &error));
        g_autofree char *second = q_json_object_text(again, Q_JSON_COMPACT);
        g_assert_cmpstr(second, ==, text);
    }
}

static void
test_form_refused(void)
{
    static const char *const cases[] = { "a=%", "a=%4", "a=%zz", "a=%00", "a=%FF", "%00=a" };
    g_autoptr(GString) many = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonObject) into = json_object_new();
        g_test_message("'%s'", cases[i]);
        g_assert_false(http_form_decode(cases[i], into, NULL));
    }
    for (int i = 0; i < 1001; i++) {
        g_string_append_printf(many, "k%d=&", i);
    }
    g_autoptr(JsonObject) into = json_object_new();
    g_assert_false(http_form_decode(many->str, into, NULL));
}

/* The query was read first; what it says counts. */
static void
test_query_beats_body(void)
{
    g_autoptr(JsonObject) into = json_object_new();
    static const char json[] = "{\"a\":\"body\",\"b\":[1,2],\"_dc\":1}";

    g_assert_true(http_form_decode("a=query", into, NULL));
    g_assert_true(http_form_decode("a=body&c=3", into, NULL));
    g_assert_true(http_json_decode(json, strlen(json), into, NULL));
    g_autofree char *text = q_json_object_text(into, Q_JSON_COMPACT);
    g_assert_cmpstr(text, ==, "{\"a\":\"query\",\"b\":[1,2],\"c\":\"3\"}");
    g_assert_false(http_json_decode("[1]", 3, into, NULL));
    g_assert_false(http_json_decode("{", 1, into, NULL));
}

/* ------------------------------------------------------------------ answers */

static void
test_answers(void)
{
    g_autoptr(JsonNode) data = q_json_node_int(5);
    g_autoptr(GError) error = NULL;
    HttpAnswer ok = http_answer_ok(HTTP_JSON, data, 7);

    g_assert_cmpstr(ok.body, ==, "{\"data\":5,\"total\":7}");
    http_answer_clear(&ok);
    q_error_blame(&error, "memory", "too small");
    HttpAnswer bad = http_answer_error(HTTP_JSON, error);
    g_assert_cmpint(bad.status, ==, 400);
    g_assert_cmpstr(bad.phrase, ==, "Parameter verification failed.");
    g_assert_cmpstr(
        bad.body, ==,
        "{\"data\":null,\"errors\":{\"memory\":\"too small\\n\"},\"message\":\"Parameter "
        "verification failed. memory: too small\\n\"}");
    HttpAnswer ext = http_answer_error(HTTP_EXTJS, error);
    g_assert_cmpint(ext.status, ==, 200);
    g_assert_nonnull(strstr(ext.body, "\"success\":0"));
    g_assert_nonnull(strstr(ext.body, "\"status\":400"));

    /* What another node says arrives as it was. */
    g_autoptr(GBytes) body = g_bytes_new(bad.body, strlen(bad.body));
    g_autoptr(GError) read = NULL;
    int64_t total;
    g_assert_null(http_answer_read(bad.status, bad.phrase, body, &total, &read));
    g_assert_error(read, Q_ERROR, Q_ERROR_INVALID);
    g_assert_cmpstr(q_error_blames(read)->pdata[0], ==, "memory");
    g_assert_cmpstr(q_error_blames(read)->pdata[1], ==, "too small");
    http_answer_clear(&bad);
    http_answer_clear(&ext);
}

/* Nothing that a message contains may end the status line. */
static void
test_phrase(void)
{
    g_autoptr(GError) error = g_error_new_literal(Q_ERROR, Q_ERROR_IO, "caf\303\251\rX: y\nsecond");
    HttpAnswer answer = http_answer_error(HTTP_JSON, error);

    g_assert_cmpstr(answer.phrase, ==, "caf??");
    g_assert_cmpint(answer.status, ==, 500);
    http_answer_clear(&answer);
}

/* ------------------------------------------------------------------ credentials */

static void
test_credentials(void)
{
    static const struct {
        const char *cookie, *authorization;
        HttpCredentialKind kind;
        const char *text, *secret;
    } cases[] = {
        { NULL, NULL, HTTP_NOBODY, NULL, NULL },
        { "a=b", NULL, HTTP_NOBODY, NULL, NULL },
        { "PVEAuthCookie=PVE:x+y/=", NULL, HTTP_TICKET, "PVE:x+y/=", NULL },
        { "a=b; PVEAuthCookie=PVE%3Ax%2By; c=d", NULL, HTTP_TICKET, "PVE:x+y", NULL },
        { "NotPVEAuthCookie=x", NULL, HTTP_NOBODY, NULL, NULL },
        { NULL, "PVEAuthCookie=PVE:x", HTTP_TICKET, "PVE:x", NULL },
        { NULL, "PVEAPIToken=a@pve!ci=uuid", HTTP_TOKEN, "a@pve!ci", "uuid" },
        { "PVEAuthCookie=x", "PVEAPIToken a@pve!ci=uuid", HTTP_TOKEN, "a@pve!ci", "uuid" },
        { NULL, "PVEAPIToken=nothing", HTTP_TICKET, "", NULL },
        { NULL, "PVENODE=PVENODE:n1:x", HTTP_MEMBER, "PVENODE:n1:x", NULL },
        { NULL, "Basic abc", HTTP_NOBODY, NULL, NULL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        HttpCredentials found = http_credentials_read(cases[i].cookie, cases[i].authorization);
        g_test_message("case %zu", i);
        g_assert_cmpint(found.kind, ==, cases[i].kind);
        g_assert_cmpstr(found.text, ==, cases[i].text);
        g_assert_cmpstr(found.secret, ==, cases[i].secret);
        http_credentials_clear(&found);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/head/parse", test_head);
    g_test_add_func("/head/keep-alive", test_keep_alive);
    g_test_add_func("/head/refused", test_head_refused);
    g_test_add_func("/head/lines", test_head_lines);
    g_test_add_func("/head/no-length", test_no_length);
    g_test_add_func("/form/decode", test_form);
    g_test_add_func("/form/refused", test_form_refused);
    g_test_add_func("/form/query-beats-body", test_query_beats_body);
    g_test_add_func("/answer/envelopes", test_answers);
    g_test_add_func("/answer/phrase", test_phrase);
    g_test_add_func("/credentials", test_credentials);
    return g_test_run();
}
