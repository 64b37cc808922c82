#include "lab/commands.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "base/json.h"
#include "lab/cgroup.h"
#include "lab/cluster.h"
#include "lab/commands_priv.h"
#include "lab/enter.h"
#include "lab/forward.h"
#include "lab/guest_image.h"
#include "lab/hardware.h"
#include "lab/host.h"
#include "lab/init.h"
#include "lab/net.h"
#include "lab/status.h"
#include "lab/up.h"

enum { DEFAULT_NODES = 3 };

static bool
parse_number(const char *text, int64_t min, int64_t max, int64_t *value)
{
    char *end;

    *value = text != NULL ? g_ascii_strtoll(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0' && *value >= min && *value <= max;
}

/* --boot-delay S, fractions allowed. */
static bool
parse_delay(const char *text, int64_t *delay_ms)
{
    char *end;
    double seconds = text != NULL ? g_ascii_strtod(text, &end) : -1;

    if (text == NULL || end == text || *end != '\0' || !(seconds >= 0 && seconds <= 3600)) {
        return false;
    }
    *delay_ms = (int64_t)(seconds * 1000);
    return true;
}

static int
run_up(Lab *lab, char **args, GError **error)
{
    LabUpOptions options = { .cluster = true };
    int64_t value;

    lab->nodes = DEFAULT_NODES;
    for (int i = 0; args[i] != NULL; i++) {
        const char *word = args[i], *next = args[i + 1];
        bool takes = true;

        if (strcmp(word, "--nodes") == 0 && parse_number(next, 1, LAB_NODES_MAX, &value)) {
            lab->nodes = value;
        } else if (strcmp(word, "--profile") == 0
                   && g_strv_contains((const char *[]){ "fast", "steady", "classic", NULL },
                                      next != NULL ? next : "")) {
            g_free(lab->profile);
            lab->profile = g_strdup(next);
        } else if (strcmp(word, "--boot-delay") == 0 && parse_delay(next, &lab->boot_delay_ms)) {
        } else if (strcmp(word, "--storage") == 0 && next != NULL) {
            options.storages = next;
        } else {
            takes = false;
            if (strcmp(word, "--no-cluster") == 0) {
                options.cluster = false;
            } else if (strcmp(word, "--keep") == 0) {
                options.keep = true;
            } else if (strcmp(word, "--power-fencing") == 0
                       || strcmp(word, "--watchdog-only") == 0) {
                lab->power_fencing = word[2] == 'p';
            } else {
                q_set_error(error, Q_ERROR_INVALID, "up: bad option or value at '%s'", word);
                return -1;
            }
        }
        i += takes;
    }
    if (!lab_cluster_check_storages(options.storages, error)) {
        return -1;
    }
    return lab_up(lab, &options, error) ? 0 : -1;
}

static int
run_down(Lab *lab, char **args, GError **error)
{
    return lab_down(lab, error) ? 0 : -1;
}

static int
run_exec(Lab *lab, char **args, GError **error)
{
    const char *const *argv = (const char *const *)args + 1;

    argv += *argv != NULL && strcmp(*argv, "--") == 0;
    if (*argv == NULL) {
        q_set_error(error, Q_ERROR_INVALID, "exec NODE -- CMD…");
        return -1;
    }
    return lab_enter_run(lab, args[0], argv, error);
}

static int
run_shell(Lab *lab, char **args, GError **error)
{
    g_autofree char *prompt = g_strdup_printf("[%s] root@%s:\\w# ", lab->name, args[0]);
    const char *argv[] = { "bash", "--norc", "-i", NULL };

    g_setenv("PS1", prompt, TRUE);
    return lab_enter_run(lab, args[0], argv, error);
}

/* Returns the node's number, 0 with an error. */
static int
ask_power(Lab *lab, const char *op, const char *action, const char *node, int timeout_ms,
          GError **error)
{
    g_autoptr(JsonObject) request = json_object_new(), answer = NULL;
    int index = lab_node_index(lab, node, error);

    if (index == 0) {
        return 0;
    }
    json_object_set_string_member(request, "op", op);
    json_object_set_string_member(request, "node", node);
    json_object_set_string_member(request, "action", action);
    answer = lab_hardware_ask(lab, request, timeout_ms, error);
    return answer != NULL ? index : 0;
}

static int
run_power(Lab *lab, char **args, GError **error)
{
    enum { POWER_WAIT_MS = 60000 };

    if (!g_strv_contains((const char *[]){ "on", "off", "reset", NULL }, args[0])) {
        q_set_error(error, Q_ERROR_INVALID, "power off|on|reset NODE, not '%s'", args[0]);
        return -1;
    }
    return ask_power(lab, "power", args[0], args[1], POWER_WAIT_MS, error) != 0 ? 0 : -1;
}

static int
end_in_order(Lab *lab, const char *kind, const char *node, GError **error)
{
    enum { SHUTDOWN_WAIT_MS = 300000 };
    int index = lab_node_index(lab, node, error);
    g_autofree char *answer = NULL;

    if (index == 0 || lab_host_pid(lab, index, error) == 0
        || (answer = lab_init_ask(lab, index, kind, error)) == NULL) {
        return -1;
    }
    return ask_power(lab, "wait-off", "", node, SHUTDOWN_WAIT_MS, error) != 0 ? 0 : -1;
}

static int
run_shutdown(Lab *lab, char **args, GError **error)
{
    return end_in_order(lab, "shutdown", args[0], error);
}

static int
run_reboot(Lab *lab, char **args, GError **error)
{
    return end_in_order(lab, "reboot", args[0], error);
}

static int
set_frozen(Lab *lab, const char *node, bool frozen, GError **error)
{
    int index = lab_node_index(lab, node, error);

    if (index == 0 || lab_host_pid(lab, index, error) == 0) {
        return -1;
    }
    g_autofree char *cgroup = lab_node_cgroup(lab, index);
    return lab_cgroup_freeze(cgroup, frozen, error) ? 0 : -1;
}

static int
run_freeze(Lab *lab, char **args, GError **error)
{
    return set_frozen(lab, args[0], true, error);
}

static int
run_thaw(Lab *lab, char **args, GError **error)
{
    return set_frozen(lab, args[0], false, error);
}

static int
run_link(Lab *lab, char **args, GError **error)
{
    bool up = strcmp(args[0], "up") == 0;
    int64_t only = -1;
    int node = lab_node_index(lab, args[1], error);

    if (node == 0) {
        return -1;
    }
    if ((!up && strcmp(args[0], "down") != 0)
        || (args[2] != NULL && !parse_number(args[2], 0, LAB_LINKS - 1, &only))) {
        q_set_error(error, Q_ERROR_INVALID, "link down|up NODE [0|1]");
        return -1;
    }
    for (int link = 0; link < LAB_LINKS; link++) {
        if ((only < 0 || only == link) && !lab_net_set_link(lab, node, link, up, error)) {
            return -1;
        }
    }
    return 0;
}

static int
run_partition(Lab *lab, char **args, GError **error)
{
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    bool one_way = args[0] != NULL && strcmp(args[0], "--one-way") == 0;
    uint64_t seen = 0;

    for (char **arg = args + one_way; *arg != NULL; arg++) {
        g_auto(GStrv) names = g_strsplit(*arg, ",", -1);
        GArray *group = g_array_new(FALSE, FALSE, sizeof(int));

        g_ptr_array_add(groups, group);
        for (int i = 0; names[i] != NULL; i++) {
            int node = lab_node_index(lab, names[i], error);
            if (node == 0) {
                return -1;
            }
            if (seen & (1ull << node)) {
                q_set_error(error, Q_ERROR_INVALID, "partition: %s is named twice", names[i]);
                return -1;
            }
            seen |= 1ull << node;
            g_array_append_val(group, node);
        }
    }
    if (groups->len < 2) {
        q_set_error(error, Q_ERROR_INVALID,
                    "partition [--one-way] GROUP GROUP…, a group is node1,node2");
        return -1;
    }
    return lab_net_cut(lab, groups, one_way, error) ? 0 : -1;
}

static int
run_heal(Lab *lab, char **args, GError **error)
{
    return lab_net_heal(lab, error) ? 0 : -1;
}

static int
run_daemon(Lab *lab, char **args, GError **error)
{
    static const char *const names[] = { "corosync", "cfsd", "crmd",   "lrmd", "watchdogd",
                                         "schedd",   "apid", "proxyd", NULL };
    const char *verb = args[0], *name = args[2];
    int node = lab_node_index(lab, args[1], error);

    if (node == 0) {
        return -1;
    }
    if (!g_strv_contains((const char *[]){ "kill", "stop", "start", "restart", NULL }, verb)
        || !g_strv_contains(names, name)) {
        g_autofree char *all = g_strjoinv("|", (char **)names);
        q_set_error(error, Q_ERROR_INVALID, "daemon kill|stop|start|restart NODE %s", all);
        return -1;
    }
    return lab_init_daemon(lab, node, verb, name, error) ? 0 : -1;
}

static int
run_status(Lab *lab, char **args, GError **error)
{
    g_autoptr(JsonObject) status = NULL;

    if (args[0] != NULL && strcmp(args[0], "--json") != 0) {
        q_set_error(error, Q_ERROR_INVALID, "status [--json]");
        return -1;
    }
    status = lab_status(lab);
    if (args[0] != NULL) {
        g_autofree char *text = q_json_object_text(status, Q_JSON_COMPACT);
        printf("%s\n", text);
    } else {
        lab_status_print(status);
    }
    return 0;
}

static int
run_history(Lab *lab, char **args, GError **error)
{
    enum { HISTORY_WAIT_MS = 10000 };
    g_autoptr(JsonObject) request = json_object_new(), answer = NULL;
    bool json = false, overlaps = false;
    int64_t vmid = 0;

    for (int i = 0; args[i] != NULL; i++) {
        if (strcmp(args[i], "--json") == 0) {
            json = true;
        } else if (strcmp(args[i], "--overlaps") == 0) {
            overlaps = true;
        } else if (!parse_number(args[i], 1, 999999999, &vmid)) {
            q_set_error(error, Q_ERROR_INVALID, "history [--json] [--overlaps] [VMID]");
            return -1;
        }
    }
    json_object_set_string_member(request, "op", overlaps ? "overlaps" : "history");
    json_object_set_int_member(request, "vmid", vmid);
    answer = lab_hardware_ask(lab, request, HISTORY_WAIT_MS, error);
    JsonArray *list = answer != NULL ? q_json_array(answer, "list") : NULL;
    if (list == NULL) {
        return -1;
    }
    bool any = json_array_get_length(list) > 0;
    if (json && (!overlaps || any)) {
        g_autoptr(JsonNode) node = q_json_node_array(json_array_ref(list));
        g_autofree char *text = q_json_text(node, Q_JSON_COMPACT);
        printf("%s\n", text);
    } else if (!json && overlaps) {
        lab_overlaps_print(list);
    } else if (!json) {
        lab_history_print(list);
    }
    return overlaps && any ? 1 : 0;
}

static int
run_url(Lab *lab, char **args, GError **error)
{
    int node = lab_node_index(lab, args[0] != NULL ? args[0] : "node1", error);
    int port = node != 0 ? lab_forward_port(lab, node) : 0;

    if (node == 0 || port == 0) {
        return node == 0 ? -1
                         : (q_set_error(error, Q_ERROR_UNREACHABLE, "no port is forwarded"), -1);
    }
    printf("https://127.0.0.1:%d/\n", port);
    return 0;
}

static int
run_password(Lab *lab, char **args, GError **error)
{
    printf("%s\n", lab->password);
    return 0;
}

static int
run_guest_image(Lab *lab, char **args, GError **error)
{
    g_autofree char *folder = lab_guest_image(error);

    if (folder == NULL) {
        return -1;
    }
    printf("%s\n", folder);
    return 0;
}

/* Not for people: the processes that a lab is made of. */
static int
run_switch(Lab *lab, char **args, GError **error)
{
    return lab_net_switch_main();
}

static int
run_hardware(Lab *lab, char **args, GError **error)
{
    int64_t fd;

    if (!parse_number(args[0], 3, 1 << 20, &fd)) {
        q_set_error(error, Q_ERROR_INVALID, "hardware FD");
        return -1;
    }
    return lab_hardware_main(lab, fd);
}

static int
run_boot(Lab *lab, char **args, GError **error)
{
    int node = lab_node_index(lab, args[0], error);
    g_autofree char *pid_file = node != 0 ? lab_node_path(lab, node, "pid") : NULL;
    pid_t pid = node != 0 ? lab_host_boot(lab, node, error) : -1;

    if (pid < 0 || !lab_pid_write(pid_file, pid, error)) {
        printf("%s\n", *error != NULL ? (*error)->message : "no reason given");
        return 1;
    }
    printf("%d\n", (int)pid);
    return 0;
}

static int
run_init(Lab *lab, char **args, GError **error)
{
    return lab_init_main();
}

/* clang-format off */
typedef struct {
    const char *word;
    int min, max; /* arguments; max -1: any */
    bool no_lab;  /* works without a lab that is up */
    int (*run)(Lab *lab, char **args, GError **error); /* -1 with an error, else the exit status */
    const char *usage; /* NULL: not for people */
    const char *doc;
} Word;

static const Word words[] = {
    { "up", 0, -1, true, run_up, "[--nodes N] [--no-cluster] [--profile fast|steady|classic]\n"
      "             [--watchdog-only|--power-fencing] [--storage LIST] [--boot-delay S] [--keep]",
      "bring a lab up; ends when the cluster is quorate and its API answers on every node" },
    { "down",        0,  0, true,  run_down,        "",                       "remove everything of it" },
    { "exec",        1, -1, false, run_exec,        "NODE -- CMD…",           "run CMD inside the host" },
    { "shell",       1,  1, false, run_shell,       "NODE",                   "a shell inside the host" },
    { "power",       2,  2, false, run_power,       "off|on|reset NODE",      "as the mains do it" },
    { "shutdown",    1,  1, false, run_shutdown,    "NODE",                   "in order" },
    { "reboot",      1,  1, false, run_reboot,      "NODE",                   "in order" },
    { "freeze",      1,  1, false, run_freeze,      "NODE",                   "stop every process of the host" },
    { "thaw",        1,  1, false, run_thaw,        "NODE",                   "and let them go on" },
    { "link",        2,  3, false, run_link,        "down|up NODE [0|1]",     "pull a cable, plug it in" },
    { "partition",   1, -1, false, run_partition,   "[--one-way] GROUP GROUP…", "cut groups (node1,node2) off from each other" },
    { "heal",        0,  0, false, run_heal,        "",                       "end all cuts and link faults" },
    { "daemon",      3,  3, false, run_daemon,      "kill|stop|start|restart NODE NAME", "SIGKILL, SIGSTOP, SIGCONT or start, SIGTERM and start" },
    { "status",      0,  1, false, run_status,      "[--json]",               "hosts and guests" },
    { "history",     0,  3, false, run_history,     "[--json] [--overlaps] [VMID]", "when a guest's process existed where" },
    { "url",         0,  1, false, run_url,         "[NODE]",                 "its API and web page" },
    { "password",    0,  0, false, run_password,    "",                       "root's, in every host" },
    { "guest-image", 0,  0, true,  run_guest_image, "",                       "a folder with vmlinuz and initrd.img" },
    { "switch",      1,  1, true,  run_switch },
    { "hardware",    1,  1, false, run_hardware },
    { "boot",        1,  1, false, run_boot },
    { "init",        0,  0, true,  run_init },
};
/* clang-format on */

static void
print_usage(FILE *to)
{
    fprintf(to, "A whole cluster on this machine.\n\nquorate-lab [--lab NAME] WORD …\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (words[i].usage != NULL) {
            fprintf(to, "  %s %s\n        %s\n", words[i].word, words[i].usage, words[i].doc);
        }
    }
}

