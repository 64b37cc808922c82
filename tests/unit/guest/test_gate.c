#include "guest/gate.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Real cgroups, real processes: ids and generations that no product uses. */
#define VMID 999999001
static const CfsGeneration old_term = { 4000000001, 1 }, new_term = { 4000000001, 2 };

static bool
can_gate(void)
{
    g_autofree char *root = geteuid() == 0 ? gate_root(NULL) : NULL;

    if (root == NULL) {
        g_test_skip("needs root and cgroup2");
    }
    return root != NULL;
}

/* A child that enters the gate, tells with a byte whether it could, and stays. */
static pid_t
child_inside(CfsGeneration generation, bool *inside)
{
    int pipes[2];
    char answer = '0';
    g_assert_cmpint(pipe(pipes), ==, 0);
    pid_t pid = fork();

    if (pid == 0) {
        answer = gate_enter(generation, VMID, NULL) ? '1' : '0';
        (void)!write(pipes[1], &answer, 1);
        if (answer == '1') {
            pause();
        }
        _exit(0);
    }
    g_assert_cmpint(read(pipes[0], &answer, 1), ==, 1);
    close(pipes[0]);
    close(pipes[1]);
    *inside = answer == '1';
    return pid;
}

static void
test_late_comer(void)
{
    bool inside;
    if (!can_gate()) {
        return;
    }
    pid_t late = child_inside(old_term, &inside); /* nobody opened that gate */
    g_assert_false(inside);
    waitpid(late, NULL, 0);

    g_assert_true(gate_open(old_term, NULL));
    pid_t child = child_inside(old_term, &inside);
    g_assert_true(inside);
    g_assert_false(gate_empty(VMID));
    g_autoptr(GArray) pids = gate_pids(VMID);
    g_assert_cmpuint(pids->len, ==, 1);
    g_assert_cmpint(g_array_index(pids, pid_t, 0), ==, child);

    g_autoptr(GError) error = NULL;
    g_assert_true(gate_close(old_term, 3000, &error));
    g_assert_no_error(error);
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_assert_true(gate_empty(VMID));
    g_assert_true(gate_close(old_term, 0, &error)); /* what is not there is closed */

    late = child_inside(old_term, &inside);
    g_assert_false(inside);
    waitpid(late, NULL, 0);
}

static void
test_adopt(void)
{
    bool inside;
    if (!can_gate()) {
        return;
    }
    pid_t child = child_inside(GATE_UNGUARDED, &inside);
    g_autoptr(GError) error = NULL;

    g_assert_true(inside);
    g_assert_false(gate_adopt(VMID, new_term, &error)); /* not open */
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_true(gate_open(new_term, NULL));
    g_assert_true(gate_adopt(VMID, new_term, &error));
    g_assert_no_error(error);
    g_autoptr(GPtrArray) gates = gate_list(NULL);
    const Gate *found = NULL;
    for (guint i = 0; i < gates->len; i++) {
        const Gate *gate = gates->pdata[i];
        found = gate->vmid == VMID ? gate : found;
    }
    g_assert_nonnull(found);
    g_assert_cmpint(cfs_generation_compare(found->generation, new_term), ==, 0);
    g_assert_true(gate_kill_guest(VMID, 3000, &error));
    waitpid(child, NULL, 0);
    g_assert_true(gate_close(new_term, 1000, &error));
}

/* A child with many children of its own, forking as fast as it can, does not escape. */
static void
test_fork_storm(void)
{
    bool inside;
    int status;
    if (!can_gate()) {
        return;
    }
    g_assert_true(gate_open(old_term, NULL));
    pid_t storm = fork();
    if (storm == 0) {
        if (!gate_enter(old_term, VMID, NULL)) {
            _exit(1);
        }
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            if (fork() == 0) {
                usleep(2000);
                _exit(0);
            }
            usleep(200);
        }
    }
    usleep(100000);
    g_autoptr(GError) error = NULL;
    g_assert_true(gate_close(old_term, 5000, &error));
    g_assert_no_error(error);
    g_assert_cmpint(waitpid(storm, &status, 0), ==, storm);
    (void)inside;
}

/* What a killed process had sent must not be delivered after its death is proven. */
static void
test_sockets_die(void)
{
    if (!can_gate()) {
        return;
    }
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof(address);
    int server = socket(AF_INET, SOCK_STREAM, 0), small = 4096, pipes[2];
    char byte = 0;

    g_assert_cmpint(pipe(pipes), ==, 0);
    setsockopt(server, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    g_assert_cmpint(bind(server, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    g_assert_cmpint(listen(server, 1), ==, 0);
    getsockname(server, (struct sockaddr *)&address, &length);
    g_assert_true(gate_open(old_term, NULL));
    pid_t child = fork();
    if (child == 0) {
        static char data[1 << 20];
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (!gate_enter(old_term, VMID, NULL)
            || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
            _exit(1);
        }
        send(fd, data, sizeof(data), MSG_DONTWAIT); /* more than the other side reads */
        (void)!write(pipes[1], &byte, 1);
        pause();
    }
    int peer = accept(server, NULL, NULL);
    g_assert_cmpint(read(pipes[0], &byte, 1), ==, 1);
    g_autoptr(GError) error = NULL;
    g_assert_true(gate_close(old_term, 3000, &error));
    g_assert_no_error(error);
    waitpid(child, NULL, 0);

    /* Read what had arrived before; the connection must end by a reset, not by the rest. */
    static char buffer[1 << 16];
    ssize_t got, total = 0;
    while ((got = recv(peer, buffer, sizeof(buffer), 0)) > 0) {
        total += got;
    }
    g_assert_cmpint(got, <, 0);
    g_assert_cmpint(total, <, 1 << 20);
    close(peer);
    close(server);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/gate/late-comer", test_late_comer);
    g_test_add_func("/guest/gate/adopt", test_adopt);
    g_test_add_func("/guest/gate/fork-storm", test_fork_storm);
    g_test_add_func("/guest/gate/sockets-die", test_sockets_die);
    return g_test_run();
}
