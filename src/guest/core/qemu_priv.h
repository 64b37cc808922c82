#pragma once
#include "guest/core/qemu_args.h"

/* The parts of the command line; each appends to @build and refuses with the key's name. */
typedef struct {
    uint32_t vmid;
    const GuestSection *section;
    const GuestHost *host;
    GuestMachine machine;
    int windows; /* version, 0: no Windows */
    GPtrArray *drives;
    GHashTable *boot;    /* device id -> bootindex */
    GHashTable *bridges; /* set of "pci.3", "pci.4" that are there already */
    GString *machine_options;
    GuestCommand *command;
} QemuBuild;

void qemu_add(QemuBuild *build, const char *option, const char *format, ...) G_GNUC_PRINTF(3, 4);
void qemu_note(QemuBuild *build, const char *format, ...) G_GNUC_PRINTF(2, 3);
void qemu_machine_option(QemuBuild *build, const char *option);

/** qemu_address: as guest_pci_address(), after adding the bridge that it needs. */
char *qemu_address(QemuBuild *build, const char *name);
char *qemu_boot_index(QemuBuild *build, const char *id); /* ",bootindex=100" or "" */
char *qemu_comma(const char *text); /* commas doubled, as QEMU's options want them */

bool qemu_add_cpu(QemuBuild *build, GError **error);
bool qemu_add_memory(QemuBuild *build, GError **error);
bool qemu_add_display(QemuBuild *build, GError **error);
bool qemu_add_drives(QemuBuild *build, GError **error);
bool qemu_add_networks(QemuBuild *build, GError **error);
bool qemu_add_smbios(QemuBuild *build, GError **error);
