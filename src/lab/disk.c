#include "lab/disk.h"
#include <crypt.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/file.h"
#include "sys/process.h"

enum { FILE_MAX_BYTES = 1024 * 1024, PASSWORD_LENGTH = 16, COPY_TIMEOUT_MS = 60000 };
#define PROXY_USER "quorate-proxy"
#define PROXY_GROUP "www-data"

/* clang-format off */
const LabDiskEntry lab_disk_entries[] = {
    { "/etc/pve",             .is_file = false },
    { "/etc/corosync",        .is_file = false },
    { "/etc/quorate",         .is_file = false },
    { "/etc/pam.d",           .is_file = false, .from_machine = true },
    { "/etc/hosts",           .is_file = true },
    { "/etc/hostname",        .is_file = true },
    { "/etc/shadow",          .is_file = true },
    /* The machine's users and the one that quorate-proxyd becomes. */
    { "/etc/passwd",          .is_file = true },
    { "/etc/group",           .is_file = true },
    { "/var/lib/pve-cluster", .is_file = false },
    { "/var/lib/quorate",     .is_file = false },
    { "/var/lib/vz",          .is_file = false },
    { "/var/log",             .is_file = false },
    { NULL },
};
/* clang-format on */

static const char *const folders[] = {
    "var-log/corosync",  "var-log/quorate",     "var-log/pve/tasks",
    "var-lib-vz/images", "var-lib-vz/template", NULL,
};

char *
lab_disk_name(const char *path)
{
    return g_strdelimit(g_strdup(path + 1), "/", '-');
}

static void
random_text(char *text, size_t length, const char *alphabet, size_t letters)
{
    for (size_t i = 0; i < length; i++) {
        uint32_t value;
        if (getrandom(&value, sizeof value, 0) != sizeof value) {
            g_error("the kernel gives no random numbers: %s", g_strerror(errno));
        }
        text[i] = alphabet[value % letters];
    }
    text[length] = '\0';
}

char *
lab_disk_password(void)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
    char *password = g_malloc(PASSWORD_LENGTH + 1);

    random_text(password, PASSWORD_LENGTH, letters, sizeof letters - 1);
    return password;
}

/* The machine's /etc/shadow with root's password replaced. */
static char *
shadow_text(const char *password)
{
    static const char letters[] =
        "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    g_autofree char *machine = q_file_read("/etc/shadow", FILE_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(machine != NULL ? machine : "", "\n", -1);
    g_autofree struct crypt_data *data = g_new0(struct crypt_data, 1);
    GString *text = g_string_new(NULL);
    char salt[17];

    random_text(salt, sizeof salt - 1, letters, sizeof letters - 1);
    g_autofree char *setting = g_strdup_printf("$6$%s", salt);
    g_string_append_printf(text, "root:%s:20000:0:99999:7:::\n", crypt_r(password, setting, data));
    for (int i = 0; lines[i] != NULL; i++) {
        if (lines[i][0] != '\0' && !g_str_has_prefix(lines[i], "root:")
            && !g_str_has_prefix(lines[i], PROXY_USER ":")) {
            g_string_append_printf(text, "%s\n", lines[i]);
        }
    }
    g_string_append(text, PROXY_USER ":!:20000::::::\n");
    return g_string_free(text, FALSE);
}

/* A copy of /etc/passwd or /etc/group; @line is added unless the name before its colon is there. */
static char *
names_text(const char *path, const char *line)
{
    g_autofree char *text = q_file_read(path, FILE_MAX_BYTES, NULL, NULL);
    g_autofree char *start = g_strndup(line, strchr(line, ':') - line + 1);
    g_autofree char *inner = g_strdup_printf("\n%s", start);

    if (text == NULL || (!g_str_has_prefix(text, start) && strstr(text, inner) == NULL)) {
        return g_strdup_printf("%s%s\n", text != NULL ? text : "", line);
    }
    return g_steal_pointer(&text);
}

