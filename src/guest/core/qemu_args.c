#include "guest/core/qemu_args.h"
#include <string.h>
#include "base/sorted.h"
#include "guest/core/qemu_priv.h"
#include "guest/core/shell_split.h"

/* ------------------------------------------------------------------ building */

void
qemu_add(QemuBuild *build, const char *option, const char *format, ...)
{
    va_list args;

    g_ptr_array_add(build->command->argv, g_strdup(option));
    if (format != NULL) {
        va_start(args, format);
        g_ptr_array_add(build->command->argv, g_strdup_vprintf(format, args));
        va_end(args);
    }
}

void
qemu_note(QemuBuild *build, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(build->command->notes, g_strdup_vprintf(format, args));
    va_end(args);
}

void
qemu_machine_option(QemuBuild *build, const char *option)
{
    g_string_append_printf(build->machine_options, ",%s", option);
}

char *
qemu_comma(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    return g_strjoinv(",,", parts);
}

char *
qemu_boot_index(QemuBuild *build, const char *id)
{
    gpointer index;

    return g_hash_table_lookup_extended(build->boot, id, NULL, &index)
               ? g_strdup_printf(",bootindex=%d", GPOINTER_TO_INT(index))
               : g_strdup("");
}

static void
add_bridge(QemuBuild *build, const char *name)
{
    g_autofree char *address = guest_pci_address(name, &build->machine);
    int number = name[strlen("pci.")] - '0';

    qemu_add(build, "-device", "pci-bridge,id=%s,chassis_nr=%d,%s", name,
             number + build->machine.q35, address);
    g_hash_table_add(build->bridges, g_strdup(name));
}

char *
qemu_address(QemuBuild *build, const char *name)
{
    const char *bridge = guest_pci_bridge(name, &build->machine);

    if (bridge != NULL && !g_hash_table_contains(build->bridges, bridge)) {
        add_bridge(build, bridge);
    }
    return guest_pci_address(name, &build->machine);
}

/* ------------------------------------------------------------------ the board */

/* Two sets of USB 2 controllers, four root ports, and the bridges behind which everything keeps the
 * names and slots that it has on i440fx. */
static void
add_q35_board(QemuBuild *build)
{
    /* clang-format off */
    static const struct { const char *id, *driver, *place; } usb[] = {
        { "uhci-1", "ich9-usb-uhci1", "masterbus=ehci.0,firstport=0,bus=pcie.0,addr=0x1d.0x0" },
        { "uhci-2", "ich9-usb-uhci2", "masterbus=ehci.0,firstport=2,bus=pcie.0,addr=0x1d.0x1" },
        { "uhci-3", "ich9-usb-uhci3", "masterbus=ehci.0,firstport=4,bus=pcie.0,addr=0x1d.0x2" },
        { "uhci-4", "ich9-usb-uhci4", "masterbus=ehci-2.0,firstport=0,bus=pcie.0,addr=0x1a.0x0" },
        { "uhci-5", "ich9-usb-uhci5", "masterbus=ehci-2.0,firstport=2,bus=pcie.0,addr=0x1a.0x1" },
        { "uhci-6", "ich9-usb-uhci6", "masterbus=ehci-2.0,firstport=4,bus=pcie.0,addr=0x1a.0x2" },
    };
    /* clang-format on */
    qemu_add(build, "-device", "ich9-usb-ehci1,id=ehci,multifunction=on,bus=pcie.0,addr=0x1d.0x7");
    qemu_add(build, "-device",
             "ich9-usb-ehci2,id=ehci-2,multifunction=on,bus=pcie.0,addr=0x1a.0x7");
    for (size_t i = 0; i < G_N_ELEMENTS(usb); i++) {
        qemu_add(build, "-device", "%s,id=%s,multifunction=on,%s", usb[i].driver, usb[i].id,
                 usb[i].place);
    }
    qemu_add(build, "-device", "ich9-intel-hda,id=audio0,bus=pcie.0,addr=0x1b");
    for (int port = 1; port <= 4; port++) {
        qemu_add(build, "-device",
                 "pcie-root-port,id=ich9-pcie-port-%d,x-speed=16,x-width=32,multifunction=on,"
                 "bus=pcie.0,addr=0x1c.0x%x,port=%d,chassis=%d",
                 port, port - 1, port, port);
    }
    g_autofree char *address = guest_pci_address("pcidmi", &build->machine);
    qemu_add(build, "-device", "i82801b11-bridge,id=pcidmi,%s", address);
    for (int i = 0; i <= 3; i++) {
        g_autofree char *name = g_strdup_printf("pci.%d", i);
        add_bridge(build, name);
    }
}

