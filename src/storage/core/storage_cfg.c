#include "storage/core/storage_cfg.h"
#include <string.h>
#include "base/sorted.h"
#include "storage/core/volume_id.h"

#define FILE_TYPES "dir nfs cifs btrfs"
#define PATHS "/[-/a-zA-Z0-9_.@]*"
#define SERVER "[A-Za-z0-9]([A-Za-z0-9.\\-:]*[A-Za-z0-9])?"
#define NAME "[A-Za-z][A-Za-z0-9\\-_.]*[A-Za-z0-9]"
#define NODE_LIST                                                                                  \
    "[a-zA-Z0-9]([a-zA-Z0-9\\-]*[a-zA-Z0-9])?([,; ]+[a-zA-Z0-9]([a-zA-Z0-9\\-]*[a-zA-Z0-9])?)*"

struct StorageConfig {
    QSectionConfig *sections;
    QSectionConfig *builtin; /* `local`, where the file has none that may be it */
    GPtrArray *warnings;
};

const char *const storage_types[] = { "dir",         "btrfs", "nfs", "cifs",    "cephfs",
                                      "zfspool",     "zfs",   "lvm", "lvmthin", "iscsi",
                                      "iscsidirect", "rbd",   "pbs", "esxi",    NULL };

/* clang-format off */
const StorageKey storage_keys[] = {
    /* name            type            fixed in                  optional in */
    { "base",          STORAGE_STRING, NULL,                     "lvm", .doc = "Volume on which the group is made." },
    { "blocksize",     STORAGE_STRING, "zfs",                    "zfspool", .pattern = "\\d+[kKmM]?", .doc = "Block size." },
    { "bwlimit",       STORAGE_STRING, NULL,                     "*", .pattern = "((default|restore|migration|clone|move)=\\d+(\\.\\d+)?)(,(default|restore|migration|clone|move)=\\d+(\\.\\d+)?)*", .doc = "Limits in KiB/s." },
    { "comment",       STORAGE_STRING, NULL,                     "*", .doc = "Text for people." },
    { "content",       STORAGE_STRING, NULL,                     "*", .pattern = "(images|rootdir|vztmpl|iso|backup|snippets|import|none)([,; ]+(images|rootdir|vztmpl|iso|backup|snippets|import))*", .doc = "What may be kept there." },
    { "content-dirs",  STORAGE_STRING, NULL,                     "dir nfs cifs cephfs", .doc = "Folders of each content." },
    { "create-base-path", STORAGE_BOOL, NULL,                    FILE_TYPES, .doc = "Make the folder if it is missing." },
    { "create-subdirs", STORAGE_BOOL,  NULL,                     FILE_TYPES, .doc = "Make the folders of the contents." },
    { "data-pool",     STORAGE_STRING, NULL,                     "rbd", .doc = "Pool for data." },
    { "datastore",     STORAGE_STRING, "pbs",                    NULL, .doc = "Datastore." },
    { "disable",       STORAGE_BOOL,   NULL,                     "*", .doc = "Not in use." },
    { "domain",        STORAGE_STRING, NULL,                     "cifs", .doc = "Domain." },
    { "export",        STORAGE_STRING, "nfs",                    NULL, .pattern = "/[^ ;()]*", .doc = "Exported folder." },
    { "fingerprint",   STORAGE_STRING, NULL,                     "pbs esxi", .doc = "Fingerprint of the server's certificate." },
    { "format",        STORAGE_STRING, NULL,                     FILE_TYPES " lvm", .words = "raw qcow2 vmdk subvol", .doc = "Default format of images." },
    { "fs-name",       STORAGE_STRING, NULL,                     "cephfs", .doc = "File system." },
    { "fuse",          STORAGE_BOOL,   NULL,                     "cephfs", .doc = "Mount by FUSE." },
    { "is_mountpoint", STORAGE_STRING, NULL,                     "dir btrfs", .pattern = "yes|no|1|0|on|off|true|false|/.*", .doc = "The path, or this one, must be mounted." },
    { "iscsiprovider", STORAGE_STRING, "zfs",                    NULL, .words = "comstar istgt iet LIO", .doc = "iSCSI provider." },
    { "keyring",       STORAGE_STRING, NULL,                     "rbd cephfs", .doc = "Client keyring." },
    { "krbd",          STORAGE_BOOL,   NULL,                     "rbd", .doc = "Through the kernel." },
    { "max-protected-backups", STORAGE_INT, NULL,                FILE_TYPES " pbs cephfs", .min = -1, .max = 1e9, .doc = "Protected backups of a guest; -1: no limit." },
    { "mkdir",         STORAGE_BOOL,   NULL,                     FILE_TYPES, .doc = "Old: both create options." },
    { "monhost",       STORAGE_STRING, NULL,                     "rbd cephfs", .doc = "Monitors." },
    { "mountpoint",    STORAGE_STRING, NULL,                     "zfspool", .pattern = PATHS, .doc = "Mount point." },
    { "namespace",     STORAGE_STRING, NULL,                     "rbd pbs", .doc = "Namespace." },
    { "nocow",         STORAGE_BOOL,   NULL,                     "btrfs", .doc = "No copy on write." },
    { "nodes",         STORAGE_STRING, NULL,                     "*", .pattern = NODE_LIST, .doc = "Nodes that have it; absent: all." },
    { "nowritecache",  STORAGE_BOOL,   NULL,                     "zfs", .doc = "No write cache on the target." },
    { "options",       STORAGE_STRING, NULL,                     "nfs cifs cephfs", .pattern = "\\S+", .doc = "Mount options." },
    { "path",          STORAGE_STRING, "dir btrfs nfs cifs cephfs", NULL, .pattern = PATHS, .doc = "Folder." },
    { "pool",          STORAGE_STRING, "zfspool zfs",            "rbd", .doc = "Pool." },
    { "port",          STORAGE_INT,    NULL,                     "pbs esxi", .min = 1, .max = 65535, .doc = "Port." },
    { "portal",        STORAGE_STRING, "iscsi iscsidirect zfs",  NULL, .doc = "iSCSI portal." },
    { "preallocation", STORAGE_STRING, NULL,                     "dir nfs cifs btrfs", .words = "off metadata falloc full", .doc = "Preallocation of images." },
    { "prune-backups", STORAGE_STRING, NULL,                     "dir nfs cifs cephfs btrfs pbs", .doc = "Which backups are kept." },
    { "saferemove",    STORAGE_BOOL,   NULL,                     "lvm", .doc = "Zero removed volumes." },
    { "saferemove-stepsize", STORAGE_STRING, NULL,               "lvm", .words = "1 2 4 8 16 32", .doc = "MiB a step." },
    { "saferemove_throughput", STORAGE_STRING, NULL,             "lvm", .doc = "Throughput of zeroing." },
    { "server",        STORAGE_STRING, "nfs cifs pbs esxi",      NULL, .pattern = SERVER, .doc = "Server." },
    { "share",         STORAGE_STRING, "cifs",                   NULL, .doc = "Share." },
    { "shared",        STORAGE_BOOL,   NULL,                     "dir btrfs lvm esxi", .doc = "The same content on all nodes." },
    { "skip-cert-verification", STORAGE_BOOL, NULL,              "esxi", .doc = "Do not check the certificate." },
    { "smbversion",    STORAGE_STRING, NULL,                     "cifs", .words = "default 2.0 2.1 3 3.0 3.11", .doc = "SMB version." },
    { "snapshot-as-volume-chain", STORAGE_BOOL, NULL,            "dir nfs cifs lvm", .doc = "Snapshots as chains of volumes." },
    { "sparse",        STORAGE_BOOL,   NULL,                     "zfspool zfs", .doc = "Sparse volumes." },
    { "subdir",        STORAGE_STRING, NULL,                     "cifs cephfs", .doc = "Folder in the share." },
    { "tagged_only",   STORAGE_BOOL,   NULL,                     "lvm", .doc = "Only volumes with a tag of ours." },
    { "target",        STORAGE_STRING, "iscsi iscsidirect zfs",  NULL, .doc = "iSCSI target." },
    { "thinpool",      STORAGE_STRING, "lvmthin",                NULL, .pattern = NAME, .doc = "Thin pool." },
    { "username",      STORAGE_STRING, NULL,                     "cifs rbd cephfs pbs esxi", .doc = "User." },
    { "vgname",        STORAGE_STRING, "lvm lvmthin",            NULL, .pattern = NAME, .doc = "Volume group." },
    { NULL },
};

