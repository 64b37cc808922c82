#include "cfs/store.h"
#include "cfs/store_priv.h"
#include <sched.h>
#include <string.h>
#include <unistd.h>
#include "sys/file.h"
#include "sys/log.h"
#include "sys/realtime.h"

enum {
    LOCK_TRIES = 10,
    LOCK_AGAIN_MS = 1000,
    BATCH_MAX = 256, /* writes in one transaction */
};

typedef struct {
    uint64_t token;
    StoreWrite *write; /* NULL: the thread ends */
    bool failed;
} Job;

struct CfsStore {
    char *path;
    QFileLock *lock;
    CfsPersistedFunc persisted;
    gpointer data;
    GMainContext *context;
    GThread *thread;
    GAsyncQueue *jobs;
    StoreFile *file; /* of the thread; NULL after a write that failed */
    GMutex mutex;    /* guards the three below */
    GQueue done;     /* Job, in order */
    bool announced;  /* the main loop will look at `done` */
    char *error;
};

/* ------------------------------------------------------------------ results, in the main loop */

static void
job_free(gpointer data)
{
    Job *job = data;

    if (job->write != NULL) {
        store_write_free(job->write);
    }
    g_free(job);
}

static void
deliver_done(CfsStore *store)
{
    g_mutex_lock(&store->mutex);
    GQueue done = store->done;
    g_queue_init(&store->done);
    store->announced = false;
    g_mutex_unlock(&store->mutex);

    Job *job;
    while ((job = g_queue_pop_head(&done)) != NULL) {
        store->persisted(job->token, job->failed, store->data);
        job_free(job);
    }
}

static gboolean
on_done(gpointer data)
{
    deliver_done(data);
    return G_SOURCE_REMOVE;
}

/* ------------------------------------------------------------------ the thread */

static void
remember_error(CfsStore *store, const GError *error)
{
    g_mutex_lock(&store->mutex);
    g_free(store->error);
    store->error = g_strdup(error->message);
    g_mutex_unlock(&store->mutex);
}

static void
report(CfsStore *store, GPtrArray *batch, bool failed)
{
    g_mutex_lock(&store->mutex);
    for (guint i = 0; i < batch->len; i++) {
        Job *job = batch->pdata[i];
        job->failed = failed;
        g_queue_push_tail(&store->done, job);
    }
    bool announce = !store->announced;
    store->announced = true;
    g_mutex_unlock(&store->mutex);
    g_ptr_array_set_size(batch, 0);

    if (announce) {
        g_autoptr(GSource) source = g_idle_source_new();
        g_source_set_priority(source, G_PRIORITY_HIGH);
        g_source_set_callback(source, on_done, store, NULL);
        g_source_attach(source, store->context);
    }
}

static bool
commit_batch(CfsStore *store, GPtrArray *batch, GError **error)
{
    if (store->file == NULL) {
        return q_set_error(error, Q_ERROR_IO,
                           "database '%s' is not believed after an error, and waits to be written "
                           "anew",
                           store->path);
    }
    bool ok = store_file_begin(store->file, error);
    for (guint i = 0; ok && i < batch->len; i++) {
        ok = store_file_apply(store->file, ((Job *)batch->pdata[i])->write, error);
    }
    ok = ok && store_file_commit(store->file, error);
    if (!ok) {
        store_file_doubt(store->file);
        store_file_rollback(store->file);
        g_clear_pointer(&store->file, store_file_close);
    }
    return ok;
}

static bool
keep_aside(CfsStore *store)
{
    g_autoptr(GError) error = NULL;

    /* After an error the file is opened again only for this; if it cannot be read, nothing of it
     * can be kept. */
    StoreFile *file = store->file != NULL ? store->file : store_file_open(store->path, &error);
    if (file == NULL || !store_file_keep(file, "discarded", &error)) {
        q_warn("what the cluster discards could not be kept aside: %s", error->message);
    }
    if (file != NULL && file != store->file) {
        store_file_doubt(file);
        store_file_close(file);
    }
    return error == NULL;
}

static bool
replace_file(CfsStore *store, const StoreWrite *write, GError **error)
{
    g_clear_pointer(&store->file, store_file_close);
    store->file = store_file_replace(store->path, write, error);
    return store->file != NULL;
}

static void
carry_out(CfsStore *store, GPtrArray *batch)
{
    g_autoptr(GError) error = NULL;
    const StoreWrite *first = ((Job *)batch->pdata[0])->write;

    if (first->keep_aside) {
        keep_aside(store);
    }
    bool ok =
        first->new_file ? replace_file(store, first, &error) : commit_batch(store, batch, &error);
    if (!ok) {
        remember_error(store, error);
    }
    report(store, batch, !ok);
}

