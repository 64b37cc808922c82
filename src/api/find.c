#include <string.h>
#include "api/call.h"
#include "api/methods.h"

enum { PARTS_MAX = 32 };

static const char *const verbs[] = {
    [API_GET] = "GET", [API_POST] = "POST", [API_PUT] = "PUT", [API_DELETE] = "DELETE"
};

const char *
api_verb_name(ApiVerb verb)
{
    return verbs[verb];
}

bool
api_verb_parse(const char *name, ApiVerb *verb)
{
    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i], name) == 0) {
            *verb = (ApiVerb)i;
            return true;
        }
    }
    return false;
}

char *
api_method_id(const ApiMethod *method)
{
    return method->path != NULL ? g_strdup_printf("%s %s", verbs[method->verb], method->path)
                                : g_strdup(method->name);
}

const ApiMethod *
api_find_id(const char *id)
{
    const ApiMethod *method;

    for (size_t n = 0; (method = api_method_at(n)) != NULL; n++) {
        g_autofree char *own = api_method_id(method);
        if (strcmp(own, id) == 0 || g_strcmp0(method->name, id) == 0) {
            return method;
        }
    }
    return NULL;
}

/* The parts of a path; NULL if one does not decode. */
static char **
split(const char *path, bool encoded)
{
    g_autoptr(GStrvBuilder) parts = g_strv_builder_new();
    g_auto(GStrv) raw = g_strsplit(path, "/", PARTS_MAX);

    for (char **part = raw; *part != NULL; part++) {
        if (**part == '\0') {
            continue;
        }
        g_autofree char *plain = encoded ? g_uri_unescape_string(*part, NULL) : g_strdup(*part);
        if (plain == NULL) {
            g_auto(GStrv) dropped = g_strv_builder_end(parts);
            return NULL;
        }
        g_strv_builder_add(parts, plain);
    }
    return g_strv_builder_end(parts);
}

static bool
is_variable(const char *part)
{
    return part[0] == '{';
}

/* How well @pattern fits: the number of literal parts + 1; 0: not. A last {volume} takes the rest,
 * for volume ids have slashes and not every caller escapes them. */
static int
fit(char **pattern, char **parts)
{
    int literal = 1;

    for (; *pattern != NULL && *parts != NULL; pattern++, parts++) {
        if (!is_variable(*pattern)) {
            if (strcmp(*pattern, *parts) != 0) {
                return 0;
            }
            literal++;
        } else if (pattern[1] == NULL && strcmp(*pattern, "{volume}") == 0) {
            return literal;
        }
    }
    return *pattern == NULL && *parts == NULL ? literal : 0;
}

static bool
put_variable(JsonObject *raw, const char *part, char **values, GError **error)
{
    g_autofree char *name = g_strndup(part + 1, strlen(part) - 2);
    g_autofree char *value =
        strcmp(name, "volume") == 0 ? g_strjoinv("/", values) : g_strdup(values[0]);
    JsonNode *before = json_object_get_member(raw, name);

    if (before != NULL
        && (!JSON_NODE_HOLDS_VALUE(before)
            || g_strcmp0(q_json_string(raw, name, NULL), value) != 0)) {
        int64_t number = q_json_int(raw, name, -1);
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
        if (number < 0 || strcmp(text, value) != 0) {
            return q_error_blame(error, name,
                                 "duplicate parameter (already defined in URI) with conflicting "
                                 "values!");
        }
    }
    json_object_set_string_member(raw, name, value);
    return true;
}

const ApiMethod *
api_find(ApiVerb verb, const char *path, bool encoded, JsonObject *raw, GError **error)
{
    g_auto(GStrv) parts = split(path, encoded);
    const ApiMethod *method, *found = NULL;
    int best = 0;

    for (size_t n = 0; parts != NULL && (method = api_method_at(n)) != NULL; n++) {
        if (method->path == NULL || method->verb != verb) {
            continue;
        }
        g_auto(GStrv) pattern = split(method->path, false);
        int quality = fit(pattern, parts);
        if (quality > best) {
            best = quality;
            found = method;
        }
    }
    if (found == NULL) {
        q_set_error(error, Q_ERROR_UNSUPPORTED, "Method '%s %s' not implemented", verbs[verb],
                    path);
        return NULL;
    }
    g_auto(GStrv) pattern = split(found->path, false);
    for (int i = 0; pattern[i] != NULL; i++) {
        if (is_variable(pattern[i]) && !put_variable(raw, pattern[i], parts + i, error)) {
            return NULL;
        }
    }
    return found;
}
