#include <string.h>
#include "base/sorted.h"
#include "cli/output.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

/* ------------------------------------------------------------------ values */

static char *
render_bytes(double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t unit = 0;

    while (bytes >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    return g_strdup_printf("%.2f %s", bytes, units[unit]);
}

static char *
render_duration(int64_t seconds)
{
    GString *text = g_string_new(NULL);
    const struct {
        int64_t length_s;
        char unit;
    } parts[] = { { DAY_S, 'd' }, { HOUR_S, 'h' }, { MINUTE_S, 'm' }, { 1, 's' } };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        int64_t count = seconds / parts[i].length_s;
        seconds %= parts[i].length_s;
        if (count > 0 || (parts[i].unit == 's' && text->len == 0)) {
            g_string_append_printf(text, "%s%" G_GINT64_FORMAT "%c", text->len > 0 ? " " : "",
                                   count, parts[i].unit);
        }
    }
    return g_string_free(text, FALSE);
}

static char *
render_timestamp(int64_t time_s)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(time_s);

    return time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup("-");
}

static bool
is_number(JsonNode *value)
{
    GType type = JSON_NODE_HOLDS_VALUE(value) ? json_node_get_value_type(value) : G_TYPE_NONE;

    return type == G_TYPE_INT64 || type == G_TYPE_DOUBLE;
}

char *
cli_render(JsonNode *value, const char *renderer, bool human)
{
    if (value == NULL || JSON_NODE_HOLDS_NULL(value)) {
        return g_strdup("");
    }
    if (human && renderer != NULL && is_number(value)) {
        double number = json_node_get_double(value);
        if (strcmp(renderer, "bytes") == 0) {
            return render_bytes(number);
        }
        if (strcmp(renderer, "duration") == 0) {
            return render_duration((int64_t)number);
        }
        if (strcmp(renderer, "timestamp") == 0) {
            return render_timestamp((int64_t)number);
        }
        if (strcmp(renderer, "fraction_as_percentage") == 0) {
            return g_strdup_printf("%.2f%%", number * 100);
        }
    }
    if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING) {
        return json_node_dup_string(value);
    }
    return q_json_text(value, Q_JSON_COMPACT);
}

/* ------------------------------------------------------------------ columns */

typedef struct {
    const char *name, *title, *renderer;
    bool right;
    int width;
} Column;

static const ApiColumn *
described(const CliTable *table, const char *name)
{
    for (const ApiColumn *column = table->described; column != NULL && column->name != NULL;
         column++) {
        if (strcmp(column->name, name) == 0) {
            return column;
        }
    }
    return NULL;
}

static bool
any_row_has(JsonArray *rows, const char *name)
{
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        if (json_object_has_member(json_array_get_object_element(rows, i), name)) {
            return true;
        }
    }
    return false;
}

static void
add_column(const CliTable *table, GArray *columns, const char *name)
{
    const ApiColumn *known = described(table, name);
    Column column = { .name = name, .title = name };

    if (known != NULL) {
        column.title = known->title != NULL ? known->title : name;
        column.renderer = known->renderer;
    }
    g_array_append_val(columns, column);
}

/* Required ones in alphabetical order, then optional ones that occur. */
static void
add_described(const CliTable *table, GArray *columns, JsonArray *rows)
{
    for (int optional = 0; optional <= 1; optional++) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        for (const ApiColumn *column = table->described; column->name != NULL; column++) {
            if (column->optional == optional
                && (!column->optional || any_row_has(rows, column->name))) {
                g_ptr_array_add(names, (gpointer)column->name);
            }
        }
        g_ptr_array_sort(names, q_strcmp_ptr);
        for (guint i = 0; i < names->len; i++) {
            add_column(table, columns, names->pdata[i]);
        }
    }
}

static GArray *
choose_columns(const CliTable *table, JsonArray *rows, GHashTable *keys)
{
    GArray *columns = g_array_new(FALSE, FALSE, sizeof(Column));

    if (table->columns != NULL) {
        for (const char *const *name = table->columns; *name != NULL; name++) {
            add_column(table, columns, *name);
        }
    } else if (table->described != NULL && table->described->name != NULL) {
        add_described(table, columns, rows);
    } else {
        for (guint i = 0; i < json_array_get_length(rows); i++) {
            g_autoptr(GList) members =
                json_object_get_members(json_array_get_object_element(rows, i));
            for (GList *item = members; item != NULL; item = item->next) {
                g_hash_table_add(keys, g_strdup(item->data));
            }
        }
        g_autoptr(GPtrArray) names = q_sorted_keys(keys);
        for (guint i = 0; i < names->len; i++) {
            add_column(table, columns, names->pdata[i]);
        }
    }
    return columns;
}

/* ------------------------------------------------------------------ drawing */

typedef struct {
    const char *left, *line, *cross, *right;
} Rule;

/* clang-format off */
static const Rule rules[2][4] = { /* top, below the head, between rows, bottom */
    { { "+", "-", "+", "+" }, { "+", "=", "+", "+" }, { "+", "-", "+", "+" }, { "+", "-", "+", "+" } },
    { { "┌", "─", "┬", "┐" }, { "╞", "═", "╪", "╡" }, { "├", "─", "┼", "┤" }, { "└", "─", "┴", "┘" } },
};
/* clang-format on */

