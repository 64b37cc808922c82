#include "ha/watchdog_device.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "sys/file.h"

enum { SOCKET_WAIT_MS = 200, HARDWARE_GRANULARITY_MS = 1000, SMALL_FILE_BYTES = 1024 * 1024 };

struct WatchdogDevice {
    char *path;
    int fd; /* -1: the lab's socket broke; the next feed connects again */
    bool is_socket;
    int timeout_ms;
    int granularity_ms;
};

/* ------------------------------------------------------------------ the lab's socket */

static int
socket_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval wait = { .tv_usec = SOCKET_WAIT_MS * 1000 };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (fd >= 0
        && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0
            || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0
            || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Asks and reads "T SECONDS LEFT_MS". Returns the timeout in ms, -1 with errno. */
static int
socket_ask(int fd, const char *request)
{
    char answer[64];
    int seconds;

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) {
        return -1;
    }
    ssize_t got = recv(fd, answer, sizeof answer - 1, 0);
    if (got <= 0) {
        errno = got == 0 ? ECONNRESET : errno;
        return -1;
    }
    answer[got] = '\0';
    if (sscanf(answer, "T %d", &seconds) != 1 && sscanf(answer, "%d", &seconds) != 1) {
        errno = EPROTO;
        return -1;
    }
    return seconds * 1000;
}

static bool
socket_feed(WatchdogDevice *device)
{
    if (device->fd < 0) {
        device->fd = socket_connect(device->path);
    }
    if (device->fd >= 0 && socket_ask(device->fd, "K") >= 0) {
        return true;
    }
    int saved = errno;
    if (device->fd >= 0) {
        close(device->fd);
        device->fd = -1;
    }
    errno = saved;
    return false;
}

static bool
socket_start(WatchdogDevice *device, int timeout_s, GError **error)
{
    g_autofree char *set = g_strdup_printf("T %d", timeout_s);

    device->fd = socket_connect(device->path);
    if (device->fd < 0) {
        return q_set_error_errno(error, errno, "cannot open watchdog '%s'", device->path);
    }
    if (socket_ask(device->fd, set) < 0 || (device->timeout_ms = socket_ask(device->fd, "?")) < 0) {
        q_set_error_errno(error, errno, "watchdog '%s' does not answer", device->path);
        socket_ask(device->fd, "V");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ Linux' devices */

static int64_t
sysctl_number(const char *name)
{
    g_autofree char *path = g_strdup_printf("/proc/sys/kernel/%s", name);
    g_autofree char *text = q_file_read(path, SMALL_FILE_BYTES, NULL, NULL);

    return text != NULL ? g_ascii_strtoll(text, NULL, 10) : 0;
}

/* A software timer stands still with its CPU: reliable only if every way to hang ends in a panic.
 */
static bool
softdog_is_safe(GError **error)
{
    static const char *const needed[] = { "panic", "panic_on_oops", "softlockup_panic",
                                          "hardlockup_panic" };

    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (sysctl_number(needed[i]) == 0) {
            return q_set_error(error, Q_ERROR_UNSUPPORTED,
                               "the software watchdog cannot be relied upon: set kernel.%s=1 "
                               "(kernel.panic, panic_on_oops, softlockup_panic, hardlockup_panic)",
                               needed[i]);
        }
    }
    return true;
}

static bool
host_is_virtual(void)
{
    g_autofree char *info = q_file_read("/proc/cpuinfo", 64 * SMALL_FILE_BYTES, NULL, NULL);

    return info != NULL && strstr(info, " hypervisor") != NULL;
}

static bool
device_is_reliable(int fd, bool accept_virtual, GError **error)
{
    struct watchdog_info info = { 0 };

    if (ioctl(fd, WDIOC_GETSUPPORT, &info) == 0
        && strcmp((char *)info.identity, "Software Watchdog") == 0 && !softdog_is_safe(error)) {
        return false;
    }
    if (!accept_virtual && host_is_virtual()) {
        return q_set_error(
            error, Q_ERROR_UNSUPPORTED,
            "this host is a virtual machine: its watchdog stands still when the host "
            "is paused; use a power device, or say accept_virtual=true in [watchdog] "
            "of quorate.conf if it is never paused, saved or moved");
    }
    return true;
}

static bool
hardware_start(WatchdogDevice *device, int timeout_s, bool accept_virtual, GError **error)
{
    int seconds = timeout_s;

    device->fd = open(device->path, O_WRONLY | O_CLOEXEC);
    if (device->fd < 0) {
        return q_set_error_errno(error, errno, "cannot open watchdog '%s'", device->path);
    }
    if (!device_is_reliable(device->fd, accept_virtual, error)) {
        return false;
    }
    if (ioctl(device->fd, WDIOC_SETTIMEOUT, &seconds) != 0
        || ioctl(device->fd, WDIOC_GETTIMEOUT, &seconds) != 0) {
        return q_set_error_errno(error, errno, "watchdog '%s' does not take a timeout of %d s",
                                 device->path, timeout_s);
    }
    device->timeout_ms = seconds * 1000;
    return true;
}

/* ------------------------------------------------------------------ both */

WatchdogDevice *
watchdog_device_open(const char *path, int timeout_s, int granularity_ms, bool accept_virtual,
                     GError **error)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        q_set_error_errno(error, errno, "no watchdog '%s'", path);
        return NULL;
    }
    WatchdogDevice *device = g_new0(WatchdogDevice, 1);
    device->path = g_strdup(path);
    device->fd = -1;
    device->is_socket = S_ISSOCK(st.st_mode);
    device->granularity_ms = granularity_ms >= 0 ? granularity_ms
                             : device->is_socket ? 0
                                                 : HARDWARE_GRANULARITY_MS;
    if (device->is_socket ? socket_start(device, timeout_s, error)
                          : hardware_start(device, timeout_s, accept_virtual, error)) {
        return device;
    }
    watchdog_device_close(device);
    return NULL;
}

bool
watchdog_device_feed(WatchdogDevice *device, GError **error)
{
    bool fed = device->is_socket ? socket_feed(device) : ioctl(device->fd, WDIOC_KEEPALIVE, 0) == 0;

    return fed || q_set_error_errno(error, errno, "cannot feed watchdog '%s'", device->path);
}

int
watchdog_device_timeout_ms(const WatchdogDevice *device)
{
    return device->timeout_ms;
}

int
watchdog_device_granularity_ms(const WatchdogDevice *device)
{
    return device->granularity_ms;
}

void
watchdog_device_close(WatchdogDevice *device)
{
    if (device == NULL) {
        return;
    }
    if (device->is_socket && device->fd < 0) {
        device->fd = socket_connect(device->path);
    }
    if (device->fd >= 0 && device->is_socket) {
        socket_ask(device->fd, "V");
    } else if (device->fd >= 0 && write(device->fd, "V", 1) < 0) {
        /* Then closing leaves it running: the host is reset, which is the safe side. */
    }
    watchdog_device_abandon(device);
}

void
watchdog_device_abandon(WatchdogDevice *device)
{
    if (device != NULL) {
        if (device->fd >= 0) {
            close(device->fd);
        }
        g_free(device->path);
        g_free(device);
    }
}

bool
watchdog_device_runs(const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *file = g_strdup_printf("/sys/class/watchdog/%s/state",
                                            strcmp(name, "watchdog") == 0 ? "watchdog0" : name);
    g_autofree char *state = q_file_read(file, SMALL_FILE_BYTES, NULL, NULL);

    return state != NULL && g_str_has_prefix(state, "active");
}
