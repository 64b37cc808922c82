#include "guest/core/config.h"
#include <stdlib.h>
#include <string.h>
#include "base/sorted.h"

#define CLOUDINIT "special:cloudinit"

typedef enum {
    SECTION_MAIN,
    SECTION_PENDING,
    SECTION_SPECIAL,
    SECTION_SNAPSHOT,
    SECTION_UNKNOWN
} SectionKind;

struct GuestSection {
    SectionKind kind;
    char *name;         /* as written between the brackets */
    GHashTable *values; /* key -> value */
    GString *encoded;   /* while reading: the description's lines */
    GPtrArray
        *verbatim; /* lines that are no KEY: VALUE, or whose value is none of the key's type */
};

struct GuestConfig {
    GuestSection *main;
    GuestSection *pending;
    GHashTable *deletions;
    GHashTable *special;   /* name -> section */
    GHashTable *snapshots; /* name -> section */
    GPtrArray *unknown;    /* sections that we know nothing of */
    GPtrArray *warnings;
};

/* ------------------------------------------------------------------ texts */

char *
guest_encode_text(const char *text)
{
    GString *out = g_string_new(NULL);

    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e || *c == '%' || *c == ':') {
            g_string_append_printf(out, "%%%02X", *c);
        } else {
            g_string_append_c(out, *c);
        }
    }
    return g_string_free(out, FALSE);
}

char *
guest_decode_text(const char *text)
{
    GString *out = g_string_new(NULL);

    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '%' && g_ascii_isxdigit(c[1]) && g_ascii_isxdigit(c[2])) {
            char byte = g_ascii_xdigit_value(c[1]) << 4 | g_ascii_xdigit_value(c[2]);

            /* A NUL would end the text for every reader; it is no character of a description. */
            if (byte != '\0') {
                g_string_append_c(out, byte);
            }
            c += 2;
        } else {
            g_string_append_c(out, *c);
        }
    }
    if (!g_utf8_validate(out->str, out->len, NULL)) {
        char *valid = g_utf8_make_valid(out->str, out->len);
        g_string_free(out, TRUE);
        return valid;
    }
    return g_string_free(out, FALSE);
}

char *
guest_config_digest(const char *text)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA1, text, -1);
}

/* ------------------------------------------------------------------ sections */

static GuestSection *
section_new(SectionKind kind, const char *name)
{
    GuestSection *section = g_new0(GuestSection, 1);

    section->kind = kind;
    section->name = g_strdup(name);
    section->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    section->verbatim = g_ptr_array_new_with_free_func(g_free);
    return section;
}

static void
section_free(gpointer data)
{
    GuestSection *section = data;

    if (section != NULL) {
        g_free(section->name);
        g_hash_table_unref(section->values);
        if (section->encoded != NULL) {
            g_string_free(section->encoded, TRUE);
        }
        g_ptr_array_unref(section->verbatim);
        g_free(section);
    }
}

void
guest_config_free(GuestConfig *config)
{
    if (config != NULL) {
        section_free(config->main);
        section_free(config->pending);
        g_hash_table_unref(config->deletions);
        g_hash_table_unref(config->special);
        g_hash_table_unref(config->snapshots);
        g_ptr_array_unref(config->unknown);
        g_ptr_array_unref(config->warnings);
        g_free(config);
    }
}

/* ------------------------------------------------------------------ reading */

static void
warn(GuestConfig *config, int line, const char *format, const char *detail)
{
    g_autofree char *text = g_strdup_printf(format, detail);

    g_ptr_array_add(config->warnings, g_strdup_printf("line %d: %s", line, text));
}

static bool
is_snapshot_name(const char *name)
{
    return q_matches("[A-Za-z][A-Za-z0-9_-]+", name) && g_ascii_strcasecmp(name, "pending") != 0;
}

/* Puts @section in @table; one of that name that is there already loses. */
static GuestSection *
replace_section(GuestConfig *config, GHashTable *table, SectionKind kind, const char *name,
                int line)
{
    GuestSection *section = section_new(kind, name);

    if (g_hash_table_contains(table, name)) {
        warn(config, line, "section [%s] is there twice, the second one counts", name);
    }
    g_hash_table_insert(table, g_strdup(name), section);
    return section;
}

