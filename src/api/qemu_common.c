#include <string.h>
#include "api/qemu_priv.h"
#include "guest/core/drive.h"
#include "guest/core/qemu_args.h"
#include "guest/disks.h"
#include "storage/core/volume_id.h"

/* ------------------------------------------------------------------ keys as parameters */

static bool
describe(size_t n, ApiParam *param)
{
    const GuestKey *key = NULL;

    /* Keys that only operations write are no parameters. */
    for (const GuestKey *row = guest_keys; row->name != NULL; row++) {
        if (row->apply != GUEST_APPLY_INTERNAL && n-- == 0) {
            key = row;
            break;
        }
    }
    if (key == NULL) {
        return false;
    }
    static const ApiKind kinds[] = {
        [GUEST_BOOL] = API_BOOLEAN,  [GUEST_INT] = API_INTEGER,     [GUEST_NUMBER] = API_NUMBER,
        [GUEST_STRING] = API_STRING, [GUEST_PROPERTIES] = API_TEXT,
    };
    *param = (ApiParam){
        .field = key->name,
        .doc = key->doc,
        .kind = key->count > 0 ? API_FAMILY : kinds[key->type],
        .optional = true,
        .secret = strcmp(key->name, "cipassword") == 0,
    };
    if (key->count > 0) {
        param->has_max = true;
        param->max = key->count - 1;
    } else if (key->min != 0 || key->max != 0) {
        param->has_min = param->has_max = true;
        param->min = key->min;
        param->max = key->max;
    }
    return true;
}

static bool
check_cpu(const char *value, GError **error)
{
    g_autoptr(QPropertyString) cpu =
        q_property_string_parse(guest_cpu_rows, value, Q_PROPERTY_STRICT, error);
    if (cpu == NULL) {
        return false;
    }
    const char *type = q_property_get(cpu, "cputype", NULL);
    g_auto(GStrv) flags = g_strsplit(q_property_get(cpu, "flags", ""), ";", -1);

    if (type != NULL && !g_str_has_prefix(type, "custom-") && !guest_cpu_model_exists(type)) {
        return q_set_error(error, Q_ERROR_INVALID, "cputype: there is no CPU model '%s'", type);
    }
    for (int i = 0; flags[i] != NULL; i++) {
        if (flags[i][0] != '\0' && !guest_cpu_flag_is_allowed(flags[i] + 1)) {
            return q_set_error(error, Q_ERROR_INVALID, "flags: flag '%s' cannot be set for a guest",
                               flags[i] + 1);
        }
    }
    return true;
}

static bool
check_key(const char *name, const char *value, GError **error)
{
    const GuestKey *key = guest_key_find(name, NULL);
    g_autofree char *checked =
        key != NULL ? guest_key_check(key, value, Q_PROPERTY_STRICT, error) : NULL;

    if (key == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "there is no such key");
    }
    if (checked == NULL) {
        return false;
    }
    /* A line of its own in the file: nothing else may begin there. */
    if (strcmp(name, "description") != 0 && strpbrk(value, "\r\n") != NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "must be one line");
    }
    if (*value == '\0' && strcmp(name, "boot") != 0 && strcmp(name, "description") != 0
        && strcmp(name, "tags") != 0) {
        return q_set_error(error, Q_ERROR_INVALID, "is empty; use --delete %s to remove it", name);
    }
    return strcmp(name, "cpu") != 0 || check_cpu(value, error);
}

const ApiSplice qemu_keys = { .describe = describe, .check = check_key };

bool
qemu_blame(ApiCall *call, GError **error, const char *key, const char *why)
{
    return call->is_task ? q_set_error(error, Q_ERROR_INVALID, "%s: %s", key, why)
                         : api_blame(error, key, "%s", why);
}

bool
qemu_check_value(ApiCall *call, StorageSet *set, const char *key, const char *value, GError **error)
{
    const GuestKey *row = guest_key_find(key, NULL);
    g_autoptr(GError) cause = NULL;

    if (!guest_key_is_disk(row) || guest_disk_check(set, key, value, &cause)) {
        return true;
    }
    if (cause->code == Q_ERROR_INVALID) {
        return qemu_blame(call, error, key, cause->message);
    }
    g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", key);
    return false;
}

/* ------------------------------------------------------------------ who may what */

bool
qemu_check_skiplock(ApiCall *call, bool skiplock, GError **error)
{
    return !skiplock || api_is_root(call)
           || api_status(error, Q_ERROR_DENIED, 403, "Only root may use this option.");
}

static bool
denied(GError **error, const char *path, const char *privilege)
{
    return q_set_error(error, Q_ERROR_DENIED, "Permission check failed (%s, %s)", path, privilege);
}

