#include "base/section_config.h"
#include <string.h>

typedef struct {
    char *key; /* NULL: a comment line, kept in @value */
    char *value;
} Line;

struct QSection {
    char *type;
    char *id;
    GPtrArray *comments; /* lines before the header */
    GArray *lines;       /* Line */
};

struct QSectionConfig {
    GPtrArray *sections;
    GPtrArray *trailing; /* comment lines after the last section */
    GPtrArray *warnings;
};

static void
line_clear(gpointer data)
{
    Line *line = data;

    g_free(line->key);
    g_free(line->value);
}

static void
section_free(gpointer data)
{
    QSection *section = data;

    g_free(section->type);
    g_free(section->id);
    g_ptr_array_unref(section->comments);
    g_array_unref(section->lines);
    g_free(section);
}

static QSection *
section_new(const char *type, const char *id)
{
    QSection *section = g_new0(QSection, 1);

    section->type = g_strdup(type);
    section->id = g_strdup(id);
    section->comments = g_ptr_array_new_with_free_func(g_free);
    section->lines = g_array_new(FALSE, FALSE, sizeof(Line));
    g_array_set_clear_func(section->lines, line_clear);
    return section;
}

static void
warn(QSectionConfig *config, int number, const char *format, const char *detail)
{
    g_autofree char *text = g_strdup_printf(format, detail);

    g_ptr_array_add(config->warnings, g_strdup_printf("line %d: %s", number, text));
}

/* "TYPE: ID": the type may be in any case, the id is the first word after the colon. */
static QSection *
parse_header(QSectionConfig *config, const char *text, int number, GPtrArray *comments)
{
    const char *colon = strchr(text, ':');
    g_autofree char *type = NULL, *id = NULL;

    if (colon == NULL || colon == text) {
        warn(config, number, "expected 'TYPE: ID', found '%s'", text);
        return NULL;
    }
    type = g_strstrip(g_ascii_strdown(text, colon - text));
    id = g_strstrip(g_strdup(colon + 1));
    if (*type == '\0' || *id == '\0' || strpbrk(type, " \t") != NULL
        || strpbrk(id, " \t") != NULL) {
        warn(config, number, "expected 'TYPE: ID', found '%s'", text);
        return NULL;
    }
    if (q_section_config_find(config, id) != NULL) {
        warn(config, number, "section '%s' is there twice, the first one counts", id);
    }
    QSection *section = section_new(type, id);
    g_ptr_array_add(config->sections, section);
    g_ptr_array_extend_and_steal(section->comments, g_ptr_array_ref(comments));
    return section;
}

static void
parse_line(QSectionConfig *config, QSection *section, const char *text, int number)
{
    size_t length = strcspn(text, " \t");
    Line line = {
        .key = g_strndup(text, length),
        .value = g_strdup(g_strchug((char *)text + length)),
    };

    if (q_section_get(section, line.key, NULL) != NULL) {
        warn(config, number, "'%s' is there twice, the first one counts", line.key);
    }
    if (line.value[0] == '\0') {
        g_free(line.value);
        line.value = g_strdup("1");
    }
    g_array_append_val(section->lines, line);
}

QSectionConfig *
q_section_config_parse(const char *text)
{
    QSectionConfig *config = g_new0(QSectionConfig, 1);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    g_autoptr(GPtrArray) comments = g_ptr_array_new_with_free_func(g_free);
    QSection *section = NULL;

    config->sections = g_ptr_array_new_with_free_func(section_free);
    config->trailing = g_ptr_array_new_with_free_func(g_free);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; lines[i] != NULL; i++) {
        bool indented = g_ascii_isspace(lines[i][0]);
        char *line = g_strstrip(lines[i]);

        if (*line == '\0') {
            continue;
        }
        if (*line == '#') {
            if (section != NULL && indented) {
                Line comment = { NULL, g_strdup(line) };
                g_array_append_val(section->lines, comment);
            } else {
                g_ptr_array_add(comments, g_strdup(line));
            }
        } else if (!indented) {
            section = parse_header(config, line, i + 1, comments);
        } else if (section != NULL) {
            parse_line(config, section, line, i + 1);
        } else {
            warn(config, i + 1, "'%s' stands in no section", line);
        }
    }
    g_ptr_array_extend_and_steal(config->trailing, g_ptr_array_ref(comments));
    return config;
}

void
q_section_config_free(QSectionConfig *config)
{
    if (config != NULL) {
        g_ptr_array_unref(config->sections);
        g_ptr_array_unref(config->trailing);
        g_ptr_array_unref(config->warnings);
        g_free(config);
    }
}