static GuestSection *
open_section(GuestConfig *config, const char *line, int number)
{
    const char *close = strrchr(line, ']');
    g_autofree char *name =
        close != NULL ? g_strndup(line + 1, close - line - 1) : g_strdup(line + 1);

    if (close != NULL && close[1] == '\0') {
        if (g_ascii_strcasecmp(name, "PENDING") == 0) {
            if (!guest_section_is_empty(config->pending)
                || g_hash_table_size(config->deletions) > 0) {
                warn(config, number, "section [%s] is there twice, the second one counts", name);
                g_hash_table_remove_all(config->deletions);
                section_free(config->pending);
                config->pending = section_new(SECTION_PENDING, "PENDING");
            }
            return config->pending;
        }
        if (strcmp(name, CLOUDINIT) == 0 || strcmp(name, "special:fleecing") == 0) {
            return replace_section(config, config->special, SECTION_SPECIAL, name, number);
        }
        if (is_snapshot_name(name)) {
            return replace_section(config, config->snapshots, SECTION_SNAPSHOT, name, number);
        }
    }
    warn(config, number, "'%s' begins no section that is known here; it is kept as it is", line);
    GuestSection *unknown = section_new(SECTION_UNKNOWN, line);
    g_ptr_array_add(config->unknown, unknown);
    return unknown;
}

static void
parse_deletions(GuestConfig *config, const char *value)
{
    g_auto(GStrv) parts = g_strsplit_set(value, ",; \t", -1);

    for (int i = 0; parts[i] != NULL; i++) {
        bool force = parts[i][0] == '!';

        if (parts[i][force] != '\0') {
            g_hash_table_insert(config->deletions, g_strdup(parts[i] + force),
                                force ? g_strdup("!") : NULL);
        }
    }
}

static void
append_description(GuestSection *section, const char *encoded)
{
    if (section->encoded == NULL) {
        section->encoded = g_string_new(encoded);
    } else {
        g_string_append_printf(section->encoded, "\n%s", encoded);
    }
    g_autofree char *text = guest_decode_text(section->encoded->str);
    g_hash_table_insert(section->values, g_strdup("description"), g_strdup(g_strchomp(text)));
}

/* What older files write differently. */
static char *
modernize(char **key, const char *value)
{
    const GuestKey *row;

    if (strcmp(*key, "cdrom") == 0) {
        g_free(*key);
        *key = g_strdup("ide2");
    } else if (strcmp(*key, "smp") == 0) {
        g_free(*key);
        *key = g_strdup("sockets");
    }
    row = guest_key_find(*key, NULL);
    if (row != NULL && guest_key_is_disk(row) && strpbrk(value, ":/") == NULL) {
        size_t file = strcspn(value, ",");
        g_autofree char *name = g_strndup(value, file);

        if (strchr(name, '=') == NULL && !q_is_word_of("none cdrom", name) && *name != '\0') {
            return g_strdup_printf("local:%s", value);
        }
    }
    size_t length = strlen(value);
    if (row != NULL && row->type == GUEST_STRING && strcmp(row->name, "args") != 0 && length >= 2
        && value[0] == '"' && value[length - 1] == '"') {
        return g_strndup(value + 1, length - 2);
    }
    return g_strdup(value);
}

static void
parse_value(GuestConfig *config, GuestSection *section, const char *line, char *key,
            const char *raw, int number)
{
    g_autofree char *name = key;
    bool was_smp = strcmp(key, "smp") == 0;
    g_autofree char *value = modernize(&name, raw);
    const GuestKey *row = guest_key_find(name, NULL);
    g_autoptr(GError) error = NULL;

    if (section->kind == SECTION_PENDING && strcmp(name, "delete") == 0) {
        parse_deletions(config, value);
        return;
    }
    if (strcmp(name, "description") == 0) {
        g_autofree char *encoded = guest_encode_text(value);
        append_description(section, encoded);
        return;
    }
    char *kept = row == NULL || section->kind == SECTION_SPECIAL
                     ? g_strdup(value)
                     : guest_key_check(row, value, Q_PROPERTY_LENIENT, &error);
    if (kept == NULL) {
        g_ptr_array_add(config->warnings,
                        g_strdup_printf("line %d: %s: %s", number, name, error->message));
        g_ptr_array_add(section->verbatim, g_strdup(line));
        return;
    }
    if (was_smp) {
        g_hash_table_remove(section->values, "cores");
    }
    g_hash_table_insert(section->values, g_strdup(name), kept);
}

/* "KEY: VALUE"; the key alone on the left. Returns (transfer full) the key, or NULL. */
static char *
split_key(const char *line, const char **value)
{
    const char *colon = strchr(line, ':');

    if (colon == NULL) {
        return NULL;
    }
    g_autofree char *key = g_strndup(line, colon - line);
    if (!q_matches("[a-z][a-zA-Z_-]*\\d*", key)) {
        return NULL;
    }
    *value = colon + 1;
    while (g_ascii_isspace(**value)) {
        (*value)++;
    }
    return (**value != '\0' || strcmp(key, "boot") == 0) ? g_steal_pointer(&key) : NULL;
}