/* What each type holds: all it can, and what it does unless told. */
static const struct {
    const char *type, *contents, *standard, *formats; /* formats: the default one first */
    bool always_shared;
} types[] = {
    { "dir",         "images rootdir vztmpl iso backup snippets import none", "images,rootdir", "raw qcow2 vmdk subvol", false },
    { "btrfs",       "images rootdir vztmpl iso backup snippets import none", "images,rootdir", "raw subvol", false },
    { "nfs",         "images rootdir vztmpl iso backup snippets import", "images", "raw qcow2 vmdk", true },
    { "cifs",        "images rootdir vztmpl iso backup snippets import", "images", "raw qcow2 vmdk", true },
    { "cephfs",      "vztmpl iso backup snippets import", "backup", "", true },
    { "zfspool",     "images rootdir", "images,rootdir", "raw subvol", false },
    { "zfs",         "images", "images", "raw", true },
    { "lvm",         "images rootdir", "images", "raw qcow2", false },
    { "lvmthin",     "images rootdir", "images,rootdir", "raw", false },
    { "iscsi",       "images none", "images", "raw", true },
    { "iscsidirect", "images none", "images", "raw", true },
    { "rbd",         "images rootdir", "images", "raw", true },
    { "pbs",         "backup", "backup", "", true },
    { "esxi",        "import", "import", "", false },
};
/* clang-format on */