static bool
check_volume(ApiCall *call, uint32_t vmid, const char *file, GError **error)
{
    g_autoptr(VolumeId) id = file[0] != '/' ? volume_id_parse(file, NULL) : NULL;

    if (q_is_word_of("none cdrom", file)) {
        return true;
    }
    if (id == NULL) {
        return q_set_error(error, Q_ERROR_DENIED, "only root can use the path '%s' as a disk",
                           file);
    }
    g_autofree char *storage = g_strdup_printf("/storage/%s", volume_id_storage(id));
    if (api_may(call, storage, "Datastore.AllocateSpace")
        || api_may(call, storage, "Datastore.Allocate")) {
        return true;
    }
    if (g_str_has_prefix(volume_id_name(id), "iso/") && api_may(call, storage, "Datastore.Audit")) {
        return true;
    }
    return denied(error, storage, "Datastore.AllocateSpace");
}

static bool
check_disk(ApiCall *call, uint32_t vmid, const char *key, const char *value, const char *path,
           GError **error)
{
    g_autoptr(GuestDrive) drive = value != NULL ? guest_drive_parse(key, value, NULL) : NULL;
    const char *privilege = drive != NULL && drive->cdrom ? "VM.Config.CDROM" : "VM.Config.Disk";
    g_auto(FileVolume) volume = { 0 };

    if (!api_may(call, path, privilege)) {
        return denied(error, path, privilege);
    }
    if (drive == NULL) {
        return true;
    }
    /* Another guest's image is another's data. */
    g_autoptr(VolumeId) id = volume_id_parse(guest_drive_file(drive), NULL);
    if (id != NULL && file_volume_parse(volume_id_name(id), &volume, NULL) && volume.vmid != 0
        && volume.vmid != vmid) {
        g_autofree char *other = g_strdup_printf("/vms/%u", volume.vmid);
        if (!api_may(call, other, "VM.Config.Disk")) {
            return denied(error, other, "VM.Config.Disk");
        }
    }
    return check_volume(call, vmid, guest_drive_file(drive), error);
}

static bool
check_network(ApiCall *call, const char *value, GError **error)
{
    g_autoptr(QPropertyString) net =
        value != NULL ? q_property_string_parse(guest_net_rows, value, Q_PROPERTY_LENIENT, NULL)
                      : NULL;
    const char *bridge = net != NULL ? q_property_get(net, "bridge", NULL) : NULL;
    g_autofree char *path =
        bridge != NULL ? g_strdup_printf("/sdn/zones/localnetwork/%s", bridge) : NULL;

    return path == NULL || api_may(call, path, "SDN.Use") || denied(error, path, "SDN.Use");
}

/* Devices of the host are root's; what is made of software is not. */
static bool
uses_host_device(const GuestKey *key, const char *value)
{
    if (value == NULL) {
        return false;
    }
    if (strcmp(key->name, "serial") == 0) {
        return strcmp(value, "socket") != 0;
    }
    if (q_is_word_of("usb hostpci", key->name)) {
        return strstr(value, "mapping=") == NULL && strstr(value, "spice") == NULL;
    }
    return false;
}

bool
qemu_check_key(ApiCall *call, uint32_t vmid, const char *name, const char *value,
               const char *present, GError **error)
{
    const GuestKey *key = guest_key_find(name, NULL);
    g_autofree char *path = g_strdup_printf("/vms/%u", vmid);

    if (api_is_root(call)) {
        return true;
    }
    if (key == NULL || key->privilege == NULL || uses_host_device(key, value)
        || uses_host_device(key, present)) {
        return q_set_error(error, Q_ERROR_DENIED, "only root can set '%s' config", name);
    }
    if (guest_key_is_disk(key)) {
        return check_disk(call, vmid, name, value != NULL ? value : present, path, error);
    }
    g_auto(GStrv) privileges = g_strsplit(key->privilege, "|", -1);
    bool may = false;
    for (int i = 0; privileges[i] != NULL; i++) {
        may = may || api_may(call, path, privileges[i]);
    }
    if (!may) {
        return denied(error, path, key->privilege);
    }
    if (strcmp(key->name, "startup") == 0 && !api_may(call, "/", "Sys.Modify")) {
        return denied(error, "/", "Sys.Modify");
    }
    return strcmp(key->name, "net") != 0 || check_network(call, value, error);
}

/* ------------------------------------------------------------------ values */

