#include <string.h>
#include "api/storage.h"
#include "guest/file.h"
#include "storage/core/storage_cfg.h"
#include "storage/core/volume_id.h"
#include "storage/storage.h"

/* Storages on a node: state, volumes. */

/* ------------------------------------------------------------------ state */

typedef struct {
    char *node;
    char *storage;
    char *content;
    bool enabled;
    char *target;
} StatusArgs;

static const ApiParam status_params[] = {
    API_PARAM(StatusArgs, node, API_NODE, .doc = "Node that is asked."),
    API_PARAM(StatusArgs, storage, API_STORAGE, .optional = true, .doc = "Only this storage."),
    API_PARAM(StatusArgs, content, API_STRING, .optional = true,
              .doc = "Only storages for these contents."),
    API_PARAM(StatusArgs, enabled, API_BOOLEAN, .optional = true, .def = "0",
              .doc = "Only those in use."),
    API_PARAM(StatusArgs, target, API_NODE, .optional = true,
              .doc = "Only those that this node has too."),
    { 0 },
};

static const ApiColumn status_columns[] = {
    { "storage", API_STRING, .doc = "Storage.", .title = "Name" },
    { "type", API_STRING, .doc = "Type." },
    { "content", API_STRING, .doc = "What may be kept there." },
    { "active", API_BOOLEAN, .optional = true, .doc = "Usable here and now." },
    { "enabled", API_BOOLEAN, .optional = true, .doc = "Not disabled." },
    { "shared", API_BOOLEAN, .optional = true, .doc = "The same on all nodes." },
    { "total", API_INTEGER, .optional = true, .doc = "Size.", .renderer = "bytes" },
    { "used", API_INTEGER, .optional = true, .doc = "In use.", .renderer = "bytes" },
    { "avail", API_INTEGER, .optional = true, .doc = "Free.", .renderer = "bytes" },
    { "used_fraction", API_NUMBER, .optional = true, .doc = "Part in use.",
      .renderer = "fraction_as_percentage" },
    { 0 },
};

static void
add_state(JsonObject *row, StorageSet *set, const char *id)
{
    Storage *storage = storage_get(set, id, NULL);
    StorageStatus status = { 0 };

    if (storage != NULL && storage_activate(storage, NULL)) {
        storage_status(storage, &status);
    }
    json_object_set_int_member(row, "active", status.active);
    json_object_set_int_member(row, "total", status.total_bytes);
    json_object_set_int_member(row, "used", status.used_bytes);
    json_object_set_int_member(row, "avail", status.avail_bytes);
    if (status.total_bytes > 0) {
        json_object_set_double_member(row, "used_fraction",
                                      (double)status.used_bytes / status.total_bytes);
    }
    storage_status_clear(&status);
}

static JsonObject *
state_row(StorageSet *set, const QSection *section)
{
    JsonObject *row = json_object_new();
    g_auto(GStrv) content = storage_section_content(section);
    g_autofree char *contents = g_strjoinv(",", content);
    bool enabled = !storage_section_is_disabled(section);

    json_object_set_string_member(row, "storage", q_section_id(section));
    json_object_set_string_member(row, "type", q_section_type(section));
    json_object_set_string_member(row, "content", contents);
    json_object_set_int_member(row, "enabled", enabled);
    json_object_set_int_member(row, "shared", storage_section_is_shared(section));
    if (enabled) {
        add_state(row, set, q_section_id(section));
    } else {
        json_object_set_int_member(row, "active", 0);
    }
    return row;
}

static bool
is_wanted(ApiCall *call, const StatusArgs *args, const QSection *section)
{
    g_autofree char *path = g_strdup_printf("/storage/%s", q_section_id(section));
    g_auto(GStrv) has = storage_section_content(section);
    g_auto(GStrv) wanted = q_split_list(args->content != NULL ? args->content : "");
    bool fits = args->content == NULL;

    for (int i = 0; wanted[i] != NULL; i++) {
        fits = fits || g_strv_contains((const char *const *)has, wanted[i]);
    }
    return fits && (args->storage == NULL || strcmp(args->storage, q_section_id(section)) == 0)
           && storage_section_is_on(section, call->node)
           && (args->target == NULL || storage_section_is_on(section, args->target))
           && (!args->enabled || !storage_section_is_disabled(section))
           && (api_may(call, path, "Datastore.Audit")
               || api_may(call, path, "Datastore.AllocateSpace"));
}