static void
add_board(QemuBuild *build)
{
    if (build->machine.q35) {
        add_q35_board(build);
        return;
    }
    g_autofree char *address = guest_pci_address("uhci", &build->machine);
    add_bridge(build, "pci.1");
    add_bridge(build, "pci.2");
    qemu_add(build, "-device", "piix3-usb-uhci,id=uhci,%s", address);
}

static void
add_machine(QemuBuild *build)
{
    const GuestMachine *machine = &build->machine;
    const char *ostype = guest_get(build->section, "ostype");
    g_autoptr(QPropertyString) wanted = guest_get_properties(build->section, "machine", NULL);
    bool sleep_off = guest_machine_since(machine, 9, 2, 1);
    const char *power = machine->q35 ? "ICH9-LPC" : "PIIX4_PM";

    if (!guest_get_bool(build->section, "acpi", true)) {
        qemu_machine_option(build, "acpi=off");
    }
    if (build->windows >= 6
        || (g_strcmp0(ostype, "l26") == 0 && guest_machine_since(machine, 10, 1, 0))) {
        qemu_machine_option(build, "hpet=off");
    }
    if (!guest_get_bool(build->section, "allow-ksm", true)) {
        qemu_machine_option(build, "mem-merge=off");
    }
    if (wanted == NULL || !q_property_bool(wanted, "enable-s3", !sleep_off)) {
        if (sleep_off || wanted != NULL) {
            qemu_add(build, "-global", "%s.disable_s3=1", power);
        }
    }
    if (wanted == NULL || !q_property_bool(wanted, "enable-s4", !sleep_off)) {
        if (sleep_off || wanted != NULL) {
            qemu_add(build, "-global", "%s.disable_s4=1", power);
        }
    }
    qemu_add(build, "-machine", "type=%s%s", machine->type, build->machine_options->str);
    build->command->machine = g_strdup(machine->type);
}

static void
add_accelerator(QemuBuild *build)
{
    bool wanted = guest_get_bool(build->section, "kvm", true);

    build->command->kvm = wanted && build->host->kvm;
    if (wanted && !build->host->kvm) {
        qemu_note(
            build,
            "KVM does not work on node '%s': running with emulation (TCG), which is much slower",
            build->host->node);
    } else if (!wanted) {
        qemu_note(build, "kvm: 0 is set: running with emulation (TCG)");
    }
    qemu_add(build, "-accel", "%s", build->command->kvm ? "kvm" : "tcg");
}

/* ------------------------------------------------------------------ control channels */

static void
add_control(QemuBuild *build)
{
    g_autofree char *name = guest_config_name(build->section, build->vmid);
    const char *given = guest_get(build->section, "name");
    const char *dir = build->host->run_dir;
    uint32_t vmid = build->vmid;

    if (given == NULL) {
        g_free(name);
        name = g_strdup_printf("vm%u", vmid);
    }
    qemu_add(build, "-name", "guest=%s,debug-threads=on", name);
    qemu_add(build, "-no-user-config", NULL);
    qemu_add(build, "-nodefaults", NULL);
    qemu_add(build, "-no-shutdown", NULL);
    qemu_add(build, "-S", NULL);
    qemu_add(build, "-chardev", "socket,id=qmp,path=%s/%u.qmp,server=on,wait=off", dir, vmid);
    qemu_add(build, "-mon", "chardev=qmp,mode=control");
    qemu_add(build, "-chardev", "socket,id=qmp-own,path=%s/%u.qmp-own,server=on,wait=off", dir,
             vmid);
    qemu_add(build, "-mon", "chardev=qmp-own,mode=control");
    qemu_add(build, "-chardev", "socket,id=qmp-events,path=%s/%u.qmp-events,server=on,wait=off",
             dir, vmid);
    qemu_add(build, "-mon", "chardev=qmp-events,mode=control");
    qemu_add(build, "-pidfile", "%s/%u.pid", dir, vmid);
}

/* The firmware waits for somebody to press ESC, 2.5 s unless told: one second is enough for a
 * hand on the key, and nobody is there without a screen or where a kernel is given. */
