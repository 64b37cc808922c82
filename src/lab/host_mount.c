#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lab/disk.h"
#include "lab/host.h"
#include "sys/file.h"

enum { DISK_MAX = 16, MOUNTS_MAX_BYTES = 4 * 1024 * 1024 };

/* A file system of the host's own, gone with its power. */
typedef struct {
    const char *type, *path, *options;
    unsigned long flags;
    bool optional; /* not on every machine */
} OwnMount;

/* clang-format off */
static const OwnMount own_mounts[] = {
    { "proc",    "/proc",             NULL,                  MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "sysfs",   "/sys",              NULL,                  MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "cgroup2", "/sys/fs/cgroup",    NULL,                  MS_NOSUID | MS_NODEV | MS_NOEXEC },
    { "tmpfs",   "/dev/shm",          "mode=1777,size=512m", MS_NOSUID | MS_NODEV },
    { "mqueue",  "/dev/mqueue",       NULL,                  MS_NOSUID | MS_NODEV | MS_NOEXEC, .optional = true },
    { "tmpfs",   "/run",              "mode=0755,size=256m", MS_NOSUID | MS_NODEV },
    { "tmpfs",   "/var/lib/corosync", "mode=0755,size=16m",  MS_NOSUID | MS_NODEV | MS_NOEXEC },
};
/* clang-format on */

/* Everything bound is opened first: what the host's own mounts will cover can still be named. */
typedef struct {
    int fd;
    const char *target;
} Bind;

static bool
open_bind(Bind *bind, const char *source, const char *target, GError **error)
{
    bind->fd = open(source, O_PATH | O_CLOEXEC);
    bind->target = target;
    return bind->fd >= 0 || q_set_error_errno(error, errno, "cannot open %s", source);
}

static bool
attach(const Bind *bind, GError **error)
{
    g_autofree char *source = g_strdup_printf("/proc/self/fd/%d", bind->fd);
    bool ok = mount(source, bind->target, NULL, MS_BIND, NULL) == 0;

    if (!ok) {
        q_set_error_errno(error, errno, "cannot mount %s", bind->target);
    }
    close(bind->fd);
    return ok;
}

/* The machine's own mounts there would stay in /proc/mounts, under ours: who looks for the cgroup
 * mount would find two. */
static void
detach_machine_mounts(void)
{
    g_autofree char *text = q_file_read("/proc/self/mounts", MOUNTS_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (guint i = g_strv_length(lines); i-- > 0;) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 3);
        for (size_t j = 0; j < G_N_ELEMENTS(own_mounts) && g_strv_length(words) >= 2; j++) {
            size_t length = strlen(own_mounts[j].path);
            if (strncmp(words[1], own_mounts[j].path, length) == 0
                && (words[1][length] == '\0' || words[1][length] == '/')) {
                umount2(words[1], MNT_DETACH); /* if it must stay, ours goes over it */
            }
        }
    }
}

static bool
mount_own(GError **error)
{
    detach_machine_mounts();
    for (size_t i = 0; i < G_N_ELEMENTS(own_mounts); i++) {
        const OwnMount *own = &own_mounts[i];

        if (own->optional && !g_file_test(own->path, G_FILE_TEST_IS_DIR)) {
            continue;
        }
        if (mount(own->type, own->path, own->type, own->flags, own->options) != 0
            && !own->optional) {
            return q_set_error_errno(error, errno, "cannot mount %s on %s", own->type, own->path);
        }
    }
    return true;
}

/* What systemd-tmpfiles and package scripts would make in a fresh /run. */
static void
fill_run(void)
{
    struct group *group = getgrnam("www-data");
    mode_t mask = umask(0);

    mkdir("/run/lock", 01777);
    mkdir("/run/lab", 0755);
    mkdir("/run/qemu-server", 0755);
    mkdir("/run/quorate", 0750);
    if (group != NULL && chown("/run/quorate", 0, group->gr_gid) != 0) {
        g_warning("/run/quorate: %s", g_strerror(errno));
    }
    umask(mask);
}

bool
lab_host_mount(const Lab *lab, int node, GError **error)
{
    g_autofree char *shared = lab_path(lab, "shared"), *devices = lab_node_path(lab, node, "lab");
    Bind binds[DISK_MAX + 2];
    int count = 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return q_set_error_errno(error, errno, "cannot make the host's mounts its own");
    }
    for (const LabDiskEntry *entry = lab_disk_entries; entry->path != NULL; entry++) {
        g_autofree char *name = lab_disk_name(entry->path);
        g_autofree char *in_disk = g_strdup_printf("disk/%s", name);
        g_autofree char *source = lab_node_path(lab, node, in_disk);

        g_assert(count < DISK_MAX);
        if (!open_bind(&binds[count++], source, entry->path, error)) {
            return false;
        }
    }
    if (!open_bind(&binds[count++], shared, "/mnt/shared", error)
        || !open_bind(&binds[count++], devices, "/run/lab", error) || !mount_own(error)) {
        return false;
    }
    fill_run();
    for (int i = 0; i < count; i++) {
        if (!attach(&binds[i], error)) {
            return false;
        }
    }
    /* A root whose working directory is under a mount point would still see the machine's files. */
    return chdir("/") == 0;
}
