#include "lab/lab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "sys/file.h"
#include "sys/process.h"

enum { CONF_MAX_BYTES = 65536, DEFAULT_BOOT_DELAY_MS = 10000 };
#define GROUP "lab"

char *
lab_root_dir(void)
{
    const char *dir = g_getenv("QUORATE_LAB_DIR");

    return g_canonicalize_filename(dir != NULL && *dir != '\0' ? dir : "/var/lib/quorate-lab",
                                   NULL);
}

static bool
name_is_valid(const char *name)
{
    size_t length = strlen(name);

    return length >= 1 && length <= LAB_NAME_MAX && g_ascii_isalnum(name[0])
           && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
                  == length
           && strcmp(name, "guest") != 0; /* the guest images' folder stands beside the labs */
}

Lab *
lab_new(const char *name, GError **error)
{
    g_autofree char *root = lab_root_dir();

    if (!name_is_valid(name)) {
        q_set_error(error, Q_ERROR_INVALID,
                    "lab name '%s': letters, digits and hyphens, at most %d, not 'guest'", name,
                    LAB_NAME_MAX);
        return NULL;
    }
    Lab *lab = g_new0(Lab, 1);
    lab->name = g_strdup(name);
    lab->dir = g_build_filename(root, name, NULL);
    lab->program = g_file_read_link("/proc/self/exe", NULL);
    lab->program_dir = g_path_get_dirname(lab->program);
    lab->profile = g_strdup("fast");
    lab->boot_delay_ms = DEFAULT_BOOT_DELAY_MS;
    g_autofree char *mount = lab_cgroup_mount();
    if (mount != NULL) {
        /* The folder is in the name: labs of one name in two folders do not meet. */
        lab->cgroup = g_strdup_printf("%s/quorate-lab.%s.%08x", mount, name, g_str_hash(lab->dir));
    }
    return lab;
}

void
lab_free(Lab *lab)
{
    if (lab == NULL) {
        return;
    }
    g_free(lab->name);
    g_free(lab->dir);
    g_free(lab->cgroup);
    g_free(lab->program);
    g_free(lab->program_dir);
    g_free(lab->profile);
    g_free(lab->password);
    g_free(lab->bmc_secret);
    g_free(lab);
}

bool
lab_load(Lab *lab, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = lab_path(lab, "lab.conf");

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL)) {
        return q_set_error(error, Q_ERROR_NOT_FOUND,
                           "there is no lab '%s'; bring it up with: quorate-lab --lab %s up",
                           lab->name, lab->name);
    }
    lab->nodes = CLAMP(g_key_file_get_integer(file, GROUP, "nodes", NULL), 0, LAB_NODES_MAX);
    lab->boot_delay_ms = g_key_file_get_int64(file, GROUP, "boot_delay_ms", NULL);
    lab->power_fencing = g_key_file_get_boolean(file, GROUP, "power_fencing", NULL);
    g_free(lab->profile);
    lab->profile = g_key_file_get_string(file, GROUP, "profile", NULL);
    g_free(lab->password);
    lab->password = g_key_file_get_string(file, GROUP, "password", NULL);
    g_free(lab->bmc_secret);
    lab->bmc_secret = g_key_file_get_string(file, GROUP, "bmc_secret", NULL);
    return true;
}

bool
lab_save(const Lab *lab, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = lab_path(lab, "lab.conf"), *text = NULL;

    g_key_file_set_integer(file, GROUP, "nodes", lab->nodes);
    g_key_file_set_int64(file, GROUP, "boot_delay_ms", lab->boot_delay_ms);
    g_key_file_set_boolean(file, GROUP, "power_fencing", lab->power_fencing);
    g_key_file_set_string(file, GROUP, "profile", lab->profile);
    g_key_file_set_string(file, GROUP, "password", lab->password);
    g_key_file_set_string(file, GROUP, "bmc_secret", lab->bmc_secret);
    text = g_key_file_to_data(file, NULL, NULL);
    return q_file_write_atomic(path, text, strlen(text), 0600, error);
}

char *
lab_path(const Lab *lab, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *name = g_strdup_vprintf(format, args);
    va_end(args);
    return g_build_filename(lab->dir, name, NULL);
}

char *
lab_node_path(const Lab *lab, int node, const char *name)
{
    return lab_path(lab, "nodes/node%d/%s", node, name);
}

char *
lab_node_cgroup(const Lab *lab, int node)
{
    return g_strdup_printf("%s/node%d", lab->cgroup, node);
}

int
lab_node_index(const Lab *lab, const char *node, GError **error)
{
    for (int i = 1; i <= lab->nodes; i++) {
        g_autofree char *name = g_strdup_printf("node%d", i);
        if (strcmp(name, node) == 0) {
            return i;
        }
    }
    q_set_error(error, Q_ERROR_NOT_FOUND,
                "lab '%s' has no host '%s'; its hosts are node1 to node%d", lab->name, node,
                lab->nodes);
    return 0;
}

bool
lab_pid_write(const char *path, pid_t pid, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("%d %" G_GUINT64_FORMAT "\n", (int)pid, q_process_start_ticks(pid));

    return q_file_write_atomic(path, text, strlen(text), 0600, error);
}

pid_t
lab_pid_read(const char *path)
{
    g_autofree char *text = q_file_read(path, 64, NULL, NULL);
    unsigned long long ticks;
    int pid;

    if (text == NULL || sscanf(text, "%d %llu", &pid, &ticks) != 2) {
        return 0;
    }
    return q_process_alive(pid, ticks) ? pid : 0;
}

pid_t
lab_host_pid(const Lab *lab, int node, GError **error)
{
    g_autofree char *path = lab_node_path(lab, node, "pid");
    pid_t pid = lab_pid_read(path);

    if (pid == 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE,
                    "node%d is off; switch it on with: quorate-lab --lab %s power on node%d", node,
                    lab->name, node);
    }
    return pid;
}

bool
lab_host_frozen(const Lab *lab, int node)
{
    g_autofree char *cgroup = lab_node_cgroup(lab, node);

    return lab_cgroup_is_frozen(cgroup);
}