static void
put_line(GString *out, const char *line, int width)
{
    if (width > 0 && g_utf8_strlen(line, -1) > width) {
        g_autofree char *cut = g_utf8_substring(line, 0, width);
        g_string_append_printf(out, "%s\n", cut);
        return;
    }
    g_string_append_printf(out, "%s\n", line);
}

static void
put_rule(const CliTable *table, GString *out, GArray *columns, int which)
{
    const Rule *rule = &rules[table->utf8][which];
    g_autoptr(GString) line = g_string_new(rule->left);

    if (!table->border) {
        return;
    }
    for (guint i = 0; i < columns->len; i++) {
        g_string_append(line, i > 0 ? rule->cross : "");
        for (int n = 0; n < g_array_index(columns, Column, i).width + 2; n++) {
            g_string_append(line, rule->line);
        }
    }
    g_string_append(line, rule->right);
    put_line(out, line->str, table->width);
}

/* A cell's text may have several lines: the row is as high as its highest cell. */
static void
put_row(const CliTable *table, GString *out, GArray *columns, char **cells)
{
    const char *bar = table->utf8 ? "│" : "|";
    bool more = true;

    for (int number = 0; more; number++) {
        g_autoptr(GString) line = g_string_new(NULL);
        more = false;
        for (guint i = 0; i < columns->len; i++) {
            const Column *column = &g_array_index(columns, Column, i);
            g_auto(GStrv) lines = g_strsplit(cells[i], "\n", -1);
            int count = (int)g_strv_length(lines);
            const char *text = number < count ? lines[number] : "";
            int pad = column->width - (int)g_utf8_strlen(text, -1);
            bool last = i + 1 == columns->len;
            more = more || number + 1 < count;
            g_string_append_printf(line, "%s%s", i > 0 && !table->border ? " " : "",
                                   table->border ? bar : "");
            g_string_append_printf(
                line, "%s%*s%s%*s%s", table->border ? " " : "", column->right ? pad : 0, "", text,
                column->right || (last && !table->border) ? 0 : pad, "", table->border ? " " : "");
        }
        g_string_append(line, table->border ? bar : "");
        put_line(out, line->str, table->width);
    }
}

static int
text_width(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    int width = 0;

    for (char **line = lines; *line != NULL; line++) {
        width = MAX(width, (int)g_utf8_strlen(*line, -1));
    }
    return width;
}

static int
compare_cells(gconstpointer a, gconstpointer b)
{
    char **left = *(char ***)a, **right = *(char ***)b;
    char *end_left, *end_right;
    double x = g_ascii_strtod(left[0], &end_left), y = g_ascii_strtod(right[0], &end_right);

    if (*left[0] != '\0' && *right[0] != '\0' && *end_left == '\0' && *end_right == '\0'
        && x != y) {
        return x < y ? -1 : 1;
    }
    return strcmp(left[0], right[0]);
}

static GPtrArray *
make_cells(const CliTable *table, GArray *columns, JsonArray *rows)
{
    GPtrArray *cells = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);

    for (guint c = 0; c < columns->len; c++) {
        g_array_index(columns, Column, c).right = json_array_get_length(rows) > 0;
    }
    for (guint r = 0; r < json_array_get_length(rows); r++) {
        JsonObject *row = json_array_get_object_element(rows, r);
        char **texts = g_new0(char *, columns->len + 1);
        for (guint c = 0; c < columns->len; c++) {
            Column *column = &g_array_index(columns, Column, c);
            JsonNode *value = json_object_get_member(row, column->name);
            g_autofree char *text = cli_render(value, column->renderer, table->human);
            texts[c] = g_utf8_make_valid(text, -1);
            column->width = MAX(column->width, text_width(texts[c]));
            column->right = column->right && (value == NULL || is_number(value));
        }
        g_ptr_array_add(cells, texts);
    }
    return cells;
}

char *
cli_table_text(const CliTable *table, JsonArray *rows)
{
    g_autoptr(GHashTable) keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GArray) columns = choose_columns(table, rows, keys);
    GString *out = g_string_new(NULL);

    if (columns->len == 0 || json_array_get_length(rows) == 0) {
        return g_string_free(out, FALSE);
    }
    g_autoptr(GPtrArray) cells = make_cells(table, columns, rows);
    g_autofree char **heads = g_new0(char *, columns->len + 1);
    for (guint i = 0; i < columns->len; i++) {
        Column *column = &g_array_index(columns, Column, i);
        heads[i] = (char *)column->title;
        column->width = table->header ? MAX(column->width, text_width(heads[i])) : column->width;
    }
    g_ptr_array_sort(cells, compare_cells);
    put_rule(table, out, columns, 0);
    if (table->header) {
        put_row(table, out, columns, heads);
        put_rule(table, out, columns, 1);
    }
    for (guint i = 0; i < cells->len; i++) {
        if (i > 0) {
            put_rule(table, out, columns, 2);
        }
        put_row(table, out, columns, cells->pdata[i]);
    }
    put_rule(table, out, columns, 3);
    return g_string_free(out, FALSE);
}
