#pragma once
#include "base/json.h"

/*
 * Parameters as text: a query string or an urlencoded body. Separators are & and ;, a repeated key
 * becomes a list; _dc (a browser's way past caches) is dropped.
 */

/** http_form_decode: adds to @into; keys that are in it already stay as they are.
 *  Errors: Q_ERROR_INVALID: a bad escape, a NUL, not UTF-8, more than 1000 keys */
bool http_form_decode(const char *text, JsonObject *into, GError **error);

/** http_form_encode: (transfer full): scalars, and lists as repeated keys; null is left out. */
char *http_form_encode(JsonObject *parameters);

/** http_json_decode: a body that is a JSON object; as http_form_decode(). */
bool http_json_decode(const char *text, size_t length, JsonObject *into, GError **error);
