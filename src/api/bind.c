#include "api/bind.h"
#include <math.h>
#include <string.h>
#include "api/format.h"
#include "base/sorted.h"

enum { FAMILY_MAX_DIGITS = 3, SUGGEST_DISTANCE = 3 };

/* clang-format off */
static const struct {
    const char *name;   /* as the published schema says */
    const char *format; /* that the kind implies */
} kinds[] = {
    [API_NULL]    = { "null" },
    [API_STRING]  = { "string" },
    [API_BOOLEAN] = { "boolean" },
    [API_INTEGER] = { "integer" },
    [API_NUMBER]  = { "number" },
    [API_NODE]    = { "string", "pve-node" },
    [API_VMID]    = { "integer" },
    [API_STORAGE] = { "string", "pve-storage-id" },
    [API_ENUM]    = { "string" },
    [API_LIST]    = { "string" },
    [API_ARRAY]   = { "array" },
    [API_TEXT]    = { "string" },
    [API_DIGEST]  = { "string" },
    [API_KIB_S]   = { "integer" },
    [API_FAMILY]  = { "string" },
    [API_SPLICE]  = { "object" },
    [API_UPID]    = { "string" },
    [API_OBJECT]  = { "object" },
    [API_ROWS]    = { "array" },
    [API_STRINGS] = { "array" },
    [API_ANY]     = { "any" },
};
/* clang-format on */

static const char *const missing = "property is missing and it is not optional";
static const char *const unknown =
    "property is not defined in schema and the schema does not allow additional properties";

const char *
api_kind_name(ApiKind kind)
{
    return kinds[kind].name;
}

const char *
api_param_name(const ApiParam *param)
{
    return param->as != NULL ? param->as : param->field;
}

/* ------------------------------------------------------------------ one value */

static bool
boolean_text(const char *text, ApiOrigin origin, const char **normal)
{
    static const char *const yes[] = { "1", "on", "yes", "true", NULL };
    static const char *const no[] = { "0", "off", "no", "false", NULL };

    for (size_t i = 0; yes[i] != NULL; i++) {
        bool is_yes = g_ascii_strcasecmp(text, yes[i]) == 0;
        if (is_yes || g_ascii_strcasecmp(text, no[i]) == 0) {
            *normal = is_yes ? "1" : "0";
            return i == 0 || origin == API_FROM_COMMAND;
        }
    }
    return false;
}

static bool
is_integer(const char *text)
{
    const char *digits = text + (*text == '+' || *text == '-');
    size_t length = strlen(digits);

    return length > 0 && length <= 18 && strspn(digits, "0123456789") == length;
}

static bool
is_number(const char *text, double *value)
{
    char *end;

    if (*text == '\0' || strspn(text, "+-0123456789.eE") != strlen(text)) {
        return false;
    }
    *value = g_ascii_strtod(text, &end);
    return *end == '\0' && isfinite(*value);
}

static bool
type_fits(const ApiParam *param, ApiOrigin origin, char **text, double *number)
{
    const char *normal;

    switch (param->kind) {
    case API_BOOLEAN:
        if (!boolean_text(*text, origin, &normal)) {
            return false;
        }
        g_free(*text);
        *text = g_strdup(normal);
        return true;
    case API_INTEGER:
    case API_VMID:
    case API_KIB_S:
        *number = is_integer(*text) ? g_ascii_strtoll(*text, NULL, 10) : 0;
        return is_integer(*text);
    case API_NUMBER:
        return is_number(*text, number);
    default:
        return true;
    }
}

static char *
bounds_complaint(const ApiParam *param, double number)
{
    bool vmid = param->kind == API_VMID;
    bool numeric =
        vmid || param->kind == API_INTEGER || param->kind == API_NUMBER || param->kind == API_KIB_S;
    double min = param->has_min ? param->min : vmid ? 100 : 0;
    double max = param->has_max ? param->max : 999999999;
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (numeric && (param->has_min || vmid || param->kind == API_KIB_S) && number < min) {
        return g_strdup_printf("value must have a minimum value of %s",
                               g_ascii_formatd(text, sizeof text, "%.10g", min));
    }
    if (numeric && (param->has_max || vmid) && number > max) {
        return g_strdup_printf("value must have a maximum value of %s",
                               g_ascii_formatd(text, sizeof text, "%.10g", max));
    }
    return NULL;
}

