#pragma once
#include "guest/core/qemu_args.h"

/* Network ports of guests on this node: tap devices on bridges. They exist before QEMU opens them
 * and are removed after its end. */

/** guest_ports_make: all of @ports, up and on their bridges. Undoes what it did if one fails. */
bool guest_ports_make(GPtrArray *ports, GError **error);

/** guest_ports_remove: every tap device of @vmid ("tap100i0"), also those of a crashed QEMU. */
void guest_ports_remove(uint32_t vmid);