static void
parse_line(GuestConfig *config, GuestSection *section, char *line, int number)
{
    const char *value;

    if (section->kind == SECTION_UNKNOWN) {
        g_ptr_array_add(section->verbatim, g_strdup(line));
        return;
    }
    if (*line == '#') {
        append_description(section, line + 1);
        return;
    }
    char *key = split_key(line, &value);
    if (key == NULL) {
        warn(config, number, "'%s' is no 'KEY: VALUE'; the line is kept as it is", line);
        g_ptr_array_add(section->verbatim, g_strdup(line));
        return;
    }
    parse_value(config, section, line, key, value, number);
}

GuestConfig *
guest_config_parse(const char *text)
{
    GuestConfig *config = g_new0(GuestConfig, 1);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    config->main = section_new(SECTION_MAIN, "");
    config->pending = section_new(SECTION_PENDING, "PENDING");
    config->deletions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    config->special = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, section_free);
    config->snapshots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, section_free);
    config->unknown = g_ptr_array_new_with_free_func(section_free);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    GuestSection *section = config->main;
    for (int i = 0; lines[i] != NULL; i++) {
        char *line = g_strchomp(lines[i]);

        if (*line == '[') {
            section = open_section(config, line, i + 1);
        } else if (*line != '\0') {
            parse_line(config, section, line, i + 1);
        }
    }
    return config;
}

/* ------------------------------------------------------------------ writing */

static void
write_description(const GuestSection *section, GString *out)
{
    const char *text = guest_get(section, "description");

    if (text == NULL) {
        return;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (int i = 0; lines[i] != NULL; i++) {
        g_autofree char *encoded = guest_encode_text(lines[i]);
        g_string_append_printf(out, "#%s\n", encoded);
    }
    if (lines[0] == NULL) {
        g_string_append(out, "#\n"); /* a description that is there, but empty */
    }
}

static void
write_values(const GuestSection *section, GString *out)
{
    g_autoptr(GPtrArray) keys = q_sorted_keys(section->values);

    for (guint i = 0; i < keys->len; i++) {
        const char *key = keys->pdata[i];

        if (strcmp(key, "description") != 0) {
            g_string_append_printf(out, "%s: %s\n", key,
                                   (char *)g_hash_table_lookup(section->values, key));
        }
    }
    for (guint i = 0; i < section->verbatim->len; i++) {
        g_string_append_printf(out, "%s\n", (char *)section->verbatim->pdata[i]);
    }
}

static void
write_section(const GuestSection *section, GString *out)
{
    write_description(section, out);
    write_values(section, out);
}

static void
write_pending(const GuestConfig *config, GString *out)
{
    g_autoptr(GPtrArray) keys = q_sorted_keys(config->deletions);

    if (guest_section_is_empty(config->pending) && keys->len == 0) {
        return;
    }
    g_string_append(out, "\n[PENDING]\n");
    write_description(config->pending, out);
    if (keys->len > 0) {
        g_string_append(out, "delete: ");
        for (guint i = 0; i < keys->len; i++) {
            const char *force = g_hash_table_lookup(config->deletions, keys->pdata[i]);
            g_string_append_printf(out, "%s%s%s", i > 0 ? "," : "", force != NULL ? force : "",
                                   (char *)keys->pdata[i]);
        }
        g_string_append_c(out, '\n');
    }
    write_values(config->pending, out);
}

static bool
has_cloudinit_drive(const GuestSection *section)
{
    g_autoptr(GPtrArray) keys = q_sorted_keys(section->values);

    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *row = guest_key_find(keys->pdata[i], NULL);
        const char *value = g_hash_table_lookup(section->values, keys->pdata[i]);

        if (row != NULL && guest_key_is_disk(row)
            && g_regex_match_simple("vm-\\d+-cloudinit", value, 0, 0)) {
            return true;
        }
    }
    return false;
}

/* Volumes that are in use again are not unused any more. */
static void
drop_used_unused(const GuestSection *section)
{
    g_autoptr(GPtrArray) keys = q_sorted_keys(section->values);
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *row = guest_key_find(keys->pdata[i], NULL);
        g_autoptr(QPropertyString) drive =
            row != NULL && row->properties != NULL && row->properties != guest_unused_rows
                ? guest_get_properties(section, keys->pdata[i], NULL)
                : NULL;
        const char *file = drive != NULL ? q_property_get(drive, "file", NULL) : NULL;

        if (file != NULL) {
            g_hash_table_add(used, g_strdup(file));
        }
    }
    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *row = guest_key_find(keys->pdata[i], NULL);
        g_autoptr(QPropertyString) unused =
            row != NULL && row->properties == guest_unused_rows
                ? guest_get_properties(section, keys->pdata[i], NULL)
                : NULL;

        if (unused != NULL && g_hash_table_contains(used, q_property_get(unused, "file", ""))) {
            g_hash_table_remove(section->values, keys->pdata[i]);
        }
    }
}

