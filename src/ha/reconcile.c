#include "ha/reconcile.h"
#include <glib.h>
#include "guest/lifecycle.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { EVERY_MS = 60000, AGAIN_MS = 2000 };

struct HaReconcile {
    GThread *thread;
    GMutex lock;
    GCond wake;
    bool wanted;
    bool ending;
    bool failed; /* the last look did: sooner again */
    uint64_t epoch;
    int64_t looked_ms; /* 0: never */
};

static bool
look_once(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CfsClient) cfs = cfs_client_connect("quorate-lrmd", &error);
    int killed = 0;

    if (cfs == NULL || !guest_reconcile(cfs, &killed, &error)) {
        q_warn("guests and run records could not be compared: %s", error->message);
        return false;
    }
    if (killed > 0) {
        q_warn("ended %d guest processes that had no run record here", killed);
    }
    return true;
}

static gpointer
run_thread(gpointer data)
{
    HaReconcile *reconcile = data;

    g_mutex_lock(&reconcile->lock);
    while (!reconcile->ending) {
        if (!reconcile->wanted) {
            g_cond_wait(&reconcile->wake, &reconcile->lock);
            continue;
        }
        reconcile->wanted = false;
        g_mutex_unlock(&reconcile->lock);
        bool ok = look_once();
        g_mutex_lock(&reconcile->lock);
        reconcile->failed = !ok;
    }
    g_mutex_unlock(&reconcile->lock);
    return NULL;
}

void
ha_reconcile_look(HaReconcile *reconcile, uint64_t epoch)
{
    int64_t now_ms = q_clock_boot_ms();

    g_mutex_lock(&reconcile->lock);
    int64_t every_ms = reconcile->failed ? AGAIN_MS : EVERY_MS;
    if (reconcile->looked_ms == 0 || epoch != reconcile->epoch
        || now_ms - reconcile->looked_ms >= every_ms) {
        reconcile->epoch = epoch;
        reconcile->looked_ms = now_ms;
        reconcile->wanted = true;
        g_cond_signal(&reconcile->wake);
    }
    g_mutex_unlock(&reconcile->lock);
}

HaReconcile *
ha_reconcile_new(void)
{
    HaReconcile *reconcile = g_new0(HaReconcile, 1);

    g_mutex_init(&reconcile->lock);
    g_cond_init(&reconcile->wake);
    reconcile->thread = g_thread_new("reconcile", run_thread, reconcile);
    return reconcile;
}

void
ha_reconcile_free(HaReconcile *reconcile)
{
    if (reconcile == NULL) {
        return;
    }
    g_mutex_lock(&reconcile->lock);
    reconcile->ending = true;
    g_cond_signal(&reconcile->wake);
    g_mutex_unlock(&reconcile->lock);
    g_thread_join(reconcile->thread);
    g_mutex_clear(&reconcile->lock);
    g_cond_clear(&reconcile->wake);
    g_free(reconcile);
}