static char *
length_complaint(const ApiParam *param, const char *text)
{
    glong length = g_utf8_strlen(text, -1);

    if (param->max_length > 0 && length > param->max_length) {
        return g_strdup_printf("value may only be %u characters long", param->max_length);
    }
    if (param->min_length > 0 && length < param->min_length) {
        return g_strdup_printf("value must be at least %u characters long", param->min_length);
    }
    return NULL;
}

static char *
pattern_complaint(const ApiParam *param, const char *text)
{
    if (param->pattern == NULL) {
        return NULL;
    }
    g_autofree char *whole = g_strdup_printf("^(?:%s)$", param->pattern);
    bool fits = g_regex_match_simple(whole, text, G_REGEX_DOLLAR_ENDONLY, 0);
    return fits ? NULL : g_strdup("value does not match the regex pattern");
}

static char *
values_complaint(const ApiParam *param, const char *text)
{
    if (param->values == NULL || g_strv_contains(param->values, text)) {
        return NULL;
    }
    g_autofree char *all = g_strjoinv(", ", (char **)param->values);
    return g_strdup_printf("value '%s' does not have a value in the enumeration '%s'", text, all);
}

static bool
list_fits(const ApiParam *param, const char *text, char **why)
{
    g_auto(GStrv) parts = g_strsplit_set(text, ",; \t\n", -1);

    for (char **part = parts; param->values != NULL && *part != NULL; part++) {
        if (**part != '\0' && (*why = values_complaint(param, *part)) != NULL) {
            return false;
        }
    }
    return true;
}

bool
api_check_value(const ApiParam *param, const char *name, ApiOrigin origin, char **text, char **why)
{
    const char *format = param->format != NULL ? param->format : kinds[param->kind].format;
    double number = 0;

    if (!g_utf8_validate(*text, -1, NULL)) {
        *why = g_strdup("value is not UTF-8");
        return false;
    }
    if (!type_fits(param, origin, text, &number)) {
        *why =
            g_strdup_printf("type check ('%s') failed - got '%s'", kinds[param->kind].name, *text);
        return false;
    }
    bool is_list = param->kind == API_LIST;
    if ((*why = bounds_complaint(param, number)) != NULL
        || (*why = length_complaint(param, *text)) != NULL
        || (*why = pattern_complaint(param, *text)) != NULL
        || (!is_list && (*why = values_complaint(param, *text)) != NULL)) {
        return false;
    }
    if ((is_list && !list_fits(param, *text, why))
        || (format != NULL && !api_format_check(format, *text, why))) {
        return false;
    }
    g_autoptr(GError) cause = NULL;
    if (param->check != NULL && !param->check(name, *text, &cause)) {
        *why =
            g_strdup_printf("invalid format - %s", cause != NULL ? cause->message : "format error");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ raw values */

/* The text of a scalar; NULL with @why. */
static char *
scalar_text(const ApiParam *param, JsonNode *node, char **why)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_NONE;
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    if (type == G_TYPE_STRING) {
        return json_node_dup_string(node);
    }
    if (type == G_TYPE_INT64) {
        return g_strdup_printf("%" G_GINT64_FORMAT, json_node_get_int(node));
    }
    if (type == G_TYPE_DOUBLE) {
        return g_strdup(
            g_ascii_formatd(number, sizeof number, "%.15g", json_node_get_double(node)));
    }
    if (type == G_TYPE_BOOLEAN && param->kind == API_BOOLEAN) {
        return g_strdup(json_node_get_boolean(node) ? "1" : "0");
    }
    *why = g_strdup_printf("type check ('%s') failed - got %s", kinds[param->kind].name,
                           type == G_TYPE_BOOLEAN         ? "JSON::PP::Boolean"
                           : JSON_NODE_HOLDS_ARRAY(node)  ? "ARRAY"
                           : JSON_NODE_HOLDS_OBJECT(node) ? "HASH"
                                                          : "nothing");
    return NULL;
}

/* A list's elements, one text each. NULL with @why. */
static char **
element_texts(const ApiParam *param, JsonNode *node, char **why)
{
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();

    if (!JSON_NODE_HOLDS_ARRAY(node)) {
        g_autofree char *text = scalar_text(param, node, why);
        if (text == NULL) {
            return NULL;
        }
        g_strv_builder_add(texts, text);
        return g_strv_builder_end(texts);
    }
    JsonArray *array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *text = scalar_text(param, json_array_get_element(array, i), why);
        if (text == NULL) {
            g_auto(GStrv) dropped = g_strv_builder_end(texts);
            return NULL;
        }
        g_strv_builder_add(texts, text);
    }
    return g_strv_builder_end(texts);
}

