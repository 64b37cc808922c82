#include "ha/core/watchdog.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    HaGeneration owner;
    HaTime deadline;
} Promise;

struct Watchdog {
    int device_ms;
    int granularity_ms;
    bool armed;
    bool strange; /* the device runs for somebody whose deadline is not known: never feed it */
    GArray *promises;
};

static void
read_promises(Watchdog *watchdog, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        Promise promise;
        if (sscanf(*line,
                   "%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                   " %" G_GINT64_FORMAT,
                   &promise.owner.epoch, &promise.owner.sequence, &promise.deadline.boot_ms,
                   &promise.deadline.raw_ms)
            == 4)
            g_array_append_val(watchdog->promises, promise);
        else if (**line != '\0' && !g_str_equal(*line, "armed"))
            watchdog->strange = true; /* half a file is no file */
    }
}

Watchdog *
watchdog_new(int device_ms, int granularity_ms, const char *deadlines, bool device_running)
{
    Watchdog *watchdog = g_new0(Watchdog, 1);

    watchdog->device_ms = device_ms;
    watchdog->granularity_ms = granularity_ms;
    watchdog->promises = g_array_new(FALSE, FALSE, sizeof(Promise));
    watchdog->armed = device_running;
    if (device_running && (deadlines == NULL || !g_str_has_prefix(deadlines, "armed\n")))
        watchdog->strange = true;
    else if (device_running)
        read_promises(watchdog, deadlines);
    return watchdog;
}

void
watchdog_free(Watchdog *watchdog)
{
    if (watchdog == NULL)
        return;
    g_array_unref(watchdog->promises);
    g_free(watchdog);
}

bool
watchdog_armed(const Watchdog *watchdog)
{
    return watchdog->armed;
}

bool
watchdog_arm(Watchdog *watchdog, GError **error)
{
    if (watchdog->strange)
        return q_set_error(error, Q_ERROR_BUSY,
                           "the watchdog device runs, and whose deadline it guards is not known; "
                           "it will reset this node");
    watchdog->armed = true;
    return true;
}

static Promise *
find_promise(const Watchdog *watchdog, HaGeneration owner)
{
    for (guint i = 0; i < watchdog->promises->len; i++) {
        Promise *promise = &g_array_index(watchdog->promises, Promise, i);
        if (ha_generation_compare(promise->owner, owner) == 0)
            return promise;
    }
    return NULL;
}

bool
watchdog_promise(Watchdog *watchdog, HaGeneration owner, HaTime deadline, HaTime now,
                 GError **error)
{
    Promise *promise = find_promise(watchdog, owner);

    if (!watchdog->armed || watchdog->strange || ha_generation_none(owner))
        return q_set_error(error, Q_ERROR_INVALID, "a deadline without an armed watchdog");
    /* Who comes after its own deadline has been unwatched: the reset must come. */
    if (promise != NULL && ha_elapsed_ms(promise->deadline, now) >= 0)
        return q_set_error(error, Q_ERROR_TIMEOUT, "the deadline kept is past");
    if (promise == NULL) {
        g_array_append_val(watchdog->promises, ((Promise){ owner, deadline }));
        return true;
    }
    promise->deadline.boot_ms = MAX(promise->deadline.boot_ms, deadline.boot_ms);
    promise->deadline.raw_ms = MAX(promise->deadline.raw_ms, deadline.raw_ms);
    return true;
}

bool
watchdog_close(Watchdog *watchdog, HaGeneration owner, bool *device_too, GError **error)
{
    Promise *promise = find_promise(watchdog, owner);

    /* Armed and not promised yet: nothing is guarded, whoever armed it may close it. */
    if (promise == NULL && (watchdog->strange || watchdog->promises->len > 0))
        return q_set_error(error, Q_ERROR_DENIED, "the deadline is another's");
    if (promise != NULL)
        g_array_remove_index(watchdog->promises,
                             promise - &g_array_index(watchdog->promises, Promise, 0));
    *device_too = watchdog->promises->len == 0;
    if (*device_too)
        watchdog->armed = false;
    return true;
}

bool
watchdog_may_feed(const Watchdog *watchdog, HaTime now)
{
    HaTime fires = ha_time_after(now, watchdog->device_ms + watchdog->granularity_ms);

    if (!watchdog->armed || watchdog->strange)
        return false;
    for (guint i = 0; i < watchdog->promises->len; i++) {
        HaTime deadline = g_array_index(watchdog->promises, Promise, i).deadline;
        if (fires.boot_ms > deadline.boot_ms || fires.raw_ms > deadline.raw_ms)
            return false;
    }
    return true;
}

bool
watchdog_deadline(const Watchdog *watchdog, HaGeneration owner, HaGeneration *owner_out,
                  HaTime *deadline)
{
    const Promise *found = NULL;

    for (guint i = 0; i < watchdog->promises->len; i++) {
        const Promise *promise = &g_array_index(watchdog->promises, Promise, i);
        if (!ha_generation_none(owner) && ha_generation_compare(promise->owner, owner) != 0)
            continue;
        if (found == NULL || promise->deadline.boot_ms < found->deadline.boot_ms)
            found = promise;
    }
    if (found == NULL)
        return false;
    if (owner_out != NULL)
        *owner_out = found->owner;
    *deadline = found->deadline;
    return true;
}

char *
watchdog_text(const Watchdog *watchdog)
{
    GString *text = g_string_new(watchdog->armed ? "armed\n" : "");

    for (guint i = 0; i < watchdog->promises->len; i++) {
        const Promise *promise = &g_array_index(watchdog->promises, Promise, i);
        g_string_append_printf(text,
                               "%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT
                               " %" G_GINT64_FORMAT "\n",
                               promise->owner.epoch, promise->owner.sequence,
                               promise->deadline.boot_ms, promise->deadline.raw_ms);
    }
    return g_string_free(text, FALSE);
}