static void
add_boot(QemuBuild *build)
{
    const char *args = guest_get(build->section, "args");
    g_autoptr(QPropertyString) vga = guest_get_properties(build->section, "vga", NULL);
    const char *type = vga != NULL ? q_property_get(vga, "type", "std") : "std";
    bool nobody = strcmp(type, "none") == 0 || g_str_has_prefix(type, "serial")
                  || (args != NULL && strstr(args, "-kernel") != NULL);

    qemu_add(build, "-boot", "menu=on,strict=on,reboot-timeout=1000,splash-time=%d",
             nobody ? 0 : 1000);
}

static bool
add_serial(QemuBuild *build, GError **error)
{
    for (int n = 0; n < 4; n++) {
        g_autofree char *key = g_strdup_printf("serial%d", n);
        const char *value = guest_get(build->section, key);

        if (value == NULL) {
            continue;
        }
        if (strcmp(value, "socket") == 0) {
            qemu_add(build, "-chardev", "socket,id=%s,path=%s/%u.%s,server=on,wait=off", key,
                     build->host->run_dir, build->vmid, key);
        } else if (g_str_has_prefix(value, "/dev/")) {
            g_autofree char *path = qemu_comma(value);
            qemu_add(build, "-chardev", "serial,id=%s,path=%s", key, path);
        } else {
            return q_set_error(error, Q_ERROR_INVALID, "%s: '%s' is neither 'socket' nor a device",
                               key, value);
        }
        qemu_add(build, "-device", "isa-serial,chardev=%s,id=%s-port,index=%d", key, key, n);
    }
    return true;
}

static bool
add_agent(QemuBuild *build, GError **error)
{
    g_autoptr(GError) bad = NULL;
    g_autoptr(QPropertyString) agent = guest_get_properties(build->section, "agent", &bad);

    if (bad != NULL) {
        g_propagate_error(error, g_steal_pointer(&bad));
        return false;
    }
    if (agent == NULL || !q_property_bool(agent, "enabled", false)) {
        return true;
    }
    qemu_add(build, "-chardev", "socket,id=qga0,path=%s/%u.qga,server=on,wait=off",
             build->host->run_dir, build->vmid);
    if (strcmp(q_property_get(agent, "type", "virtio"), "isa") == 0) {
        qemu_add(build, "-device", "isa-serial,chardev=qga0");
        return true;
    }
    g_autofree char *address = qemu_address(build, "qga0");
    qemu_add(build, "-device", "virtio-serial,id=qga0,%s", address);
    qemu_add(build, "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0");
    return true;
}

static void
add_clock(QemuBuild *build)
{
    const char *date = guest_get(build->section, "startdate");
    g_autoptr(GPtrArray) parts = g_ptr_array_new_with_free_func(g_free);

    if (guest_get_bool(build->section, "tdf",
                       build->windows >= 5 && guest_get_bool(build->section, "acpi", true))) {
        g_ptr_array_add(parts, g_strdup("driftfix=slew"));
    }
    if (date != NULL && strcmp(date, "now") != 0) {
        g_ptr_array_add(parts, g_strdup_printf("base=%s", date));
    } else if (guest_get_bool(build->section, "localtime", build->windows >= 5)) {
        g_ptr_array_add(parts, g_strdup("base=localtime"));
    }
    if (parts->len > 0) {
        g_ptr_array_add(parts, NULL);
        g_autofree char *text = g_strjoinv(",", (char **)parts->pdata);
        qemu_add(build, "-rtc", "%s", text);
    }
    if (build->windows >= 6 && build->command->kvm) {
        qemu_add(build, "-global", "kvm-pit.lost_tick_policy=discard");
    }
}

static bool
add_args(QemuBuild *build, GError **error)
{
    const char *args = guest_get(build->section, "args");
    g_autoptr(GPtrArray) words = args != NULL ? guest_shell_split(args, error) : NULL;

    if (args == NULL) {
        return true;
    }
    if (words == NULL) {
        return q_prefix_error(error, "args: ");
    }
    for (guint i = 0; i < words->len; i++) {
        g_ptr_array_add(build->command->argv, g_strdup(words->pdata[i]));
    }
    return true;
}

/* ------------------------------------------------------------------ what is refused or said */

