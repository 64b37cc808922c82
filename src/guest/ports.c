#include "guest/ports.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <linux/sockios.h>
#include <string.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sys/file.h"
#include "sys/log.h"
#include "sys/process.h"

#define BRIDGE_TOOL_MS 5000
#define NETS 32

static bool
set_persistent(const char *ifname, bool vnet_hdr, bool many, bool keep, GError **error)
{
    struct ifreq request = { 0 };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        return q_set_error_errno(error, errno, "cannot open /dev/net/tun");
    }
    g_strlcpy(request.ifr_name, ifname, sizeof(request.ifr_name));
    request.ifr_flags =
        IFF_TAP | IFF_NO_PI | (vnet_hdr ? IFF_VNET_HDR : 0) | (many ? IFF_MULTI_QUEUE : 0);
    bool done = ioctl(fd, TUNSETIFF, &request) == 0 && ioctl(fd, TUNSETPERSIST, keep ? 1 : 0) == 0;
    int reason = errno;
    close(fd);
    return done || q_set_error_errno(error, reason, "network port '%s'", ifname);
}

static bool
link_request(int fd, unsigned long what, struct ifreq *request, const char *doing, GError **error)
{
    return ioctl(fd, what, request) == 0
           || q_set_error_errno(error, errno, "network port '%s': %s", request->ifr_name, doing);
}

static int
read_mtu(int fd, const char *name)
{
    struct ifreq request = { 0 };

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    return ioctl(fd, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 1500;
}

/* A bridge takes the lowest address of its ports for its own. One that a guest brought would change
 * it, and the node's own traffic would be lost until its neighbours have noticed: the port gets
 * the guest's address with a first byte higher than any card's. */
static bool
set_high_address(int fd, const GuestPort *port, GError **error)
{
    struct ifreq request = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
    g_auto(GStrv) bytes = g_strsplit(port->mac, ":", 6);

    g_strlcpy(request.ifr_name, port->ifname, sizeof(request.ifr_name));
    for (int i = 0; i < 6 && bytes[i] != NULL; i++) {
        request.ifr_hwaddr.sa_data[i] = i == 0 ? 0xfe : g_ascii_strtoull(bytes[i], NULL, 16);
    }
    /* Never the guest's own: the bridge would keep its frames for itself. */
    if (g_ascii_strncasecmp(port->mac, "fe:", 3) == 0) {
        request.ifr_hwaddr.sa_data[1] ^= 0x80;
    }
    return link_request(fd, SIOCSIFHWADDR, &request, "cannot set its address", error);
}

static bool
raise_link(const GuestPort *port, GError **error)
{
    struct ifreq request = { 0 }, member = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return q_set_error_errno(error, errno, "network port '%s'", port->ifname);
    }
    g_strlcpy(request.ifr_name, port->ifname, sizeof(request.ifr_name));
    g_strlcpy(member.ifr_name, port->bridge, sizeof(member.ifr_name));
    member.ifr_ifindex = if_nametoindex(port->ifname);
    request.ifr_mtu = read_mtu(fd, port->bridge);
    bool done = set_high_address(fd, port, error)
                && link_request(fd, SIOCSIFMTU, &request, "cannot set its MTU", error)
                && (link_request(fd, SIOCBRADDIF, &member, "cannot join the bridge", NULL)
                    || q_set_error_errno(error, errno, "network port '%s' cannot join bridge '%s'",
                                         port->ifname, port->bridge));
    if (done) {
        request.ifr_flags = IFF_UP | IFF_PROMISC;
        done = link_request(fd, SIOCSIFFLAGS, &request, "cannot be raised", error);
    }
    close(fd);
    return done;
}

/* Only a bridge that filters VLANs can give one port a tag. */
static bool
set_vlan(const GuestPort *port, GError **error)
{
    g_autofree char *path =
        g_strdup_printf("/sys/class/net/%s/bridge/vlan_filtering", port->bridge);
    g_autofree char *filtering = q_file_read(path, 16, NULL, NULL);
    g_autofree char *tag = g_strdup_printf("%d", port->tag);
    const char *const remove[] = { "bridge", "vlan", "del", "dev", port->ifname, "vid", "1", NULL };
    const char *const add[] = { "bridge", "vlan", "add",  "dev",      port->ifname,
                                "vid",    tag,    "pvid", "untagged", NULL };
    QRunOptions options = { .timeout_ms = BRIDGE_TOOL_MS };

    if (port->tag == 0) {
        return true;
    }
    if (filtering == NULL || filtering[0] != '1') {
        return q_set_error(
            error, Q_ERROR_UNSUPPORTED,
            "%s: tag %d needs a bridge that is VLAN aware: set vlan_filtering on '%s'", port->id,
            port->tag, port->bridge);
    }
    g_autofree char *ignored = NULL;
    q_run(remove, &options, NULL, &ignored, NULL);
    return q_run_ok(add, &options, NULL, error);
}

static void
silence_ipv6(const char *ifname)
{
    g_autofree char *path = g_strdup_printf("/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    /* The node itself must not answer on a guest's wire; without IPv6 there is nothing to silence.
     */
    if (fd >= 0) {
        (void)!write(fd, "1", 1);
        close(fd);
    }
}

static bool
make_port(const GuestPort *port, GError **error)
{
    if (!set_persistent(port->ifname, port->vnet_hdr, port->queues > 1, true, error)) {
        return false;
    }
    silence_ipv6(port->ifname);
    return raise_link(port, error) && set_vlan(port, error);
}

static void
remove_port(const char *ifname)
{
    g_autoptr(GError) error = NULL;

    /* How many queues it was made with is not known: the wrong guess is refused by the kernel. */
    if (if_nametoindex(ifname) != 0 && !set_persistent(ifname, false, false, false, NULL)
        && !set_persistent(ifname, false, true, false, &error)) {
        q_warn("%s", error->message); /* the next start takes it over */
    }
}

bool
guest_ports_make(GPtrArray *ports, GError **error)
{
    for (guint i = 0; i < ports->len; i++) {
        const GuestPort *port = ports->pdata[i];

        remove_port(port->ifname);
        if (!make_port(port, error)) {
            for (guint done = 0; done <= i; done++) {
                remove_port(((GuestPort *)ports->pdata[done])->ifname);
            }
            return false;
        }
    }
    return true;
}

void
guest_ports_remove(uint32_t vmid)
{
    for (int n = 0; n < NETS; n++) {
        g_autofree char *ifname = g_strdup_printf("tap%ui%d", vmid, n);
        remove_port(ifname);
    }
}
