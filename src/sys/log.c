#include "sys/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "sys/paths.h"

static struct {
    const char *program;
    int fd;
    gboolean journal;
    gboolean debug;
} sink = { .program = "", .fd = STDERR_FILENO };

/* sd-daemon(3): "<N>" at the start of a line is its syslog priority. */
enum {
    PRIORITY_ERR = 3,
    PRIORITY_WARN = 4,
    PRIORITY_NOTICE = 5,
    PRIORITY_INFO = 6,
    PRIORITY_DEBUG = 7
};

static const char *const names[] = { [PRIORITY_ERR] = "error",
                                     [PRIORITY_WARN] = "warning",
                                     [PRIORITY_NOTICE] = "notice",
                                     [PRIORITY_INFO] = "info",
                                     [PRIORITY_DEBUG] = "debug" };

/* JOURNAL_STREAM names the device and inode of the socket; it is inherited by children whose
 * standard error may be something else, hence the comparison (systemd.exec(5)). */
static gboolean
stderr_is_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return FALSE;
    }
    g_autofree char *mine =
        g_strdup_printf("%lu:%lu", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    return strcmp(stream, mine) == 0;
}

void
q_log_init(const char *program)
{
    sink.program = program;
    sink.journal = stderr_is_journal();
    if (!sink.journal) {
        g_autofree char *path = g_strdup_printf("%s/%s.log", Q_LOG_DIR, program);
        int fd = -1;

        if (g_mkdir_with_parents(Q_LOG_DIR, 0750) == 0) {
            fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        }
        if (fd >= 0) {
            sink.fd = fd;
        }
    }
}

void
q_log_debug_enable(gboolean on)
{
    sink.debug = on;
}

static void
put(int priority, const char *format, va_list args)
{
    char text[4096];
    char line[4352];
    int saved = errno;

    vsnprintf(text, sizeof text, format, args);
    for (char *p = text; *p != '\0'; p++) {
        if (*p == '\n') {
            *p = ' '; /* one event, one line */
        }
    }
    if (sink.journal) {
        snprintf(line, sizeof line, "<%d>%s\n", priority, text);
    } else if (sink.fd != STDERR_FILENO) {
        struct timespec now;
        struct tm parts;
        char stamp[32];

        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &parts);
        strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &parts);
        snprintf(line, sizeof line, "%s.%03ld %s[%d] %s: %s\n", stamp, now.tv_nsec / 1000000,
                 sink.program, (int)getpid(), names[priority], text);
    } else {
        snprintf(line, sizeof line, "%s\n", text);
    }
    /* A full or broken log must not stop what is being logged. */
    if (write(sink.fd, line, strlen(line)) < 0) {
        errno = saved;
    }
    errno = saved;
}

#define DEFINE_LEVEL(name, priority, condition)                                                    \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        if (condition) {                                                                           \
            va_list args;                                                                          \
            va_start(args, format);                                                                \
            put(priority, format, args);                                                           \
            va_end(args);                                                                          \
        }                                                                                          \
    }

DEFINE_LEVEL(q_debug, PRIORITY_DEBUG, sink.debug)
DEFINE_LEVEL(q_info, PRIORITY_INFO, TRUE)
DEFINE_LEVEL(q_notice, PRIORITY_NOTICE, TRUE)
DEFINE_LEVEL(q_warn, PRIORITY_WARN, TRUE)
DEFINE_LEVEL(q_err, PRIORITY_ERR, TRUE)
