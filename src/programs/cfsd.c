/* quorate-cfsd: the cluster filesystem at /etc/pve. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "cfs/serve.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "sys/realtime.h"

enum {
    PRIORITY = 99
}; /* as Corosync, which otherwise turns its ring while we wait for a processor */

static gboolean foreground, debug, local, show_version;

static const GOptionEntry options[] = {
    { "foreground", 'f', 0, G_OPTION_ARG_NONE, &foreground, "Stay in the foreground", NULL },
    { "debug", 'd', 0, G_OPTION_ARG_NONE, &debug, "Log more", NULL },
    { "local", 'l', 0, G_OPTION_ARG_NONE, &local,
      "Ignore corosync.conf: alone, always writable; what is changed is lost when this node is in "
      "its cluster again",
      NULL },
    { "version", 0, 0, G_OPTION_ARG_NONE, &show_version, "Print the version", NULL },
    { NULL },
};

int
main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- the cluster filesystem");
    g_autoptr(GError) error = NULL;
    CfsDaemonSetup setup = { .host = { .folder = Q_DB_DIR, .corosync = true },
                             .socket = Q_CFS_SOCKET,
                             .mountpoint = Q_PVE_DIR,
                             .conf_path = "/etc/corosync/corosync.conf" };

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 255;
    }
    if (show_version) {
        puts(QUORATE_VERSION);
        return EXIT_SUCCESS;
    }
    int ready = foreground ? -1 : cfs_into_background();
    umask(027);
    q_log_init("quorate-cfsd");
    q_log_debug_enable(debug);
    q_realtime_enter(PRIORITY);
    if (local) {
        q_warn("local mode: changes made now are lost when this node is in its cluster again");
    }
    setup.host.local = local;
    return cfs_serve(&setup, ready);
}
