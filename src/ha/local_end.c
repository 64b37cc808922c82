#include "ha/local_end.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "guest/gate.h"
#include "sys/file.h"
#include "sys/paths.h"
#include "sys/realtime.h"

enum {
    PROOF_WAIT_MS = 60000, /* far beyond W: by then the device has reset this host */
    THREAD_PRIORITY = 80,
    FDINFO_MAX_BYTES = 64 * 1024,
};

typedef struct {
    HaGeneration generation;
    bool proven;
    char *why;
} Ended;

struct HaLocalEnd {
    HaLocalEndNews news;
    gpointer data;
    GMainContext *context;
    GThread *thread;
    GAsyncQueue *orders; /* HaGeneration *; {0,0} ends the thread */
    GMutex lock;
    char **shared;   /* under lock */
    GPtrArray *ends; /* Ended, under lock: each generation that was asked for */
};

/* ------------------------------------------------------------------ the page cache */

/* "flags:\t0140002" of /proc/PID/fdinfo/FD is octal. */
static bool
writes_through_cache(pid_t pid, const char *fd)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fdinfo/%s", (int)pid, fd);
    g_autofree char *text = q_file_read(path, FDINFO_MAX_BYTES, NULL, NULL);
    const char *line = text != NULL ? strstr(text, "flags:") : NULL;

    if (line == NULL) {
        return false;
    }
    unsigned long flags = strtoul(line + strlen("flags:"), NULL, 8);
    return (flags & O_ACCMODE) != O_RDONLY && (flags & O_DIRECT) == 0;
}

static bool
is_below(const char *file, const char *const *paths)
{
    for (int i = 0; paths != NULL && paths[i] != NULL; i++) {
        size_t length = strlen(paths[i]);

        if (strncmp(file, paths[i], length) == 0 && file[length] == '/') {
            return true;
        }
    }
    return false;
}

