#include "guest/core/qemu_priv.h"
#include <string.h>
#include "base/json.h"

/* ------------------------------------------------------------------ block nodes */

typedef struct {
    bool direct, no_flush, write_cache;
} CacheMode;

static bool
cache_mode(QemuBuild *build, const GuestDrive *drive, const GuestVolume *volume, CacheMode *mode,
           GError **error)
{
    const char *cache =
        q_property_get(drive->options, "cache", drive->cdrom ? "writeback" : "none");
    bool none = strcmp(cache, "none") == 0;
    bool directsync = strcmp(cache, "directsync") == 0;

    mode->direct = (none || directsync) && !volume->cached;
    mode->no_flush = strcmp(cache, "unsafe") == 0;
    mode->write_cache = !directsync && strcmp(cache, "writethrough") != 0;
    if (drive->cdrom) {
        return true;
    }
    /* What a dead node still holds in its page cache reaches a shared disk after the recovered
     * guest has begun to write (S30). */
    if (build->host->guarded && volume->shared && !(none || directsync)) {
        return q_set_error(
            error, Q_ERROR_INVALID,
            "%s: cache=%s on shared storage is not safe under HA: use none or directsync",
            drive->id, cache);
    }
    if (build->host->guarded && volume->shared && volume->cached) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: the shared storage has no direct access (O_DIRECT), which HA needs",
                           drive->id);
    }
    return true;
}

/* An io_uring request may still be on its way to the device when its process is gone; native and
 * threaded requests are waited for. So a guest that another node may take over uses no io_uring on
 * shared disks unless its user says so. */
static const char *
aio_mode(QemuBuild *build, const GuestDrive *drive, const GuestVolume *volume, bool direct)
{
    const char *given = q_property_get(drive->options, "aio", NULL);

    if (given != NULL) {
        return strcmp(given, "native") == 0 && !direct ? "threads" : given;
    }
    if (!build->host->io_uring || (build->host->guarded && volume->shared)) {
        return direct ? "native" : "threads";
    }
    return "io_uring";
}

static JsonObject *
block_node(const char *driver, const char *kind, const GuestDrive *drive, const CacheMode *mode)
{
    JsonObject *node = json_object_new();
    JsonObject *cache = json_object_new();
    g_autofree char *name = g_strdup_printf("%s-%s", kind, drive->id);
    bool discard = strcmp(q_property_get(drive->options, "discard", "ignore"), "on") == 0;

    json_object_set_boolean_member(cache, "direct", mode->direct);
    json_object_set_boolean_member(cache, "no-flush", mode->no_flush);
    json_object_set_string_member(node, "driver", driver);
    json_object_set_string_member(node, "node-name", name);
    json_object_set_object_member(node, "cache", cache);
    json_object_set_string_member(node, "discard", discard && !drive->cdrom ? "unmap" : "ignore");
    json_object_set_boolean_member(node, "read-only",
                                   drive->cdrom || q_property_bool(drive->options, "ro", false));
    return node;
}

static const char *
detect_zeroes(const GuestDrive *drive)
{
    if (drive->cdrom || !q_property_bool(drive->options, "detect_zeroes", true)) {
        return "off";
    }
    return strcmp(q_property_get(drive->options, "discard", "ignore"), "on") == 0 ? "unmap" : "on";
}

static void
add_blockdev(QemuBuild *build, const GuestDrive *drive, const GuestVolume *volume,
             const CacheMode *mode)
{
    JsonObject *file = block_node(g_str_has_prefix(volume->path, "/dev/") ? "host_device" : "file",
                                  "file", drive, mode);
    JsonObject *format = block_node(volume->format, "format", drive, mode);
    g_autoptr(JsonObject) top = block_node("throttle", "drive", drive, mode);
    g_autofree char *group = g_strdup_printf("throttle-drive-%s", drive->id);

    json_object_set_string_member(file, "filename", volume->path);
    json_object_set_string_member(file, "aio", aio_mode(build, drive, volume, mode->direct));
    json_object_set_string_member(format, "detect-zeroes", detect_zeroes(drive));
    json_object_set_object_member(format, "file", file);
    json_object_set_string_member(top, "throttle-group", group);
    json_object_set_object_member(top, "file", format);
    g_autofree char *text = q_json_object_text(top, Q_JSON_COMPACT);
    qemu_add(build, "-blockdev", "%s", text);
}

