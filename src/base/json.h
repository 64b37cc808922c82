#pragma once
#include <json-glib/json-glib.h>
#include "base/error.h"

/* json-glib with the few things that every user of it would write again. */

/** q_json_parse: Returns: (transfer full): any JSON value, or %NULL with Q_ERROR_INVALID */
JsonNode *q_json_parse(const char *text, gssize length, GError **error);

/** q_json_parse_object: as q_json_parse(), Q_ERROR_INVALID also if it is no object. */
JsonObject *q_json_parse_object(const char *text, gssize length, GError **error);

typedef enum { Q_JSON_COMPACT, Q_JSON_PRETTY } QJsonStyle;

/**
 * q_json_text:
 *
 * Keys in byte order, so that equal values give equal text. Pretty: indented by 3, ` : ` between
 * key and value (the form that users of `--output-format json-pretty` know). No final newline.
 */
char *q_json_text(JsonNode *node, QJsonStyle style);
char *q_json_object_text(JsonObject *object, QJsonStyle style);

/* Members; the default if the member is absent, null or of another type. Strings are borrowed. */
const char *q_json_string(JsonObject *object, const char *name, const char *fallback);
int64_t q_json_int(JsonObject *object, const char *name,
                   int64_t fallback);                                  /* digits in strings too */
bool q_json_bool(JsonObject *object, const char *name, bool fallback); /* 0/1 and "0"/"1" too */
JsonObject *q_json_object(JsonObject *object, const char *name);       /* borrowed, or NULL */
JsonArray *q_json_array(JsonObject *object, const char *name);         /* borrowed, or NULL */

/** q_json_node_object: (transfer full) a node that owns the reference given. */
JsonNode *q_json_node_object(JsonObject *object);
JsonNode *q_json_node_array(JsonArray *array);
JsonNode *q_json_node_string(const char *text);
JsonNode *q_json_node_int(int64_t value);
JsonNode *q_json_node_null(void);
