#include "guest/core/machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ version */

void
guest_machine_clear(GuestMachine *machine)
{
    g_clear_pointer(&machine->type, g_free);
}

bool
guest_machine_since(const GuestMachine *machine, int major, int minor, int revision)
{
    if (machine->major != major) {
        return machine->major > major;
    }
    if (machine->minor != minor) {
        return machine->minor > minor;
    }
    return machine->revision >= revision;
}

int
guest_windows_version(const char *ostype)
{
    static const struct {
        const char *name;
        int version;
    } windows[] = { { "wxp", 5 },  { "w2k", 5 },  { "w2k3", 5 },   { "w2k8", 6 },  { "wvista", 6 },
                    { "win7", 7 }, { "win8", 8 }, { "win10", 10 }, { "win11", 11 } };

    for (size_t i = 0; ostype != NULL && i < G_N_ELEMENTS(windows); i++) {
        if (strcmp(windows[i].name, ostype) == 0) {
            return windows[i].version;
        }
    }
    return 0;
}

/* "creation-qemu=9.2.0,ctime=1700000000" */
static void
read_creation(const GuestSection *section, int *major, int *minor)
{
    const char *meta = guest_get(section, "meta");
    const char *version = meta != NULL ? strstr(meta, "creation-qemu=") : NULL;

    *major = *minor = 0;
    if (version != NULL) {
        char *end;
        *major = strtol(version + strlen("creation-qemu="), &end, 10);
        *minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    }
}

static void
choose_unversioned(const GuestSection *section, int newest_major, int newest_minor,
                   GuestMachine *machine)
{
    int major, minor;

    machine->major = newest_major;
    machine->minor = newest_minor;
    if (guest_windows_version(guest_get(section, "ostype")) == 0) {
        return;
    }
    /* Windows takes new hardware for a new computer: it keeps what it was installed on. */
    read_creation(section, &major, &minor);
    if (major > 9 || (major == 9 && minor >= 1)) {
        machine->major = major;
        machine->minor = minor;
    } else {
        machine->major = 5;
        machine->minor = 1;
    }
}

bool
guest_machine_choose(const GuestSection *section, int newest_major, int newest_minor,
                     const char *node, GuestMachine *machine, GError **error)
{
    g_autoptr(QPropertyString) string = guest_get_properties(section, "machine", NULL);
    const char *text = string != NULL ? q_property_get(string, "type", "pc") : "pc";
    g_autoptr(GMatchInfo) match = NULL;
    g_autoptr(GRegex) regex = g_regex_new(
        "^(pc|q35|pc-q35|pc-i440fx)(?:-(\\d+)\\.(\\d+)(?:\\.\\d+)*)?(?:\\+pve(\\d+))?(?:\\.pxe)?$",
        0, 0, NULL);

    if (!g_regex_match(regex, text, 0, &match)) {
        return q_set_error(error, Q_ERROR_INVALID, "machine type '%s' cannot run here", text);
    }
    g_autofree char *family = g_match_info_fetch(match, 1);
    g_autofree char *major = g_match_info_fetch(match, 2);
    g_autofree char *minor = g_match_info_fetch(match, 3);
    g_autofree char *revision = g_match_info_fetch(match, 4);
    GuestMachine chosen = { .q35 = strstr(family, "q35") != NULL };

    if (major != NULL && *major != '\0') {
        chosen.major = strtol(major, NULL, 10);
        chosen.minor = strtol(minor, NULL, 10);
        chosen.revision = revision != NULL ? strtol(revision, NULL, 10) : 0;
    } else {
        choose_unversioned(section, newest_major, newest_minor, &chosen);
    }
    if (chosen.major > newest_major
        || (chosen.major == newest_major && chosen.minor > newest_minor)) {
        return q_set_error(
            error, Q_ERROR_INVALID,
            "machine version %d.%d is newer than QEMU %d.%d of node '%s': upgrade QEMU there",
            chosen.major, chosen.minor, newest_major, newest_minor, node);
    }
    chosen.type =
        g_strdup_printf("pc-%s-%d.%d", chosen.q35 ? "q35" : "i440fx", chosen.major, chosen.minor);
    *machine = chosen;
    return true;
}

/* ------------------------------------------------------------------ addresses */

