#include "base/property_string.h"
#include <string.h>
#include "base/sorted.h"

struct QPropertyString {
    const QPropertyRow *rows;
    GHashTable *values; /* canonical name -> value */
};

/* ------------------------------------------------------------------ single values */

bool
q_is_word_of(const char *words, const char *text)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);

    return g_strv_contains((const char *const *)list, text);
}

bool
q_matches(const char *pattern, const char *text)
{
    g_autofree char *whole = g_strdup_printf("\\A(?:%s)\\z", pattern);

    return g_regex_match_simple(whole, text, 0, 0);
}

bool
q_parse_bool(const char *text, bool *value)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);

    if (q_is_word_of("1 on yes true", lower)) {
        *value = true;
        return true;
    }
    if (q_is_word_of("0 off no false", lower)) {
        *value = false;
        return true;
    }
    return false;
}

static const char units[] = "KMGT";

bool
q_parse_size(const char *text, uint64_t *bytes)
{
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);
    int shift = 0;

    if (end == text || !g_ascii_isdigit(*text)) {
        return false;
    }
    const char *unit = *end != '\0' ? strchr(units, g_ascii_toupper(*end)) : NULL;
    if (unit != NULL) {
        shift = 10 * (unit - units + 1);
        end++;
        end += g_str_has_prefix(end, "iB") ? 2 : 0;
    }
    double value = number * (double)(1ULL << shift);
    if (*end != '\0' || value < 0 || value >= 9.2e18) {
        return false;
    }
    /* Whole numbers are exact however large; only fractions go through floating point. */
    guint64 whole;
    g_autofree char *digits = g_strndup(text, strspn(text, "0123456789"));
    bool is_whole = g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64 >> shift, &whole, NULL)
                    && strchr(text, '.') == NULL && strpbrk(text, "eE") == NULL;
    *bytes = is_whole ? whole << shift : (uint64_t)value;
    return true;
}

char *
q_size_text(uint64_t bytes)
{
    int unit = -1;

    while (bytes != 0 && bytes % 1024 == 0 && unit < (int)strlen(units) - 1) {
        bytes /= 1024;
        unit++;
    }
    return unit < 0 ? g_strdup_printf("%" G_GUINT64_FORMAT, bytes)
                    : g_strdup_printf("%" G_GUINT64_FORMAT "%c", bytes, units[unit]);
}

/* ------------------------------------------------------------------ rows */

static const QPropertyRow *
find_row(const QPropertyRow *rows, const char *name)
{
    for (; rows->name != NULL; rows++) {
        if (strcmp(rows->name, name) == 0) {
            return rows;
        }
    }
    return NULL;
}

static const QPropertyRow *
find_default_row(const QPropertyRow *rows)
{
    while (rows->name != NULL && !rows->is_default) {
        rows++;
    }
    return rows->name != NULL ? rows : NULL;
}

static bool
check_bounds(const QPropertyRow *row, double number, GError **error)
{
    if (row->min == 0 && row->max == 0) {
        return true;
    }
    if (number < row->min) {
        return q_set_error(error, Q_ERROR_INVALID, "%s: value must have a minimum value of %g",
                           row->name, row->min);
    }
    return row->max == 0 || number <= row->max
           || q_set_error(error, Q_ERROR_INVALID, "%s: value must have a maximum value of %g",
                          row->name, row->max);
}

static bool
check_type(const QPropertyRow *row, const char *text, char **canonical, double *number,
           GError **error)
{
    gint64 integer;
    uint64_t bytes;
    bool yes;
    char *end;

    *canonical = NULL;
    switch (row->type) {
    case Q_PROPERTY_BOOL:
        if (!q_parse_bool(text, &yes)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "%s: type check ('boolean') failed - got '%s'", row->name, text);
        }
        *canonical = g_strdup(yes ? "1" : "0");
        return true;
    case Q_PROPERTY_INT:
        if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &integer, NULL)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "%s: type check ('integer') failed - got '%s'", row->name, text);
        }
        *number = integer;
        return true;
    case Q_PROPERTY_NUMBER:
        *number = g_ascii_strtod(text, &end);
        return (end != text && *end == '\0' && strpbrk(text, "xXnN") == NULL)
               || q_set_error(error, Q_ERROR_INVALID, "%s: type check ('number') failed - got '%s'",
                              row->name, text);
    case Q_PROPERTY_SIZE:
        if (!q_parse_size(text, &bytes)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "%s: '%s' is no size: digits, and one of K M G T", row->name, text);
        }
        *canonical = q_size_text(bytes);
        return true;
    default:
        return true;
    }
}