/* A write that is more than one more transaction stands in a batch of its own. */
static bool
stands_alone(const Job *job)
{
    return job->write == NULL || job->write->new_file || job->write->keep_aside;
}

/* Threads do not inherit it, and every acknowledgement waits for this one. */
static void
take_priority_of_main(void)
{
    struct sched_param param;
    int policy = sched_getscheduler(getpid());

    if (policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) == SCHED_RR
        && sched_getparam(getpid(), &param) == 0) {
        q_realtime_thread(param.sched_priority);
    }
}

static gpointer
store_thread(gpointer data)
{
    CfsStore *store = data;
    g_autoptr(GPtrArray) batch = g_ptr_array_new();
    Job *next = NULL;

    take_priority_of_main();
    for (;;) {
        Job *job = next != NULL ? g_steal_pointer(&next) : g_async_queue_pop(store->jobs);
        if (job->write == NULL) {
            job_free(job);
            return NULL;
        }
        g_ptr_array_add(batch, job);
        while (!stands_alone(job) && batch->len < BATCH_MAX
               && (next = g_async_queue_try_pop(store->jobs)) != NULL) {
            if (stands_alone(next)) {
                break;
            }
            g_ptr_array_add(batch, g_steal_pointer(&next));
        }
        carry_out(store, batch);
    }
}

void
cfs_store_write(CfsStore *store, uint64_t token, StoreWrite *write)
{
    Job *job = g_new0(Job, 1);

    job->token = token;
    job->write = write;
    g_async_queue_push(store->jobs, job);
}

char *
cfs_store_error(CfsStore *store)
{
    g_mutex_lock(&store->mutex);
    char *copy = g_strdup(store->error);
    g_mutex_unlock(&store->mutex);
    return copy;
}

/* ------------------------------------------------------------------ life */

static QFileLock *
take_lock(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, ".pmxcfs.lockfile", NULL);
    g_autoptr(GError) why = NULL;
    QFileLock *lock = q_file_lock(path, LOCK_TRIES * LOCK_AGAIN_MS, &why);

    if (lock == NULL && g_error_matches(why, Q_ERROR, Q_ERROR_BUSY)) {
        q_set_error(error, Q_ERROR_BUSY,
                    "another cluster filesystem daemon holds '%s'; end it first (pmxcfs of Proxmox "
                    "VE counts too)",
                    path);
    } else if (lock == NULL) {
        g_propagate_error(error, g_steal_pointer(&why));
    }
    return lock;
}

static bool
load(CfsStore *store, const char *folder, CfsLoaded *loaded, GError **error)
{
    if (!store_file_finish(store->path, error)) {
        return false;
    }
    loaded->fresh = access(store->path, F_OK) != 0;
    store->file = store_file_open(store->path, error);
    if (store->file == NULL || !store_file_load(store->file, loaded, error)) {
        if (store->file != NULL) {
            store_file_doubt(store->file);
        }
        return q_prefix_error(
            error,
            "the database is damaged and was left as it is. A node of a cluster gets everything "
            "from the others: move '%s' (and %s-wal) away and start again; a node alone: put a "
            "copy from '%s/backup' in its place. What is wrong: ",
            store->path, store->path, folder);
    }
    return true;
}

CfsStore *
cfs_store_open(const char *folder, CfsPersistedFunc persisted, gpointer data, CfsLoaded **loaded,
               GError **error)
{
    g_autoptr(CfsLoaded) content = g_new0(CfsLoaded, 1);
    g_autoptr(CfsStore) store = g_new0(CfsStore, 1);

    store->persisted = persisted;
    store->data = data;
    store->context = g_main_context_ref_thread_default();
    store->path = g_build_filename(folder, "config.db", NULL);
    store->jobs = g_async_queue_new_full(job_free);
    g_mutex_init(&store->mutex);
    g_queue_init(&store->done);
    if (!q_file_make_dir(folder, 0750, error)) {
        return NULL;
    }
    store->lock = take_lock(folder, error);
    if (store->lock == NULL || !load(store, folder, content, error)) {
        return NULL;
    }
    store->thread = g_thread_new("cfs-store", store_thread, store);
    *loaded = g_steal_pointer(&content);
    return g_steal_pointer(&store);
}

void
cfs_store_free(CfsStore *store)
{
    if (store == NULL) {
        return;
    }
    if (store->thread != NULL) {
        cfs_store_write(store, 0, NULL);
        g_thread_join(store->thread);
        deliver_done(store);
    }
    GSource *source;
    while ((source = g_main_context_find_source_by_user_data(store->context, store)) != NULL) {
        g_source_destroy(source);
    }
    store_file_close(store->file);
    q_file_unlock(store->lock);
    g_async_queue_unref(store->jobs);
    g_main_context_unref(store->context);
    g_mutex_clear(&store->mutex);
    g_free(store->error);
    g_free(store->path);
    g_free(store);
}
