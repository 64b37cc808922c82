#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>
#include "guest/gate.h"
#include "ha/local_end.h"

/* Real cgroups, real processes; skipped where there is no cgroup2. The generation is one that no
 * cluster reaches. */
enum { EPOCH = 999000111, VMID = 999000222 };

static void
on_news(gpointer data)
{
}

static HaOutcome
run_until_decided(HaLocalEnd *end, HaGeneration generation)
{
    HaOutcome outcome = HA_PENDING;

    for (int i = 0; i < 500 && outcome == HA_PENDING; i++) {
        outcome = ha_local_end_run(end, generation);
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        g_usleep(10000);
    }
    return outcome;
}

/* A process in the gate that ignores what can be ignored, with a child; @file is kept open. */
static pid_t
start_guest(CfsGeneration generation, const char *file, int flags)
{
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        if (!gate_enter(generation, VMID, NULL)
            || (file != NULL && open(file, flags | O_CREAT, 0600) < 0)) {
            _exit(1);
        }
        fork();
        for (;;) {
            pause();
        }
    }
    for (int i = 0; i < 500 && gate_empty(VMID); i++) {
        g_usleep(2000);
    }
    g_usleep(50000);
    return pid;
}

static bool
no_cgroups(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *root = gate_root(&error);

    if (root == NULL) {
        g_test_skip(error->message);
    }
    return root == NULL;
}

static void
test_ends_and_proves(void)
{
    HaGeneration generation = { EPOCH, 1 };
    CfsGeneration gate = { EPOCH, 1 };

    if (no_cgroups()) {
        return;
    }
    HaLocalEnd *end = ha_local_end_new(on_news, NULL);
    g_assert_true(gate_open(gate, NULL));
    pid_t pid = start_guest(gate, NULL, 0);
    g_assert_false(gate_empty(VMID));
    g_assert_cmpint(run_until_decided(end, generation), ==, HA_DONE);
    g_assert_true(gate_empty(VMID));
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(ha_local_end_run(end, generation), ==, HA_DONE); /* stays so */
    HaGeneration proven;
    g_assert_true(ha_local_end_proven(end, &proven));
    g_assert_cmpint(ha_generation_compare(proven, generation), ==, 0);
    /* Who comes late finds the gate closed. */
    g_autoptr(GError) error = NULL;
    g_assert_false(gate_enter(gate, VMID, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
    ha_local_end_free(end);
}

static void
test_page_cache_is_no_proof(void)
{
    HaGeneration generation = { EPOCH, 2 };
    CfsGeneration gate = { EPOCH, 2 };
    g_autofree char *shared = g_dir_make_tmp("shared-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(shared, "disk.raw", NULL);
    const char *const paths[] = { shared, NULL };

    if (no_cgroups()) {
        return;
    }
    HaLocalEnd *end = ha_local_end_new(on_news, NULL);
    ha_local_end_set_shared(end, paths);
    g_assert_true(gate_open(gate, NULL));
    pid_t pid = start_guest(gate, file, O_RDWR);
    g_assert_cmpint(run_until_decided(end, generation), ==, HA_REFUSED);
    g_assert_nonnull(strstr(ha_local_end_why(end), "page cache"));
    g_assert_true(gate_empty(VMID)); /* killed all the same */
    waitpid(pid, NULL, 0);
    ha_local_end_free(end);

    /* A manager that comes after does not take the empty gate for a proof. */
    end = ha_local_end_new(on_news, NULL);
    if (access("/run/quorate", W_OK) == 0) {
        g_assert_cmpint(run_until_decided(end, generation), ==, HA_REFUSED);
        unlink("/run/quorate/ending-999000111.2");
    }
    ha_local_end_free(end);
    unlink(file);
    rmdir(shared);
}

static void
test_direct_writes_are_fine(void)
{
    CfsGeneration gate = { EPOCH, 3 };
    g_autofree char *shared = g_dir_make_tmp("shared-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(shared, "disk.raw", NULL);
    g_autofree char *other = g_strconcat(shared, "-other", NULL);
    const struct {
        const char *path;
        int flags;
        bool cached;
    } cases[] = {
        { shared, O_RDWR | O_DIRECT, false },
        { shared, O_RDONLY, false },
        { shared, O_WRONLY, true },
        { other, O_WRONLY, false },
    };

    if (no_cgroups()) {
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *const paths[] = { cases[i].path, NULL };
        g_assert_true(gate_open(gate, NULL));
        pid_t pid = start_guest(gate, file, cases[i].flags);
        g_autoptr(GArray) pids = gate_pids(VMID);
        g_autofree char *user = ha_page_cache_user(pids, paths);
        g_test_message("case %zu: %s", i, user);
        g_assert_cmpint(user != NULL, ==, cases[i].cached);
        g_assert_true(gate_close(gate, 5000, NULL));
        waitpid(pid, NULL, 0);
    }
    unlink(file);
    rmdir(shared);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ha/local-end/proves", test_ends_and_proves);
    g_test_add_func("/ha/local-end/page-cache", test_page_cache_is_no_proof);
    g_test_add_func("/ha/local-end/direct", test_direct_writes_are_fine);
    return g_test_run();
}