static JsonNode *
status_run(ApiCall *call, const void *data, GError **error)
{
    const StatusArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    if (set == NULL
        || (args->storage != NULL && storage_set_section(set, args->storage, error) == NULL)) {
        return NULL;
    }
    g_autoptr(GPtrArray) ids = storage_set_ids(set);
    JsonArray *rows = json_array_new();

    for (guint i = 0; i < ids->len; i++) {
        const QSection *section = storage_set_section(set, ids->pdata[i], NULL);

        if (is_wanted(call, args, section)) {
            json_array_add_object_element(rows, state_row(set, section));
        }
    }
    return q_json_node_array(rows);
}

const ApiMethod api_storage_status = {
    .verb = API_GET,
    .path = "/nodes/{node}/storage",
    .doc = "State of a node's storages.",
    .params = status_params,
    .returns = API_ROWS,
    .columns = status_columns,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = status_run,
};

typedef struct {
    char *node;
    char *storage;
} OneArgs;

static const ApiParam one_params[] = {
    API_PARAM(OneArgs, node, API_NODE, .doc = "Node that is asked."),
    API_PARAM(OneArgs, storage, API_STORAGE, .doc = "Storage."),
    { 0 },
};

static JsonNode *
one_run(ApiCall *call, const void *data, GError **error)
{
    const OneArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    const QSection *section = set != NULL ? storage_set_section(set, args->storage, error) : NULL;

    return section != NULL ? q_json_node_object(state_row(set, section)) : NULL;
}

const ApiMethod api_storage_one = {
    .verb = API_GET,
    .path = "/nodes/{node}/storage/{storage}/status",
    .doc = "State of a storage on a node.",
    .params = one_params,
    .returns = API_OBJECT,
    .columns = status_columns,
    .access = "any(/storage/{storage}, Datastore.Audit, Datastore.AllocateSpace)",
    .on_node = "node",
    .as_root = true,
    .run = one_run,
};

/* ------------------------------------------------------------------ volumes */

typedef struct {
    char *node;
    char *storage;
    char *content;
    uint32_t vmid;
} ContentArgs;

static const ApiParam content_params[] = {
    API_PARAM(ContentArgs, node, API_NODE, .doc = "Node that is asked."),
    API_PARAM(ContentArgs, storage, API_STORAGE, .doc = "Storage."),
    API_PARAM(ContentArgs, content, API_STRING, .optional = true, .doc = "Only this content."),
    API_PARAM(ContentArgs, vmid, API_VMID, .optional = true, .doc = "Only this guest's."),
    { 0 },
};

static const ApiColumn content_columns[] = {
    { "volid", API_STRING, .doc = "Volume.", .title = "Volid" },
    { "format", API_STRING, .doc = "Format.", .title = "Format" },
    { "content", API_STRING, .optional = true, .doc = "Kind.", .title = "Type" },
    { "size", API_INTEGER, .doc = "Bytes.", .title = "Size", .renderer = "bytes" },
    { "vmid", API_INTEGER, .optional = true, .doc = "Owner.", .title = "VMID" },
    { "used", API_INTEGER, .optional = true, .doc = "Bytes on the storage.", .renderer = "bytes" },
    { "ctime", API_INTEGER, .optional = true, .doc = "Made at.", .renderer = "timestamp" },
    { "parent", API_STRING, .optional = true, .doc = "Image that it is based on." },
    { 0 },
};

