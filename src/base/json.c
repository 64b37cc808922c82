#include "base/json.h"
#include <string.h>
#include "base/sorted.h"

JsonNode *
q_json_parse(const char *text, gssize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) cause = NULL;

    if (!json_parser_load_from_data(parser, text, length, &cause)) {
        q_set_error(error, Q_ERROR_INVALID, "not JSON: %s", cause->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (root == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "not JSON: empty text");
        return NULL;
    }
    return json_node_copy(root);
}

JsonObject *
q_json_parse_object(const char *text, gssize length, GError **error)
{
    g_autoptr(JsonNode) node = q_json_parse(text, length, error);

    if (node == NULL) {
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        q_set_error(error, Q_ERROR_INVALID, "not a JSON object");
        return NULL;
    }
    return json_node_dup_object(node);
}

static void
put_newline(GString *out, QJsonStyle style, int depth)
{
    if (style == Q_JSON_PRETTY) {
        g_string_append_printf(out, "\n%*s", 3 * depth, "");
    }
}

static void
put_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        switch (*p) {
        case '"':
            g_string_append(out, "\\\"");
            break;
        case '\\':
            g_string_append(out, "\\\\");
            break;
        case '\n':
            g_string_append(out, "\\n");
            break;
        case '\t':
            g_string_append(out, "\\t");
            break;
        case '\r':
            g_string_append(out, "\\r");
            break;
        default:
            if ((unsigned char)*p < 0x20) {
                g_string_append_printf(out, "\\u%04x", *p);
            } else {
                g_string_append_c(out, *p);
            }
        }
    }
    g_string_append_c(out, '"');
}

static void put_node(GString *out, JsonNode *node, QJsonStyle style, int depth);

static void
put_object(GString *out, JsonObject *object, QJsonStyle style, int depth)
{
    g_autoptr(GList) members = json_object_get_members(object);
    bool first = true;

    members = g_list_sort(members, (GCompareFunc)strcmp);
    g_string_append_c(out, '{');
    for (GList *item = members; item != NULL; item = item->next) {
        if (!first) {
            g_string_append_c(out, ',');
        }
        first = false;
        put_newline(out, style, depth + 1);
        put_string(out, item->data);
        g_string_append(out, style == Q_JSON_PRETTY ? " : " : ":");
        put_node(out, json_object_get_member(object, item->data), style, depth + 1);
    }
    if (!first) {
        put_newline(out, style, depth);
    }
    g_string_append_c(out, '}');
}

static void
put_array(GString *out, JsonArray *array, QJsonStyle style, int depth)
{
    guint length = json_array_get_length(array);

    g_string_append_c(out, '[');
    for (guint i = 0; i < length; i++) {
        if (i > 0) {
            g_string_append_c(out, ',');
        }
        put_newline(out, style, depth + 1);
        put_node(out, json_array_get_element(array, i), style, depth + 1);
    }
    if (length > 0) {
        put_newline(out, style, depth);
    }
    g_string_append_c(out, ']');
}

static void
put_value(GString *out, JsonNode *node)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    switch (json_node_get_value_type(node)) {
    case G_TYPE_STRING:
        put_string(out, json_node_get_string(node));
        break;
    case G_TYPE_BOOLEAN:
        g_string_append(out, json_node_get_boolean(node) ? "true" : "false");
        break;
    case G_TYPE_DOUBLE:
        g_string_append(
            out, g_ascii_formatd(number, sizeof number, "%.15g", json_node_get_double(node)));
        break;
    default:
        g_string_append_printf(out, "%" G_GINT64_FORMAT, json_node_get_int(node));
    }
}

static void
put_node(GString *out, JsonNode *node, QJsonStyle style, int depth)
{
    switch (json_node_get_node_type(node)) {
    case JSON_NODE_OBJECT:
        put_object(out, json_node_get_object(node), style, depth);
        break;
    case JSON_NODE_ARRAY:
        put_array(out, json_node_get_array(node), style, depth);
        break;
    case JSON_NODE_VALUE:
        put_value(out, node);
        break;
    default:
        g_string_append(out, "null");
    }
}

char *
q_json_text(JsonNode *node, QJsonStyle style)
{
    GString *out = g_string_new(NULL);

    put_node(out, node, style, 0);
    return g_string_free(out, FALSE);
}

char *
q_json_object_text(JsonObject *object, QJsonStyle style)
{
    GString *out = g_string_new(NULL);

    put_object(out, object, style, 0);
    return g_string_free(out, FALSE);
}

/* The member if it is a plain value (string, number, boolean), else NULL. */
static JsonNode *
value_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node != NULL && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

const char *
q_json_string(JsonObject *object, const char *name, const char *fallback)
{
    JsonNode *node = value_member(object, name);

    return node != NULL && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : fallback;
}

int64_t
q_json_int(JsonObject *object, const char *name, int64_t fallback)
{
    JsonNode *node = value_member(object, name);
    gint64 value;

    if (node == NULL) {
        return fallback;
    }
    switch (json_node_get_value_type(node)) {
    case G_TYPE_INT64:
        return json_node_get_int(node);
    case G_TYPE_DOUBLE:
        return json_node_get_double(node);
    case G_TYPE_STRING:
        return g_ascii_string_to_signed(json_node_get_string(node), 10, G_MININT64, G_MAXINT64,
                                        &value, NULL)
                   ? value
                   : fallback;
    default:
        return fallback;
    }
}

bool
q_json_bool(JsonObject *object, const char *name, bool fallback)
{
    JsonNode *node = value_member(object, name);

    if (node != NULL && json_node_get_value_type(node) == G_TYPE_BOOLEAN) {
        return json_node_get_boolean(node);
    }
    return q_json_int(object, name, fallback) != 0;
}

JsonObject *
q_json_object(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *
q_json_array(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

JsonNode *
q_json_node_object(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

JsonNode *
q_json_node_array(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

JsonNode *
q_json_node_string(const char *text)
{
    return json_node_init_string(json_node_alloc(), text);
}

JsonNode *
q_json_node_int(int64_t value)
{
    return json_node_init_int(json_node_alloc(), value);
}

JsonNode *
q_json_node_null(void)
{
    return json_node_init_null(json_node_alloc());
}