typedef enum { ON_BOTH, ON_I440FX, ON_Q35 } Board;

/* Where everything sits: first and last number of the family, and the slot of the first. */
/* clang-format off */
static const struct {
    const char *family;
    int first, last; /* -1: the name has no number */
    Board board;
    const char *bus;
    int slot, function; /* function -1: none */
} addresses[] = {
    { "uhci",       -1, -1, ON_I440FX, "pci.0",   1,  2 },
    { "vga",        -1, -1, ON_I440FX, "pci.0",   2, -1 },
    { "vga",        -1, -1, ON_Q35,    "pcie.0",  1, -1 },
    { "balloon",     0,  0, ON_BOTH,   "pci.0",   3, -1 },
    { "watchdog",   -1, -1, ON_BOTH,   "pci.0",   4, -1 },
    { "scsihw",      0,  1, ON_BOTH,   "pci.0",   5, -1 },
    { "ahci",        0,  0, ON_BOTH,   "pci.0",   7, -1 },
    { "qga",         0,  0, ON_BOTH,   "pci.0",   8, -1 },
    { "virtio",      0,  5, ON_BOTH,   "pci.0",  10, -1 },
    { "virtio",      6, 15, ON_BOTH,   "pci.2",   1, -1 },
    { "net",         0,  5, ON_BOTH,   "pci.0",  18, -1 },
    { "net",         6, 31, ON_BOTH,   "pci.1",   1, -1 },
    { "virtioscsi",  0, 30, ON_BOTH,   "pci.3",   1, -1 },
    { "scsihw",      2,  4, ON_BOTH,   "pci.4",   1, -1 },
    { "xhci",       -1, -1, ON_BOTH,   "pci.1",  27, -1 },
    { "rng",         0,  0, ON_BOTH,   "pci.1",  29, -1 },
    { "pci.0",      -1, -1, ON_Q35,    "pcidmi",  1, -1 },
    { "pci.1",      -1, -1, ON_I440FX, "pci.0",  30, -1 },
    { "pci.1",      -1, -1, ON_Q35,    "pcidmi",  2, -1 },
    { "pci.2",      -1, -1, ON_I440FX, "pci.0",  31, -1 },
    { "pci.2",      -1, -1, ON_Q35,    "pcidmi",  3, -1 },
    { "pci.3",      -1, -1, ON_I440FX, "pci.0",   5, -1 },
    { "pci.3",      -1, -1, ON_Q35,    "pcidmi",  4, -1 },
    { "pci.4",      -1, -1, ON_BOTH,   "pci.1",  28, -1 },
    { "pcidmi",     -1, -1, ON_Q35,    "pcie.0", 30, -1 },
};
/* clang-format on */

static int
find_address(const char *name, const GuestMachine *machine, int *offset)
{
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        size_t length = strlen(addresses[i].family);

        if (addresses[i].board == (machine->q35 ? ON_I440FX : ON_Q35)
            || strncmp(name, addresses[i].family, length) != 0) {
            continue;
        }
        if (addresses[i].first < 0 && name[length] == '\0') {
            *offset = 0;
            return i;
        }
        guint64 number;
        if (addresses[i].first >= 0
            && g_ascii_string_to_unsigned(name + length, 10, addresses[i].first, addresses[i].last,
                                          &number, NULL)) {
            *offset = number - addresses[i].first;
            return i;
        }
    }
    g_assert_not_reached(); /* every device has a place: the golden tests visit all */
}

char *
guest_pci_address(const char *name, const GuestMachine *machine)
{
    int offset;
    int row = find_address(name, machine, &offset);
    int slot = addresses[row].slot + offset;

    return addresses[row].function < 0
               ? g_strdup_printf("bus=%s,addr=0x%x", addresses[row].bus, slot)
               : g_strdup_printf("bus=%s,addr=0x%x.0x%x", addresses[row].bus, slot,
                                 addresses[row].function);
}

const char *
guest_pci_bridge(const char *name, const GuestMachine *machine)
{
    int offset;
    const char *bus = addresses[find_address(name, machine, &offset)].bus;

    return strcmp(bus, "pci.3") == 0 || strcmp(bus, "pci.4") == 0 ? bus : NULL;
}
