/* A real QEMU without a machine: what finds it, speaks to it, watches it and sees it end. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "guest/host.h"
#include "guest/process.h"
#include "guest/qmp.h"
#include "guest/watch.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/process.h"

#define VMID 999999002

static bool
run_qemu(void)
{
    g_autofree char *pid = guest_pid_path(VMID);
    g_autofree char *own = qmp_socket_path(VMID, "qmp-own"),
                    *events = qmp_socket_path(VMID, "qmp-events");
    g_autofree char *own_option = g_strdup_printf("unix:%s,server=on,wait=off", own);
    g_autofree char *events_option = g_strdup_printf("unix:%s,server=on,wait=off", events);
    const char *const argv[] = { "qemu-system-x86_64",
                                 "-machine",
                                 "none",
                                 "-accel",
                                 "tcg",
                                 "-nodefaults",
                                 "-display",
                                 "none",
                                 "-S",
                                 "-daemonize",
                                 "-no-shutdown",
                                 "-pidfile",
                                 pid,
                                 "-qmp",
                                 own_option,
                                 "-qmp",
                                 events_option,
                                 NULL };
    const char *const env[] = { GUEST_START_ENV "=test-start", NULL };
    QRunOptions options = { .timeout_ms = 30000, .env = env };
    g_autoptr(GError) error = NULL;

    if (geteuid() != 0 || g_find_program_in_path("qemu-system-x86_64") == NULL) {
        g_test_skip("needs root and QEMU");
        return false;
    }
    g_assert_true(q_file_make_dir(Q_GUEST_RUN_DIR, 0755, &error));
    g_assert_true(q_run_ok(argv, &options, NULL, &error));
    g_assert_no_error(error);
    return true;
}

static void
end_qemu(void)
{
    GuestProcess process;

    if (guest_process(VMID, &process)) {
        guest_process_signal(&process, SIGKILL);
        g_assert_true(guest_process_wait(&process, 5000));
    }
    guest_remove_run_files(VMID);
}

static void
test_found(void)
{
    GuestProcess process, other = { 0 };

    if (!run_qemu()) {
        return;
    }
    g_assert_true(guest_process(VMID, &process));
    g_assert_cmpint(process.pid, >, 1);
    g_assert_cmpint(process.uptime_s, <, 60);
    g_assert_false(guest_process(VMID + 1, &other));
    g_assert_cmpint(other.pid, ==, 0);
    g_autofree char *start_id = guest_process_start_id(process.pid);
    g_assert_cmpstr(start_id, ==, "test-start");
    g_assert_null(guest_process_start_id(getpid()));
    g_assert_false(guest_process_wait(&process, 20));

    /* Another process's pid in the file is not the guest. */
    g_autofree char *path = guest_pid_path(VMID), *own = g_strdup_printf("%d\n", getpid());
    g_assert_true(g_file_set_contents(path, own, -1, NULL));
    g_assert_false(guest_process(VMID, NULL));
    g_autofree char *right = g_strdup_printf("%d\n", process.pid);
    g_assert_true(g_file_set_contents(path, right, -1, NULL));

    /* Same pid, other ticks: another process, not to be signalled. */
    GuestProcess stranger = process;
    stranger.start_ticks++;
    guest_process_signal(&stranger, SIGKILL);
    g_assert_true(guest_running(VMID));
    end_qemu();
    g_assert_false(guest_running(VMID));
    g_assert_true(guest_process_wait(&process, 0));
}

static void
test_spoken_to(void)
{
    g_autoptr(GError) error = NULL;

    if (!run_qemu()) {
        return;
    }
    g_autofree char *status = guest_qmp_status(VMID, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(status, ==, "prelaunch");
    {
        g_autoptr(Qmp) qmp = qmp_connect(VMID, QMP_CONNECT_MS, &error);
        g_assert_no_error(error);
        g_assert_false(qmp_do(qmp, "no-such-command", NULL, QMP_COMMAND_MS, &error));
        g_assert_nonnull(strstr(error->message, "no-such-command"));
        g_clear_error(&error);
        /* One conversation at a time: a second one waits, and gives up in time. */
        g_autoptr(Qmp) second = qmp_connect(VMID, 200, &error);
        g_assert_null(second);
        g_assert_error(error, Q_ERROR, Q_ERROR_TIMEOUT);
        g_clear_error(&error);
    }
    g_assert_null(qmp_agent(VMID, "guest-ping", NULL, true, 200, &error));
    g_clear_error(&error);
    end_qemu();
    g_assert_null(qmp_connect(VMID, 200, &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
}

typedef struct {
    GMainLoop *loop;
    GString *seen;
} Seen;

static void
on_event(uint32_t vmid, GuestWatchEvent event, gpointer data)
{
    Seen *seen = data;

    if (vmid == VMID) {
        g_string_append_c(seen->seen, "fspie"[event]);
    }
    if (event == GUEST_WATCH_ENDED) {
        g_main_loop_quit(seen->loop);
    }
}

static gboolean
power_off(gpointer data)
{
    g_autoptr(Qmp) qmp = qmp_connect(VMID, QMP_CONNECT_MS, NULL);

    g_assert_nonnull(qmp);
    g_assert_true(qmp_do(qmp, "quit", NULL, QMP_COMMAND_MS, NULL));
    return G_SOURCE_REMOVE;
}

static gboolean
give_up(gpointer data)
{
    g_error("the guest's end was not noticed");
    return G_SOURCE_REMOVE;
}

static void
test_watched(void)
{
    Seen seen = { g_main_loop_new(NULL, FALSE), g_string_new(NULL) };

    if (!run_qemu()) {
        return;
    }
    GuestWatch *watch = guest_watch_new(on_event, &seen);
    g_timeout_add(300, power_off, NULL);
    guint late = g_timeout_add_seconds(20, give_up, NULL);
    g_main_loop_run(seen.loop);
    g_source_remove(late);
    guest_watch_free(watch);
    g_assert_cmpstr(seen.seen->str, ==, "fse"); /* found, powered off, ended */
    end_qemu();
    g_string_free(seen.seen, TRUE);
    g_main_loop_unref(seen.loop);
}

static void
test_host(void)
{
    g_autoptr(GError) error = NULL;
    GuestHost host;

    if (g_find_program_in_path("qemu-system-x86_64") == NULL) {
        g_test_skip("needs QEMU");
        return;
    }
    g_assert_true(guest_host_look("node1", &host, &error));
    g_assert_cmpint(host.newest_major, >=, 7);
    g_assert_cmpint(host.cpus, >=, 1);
    g_autoptr(GuestConfig) config =
        guest_config_parse("net0: virtio=02:00:00:00:00:01,bridge=nosuch0\n");
    g_assert_null(guest_host_bridge_mtu(guest_config_main(config), &error));
    g_assert_error(error, Q_ERROR, Q_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/qemu/found", test_found);
    g_test_add_func("/guest/qemu/spoken-to", test_spoken_to);
    g_test_add_func("/guest/qemu/watched", test_watched);
    g_test_add_func("/guest/qemu/host", test_host);
    return g_test_run();
}
