#include <string.h>
#include "api/call.h"

/* Does an answer look like what its row promises? Asked of every answer; a difference is logged and
 * fails in tests. */

static bool
value_fits(ApiKind kind, JsonNode *node)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_NONE;

    switch (kind) {
    case API_NULL:
        return JSON_NODE_HOLDS_NULL(node);
    case API_BOOLEAN:
        return type == G_TYPE_INT64
               && (json_node_get_int(node) == 0 || json_node_get_int(node) == 1);
    case API_INTEGER:
    case API_VMID:
    case API_KIB_S:
        return type == G_TYPE_INT64;
    case API_NUMBER:
        return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE;
    case API_OBJECT:
        return JSON_NODE_HOLDS_OBJECT(node);
    case API_ROWS:
    case API_STRINGS:
    case API_ARRAY:
    case API_FAMILY:
        return JSON_NODE_HOLDS_ARRAY(node);
    case API_ANY:
        return true;
    default:
        return type == G_TYPE_STRING;
    }
}

static char *
object_complaint(const ApiColumn *columns, JsonObject *object)
{
    for (const ApiColumn *column = columns; column != NULL && column->name != NULL; column++) {
        JsonNode *member = json_object_get_member(object, column->name);
        if (member == NULL && !column->optional) {
            return g_strdup_printf("'%s' is missing", column->name);
        }
        if (member != NULL && !value_fits(column->kind, member)) {
            return g_strdup_printf("'%s' is no %s", column->name, api_kind_name(column->kind));
        }
    }
    return NULL;
}

char *
api_answer_complaint(const ApiMethod *method, JsonNode *answer)
{
    if (!value_fits(method->returns, answer)) {
        return g_strdup_printf("the answer is no %s", api_kind_name(method->returns));
    }
    if (method->returns == API_OBJECT) {
        return object_complaint(method->columns, json_node_get_object(answer));
    }
    if (method->returns != API_ROWS) {
        return NULL;
    }
    JsonArray *rows = json_node_get_array(answer);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonNode *row = json_array_get_element(rows, i);
        char *why = JSON_NODE_HOLDS_OBJECT(row)
                        ? object_complaint(method->columns, json_node_get_object(row))
                        : g_strdup("it is no object");
        if (why != NULL) {
            g_autofree char *what = why;
            return g_strdup_printf("row %u: %s", i, what);
        }
    }
    return NULL;
}

char *
api_error_text(const GError *error, bool with_status)
{
    const GPtrArray *blames = q_error_blames(error);
    GString *text = g_string_new(NULL);

    if (with_status && blames != NULL) {
        g_string_append_printf(text, "%d ", q_error_http_status(error));
    }
    g_string_append_printf(text, "%s\n", error->message);
    for (guint i = 0; blames != NULL && i + 1 < blames->len; i += 2) {
        g_string_append_printf(text, "%s: %s\n", (const char *)blames->pdata[i],
                               (const char *)blames->pdata[i + 1]);
    }
    return g_string_free(text, FALSE);
}
