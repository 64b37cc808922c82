#include "lab/machine.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lab/disk.h"
#include "sys/file.h"

enum { FILE_MAX_BYTES = 4 * 1024 * 1024, DIRECT_BYTES = 4096 };
#define REGISTRY "/run/quorate-lab"

static const char *const programs[][2] = {
    { "ip", "iproute2" },
    { "nft", "nftables" },
    { "corosync", "corosync" },
    { "qemu-system-x86_64", "qemu-system-x86" },
};

/* Folders that each host has its own of; the lab's files must not be under them. */
static const char *const covered[] = { "/proc",
                                       "/sys",
                                       "/dev/shm",
                                       "/run",
                                       "/var/log",
                                       "/etc/pve",
                                       "/var/lib/vz",
                                       "/var/lib/quorate",
                                       "/var/lib/pve-cluster" };

static bool
namespaces_work(GError **error)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        _exit(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP
                      | CLONE_NEWPID)
                      == 0
                  ? 0
                  : errno);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        return q_set_error(
            error, Q_ERROR_UNSUPPORTED,
            "this machine gives no namespaces (%s): a lab needs a virtual machine or "
            "a container with CAP_SYS_ADMIN",
            g_strerror(WEXITSTATUS(status)));
    }
    return true;
}

/* The lab's disks must take O_DIRECT: guests' disks on shared storage are opened with it. */
static bool
direct_io_works(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, ".direct", NULL);
    void *block = NULL;
    bool ok = false;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);

    if (fd >= 0 && posix_memalign(&block, DIRECT_BYTES, DIRECT_BYTES) == 0) {
        memset(block, 0, DIRECT_BYTES);
        ok = pwrite(fd, block, DIRECT_BYTES, 0) == DIRECT_BYTES;
    }
    if (!ok) {
        q_set_error_errno(error, errno,
                          "%s does not take O_DIRECT; set QUORATE_LAB_DIR to a folder on a disk",
                          folder);
    }
    free(block);
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return ok;
}

static bool
folder_is_usable(const Lab *lab, GError **error)
{
    g_autofree char *root = lab_root_dir();

    for (size_t i = 0; i < G_N_ELEMENTS(covered); i++) {
        size_t length = strlen(covered[i]);
        const char *const paths[] = { root, lab->program_dir };
        for (size_t j = 0; j < G_N_ELEMENTS(paths); j++) {
            if (g_str_has_prefix(paths[j], covered[i])
                && (paths[j][length] == '/' || paths[j][length] == '\0')) {
                return q_set_error(
                    error, Q_ERROR_INVALID, "%s is under %s, of which each host has its own; %s",
                    paths[j], covered[i],
                    j == 0 ? "set QUORATE_LAB_DIR to another folder" : "build elsewhere");
            }
        }
    }
    return q_file_make_dir(root, 0755, error) && direct_io_works(root, error);
}

bool
lab_machine_check(const Lab *lab, GError **error)
{
    if (geteuid() != 0) {
        return q_set_error(error, Q_ERROR_DENIED, "a lab is made of namespaces: run it as root");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *path = g_find_program_in_path(programs[i][0]);
        if (path == NULL) {
            return q_set_error(error, Q_ERROR_UNSUPPORTED,
                               "there is no '%s' on this machine: apt-get install %s",
                               programs[i][0], programs[i][1]);
        }
    }
    if (lab->cgroup == NULL) {
        return q_set_error(error, Q_ERROR_UNSUPPORTED,
                           "cgroup2 is not mounted on this machine (cgroup v1 alone will not do): "
                           "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified");
    }
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0) {
        return q_set_error_errno(error, errno,
                                 "no FUSE on this machine (/dev/fuse; modprobe fuse, or give the "
                                 "container the device)");
    }
    close(fuse);
    return namespaces_work(error) && folder_is_usable(lab, error);
}

/* The registry's files, under its lock: "made" lists paths that we made, "labs" folders of labs. */
static char **
read_lines(const char *name)
{
    g_autofree char *path = g_build_filename(REGISTRY, name, NULL);
    g_autofree char *text = q_file_read(path, FILE_MAX_BYTES, NULL, NULL);

    return g_strsplit(text != NULL ? g_strchomp(text) : "", "\n", -1);
}

