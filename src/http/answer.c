#include "http/answer.h"
#include <string.h>

enum { PHRASE_MAX = 500 };

void
http_answer_clear(HttpAnswer *answer)
{
    g_clear_pointer(&answer->phrase, g_free);
    g_clear_pointer(&answer->body, g_free);
}

HttpAnswer
http_answer_ok(HttpFormat format, JsonNode *data, int64_t total)
{
    g_autoptr(JsonObject) envelope = json_object_new();

    json_object_set_member(envelope, "data", json_node_copy(data));
    if (total >= 0) {
        json_object_set_int_member(envelope, "total", total);
    }
    if (format == HTTP_EXTJS) {
        json_object_set_int_member(envelope, "success", 1);
    }
    return (HttpAnswer){ .status = 200,
                         .phrase = g_strdup("OK"),
                         .body = q_json_object_text(envelope, Q_JSON_COMPACT) };
}

/* What may stand in a status line. */
static char *
phrase_of(const char *message)
{
    char *phrase = g_strndup(message, MIN(strcspn(message, "\r\n"), PHRASE_MAX));

    for (char *p = phrase; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '?';
        }
    }
    return phrase;
}

static JsonObject *
errors_object(const GPtrArray *blames)
{
    JsonObject *errors = json_object_new();

    for (guint i = 0; i + 1 < blames->len; i += 2) {
        const char *before = q_json_string(errors, blames->pdata[i], NULL);
        g_autofree char *why = g_strdup_printf("%s%s\n", before != NULL ? before : "",
                                               (const char *)blames->pdata[i + 1]);
        json_object_set_string_member(errors, blames->pdata[i], why);
    }
    return errors;
}

HttpAnswer
http_answer_error(HttpFormat format, const GError *error)
{
    const GPtrArray *blames = q_error_blames(error);
    int status = q_error_http_status(error);
    g_autoptr(JsonObject) envelope = json_object_new();
    g_autoptr(GString) message = g_string_new(error->message);

    /* The phrase alone tells too little where only the message is shown. */
    if (blames != NULL && blames->len >= 2) {
        g_string_append_printf(message, " %s: %s", (const char *)blames->pdata[0],
                               (const char *)blames->pdata[1]);
    }
    g_string_append_c(message, '\n');
    json_object_set_null_member(envelope, "data");
    json_object_set_string_member(envelope, "message", message->str);
    if (blames != NULL) {
        json_object_set_object_member(envelope, "errors", errors_object(blames));
    }
    if (format == HTTP_EXTJS) {
        json_object_set_int_member(envelope, "success", 0);
        json_object_set_int_member(envelope, "status", status);
        if (blames == NULL) {
            json_object_set_object_member(envelope, "errors", json_object_new());
        }
    }
    return (HttpAnswer){ .status = format == HTTP_EXTJS ? 200 : status,
                         .phrase =
                             format == HTTP_EXTJS ? g_strdup("OK") : phrase_of(error->message),
                         .body = q_json_object_text(envelope, Q_JSON_COMPACT) };
}

/* ------------------------------------------------------------------ reading */

static QError
code_of_status(int status)
{
    switch (status) {
    case 400:
        return Q_ERROR_INVALID;
    case 401:
        return Q_ERROR_UNAUTHENTICATED;
    case 403:
        return Q_ERROR_DENIED;
    case 404:
        return Q_ERROR_NOT_FOUND;
    case 501:
        return Q_ERROR_UNSUPPORTED;
    case 595:
    case 596:
    case 597:
    case 599:
        return Q_ERROR_UNREACHABLE;
    default:
        return Q_ERROR_INTERNAL;
    }
}

static void
read_blames(JsonObject *errors, GError **cause)
{
    GList *names = g_list_sort(json_object_get_members(errors), (GCompareFunc)strcmp);

    for (GList *item = names; item != NULL; item = item->next) {
        g_autofree char *why = g_strchomp(g_strdup(q_json_string(errors, item->data, "")));
        q_error_blame(cause, item->data, "%s", why);
    }
    g_list_free(names);
}

static GError *
read_error(int status, const char *phrase, JsonObject *envelope)
{
    GError *cause = NULL;
    JsonObject *errors = envelope != NULL ? q_json_object(envelope, "errors") : NULL;
    const char *message = envelope != NULL ? q_json_string(envelope, "message", NULL) : NULL;

    if (errors != NULL && json_object_get_size(errors) > 0) {
        read_blames(errors, &cause);
    } else {
        g_autofree char *text = g_strchomp(g_strdup(message != NULL  ? message
                                                    : phrase != NULL ? phrase
                                                                     : "no reason given"));
        q_set_error(&cause, code_of_status(status), "%s", text);
    }
    q_error_set_http_status(cause, status);
    return cause;
}

JsonNode *
http_answer_read(int status, const char *phrase, GBytes *body, int64_t *total, GError **error)
{
    gsize length;
    const char *text = g_bytes_get_data(body, &length);
    g_autoptr(JsonObject) envelope =
        length > 0 ? q_json_parse_object(text, (gssize)length, NULL) : NULL;

    if (status != 200) {
        g_propagate_error(error, read_error(status, phrase, envelope));
        return NULL;
    }
    if (envelope == NULL || !json_object_has_member(envelope, "data")) {
        GError *cause = NULL;
        q_set_error(&cause, Q_ERROR_INTERNAL, "the other node's answer is not understood");
        q_error_set_http_status(cause, 597);
        g_propagate_error(error, cause);
        return NULL;
    }
    *total = q_json_int(envelope, "total", -1);
    return json_object_dup_member(envelope, "data");
}
