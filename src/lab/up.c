#include "lab/up.h"
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "lab/cluster.h"
#include "lab/disk.h"
#include "lab/hardware.h"
#include "lab/machine.h"
#include "lab/net.h"
#include "lab/socket.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
    POWER_ON_WAIT_MS = 30000,
    BOOT_WAIT_MS = 60000,
    KILL_WAIT_MS = 10000,
    REMOVE_DEPTH = 32,
};

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
    interrupted = number;
}

static bool
check_interrupt(GError **error)
{
    return interrupted == 0 || q_set_error(error, Q_ERROR_IO, "interrupted");
}

static bool
make_folder(const Lab *lab, GError **error)
{
    static const char *const folders[] = { "nodes", "faults", "shared", NULL };

    if (mkdir(lab->dir, 0755) != 0) {
        if (errno != EEXIST) {
            return q_set_error_errno(error, errno, "cannot make %s", lab->dir);
        }
        return q_set_error(
            error, Q_ERROR_EXISTS,
            "lab '%s' is there already; take it down with: quorate-lab --lab %s down", lab->name,
            lab->name);
    }
    for (int i = 0; folders[i] != NULL; i++) {
        g_autofree char *path = lab_path(lab, "%s", folders[i]);
        if (!q_file_make_dir(path, 0755, error)) {
            return false;
        }
    }
    return true;
}

static bool
power_on(const Lab *lab, int node, bool wait, GError **error)
{
    g_autoptr(JsonObject) request = json_object_new(), answer = NULL;
    g_autofree char *name = g_strdup_printf("node%d", node);

    json_object_set_string_member(request, "op", "power");
    json_object_set_string_member(request, "node", name);
    json_object_set_string_member(request, "action", "on");
    json_object_set_boolean_member(request, "wait", wait);
    answer = lab_hardware_ask(lab, request, POWER_ON_WAIT_MS, error);
    return answer != NULL || q_prefix_error(error, "%s: ", name);
}

static bool
power_on_all(const Lab *lab, GError **error)
{
    for (int pass = 0; pass < 2; pass++) { /* all are switched on before one is waited for */
        for (int i = 1; i <= lab->nodes; i++) {
            if (!power_on(lab, i, pass == 1, error)) {
                return false;
            }
        }
    }
    return true;
}

/* Every host's daemons are started; those that do not report are named, for whoever builds them. */
static bool
wait_boot(const Lab *lab, GError **error)
{
    for (int i = 1; i <= lab->nodes; i++) {
        g_autofree char *path = lab_node_path(lab, i, "lab/init");
        int64_t deadline = q_clock_mono_ms() + BOOT_WAIT_MS;
        g_autofree char *answer = NULL;

        while (answer == NULL) {
            g_autoptr(GError) why = NULL;
            answer = lab_socket_ask(path, "boot", BOOT_WAIT_MS, &why);
            if (!check_interrupt(error)) {
                return false;
            }
            if (answer == NULL && q_clock_mono_ms() > deadline) {
                g_propagate_error(error, g_steal_pointer(&why));
                return q_prefix_error(error, "node%d does not boot: ", i);
            }
            if (answer == NULL) {
                g_usleep(2000);
            }
        }
        if (g_str_has_prefix(answer, "ok late ")) {
            printf("node%d: not ready in time:%s\n", i, answer + strlen("ok late"));
        }
    }
    return true;
}

static bool
build(Lab *lab, const LabUpOptions *options, GError **error)
{
    g_free(lab->password);
    g_free(lab->bmc_secret);
    lab->password = lab_disk_password();
    lab->bmc_secret = lab_disk_password();
    if (!lab_machine_mount_points(lab, error) || !lab_save(lab, error)
        || !lab_cgroup_make(lab->cgroup, error)) {
        return false;
    }
    for (int i = 1; i <= lab->nodes; i++) {
        if (!lab_disk_make(lab, i, error)) {
            return false;
        }
    }
    return lab_net_create(lab, error) && lab_hardware_start(lab, error) && check_interrupt(error)
           && power_on_all(lab, error) && wait_boot(lab, error);
}