static bool
append_line(const char *name, const char *line, GError **error)
{
    g_autofree char *path = g_build_filename(REGISTRY, name, NULL);
    g_autofree char *text = g_strdup_printf("%s\n", line);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (!ok) {
        q_set_error_errno(error, errno, "cannot write %s", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static int
lock_registry(void)
{
    int fd = open(REGISTRY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        flock(fd, LOCK_EX);
    }
    return fd;
}

static bool
make_point(const char *path, bool is_file, GError **error)
{
    if (g_file_test(path, G_FILE_TEST_EXISTS)) {
        return true;
    }
    if (!append_line("made", path, error)) { /* first: who dies here leaves a line, not a folder */
        return false;
    }
    if (!is_file) {
        return q_file_make_dir(path, 0755, error);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return q_set_error_errno(error, errno, "cannot make %s", path);
    }
    close(fd);
    return true;
}

bool
lab_machine_mount_points(const Lab *lab, GError **error)
{
    int lock = q_file_make_dir(REGISTRY, 0700, error) ? lock_registry() : -1;
    bool ok = lock >= 0 && append_line("labs", lab->dir, error)
              && make_point("/mnt/shared", false, error)
              && make_point("/var/lib/corosync", false, error);

    for (const LabDiskEntry *entry = lab_disk_entries; ok && entry->path != NULL; entry++) {
        ok = make_point(entry->path, entry->is_file, error);
    }
    if (lock >= 0) {
        close(lock);
    }
    return ok;
}

void
lab_machine_release(const Lab *lab)
{
    int lock = lock_registry();
    g_auto(GStrv) labs = read_lines("labs"), made = read_lines("made");
    g_autoptr(GString) left = g_string_new(NULL);

    if (lock < 0) {
        return;
    }
    for (int i = 0; labs[i] != NULL; i++) {
        if (strcmp(labs[i], lab->dir) != 0 && g_file_test(labs[i], G_FILE_TEST_IS_DIR)) {
            g_string_append_printf(left, "%s\n", labs[i]);
        }
    }
    if (left->len > 0) {
        g_file_set_contents(REGISTRY "/labs", left->str, -1, NULL);
        close(lock);
        return;
    }
    for (int i = 0; made[i] != NULL; i++) {
        struct stat st;
        /* Folders that are in use by now, and files with something in them, are not ours any more.
         */
        if (stat(made[i], &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0) {
            unlink(made[i]);
        } else if (made[i][0] != '\0') {
            rmdir(made[i]);
        }
    }
    unlink(REGISTRY "/made");
    unlink(REGISTRY "/labs");
    rmdir(REGISTRY);
    close(lock);
}

/* Is that file (of a loop device) one of the lab's? Looks through the lab's disks. */
static bool
is_in(const char *folder, dev_t device, ino_t inode)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    bool found = false;

    while (!found && dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct stat st;

        if (lstat(path, &st) == 0) {
            found = (st.st_dev == device && st.st_ino == inode)
                    || (S_ISDIR(st.st_mode) && is_in(path, device, inode));
        }
    }
    return found;
}

static void
free_loops(const Lab *lab, GPtrArray *names)
{
    for (int i = 0;; i++) {
        g_autofree char *sys = g_strdup_printf("/sys/block/loop%d", i);
        g_autofree char *path = g_strdup_printf("/dev/loop%d", i);
        struct loop_info64 info;
        int fd;

        if (!g_file_test(sys, G_FILE_TEST_EXISTS)) {
            return;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0
            && is_in(lab->dir, info.lo_device, info.lo_inode)) {
            ioctl(fd, LOOP_CLR_FD, 0);
            g_ptr_array_add(names, g_strdup_printf("loop device %s on '%s'", path,
                                                   (const char *)info.lo_file_name));
        }
        if (fd >= 0) {
            close(fd);
        }
    }
}

static void
free_mounts(const Lab *lab, GPtrArray *names)
{
    g_autofree char *text = q_file_read("/proc/self/mounts", FILE_MAX_BYTES, NULL, NULL);
    g_autofree char *prefix = g_strdup_printf("%s/", lab->dir);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 3);
        if (g_strv_length(words) >= 2) {
            g_autofree char *point = g_strcompress(words[1]);
            if (g_str_has_prefix(point, prefix) && umount2(point, MNT_DETACH) == 0) {
                g_ptr_array_add(names, g_strdup_printf("mount %s", point));
            }
        }
    }
}

GPtrArray *
lab_machine_leftovers(const Lab *lab)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    free_mounts(lab, names);
    free_loops(lab, names);
    return names;
}
