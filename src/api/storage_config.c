#include <string.h>
#include "api/storage.h"
#include "base/sorted.h"
#include "storage/core/storage_cfg.h"
#include "storage/core/volume_id.h"
#include "storage/storage.h"

/* Definitions of storages: /etc/pve/storage.cfg. */

#define STORAGE_CFG "storage.cfg"
#define TRIES 10

/* ------------------------------------------------------------------ keys as parameters */

static bool
describe(size_t n, ApiParam *param)
{
    static const ApiKind kinds[] = {
        [STORAGE_STRING] = API_STRING, [STORAGE_BOOL] = API_BOOLEAN, [STORAGE_INT] = API_INTEGER
    };

    for (size_t i = 0; i <= n; i++) {
        if (storage_keys[i].name == NULL) {
            return false;
        }
    }
    const StorageKey *key = &storage_keys[n];
    *param = (ApiParam){
        .field = key->name,
        .doc = key->doc,
        .kind = kinds[key->type],
        .optional = true,
        .pattern = key->pattern,
        .has_min = key->type == STORAGE_INT,
        .has_max = key->type == STORAGE_INT,
        .min = key->min,
        .max = key->max,
    };
    return true;
}

static const ApiSplice storage_splice = { .describe = describe };

/* ------------------------------------------------------------------ reading */

static JsonObject *
section_json(const QSection *section, const char *digest)
{
    JsonObject *object = json_object_new();
    g_autoptr(GPtrArray) keys = q_section_keys(section);

    for (guint i = 0; i < keys->len; i++) {
        const StorageKey *key = storage_key_find(keys->pdata[i]);
        const char *value = q_section_get(section, keys->pdata[i], "");

        if (key != NULL && key->type != STORAGE_STRING) {
            json_object_set_int_member(object, keys->pdata[i],
                                       key->type == STORAGE_BOOL
                                           ? q_section_get_bool(section, keys->pdata[i], false)
                                           : q_section_get_int(section, keys->pdata[i], 0));
        } else {
            json_object_set_string_member(object, keys->pdata[i], value);
        }
    }
    g_auto(GStrv) content = storage_section_content(section);
    g_autofree char *contents = g_strjoinv(",", content);
    json_object_set_string_member(object, "content", contents);
    json_object_set_string_member(object, "storage", q_section_id(section));
    json_object_set_string_member(object, "type", q_section_type(section));
    json_object_set_string_member(object, "digest", digest);
    return object;
}

typedef struct {
    StorageConfig *config;
    uint64_t version;
    char *digest;
} StorageFile;