static char **
split_list(const char *text)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_auto(GStrv) parts = g_strsplit_set(text, ",; \t\n", -1);

    for (char **part = parts; *part != NULL; part++) {
        if (**part != '\0') {
            g_strv_builder_add(words, *part);
        }
    }
    return g_strv_builder_end(words);
}

/* ------------------------------------------------------------------ binding */

typedef struct {
    ApiArgs *args;
    JsonObject *raw;
    ApiOrigin origin;
    const char *node;
    GHashTable *used; /* raw names that a parameter took */
    GError **error;
    bool ok;
} Binding;

static void
blame(Binding *binding, const char *name, const char *why)
{
    q_error_blame(binding->error, name, "%s", why);
    binding->ok = false;
}

static JsonNode *
take(Binding *binding, const char *name)
{
    JsonNode *node = binding->raw != NULL ? json_object_get_member(binding->raw, name) : NULL;

    if (node == NULL) {
        return NULL;
    }
    g_hash_table_add(binding->used, g_strdup(name));
    return JSON_NODE_HOLDS_NULL(node) ? NULL : node;
}

/* The checked text of a scalar or a list, or NULL after blame(). */
static char *
checked_text(Binding *binding, const ApiParam *param, const char *name, JsonNode *node)
{
    g_autofree char *why = NULL;
    g_autofree char *text = NULL;

    if (param->kind == API_LIST && JSON_NODE_HOLDS_ARRAY(node)) {
        g_auto(GStrv) texts = element_texts(param, node, &why);
        text = texts != NULL ? g_strjoinv(",", texts) : NULL;
    } else {
        text = scalar_text(param, node, &why);
    }
    if (text == NULL || !api_check_value(param, name, binding->origin, &text, &why)) {
        blame(binding, name, why);
        return NULL;
    }
    return g_steal_pointer(&text);
}

static void
put_text(Binding *binding, const ApiParam *param, const char *text)
{
    void *field = (char *)binding->args->data + param->offset;
    const char *name = api_param_name(param);

    if (param->kind == API_NODE && strcmp(text, "localhost") == 0) {
        text = binding->node;
    }
    g_hash_table_insert(binding->args->texts, g_strdup(name), g_strdup(text));
    switch (param->c_type) {
    case 'b':
        *(bool *)field = strcmp(text, "1") == 0;
        break;
    case 'i':
        *(int64_t *)field = g_ascii_strtoll(text, NULL, 10);
        break;
    case 'u':
        *(uint32_t *)field = g_ascii_strtoull(text, NULL, 10);
        break;
    case 'd':
        *(double *)field = g_ascii_strtod(text, NULL);
        break;
    case 'v':
        *(char ***)field = split_list(text);
        break;
    default:
        *(char **)field = g_strdup(text);
        break;
    }
}

static void
bind_scalar(Binding *binding, const ApiParam *param)
{
    const char *name = api_param_name(param);
    JsonNode *node = take(binding, name);

    if (node == NULL) {
        if (param->def != NULL) {
            put_text(binding, param, param->def);
        } else if (!param->optional) {
            blame(binding, name, missing);
        }
        return;
    }
    g_hash_table_add(binding->args->given, g_strdup(name));
    g_autofree char *text = checked_text(binding, param, name, node);
    if (text != NULL) {
        put_text(binding, param, text);
    }
}

static void
bind_array(Binding *binding, const ApiParam *param)
{
    const char *name = api_param_name(param);
    JsonNode *node = take(binding, name);
    g_autofree char *why = NULL;

    if (node == NULL) {
        if (!param->optional) {
            blame(binding, name, missing);
        }
        return;
    }
    g_hash_table_add(binding->args->given, g_strdup(name));
    g_auto(GStrv) texts = element_texts(param, node, &why);
    if (texts == NULL) {
        blame(binding, name, why);
        return;
    }
    for (char **text = texts; *text != NULL; text++) {
        if (!api_check_value(param, name, binding->origin, text, &why)) {
            blame(binding, name, why);
            return;
        }
    }
    *(char ***)((char *)binding->args->data + param->offset) = g_steal_pointer(&texts);
}