static void
write_named(GHashTable *table, GString *out, bool cloudinit)
{
    g_autoptr(GPtrArray) names = q_sorted_keys(table);

    for (guint i = 0; i < names->len; i++) {
        const GuestSection *section = g_hash_table_lookup(table, names->pdata[i]);

        if (cloudinit || strcmp(names->pdata[i], CLOUDINIT) != 0) {
            g_string_append_printf(out, "\n[%s]\n", (char *)names->pdata[i]);
            write_section(section, out);
        }
    }
}

char *
guest_config_text(const GuestConfig *config)
{
    GString *out = g_string_new(NULL);

    drop_used_unused(config->main);
    write_section(config->main, out);
    write_pending(config, out);
    write_named(config->special, out, has_cloudinit_drive(config->main));
    write_named(config->snapshots, out, true);
    for (guint i = 0; i < config->unknown->len; i++) {
        const GuestSection *section = config->unknown->pdata[i];

        g_string_append_printf(out, "\n%s\n", section->name);
        write_section(section, out);
    }
    return g_string_free(out, FALSE);
}

/* ------------------------------------------------------------------ access */

GPtrArray *
guest_config_warnings(const GuestConfig *config)
{
    return config->warnings;
}

GuestSection *
guest_config_main(const GuestConfig *config)
{
    return config->main;
}

GuestSection *
guest_config_pending(const GuestConfig *config)
{
    return config->pending;
}

GHashTable *
guest_deletions(const GuestConfig *config)
{
    return config->deletions;
}

GPtrArray *
guest_config_snapshots(const GuestConfig *config)
{
    return q_sorted_keys(config->snapshots);
}

GuestSection *
guest_config_snapshot(const GuestConfig *config, const char *name)
{
    return g_hash_table_lookup(config->snapshots, name);
}

bool
guest_section_is_empty(const GuestSection *section)
{
    return g_hash_table_size(section->values) == 0 && section->verbatim->len == 0;
}

const char *
guest_get(const GuestSection *section, const char *key)
{
    return g_hash_table_lookup(section->values, key);
}

bool
guest_get_bool(const GuestSection *section, const char *key, bool fallback)
{
    const char *value = guest_get(section, key);
    bool yes = fallback;

    if (value != NULL) {
        q_parse_bool(value, &yes);
    }
    return yes;
}

int64_t
guest_get_int(const GuestSection *section, const char *key, int64_t fallback)
{
    const char *value = guest_get(section, key);
    gint64 number;

    return value != NULL
                   && g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &number, NULL)
               ? number
               : fallback;
}

void
guest_set(GuestSection *section, const char *key, const char *value)
{
    /* A line of this key that could not be read is now replaced, or removed, by its user. */
    for (guint i = section->verbatim->len; i-- > 0;) {
        g_autofree char *prefix = g_strconcat(key, ":", NULL);

        if (g_str_has_prefix(section->verbatim->pdata[i], prefix)) {
            g_ptr_array_remove_index(section->verbatim, i);
        }
    }
    if (value != NULL) {
        g_hash_table_insert(section->values, g_strdup(key), g_strdup(value));
    } else {
        g_hash_table_remove(section->values, key);
    }
}

GPtrArray *
guest_section_keys(const GuestSection *section)
{
    return q_sorted_keys(section->values);
}

QPropertyString *
guest_get_properties(const GuestSection *section, const char *key, GError **error)
{
    const GuestKey *row = guest_key_find(key, NULL);
    const char *value = guest_get(section, key);
    QPropertyString *string;

    if (value == NULL || row == NULL || row->properties == NULL) {
        return NULL;
    }
    string = q_property_string_parse(row->properties, value, Q_PROPERTY_LENIENT, error);
    if (string == NULL) {
        q_prefix_error(error, "%s: ", key);
    }
    return string;
}

int64_t
guest_config_memory_mib(const GuestSection *section)
{
    g_autoptr(QPropertyString) memory = guest_get_properties(section, "memory", NULL);

    return memory != NULL ? q_property_int(memory, "current", 512) : 512;
}

int
guest_config_cpus(const GuestSection *section)
{
    int64_t all = CLAMP(guest_get_int(section, "sockets", 1), 1, 64)
                  * CLAMP(guest_get_int(section, "cores", 1), 1, 8192);
    int64_t plugged = guest_get_int(section, "vcpus", 0);

    return plugged > 0 ? MIN(plugged, all) : all;
}

char *
guest_config_name(const GuestSection *section, uint32_t vmid)
{
    const char *name = guest_get(section, "name");

    return name != NULL ? g_strdup(name) : g_strdup_printf("VM %u", vmid);
}
