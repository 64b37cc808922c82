#include "http/form.h"
#include <string.h>

enum { KEYS_MAX = 1000 };

static char *
decode(const char *text, size_t length)
{
    g_autofree char *raw = g_strndup(text, length);

    g_strdelimit(raw, "+", ' ');
    char *plain = g_uri_unescape_string(raw, NULL); /* NULL for a bad escape or an escaped NUL */
    if (plain != NULL && !g_utf8_validate(plain, -1, NULL)) {
        g_clear_pointer(&plain, g_free);
    }
    return plain;
}

static void
put(JsonObject *into, GHashTable *own, const char *key, const char *value)
{
    JsonNode *before = json_object_get_member(into, key);

    if (strcmp(key, "_dc") == 0 || (before != NULL && !g_hash_table_contains(own, key))) {
        return;
    }
    g_hash_table_add(own, g_strdup(key));
    if (before == NULL) {
        json_object_set_string_member(into, key, value);
        return;
    }
    JsonArray *list =
        JSON_NODE_HOLDS_ARRAY(before) ? json_array_ref(json_node_get_array(before)) : NULL;
    if (list == NULL) {
        list = json_array_new();
        json_array_add_string_element(list, json_node_get_string(before));
    }
    json_array_add_string_element(list, value);
    json_object_set_array_member(into, key, list);
}

bool
http_form_decode(const char *text, JsonObject *into, GError **error)
{
    g_autoptr(GHashTable) own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int count = 0;

    while (*text != '\0') {
        size_t length = strcspn(text, "&;");
        size_t key_length = MIN(length, strcspn(text, "="));
        size_t skip = key_length < length ? key_length + 1 : length;
        g_autofree char *key = decode(text, key_length);
        g_autofree char *value = decode(text + skip, length - skip);

        if (key == NULL || value == NULL) {
            return q_set_error(error, Q_ERROR_INVALID, "bad request: parameters are malformed");
        }
        if (++count > KEYS_MAX) {
            return q_set_error(error, Q_ERROR_INVALID, "bad request: more than %d parameters",
                               KEYS_MAX);
        }
        if (*key != '\0') {
            put(into, own, key, value);
        }
        text += length + (text[length] != '\0');
    }
    return true;
}

static void
encode_one(GString *out, const char *key, JsonNode *value)
{
    g_autofree char *text = NULL;
    g_autofree char *name = g_uri_escape_string(key, NULL, FALSE);

    if (JSON_NODE_HOLDS_NULL(value)) {
        return;
    }
    if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING) {
        text = json_node_dup_string(value);
    } else if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_BOOLEAN) {
        text = g_strdup(json_node_get_boolean(value) ? "1" : "0");
    } else {
        text = q_json_text(value, Q_JSON_COMPACT);
    }
    g_autofree char *escaped = g_uri_escape_string(text, NULL, FALSE);
    g_string_append_printf(out, "%s%s=%s", out->len > 0 ? "&" : "", name, escaped);
}

char *
http_form_encode(JsonObject *parameters)
{
    GString *out = g_string_new(NULL);
    GList *names = g_list_sort(json_object_get_members(parameters), (GCompareFunc)strcmp);

    for (GList *item = names; item != NULL; item = item->next) {
        JsonNode *value = json_object_get_member(parameters, item->data);
        if (!JSON_NODE_HOLDS_ARRAY(value)) {
            encode_one(out, item->data, value);
            continue;
        }
        JsonArray *list = json_node_get_array(value);
        for (guint i = 0; i < json_array_get_length(list); i++) {
            encode_one(out, item->data, json_array_get_element(list, i));
        }
    }
    g_list_free(names);
    return g_string_free(out, FALSE);
}

bool
http_json_decode(const char *text, size_t length, JsonObject *into, GError **error)
{
    g_autoptr(JsonObject) object = q_json_parse_object(text, (gssize)length, error);
    g_autoptr(GList) names = object != NULL ? json_object_get_members(object) : NULL;

    if (object == NULL) {
        return q_prefix_error(error, "bad request: ");
    }
    for (GList *item = names; item != NULL; item = item->next) {
        if (!json_object_has_member(into, item->data) && strcmp(item->data, "_dc") != 0) {
            json_object_set_member(into, item->data, json_object_dup_member(object, item->data));
        }
    }
    return true;
}