static bool
check_supported(QemuBuild *build, GError **error)
{
    /* To leave these out would start another computer than the one that was described. */
    static const char *const refused[] = { "amd-sev", "intel-tdx" };
    g_autoptr(GPtrArray) keys = guest_section_keys(build->section);
    const char *arch = guest_get(build->section, "arch");

    if (g_strcmp0(guest_get(build->section, "bios"), "ovmf") == 0) {
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "bios: 'ovmf' is not supported yet, use 'seabios'");
    }
    if (arch != NULL && strcmp(arch, "x86_64") != 0) {
        return q_set_error(error, Q_ERROR_UNSUPPORTED, "arch: '%s' is not supported, only x86_64",
                           arch);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        if (guest_get(build->section, refused[i]) != NULL) {
            return q_set_error(error, Q_ERROR_UNSUPPORTED,
                               "%s: confidential guests are not supported", refused[i]);
        }
    }
    for (guint i = 0; i < keys->len; i++) {
        const GuestKey *key = guest_key_find(keys->pdata[i], NULL);

        if (key == NULL) {
            qemu_note(build, "unknown key '%s' is kept, but has no effect", (char *)keys->pdata[i]);
        } else if (!key->effect && key->apply == GUEST_APPLY_PENDING) {
            qemu_note(build, "%s is kept, but has no effect yet", (char *)keys->pdata[i]);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ all of it */

static bool
build_all(QemuBuild *build, GError **error)
{
    if (!check_supported(build, error)) {
        return false;
    }
    add_control(build);
    if (!qemu_add_smbios(build, error)) {
        return false;
    }
    add_boot(build);
    add_accelerator(build);
    if (!qemu_add_cpu(build, error) || !qemu_add_memory(build, error)) {
        return false;
    }
    add_board(build);
    if (!qemu_add_display(build, error) || !add_serial(build, error) || !add_agent(build, error)
        || !qemu_add_drives(build, error) || !qemu_add_networks(build, error)) {
        return false;
    }
    add_clock(build);
    if (!guest_get_bool(build->section, "reboot", true)) {
        qemu_add(build, "-no-reboot", NULL);
    }
    add_machine(build);
    return add_args(build, error);
}

static void
port_free(gpointer data)
{
    GuestPort *port = data;

    g_free(port->id);
    g_free(port->ifname);
    g_free(port->bridge);
    g_free(port->mac);
    g_free(port);
}

GuestCommand *
guest_qemu_command(uint32_t vmid, const GuestSection *section, const GuestHost *host,
                   GError **error)
{
    g_autoptr(GuestCommand) command = g_new0(GuestCommand, 1);
    QemuBuild build = { .vmid = vmid, .section = section, .host = host, .command = command };

    command->argv = g_ptr_array_new_with_free_func(g_free);
    command->ports = g_ptr_array_new_with_free_func(port_free);
    command->links_down = g_ptr_array_new_with_free_func(g_free);
    command->notes = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(command->argv, g_strdup("qemu-system-x86_64"));
    build.windows = guest_windows_version(guest_get(section, "ostype"));
    if (!guest_machine_choose(section, host->newest_major, host->newest_minor, host->node,
                              &build.machine, error)) {
        return NULL;
    }
    g_autofree char *type = build.machine.type; /* freed with the build */
    build.drives = guest_drives(section, error);
    build.boot = build.drives != NULL ? guest_boot_indexes(section, build.drives, error) : NULL;
    build.bridges = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    build.machine_options = g_string_new(NULL);
    bool done = build.boot != NULL && build_all(&build, error);
    g_clear_pointer(&build.drives, g_ptr_array_unref);
    g_clear_pointer(&build.boot, g_hash_table_unref);
    g_hash_table_unref(build.bridges);
    g_string_free(build.machine_options, TRUE);
    return done ? g_steal_pointer(&command) : NULL;
}

void
guest_command_free(GuestCommand *command)
{
    if (command != NULL) {
        g_ptr_array_unref(command->argv);
        g_ptr_array_unref(command->ports);
        g_ptr_array_unref(command->links_down);
        g_ptr_array_unref(command->notes);
        g_free(command->machine);
        g_free(command);
    }
}

void
guest_volume_free(GuestVolume *volume)
{
    if (volume != NULL) {
        g_free(volume->path);
        g_free(volume->format);
        g_free(volume);
    }
}

static char *
quote(const char *word)
{
    return *word != '\0'
                   && word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
                                        "6789_@%+=:,./-")]
                          == '\0'
               ? g_strdup(word)
               : g_shell_quote(word);
}

char *
guest_command_text(const GuestCommand *command, bool pretty)
{
    GString *out = g_string_new(NULL);

    for (guint i = 0; i < command->argv->len; i++) {
        const char *word = command->argv->pdata[i];
        g_autofree char *quoted = quote(word);

        if (i > 0) {
            g_string_append(out, pretty && word[0] == '-' ? " \\\n  " : " ");
        }
        g_string_append(out, quoted);
    }
    return g_string_free(out, FALSE);
}
