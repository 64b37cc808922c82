#include "guest/core/qemu_priv.h"
#include <string.h>

/* Name in the configuration, QEMU's device, its property for memory in MiB. */
/* clang-format off */
static const struct {
    const char *type, *device, *memory;
} cards[] = {
    { "std",       "VGA",           "vgamem_mb" },
    { "cirrus",    "cirrus-vga",    "vgamem_mb" },
    { "vmware",    "vmware-svga",   "vgamem_mb" },
    { "qxl",       "qxl-vga",       "vgamem_mb" },
    { "virtio",    "virtio-vga",    NULL },
    { "virtio-gl", "virtio-vga-gl", NULL },
};
/* clang-format on */

static bool
add_card(QemuBuild *build, const char *type, int64_t memory, GError **error)
{
    bool is_qxl = g_str_has_prefix(type, "qxl");
    g_autofree char *address = qemu_address(build, "vga");

    for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
        if (strcmp(cards[i].type, is_qxl ? "qxl" : type) == 0) {
            g_autofree char *size =
                memory > 0 && cards[i].memory != NULL
                    ? g_strdup_printf(",%s=%" G_GINT64_FORMAT, cards[i].memory, memory)
                    : g_strdup("");
            bool no_edid = strcmp(type, "std") == 0 && build->windows > 0;

            if (is_qxl && type[3] != '\0') {
                qemu_note(build, "vga: '%s' is shown with one screen", type);
            }
            qemu_add(build, "-device", "%s,id=vga%s,%s%s", cards[i].device, size, address,
                     no_edid ? ",edid=off" : "");
            return true;
        }
    }
    return q_set_error(error, Q_ERROR_INVALID, "vga: there is no card '%s'", type);
}

static void
add_balloon(QemuBuild *build)
{
    if (guest_get_int(build->section, "balloon", 1) != 0) {
        g_autofree char *address = qemu_address(build, "balloon0");
        bool reporting = guest_machine_since(&build->machine, 6, 2, 0);

        qemu_add(build, "-device", "virtio-balloon-pci,id=balloon0,%s%s", address,
                 reporting ? ",free-page-reporting=on" : "");
    }
}

bool
qemu_add_display(QemuBuild *build, GError **error)
{
    g_autoptr(GError) bad = NULL;
    g_autoptr(QPropertyString) vga = guest_get_properties(build->section, "vga", &bad);
    const char *standard = build->windows > 0 && build->windows < 6 ? "cirrus" : "std";
    const char *type = vga != NULL ? q_property_get(vga, "type", standard) : standard;
    bool headless = strcmp(type, "none") == 0 || g_str_has_prefix(type, "serial");
    const char *keyboard = guest_get(build->section, "keyboard");

    if (bad != NULL) {
        g_propagate_error(error, g_steal_pointer(&bad));
        return false;
    }
    if (g_str_has_prefix(type, "serial") && guest_get(build->section, type) == NULL) {
        return q_set_error(error, Q_ERROR_INVALID, "vga: '%s' needs the key '%s'", type, type);
    }
    if (headless) {
        qemu_add(build, "-display", "none");
        qemu_machine_option(build,
                            "smm=off"); /* SeaBIOS without a screen hangs in it on some hosts */
    } else {
        qemu_add(build, "-vnc", "unix:%s/%u.vnc,password=on", build->host->run_dir, build->vmid);
        if (keyboard != NULL) {
            qemu_add(build, "-k", "%s", keyboard);
        }
        if (!add_card(build, type, vga != NULL ? q_property_int(vga, "memory", 0) : 0, error)) {
            return false;
        }
    }
    if (guest_get_bool(build->section, "tablet", !headless && !g_str_has_prefix(type, "qxl"))) {
        qemu_add(build, "-device", "usb-tablet,id=tablet,bus=%s.0,port=1",
                 build->machine.q35 ? "ehci" : "uhci");
    }
    add_balloon(build);
    return true;
}

static char *
smbios_value(const QPropertyString *smbios, const char *name, GError **error)
{
    const char *text = q_property_get(smbios, name, NULL);
    gsize length = 0;

    if (text == NULL) {
        return g_strdup("");
    }
    if (strcmp(name, "uuid") == 0 || !q_property_bool(smbios, "base64", false)) {
        return g_strdup(text);
    }
    g_autofree char *padded =
        g_strdup_printf("%s%s", text, &"==="[MIN(3, 3 - (4 - strlen(text) % 4) % 4)]);
    g_autofree guchar *bytes = g_base64_decode(padded, &length);
    g_autofree char *plain = g_strndup((const char *)bytes, length);
    if (length == 0 || strlen(plain) != length || !g_utf8_validate(plain, -1, NULL)) {
        q_set_error(error, Q_ERROR_INVALID, "smbios1: %s is no base64 text", name);
        return NULL;
    }
    return g_steal_pointer(&plain);
}

bool
qemu_add_smbios(QemuBuild *build, GError **error)
{
    static const char *const names[] = { "uuid",    "version", "serial", "manufacturer",
                                         "product", "sku",     "family" };
    g_autoptr(GError) bad = NULL;
    g_autoptr(QPropertyString) smbios = guest_get_properties(build->section, "smbios1", &bad);
    const char *generation = guest_get(build->section, "vmgenid");
    g_autoptr(GString) text = g_string_new("type=1");

    if (bad != NULL) {
        g_propagate_error(error, g_steal_pointer(&bad));
        return false;
    }
    for (size_t i = 0; smbios != NULL && i < G_N_ELEMENTS(names); i++) {
        g_autofree char *value = smbios_value(smbios, names[i], error);
        if (value == NULL) {
            return false;
        }
        if (*value != '\0') {
            g_autofree char *doubled = qemu_comma(value);
            g_string_append_printf(text, ",%s=%s", names[i], doubled);
        }
    }
    if (smbios != NULL) {
        qemu_add(build, "-smbios", "%s", text->str);
    }
    if (generation != NULL && strcmp(generation, "0") != 0 && strcmp(generation, "1") != 0) {
        qemu_add(build, "-device", "vmgenid,guid=%s", generation);
    }
    return true;
}
