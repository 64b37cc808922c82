#pragma once
#include "guest/core/config.h"

/* What kind of machine, and where its devices are plugged in: the guest sees both, so both stay the
 * same from start to start and from node to node. */

typedef struct {
    bool q35;
    int major, minor; /* of the machine's version */
    int revision;     /* of the layout, "+pveN"; 0 if not given */
    char *type;       /* for QEMU: "pc-i440fx-7.2" */
} GuestMachine;

void guest_machine_clear(GuestMachine *machine);

/**
 * guest_machine_choose:
 * @newest_major, @newest_minor: the newest machine version of this node's QEMU
 * @node: this node's name, for the message
 *
 * "pc" and "q35" become the newest version; Windows guests keep the version that they were made
 * with. Errors: Q_ERROR_INVALID if the version is newer than this node's QEMU.
 */
bool guest_machine_choose(const GuestSection *section, int newest_major, int newest_minor,
                          const char *node, GuestMachine *machine, GError **error);
bool guest_machine_since(const GuestMachine *machine, int major, int minor, int revision);

int guest_windows_version(const char *ostype); /* 5 for XP … 11; 0: no Windows */

/** guest_pci_address: (transfer full): "bus=pci.0,addr=0x12" for "net0" and so on; never NULL for a
 *  name in the table (a mistake of ours aborts). */
char *guest_pci_address(const char *name, const GuestMachine *machine);

/** guest_pci_bridge: the bridge "pci.3" that @name is plugged into, or NULL if it is always there.
 */
const char *guest_pci_bridge(const char *name, const GuestMachine *machine);