bool
lab_up(Lab *lab, const LabUpOptions *options, GError **error)
{
    int64_t began = q_clock_mono_ms();
    struct sigaction action = { .sa_handler = on_interrupt };

    if (!lab_machine_check(lab, error) || !make_folder(lab, error)) {
        return false;
    }
    for (const int *s = (const int[]){ SIGINT, SIGTERM, SIGHUP, 0 }; *s != 0; s++) {
        sigaction(*s, &action, NULL);
    }
    bool ok = build(lab, options, error);
    if (ok) {
        printf("%d hosts are up after %.1f s\n", lab->nodes, (q_clock_mono_ms() - began) / 1000.0);
        fflush(stdout);
    }
    if (ok && options->cluster) {
        ok = lab_cluster_form(lab, options->storages, error) && check_interrupt(error);
        if (ok) {
            printf("The cluster is formed and quorate after %.1f s\n",
                   (q_clock_mono_ms() - began) / 1000.0);
        }
    }
    if (!ok && !options->keep) {
        lab_down(lab, NULL);
    }
    return ok;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    remove(path);
    return 0;
}

/* Ends every process of a cgroup; false if some do not die. */
static bool
kill_cgroup(const char *cgroup)
{
    int64_t deadline = q_clock_mono_ms() + KILL_WAIT_MS;

    do { /* again: a process may have joined in between two looks */
        lab_cgroup_kill(cgroup);
    } while (!lab_cgroup_wait_empty(cgroup, 100) && q_clock_mono_ms() < deadline);
    return !lab_cgroup_populated(cgroup);
}

/* Hosts first, while their parent, the hardware process, lives and reaps them. */
static bool
kill_all(const Lab *lab, GError **error)
{
    bool ok = true;

    for (int i = 1; i <= LAB_NODES_MAX; i++) {
        g_autofree char *cgroup = lab_node_cgroup(lab, i);
        pid_t pid = lab_host_pid(lab, i, NULL);

        lab_cgroup_kill(cgroup);
        for (int tries = 0; pid > 0 && tries < 200 && kill(pid, 0) == 0; tries++) {
            g_usleep(1000);
        }
        ok = ok && (!lab_cgroup_populated(cgroup) || kill_cgroup(cgroup));
    }
    if (!ok || !kill_cgroup(lab->cgroup)) {
        return q_set_error(error, Q_ERROR_BUSY,
                           "processes of lab '%s' do not die (see cgroup.procs below %s); nothing "
                           "was removed, try again",
                           lab->name, lab->cgroup);
    }
    return true;
}

bool
lab_down(Lab *lab, GError **error)
{
    g_autoptr(GPtrArray) left = NULL;

    if (!g_file_test(lab->dir, G_FILE_TEST_IS_DIR)
        && (lab->cgroup == NULL || !g_file_test(lab->cgroup, G_FILE_TEST_IS_DIR))) {
        return q_set_error(error, Q_ERROR_NOT_FOUND, "there is no lab '%s'", lab->name);
    }
    if (lab->cgroup != NULL && !kill_all(lab, error)) {
        return false;
    }
    left = lab_machine_leftovers(lab);
    if (lab->cgroup != NULL) {
        lab_cgroup_remove(lab->cgroup);
    }
    nftw(lab->dir, remove_one, REMOVE_DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    lab_machine_release(lab);
    if (g_file_test(lab->dir, G_FILE_TEST_EXISTS)) {
        g_ptr_array_add(left, g_strdup_printf("files in %s that cannot be removed", lab->dir));
    }
    if (left->len > 0) {
        g_ptr_array_add(left, NULL);
        g_autofree char *list = g_strjoinv(", ", (char **)left->pdata);
        return q_set_error(error, Q_ERROR_BUSY, "left behind in lab '%s' (now removed): %s",
                           lab->name, list);
    }
    return true;
}