/* "net12" for the family "net": 12; -1: none of it. */
static int
family_index(const ApiParam *param, const char *family, const char *name)
{
    size_t length = strlen(family);
    const char *digits = name + length;
    size_t count = strlen(digits);

    if (strncmp(name, family, length) != 0 || count == 0 || count > FAMILY_MAX_DIGITS
        || strspn(digits, "0123456789") != count || (count > 1 && digits[0] == '0')) {
        return -1;
    }
    int index = (int)g_ascii_strtoll(digits, NULL, 10);
    return index <= (param->has_max ? (int)param->max : 0) ? index : -1;
}

static void
bind_family(Binding *binding, const ApiParam *param)
{
    const char *family = api_param_name(param);
    int count = (param->has_max ? (int)param->max : 0) + 1;
    char **slots = g_new0(char *, count + 1);
    ApiParam one = *param;

    one.kind = API_TEXT;
    one.has_max = one.has_min = false;
    *(char ***)((char *)binding->args->data + param->offset) = slots;
    for (int i = 0; i < count; i++) {
        g_autofree char *name = g_strdup_printf("%s%d", family, i);
        JsonNode *node = take(binding, name);
        if (node != NULL) {
            g_hash_table_add(binding->args->given, g_strdup(name));
            slots[i] = checked_text(binding, &one, name, node);
        }
    }
}

/* ------------------------------------------------------------------ splices */

/* "scsi[n]" or kind API_FAMILY: a family; its bare name in @bare. */
static bool
spliced_family(const ApiParam *row, char **bare)
{
    const char *name = api_param_name(row);

    if (row->kind != API_FAMILY) {
        return false;
    }
    *bare = g_strndup(name, strcspn(name, "["));
    return true;
}

static bool
splice_takes(const ApiSplice *splice, const char *name, ApiParam *found)
{
    for (size_t n = 0;; n++) {
        ApiParam row = { 0 };
        g_autofree char *bare = NULL;
        if (!splice->describe(n, &row)) {
            return false;
        }
        bool fits = spliced_family(&row, &bare) ? family_index(&row, bare, name) >= 0
                                                : strcmp(api_param_name(&row), name) == 0;
        if (fits) {
            *found = row;
            return true;
        }
    }
}

static void
bind_splice(Binding *binding, const ApiParam *param)
{
    GHashTable *values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GList) names = binding->raw != NULL ? json_object_get_members(binding->raw) : NULL;

    *(GHashTable **)((char *)binding->args->data + param->offset) = values;
    for (GList *item = names; item != NULL; item = item->next) {
        const char *name = item->data;
        ApiParam row;
        if (g_hash_table_contains(binding->used, name)
            || !splice_takes(param->splice, name, &row)) {
            continue;
        }
        JsonNode *node = take(binding, name);
        if (node == NULL) {
            continue;
        }
        if (row.kind == API_FAMILY) {
            row.kind = API_TEXT;
            row.has_max = row.has_min = false;
        }
        g_hash_table_add(binding->args->given, g_strdup(name));
        g_autofree char *text = checked_text(binding, &row, name, node);
        g_autoptr(GError) cause = NULL;
        if (text != NULL && param->splice->check != NULL
            && !param->splice->check(name, text, &cause)) {
            g_autofree char *why = g_strdup_printf("invalid format - %s", cause->message);
            blame(binding, name, why);
        } else if (text != NULL) {
            g_hash_table_insert(values, g_strdup(name), g_steal_pointer(&text));
        }
    }
    for (size_t n = 0;; n++) {
        ApiParam row = { 0 };
        if (!param->splice->describe(n, &row)) {
            break;
        }
        const char *name = api_param_name(&row);
        if (row.kind != API_FAMILY && !row.optional && row.def == NULL
            && !g_hash_table_contains(binding->args->given, name)) {
            blame(binding, name, missing);
        }
    }
}

/* ------------------------------------------------------------------ names that nobody takes */

static int
distance(const char *a, const char *b)
{
    size_t width = strlen(b);
    g_autofree int *row = g_new(int, width + 1);

    for (size_t j = 0; j <= width; j++) {
        row[j] = (int)j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= width; j++) {
            int above = row[j];
            int change = diagonal + (a[i - 1] != b[j - 1]);
            row[j] = MIN(change, MIN(above, row[j - 1]) + 1);
            diagonal = above;
        }
    }
    return row[width];
}

static void
nearest(const char *name, const char *candidate, int *best, char **which)
{
    int far = strlen(candidate) < 64 && strlen(name) < 64 ? distance(name, candidate) : G_MAXINT;

    if (far < *best && far < (int)strlen(name)) {
        *best = far;
        g_free(*which);
        *which = g_strdup(candidate);
    }
}