static char *
cache_user(pid_t pid, const char *const *paths)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    char *found = NULL;

    for (struct dirent *entry; dir != NULL && found == NULL && (entry = readdir(dir)) != NULL;) {
        char file[4096];
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, file, sizeof file - 1);

        if (length <= 0) {
            continue;
        }
        file[length] = '\0';
        if (is_below(file, paths) && writes_through_cache(pid, entry->d_name)) {
            found = g_strdup_printf("process %d writes '%s' through this host's page cache; use "
                                    "cache=none or directsync for disks of HA guests",
                                    (int)pid, file);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

char *
ha_page_cache_user(const GArray *pids, const char *const *paths)
{
    for (guint i = 0; i < pids->len; i++) {
        char *found = cache_user(g_array_index(pids, pid_t, i), paths);

        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ the thread */

static CfsGeneration
to_cfs(HaGeneration generation)
{
    return (CfsGeneration){ generation.epoch, generation.sequence };
}

static char *
find_cache_user(HaGeneration generation, const char *const *paths)
{
    g_autoptr(GPtrArray) gates = gate_list(NULL);

    for (guint i = 0; gates != NULL && i < gates->len; i++) {
        const Gate *gate = gates->pdata[i];

        if (cfs_generation_compare(gate->generation, to_cfs(generation)) == 0) {
            g_autoptr(GArray) pids = gate_pids(gate->vmid);
            char *found = ha_page_cache_user(pids, paths);
            if (found != NULL) {
                return found;
            }
        }
    }
    return NULL;
}

static gboolean
on_ended(gpointer data)
{
    HaLocalEnd *end = data;

    end->news(end->data);
    return G_SOURCE_REMOVE;
}

static Ended *
find_ended(const HaLocalEnd *end, HaGeneration generation)
{
    for (guint i = 0; i < end->ends->len; i++) {
        Ended *ended = end->ends->pdata[i];

        if (ha_generation_compare(ended->generation, generation) == 0) {
            return ended;
        }
    }
    return NULL;
}

/* Begun and not proven: a manager that comes after a crash in between finds an empty gate, which
 * alone says nothing about sockets and dirty pages. */
static char *
marker_path(HaGeneration generation)
{
    g_autofree char *text = ha_generation_text(generation);

    return g_strdup_printf("%s/ending-%s", Q_RUN_DIR, text);
}

static void
carry_out(HaLocalEnd *end, HaGeneration generation)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *marker = marker_path(generation);
    int fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) {
        close(fd);
    }

    g_mutex_lock(&end->lock);
    g_auto(GStrv) shared = g_strdupv(end->shared);
    g_mutex_unlock(&end->lock);

    /* Looked at before the kill: dead processes have no open files. */
    g_autofree char *cached = find_cache_user(generation, (const char *const *)shared);
    bool dead = gate_close(to_cfs(generation), PROOF_WAIT_MS, &error);

    if (dead && cached == NULL) {
        unlink(marker);
    }
    g_mutex_lock(&end->lock);
    Ended *ended = find_ended(end, generation);
    ended->proven = dead && cached == NULL;
    ended->why = g_strdup(!dead ? error->message : cached);
    g_mutex_unlock(&end->lock);

    g_autoptr(GSource) source = g_idle_source_new();
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_callback(source, on_ended, end, NULL);
    g_source_attach(source, end->context);
}

static gpointer
run_thread(gpointer data)
{
    HaLocalEnd *end = data;

    q_realtime_thread(THREAD_PRIORITY);
    for (;;) {
        g_autofree HaGeneration *order = g_async_queue_pop(end->orders);

        if (ha_generation_none(*order)) {
            return NULL;
        }
        carry_out(end, *order);
    }
}

/* ------------------------------------------------------------------ what the manager calls */

HaOutcome
ha_local_end_run(HaLocalEnd *end, HaGeneration generation)
{
    g_mutex_lock(&end->lock);
    Ended *ended = find_ended(end, generation);
    bool ordered = ended != NULL;
    HaOutcome outcome = ended == NULL        ? HA_PENDING
                        : ended->proven      ? HA_DONE
                        : ended->why != NULL ? HA_REFUSED
                                             : HA_PENDING;
    if (!ordered) {
        g_autofree char *marker = marker_path(generation);

        ended = g_new0(Ended, 1);
        ended->generation = generation;
        g_ptr_array_add(end->ends, ended);
        if (access(marker, F_OK) == 0) {
            ended->why =
                g_strdup("a local manager before this one began it, and ended without proof");
        } else {
            g_async_queue_push(end->orders, g_memdup2(&generation, sizeof generation));
        }
    }
    g_mutex_unlock(&end->lock);
    return outcome;
}

bool
ha_local_end_proven(const HaLocalEnd *end, HaGeneration *generation)
{
    HaLocalEnd *self = (HaLocalEnd *)end;
    bool found = false;

    g_mutex_lock(&self->lock);
    for (guint i = end->ends->len; i > 0 && !found; i--) {
        const Ended *ended = end->ends->pdata[i - 1];

        if (ended->proven) {
            *generation = ended->generation;
            found = true;
        }
    }
    g_mutex_unlock(&self->lock);
    return found;
}

const char *
ha_local_end_why(const HaLocalEnd *end)
{
    const Ended *last = end->ends->len > 0 ? end->ends->pdata[end->ends->len - 1] : NULL;

    return last != NULL ? last->why : NULL;
}

void
ha_local_end_set_shared(HaLocalEnd *end, const char *const *paths)
{
    g_mutex_lock(&end->lock);
    g_strfreev(end->shared);
    end->shared = g_strdupv((char **)paths);
    g_mutex_unlock(&end->lock);
}

static void
ended_free(gpointer data)
{
    Ended *ended = data;

    g_free(ended->why);
    g_free(ended);
}

HaLocalEnd *
ha_local_end_new(HaLocalEndNews news, gpointer data)
{
    HaLocalEnd *end = g_new0(HaLocalEnd, 1);

    end->news = news;
    end->data = data;
    end->context = g_main_context_ref_thread_default();
    end->orders = g_async_queue_new_full(g_free);
    end->ends = g_ptr_array_new_with_free_func(ended_free);
    g_mutex_init(&end->lock);
    end->thread = g_thread_new("local-end", run_thread, end);
    return end;
}

void
ha_local_end_free(HaLocalEnd *end)
{
    static const HaGeneration stop = { 0, 0 };

    if (end == NULL) {
        return;
    }
    g_async_queue_push(end->orders, g_memdup2(&stop, sizeof stop));
    g_thread_join(end->thread);
    g_async_queue_unref(end->orders);
    g_ptr_array_unref(end->ends);
    g_strfreev(end->shared);
    g_main_context_unref(end->context);
    g_mutex_clear(&end->lock);
    g_free(end);
}