static char *
hosts_text(const Lab *lab)
{
    GString *text = g_string_new("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");

    for (int i = 1; i <= lab->nodes; i++) {
        g_string_append_printf(text, "10.77.0.%d node%d\n", i, i);
    }
    return g_string_free(text, FALSE);
}

static bool
put(const char *disk, const char *name, const char *text, mode_t mode, GError **error)
{
    g_autofree char *path = g_build_filename(disk, name, NULL);

    /* Not the atomic write: nothing here is worth an fsync, a lab that was cut short is removed. */
    if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, mode, NULL)) {
        return q_set_error_errno(error, errno, "cannot write %s", path);
    }
    chmod(path, mode);
    return true;
}

static bool
put_files(const Lab *lab, int node, const char *disk, GError **error)
{
    struct group *group = getgrnam(PROXY_GROUP);
    g_autofree char *passwd = NULL, *groups = NULL, *shadow = shadow_text(lab->password);
    g_autofree char *hosts = hosts_text(lab), *hostname = g_strdup_printf("node%d\n", node);
    g_autofree char *user = g_strdup_printf(PROXY_USER ":x:9800:%d:Quorate API proxy:/nonexistent:"
                                                       "/usr/sbin/nologin",
                                            group != NULL ? (int)group->gr_gid : 33);

    passwd = names_text("/etc/passwd", user);
    groups = names_text("/etc/group", PROXY_GROUP ":x:33:");
    return put(disk, "etc-hosts", hosts, 0644, error)
           && put(disk, "etc-hostname", hostname, 0644, error)
           && put(disk, "etc-shadow", shadow, 0640, error)
           && put(disk, "etc-passwd", passwd, 0644, error)
           && put(disk, "etc-group", groups, 0644, error)
           && put(disk, "etc-quorate/quorate.conf", "[watchdog]\ndevice=/run/lab/watchdog\n", 0644,
                  error);
}

/* What the package would put into /etc/pam.d. */
static bool
add_pam_services(const char *disk, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(LAB_SOURCE_DIR "/packaging/pam", 0, NULL);
    const char *name;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *source = g_build_filename(LAB_SOURCE_DIR "/packaging/pam", name, NULL);
        g_autofree char *text = q_file_read(source, FILE_MAX_BYTES, NULL, error);
        g_autofree char *target = g_build_filename("etc-pam.d", name, NULL);

        if (text == NULL || !put(disk, target, text, 0644, error)) {
            return false;
        }
    }
    return true;
}

bool
lab_disk_make(const Lab *lab, int node, GError **error)
{
    g_autofree char *disk = lab_node_path(lab, node, "disk");
    g_autofree char *devices = lab_node_path(lab, node, "lab");

    if (!q_file_make_dir(disk, 0755, error) || !q_file_make_dir(devices, 0755, error)) {
        return false;
    }
    for (const LabDiskEntry *entry = lab_disk_entries; entry->path != NULL; entry++) {
        g_autofree char *name = lab_disk_name(entry->path);
        g_autofree char *path = g_build_filename(disk, name, NULL);
        const char *copy[] = { "cp", "-a", entry->path, path, NULL };

        if (entry->from_machine && g_file_test(entry->path, G_FILE_TEST_IS_DIR)) {
            if (!q_run_ok(copy, &(QRunOptions){ .timeout_ms = COPY_TIMEOUT_MS }, NULL, error)) {
                return false;
            }
        } else if (!entry->is_file && !q_file_make_dir(path, 0755, error)) {
            return false;
        }
    }
    if (!add_pam_services(disk, error)) {
        return false;
    }
    for (int i = 0; folders[i] != NULL; i++) {
        g_autofree char *path = g_build_filename(disk, folders[i], NULL);
        if (!q_file_make_dir(path, 0755, error)) {
            return false;
        }
    }
    return put_files(lab, node, disk, error);
}