/* Limits: ours in MiB/s and operations, QEMU's in bytes and operations, with bursts. */
static void
add_throttle(QemuBuild *build, const GuestDrive *drive)
{
    static const struct {
        const char *ours, *theirs;
    } kinds[] = {
        { "mbps", "bps-total" },  { "mbps_rd", "bps-read" },  { "mbps_wr", "bps-write" },
        { "iops", "iops-total" }, { "iops_rd", "iops-read" }, { "iops_wr", "iops-write" }
    };
    g_autoptr(JsonObject) group = json_object_new();
    JsonObject *limits = json_object_new();
    g_autofree char *id = g_strdup_printf("throttle-drive-%s", drive->id);

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        bool is_bytes = i < 3;
        g_autofree char *max = g_strconcat(kinds[i].ours, "_max", NULL);
        g_autofree char *length =
            g_strdup_printf("%s%s_max_length", is_bytes ? "bps" : "iops", kinds[i].ours + 4);
        g_autofree char *max_name = g_strconcat(kinds[i].theirs, "-max", NULL);
        g_autofree char *length_name = g_strconcat(kinds[i].theirs, "-max-length", NULL);
        double scale = is_bytes ? 1048576 : 1;
        double value = q_property_number(drive->options, kinds[i].ours, 0);

        if (value <= 0) {
            continue;
        }
        json_object_set_int_member(limits, kinds[i].theirs, (int64_t)(value * scale));
        if (q_property_get(drive->options, max, NULL) != NULL) {
            json_object_set_int_member(
                limits, max_name, (int64_t)(q_property_number(drive->options, max, 0) * scale));
        }
        if (q_property_get(drive->options, length, NULL) != NULL) {
            json_object_set_int_member(limits, length_name,
                                       q_property_int(drive->options, length, 1));
        }
    }
    json_object_set_string_member(group, "qom-type", "throttle-group");
    json_object_set_string_member(group, "id", id);
    json_object_set_object_member(group, "limits", limits);
    g_autofree char *text = q_json_object_text(group, Q_JSON_COMPACT);
    qemu_add(build, "-object", "%s", text);
}

/* ------------------------------------------------------------------ controllers */

typedef struct {
    char *place;    /* "bus=scsihw0.0,channel=0,scsi-id=0,lun=3" */
    char *iothread; /* for the device itself, or NULL */
} Place;

