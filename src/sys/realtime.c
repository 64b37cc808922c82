#include "sys/realtime.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sys/log.h"

static int
set_oom_score(const char *text)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0) {
        return -1;
    }
    ssize_t written = write(fd, text, strlen(text));
    close(fd);
    return written < 0 ? -1 : 0;
}

void
q_realtime_enter(int priority)
{
    g_autoptr(GString) missing = g_string_new(NULL);
    struct sched_param param = { .sched_priority = priority };

    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        g_string_append_printf(missing, " locked memory (%s)", g_strerror(errno));
    }
    if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) != 0) {
        g_string_append_printf(missing, " real-time priority (%s)", g_strerror(errno));
    }
    if (set_oom_score("-1000") != 0) {
        g_string_append_printf(missing, " protection from the OOM killer (%s)", g_strerror(errno));
    }
    if (missing->len > 0) {
        q_warn("running without%s: a busy machine may end guests or reset the node", missing->str);
    }
}

void
q_realtime_thread(int priority)
{
    struct sched_param param = { .sched_priority = priority };

    /* What is forbidden was said by q_realtime_enter(). */
    sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param);
}

void
q_realtime_leave_child(void)
{
    set_oom_score("0");
}
