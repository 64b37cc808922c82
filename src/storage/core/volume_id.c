#include "storage/core/volume_id.h"
#include <string.h>
#include "base/property_string.h"

struct VolumeId {
    char *storage;
    char *name;
};

bool
storage_id_is_valid(const char *id)
{
    return q_matches("[A-Za-z][A-Za-z0-9\\-_.]*[A-Za-z0-9]", id);
}

VolumeId *
volume_id_parse(const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0') {
        q_set_error(error, Q_ERROR_INVALID,
                    "unable to parse volume ID '%s': expected STORAGE:VOLUME", text);
        return NULL;
    }
    g_autoptr(VolumeId) id = g_new0(VolumeId, 1);
    id->storage = g_strndup(text, colon - text);
    id->name = g_strdup(colon + 1);
    if (!storage_id_is_valid(id->storage)) {
        q_set_error(error, Q_ERROR_INVALID, "unable to parse volume ID '%s': bad storage '%s'",
                    text, id->storage);
        return NULL;
    }
    for (const char *c = id->name; *c != '\0'; c++) {
        if (g_ascii_iscntrl(*c) || *c == ',') {
            q_set_error(error, Q_ERROR_INVALID, "unable to parse volume ID '%s'", text);
            return NULL;
        }
    }
    return g_steal_pointer(&id);
}

const char *
volume_id_storage(const VolumeId *id)
{
    return id->storage;
}

const char *
volume_id_name(const VolumeId *id)
{
    return id->name;
}

void
volume_id_free(VolumeId *id)
{
    if (id != NULL) {
        g_free(id->storage);
        g_free(id->name);
        g_free(id);
    }
}

/* ------------------------------------------------------------------ names in folders */

#define IMAGE_NAME "[^/\\s]+\\.(raw|qcow2|vmdk|subvol)"

/* The folder of each content, and the file names that belong there. */
/* clang-format off */
static const struct {
    const char *content, *folder, *pattern;
} kinds[] = {
    { "images",   "images",         NULL },
    { "iso",      "template/iso",   "[^/]+\\.([Ii][Ss][Oo]|[Ii][Mm][Gg])" },
    { "vztmpl",   "template/cache", "[^/]+\\.(tar(?:\\.(?:gz|xz|zst|bz2))?)" },
    { "backup",   "dump",           "[^/]+\\.(tgz|(?:tar|vma)(?:\\.(?:gz|lzo|zst|bz2))?)" },
    { "snippets", "snippets",       "([^/]+)" },
    { "import",   "import",         "[ A-Za-z0-9\\-.+=_]+\\.(ova|ovf|qcow2|raw|vmdk)" },
    { "rootdir",  "private",        "(\\d+)" },
};
/* clang-format on */

const char *const file_contents[] = { "images",   "iso",    "vztmpl",  "backup",
                                      "snippets", "import", "rootdir", NULL };

const char *
file_content_folder(const char *content)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].content, content) == 0) {
            return kinds[i].folder;
        }
    }
    return NULL;
}

void
file_volume_clear(FileVolume *volume)
{
    g_clear_pointer(&volume->format, g_free);
    g_clear_pointer(&volume->relative, g_free);
    g_clear_pointer(&volume->base, g_free);
}

static GMatchInfo *
match(const char *pattern, const char *text)
{
    g_autoptr(GRegex) regex =
        g_regex_new(pattern, G_REGEX_ANCHORED | G_REGEX_DOLLAR_ENDONLY, 0, NULL);
    GMatchInfo *info = NULL;

    g_assert(regex != NULL);
    if (!g_regex_match(regex, text, 0, &info)) {
        g_clear_pointer(&info, g_match_info_unref);
    }
    return info;
}

static char *
group(GMatchInfo *info, int number)
{
    char *text = g_match_info_fetch(info, number);

    if (text != NULL && *text == '\0') {
        g_clear_pointer(&text, g_free);
    }
    return text;
}

/* "100/vm-100-disk-0.qcow2", "100/base-100-disk-0.raw/101/vm-101-disk-0.qcow2" */
static bool
parse_image(const char *name, FileVolume *volume)
{
    g_autoptr(GMatchInfo) info = match("(?:(\\d+/base-[^/\\s]+)/)?(\\d+)/(" IMAGE_NAME ")$", name);
    guint64 vmid;

    if (info == NULL) {
        return false;
    }
    g_autofree char *base = group(info, 1);
    g_autofree char *owner = group(info, 2);
    g_autofree char *file = group(info, 3);
    if (!g_ascii_string_to_unsigned(owner, 10, 100, 999999999, &vmid, NULL)
        || q_matches("snap-.*\\.qcow2", file) || owner[0] == '0') {
        return false;
    }
    volume->content = "images";
    volume->vmid = vmid;
    volume->format = group(info, 4);
    volume->relative = g_strdup_printf("images/%s/%s", owner, file);
    volume->base = g_steal_pointer(&base);
    volume->is_base = g_str_has_prefix(file, "base-");
    return true;
}

/* "iso/debian.iso"; the word before the slash names the content. */
static bool
parse_file(const char *name, FileVolume *volume)
{
    const char *slash = strchr(name, '/');

    for (size_t i = 1; slash != NULL && i < G_N_ELEMENTS(kinds); i++) {
        const char *content = kinds[i].content;

        if (strlen(content) != (size_t)(slash - name)
            || strncmp(content, name, slash - name) != 0) {
            continue;
        }
        g_autofree char *pattern = g_strdup_printf("%s$", kinds[i].pattern);
        g_autoptr(GMatchInfo) info = match(pattern, slash + 1);
        if (info == NULL) {
            return false;
        }
        volume->content = content;
        g_autofree char *extension = group(info, 1);
        volume->format = q_is_word_of("iso vztmpl backup import", content)
                             ? g_ascii_strdown(extension, -1)
                             : g_strdup(strcmp(content, "rootdir") == 0 ? "subvol" : content);
        volume->relative = g_strdup_printf("%s/%s", kinds[i].folder, slash + 1);
        g_autoptr(GMatchInfo) owner = match("backup/vzdump-(?:qemu|lxc)-(\\d+)-", name);
        g_autofree char *digits = owner != NULL ? group(owner, 1) : NULL;
        volume->vmid = digits != NULL ? g_ascii_strtoull(digits, NULL, 10) : 0;
        return true;
    }
    return false;
}

bool
file_volume_parse(const char *name, FileVolume *volume, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);
    bool climbs = g_strv_contains((const char *const *)parts, "..")
                  || g_strv_contains((const char *const *)parts, ".");
    FileVolume parsed = { 0 };

    if (climbs || !(parse_image(name, &parsed) || parse_file(name, &parsed))) {
        file_volume_clear(&parsed);
        return q_set_error(error, Q_ERROR_INVALID, "unable to parse directory volume name '%s'",
                           name);
    }
    *volume = parsed;
    return true;
}

char *
file_volume_of_file(const char *content, uint32_t vmid, const char *file)
{
    g_autofree char *name = strcmp(content, "images") == 0
                                ? g_strdup_printf("%u/%s", vmid, file)
                                : g_strdup_printf("%s/%s", content, file);
    g_auto(FileVolume) volume = { 0 };

    return file[0] != '.' && file_volume_parse(name, &volume, NULL) ? g_steal_pointer(&name) : NULL;
}
