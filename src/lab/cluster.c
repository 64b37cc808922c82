#include "lab/cluster.h"
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "lab/bmc.h"
#include "lab/enter.h"
#include "sys/clock.h"

enum { COMMAND_WAIT_MS = 90000, FORM_WAIT_MS = 60000, PROBE_WAIT_MS = 3000, POLL_MS = 50 };

/* Runs a command of the product in a host, shown as an administrator would type it. */
static bool
type(const Lab *lab, int node, char **out, GError **error, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *text = NULL, *line = NULL;
    va_list args;

    va_start(args, error);
    for (const char *word = va_arg(args, const char *); word != NULL;
         word = va_arg(args, const char *)) {
        g_ptr_array_add(argv, (gpointer)word);
    }
    va_end(args);
    g_ptr_array_add(argv, NULL);
    line = g_strjoinv(" ", (char **)argv->pdata);
    printf("node%d# %s\n", node, line);
    fflush(stdout);
    int status = lab_enter_output(lab, node, (const char *const *)argv->pdata, COMMAND_WAIT_MS,
                                  false, &text, error);
    if (status < 0) {
        return false;
    }
    if (status != 0) {
        if (error == NULL || *error == NULL) {
            q_set_error(error, Q_ERROR_IO, "node%d: '%s' failed with status %d%s%s", node, line,
                        status, *text != '\0' ? ":\n" : "", g_strchomp(text));
        }
        return false;
    }
    if (out != NULL) {
        *out = g_steal_pointer(&text);
    }
    return true;
}

bool
lab_cluster_check_storages(const char *storages, GError **error)
{
    g_auto(GStrv) names = g_strsplit(storages != NULL ? storages : "", ",", -1);

    for (int i = 0; names[i] != NULL; i++) {
        if (names[i][0] != '\0' && strcmp(names[i], "local") != 0
            && strcmp(names[i], "shared") != 0) {
            return q_set_error(error, Q_ERROR_UNSUPPORTED,
                               "storage '%s': the lab has 'local' and 'shared' (type dir)",
                               names[i]);
        }
    }
    return true;
}

/* 401 is an answer: the version is for those who have logged in. */
bool
lab_cluster_api_answers(const Lab *lab, int node)
{
    g_autofree char *url = g_strdup_printf("https://10.77.0.%d:8006/api2/json/version", node);
    const char *argv[] = { "curl",      "-ks", "--max-time",   "2", "-o",
                           "/dev/null", "-w",  "%{http_code}", url, NULL };
    g_autofree char *out = NULL;

    return lab_enter_output(lab, node, argv, PROBE_WAIT_MS, true, &out, NULL) == 0
           && (strcmp(out, "200") == 0 || strcmp(out, "401") == 0);
}

static bool
is_quorate(const Lab *lab, int node)
{
    const char *argv[] = { "cat", "/etc/pve/.members", NULL };
    g_autofree char *out = NULL;

    if (lab_enter_output(lab, node, argv, PROBE_WAIT_MS, true, &out, NULL) != 0) {
        return false;
    }
    g_autoptr(JsonObject) members = q_json_parse_object(out, -1, NULL);
    JsonObject *cluster = members != NULL ? q_json_object(members, "cluster") : NULL;
    return cluster != NULL && q_json_int(cluster, "quorate", 0) == 1;
}

static bool
join(const Lab *lab, int node, GError **error)
{
    g_autofree char *link0 = g_strdup_printf("10.77.0.%d", node);
    g_autofree char *link1 = g_strdup_printf("10.77.1.%d", node);
    g_autofree char *token = NULL;

    return type(lab, 1, &token, error, "pvecm", "token", NULL)
           && type(lab, node, NULL, error, "pvecm", "add", "10.77.0.1", "--token",
                   g_strstrip(token), "--link0", link0, "--link1", link1, NULL);
}

static bool
add_storages(const Lab *lab, GError **error)
{
    g_autofree char *out = NULL;

    /* "local" is there without being asked for, as in any fresh installation. */
    if (!type(lab, 1, &out, error, "pvesm", "status", NULL)) {
        return false;
    }
    if (strstr(out, "local") == NULL
        && !type(lab, 1, NULL, error, "pvesm", "add", "dir", "local", "--path", "/var/lib/vz",
                 "--content", "images,iso,vztmpl,backup,snippets", NULL)) {
        return false;
    }
    return type(lab, 1, NULL, error, "pvesm", "add", "dir", "shared", "--path", "/mnt/shared",
                "--shared", "1", "--content", "images,iso,snippets", NULL);
}

static bool
wait_formed(const Lab *lab, GError **error)
{
    int64_t deadline = q_clock_mono_ms() + FORM_WAIT_MS;

    for (int i = 1; i <= lab->nodes; i++) {
        bool quorate = false;
        while (!(quorate = is_quorate(lab, i)) || !lab_cluster_api_answers(lab, i)) {
            if (q_clock_mono_ms() > deadline) {
                return q_set_error(
                    error, Q_ERROR_TIMEOUT, "node%d: %s within %d s; see /var/log/quorate in it", i,
                    quorate ? "its API (port 8006) does not answer" : "it is not quorate",
                    FORM_WAIT_MS / 1000);
            }
            g_usleep(POLL_MS * 1000);
        }
    }
    return true;
}

/* One device for the whole lab, as a rack's power strip is: ha/fence.cfg, in the form of that file.
 */
static bool
add_power_devices(const Lab *lab, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 1; i <= lab->nodes; i++) {
        g_string_append_printf(text,
                               "device power%d fence_quorate_lab ip=10.77.0.254 ipport=%d "
                               "password=%s\n"
                               "connect power%d node=node%d plug=node%d\n",
                               i, LAB_BMC_PORT, lab->bmc_secret, i, i, i);
    }
    return type(lab, 1, NULL, error, "sh", "-c",
                "mkdir -p /etc/pve/ha && printf %s \"$1\" > /etc/pve/ha/fence.cfg", "sh", text->str,
                NULL);
}

bool
lab_cluster_form(const Lab *lab, const char *storages, GError **error)
{
    if (!type(lab, 1, NULL, error, "pvecm", "create", "lab", "--link0", "10.77.0.1", "--link1",
              "10.77.1.1", NULL)) {
        return false;
    }
    for (int i = 2; i <= lab->nodes; i++) {
        if (!join(lab, i, error)) {
            return false;
        }
    }
    if (!wait_formed(lab, error)) {
        return false;
    }
    if (strcmp(lab->profile, "fast") != 0) {
        g_autofree char *line = g_strdup_printf("ha: profile=%s", lab->profile);
        if (!type(lab, 1, NULL, error, "sh", "-c", "echo \"$0\" > /etc/pve/datacenter.cfg", line,
                  NULL)) {
            return false;
        }
    }
    return add_storages(lab, error) && (!lab->power_fencing || add_power_devices(lab, error));
}
