#include "cfs/serve.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "sys/log.h"
#include "sys/loop.h"
#include "sys/service.h"

enum {
    ALIVE_MS = 500, /* a supervisor that hears nothing for 2 s kills us (safety.md S17) */
    EXIT_REFUSED = 1,
};

int
cfs_into_background(void)
{
    int ends[2];
    char byte;

    if (pipe(ends) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child != 0) {
        close(ends[1]);
        exit(child > 0 && read(ends[0], &byte, 1) == 1 ? EXIT_SUCCESS : EXIT_REFUSED);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

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
    int ready = GPOINTER_TO_INT(data);

    q_notify("READY=1");
    if (ready >= 0) {
        (void)!write(ready, "1", 1);
        close(ready);
    }
    return G_SOURCE_REMOVE;
}

int
cfs_serve(const CfsDaemonSetup *setup, int ready)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsDaemon) daemon = cfs_daemon_new(setup, &error);

    if (daemon == NULL) {
        q_err("not started: %s", error->message);
        fprintf(stderr, "quorate-cfsd: not started: %s\n", error->message);
        return EXIT_REFUSED;
    }
    g_idle_add(on_ready, GINT_TO_POINTER(ready));
    if (g_getenv("WATCHDOG_USEC") != NULL) {
        g_timeout_add(ALIVE_MS, on_alive, NULL);
    }
    int status = q_loop_run();
    q_notify("STOPPING=1");
    return status;
}