char *
qemu_new_mac(ApiCall *call)
{
    CfsClient *cfs = api_cfs(call, NULL);
    g_autofree char *text = cfs != NULL ? cfs_read(cfs, "datacenter.cfg", NULL, NULL, NULL) : NULL;
    g_autoptr(GRegex) regex = g_regex_new(
        "(?m)^mac_prefix:\\s*((?:[0-9a-fA-F]{2}:){0,4}[0-9a-fA-F]{2}):?\\s*$", 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    guint8 bytes[6];
    /* Locally administered, for one: nobody else's address. */
    g_autofree char *prefix = NULL;

    if (text != NULL && g_regex_match(regex, text, 0, &match)) {
        prefix = g_match_info_fetch(match, 1);
    }
    for (int i = 0; i < 6; i++) {
        bytes[i] = g_random_int_range(0, 256);
    }
    bytes[0] = (bytes[0] & 0x3c) | 0x02;
    g_auto(GStrv) given = g_strsplit(prefix != NULL ? prefix : "", ":", -1);
    for (int i = 0; i < 6 && given[i] != NULL && given[i][0] != '\0'; i++) {
        bytes[i] = g_ascii_strtoull(given[i], NULL, 16);
    }
    bytes[0] &= 0xfe; /* never a group's address */
    return g_strdup_printf("%02X:%02X:%02X:%02X:%02X:%02X", bytes[0], bytes[1], bytes[2], bytes[3],
                           bytes[4], bytes[5]);
}

static char *
prepare_net(ApiCall *call, const char *value, GError **error)
{
    g_autoptr(QPropertyString) net =
        q_property_string_parse(guest_net_rows, value, Q_PROPERTY_STRICT, error);

    if (net == NULL) {
        return NULL;
    }
    const char *given = q_property_get(net, "macaddr", NULL);
    g_autofree char *mac = given != NULL ? g_ascii_strup(given, -1) : qemu_new_mac(call);
    q_property_set(net, "macaddr", mac);
    return q_property_string_text(net);
}

static gint
compare_tags(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each once, in lower case, in order: equal sets are equal texts. */
static char *
prepare_tags(const char *value)
{
    g_autofree char *lower = g_ascii_strdown(value, -1);
    g_auto(GStrv) tags = q_split_list(lower);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();

    for (int i = 0; tags[i] != NULL; i++) {
        if (i == 0 || !g_ptr_array_find_with_equal_func(kept, tags[i], g_str_equal, NULL)) {
            g_ptr_array_add(kept, tags[i]);
        }
    }
    g_ptr_array_sort(kept, compare_tags);
    g_ptr_array_add(kept, NULL);
    return g_strjoinv(";", (char **)kept->pdata);
}

char *
qemu_prepare_value(ApiCall *call, StorageSet *set, uint32_t vmid, const char *name,
                   const char *value, GPtrArray *made, GError **error)
{
    const GuestKey *key = guest_key_find(name, NULL);
    g_autoptr(GError) cause = NULL;
    char *prepared = NULL;

    if (guest_key_is_disk(key)) {
        CfsClient *cfs = api_cfs(call, error);
        prepared =
            cfs != NULL ? guest_disk_prepare(set, cfs, vmid, name, value, made, &cause) : NULL;
        /* What the storage refuses is no mistake in the parameter's form. */
        if (prepared == NULL && cause != NULL && cause->code != Q_ERROR_INVALID) {
            g_propagate_prefixed_error(error, g_steal_pointer(&cause), "%s: ", name);
            return NULL;
        }
    } else if (key->properties == guest_net_rows) {
        prepared = prepare_net(call, value, &cause);
    } else if (strcmp(name, "tags") == 0) {
        prepared = prepare_tags(value);
    } else if (strcmp(name, "vmgenid") == 0 && strcmp(value, "1") == 0) {
        prepared = g_uuid_string_random();
    } else {
        prepared = guest_key_check(key, value, Q_PROPERTY_STRICT, &cause);
    }
    if (prepared == NULL && cause != NULL) {
        qemu_blame(call, error, name, cause->message);
    }
    return prepared;
}

/* ------------------------------------------------------------------ small things */

bool
qemu_guest_call(ApiCall *call, uint32_t vmid, GuestCall *guest, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);

    *guest = (GuestCall){ .cfs = cfs, .vmid = vmid, .say = api_say, .data = call };
    return cfs != NULL;
}

bool
qemu_check_exists(ApiCall *call, uint32_t vmid, GError **error)
{
    CfsClient *cfs = api_cfs(call, error);
    g_autoptr(GuestFile) file = cfs != NULL ? guest_file_read(cfs, NULL, vmid, error) : NULL;

    return file != NULL;
}

JsonObject *
qemu_config_json(const GuestSection *section)
{
    JsonObject *object = json_object_new();
    g_autoptr(GPtrArray) keys = guest_section_keys(section);

    for (guint i = 0; i < keys->len; i++) {
        const char *name = keys->pdata[i], *value = guest_get(section, name);
        const GuestKey *key = guest_key_find(name, NULL);

        if (key != NULL && (key->type == GUEST_INT || key->type == GUEST_BOOL)) {
            json_object_set_int_member(object, name, g_ascii_strtoll(value, NULL, 10));
        } else if (strcmp(name, "cipassword") == 0) {
            json_object_set_string_member(object, name, "**********");
        } else {
            json_object_set_string_member(object, name, value);
        }
    }
    return object;
}