static JsonObject *
volume_json(const StorageVolume *volume)
{
    JsonObject *row = json_object_new();

    json_object_set_string_member(row, "volid", volume->volid);
    json_object_set_string_member(row, "content", volume->content);
    json_object_set_string_member(row, "format", volume->format);
    json_object_set_int_member(row, "size", volume->size_bytes);
    json_object_set_int_member(row, "used", volume->used_bytes);
    json_object_set_int_member(row, "ctime", volume->ctime_s);
    if (volume->vmid != 0) {
        json_object_set_int_member(row, "vmid", volume->vmid);
    }
    if (volume->parent != NULL) {
        json_object_set_string_member(row, "parent", volume->parent);
    }
    return row;
}

static JsonNode *
content_run(ApiCall *call, const void *data, GError **error)
{
    const ContentArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    Storage *storage = set != NULL ? storage_get(set, args->storage, error) : NULL;
    g_autoptr(GPtrArray) volumes =
        storage != NULL ? storage_list(storage, args->content, args->vmid, error) : NULL;
    if (volumes == NULL) {
        return NULL;
    }
    JsonArray *rows = json_array_new();
    for (guint i = 0; i < volumes->len; i++) {
        json_array_add_object_element(rows, volume_json(volumes->pdata[i]));
    }
    return q_json_node_array(rows);
}

const ApiMethod api_storage_content = {
    .verb = API_GET,
    .path = "/nodes/{node}/storage/{storage}/content",
    .doc = "Volumes of a storage.",
    .params = content_params,
    .returns = API_ROWS,
    .columns = content_columns,
    .access = "any(/storage/{storage}, Datastore.Audit, Datastore.AllocateSpace)",
    .on_node = "node",
    .as_root = true,
    .run = content_run,
};

/* ------------------------------------------------------------------ alloc */

typedef struct {
    char *node;
    char *storage;
    uint32_t vmid;
    char *filename;
    char *size;
    char *format;
} AllocArgs;

static const ApiParam alloc_params[] = {
    API_PARAM(AllocArgs, node, API_NODE, .doc = "Node on which it is made."),
    API_PARAM(AllocArgs, storage, API_STORAGE, .doc = "Storage."),
    API_PARAM(AllocArgs, vmid, API_VMID, .doc = "Owner."),
    API_PARAM(AllocArgs, filename, API_STRING, .doc = "Name; empty: the next free one."),
    API_PARAM(AllocArgs, size, API_STRING, .pattern = "\\d+[MG]?",
              .doc = "Size in KiB, or with M, G."),
    API_PARAM(AllocArgs, format, API_ENUM, .optional = true,
              API_VALUES("raw", "qcow2", "subvol", "vmdk"), .doc = "Format."),
    { 0 },
};

/* KiB unless a unit says otherwise; 0 and what does not fit are refused. */
static bool
parse_alloc_size(const char *text, uint64_t *bytes)
{
    size_t length = strlen(text);
    int shift = g_str_has_suffix(text, "G") ? 30 : g_str_has_suffix(text, "M") ? 20 : 10;
    g_autofree char *digits = g_strndup(text, shift == 10 ? length : length - 1);
    guint64 number;

    if (!g_ascii_string_to_unsigned(digits, 10, 1, (guint64)1 << (57 - shift), &number, NULL)) {
        return false;
    }
    *bytes = number << shift;
    return true;
}

static char *
format_of_name(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL ? g_strdup(dot + 1) : NULL;
}

static JsonNode *
alloc_run(ApiCall *call, const void *data, GError **error)
{
    const AllocArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    const char *name = args->filename[0] != '\0' ? args->filename : NULL;
    g_autofree char *by_name = name != NULL ? format_of_name(name) : NULL;
    uint64_t bytes;

    if (set == NULL) {
        return NULL;
    }
    if (!parse_alloc_size(args->size, &bytes)) {
        api_blame(error, "size", "'%s' is no size that a volume can have", args->size);
        return NULL;
    }
    g_autofree char *volid =
        storage_alloc(set, cfs, args->storage, args->vmid, name,
                      args->format != NULL ? args->format : by_name, bytes, error);
    return volid != NULL ? q_json_node_string(volid) : NULL;
}

