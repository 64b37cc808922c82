#include <string.h>
#include <yaml.h>
#include "cli/output.h"

/* Text that a reader of YAML would take for something else than text. */
static bool
needs_quotes(const char *text)
{
    static const char *const words[] = { "",   "~",  "null", "true", "false", "yes",
                                         "no", "on", "off",  "y",    "n",     NULL };
    g_autofree char *low = g_ascii_strdown(text, -1);

    if (g_strv_contains(words, low)) {
        return true;
    }
    return g_ascii_isdigit(text[0]) || strchr("+-.", text[0]) != NULL;
}

static void
emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
    yaml_emitter_emit(emitter, event);
}

static void
emit_scalar(yaml_emitter_t *emitter, const char *text, bool is_text)
{
    yaml_event_t event;
    yaml_scalar_style_t style = is_text && needs_quotes(text) ? YAML_SINGLE_QUOTED_SCALAR_STYLE
                                : strchr(text, '\n') != NULL  ? YAML_LITERAL_SCALAR_STYLE
                                                              : YAML_ANY_SCALAR_STYLE;

    yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)text, (int)strlen(text), 1, 1,
                                 style);
    emit(emitter, &event);
}

static void
emit_node(yaml_emitter_t *emitter, JsonNode *node)
{
    yaml_event_t event;

    if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObject *object = json_node_get_object(node);
        GList *members = g_list_sort(json_object_get_members(object), (GCompareFunc)strcmp);
        yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
        emit(emitter, &event);
        for (GList *item = members; item != NULL; item = item->next) {
            emit_scalar(emitter, item->data, true);
            emit_node(emitter, json_object_get_member(object, item->data));
        }
        g_list_free(members);
        yaml_mapping_end_event_initialize(&event);
        emit(emitter, &event);
    } else if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
        emit(emitter, &event);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            emit_node(emitter, json_array_get_element(array, i));
        }
        yaml_sequence_end_event_initialize(&event);
        emit(emitter, &event);
    } else {
        bool is_text =
            JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
        g_autofree char *text = JSON_NODE_HOLDS_NULL(node) ? g_strdup("~")
                                : is_text                  ? json_node_dup_string(node)
                                                           : q_json_text(node, Q_JSON_COMPACT);
        emit_scalar(emitter, text, is_text);
    }
}

static int
append(void *data, unsigned char *buffer, size_t size)
{
    g_string_append_len(data, (const char *)buffer, size);
    return 1;
}

char *
cli_yaml_text(JsonNode *node)
{
    GString *out = g_string_new(NULL);
    yaml_emitter_t emitter;
    yaml_event_t event;

    yaml_emitter_initialize(&emitter);
    yaml_emitter_set_output(&emitter, append, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0);
    emit(&emitter, &event);
    emit_node(&emitter, node);
    yaml_document_end_event_initialize(&event, 1);
    emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    emit(&emitter, &event);
    yaml_emitter_flush(&emitter);
    yaml_emitter_delete(&emitter);
    return g_string_free(out, FALSE);
}
