#include "guest/gate.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "guest/sockets_priv.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/paths.h"

#define GATE_SLICE "quorate.slice"
#define GATE_POLL_MS 10
#define FREEZE_MS 20
#define CGROUP2_MAGIC 0x63677270
#define UNGUARDED_NAME "u"

/* ------------------------------------------------------------------ where */

static bool
is_cgroup2(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

/* Where systemd has mounted it, else where hybrid systems do, else a mount of our own. */
static const char *
find_mount(GError **error)
{
    static const char *const known[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                         Q_RUN_DIR "/cgroup" };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (is_cgroup2(known[i])) {
            return known[i];
        }
    }
    const char *own = known[G_N_ELEMENTS(known) - 1];
    if (!q_file_make_dir(own, 0755, error)) {
        return NULL;
    }
    if (mount("cgroup2", own, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        q_set_error(error, Q_ERROR_UNSUPPORTED,
                    "no cgroup2 file system on this machine, and none can be mounted at %s: %s",
                    own, g_strerror(errno));
        return NULL;
    }
    return own;
}

char *
gate_root(GError **error)
{
    const char *mount = find_mount(error);
    if (mount == NULL) {
        return NULL;
    }
    g_autofree char *root = g_build_filename(mount, GATE_SLICE, NULL);
    if (mkdir(root, 0755) < 0 && errno != EEXIST) {
        q_set_error_errno(error, errno, "cannot make the cgroup %s", root);
        return NULL;
    }
    return g_steal_pointer(&root);
}

static bool
is_unguarded(CfsGeneration generation)
{
    return generation.epoch == 0 && generation.sequence == 0;
}

/* "u" or "g-E.S" */
static char *
generation_name(CfsGeneration generation)
{
    return is_unguarded(generation) ? g_strdup(UNGUARDED_NAME)
                                    : g_strdup_printf("g-%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT,
                                                      generation.epoch, generation.sequence);
}

static bool
parse_generation_name(const char *name, CfsGeneration *generation)
{
    if (strcmp(name, UNGUARDED_NAME) == 0) {
        *generation = GATE_UNGUARDED;
        return true;
    }
    if (!g_str_has_prefix(name, "g-")) {
        return false;
    }
    char *end;
    generation->epoch = g_ascii_strtoull(name + 2, &end, 10);
    if (*end != '.') {
        return false;
    }
    generation->sequence = g_ascii_strtoull(end + 1, &end, 10);
    return *end == '\0' && !is_unguarded(*generation);
}

static bool
parse_vmid(const char *name, uint32_t *vmid)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(name, 10, 1, G_MAXUINT32, &number, NULL)) {
        return false;
    }
    *vmid = number;
    return true;
}

static char *
gate_path(const char *root, CfsGeneration generation, uint32_t vmid)
{
    g_autofree char *name = generation_name(generation);

    return vmid == 0 ? g_build_filename(root, name, NULL)
                     : g_strdup_printf("%s/%s/%u", root, name, vmid);
}

/* ------------------------------------------------------------------ entering */

bool
gate_open(CfsGeneration generation, GError **error)
{
    g_autofree char *root = gate_root(error);
    if (root == NULL) {
        return false;
    }
    g_autofree char *path = gate_path(root, generation, 0);
    return mkdir(path, 0755) == 0 || errno == EEXIST
           || q_set_error_errno(error, errno, "cannot open the gate %s", path);
}

/* One write moves one process; it must be a single write(2) without buffering. */
static bool
write_pid(const char *folder, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "cgroup.procs", NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return q_set_error_errno(error, errno, "cannot open %s", path);
    }
    ssize_t written = write(fd, text, strlen(text));
    int reason = errno;
    close(fd);
    return written > 0 || q_set_error_errno(error, reason, "cannot enter %s", folder);
}

/* The folder of one guest; that of the generation is never made here, so that a late comer finds
 * the gate closed (S41). */
static bool
make_guest_folder(const char *root, CfsGeneration generation, uint32_t vmid, char **path,
                  GError **error)
{
    g_autofree char *folder = gate_path(root, generation, vmid);

    if (is_unguarded(generation) && !gate_open(generation, error)) {
        return false;
    }
    if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
        g_autofree char *name = generation_name(generation);
        return errno == ENOENT
                   ? q_set_error(error, Q_ERROR_NOT_FOUND,
                                 "the gate %s is closed: this node's term is over", name)
                   : q_set_error_errno(error, errno, "cannot make the gate %s", folder);
    }
    *path = g_steal_pointer(&folder);
    return true;
}

