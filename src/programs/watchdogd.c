/* quorate-watchdogd: feeds the host's watchdog as far as lease holders have promised. */
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "ha/watchdog_server.h"
#include "sys/conf.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/paths.h"
#include "sys/realtime.h"

enum { PRIORITY = 90, TIMEOUT_S = 4 };

int
main(void)
{
    g_autoptr(GError) error = NULL;
    sigset_t set;

    q_log_init("quorate-watchdogd");
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int stop = signalfd(-1, &set, SFD_CLOEXEC);

    if (stop < 0 || !q_file_make_dir(Q_RUN_DIR, 0750, &error)) {
        q_err("cannot start: %s", error != NULL ? error->message : "no signalfd");
        return EXIT_FAILURE;
    }
    g_autofree char *device = q_conf_string("watchdog", "device", "/dev/watchdog");
    WatchdogSettings settings = {
        .socket_path = Q_WATCHDOG_SOCKET,
        .deadlines_path = Q_RUN_DIR "/deadlines",
        .device_path = device,
        .timeout_s = (int)q_conf_int("watchdog", "timeout", TIMEOUT_S),
        .granularity_ms = (int)q_conf_int("watchdog", "granularity_ms", -1),
        .accept_virtual = q_conf_bool("watchdog", "accept_virtual", false),
    };
    q_realtime_enter(PRIORITY);
    if (!watchdog_server_run(&settings, stop, &error)) {
        q_err("%s", error->message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
