#include "storage/deadline.h"

typedef struct {
    GMutex lock;
    GCond changed;
    bool done, abandoned;
    void (*work)(gpointer data);
    gpointer data;
    GDestroyNotify release;
} Attempt;

static void
attempt_free(Attempt *attempt)
{
    g_mutex_clear(&attempt->lock);
    g_cond_clear(&attempt->changed);
    g_free(attempt);
}

static gpointer
run(gpointer data)
{
    Attempt *attempt = data;

    attempt->work(attempt->data);
    g_mutex_lock(&attempt->lock);
    attempt->done = true;
    bool abandoned = attempt->abandoned;
    g_cond_signal(&attempt->changed);
    g_mutex_unlock(&attempt->lock);
    if (abandoned) {
        attempt->release(attempt->data);
        attempt_free(attempt);
    }
    return NULL;
}

bool
storage_within(int wait_ms, void (*work)(gpointer data), gpointer data, GDestroyNotify release)
{
    Attempt *attempt = g_new0(Attempt, 1);
    gint64 deadline_us = g_get_monotonic_time() + wait_ms * G_TIME_SPAN_MILLISECOND;

    g_mutex_init(&attempt->lock);
    g_cond_init(&attempt->changed);
    attempt->work = work;
    attempt->data = data;
    attempt->release = release;
    GThread *thread = g_thread_new("storage", run, attempt);
    g_mutex_lock(&attempt->lock);
    while (!attempt->done && g_cond_wait_until(&attempt->changed, &attempt->lock, deadline_us)) {
    }
    bool done = attempt->done;
    attempt->abandoned = !done;
    g_mutex_unlock(&attempt->lock);
    if (done) {
        g_thread_join(thread);
        attempt_free(attempt);
    } else {
        g_thread_unref(thread);
    }
    return done;
}
