#include "cfs/propagate.h"
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>
#include "cluster/corosync_conf.h"
#include "sys/file.h"
#include "sys/log.h"
#include "sys/process.h"

enum {
    RELOAD_AFTER_US = 1000000, /* by then the others have their file too */
    RELOAD_MS = 30000,
};

#define TREE_PATH "corosync.conf"

struct CfsPropagate {
    CfsHost *host;
    char *path;
    bool running;
    bool again;  /* it changed once more meanwhile */
    bool reload; /* the change was made here */
};

/* ------------------------------------------------------------------ in the thread */

typedef struct {
    char *path;
    char *text;
    bool reload;
} Job;

static void
job_free(gpointer data)
{
    Job *job = data;

    g_free(job->path);
    g_free(job->text);
    g_free(job);
}

/* Whether the host gets the tree's file; says why not where that is no matter of course. */
static bool
is_newer(const Job *job, const char *present)
{
    g_autoptr(CorosyncConf) ours = corosync_conf_parse(job->text, NULL);
    g_autoptr(CorosyncConf) theirs = present != NULL ? corosync_conf_parse(present, NULL) : NULL;
    int64_t version = ours != NULL ? corosync_conf_version(ours) : 0;
    int64_t host_version = theirs != NULL ? corosync_conf_version(theirs) : 0;

    if (version == 0 || g_strcmp0(job->text, present) == 0) {
        return false;
    }
    if (version < host_version) {
        q_warn("'%s' has version %" G_GINT64_FORMAT ", the cluster's file only %" G_GINT64_FORMAT
               ": left as it is",
               job->path, host_version, version);
        return false;
    }
    return true;
}

static void
propagate_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Job *job = data;
    g_autofree char *present = q_file_read(job->path, TREE_FILE_MAX, NULL, NULL);
    g_autoptr(GError) error = NULL;
    const char *reload[] = { "corosync-cfgtool", "-R", NULL };

    if (is_newer(job, present)) {
        if (!q_file_write_atomic(job->path, job->text, strlen(job->text), 0644, &error)) {
            q_err("corosync.conf did not reach the host: %s", error->message);
        } else {
            q_notice("'%s' is written anew from the cluster's file", job->path);
        }
        if (error == NULL && job->reload && present != NULL) {
            g_usleep(RELOAD_AFTER_US);
            if (!q_run_ok(reload, &(QRunOptions){ .timeout_ms = RELOAD_MS }, NULL, &error)) {
                q_warn("Corosync did not reload: %s; run 'corosync-cfgtool -R'", error->message);
            }
        }
    }
    g_task_return_boolean(task, TRUE);
}

/* ------------------------------------------------------------------ in the main loop */

static void look(CfsPropagate *propagate);

static void
on_finished(GObject *source, GAsyncResult *result, gpointer data)
{
    CfsPropagate *propagate = data;

    propagate->running = false;
    if (propagate->again) {
        propagate->again = false;
        look(propagate);
    }
}

static void
look(CfsPropagate *propagate)
{
    const TreeEntry *entry = tree_lookup(cfs_host_tree(propagate->host), TREE_PATH);

    if (propagate->running) {
        propagate->again = true;
        return;
    }
    if (entry == NULL || entry->type != TREE_FILE || tree_entry_size(entry) == 0) {
        return;
    }
    gsize length;
    const char *text = g_bytes_get_data(entry->data, &length);
    Job *job = g_new0(Job, 1);
    job->path = g_strdup(propagate->path);
    job->text = g_strndup(text, length);
    job->reload = propagate->reload;
    propagate->reload = false;
    propagate->running = true;
    g_autoptr(GTask) task = g_task_new(NULL, NULL, on_finished, propagate);
    g_task_set_task_data(task, job, job_free);
    g_task_run_in_thread(task, propagate_thread);
}

void
cfs_propagate_visible(CfsPropagate *propagate, const ReplicaEffect *effect)
{
    bool touched = effect->visible.all;

    for (guint i = 0; !touched && i < effect->visible.paths->len; i++) {
        touched = strcmp(g_array_index(effect->visible.paths, VisiblePath, i).path, TREE_PATH) == 0;
    }
    if (!touched) {
        return;
    }
    const TreeEntry *entry = tree_lookup(cfs_host_tree(propagate->host), TREE_PATH);
    if (!effect->visible.all && entry != NULL
        && entry->writer == cfs_host_node_id(propagate->host)) {
        propagate->reload = true;
    }
    look(propagate);
}

CfsPropagate *
cfs_propagate_new(CfsHost *host, const char *path)
{
    CfsPropagate *propagate = g_new0(CfsPropagate, 1);

    propagate->host = host;
    propagate->path = g_strdup(path);
    look(propagate);
    return propagate;
}

void
cfs_propagate_free(CfsPropagate *propagate)
{
    if (propagate == NULL) {
        return;
    }
    propagate->again = false;
    while (propagate->running) {
        g_main_context_iteration(NULL, TRUE);
    }
    g_free(propagate->path);
    g_free(propagate);
}
