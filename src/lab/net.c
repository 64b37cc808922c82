#include "lab/net.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "sys/file.h"
#include "sys/process.h"

enum { COMMAND_TIMEOUT_MS = 10000 };

bool
lab_net_scope_enter(LabNetScope *scope, pid_t pid, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/net", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    scope->saved = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || scope->saved < 0 || setns(fd, CLONE_NEWNET) != 0) {
        q_set_error_errno(error, errno, "cannot enter the network namespace of process %d",
                          (int)pid);
        if (fd >= 0) {
            close(fd);
        }
        if (scope->saved >= 0) {
            close(scope->saved);
        }
        return false;
    }
    close(fd);
    return true;
}

void
lab_net_scope_leave(LabNetScope *scope)
{
    if (setns(scope->saved, CLONE_NEWNET) != 0) {
        g_error("cannot leave a network namespace: %s", g_strerror(errno));
    }
    close(scope->saved);
}

pid_t
lab_net_switch_pid(const Lab *lab, GError **error)
{
    g_autofree char *path = lab_path(lab, "switch.pid");
    pid_t pid = lab_pid_read(path);

    if (pid == 0) {
        q_set_error(error, Q_ERROR_UNREACHABLE,
                    "the network of lab '%s' is gone: it was killed; remove what is left with: "
                    "quorate-lab --lab %s down",
                    lab->name, lab->name);
    }
    return pid;
}

/* Lines of `ip -batch` or `nft -f` in the bridges' namespace. */
static bool
run_in_switch(const Lab *lab, const char *const *argv, const char *input, GError **error)
{
    pid_t pid = lab_net_switch_pid(lab, error);
    LabNetScope scope;

    if (pid == 0 || !lab_net_scope_enter(&scope, pid, error)) {
        return false;
    }
    bool ok = q_run_ok(argv, &(QRunOptions){ .input = input, .timeout_ms = COMMAND_TIMEOUT_MS },
                       NULL, error);
    lab_net_scope_leave(&scope);
    return ok;
}

static const char *const ip_batch[] = { "ip", "-batch", "-", NULL };
static const char *const nft_batch[] = { "nft", "-f", "-", NULL };

int
lab_net_switch_main(void)
{
    if (unshare(CLONE_NEWNET) != 0) {
        fprintf(stderr, "a network namespace: %s\n", g_strerror(errno));
        return 1;
    }
    if (write(STDOUT_FILENO, "ready\n", 6) < 0) {
        return 1;
    }
    /* It outlives the command that started it: whoever reads that command's output must see its
     * end. */
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

/* Starts the process that holds the namespace; it outlives this one. */
static bool
start_switch(const Lab *lab, GError **error)
{
    g_autofree char *pid_file = lab_path(lab, "switch.pid");
    int ready[2];
    char word[8] = "";

    if (pipe2(ready, O_CLOEXEC) != 0) {
        return q_set_error_errno(error, errno, "a pipe");
    }
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(ready[1], STDOUT_FILENO);
        lab_cgroup_join(lab->cgroup, 0, NULL);
        execl(lab->program, "quorate-lab", "switch", lab->name, NULL);
        _exit(127);
    }
    close(ready[1]);
    bool ok = pid > 0 && read(ready[0], word, sizeof word) > 0;
    close(ready[0]);
    return ok ? lab_pid_write(pid_file, pid, error)
              : q_set_error(error, Q_ERROR_UNSUPPORTED,
                            "this machine gives no network namespace: run where root may have one");
}

bool
lab_net_create(const Lab *lab, GError **error)
{
    g_autoptr(GString) ip = g_string_new("link set lo up\n");
    static const char table[] =
        "table bridge quorate {\n"
        " set cuts { type ifname . ifname; }\n"
        " chain forward { type filter hook forward priority 0; policy accept;\n"
        "  iifname . oifname @cuts drop; }\n"
        "}\n";

    /* An address of their own: else it is that of a port, and changes when a host is switched off.
     */
    for (int link = 0; link < LAB_LINKS; link++) {
        g_string_append_printf(ip,
                               "link add br%d type bridge stp_state 0 forward_delay 0\n"
                               "link set br%d address 02:51:0a:4d:%02x:fe\n"
                               "addr add 10.77.%d.254/24 dev br%d\n"
                               "link set br%d up\n",
                               link, link, link, link, link, link);
    }
    return start_switch(lab, error) && run_in_switch(lab, ip_batch, ip->str, error)
           && run_in_switch(lab, nft_batch, table, error);
}

bool
lab_net_link_is_up(const Lab *lab, int node, int link)
{
    g_autofree char *fault = lab_path(lab, "faults/node%d.%d", node, link);

    return !g_file_test(fault, G_FILE_TEST_EXISTS);
}

bool
lab_net_plug(const Lab *lab, int node, GError **error)
{
    g_autoptr(GString) ip = g_string_new(NULL);
    pid_t switch_pid = lab_net_switch_pid(lab, error);
    LabNetScope scope;

    if (switch_pid == 0 || !lab_net_scope_enter(&scope, switch_pid, error)) {
        return false;
    }
    for (int link = 0; link < LAB_LINKS; link++) {
        g_autofree char *port = g_strdup_printf("node%d.%d", node, link);
        if (if_nametoindex(port) != 0) { /* of the boot before; its host may not be reaped yet */
            g_string_append_printf(ip, "link del %s\n", port);
        }
        g_string_append_printf(
            ip,
            "link add %s type veth peer name eth%d netns 1 address 02:51:0a:4d:%02x:%02x\n"
            "link set %s master br%d %s\n",
            port, link, link, node, port, link,
            lab_net_link_is_up(lab, node, link) ? "up" : "down");
    }
    bool ok =
        q_run_ok(ip_batch, &(QRunOptions){ .input = ip->str, .timeout_ms = COMMAND_TIMEOUT_MS },
                 NULL, error);
    lab_net_scope_leave(&scope);
    return ok;
}