bool
gate_enter(CfsGeneration generation, uint32_t vmid, GError **error)
{
    g_autofree char *root = gate_root(error);
    g_autofree char *folder = NULL;

    if (root == NULL || !make_guest_folder(root, generation, vmid, &folder, error)) {
        return false;
    }
    return write_pid(folder, "0", error);
}

char *
gate_here(GError **error)
{
    g_autofree char *text = q_file_read("/proc/self/cgroup", 65536, NULL, error);
    const char *mount = text != NULL ? find_mount(error) : NULL;
    g_auto(GStrv) lines = mount != NULL ? g_strsplit(text, "\n", -1) : NULL;

    for (int i = 0; lines != NULL && lines[i] != NULL; i++) {
        if (g_str_has_prefix(lines[i], "0::/")) {
            return g_build_filename(mount, lines[i] + strlen("0::/"), NULL);
        }
    }
    if (lines != NULL) {
        q_set_error(error, Q_ERROR_UNSUPPORTED, "this process is in no cgroup2");
    }
    return NULL;
}

bool
gate_leave(const char *folder, GError **error)
{
    const char *mount = find_mount(error);

    /* Where we came from may lie outside of what we see (a process that was put into a host's
     * namespaces from outside): any place that is no gate will do. */
    return write_pid(folder, "0", NULL) || (mount != NULL && write_pid(mount, "0", error));
}

void
gate_tidy(CfsGeneration generation, uint32_t vmid)
{
    g_autofree char *root = gate_root(NULL);
    g_autofree char *folder = root != NULL ? gate_path(root, generation, vmid) : NULL;

    if (folder != NULL) {
        rmdir(folder);
    }
}

/* ------------------------------------------------------------------ looking */

static bool
read_populated(const char *folder, bool *populated)
{
    g_autofree char *path = g_build_filename(folder, "cgroup.events", NULL);
    g_autofree char *text = q_file_read(path, 4096, NULL, NULL);

    if (text == NULL) {
        return false;
    }
    *populated = strstr(text, "populated 0") == NULL;
    return true;
}

static gint
compare_gates(gconstpointer a, gconstpointer b)
{
    const Gate *left = *(Gate *const *)a, *right = *(Gate *const *)b;
    int by_generation = cfs_generation_compare(left->generation, right->generation);

    return by_generation != 0 ? by_generation
                              : (left->vmid > right->vmid) - (left->vmid < right->vmid);
}

static bool
list_guests(const char *root, const char *name, CfsGeneration generation, GPtrArray *gates)
{
    g_autofree char *folder = g_build_filename(root, name, NULL);
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        Gate gate = { .generation = generation, .populated = true };
        g_autofree char *path = g_build_filename(folder, entry->d_name, NULL);

        if (entry->d_type == DT_DIR && parse_vmid(entry->d_name, &gate.vmid)) {
            read_populated(path, &gate.populated);
            g_ptr_array_add(gates, g_memdup2(&gate, sizeof(gate)));
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return true;
}

GPtrArray *
gate_list(GError **error)
{
    g_autofree char *root = gate_root(error);
    g_autoptr(GPtrArray) gates = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = root != NULL ? opendir(root) : NULL;

    if (dir == NULL) {
        if (root != NULL) {
            q_set_error_errno(error, errno, "cannot read %s", root);
        }
        return NULL;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        CfsGeneration generation;

        if (entry->d_type == DT_DIR && parse_generation_name(entry->d_name, &generation)) {
            list_guests(root, entry->d_name, generation, gates);
        }
    }
    closedir(dir);
    g_ptr_array_sort(gates, compare_gates);
    return g_steal_pointer(&gates);
}

GPtrArray *
gate_generations(GError **error)
{
    g_autofree char *root = gate_root(error);
    DIR *dir = root != NULL ? opendir(root) : NULL;

    if (dir == NULL) {
        if (root != NULL) {
            q_set_error_errno(error, errno, "cannot read %s", root);
        }
        return NULL;
    }
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        CfsGeneration generation;

        if (entry->d_type == DT_DIR && parse_generation_name(entry->d_name, &generation)
            && !is_unguarded(generation)) {
            g_ptr_array_add(found, g_memdup2(&generation, sizeof(generation)));
        }
    }
    closedir(dir);
    return found;
}

