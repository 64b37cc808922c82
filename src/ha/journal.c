#include "ha/journal.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sys/clock.h"
#include "sys/log.h"

enum { QUEUE_MAX = 4096, FILE_MAX_BYTES = 32 * 1024 * 1024 };

typedef struct {
    HaLevel level;
    char *text;
    char *json; /* NULL: not for the file */
    bool last;
} Line;

struct HaJournal {
    char *by;
    char *path;
    GAsyncQueue *lines;
    GThread *thread;
    int dropped; /* atomic: while the disk hung */
};

static void
line_free(gpointer data)
{
    Line *line = data;

    g_free(line->text);
    g_free(line->json);
    g_free(line);
}

static void
log_line(HaLevel level, const char *text)
{
    switch (level) {
    case HA_ERR:
        q_err("%s", text);
        break;
    case HA_WARN:
        q_warn("%s", text);
        break;
    case HA_NOTICE:
    case HA_NOTIFY:
        q_notice("%s", text);
        break;
    case HA_INFO:
        q_info("%s", text);
        break;
    }
}

/* A log, not state: what cannot be written is lost, and nothing else happens. */
static void
append(const HaJournal *journal, const char *json)
{
    g_autofree char *text = g_strdup_printf("%s\n", json);
    struct stat st;
    int fd = open(journal->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    if (fd < 0) {
        return;
    }
    (void)!write(fd, text, strlen(text));
    bool full = fstat(fd, &st) == 0 && st.st_size > FILE_MAX_BYTES;
    close(fd);
    if (full) {
        g_autofree char *old = g_strdup_printf("%s.1", journal->path);
        rename(journal->path, old);
    }
}

static gpointer
run_thread(gpointer data)
{
    HaJournal *journal = data;
    bool last = false;

    while (!last) {
        Line *line = g_async_queue_pop(journal->lines);
        int dropped = g_atomic_int_exchange(&journal->dropped, 0);

        if (dropped > 0) {
            q_warn("%d lines of the log were lost here", dropped);
        }
        if (line->text != NULL) {
            log_line(line->level, line->text);
        }
        if (line->json != NULL && journal->path != NULL) {
            append(journal, line->json);
        }
        last = line->last;
        line_free(line);
    }
    return NULL;
}

static void
put(HaJournal *journal, HaLevel level, char *text, char *json, bool last)
{
    Line *line = g_new0(Line, 1);

    *line = (Line){ level, text, json, last };
    if (!last && g_async_queue_length(journal->lines) >= QUEUE_MAX) {
        g_atomic_int_inc(&journal->dropped);
        line_free(line);
        return;
    }
    g_async_queue_push(journal->lines, line);
}

void
ha_journal_event(HaJournal *journal, const HaEvent *event)
{
    put(journal, ha_event_level(event), ha_event_text(event),
        ha_event_json(event, q_clock_wall_ms(), journal->by), false);
}

void
ha_journal_line(HaJournal *journal, HaLevel level, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(journal, level, g_strdup_vprintf(format, args), NULL, false);
    va_end(args);
}

HaJournal *
ha_journal_new(const char *by, const char *decisions)
{
    HaJournal *journal = g_new0(HaJournal, 1);

    journal->by = g_strdup(by);
    journal->path = g_strdup(decisions);
    journal->lines = g_async_queue_new_full(line_free);
    if (decisions != NULL) {
        g_autofree char *folder = g_path_get_dirname(decisions);
        g_mkdir_with_parents(folder, 0750);
    }
    journal->thread = g_thread_new("journal", run_thread, journal);
    return journal;
}

void
ha_journal_free(HaJournal *journal)
{
    if (journal == NULL) {
        return;
    }
    put(journal, HA_INFO, NULL, NULL, true);
    g_thread_join(journal->thread);
    g_async_queue_unref(journal->lines);
    g_free(journal->by);
    g_free(journal->path);
    g_free(journal);
}
