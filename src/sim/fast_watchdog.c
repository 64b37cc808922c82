#include "sim/fast_priv.h"
#include <string.h>

/* The device, quorate-watchdogd around the core's Watchdog, and lrmd's connection to it. */

static void
reset_host(Fast *fast, Host *host, uint64_t boots, gpointer data)
{
    if (host->power && host->boots == boots)
        host_power_off(host, "watchdog");
}

static void
device_due(Fast *fast, Host *host, uint64_t feeds, gpointer data)
{
    if (!host->device_armed || host->device_feeds != feeds)
        return;
    /* Until it stands still, up to R, it goes on as if nothing were. */
    fast_say(fast, host, "the watchdog fires");
    fast_at(fast, fast->now_ms + fast_dice(fast, 0, fast->timing.standstill_ms), host, -1,
            reset_host, host->boots, NULL, NULL);
}

static void
device_feed(Host *host)
{
    Fast *fast = host->fast;

    check_fed(host);
    host->device_armed = true;
    host->device_feeds++;
    host->device_fires_ms =
        fast->now_ms + fast->timing.device_ms + fast_dice(fast, 0, fast->timing.granularity_ms);
    fast_at(fast, host->device_fires_ms, host, -1, device_due, host->device_feeds, NULL, NULL);
}

void
device_off(Host *host)
{
    host->device_armed = false;
    host->device_feeds++;
}

/* ------------------------------------------------------------------ watchdogd */

static void
look(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    if (host->watchdog != NULL && watchdog_may_feed(host->watchdog, host_now(host)))
        device_feed(host);
    fast_at(fast, fast->now_ms + fast->timing.feed_check_ms, host, PROC_WATCHDOGD, look, 0, NULL,
            NULL);
}

void
watchdogd_begin(Host *host)
{
    const HaTiming *timing = &host->fast->timing;

    host->watchdog = watchdog_new(timing->device_ms, timing->granularity_ms, host->deadlines,
                                  host->device_armed);
    fast_at(host->fast, host->fast->now_ms + 1, host, PROC_WATCHDOGD, look, 0, NULL, NULL);
    if (host->procs[PROC_LRMD].alive)
        client_ask(host);
}

typedef struct {
    HaGuardVerb verb;
    bool asks;
    HaGeneration generation;
    HaTime deadline;
    bool ok;
    HaGeneration owner;
    HaTime kept;
    bool armed;
} Message;

static void
answered(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    const Message *message = data;
    WatchdogClient *client = &host->client;

    client->known = true;
    client->asking = false;
    client->armed = message->armed;
    client->owner = message->owner;
    client->deadline = message->kept;
    if (message->verb == HA_GUARD_ARM && !message->asks)
        client->arming = false;
    if (message->verb == HA_GUARD_CLOSE) {
        client->closing = false;
        client->closed = message->ok;
        client->closed_of = message->generation;
    }
    host_step_soon(host, PROC_LRMD);
}

static void
save(Host *host)
{
    g_free(host->deadlines);
    host->deadlines = watchdog_text(host->watchdog);
    host->file_owner = (HaGeneration){ 0, 0 };
    watchdog_deadline(host->watchdog, (HaGeneration){ 0, 0 }, &host->file_owner,
                      &host->file_deadline);
}

static void
carry_out(Host *host, Message *message)
{
    Watchdog *watchdog = host->watchdog;
    bool device_too = false;

    switch (message->verb) {
    case HA_GUARD_ARM:
        message->ok = watchdog_arm(watchdog, NULL);
        save(host);
        if (message->ok && !host->device_armed)
            device_feed(host);
        break;
    case HA_GUARD_PROMISE:
        message->ok = watchdog_promise(watchdog, message->generation, message->deadline,
                                       host_now(host), NULL);
        save(host);
        if (message->ok)
            check_promised(host, message->generation, message->deadline);
        break;
    case HA_GUARD_CLOSE:
        message->ok = watchdog_close(watchdog, message->generation, &device_too, NULL);
        save(host);
        if (message->ok)
            check_closed(host, message->generation);
        if (device_too)
            device_off(host);
        break;
    case HA_GUARD_END:
        break;
    }
}

static void
received(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    Message *message = g_memdup2(data, sizeof *message);

    if (!message->asks)
        carry_out(host, message);
    message->armed = watchdog_armed(host->watchdog);
    message->owner = (HaGeneration){ 0, 0 };
    watchdog_deadline(host->watchdog, (HaGeneration){ 0, 0 }, &message->owner, &message->kept);
    fast_at(fast, fast->now_ms + fast_dice(fast, 0, 3), host, PROC_LRMD, answered, 0, message,
            g_free);
}

static void
send(Host *host, const Message *message)
{
    if (host->procs[PROC_WATCHDOGD].alive)
        fast_at(host->fast, host->fast->now_ms + fast_dice(host->fast, 0, 3), host, PROC_WATCHDOGD,
                received, 0, g_memdup2(message, sizeof *message), g_free);
}

void
client_ask(Host *host)
{
    host->client.asking = true;
    send(host, &(Message){ .verb = HA_GUARD_ARM, .asks = true });
}

static HaOutcome
client_arm(Host *host)
{
    WatchdogClient *client = &host->client;

    if (client->known && client->armed)
        return HA_DONE;
    if (client->known && !client->arming) {
        client->arming = true;
        send(host, &(Message){ .verb = HA_GUARD_ARM });
    }
    return HA_PENDING;
}

static HaOutcome
client_close(Host *host, HaGeneration generation)
{
    WatchdogClient *client = &host->client;

    if (client->closed && ha_generation_compare(client->closed_of, generation) == 0) {
        client->closed = false;
        return HA_DONE;
    }
    if (client->known && !client->closing) {
        client->closing = true;
        client->closed = false;
        send(host, &(Message){ .verb = HA_GUARD_CLOSE, .generation = generation });
    }
    return HA_PENDING;
}

static void
proven(Fast *fast, Host *host, uint64_t number, gpointer data)
{
    host_step_soon(host, PROC_LRMD);
}

static HaOutcome
end_gate(Host *host, HaGeneration generation)
{
    g_autofree char *gate = ha_generation_text(generation);
    int64_t *proven_ms = g_hash_table_lookup(host->ending, gate);
    Fast *fast = host->fast;

    if (proven_ms == NULL) {
        proven_ms = g_new(int64_t, 1);
        *proven_ms = fast->now_ms + fast_dice(fast, 20, fast->timing.kill_ms);
        g_hash_table_insert(host->ending, g_strdup(gate), proven_ms);
        g_hash_table_remove(host->gates, gate);
        guest_kill_gate(host, gate);
    }
    if (fast->now_ms < *proven_ms) {
        fast_at(fast, *proven_ms, host, PROC_LRMD, proven, 0, NULL, NULL);
        return HA_PENDING;
    }
    return HA_DONE;
}

HaOutcome
client_guard(Host *host, HaGuardVerb verb, HaGeneration generation, HaTime deadline)
{
    switch (verb) {
    case HA_GUARD_ARM:
        return client_arm(host);
    case HA_GUARD_PROMISE:
        if (ha_generation_compare(host->client.owner, generation) == 0
            && host->client.deadline.boot_ms >= deadline.boot_ms)
            return HA_DONE;
        send(host, &(Message){ .verb = verb, .generation = generation, .deadline = deadline });
        return HA_PENDING;
    case HA_GUARD_END:
        return end_gate(host, generation);
    case HA_GUARD_CLOSE:
        return client_close(host, generation);
    }
    return HA_REFUSED;
}