const ApiMethod api_storage_alloc = {
    .verb = API_POST,
    .path = "/nodes/{node}/storage/{storage}/content",
    .doc = "Make an empty disk image.",
    .params = alloc_params,
    .returns = API_STRING,
    .access = "perm(/storage/{storage}, Datastore.AllocateSpace)",
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .run = alloc_run,
};

/* ------------------------------------------------------------------ one volume */

typedef struct {
    char *node;
    char *storage;
    char *volume;
    int64_t delay;
} VolumeArgs;

static const ApiParam volume_params[] = {
    API_PARAM(VolumeArgs, node, API_NODE, .doc = "Node that is asked."),
    API_PARAM(VolumeArgs, storage, API_STORAGE, .optional = true,
              .doc = "Storage, if the volume names none."),
    API_PARAM(VolumeArgs, volume, API_STRING, .doc = "Volume id, STORAGE:VOLUME."),
    { 0 },
};

/* "STORAGE:NAME", or NAME with the storage apart; both must agree. */
static char *
full_volid(const VolumeArgs *args, GError **error)
{
    if (strchr(args->volume, ':') == NULL && args->storage != NULL) {
        return g_strdup_printf("%s:%s", args->storage, args->volume);
    }
    g_autoptr(VolumeId) id = volume_id_parse(args->volume, error);
    if (id == NULL) {
        return NULL;
    }
    if (args->storage != NULL && strcmp(args->storage, volume_id_storage(id)) != 0) {
        api_blame(error, "storage", "storage ID missmatch (%s != %s)", args->storage,
                  volume_id_storage(id));
        return NULL;
    }
    return g_strdup(args->volume);
}

static bool
may_use(ApiCall *call, const char *volid, const char *privilege, GError **error)
{
    g_autoptr(VolumeId) id = volume_id_parse(volid, error);
    g_autofree char *path =
        id != NULL ? g_strdup_printf("/storage/%s", volume_id_storage(id)) : NULL;

    return id != NULL
           && (api_may(call, path, privilege)
               || q_set_error(error, Q_ERROR_DENIED, "Permission check failed (%s, %s)", path,
                              privilege));
}

static JsonNode *
volume_run(ApiCall *call, const void *data, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *volid = cfs != NULL ? full_volid(data, error) : NULL;
    g_autoptr(StorageSet) set = volid != NULL ? storage_set_read(cfs, error) : NULL;

    if (set == NULL || !may_use(call, volid, "Datastore.Audit", error)) {
        return NULL;
    }
    g_autoptr(StorageVolume) volume = storage_volume_stat(set, volid, error);
    g_autofree char *path =
        volume != NULL ? storage_path(set, volid, NULL, NULL, NULL, error) : NULL;
    if (path == NULL) {
        return NULL;
    }
    JsonObject *answer = volume_json(volume);
    json_object_set_string_member(answer, "path", path);
    return q_json_node_object(answer);
}

const ApiMethod api_storage_volume = {
    .verb = API_GET,
    .path = "/nodes/{node}/storage/{storage}/content/{volume}",
    .doc = "What is known of a volume.",
    .params = volume_params,
    .returns = API_OBJECT,
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .run = volume_run,
};

static const ApiParam free_params[] = {
    API_PARAM(VolumeArgs, node, API_NODE, .doc = "Node on which it is deleted."),
    API_PARAM(VolumeArgs, storage, API_STORAGE, .optional = true,
              .doc = "Storage, if the volume names none."),
    API_PARAM(VolumeArgs, volume, API_STRING, .doc = "Volume id, STORAGE:VOLUME."),
    API_PARAM(VolumeArgs, delay, API_INTEGER, .optional = true, API_MIN(1), API_MAX(30),
              .doc = "Seconds to wait for the end of the task."),
    { 0 },
};