static bool
check_in_full(const QPropertyRow *row, const char *text, double number, GError **error)
{
    if (row->words != NULL && !q_is_word_of(row->words, text)) {
        g_auto(GStrv) words = g_strsplit(row->words, " ", -1);
        g_autofree char *list = g_strjoinv(", ", words);
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: value '%s' does not have a value in the enumeration '%s'",
                           row->name, text, list);
    }
    if (row->pattern != NULL && !q_matches(row->pattern, text)) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: value does not match the regex pattern: '%s'", row->name, text);
    }
    if (row->max_length > 0 && strlen(text) > (size_t)row->max_length) {
        return q_set_error(error, Q_ERROR_INVALID, "%s: value may only be %d characters long",
                           row->name, row->max_length);
    }
    return (row->type != Q_PROPERTY_INT && row->type != Q_PROPERTY_NUMBER)
           || check_bounds(row, number, error);
}

/* The value as it is kept; %NULL if it is not allowed. */
static char *
check_value(const QPropertyRow *row, const char *text, QPropertyCheck check, GError **error)
{
    char *canonical = NULL;
    double number = 0;

    if (!check_type(row, text, &canonical, &number, error)) {
        return NULL;
    }
    if (check == Q_PROPERTY_STRICT && !check_in_full(row, text, number, error)) {
        g_free(canonical);
        return NULL;
    }
    return canonical != NULL ? canonical : g_strdup(text);
}

/* ------------------------------------------------------------------ parsing */

static bool
keep(QPropertyString *string, const char *name, char *value, const char *said, GError **error)
{
    if (g_hash_table_contains(string->values, name)) {
        g_free(value);
        return q_set_error(error, Q_ERROR_INVALID, "%s: given twice", said);
    }
    g_hash_table_insert(string->values, g_strdup(name), value);
    return true;
}

static bool
keep_alias(QPropertyString *string, const QPropertyRow *row, const char *text, QPropertyCheck check,
           GError **error)
{
    const QPropertyRow *target = find_row(string->rows, row->alias);
    g_autofree char *scaled = NULL;

    if (row->keyed != NULL && !keep(string, row->keyed, g_strdup(row->name), row->keyed, error)) {
        return false;
    }
    if (row->divide != 0) {
        char *end;
        double number = g_ascii_strtod(text, &end) / row->divide;
        char buffer[64];

        if (end == text || *end != '\0') {
            return q_set_error(error, Q_ERROR_INVALID,
                               "%s: type check ('integer') failed - got '%s'", row->name, text);
        }
        scaled = g_strdup(g_ascii_formatd(buffer, sizeof(buffer), "%.3f", number));
    }
    char *value = check_value(target, scaled != NULL ? scaled : text, check, error);
    return value != NULL && keep(string, row->alias, value, row->name, error);
}

static bool
parse_part(QPropertyString *string, const char *part, QPropertyCheck check, GError **error)
{
    const char *equals = strchr(part, '=');
    const QPropertyRow *row = equals == NULL ? find_default_row(string->rows) : NULL;

    if (equals == NULL && row == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "value without key: '%s'", part);
    }
    if (equals == NULL) {
        char *value = check_value(row, part, check, error);
        return value != NULL && keep(string, row->name, value, row->name, error);
    }
    g_autofree char *name = g_strndup(part, equals - part);
    row = find_row(string->rows, name);
    if (row == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: property is not defined in schema and the schema does not allow "
                           "additional properties",
                           name);
    }
    if (equals[1] == '\0') {
        return q_set_error(error, Q_ERROR_INVALID, "%s: has no value", name);
    }
    if (row->type == Q_PROPERTY_OLD) {
        return true;
    }
    if (row->alias != NULL) {
        return keep_alias(string, row, equals + 1, check, error);
    }
    char *value = check_value(row, equals + 1, check, error);
    return value != NULL && keep(string, row->name, value, row->name, error);
}

