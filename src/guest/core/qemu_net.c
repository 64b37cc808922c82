#include "guest/core/qemu_priv.h"
#include <string.h>

static void
append_virtio_options(QemuBuild *build, const QPropertyString *net, const char *bridge,
                      GString *device, int64_t *mtu)
{
    int64_t queues = q_property_int(net, "queues", 0);
    int bridge_mtu = bridge != NULL && build->host->bridge_mtu != NULL
                         ? GPOINTER_TO_INT(g_hash_table_lookup(build->host->bridge_mtu, bridge))
                         : 0;

    if (queues > 1) {
        g_string_append_printf(device, ",mq=on%s,vectors=%" G_GINT64_FORMAT,
                               guest_machine_since(&build->machine, 7, 1, 0) ? ",packed=on" : "",
                               2 * queues + 2);
    }
    if (guest_machine_since(&build->machine, 7, 1, 0)) {
        g_string_append(device, ",rx_queue_size=1024,tx_queue_size=256");
    }
    *mtu = q_property_int(net, "mtu", 1);
    if (*mtu == 1) {
        *mtu = bridge_mtu;
    }
    if (*mtu > 0 && (*mtu != 1500 || q_property_get(net, "mtu", NULL) != NULL)) {
        g_string_append_printf(device, ",host_mtu=%" G_GINT64_FORMAT, *mtu);
    }
}

static bool
check_mtu(QemuBuild *build, const char *id, const char *bridge, int64_t mtu, GError **error)
{
    int bridge_mtu = bridge != NULL && build->host->bridge_mtu != NULL
                         ? GPOINTER_TO_INT(g_hash_table_lookup(build->host->bridge_mtu, bridge))
                         : 0;

    if (mtu > 0 && mtu < 576) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: an MTU of %" G_GINT64_FORMAT " is too small: 576 at least", id,
                           mtu);
    }
    return mtu <= 0 || bridge_mtu <= 0 || mtu <= bridge_mtu
           || q_set_error(error, Q_ERROR_INVALID,
                          "%s: an MTU of %" G_GINT64_FORMAT " is more than the %d of bridge '%s'",
                          id, mtu, bridge_mtu, bridge);
}

static void
add_backend(QemuBuild *build, const char *id, int index, const QPropertyString *net, bool is_virtio)
{
    const char *bridge = q_property_get(net, "bridge", NULL);
    const char *name = guest_get(build->section, "name");
    int64_t queues = is_virtio ? q_property_int(net, "queues", 0) : 0;

    if (bridge == NULL) {
        g_autofree char *hostname =
            name != NULL ? g_strdup_printf(",hostname=%s", name) : g_strdup("");
        qemu_add(build, "-netdev", "user,id=%s%s", id, hostname);
        return;
    }
    GuestPort *port = g_new0(GuestPort, 1);
    port->id = g_strdup(id);
    port->ifname = g_strdup_printf("tap%ui%d", build->vmid, index);
    port->bridge = g_strdup(bridge);
    port->mac = g_strdup(q_property_get(net, "macaddr", NULL));
    port->tag = q_property_int(net, "tag", 0);
    port->link_down = q_property_bool(net, "link_down", false);
    port->vnet_hdr = is_virtio;
    port->queues = queues;
    g_ptr_array_add(build->command->ports, port);
    g_autofree char *many =
        queues > 1 ? g_strdup_printf(",queues=%" G_GINT64_FORMAT, queues) : g_strdup("");
    qemu_add(build, "-netdev", "tap,id=%s,ifname=%s,script=no,downscript=no%s%s", id, port->ifname,
             is_virtio && build->host->vhost && build->command->kvm ? ",vhost=on" : "", many);
}

static bool
add_network(QemuBuild *build, const char *id, int index, GError **error)
{
    g_autoptr(QPropertyString) net = guest_get_properties(build->section, id, error);
    if (net == NULL) {
        return false;
    }
    const char *model = q_property_get(net, "model", "");
    const char *mac = q_property_get(net, "macaddr", NULL);
    const char *bridge = q_property_get(net, "bridge", NULL);
    bool is_virtio = strcmp(model, "virtio") == 0;
    bool is_isa = strcmp(model, "ne2k_isa") == 0;
    g_autofree char *boot = qemu_boot_index(build, id);
    g_autofree char *address = is_isa ? NULL : qemu_address(build, id);
    g_autoptr(GString) device = g_string_new(is_virtio ? "virtio-net-pci" : model);
    int64_t mtu = 0;

    if (mac == NULL) {
        return q_set_error(error, Q_ERROR_INVALID,
                           "%s: no macaddr: set the key anew and one is made", id);
    }
    g_string_append_printf(device, ",mac=%s,netdev=%s,id=%s", mac, id, id);
    if (address != NULL) {
        g_string_append_printf(device, ",%s", address);
    }
    if (is_virtio) {
        append_virtio_options(build, net, bridge, device, &mtu);
    }
    if (!check_mtu(build, id, bridge, mtu, error)) {
        return false;
    }
    g_string_append(device, boot);
    /* A card that nobody boots from needs no boot ROM: a second less until the guest runs. */
    if (*boot == '\0' && !is_isa) {
        g_string_append(device, ",romfile=");
    }
    if (q_property_bool(net, "link_down", false)) {
        g_ptr_array_add(build->command->links_down, g_strdup(id));
    }
    if (q_property_get(net, "rate", NULL) != NULL) {
        qemu_note(build, "%s: rate is kept, but has no effect yet", id);
    }
    if (q_property_bool(net, "firewall", false)) {
        qemu_note(build, "%s: firewall is kept, but has no effect yet", id);
    }
    add_backend(build, id, index, net, is_virtio);
    qemu_add(build, "-device", "%s", device->str);
    return true;
}

bool
qemu_add_networks(QemuBuild *build, GError **error)
{
    for (int n = 0; n < 32; n++) {
        g_autofree char *id = g_strdup_printf("net%d", n);

        if (guest_get(build->section, id) != NULL && !add_network(build, id, n, error)) {
            return false;
        }
    }
    return true;
}