/* The folders of @vmid (0: those of every guest, and of the generation itself) under @only, or
 * under any generation. */
static GPtrArray *
guest_folders(uint32_t vmid, const CfsGeneration *only, GError **error)
{
    g_autofree char *root = gate_root(error);
    g_autoptr(GPtrArray) gates = root != NULL ? gate_list(error) : NULL;

    if (gates == NULL) {
        return NULL;
    }
    GPtrArray *folders = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < gates->len; i++) {
        const Gate *gate = gates->pdata[i];

        if ((vmid == 0 || gate->vmid == vmid)
            && (only == NULL || cfs_generation_compare(gate->generation, *only) == 0)) {
            g_ptr_array_add(folders, gate_path(root, gate->generation, gate->vmid));
        }
    }
    return folders;
}

/* Appends the processes of one cgroup; false if it cannot be read (gone is fine: nobody in it). */
static bool
append_pids(const char *folder, GArray *pids)
{
    g_autofree char *path = g_build_filename(folder, "cgroup.procs", NULL);
    g_autofree char *text = q_file_read(path, 1 << 20, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);

    for (int i = 0; lines[i] != NULL; i++) {
        guint64 pid;

        if (g_ascii_string_to_unsigned(lines[i], 10, 1, G_MAXINT, &pid, NULL)) {
            pid_t value = pid;
            g_array_append_val(pids, value);
        }
    }
    return text != NULL;
}

GArray *
gate_pids(uint32_t vmid)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_autoptr(GPtrArray) folders = guest_folders(vmid, NULL, NULL);

    for (guint i = 0; folders != NULL && i < folders->len; i++) {
        append_pids(folders->pdata[i], pids);
    }
    return pids;
}

bool
gate_empty(uint32_t vmid)
{
    g_autoptr(GPtrArray) folders = guest_folders(vmid, NULL, NULL);

    if (folders == NULL) {
        return false;
    }
    for (guint i = 0; i < folders->len; i++) {
        bool populated = true;

        /* A folder that vanished between the two looks had nobody in it. */
        if (!read_populated(folders->pdata[i], &populated)
            && !g_file_test(folders->pdata[i], G_FILE_TEST_EXISTS)) {
            populated = false;
        }
        if (populated) {
            return false;
        }
    }
    return true;
}

bool
gate_adopt(uint32_t vmid, CfsGeneration generation, GError **error)
{
    g_autofree char *root = gate_root(error);
    g_autoptr(GPtrArray) folders = root != NULL ? guest_folders(vmid, NULL, error) : NULL;
    g_autofree char *target = NULL;

    if (folders == NULL) {
        return false;
    }
    if (folders->len == 0) {
        return true;
    }
    if (!make_guest_folder(root, generation, vmid, &target, error)) {
        return false;
    }
    for (guint i = 0; i < folders->len; i++) {
        g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));

        if (strcmp(folders->pdata[i], target) == 0) {
            continue;
        }
        /* A process may fork while we move it: until the old folder can be removed it is not done.
         */
        for (int round = 0; round < 100 && rmdir(folders->pdata[i]) < 0 && errno != ENOENT;
             round++) {
            g_array_set_size(pids, 0);
            append_pids(folders->pdata[i], pids);
            for (guint p = 0; p < pids->len; p++) {
                g_autofree char *text = g_strdup_printf("%d", g_array_index(pids, pid_t, p));
                g_autoptr(GError) failure = NULL;

                if (!write_pid(target, text, &failure)
                    && kill(g_array_index(pids, pid_t, p), 0) == 0) {
                    g_propagate_error(error, g_steal_pointer(&failure));
                    return false;
                }
            }
        }
        if (g_file_test(folders->pdata[i], G_FILE_TEST_EXISTS)) {
            return q_set_error(error, Q_ERROR_BUSY, "guest %u does not leave the gate %s", vmid,
                               (char *)folders->pdata[i]);
        }
    }
    return true;
}

/* ------------------------------------------------------------------ ending */

static void
write_one(const char *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        (void)!write(fd, "1", 1); /* if it did not work the folder stays populated: no proof */
        close(fd);
    }
}

/* Freezing is asked for and happens a moment later; what cannot be frozen (D state) is not waited
 * for long: the proof of its death comes later anyway. */
