#pragma once
#include "base/property_string.h"
#include "base/section_config.h"

/*
 * storage.cfg as values: which storages there are, which keys each type takes. What we do not
 * understand is kept: unknown types are shown as such and written back unchanged.
 */
typedef enum { STORAGE_STRING, STORAGE_BOOL, STORAGE_INT } StorageKeyType;

typedef struct {
    const char *name;
    StorageKeyType type;
    const char *fixed; /* types (blank separated) in which it is required and cannot be changed */
    const char *optional; /* types in which it may be given; "*": all that we know */
    const char *words;
    const char *pattern;
    double min, max;
    const char *doc;
} StorageKey;

extern const StorageKey storage_keys[];   /* ends with a row without name */
extern const char *const storage_types[]; /* every type whose keys we know, NULL at the end */

const StorageKey *storage_key_find(const char *name);

typedef struct StorageConfig StorageConfig;

StorageConfig *storage_config_parse(const char *text); /* NULL: no file. Never fails. */
void storage_config_free(StorageConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StorageConfig, storage_config_free)
char *storage_config_text(const StorageConfig *config);
GPtrArray *storage_config_warnings(const StorageConfig *config); /* char *, borrowed */

/** storage_config_ids: (transfer container): const char *, sorted; `local` is always there */
GPtrArray *storage_config_ids(const StorageConfig *config);

/** storage_config_find: borrowed; NULL with Q_ERROR_NOT_FOUND "storage 'X' does not exist" */
const QSection *storage_config_find(const StorageConfig *config, const char *id, GError **error);

/**
 * storage_config_add: @values key -> value. Errors: Q_ERROR_EXISTS "storage ID 'X' already
 * defined", Q_ERROR_INVALID for a bad id, type, missing or bad key; *@blame (out) (optional)
 * (transfer full) is the key to blame.
 */
bool storage_config_add(StorageConfig *config, const char *type, const char *id, GHashTable *values,
                        char **blame, GError **error);

/** storage_config_set: @removed NULL-terminated keys, or NULL. Fixed keys cannot be changed. */
bool storage_config_set(StorageConfig *config, const char *id, GHashTable *values, char **removed,
                        char **blame, GError **error);
bool storage_config_remove(StorageConfig *config, const char *id, GError **error);

/* One storage, with defaults. */
bool storage_section_is_disabled(const QSection *section);
bool storage_section_is_shared(const QSection *section);
bool storage_section_is_on(const QSection *section, const char *node); /* `nodes` */
char **storage_section_content(const QSection *section);               /* (transfer full) */
char *storage_section_format(const QSection *section);                 /* default image format */
char *storage_section_path(const QSection *section);                   /* file types; else NULL */

/** storage_section_folder: where files of @content are, `content-dirs` respected. (transfer full)
 */
char *storage_section_folder(const QSection *section, const char *content);
