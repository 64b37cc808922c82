#include "guest/host.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sys/paths.h"
#include "sys/process.h"

#define QEMU_VERSION_MS 10000

bool
guest_host_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    bool works = false;

    if (fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION) {
        int machine = ioctl(fd, KVM_CREATE_VM, 0);

        /* Some hosts offer the device but cannot give a machine its interrupt controller. */
        if (machine >= 0) {
            works = ioctl(machine, KVM_CREATE_IRQCHIP, 0) == 0
                    && ioctl(machine, KVM_CREATE_VCPU, 0) >= 0;
            close(machine);
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return works;
}

static bool
has_io_uring(void)
{
    struct io_uring_params params = { 0 };
    int fd = syscall(SYS_io_uring_setup, 1, &params);

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* "QEMU emulator version 7.2.22 (Debian …)" */
static bool
read_qemu_version(int *major, int *minor, GError **error)
{
    const char *const argv[] = { "qemu-system-x86_64", "-version", NULL };
    QRunOptions options = { .timeout_ms = QEMU_VERSION_MS };
    g_autofree char *out = NULL;

    if (!q_run_ok(argv, &options, &out, error)) {
        return q_prefix_error(error, "QEMU: ");
    }
    const char *version = strstr(out, "version ");
    char *end;
    *major = version != NULL ? strtol(version + strlen("version "), &end, 10) : 0;
    *minor = *major > 0 && *end == '.' ? strtol(end + 1, NULL, 10) : 0;
    return *major > 0
           || q_set_error(error, Q_ERROR_IO, "qemu-system-x86_64 does not tell its version: %s",
                          out);
}

bool
guest_host_look(const char *node, GuestHost *host, GError **error)
{
    *host = (GuestHost){
        .node = node,
        .run_dir = Q_GUEST_RUN_DIR,
        .cpus = sysconf(_SC_NPROCESSORS_ONLN),
        .kvm = guest_host_kvm(),
        .vhost = access("/dev/vhost-net", R_OK | W_OK) == 0,
        .io_uring = has_io_uring(),
    };
    return read_qemu_version(&host->newest_major, &host->newest_minor, error);
}

/* 0: there is no such interface. */
static int
interface_mtu(const char *name)
{
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    int mtu = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0 ? request.ifr_mtu : 0;
    if (fd >= 0) {
        close(fd);
    }
    return mtu;
}

GHashTable *
guest_host_bridge_mtu(const GuestSection *section, GError **error)
{
    g_autoptr(GHashTable) mtus = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (int n = 0; n < 32; n++) {
        g_autofree char *id = g_strdup_printf("net%d", n);
        g_autoptr(QPropertyString) net = guest_get_properties(section, id, NULL);
        const char *bridge = net != NULL ? q_property_get(net, "bridge", NULL) : NULL;
        int mtu = bridge != NULL ? interface_mtu(bridge) : 0;

        if (bridge != NULL && mtu == 0) {
            q_set_error(error, Q_ERROR_NOT_FOUND, "%s: bridge '%s' does not exist on this node", id,
                        bridge);
            return NULL;
        }
        if (bridge != NULL) {
            g_hash_table_insert(mtus, g_strdup(bridge), GINT_TO_POINTER(mtu));
        }
    }
    return g_steal_pointer(&mtus);
}
