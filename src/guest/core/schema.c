#include "guest/core/schema.h"
#include <string.h>

#define ROOT_ONLY NULL
#define OS_TYPES "other wxp w2k w2k3 w2k8 wvista win7 win8 win10 win11 l24 l26 solaris"
#define KEYMAPS                                                                                    \
    "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv "   \
    "sl tr"
#define DNS_NAME                                                                                   \
    "(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}["  \
    "A-Za-z0-9])?)*"
#define UUID "[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"
#define TAG "[A-Za-z0-9_][A-Za-z0-9_\\-+.]*"
#define STORAGE_ID "[A-Za-z][A-Za-z0-9\\-_.]*[A-Za-z0-9]"
#define DATE "now|\\d{4}-\\d{1,2}-\\d{1,2}(T\\d{1,2}:\\d{1,2}:\\d{1,2})?"

/* clang-format off */
const GuestKey guest_keys[] = {
    /* name         count  type              properties           apply                 effect  privilege */
    { "acpi",          0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .standard = "1", .doc = "ACPI." },
    { "affinity",      0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .pattern = "\\d+(-\\d+)?(,\\d+(-\\d+)?)*", .doc = "Host CPUs that the guest's threads may use." },
    { "agent",         0, GUEST_PROPERTIES, guest_agent_rows,    GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .doc = "Guest agent." },
    { "allow-ksm",     0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Memory", .standard = "1", .doc = "Pages may be merged with those of other guests." },
    { "amd-sev",       0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .doc = "Confidential guest (AMD)." },
    { "arch",          0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .words = "x86_64 aarch64", .doc = "Architecture." },
    { "args",          0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  ROOT_ONLY, .doc = "Further arguments of QEMU, split as a shell does." },
    { "audio",         1, GUEST_PROPERTIES, guest_audio_rows,    GUEST_APPLY_PENDING,  false, "VM.Config.HWType", .doc = "Sound card." },
    { "autostart",     0, GUEST_BOOL,       NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Options", .standard = "0", .doc = "Ignored." },
    { "balloon",       0, GUEST_INT,        NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Memory", .max = 4194304, .doc = "Lower bound of memory in MiB; 0: no balloon." },
    { "bios",          0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .words = "seabios ovmf", .standard = "seabios", .doc = "Firmware." },
    { "boot",          0, GUEST_PROPERTIES, guest_boot_rows,     GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .doc = "Boot order." },
    { "bootdisk",      0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .pattern = "(ide|sata|scsi|virtio)\\d+", .doc = "Old: disk of the legacy boot order." },
    { "cicustom",      0, GUEST_PROPERTIES, guest_cicustom_rows, GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: files in place of the generated ones." },
    { "cipassword",    0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: password." },
    { "citype",        0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .words = "configdrive2 nocloud opennebula", .doc = "Cloud-init: format." },
    { "ciupgrade",     0, GUEST_BOOL,       NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .standard = "1", .doc = "Cloud-init: upgrade packages." },
    { "ciuser",        0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: user." },
    { "cores",         0, GUEST_INT,        NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.CPU", .min = 1, .max = 8192, .standard = "1", .doc = "Cores of a socket." },
    { "cpu",           0, GUEST_PROPERTIES, guest_cpu_rows,      GUEST_APPLY_PENDING,  true,  "VM.Config.CPU", .doc = "CPU model." },
    { "cpulimit",      0, GUEST_NUMBER,     NULL,                GUEST_APPLY_PENDING,  false, "VM.Config.CPU", .min = 0, .max = 128, .standard = "0", .doc = "Limit in CPUs." },
    { "cpuunits",      0, GUEST_INT,        NULL,                GUEST_APPLY_PENDING,  false, "VM.Config.CPU", .min = 1, .max = 262144, .standard = "100", .doc = "Weight against other guests." },
    { "description",   0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      true,  "VM.Config.Options", .max_length = 8192, .doc = "Text for people." },
    { "digest",        0, GUEST_STRING,     NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Not a key of the file." },
    { "efidisk",       1, GUEST_PROPERTIES, guest_efidisk_rows,  GUEST_APPLY_PENDING,  false, "VM.Config.Disk", .doc = "Variables of OVMF." },
    { "freeze",        0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.PowerMgmt", .doc = "Start with stopped CPUs." },
    { "hookscript",    0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, ROOT_ONLY, .doc = "Script that is told of start and stop." },
    { "hostpci",      16, GUEST_PROPERTIES, guest_hostpci_rows,  GUEST_APPLY_PENDING,  false, "VM.Config.HWType", .doc = "Device of the host." },
    { "hotplug",       0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.HWType", .pattern = "[01]|(network|disk|cpu|memory|usb|cloudinit)(,(network|disk|cpu|memory|usb|cloudinit))*", .standard = "network,disk,usb", .doc = "What may be plugged while it runs." },
    { "hugepages",     0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .words = "any 2 1024", .doc = "Huge pages." },
    { "ide",           4, GUEST_PROPERTIES, guest_disk_rows,     GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .doc = "IDE disk or CD." },
    { "intel-tdx",     0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .doc = "Confidential guest (Intel)." },
    { "ipconfig",     32, GUEST_PROPERTIES, guest_ipconfig_rows, GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: address." },
    { "ivshmem",       0, GUEST_PROPERTIES, guest_ivshmem_rows,  GUEST_APPLY_PENDING,  false, ROOT_ONLY, .doc = "Memory shared between guests." },
    { "keephugepages", 0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .standard = "0", .doc = "Keep huge pages after stop." },
    { "keyboard",      0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .words = KEYMAPS, .doc = "Keyboard of VNC." },
    { "kvm",           0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .standard = "1", .doc = "Hardware virtualization; 0: emulation." },
    { "localtime",     0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .doc = "The clock shows local time." },
    { "lock",          0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      true,  ROOT_ONLY, .words = "backup clone create migrate rollback snapshot snapshot-delete suspending suspended", .doc = "Operation under way." },
    { "machine",       0, GUEST_PROPERTIES, guest_machine_rows,  GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .doc = "Machine type." },
    { "memory",        0, GUEST_PROPERTIES, guest_memory_rows,   GUEST_APPLY_PENDING,  true,  "VM.Config.Memory", .standard = "512", .doc = "Memory in MiB." },
    { "meta",          0, GUEST_STRING,     NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "QEMU version and time of creation." },
    { "migrate_downtime", 0, GUEST_NUMBER,  NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Options", .max = 1e6, .standard = "0.1", .doc = "Seconds of downtime allowed in migration." },
    { "migrate_speed", 0, GUEST_INT,        NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Options", .max = 1e9, .standard = "0", .doc = "MiB/s in migration; 0: no limit." },
    { "name",          0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      true,  "VM.Config.Options", .pattern = DNS_NAME, .doc = "Name." },
    { "nameserver",    0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: DNS servers." },
    { "net",          32, GUEST_PROPERTIES, guest_net_rows,      GUEST_APPLY_PENDING,  true,  "VM.Config.Network", .doc = "Network card." },
    { "numa",          0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.CPU", .standard = "0", .doc = "NUMA." },
    { "numa",          8, GUEST_PROPERTIES, guest_numa_rows,     GUEST_APPLY_PENDING,  false, "VM.Config.CPU", .doc = "NUMA node." },
    { "onboot",        0, GUEST_BOOL,       NULL,                GUEST_APPLY_NOW,      true,  "VM.Config.Options", .standard = "0", .doc = "Started with the node." },
    { "ostype",        0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .words = OS_TYPES, .standard = "other", .doc = "Operating system." },
    { "parallel",      3, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  false, ROOT_ONLY, .pattern = "/dev/parport\\d+|/dev/usb/lp\\d+", .doc = "Parallel port." },
    { "parent",        0, GUEST_STRING,     NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Snapshot that this state comes from." },
    { "protection",    0, GUEST_BOOL,       NULL,                GUEST_APPLY_NOW,      true,  "VM.Config.Options", .standard = "0", .doc = "Neither the guest nor its disks can be removed." },
    { "reboot",        0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .standard = "1", .doc = "The guest may reboot; 0: it ends instead." },
    { "rng",           1, GUEST_PROPERTIES, guest_rng_rows,      GUEST_APPLY_PENDING,  false, "VM.Config.HWType", .doc = "Random numbers." },
    { "running-nets-host-mtu", 0, GUEST_STRING, NULL,            GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Of a saved state." },
    { "runningcpu",    0, GUEST_STRING,     NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Of a saved state." },
    { "runningmachine", 0, GUEST_STRING,    NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Of a saved state." },
    { "sata",          6, GUEST_PROPERTIES, guest_disk_rows,     GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .doc = "SATA disk or CD." },
    { "scsi",         31, GUEST_PROPERTIES, guest_disk_rows,     GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .doc = "SCSI disk or CD." },
    { "scsihw",        0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .words = "lsi lsi53c810 virtio-scsi-pci virtio-scsi-single megasas pvscsi", .standard = "lsi", .doc = "SCSI controller." },
    { "searchdomain",  0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: DNS domain." },
    { "serial",        4, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .pattern = "/dev/.+|socket", .doc = "Serial port." },
    { "shares",        0, GUEST_INT,        NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Memory", .min = 0, .max = 50000, .standard = "1000", .doc = "Weight of automatic ballooning." },
    { "smbios1",       0, GUEST_PROPERTIES, guest_smbios_rows,   GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .max_length = 512, .doc = "SMBIOS fields." },
    { "snaptime",      0, GUEST_INT,        NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Time of the snapshot." },
    { "sockets",       0, GUEST_INT,        NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.CPU", .min = 1, .max = 64, .standard = "1", .doc = "CPU sockets." },
    { "spice_enhancements", 0, GUEST_PROPERTIES, guest_spice_rows, GUEST_APPLY_PENDING, false, ROOT_ONLY, .doc = "SPICE." },
    { "sshkeys",       0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Cloudinit|VM.Config.Network", .doc = "Cloud-init: public keys, percent-encoded." },
    { "startdate",     0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .pattern = DATE, .standard = "now", .doc = "Date of the clock at start." },
    { "startup",       0, GUEST_PROPERTIES, guest_startup_rows,  GUEST_APPLY_NOW,      true,  "VM.Config.Options", .doc = "Order and delays of start and shutdown." },
    { "tablet",        0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .standard = "1", .doc = "USB tablet as pointer." },
    { "tags",          0, GUEST_STRING,     NULL,                GUEST_APPLY_NOW,      true,  "VM.Config.Options", .pattern = "(?i)(" TAG ")?([,; ]+(" TAG "))*[,; ]*", .doc = "Tags." },
    { "tdf",           0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .standard = "0", .doc = "Correct time drift." },
    { "template",      0, GUEST_BOOL,       NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.Options", .standard = "0", .doc = "A template; cannot start." },
    { "tpmstate",      1, GUEST_PROPERTIES, guest_tpm_rows,      GUEST_APPLY_PENDING,  false, "VM.Config.Disk", .doc = "State of the TPM." },
    { "unused",      256, GUEST_PROPERTIES, guest_unused_rows,   GUEST_APPLY_NOW,      true,  "VM.Config.Disk", .doc = "Volume that is owned but not attached." },
    { "usb",          14, GUEST_PROPERTIES, guest_usb_rows,      GUEST_APPLY_PENDING,  false, "VM.Config.HWType", .doc = "USB device." },
    { "vcpus",         0, GUEST_INT,        NULL,                GUEST_APPLY_PENDING,  true,  "VM.Config.CPU", .min = 1, .max = 8192, .doc = "CPUs that are plugged in at start." },
    { "vga",           0, GUEST_PROPERTIES, guest_vga_rows,      GUEST_APPLY_PENDING,  true,  "VM.Config.HWType", .doc = "Display." },
    { "virtio",       16, GUEST_PROPERTIES, guest_disk_rows,     GUEST_APPLY_PENDING,  true,  "VM.Config.Disk", .doc = "virtio disk." },
    { "virtiofs",     10, GUEST_PROPERTIES, guest_virtiofs_rows, GUEST_APPLY_PENDING,  false, "VM.Config.Disk", .doc = "Folder shared with the host." },
    { "vmgenid",       0, GUEST_STRING,     NULL,                GUEST_APPLY_PENDING,  true,  ROOT_ONLY, .pattern = UUID "|[01]", .doc = "Generation id; 1 makes one, 0: none." },
    { "vmstate",       0, GUEST_STRING,     NULL,                GUEST_APPLY_INTERNAL, true,  ROOT_ONLY, .doc = "Volume of a saved state." },
    { "vmstatestorage", 0, GUEST_STRING,    NULL,                GUEST_APPLY_NOW,      false, "VM.Config.Disk", .pattern = STORAGE_ID, .doc = "Storage for saved states." },
    { "watchdog",      0, GUEST_PROPERTIES, guest_watchdog_rows, GUEST_APPLY_PENDING,  false, "VM.Config.HWType", .doc = "Watchdog of the guest." },
    { NULL },
};
/* clang-format on */

bool
guest_vmid_is_valid(uint32_t vmid)
{
    return vmid >= 100 && vmid <= 999999999;
}

bool
guest_key_is_disk(const GuestKey *key)
{
    return key->properties == guest_disk_rows;
}

const GuestKey *
guest_key_find(const char *name, int *index)
{
    size_t length = strlen(name);

    /* "smbios1" is a key of its own, so whole names come first. */
    for (const GuestKey *key = guest_keys; key->name != NULL; key++) {
        if (key->count == 0 && strcmp(key->name, name) == 0) {
            if (index != NULL) {
                *index = 0;
            }
            return key;
        }
    }
    while (length > 0 && g_ascii_isdigit(name[length - 1])) {
        length--;
    }
    const char *digits = name + length;
    guint64 number;
    if (*digits == '\0' || (digits[0] == '0' && digits[1] != '\0')
        || !g_ascii_string_to_unsigned(digits, 10, 0, 1000, &number, NULL)) {
        return NULL;
    }
    for (const GuestKey *key = guest_keys; key->name != NULL; key++) {
        if (number < (guint64)key->count && strlen(key->name) == length
            && strncmp(key->name, name, length) == 0) {
            if (index != NULL) {
                *index = number;
            }
            return key;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ checking */

static char *
check_number(const GuestKey *key, const char *value, QPropertyCheck check, GError **error)
{
    bool integer = key->type == GUEST_INT;
    gint64 whole = 0;
    char *end = NULL;
    double number = g_ascii_strtod(value, &end);

    if (integer ? !g_ascii_string_to_signed(value, 10, G_MININT64, G_MAXINT64, &whole, NULL)
                : (end == value || *end != '\0' || strpbrk(value, "xXnN") != NULL)) {
        q_set_error(error, Q_ERROR_INVALID, "type check ('%s') failed - got '%s'",
                    integer ? "integer" : "number", value);
        return NULL;
    }
    if (check == Q_PROPERTY_STRICT && (key->min != 0 || key->max != 0)) {
        if (number < key->min) {
            q_set_error(error, Q_ERROR_INVALID, "value must have a minimum value of %g", key->min);
            return NULL;
        }
        if (number > key->max) {
            q_set_error(error, Q_ERROR_INVALID, "value must have a maximum value of %.0f",
                        key->max);
            return NULL;
        }
    }
    return integer ? g_strdup_printf("%" G_GINT64_FORMAT, whole) : g_strdup(value);
}

static bool
check_text(const GuestKey *key, const char *value, GError **error)
{
    if (key->words != NULL && !q_is_word_of(key->words, value)) {
        g_auto(GStrv) words = g_strsplit(key->words, " ", -1);
        g_autofree char *list = g_strjoinv(", ", words);
        return q_set_error(error, Q_ERROR_INVALID,
                           "value '%s' does not have a value in the enumeration '%s'", value, list);
    }
    if (key->pattern != NULL && !q_matches(key->pattern, value)) {
        return q_set_error(error, Q_ERROR_INVALID, "value does not match the regex pattern: '%s'",
                           value);
    }
    if (key->max_length > 0 && g_utf8_strlen(value, -1) > key->max_length) {
        return q_set_error(error, Q_ERROR_INVALID, "value may only be %d characters long",
                           key->max_length);
    }
    return true;
}

/* What cannot be said by a row: limits that need each other, drives that contradict themselves. */
static bool
check_drive(const QPropertyString *drive, bool is_virtio, GError **error)
{
    static const char *const limits[] = {
        "mbps", "mbps_rd", "mbps_wr", "iops", "iops_rd", "iops_wr"
    };
    bool cdrom = g_strcmp0(q_property_get(drive, "media", NULL), "cdrom") == 0;

    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autofree char *max = g_strconcat(limits[i], "_max", NULL);
        g_autofree char *length = g_strdup_printf(
            "%s%s_max_length", g_str_has_prefix(limits[i], "mbps") ? "bps" : "iops", limits[i] + 4);

        if (q_property_get(drive, max, NULL) != NULL
            && q_property_get(drive, limits[i], NULL) == NULL) {
            return q_set_error(error, Q_ERROR_INVALID, "'%s' requires '%s'", max, limits[i]);
        }
        if (q_property_get(drive, length, NULL) != NULL
            && q_property_get(drive, max, NULL) == NULL) {
            return q_set_error(error, Q_ERROR_INVALID, "'%s' requires '%s'", length, max);
        }
    }
    for (int i = 0; i < 6; i += 3) {
        if (q_property_get(drive, limits[i], NULL) != NULL
            && (q_property_get(drive, limits[i + 1], NULL) != NULL
                || q_property_get(drive, limits[i + 2], NULL) != NULL)) {
            return q_set_error(error, Q_ERROR_INVALID,
                               "'%s' cannot be combined with limits for reads or writes alone",
                               limits[i]);
        }
    }
    if (cdrom && is_virtio) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "a CD-ROM drive cannot be on virtio: use ide, sata or scsi");
    }
    if (cdrom
        && (q_property_get(drive, "format", NULL) != NULL
            || q_property_get(drive, "snapshot", NULL) != NULL)) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "a CD-ROM drive has neither 'format' nor 'snapshot'");
    }
    return true;
}

static bool
check_properties(const GuestKey *key, const QPropertyString *string, GError **error)
{
    if (guest_key_is_disk(key)) {
        return check_drive(string, strcmp(key->name, "virtio") == 0, error);
    }
    if (key->properties == guest_boot_rows) {
        const char *order = q_property_get(string, "order", "");

        return (strstr(order, "efidisk") == NULL && strstr(order, "tpmstate") == NULL)
               || q_set_error(error, Q_ERROR_INVALID, "'%s' cannot be booted from", order);
    }
    return true;
}

char *
guest_key_check(const GuestKey *key, const char *value, QPropertyCheck check, GError **error)
{
    bool yes;

    switch (key->type) {
    case GUEST_BOOL:
        if (!q_parse_bool(value, &yes)) {
            q_set_error(error, Q_ERROR_INVALID, "type check ('boolean') failed - got '%s'", value);
            return NULL;
        }
        return g_strdup(yes ? "1" : "0");
    case GUEST_INT:
    case GUEST_NUMBER:
        return check_number(key, value, check, error);
    case GUEST_PROPERTIES: {
        g_autoptr(QPropertyString) string =
            q_property_string_parse(key->properties, value, check, error);

        if (string == NULL) {
            return NULL;
        }
        if (!check_properties(key, string, error)
            || (check == Q_PROPERTY_STRICT && !check_text(key, value, error))) {
            return NULL;
        }
        return g_strdup(value);
    }
    default:
        if (check == Q_PROPERTY_STRICT && !check_text(key, value, error)) {
            return NULL;
        }
        return g_strdup(value);
    }
}