char *
q_section_config_text(const QSectionConfig *config)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < config->sections->len; i++) {
        const QSection *section = config->sections->pdata[i];

        for (guint c = 0; c < section->comments->len; c++) {
            g_string_append_printf(out, "%s\n", (char *)section->comments->pdata[c]);
        }
        g_string_append_printf(out, "%s: %s\n", section->type, section->id);
        for (guint l = 0; l < section->lines->len; l++) {
            const Line *line = &g_array_index(section->lines, Line, l);

            if (line->key == NULL) {
                g_string_append_printf(out, "\t%s\n", line->value);
            } else {
                g_string_append_printf(out, "\t%s %s\n", line->key, line->value);
            }
        }
        g_string_append_c(out, '\n');
    }
    for (guint c = 0; c < config->trailing->len; c++) {
        g_string_append_printf(out, "%s\n", (char *)config->trailing->pdata[c]);
    }
    return g_string_free(out, FALSE);
}

GPtrArray *
q_section_config_warnings(const QSectionConfig *config)
{
    return config->warnings;
}

GPtrArray *
q_section_config_sections(const QSectionConfig *config)
{
    return config->sections;
}

QSection *
q_section_config_find(const QSectionConfig *config, const char *id)
{
    for (guint i = 0; i < config->sections->len; i++) {
        QSection *section = config->sections->pdata[i];

        if (strcmp(section->id, id) == 0) {
            return section;
        }
    }
    return NULL;
}

QSection *
q_section_config_add(QSectionConfig *config, const char *type, const char *id, GError **error)
{
    if (q_section_config_find(config, id) != NULL) {
        q_set_error(error, Q_ERROR_EXISTS, "'%s' already exists", id);
        return NULL;
    }
    QSection *section = section_new(type, id);
    g_ptr_array_add(config->sections, section);
    return section;
}

bool
q_section_config_remove(QSectionConfig *config, const char *id)
{
    QSection *section = q_section_config_find(config, id);

    return section != NULL && g_ptr_array_remove(config->sections, section);
}

const char *
q_section_type(const QSection *section)
{
    return section->type;
}

const char *
q_section_id(const QSection *section)
{
    return section->id;
}

static Line *
find_line(const QSection *section, const char *key)
{
    for (guint i = 0; i < section->lines->len; i++) {
        Line *line = &g_array_index(section->lines, Line, i);

        if (g_strcmp0(line->key, key) == 0) {
            return line;
        }
    }
    return NULL;
}

const char *
q_section_get(const QSection *section, const char *key, const char *fallback)
{
    const Line *line = find_line(section, key);

    return line != NULL ? line->value : fallback;
}

bool
q_section_get_bool(const QSection *section, const char *key, bool fallback)
{
    static const char *const on[] = { "1", "on", "yes", "true", NULL };
    static const char *const off[] = { "0", "off", "no", "false", NULL };
    const char *value = q_section_get(section, key, NULL);

    if (value == NULL) {
        return fallback;
    }
    g_autofree char *lower = g_ascii_strdown(value, -1);
    if (g_strv_contains(on, lower)) {
        return true;
    }
    return g_strv_contains(off, lower) ? false : fallback;
}

int64_t
q_section_get_int(const QSection *section, const char *key, int64_t fallback)
{
    const char *value = q_section_get(section, key, NULL);
    gint64 number;

    return value != NULL
                   && g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &number, NULL)
               ? number
               : fallback;
}

void
q_section_set(QSection *section, const char *key, const char *value)
{
    Line *line = find_line(section, key);

    if (line != NULL && value != NULL) {
        g_autofree char *old = line->value;
        line->value = g_strdup(value);
    } else if (line != NULL) {
        g_array_remove_index(section->lines, line - (Line *)section->lines->data);
    } else if (value != NULL) {
        Line added = { g_strdup(key), g_strdup(value) };
        g_array_append_val(section->lines, added);
    }
}

GPtrArray *
q_section_keys(const QSection *section)
{
    GPtrArray *keys = g_ptr_array_new();

    for (guint i = 0; i < section->lines->len; i++) {
        const Line *line = &g_array_index(section->lines, Line, i);

        if (line->key != NULL) {
            g_ptr_array_add(keys, line->key);
        }
    }
    return keys;
}

char **
q_split_list(const char *text)
{
    g_auto(GStrv) parts = g_strsplit_set(text, ",; \t\n", -1);
    GPtrArray *list = g_ptr_array_new();

    for (int i = 0; parts[i] != NULL; i++) {
        if (parts[i][0] != '\0') {
            g_ptr_array_add(list, g_strdup(parts[i]));
        }
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}
