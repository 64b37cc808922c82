/* quorate-cfsd: the cluster filesystem at /etc/pve. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cfs/daemon.h"
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/paths.h"
#include "sys/realtime.h"
#include "sys/service.h"

enum {
    PRIORITY = 10,  /* below Corosync (99) and watchdogd */
    ALIVE_MS = 500, /* a supervisor that hears nothing for 2 s kills us (safety.md S17) */
    EXIT_REFUSED = 1,
};

static gboolean foreground, debug, local, show_version;

static const GOptionEntry options[] = {
    { "foreground", 'f', 0, G_OPTION_ARG_NONE, &foreground, "Stay in the foreground", NULL },
    { "debug", 'd', 0, G_OPTION_ARG_NONE, &debug, "Log more", NULL },
    { "local", 'l', 0, G_OPTION_ARG_NONE, &local,
      "Ignore corosync.conf: alone, always writable. The others will not count this database "
      "afterwards",
      NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, "Print the version", NULL },
    { NULL },
};

static gboolean
on_alive(gpointer data)
{
    q_notify("WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

/* In the first turn of the loop, so that the mount serves when somebody is told so. */
static gboolean
on_ready(gpointer data)
{
    int *ready = data;

    q_notify("READY=1");
    if (*ready >= 0) {
        (void)!write(*ready, "1", 1);
        close(*ready);
        *ready = -1;
    }
    return G_SOURCE_REMOVE;
}

/* The parent returns when the mount serves, with 0, or when the child has ended. */
static int
into_background(void)
{
    int ends[2];
    char byte;

    if (pipe(ends) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child > 0) {
        close(ends[1]);
        exit(read(ends[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_REFUSED);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

int
main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- the cluster filesystem");
    g_autoptr(GError) error = NULL;
    CfsDaemonSetup setup = { .host = { .folder = Q_DB_DIR, .corosync = true },
                             .socket = Q_CFS_SOCKET,
                             .mountpoint = Q_PVE_DIR,
                             .conf_path = "/etc/corosync/corosync.conf" };
    int ready = -1;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 255;
    }
    if (show_version) {
        puts(QUORATE_VERSION);
        return EXIT_SUCCESS;
    }
    if (!foreground) {
        ready = into_background();
    }
    umask(027);
    q_log_init("quorate-cfsd");
    q_log_debug_enable(debug);
    q_realtime_enter(PRIORITY);
    if (local) {
        q_warn(
            "local mode: changes made now are thrown away when this node is in its cluster again");
    }
    setup.host.local = local;
    g_autoptr(CfsDaemon) daemon = cfs_daemon_new(&setup, &error);
    if (daemon == NULL) {
        q_err("not started: %s", error->message);
        fprintf(stderr, "quorate-cfsd: not started: %s\n", error->message);
        return EXIT_REFUSED;
    }
    g_idle_add(on_ready, &ready);
    if (g_getenv("WATCHDOG_USEC") != NULL) {
        g_timeout_add(ALIVE_MS, on_alive, NULL);
    }
    int status = q_loop_run();
    q_notify("STOPPING=1");
    return status;
}