static int
find_type(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (strcmp(types[i].type, type) == 0) {
            return i;
        }
    }
    return -1;
}

const StorageKey *
storage_key_find(const char *name)
{
    for (const StorageKey *key = storage_keys; key->name != NULL; key++) {
        if (strcmp(key->name, name) == 0) {
            return key;
        }
    }
    return NULL;
}

static bool
is_fixed(const StorageKey *key, const char *type)
{
    return key->fixed != NULL && q_is_word_of(key->fixed, type);
}

static bool
takes(const StorageKey *key, const char *type)
{
    return is_fixed(key, type)
           || (key->optional != NULL
               && (strcmp(key->optional, "*") == 0 || q_is_word_of(key->optional, type)));
}

/* ------------------------------------------------------------------ reading */

static void
warn(StorageConfig *config, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(config->warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

static void
check_section(StorageConfig *config, const QSection *section)
{
    const char *id = q_section_id(section), *type = q_section_type(section);
    g_autoptr(GPtrArray) keys = q_section_keys(section);

    if (find_type(type) < 0) {
        warn(config, "storage '%s': the type '%s' is not known here; the section is kept as it is",
             id, type);
        return;
    }
    if (!storage_id_is_valid(id)) {
        warn(config, "'%s' is no valid storage id", id);
    }
    for (guint i = 0; i < keys->len; i++) {
        const StorageKey *key = storage_key_find(keys->pdata[i]);

        if (key == NULL || !takes(key, type)) {
            warn(config, "storage '%s': key '%s' is not known for type '%s'; it is kept as it is",
                 id, (char *)keys->pdata[i], type);
        }
    }
    for (const StorageKey *key = storage_keys; key->name != NULL; key++) {
        if (is_fixed(key, type) && q_section_get(section, key->name, NULL) == NULL) {
            warn(config, "storage '%s': '%s' is missing", id, key->name);
        }
    }
}

/* `local` is the node's own folder whatever the file says, or fails to say. */
static void
ensure_local(StorageConfig *config)
{
    QSection *local = q_section_config_find(config->sections, "local");

    if (local != NULL && strcmp(q_section_type(local), "dir") == 0
        && strcmp(q_section_get(local, "path", ""), "/var/lib/vz") == 0) {
        return;
    }
    config->builtin = q_section_config_parse(NULL);
    QSection *own = q_section_config_add(config->builtin, "dir", "local", NULL);
    q_section_set(own, "path", "/var/lib/vz");
    q_section_set(own, "content", "images,rootdir,vztmpl,iso,backup,snippets");
    q_section_set(own, "prune-backups", "keep-all=1");
}

StorageConfig *
storage_config_parse(const char *text)
{
    StorageConfig *config = g_new0(StorageConfig, 1);

    config->sections = q_section_config_parse(text);
    config->warnings = g_ptr_array_new_with_free_func(g_free);
    GPtrArray *told = q_section_config_warnings(config->sections);
    for (guint i = 0; i < told->len; i++) {
        warn(config, "%s", (char *)told->pdata[i]);
    }
    GPtrArray *sections = q_section_config_sections(config->sections);
    for (guint i = 0; i < sections->len; i++) {
        check_section(config, sections->pdata[i]);
    }
    ensure_local(config);
    return config;
}

void
storage_config_free(StorageConfig *config)
{
    if (config != NULL) {
        q_section_config_free(config->sections);
        q_section_config_free(config->builtin);
        g_ptr_array_unref(config->warnings);
        g_free(config);
    }
}

char *
storage_config_text(const StorageConfig *config)
{
    return q_section_config_text(config->sections);
}

GPtrArray *
storage_config_warnings(const StorageConfig *config)
{
    return config->warnings;
}

GPtrArray *
storage_config_ids(const StorageConfig *config)
{
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
    GPtrArray *sections = q_section_config_sections(config->sections);

    for (guint i = 0; i < sections->len; i++) {
        g_hash_table_add(ids, (gpointer)q_section_id(sections->pdata[i]));
    }
    if (config->builtin != NULL) {
        g_hash_table_add(ids, (gpointer) "local");
    }
    return q_sorted_keys(ids);
}

const QSection *
storage_config_find(const StorageConfig *config, const char *id, GError **error)
{
    const QSection *section =
        config->builtin != NULL ? q_section_config_find(config->builtin, id) : NULL;

    if (section == NULL) {
        section = q_section_config_find(config->sections, id);
    }
    if (section == NULL) {
        q_set_error(error, Q_ERROR_NOT_FOUND, "storage '%s' does not exist", id);
    }
    return section;
}

/* ------------------------------------------------------------------ changing */

static bool
blame_key(char **blame, const char *key)
{
    if (blame != NULL) {
        *blame = g_strdup(key);
    }
    return false;
}

static char *
check_value(const char *type, const StorageKey *key, const char *value, GError **error)
{
    gint64 number;
    bool yes;

    if (strpbrk(value, "\n\r") != NULL || *value == '\0') {
        q_set_error(error, Q_ERROR_INVALID, "the value must be one line of text");
        return NULL;
    }
    if (key->type == STORAGE_BOOL) {
        if (!q_parse_bool(value, &yes)) {
            q_set_error(error, Q_ERROR_INVALID, "type check ('boolean') failed - got '%s'", value);
            return NULL;
        }
        return g_strdup(yes ? "1" : "0");
    }
    if (key->type == STORAGE_INT
        && !g_ascii_string_to_signed(value, 10, (gint64)key->min, (gint64)key->max, &number,
                                     NULL)) {
        q_set_error(error, Q_ERROR_INVALID, "'%s' is no number from %.0f to %.0f", value, key->min,
                    key->max);
        return NULL;
    }
    if (key->words != NULL && !q_is_word_of(key->words, value)) {
        q_set_error(error, Q_ERROR_INVALID,
                    "value '%s' does not have a value in the enumeration '%s'", value, key->words);
        return NULL;
    }
    if (key->pattern != NULL && !q_matches(key->pattern, value)) {
        q_set_error(error, Q_ERROR_INVALID, "value does not match the regex pattern: '%s'", value);
        return NULL;
    }
    if (q_is_word_of("path mountpoint", key->name)
        && g_regex_match_simple("(^|/)\\.\\.(/|$)", value, 0, 0)) {
        q_set_error(error, Q_ERROR_INVALID, "'%s': '..' is not allowed", value);
        return NULL;
    }
    if (strcmp(key->name, "content") == 0) {
        g_auto(GStrv) parts = q_split_list(value);
        for (int i = 0; parts[i] != NULL; i++) {
            if (!q_is_word_of(types[find_type(type)].contents, parts[i])) {
                q_set_error(error, Q_ERROR_INVALID,
                            "storage type '%s' does not support content type '%s'", type, parts[i]);
                return NULL;
            }
        }
        return g_strjoinv(",", parts);
    }
    return g_strdup(value);
}

static bool
set_values(QSection *section, GHashTable *values, bool is_new, char **blame, GError **error)
{
    const char *type = q_section_type(section);
    g_autoptr(GPtrArray) names = q_sorted_keys(values);

    /* Required keys first, so that a new section reads as people know it. */
    for (int required = 1; required >= 0; required--) {
        for (guint i = 0; i < names->len; i++) {
            const StorageKey *key = storage_key_find(names->pdata[i]);
            const char *given = g_hash_table_lookup(values, names->pdata[i]);

            if (key == NULL || !takes(key, type)) {
                q_set_error(error, Q_ERROR_INVALID, "storage type '%s' has no key '%s'", type,
                            (char *)names->pdata[i]);
                return blame_key(blame, names->pdata[i]);
            }
            if (is_fixed(key, type) != (required == 1)) {
                continue;
            }
            g_autofree char *value = check_value(type, key, given, error);
            if (value == NULL) {
                return blame_key(blame, key->name);
            }
            if (!is_new && required
                && g_strcmp0(q_section_get(section, key->name, NULL), value) != 0) {
                q_set_error(error, Q_ERROR_INVALID, "can't change value of fixed parameter '%s'",
                            key->name);
                return blame_key(blame, key->name);
            }
            q_section_set(section, key->name, value);
        }
    }
    return true;
}

bool
storage_config_add(StorageConfig *config, const char *type, const char *id, GHashTable *values,
                   char **blame, GError **error)
{
    if (find_type(type) < 0) {
        q_set_error(error, Q_ERROR_INVALID, "there is no storage type '%s'", type);
        return blame_key(blame, "type");
    }
    if (!storage_id_is_valid(id)) {
        q_set_error(error, Q_ERROR_INVALID,
                    "'%s' is no storage id: a letter, then letters, digits, - _ . and a letter or "
                    "digit at the end",
                    id);
        return blame_key(blame, "storage");
    }
    if (q_section_config_find(config->sections, id) != NULL) {
        return q_set_error(error, Q_ERROR_EXISTS, "storage ID '%s' already defined", id);
    }
    for (const StorageKey *key = storage_keys; key->name != NULL; key++) {
        bool can_default = q_is_word_of("nfs cifs cephfs", type) && strcmp(key->name, "path") == 0;

        if (is_fixed(key, type) && !can_default && !g_hash_table_contains(values, key->name)) {
            q_set_error(error, Q_ERROR_INVALID, "property is missing and it is not optional");
            return blame_key(blame, key->name);
        }
    }
    QSection *section = q_section_config_add(config->sections, type, id, error);
    if (section == NULL) {
        return false;
    }
    if (q_is_word_of("nfs cifs cephfs", type) && !g_hash_table_contains(values, "path")) {
        g_autofree char *path = g_strdup_printf("/mnt/pve/%s", id);
        q_section_set(section, "path", path);
    }
    if (!set_values(section, values, true, blame, error)) {
        q_section_config_remove(config->sections, id);
        return false;
    }
    if (strcmp(id, "local") == 0) {
        g_clear_pointer(&config->builtin, q_section_config_free);
        ensure_local(config);
    }
    return true;
}

bool
storage_config_set(StorageConfig *config, const char *id, GHashTable *values, char **removed,
                   char **blame, GError **error)
{
    QSection *section = q_section_config_find(config->sections, id);

    if (section == NULL && config->builtin != NULL && strcmp(id, "local") == 0) {
        /* The built-in one becomes a section of the file with its first change. */
        g_autoptr(GHashTable) own = g_hash_table_new(g_str_hash, g_str_equal);
        const QSection *builtin = q_section_config_find(config->builtin, "local");
        g_autoptr(GPtrArray) keys = q_section_keys(builtin);

        for (guint i = 0; i < keys->len; i++) {
            g_hash_table_insert(own, keys->pdata[i],
                                (char *)q_section_get(builtin, keys->pdata[i], NULL));
        }
        section = q_section_config_add(config->sections, "dir", "local", error);
        if (section == NULL || !set_values(section, own, true, blame, error)) {
            return false;
        }
    }
    if (section == NULL) {
        return q_set_error(error, Q_ERROR_NOT_FOUND, "storage '%s' does not exist", id);
    }
    if (find_type(q_section_type(section)) < 0) {
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "storage '%s': the type '%s' is not known here", id,
                           q_section_type(section));
    }
    for (int i = 0; removed != NULL && removed[i] != NULL; i++) {
        const StorageKey *key = storage_key_find(removed[i]);

        if (key != NULL && is_fixed(key, q_section_type(section))) {
            q_set_error(error, Q_ERROR_INVALID, "unable to delete required option '%s'",
                        removed[i]);
            return blame_key(blame, "delete");
        }
        q_section_set(section, removed[i], NULL);
    }
    return set_values(section, values, false, blame, error);
}

bool
storage_config_remove(StorageConfig *config, const char *id, GError **error)
{
    GPtrArray *sections = q_section_config_sections(config->sections);

    for (guint i = 0; i < sections->len; i++) {
        const char *base = q_section_get(sections->pdata[i], "base", "");
        g_autofree char *prefix = g_strconcat(id, ":", NULL);

        if (g_str_has_prefix(base, prefix)) {
            return q_set_error(error, Q_ERROR_BUSY,
                               "can't remove storage '%s' - it is the base of '%s'", id,
                               q_section_id(sections->pdata[i]));
        }
    }
    return q_section_config_remove(config->sections, id)
           || q_set_error(error, Q_ERROR_NOT_FOUND, "storage '%s' does not exist", id);
}

/* ------------------------------------------------------------------ one storage */

bool
storage_section_is_disabled(const QSection *section)
{
    return q_section_get_bool(section, "disable", false);
}

bool
storage_section_is_shared(const QSection *section)
{
    int type = find_type(q_section_type(section));

    return (type >= 0 && types[type].always_shared) || q_section_get_bool(section, "shared", false);
}

bool
storage_section_is_on(const QSection *section, const char *node)
{
    const char *nodes = q_section_get(section, "nodes", NULL);
    g_auto(GStrv) list = q_split_list(nodes != NULL ? nodes : "");

    return nodes == NULL || strcmp(q_section_id(section), "local") == 0
           || g_strv_contains((const char *const *)list, node);
}

char **
storage_section_content(const QSection *section)
{
    int type = find_type(q_section_type(section));

    return q_split_list(q_section_get(section, "content", type >= 0 ? types[type].standard : ""));
}

char *
storage_section_format(const QSection *section)
{
    int type = find_type(q_section_type(section));
    g_auto(GStrv) formats = g_strsplit(type >= 0 ? types[type].formats : "raw", " ", -1);

    return g_strdup(q_section_get(section, "format", formats[0] != NULL ? formats[0] : "raw"));
}

char *
storage_section_path(const QSection *section)
{
    return q_is_word_of("dir btrfs nfs cifs cephfs", q_section_type(section))
               ? g_strdup(q_section_get(section, "path", NULL))
               : NULL;
}

char *
storage_section_folder(const QSection *section, const char *content)
{
    g_auto(GStrv) moved = q_split_list(q_section_get(section, "content-dirs", ""));
    g_autofree char *path = storage_section_path(section);
    const char *folder = file_content_folder(content);

    for (int i = 0; moved[i] != NULL; i++) {
        size_t length = strlen(content);

        if (strncmp(moved[i], content, length) == 0 && moved[i][length] == '='
            && !g_regex_match_simple("(^|/)\\.\\.(/|$)", moved[i] + length + 1, 0, 0)) {
            folder = moved[i] + length + 1;
        }
    }
    return path != NULL && folder != NULL ? g_build_filename(path, folder, NULL) : NULL;
}