static void
place_clear(Place *place)
{
    g_free(place->place);
    g_free(place->iothread);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static void
add_controller_once(QemuBuild *build, const char *id, const char *device, const char *extra)
{
    if (!g_hash_table_contains(build->bridges, id)) {
        g_autofree char *address = qemu_address(build, id);

        qemu_add(build, "-device", "%s,id=%s,%s%s", device, id, address, extra);
        g_hash_table_add(build->bridges, g_strdup(id));
    }
}

static char *
add_iothread(QemuBuild *build, const char *owner)
{
    char *id = g_strdup_printf("iothread-%s", owner);

    qemu_add(build, "-object", "iothread,id=%s", id);
    return id;
}

static bool
place_scsi(QemuBuild *build, const GuestDrive *drive, Place *place, GError **error)
{
    const char *type = guest_get(build->section, "scsihw");
    int64_t queues = q_property_int(drive->options, "queues", 0);
    g_autofree char *extra =
        queues > 1 ? g_strdup_printf(",num_queues=%" G_GINT64_FORMAT, queues) : g_strdup("");
    bool threaded = q_property_bool(drive->options, "iothread", false);
    int n = drive->index;

    if (type == NULL || strcmp(type, "lsi") == 0 || strcmp(type, "lsi53c810") == 0) {
        g_autofree char *id = g_strdup_printf("scsihw%d", n / 7);

        add_controller_once(build, id, type != NULL ? type : "lsi", "");
        place->place = g_strdup_printf("bus=%s.0,scsi-id=%d", id, n % 7);
    } else if (strcmp(type, "pvscsi") == 0) {
        add_controller_once(build, "scsihw0", "pvscsi", "");
        place->place = g_strdup_printf("bus=scsihw0.0,scsi-id=%d", n);
    } else if (strcmp(type, "virtio-scsi-pci") == 0 || strcmp(type, "megasas") == 0) {
        add_controller_once(build, "scsihw0", type, strcmp(type, "megasas") == 0 ? "" : extra);
        place->place = g_strdup_printf("bus=scsihw0.0,channel=0,scsi-id=0,lun=%d", n);
    } else if (strcmp(type, "virtio-scsi-single") == 0) {
        g_autofree char *id = g_strdup_printf("virtioscsi%d", n);
        g_autofree char *thread = threaded ? add_iothread(build, id) : NULL;
        g_autofree char *options = g_strdup_printf("%s%s%s", thread != NULL ? ",iothread=" : "",
                                                   thread != NULL ? thread : "", extra);

        add_controller_once(build, id, "virtio-scsi-pci", options);
        place->place = g_strdup_printf("bus=%s.0,channel=0,scsi-id=0,lun=%d", id, n);
    } else {
        return q_set_error(error, Q_ERROR_INVALID, "scsihw: there is no controller '%s'", type);
    }
    if (threaded && g_strcmp0(type, "virtio-scsi-single") != 0) {
        qemu_note(build, "%s: iothread needs scsihw virtio-scsi-single, it has no effect",
                  drive->id);
    }
    return true;
}

static bool
place_drive(QemuBuild *build, const GuestDrive *drive, Place *place, GError **error)
{
    /* IDE: master and slave of two channels; q35 has six ports of one drive each. */
    static const char *const pc_ide[] = { "bus=ide.0,unit=0", "bus=ide.0,unit=1",
                                          "bus=ide.1,unit=0", "bus=ide.1,unit=1" };
    static const char *const q35_ide[] = { "bus=ide.0,unit=0", "bus=ide.2,unit=0",
                                           "bus=ide.1,unit=0", "bus=ide.3,unit=0" };

    if (strcmp(drive->bus, "scsi") == 0) {
        return place_scsi(build, drive, place, error);
    }
    if (strcmp(drive->bus, "ide") == 0) {
        place->place = g_strdup(build->machine.q35 ? q35_ide[drive->index] : pc_ide[drive->index]);
    } else if (strcmp(drive->bus, "sata") == 0) {
        add_controller_once(build, "ahci0", "ahci", ",multifunction=on");
        place->place = g_strdup_printf("bus=ahci0.%d", drive->index);
    } else {
        place->place = qemu_address(build, drive->id);
        if (q_property_bool(drive->options, "iothread", false)) {
            place->iothread = add_iothread(build, drive->id);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ devices */

static const char *
device_name(const GuestDrive *drive)
{
    if (strcmp(drive->bus, "virtio") == 0) {
        return "virtio-blk-pci";
    }
    if (strcmp(drive->bus, "scsi") == 0) {
        if (!drive->cdrom && q_property_bool(drive->options, "scsiblock", false)) {
            return "scsi-block";
        }
        return drive->cdrom ? "scsi-cd" : "scsi-hd";
    }
    return drive->cdrom ? "ide-cd" : "ide-hd";
}

static void
append_text(GString *out, const GuestDrive *drive, const char *option, const char *property)
{
    const char *value = q_property_get(drive->options, option, NULL);

    if (value != NULL) {
        g_autofree char *plain = g_uri_unescape_string(value, NULL);
        g_autofree char *doubled = qemu_comma(plain != NULL ? plain : value);
        g_string_append_printf(out, ",%s=%s", property, doubled);
    }
}

static void
append_disk_options(GString *out, const GuestDrive *drive, const CacheMode *mode)
{
    bool is_scsi = strcmp(drive->bus, "scsi") == 0;
    bool is_virtio = strcmp(drive->bus, "virtio") == 0;

    append_text(out, drive, "serial", "serial");
    if (!is_virtio) {
        append_text(out, drive, "wwn", "wwn");
        if (q_property_bool(drive->options, "ssd", false)) {
            g_string_append(out, ",rotation_rate=1");
        }
        if (is_scsi) {
            append_text(out, drive, "vendor", "vendor");
            append_text(out, drive, "product", "product");
        } else {
            append_text(out, drive, "model", "model");
        }
    }
    g_string_append_printf(out, ",write-cache=%s", mode->write_cache ? "on" : "off");
    /* A full or lost storage pauses the guest; an error would make it give up its file system. */
    g_string_append_printf(out, ",werror=%s", q_property_get(drive->options, "werror", "stop"));
    g_string_append_printf(out, ",rerror=%s", q_property_get(drive->options, "rerror", "report"));
}

static bool
add_drive(QemuBuild *build, const GuestDrive *drive, GError **error)
{
    const GuestVolume *volume = g_hash_table_lookup(build->host->volumes, drive->id);
    g_auto(Place) place = { 0 };
    g_autofree char *boot = qemu_boot_index(build, drive->id);
    g_autoptr(GString) device = g_string_new(device_name(drive));
    CacheMode mode;

    if (q_property_bool(drive->options, "snapshot", false)) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: snapshot=1 would lose all writes at stop; take a snapshot instead",
                           drive->id);
    }
    if (!guest_drive_is_empty(drive) && volume == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "%s: the volume '%s' is not known", drive->id,
                           guest_drive_file(drive));
    }
    if (strcmp(guest_drive_file(drive), "none") == 0 && !drive->cdrom) {
        return q_set_error(error, Q_ERROR_INVALID, "%s: a disk needs a volume", drive->id);
    }
    if (!place_drive(build, drive, &place, error)) {
        return false;
    }
    g_string_append_printf(device, ",id=%s,%s", drive->id, place.place);
    if (volume != NULL) {
        if (!cache_mode(build, drive, volume, &mode, error)) {
            return false;
        }
        add_throttle(build, drive);
        add_blockdev(build, drive, volume, &mode);
        g_string_append_printf(device, ",drive=drive-%s", drive->id);
    }
    if (strcmp(drive->bus, "scsi") == 0) {
        g_string_append_printf(device, ",device_id=drive-%s", drive->id);
    }
    if (place.iothread != NULL) {
        g_string_append_printf(device, ",iothread=%s", place.iothread);
    }
    if (!drive->cdrom) {
        append_disk_options(device, drive, &mode);
    }
    qemu_add(build, "-device", "%s%s", device->str, boot);
    return true;
}

bool
qemu_add_drives(QemuBuild *build, GError **error)
{
    for (guint i = 0; i < build->drives->len; i++) {
        if (!add_drive(build, build->drives->pdata[i], error)) {
            return false;
        }
    }
    return true;
}
