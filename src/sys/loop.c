#include "sys/loop.h"
#include <glib-unix.h>
#include <signal.h>

static GMainLoop *running;
static int exit_status;

static gboolean
on_signal(gpointer data)
{
    q_loop_quit(0);
    return G_SOURCE_CONTINUE;
}

int
q_loop_run(void)
{
    signal(SIGPIPE, SIG_IGN);
    running = g_main_loop_new(NULL, FALSE);
    exit_status = 0;
    guint term = g_unix_signal_add(SIGTERM, on_signal, NULL);
    guint interrupt = g_unix_signal_add(SIGINT, on_signal, NULL);
    g_main_loop_run(running);
    g_source_remove(term);
    g_source_remove(interrupt);
    g_clear_pointer(&running, g_main_loop_unref);
    return exit_status;
}

void
q_loop_quit(int status)
{
    exit_status = status;
    if (running != NULL) {
        g_main_loop_quit(running);
    }
}