static char *
suggestion(const ApiParam *params, const char *name)
{
    int best = SUGGEST_DISTANCE;
    char *which = NULL;

    for (const ApiParam *param = params; param != NULL && param->field != NULL; param++) {
        if (param->kind != API_SPLICE) {
            nearest(name, api_param_name(param), &best, &which);
            continue;
        }
        for (size_t n = 0;; n++) {
            ApiParam row = { 0 };
            if (!param->splice->describe(n, &row)) {
                break;
            }
            nearest(name, api_param_name(&row), &best, &which);
        }
    }
    return which;
}

static void
refuse_unknown(Binding *binding)
{
    g_autoptr(GList) names = binding->raw != NULL ? json_object_get_members(binding->raw) : NULL;

    for (GList *item = names; item != NULL; item = item->next) {
        const char *name = item->data;
        if (g_hash_table_contains(binding->used, name)) {
            continue;
        }
        g_autofree char *near = suggestion(binding->args->params, name);
        g_autofree char *why = near != NULL
                                   ? g_strdup_printf("%s (did you mean '%s'?)", unknown, near)
                                   : g_strdup(unknown);
        blame(binding, name, why);
    }
}

static void
check_requires(Binding *binding)
{
    for (const ApiParam *param = binding->args->params; param != NULL && param->field != NULL;
         param++) {
        if (param->requires != NULL
            && g_hash_table_contains(binding->args->given, api_param_name(param))
            && !g_hash_table_contains(binding->args->given, param->requires)) {
            g_autofree char *why =
                g_strdup_printf("missing property required by '%s'", api_param_name(param));
            blame(binding, param->requires, why);
        }
    }
}

bool
api_param_for(const ApiParam *params, const char *name, ApiParam *found)
{
    for (const ApiParam *param = params; param != NULL && param->field != NULL; param++) {
        if (param->kind == API_SPLICE) {
            if (splice_takes(param->splice, name, found)) {
                return true;
            }
            continue;
        }
        bool fits = param->kind == API_FAMILY
                        ? family_index(param, api_param_name(param), name) >= 0
                        : strcmp(api_param_name(param), name) == 0;
        if (fits) {
            *found = *param;
            return true;
        }
    }
    return false;
}

ApiArgs *
api_bind(const ApiParam *params, JsonObject *raw, ApiOrigin origin, const char *node,
         GError **error)
{
    g_autoptr(ApiArgs) args = g_new0(ApiArgs, 1);
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GError) cause = NULL;
    Binding binding = { .args = args,
                        .raw = raw,
                        .origin = origin,
                        .node = node,
                        .used = used,
                        .error = &cause,
                        .ok = true };

    args->params = params;
    args->data = g_malloc0(params != NULL && params->args_size > 0 ? params->args_size : 1);
    args->given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    args->texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    /* Splices last: they must not take what a parameter of its own is there for. */
    for (int splices = 0; splices <= 1; splices++) {
        for (const ApiParam *param = params; param != NULL && param->field != NULL; param++) {
            if ((param->kind == API_SPLICE) != splices) {
                continue;
            }
            if (param->kind == API_SPLICE) {
                bind_splice(&binding, param);
            } else if (param->kind == API_FAMILY) {
                bind_family(&binding, param);
            } else if (param->kind == API_ARRAY) {
                bind_array(&binding, param);
            } else {
                bind_scalar(&binding, param);
            }
        }
    }
    refuse_unknown(&binding);
    check_requires(&binding);
    if (!binding.ok) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    return g_steal_pointer(&args);
}

void
api_args_free(ApiArgs *args)
{
    if (args == NULL) {
        return;
    }
    for (const ApiParam *param = args->params; param != NULL && param->field != NULL; param++) {
        void *field = (char *)args->data + param->offset;
        if (param->c_type == 's') {
            g_free(*(char **)field);
        } else if (param->c_type == 'h' && *(GHashTable **)field != NULL) {
            g_hash_table_unref(*(GHashTable **)field);
        } else if (param->kind == API_FAMILY && *(char ***)field != NULL) {
            char **slots = *(char ***)field;
            for (int i = 0; i <= (param->has_max ? (int)param->max : 0); i++) {
                g_free(slots[i]);
            }
            g_free(slots);
        } else if (param->c_type == 'v') {
            g_strfreev(*(char ***)field);
        }
    }
    g_free(args->data);
    g_hash_table_unref(args->given);
    g_hash_table_unref(args->texts);
    g_free(args);
}