bool
lab_net_inside(int node, GError **error)
{
    /* A bridge takes the lowest address of its ports unless it has one of its own: a guest's tap
     * must not change the host's. */
    g_autofree char *ip = g_strdup_printf("link set lo up\n"
                                          "link add vmbr0 type bridge stp_state 0 forward_delay 0\n"
                                          "link set vmbr0 address 02:51:0a:4d:00:%02x\n"
                                          "link set eth0 master vmbr0 up\n"
                                          "addr add 10.77.0.%d/24 dev vmbr0\n"
                                          "link set vmbr0 up\n"
                                          "addr add 10.77.1.%d/24 dev eth1\n"
                                          "link set eth1 up\n",
                                          node, node, node);

    return q_run_ok(ip_batch, &(QRunOptions){ .input = ip, .timeout_ms = COMMAND_TIMEOUT_MS }, NULL,
                    error);
}

/* One RTM_NEWLINK that changes only "up", by name. The answer is not waited for. */
static void
send_port_state(int control, const char *port, bool up)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
        struct rtattr attribute;
        char name[IFNAMSIZ];
    } message = {
        .header = { .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST },
        .info = { .ifi_family = AF_UNSPEC, .ifi_change = IFF_UP, .ifi_flags = up ? IFF_UP : 0 },
        .attribute = { .rta_type = IFLA_IFNAME }
    };

    g_strlcpy(message.name, port, sizeof message.name);
    message.attribute.rta_len = RTA_LENGTH(strlen(port) + 1);
    message.header.nlmsg_len =
        NLMSG_LENGTH(sizeof message.info) + RTA_ALIGN(message.attribute.rta_len);
    (void)!send(control, &message, message.header.nlmsg_len, 0);
}

int
lab_net_control(const Lab *lab, GError **error)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK };
    pid_t pid = lab_net_switch_pid(lab, error);
    LabNetScope scope;

    if (pid == 0 || !lab_net_scope_enter(&scope, pid, error)) {
        return -1;
    }
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        q_set_error_errno(error, errno, "a netlink socket");
        if (fd >= 0) {
            close(fd);
        }
        fd = -1;
    }
    lab_net_scope_leave(&scope);
    return fd;
}

void
lab_net_ports_down(int control, int node)
{
    for (int link = 0; link < LAB_LINKS; link++) {
        char port[IFNAMSIZ], ignored[4096];
        snprintf(port, sizeof port, "node%d.%d", node, link);
        send_port_state(control, port, false);
        while (recv(control, ignored, sizeof ignored, MSG_DONTWAIT) > 0) {
            /* errors for ports that are not there */
        }
    }
}

bool
lab_net_set_link(const Lab *lab, int node, int link, bool up, GError **error)
{
    g_autofree char *fault = lab_path(lab, "faults/node%d.%d", node, link);
    int control = lab_net_control(lab, error);
    char port[IFNAMSIZ];

    if (control < 0) {
        return false;
    }
    if (up) {
        unlink(fault);
    } else {
        close(open(fault, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    /* The cable of a host that is off stays as it is until the host is on. */
    if (!up || lab_host_pid(lab, node, NULL) != 0) {
        snprintf(port, sizeof port, "node%d.%d", node, link);
        send_port_state(control, port, up);
    }
    close(control);
    return true;
}

static void
add_cuts(GString *elements, const GArray *from, const GArray *to)
{
    for (guint i = 0; i < from->len; i++) {
        for (guint j = 0; j < to->len; j++) {
            for (int link = 0; link < LAB_LINKS; link++) {
                g_string_append_printf(elements, "%s\"node%d.%d\" . \"node%d.%d\"",
                                       elements->len > 0 ? ", " : "", g_array_index(from, int, i),
                                       link, g_array_index(to, int, j), link);
            }
        }
    }
}

bool
lab_net_cut(const Lab *lab, GPtrArray *groups, bool one_way, GError **error)
{
    g_autoptr(GString) elements = g_string_new(NULL);

    for (guint from = 0; from < (one_way ? 1 : groups->len); from++) {
        for (guint to = 0; to < groups->len; to++) {
            if (from != to) {
                add_cuts(elements, groups->pdata[from], groups->pdata[to]);
            }
        }
    }
    g_autofree char *command =
        g_strdup_printf("add element bridge quorate cuts { %s }\n", elements->str);
    return run_in_switch(lab, nft_batch, command, error);
}

bool
lab_net_heal(const Lab *lab, GError **error)
{
    for (int node = 1; node <= lab->nodes; node++) {
        for (int link = 0; link < LAB_LINKS; link++) {
            if (!lab_net_link_is_up(lab, node, link)
                && !lab_net_set_link(lab, node, link, true, error)) {
                return false;
            }
        }
    }
    return run_in_switch(lab, nft_batch, "flush set bridge quorate cuts\n", error);
}