static void
storage_file_clear(StorageFile *file)
{
    storage_config_free(file->config);
    g_free(file->digest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StorageFile, storage_file_clear)

static bool
read_file(CfsClient *cfs, StorageFile *file, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autofree char *text = cfs_read(cfs, STORAGE_CFG, &file->version, NULL, &missing);

    if (text == NULL && !g_error_matches(missing, Q_ERROR, Q_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return false;
    }
    if (text == NULL) {
        file->version = CFS_ABSENT;
    }
    file->config = storage_config_parse(text);
    file->digest = g_compute_checksum_for_string(G_CHECKSUM_SHA1, text != NULL ? text : "", -1);
    return true;
}

typedef struct {
    char *type;
} IndexArgs;

static const ApiParam index_params[] = {
    API_PARAM(IndexArgs, type, API_STRING, .optional = true, .doc = "Only this type."),
    { 0 },
};

static const ApiColumn index_columns[] = {
    { "storage", API_STRING, .doc = "Storage." },
    { "type", API_STRING, .doc = "Type." },
    { "content", API_STRING, .optional = true, .doc = "What may be kept there." },
    { 0 },
};

static JsonNode *
index_run(ApiCall *call, const void *data, GError **error)
{
    const IndexArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_auto(StorageFile) file = { 0 };

    if (cfs == NULL || !read_file(cfs, &file, error)) {
        return NULL;
    }
    g_autoptr(GPtrArray) ids = storage_config_ids(file.config);
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < ids->len; i++) {
        const QSection *section = storage_config_find(file.config, ids->pdata[i], NULL);
        g_autofree char *path = g_strdup_printf("/storage/%s", (char *)ids->pdata[i]);

        if ((args->type == NULL || strcmp(q_section_type(section), args->type) == 0)
            && (api_may(call, path, "Datastore.Audit")
                || api_may(call, path, "Datastore.AllocateSpace"))) {
            json_array_add_object_element(rows, section_json(section, file.digest));
        }
    }
    return q_json_node_array(rows);
}

const ApiMethod api_storage_index = {
    .verb = API_GET,
    .path = "/storage",
    .doc = "Storages of the cluster.",
    .params = index_params,
    .returns = API_ROWS,
    .columns = index_columns,
    .access = "all+",
    .run = index_run,
};

/* ------------------------------------------------------------------ one */

typedef struct {
    char *storage;
    char *type;
    GHashTable *keys;
    char **delete;
    char *digest;
} ConfigArgs;

#define PARAM_STORAGE API_PARAM(ConfigArgs, storage, API_STORAGE, .doc = "Storage id.")

static const ApiParam one_params[] = { PARAM_STORAGE, { 0 } };

static JsonNode *
read_run(ApiCall *call, const void *data, GError **error)
{
    const ConfigArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_auto(StorageFile) file = { 0 };

    if (cfs == NULL || !read_file(cfs, &file, error)) {
        return NULL;
    }
    const QSection *section = storage_config_find(file.config, args->storage, error);
    return section != NULL ? q_json_node_object(section_json(section, file.digest)) : NULL;
}

const ApiMethod api_storage_read = {
    .verb = API_GET,
    .path = "/storage/{storage}",
    .doc = "Definition of a storage.",
    .params = one_params,
    .returns = API_OBJECT,
    .access = "perm(/storage/{storage}, Datastore.Allocate)",
    .run = read_run,
};

/* ------------------------------------------------------------------ changing */

typedef bool (*Change)(StorageConfig *config, const ConfigArgs *args, char **blame, GError **error);

/* Reads, changes and writes on condition of the version read; again if somebody was faster. */
static bool
change_file(CfsClient *cfs, const ConfigArgs *args, Change change, GError **error)
{
    for (int try = 1;; try++) {
        g_auto(StorageFile) file = { 0 };
        g_autofree char *blame = NULL;
        g_autoptr(GError) failed = NULL;

        if (!read_file(cfs, &file, error)) {
            return false;
        }
        if (args->digest != NULL && strcmp(args->digest, file.digest) != 0) {
            return q_set_error(
                error, Q_ERROR_CONFLICT,
                "detected modified configuration - file changed by other user? Try again.");
        }
        if (!change(file.config, args, &blame, &failed)) {
            if (blame != NULL) {
                return api_blame(error, blame, "%s", failed->message);
            }
            g_propagate_error(error, g_steal_pointer(&failed));
            return false;
        }
        g_autofree char *text = storage_config_text(file.config);
        if (cfs_write(cfs, STORAGE_CFG, text, file.version, &failed)) {
            return true;
        }
        if (failed->code != Q_ERROR_CONFLICT || try == TRIES) {
            g_propagate_error(error, g_steal_pointer(&failed));
            return false;
        }
    }
}

static JsonNode *
change_answer(const ConfigArgs *args, CfsClient *cfs, GError **error)
{
    g_auto(StorageFile) file = { 0 };
    const QSection *section = read_file(cfs, &file, error)
                                  ? storage_config_find(file.config, args->storage, error)
                                  : NULL;
    if (section == NULL) {
        return NULL;
    }
    JsonObject *answer = json_object_new();
    json_object_set_string_member(answer, "storage", args->storage);
    json_object_set_string_member(answer, "type", q_section_type(section));
    return q_json_node_object(answer);
}

static bool
add_storage(StorageConfig *config, const ConfigArgs *args, char **blame, GError **error)
{
    return storage_config_add(config, args->type, args->storage, args->keys, blame, error);
}

static bool
set_storage(StorageConfig *config, const ConfigArgs *args, char **blame, GError **error)
{
    return storage_config_set(config, args->storage, args->keys, args->delete, blame, error);
}

static bool
remove_storage(StorageConfig *config, const ConfigArgs *args, char **blame, GError **error)
{
    return storage_config_remove(config, args->storage, error);
}

static const ApiParam create_params[] = {
    PARAM_STORAGE,
    API_PARAM(ConfigArgs, type, API_STRING, .doc = "Type: dir, …"),
    API_PARAM(ConfigArgs, keys, API_SPLICE, .splice = &storage_splice),
    { 0 },
};

/* A new storage is tried on this node before it is kept, if it shall be used here. */
static bool
try_storage(ApiCall *call, CfsClient *cfs, const ConfigArgs *args, GError **error)
{
    g_autoptr(StorageSet) set = storage_set_read(cfs, error);
    g_autoptr(GError) refused = NULL;
    Storage *storage = set != NULL ? storage_get(set, args->storage, &refused) : NULL;

    if (storage == NULL) {
        if (refused != NULL && refused->code == Q_ERROR_UNSUPPORTED) {
            api_warn(call, "%s: it is kept, but cannot be used", refused->message);
        }
        return set != NULL; /* disabled, or for other nodes, or not ours to try */
    }
    return storage_activate(storage, error);
}

static JsonNode *
create_run(ApiCall *call, const void *data, GError **error)
{
    const ConfigArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GError) failed = NULL;

    if (cfs == NULL || !change_file(cfs, args, add_storage, error)) {
        return NULL;
    }
    if (!try_storage(call, cfs, args, &failed)) {
        g_autoptr(GError) undo = NULL;

        if (!change_file(cfs, args, remove_storage, &undo)) {
            api_warn(call, "storage '%s' stays in storage.cfg: %s", args->storage, undo->message);
        }
        g_propagate_prefixed_error(error, g_steal_pointer(&failed), "create storage failed: ");
        return NULL;
    }
    return change_answer(args, cfs, error);
}

