#pragma once
#include "guest/core/qemu_args.h"

/** guest_host_look: what this node offers to a guest. Everything but @volumes, @guarded and
 * @bridge_mtu is filled; strings are static or borrowed from @node. Errors: Q_ERROR_NOT_FOUND (QEMU
 * is not installed), Q_ERROR_IO */
bool guest_host_look(const char *node, GuestHost *host, GError **error);

/** guest_host_kvm: whether KVM really makes a machine here, not only whether /dev/kvm exists. */
bool guest_host_kvm(void);

/** guest_host_bridge_mtu: (transfer full): MTU of every bridge that @section names. Errors:
 *  Q_ERROR_NOT_FOUND "bridge 'vmbr9' does not exist" */
GHashTable *guest_host_bridge_mtu(const GuestSection *section, GError **error);