static int
run_word(const Word *word, const char *name, int argc, char **argv, GError **error)
{
    g_autoptr(Lab) lab = NULL;

    if (argc < word->min || (word->max >= 0 && argc > word->max)) {
        q_set_error(error, Q_ERROR_INVALID, "usage: quorate-lab %s %s", word->word,
                    word->usage != NULL ? word->usage : "");
        return -1;
    }
    lab = lab_new(name, error);
    if (lab == NULL || (!word->no_lab && !lab_load(lab, error))) {
        return strcmp(word->word, "exec") == 0 ? LAB_EXIT_NO_HOST : -1;
    }
    return word->run(lab, argv, error);
}

int
lab_main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    const char *name = "lab";
    sigset_t none;
    int at = 1;

    sigemptyset(&none); /* pid 1 and the hardware block what they read by descriptor */
    sigprocmask(SIG_SETMASK, &none, NULL);
    while (at + 1 < argc && strcmp(argv[at], "--lab") == 0) {
        name = argv[at + 1];
        at += 2;
    }
    if (at >= argc || strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "help") == 0) {
        print_usage(at >= argc ? stderr : stdout);
        return at >= argc ? 255 : 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(words[i].word, argv[at]) == 0) {
            int status = run_word(&words[i], name, argc - at - 1, argv + at + 1, &error);
            fflush(stdout);
            if (error != NULL) {
                fprintf(stderr, "%s\n", error->message);
            }
            return status >= 0 ? status : q_error_exit_code(error);
        }
    }
    fprintf(stderr, "quorate-lab: there is no word '%s'; see quorate-lab --help\n", argv[at]);
    return 255;
}