const ApiMethod api_storage_create = {
    .verb = API_POST,
    .path = "/storage",
    .doc = "Define a storage.",
    .params = create_params,
    .returns = API_OBJECT,
    .access = "perm(/storage, Datastore.Allocate)",
    .as_root = true,
    .needs_quorum = true,
    .run = create_run,
};

static const ApiParam update_params[] = {
    PARAM_STORAGE,
    API_PARAM(ConfigArgs, keys, API_SPLICE, .splice = &storage_splice),
    API_PARAM(ConfigArgs, delete, API_LIST, .optional = true, .doc = "Keys to remove."),
    API_PARAM(ConfigArgs, digest, API_DIGEST, .optional = true,
              .doc = "Refuse if the file is not as it was read."),
    { 0 },
};

static JsonNode *
update_run(ApiCall *call, const void *data, GError **error)
{
    const ConfigArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);

    return cfs != NULL && change_file(cfs, args, set_storage, error)
               ? change_answer(args, cfs, error)
               : NULL;
}

const ApiMethod api_storage_update = {
    .verb = API_PUT,
    .path = "/storage/{storage}",
    .doc = "Change the definition of a storage.",
    .params = update_params,
    .returns = API_OBJECT,
    .access = "perm(/storage, Datastore.Allocate)",
    .as_root = true,
    .needs_quorum = true,
    .run = update_run,
};

static JsonNode *
delete_run(ApiCall *call, const void *data, GError **error)
{
    const ConfigArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);

    return cfs != NULL && change_file(cfs, args, remove_storage, error) ? q_json_node_null() : NULL;
}

const ApiMethod api_storage_delete = {
    .verb = API_DELETE,
    .path = "/storage/{storage}",
    .doc = "Remove the definition of a storage. Its data stays.",
    .params = one_params,
    .returns = API_NULL,
    .access = "perm(/storage, Datastore.Allocate)",
    .as_root = true,
    .needs_quorum = true,
    .run = delete_run,
};
