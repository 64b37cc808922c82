#include "lab/host.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "lab/cgroup.h"
#include "lab/net.h"

enum { WORD_MAX_BYTES = 1024 };

/* pid 1, before it becomes the supervisor. Says "ready" or why not on @report. */
static void G_GNUC_NORETURN
become_init(const Lab *lab, int node, int go, int report)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *hostname = g_strdup_printf("node%d", node);
    char word;

    if (read(go, &word, 1) != 1) {
        _exit(1); /* who boots this host has given up */
    }
    if (unshare(CLONE_NEWNS) != 0 || sethostname(hostname, strlen(hostname)) != 0
        || !lab_host_mount(lab, node, &error) || !lab_net_inside(node, &error)) {
        dprintf(report, "%s", error != NULL ? error->message : g_strerror(errno));
        _exit(1);
    }
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int log =
        open("/var/log/quorate/supervisor.err", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    dprintf(report, "ready");
    execl(lab->program, "quorate-lab", "init", NULL);
    dprintf(report, "cannot run %s: %s", lab->program, g_strerror(errno));
    _exit(1);
}

/* In the caller: from now on children are in new namespaces; pid 1 is the first of them. */
static pid_t
fork_init(const Lab *lab, int node, int go[2], int report[2], GError **error)
{
    g_autofree char *cgroup = lab_node_cgroup(lab, node);

    /* The cgroup namespace takes the cgroup of its maker as its root, so that comes first. */
    if (!lab_cgroup_make(cgroup, error) || !lab_cgroup_join(cgroup, 0, error)) {
        return -1;
    }
    if (unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWPID) != 0
        || pipe2(go, O_CLOEXEC) != 0 || pipe2(report, O_CLOEXEC) != 0) {
        q_set_error_errno(error, errno, "this machine gives no namespaces");
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(go[1]);
        close(report[0]);
        setsid();
        become_init(lab, node, go[0], report[1]);
    }
    close(go[0]);
    close(report[1]);
    if (pid < 0) {
        q_set_error_errno(error, errno, "cannot fork");
    }
    return pid;
}

pid_t
lab_host_boot(const Lab *lab, int node, GError **error)
{
    int go[2] = { -1, -1 }, report[2] = { -1, -1 };
    char word[WORD_MAX_BYTES] = "";
    pid_t pid = fork_init(lab, node, go, report, error);

    if (pid < 0) {
        return -1;
    }
    if (lab_net_plug(lab, node, error)) {
        if (write(go[1], "g", 1) == 1 && read(report[0], word, sizeof word - 1) > 0
            && strcmp(word, "ready") == 0) {
            return pid;
        }
        q_set_error(error, Q_ERROR_IO, "node%d does not boot: %s", node,
                    *word != '\0' ? word : "its pid 1 ended");
    }
    kill(pid, SIGKILL);
    return -1;
}