static void
freeze_folders(GPtrArray *folders)
{
    int64_t deadline_ms = q_clock_mono_ms() + FREEZE_MS;

    for (guint i = 0; i < folders->len; i++) {
        write_one(folders->pdata[i], "cgroup.freeze");
    }
    for (guint i = 0; i < folders->len; i++) {
        g_autofree char *path = g_build_filename(folders->pdata[i], "cgroup.events", NULL);

        for (;;) {
            g_autofree char *text = q_file_read(path, 4096, NULL, NULL);

            if (text == NULL || strstr(text, "frozen 1") != NULL
                || strstr(text, "populated 0") != NULL || q_clock_mono_ms() >= deadline_ms) {
                break;
            }
            g_usleep(500);
        }
    }
}

/* Kills everything in @folders until each of them can be removed: an empty cgroup is removed in one
 * step, so nobody can enter between the last look and the removal. Frozen first, so that no socket
 * is made between noting the sockets and the death of their owner. */
static bool
end_folders(GPtrArray *folders, int64_t deadline_ms, GateSockets *sockets, GError **error)
{
    bool noted = true;

    for (;;) {
        g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
        g_autoptr(GPtrArray) left = g_ptr_array_new();

        for (guint i = 0; i < folders->len; i++) {
            if (rmdir(folders->pdata[i]) < 0 && errno != ENOENT) {
                g_ptr_array_add(left, folders->pdata[i]);
            }
        }
        if (left->len == 0) {
            return noted
                   || q_set_error(error, Q_ERROR_IO,
                                  "the TCP sockets of the killed processes are not known");
        }
        freeze_folders(left);
        for (guint i = 0; i < left->len; i++) {
            append_pids(left->pdata[i], pids);
        }
        noted = gate_sockets_note(sockets, pids, NULL) && noted;
        for (guint i = 0; i < left->len; i++) {
            write_one(left->pdata[i], "cgroup.kill");
        }
        if (q_clock_mono_ms() >= deadline_ms) {
            return q_set_error(error, Q_ERROR_TIMEOUT, "processes in %s outlive SIGKILL",
                               (char *)left->pdata[0]);
        }
        g_usleep(GATE_POLL_MS * 1000);
    }
}

static bool
end_sockets(GateSockets *sockets, int64_t deadline_ms, GError **error)
{
    for (;;) {
        g_autoptr(GError) left = NULL;

        if (gate_sockets_end(sockets, &left)) {
            return true;
        }
        if (q_clock_mono_ms() >= deadline_ms) {
            return q_set_error(error, Q_ERROR_TIMEOUT, "%s", left->message);
        }
        g_usleep(GATE_POLL_MS * 1000);
    }
}

bool
gate_kill_guest(uint32_t vmid, int wait_ms, GError **error)
{
    int64_t deadline_ms = q_clock_mono_ms() + wait_ms;
    g_autoptr(GPtrArray) folders = guest_folders(vmid, NULL, error);
    g_autoptr(GateSockets) sockets = gate_sockets_new();

    return folders != NULL && end_folders(folders, deadline_ms, sockets, error)
           && end_sockets(sockets, deadline_ms, error);
}

bool
gate_close(CfsGeneration generation, int wait_ms, GError **error)
{
    int64_t deadline_ms = q_clock_mono_ms() + wait_ms;
    g_autofree char *root = gate_root(error);
    g_autoptr(GateSockets) sockets = gate_sockets_new();

    if (root == NULL) {
        return false;
    }
    g_autofree char *whole = gate_path(root, generation, 0);
    for (;;) {
        /* A task may make a new guest folder after we listed them: the generation's own folder can
         * only be removed when none is left, and nobody makes that one again. */
        g_autoptr(GPtrArray) folders = guest_folders(0, &generation, error);
        if (folders == NULL) {
            return false;
        }
        g_ptr_array_add(folders, g_strdup(whole));
        g_autoptr(GError) late = NULL;
        if (end_folders(folders, MIN(deadline_ms, q_clock_mono_ms() + 100), sockets, &late)) {
            return end_sockets(sockets, deadline_ms, error);
        }
        if (q_clock_mono_ms() >= deadline_ms || late->code != Q_ERROR_TIMEOUT) {
            g_propagate_error(error, g_steal_pointer(&late));
            return false;
        }
    }
}