/* A guest whose configuration names the volume would lose its disk under its feet. */
static bool
check_unused(ApiCall *call, CfsClient *cfs, StorageSet *set, const char *volid, GError **error)
{
    uint32_t vmid = 0;
    g_autofree char *content = NULL;
    g_autofree char *path = storage_path(set, volid, NULL, &vmid, &content, error);
    g_autoptr(GError) none = NULL;
    g_autofree char *node = path != NULL && vmid != 0 ? guest_find_node(cfs, vmid, &none) : NULL;
    g_autoptr(GuestFile) file = node != NULL ? guest_file_read(cfs, node, vmid, NULL) : NULL;

    if (path == NULL) {
        return false;
    }
    if (file == NULL || strcmp(content, "images") != 0) {
        return true;
    }
    g_autoptr(GPtrArray) keys = guest_section_keys(guest_config_main(file->config));
    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *key = guest_key_find(keys->pdata[i], NULL);
        g_autoptr(QPropertyString) string =
            key != NULL && guest_key_is_disk(key)
                ? guest_get_properties(guest_config_main(file->config), keys->pdata[i], NULL)
                : NULL;

        if (string != NULL && strcmp(q_property_get(string, "file", ""), volid) == 0) {
            return q_set_error(error, Q_ERROR_BUSY,
                               "'%s' is %s of VM %u: remove it there first: qm set %u --delete %s",
                               volid, (char *)keys->pdata[i], vmid, vmid, (char *)keys->pdata[i]);
        }
    }
    return true;
}

static bool
free_prepare(ApiCall *call, const void *data, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *volid = cfs != NULL ? full_volid(data, error) : NULL;
    g_autoptr(StorageSet) set = volid != NULL ? storage_set_read(cfs, error) : NULL;

    if (set == NULL || !may_use(call, volid, "Datastore.Allocate", error)
        || !check_unused(call, cfs, set, volid, error)) {
        return false;
    }
    g_autoptr(VolumeId) id = volume_id_parse(volid, NULL);
    api_set_task(call, NULL, volume_id_storage(id)); /* a volume's name is no task id */
    return true;
}

static JsonNode *
free_run(ApiCall *call, const void *data, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autofree char *volid = cfs != NULL ? full_volid(data, error) : NULL;
    g_autoptr(StorageSet) set = volid != NULL ? storage_set_read(cfs, error) : NULL;

    if (set == NULL || !check_unused(call, cfs, set, volid, error)
        || !storage_free(set, cfs, volid, error)) {
        return NULL;
    }
    api_log(call, "Removed volume '%s'", volid);
    return q_json_node_null();
}

const ApiMethod api_storage_free = {
    .verb = API_DELETE,
    .path = "/nodes/{node}/storage/{storage}/content/{volume}",
    .doc = "Delete a volume.",
    .params = free_params,
    .returns = API_UPID,
    .task = "imgdel",
    .access = "all+",
    .on_node = "node",
    .as_root = true,
    .needs_quorum = true,
    .prepare = free_prepare,
    .run = free_run,
};

/* ------------------------------------------------------------------ path */

typedef struct {
    char *volume;
} PathArgs;

static const ApiParam path_params[] = {
    API_PARAM(PathArgs, volume, API_STRING, .doc = "Volume id, STORAGE:VOLUME."),
    { 0 },
};

static JsonNode *
path_run(ApiCall *call, const void *data, GError **error)
{
    const PathArgs *args = data;
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(StorageSet) set = cfs != NULL ? storage_set_read(cfs, error) : NULL;
    g_autofree char *path =
        set != NULL ? storage_path(set, args->volume, NULL, NULL, NULL, error) : NULL;

    return path != NULL ? q_json_node_string(path) : NULL;
}

const ApiMethod api_storage_path = {
    .name = "pvesm_path",
    .doc = "Where QEMU opens a volume.",
    .params = path_params,
    .returns = API_STRING,
    .access = "root",
    .run = path_run,
};

const ApiMethod *const api_storage_methods[] = {
    &api_storage_index,
    &api_storage_create,
    &api_storage_read,
    &api_storage_update,
    &api_storage_delete,
    &api_storage_status,
    &api_storage_one,
    &api_storage_content,
    &api_storage_alloc,
    &api_storage_volume,
    &api_storage_free,
    &api_storage_path,
    NULL,
};