QPropertyString *
q_property_string_new(const QPropertyRow *rows)
{
    QPropertyString *string = g_new0(QPropertyString, 1);

    string->rows = rows;
    string->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return string;
}

QPropertyString *
q_property_string_parse(const QPropertyRow *rows, const char *text, QPropertyCheck check,
                        GError **error)
{
    g_autoptr(QPropertyString) string = q_property_string_new(rows);
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        char *part = g_strstrip(parts[i]);

        if (*part != '\0' && !parse_part(string, part, check, error)) {
            return NULL;
        }
    }
    for (const QPropertyRow *row = rows; row->name != NULL; row++) {
        if (row->required && !g_hash_table_contains(string->values, row->name)) {
            q_set_error(error, Q_ERROR_INVALID, "%s: property is missing and it is not optional",
                        row->name);
            return NULL;
        }
    }
    return g_steal_pointer(&string);
}

void
q_property_string_free(QPropertyString *string)
{
    if (string != NULL) {
        g_hash_table_unref(string->values);
        g_free(string);
    }
}

/* ------------------------------------------------------------------ printing and access */

/* A keyed row prints "virtio=MAC" in place of "model=virtio,macaddr=MAC". */
static const QPropertyRow *
find_keyed(const QPropertyString *string)
{
    for (const QPropertyRow *row = string->rows; row->name != NULL; row++) {
        if (row->keyed != NULL
            && g_strcmp0(g_hash_table_lookup(string->values, row->keyed), row->name) == 0
            && g_hash_table_contains(string->values, row->alias)) {
            return row;
        }
    }
    return NULL;
}

static void
append_part(GString *out, const char *name, const char *value)
{
    if (out->len > 0) {
        g_string_append_c(out, ',');
    }
    if (name != NULL) {
        g_string_append_printf(out, "%s=", name);
    }
    g_string_append(out, value);
}

char *
q_property_string_text(const QPropertyString *string)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(string->values);
    const QPropertyRow *keyed = find_keyed(string);
    const QPropertyRow *first = find_default_row(string->rows);
    GString *out = g_string_new(NULL);

    if (keyed != NULL) {
        append_part(out, keyed->name, g_hash_table_lookup(string->values, keyed->alias));
    } else if (first != NULL && g_hash_table_contains(string->values, first->name)) {
        append_part(out, NULL, g_hash_table_lookup(string->values, first->name));
    }
    for (int required = 1; required >= 0; required--) {
        for (guint i = 0; i < names->len; i++) {
            const char *name = names->pdata[i];
            const QPropertyRow *row = find_row(string->rows, name);
            bool said = keyed != NULL
                        && (strcmp(name, keyed->keyed) == 0 || strcmp(name, keyed->alias) == 0);

            if (!said && !(keyed == NULL && row == first) && row->required == (required == 1)) {
                append_part(out, name, g_hash_table_lookup(string->values, name));
            }
        }
    }
    return g_string_free(out, FALSE);
}

const char *
q_property_get(const QPropertyString *string, const char *name, const char *fallback)
{
    const char *value = g_hash_table_lookup(string->values, name);

    return value != NULL ? value : fallback;
}

bool
q_property_bool(const QPropertyString *string, const char *name, bool fallback)
{
    const char *value = q_property_get(string, name, NULL);
    bool yes = fallback;

    if (value != NULL) {
        q_parse_bool(value, &yes);
    }
    return yes;
}

int64_t
q_property_int(const QPropertyString *string, const char *name, int64_t fallback)
{
    const char *value = q_property_get(string, name, NULL);
    const QPropertyRow *row = find_row(string->rows, name);
    uint64_t bytes;

    if (value == NULL) {
        return fallback;
    }
    if (row != NULL && row->type == Q_PROPERTY_SIZE) {
        return q_parse_size(value, &bytes) ? (int64_t)bytes : fallback;
    }
    return g_ascii_strtoll(value, NULL, 10);
}

double
q_property_number(const QPropertyString *string, const char *name, double fallback)
{
    const char *value = q_property_get(string, name, NULL);

    return value != NULL ? g_ascii_strtod(value, NULL) : fallback;
}

void
q_property_set(QPropertyString *string, const char *name, const char *value)
{
    if (value == NULL) {
        g_hash_table_remove(string->values, name);
    } else {
        g_hash_table_insert(string->values, g_strdup(name), g_strdup(value));
    }
}
