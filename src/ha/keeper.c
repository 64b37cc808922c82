#include "ha/keeper.h"
#include <string.h>
#include "ha/mirror.h"
#include "sys/clock.h"
#include "sys/log.h"

enum {
    RENEW_GAP_MS = 100, /* a hurried manager does not flood the group */
    RENEWALS_MAX = 16,  /* under way; more would only wait behind these */
    ASK_AGAIN_MIN_MS = 20,
    ASK_AGAIN_MS = 100,     /* how long it may still live is not known */
    ASK_AGAIN_MAX_MS = 500, /* the holder may have released it, or its node come back */
    RELEASE_AGAIN_MS = 500,
};

typedef enum {
    KEEPER_IDLE,
    KEEPER_TAKING,
    KEEPER_HELD,
    KEEPER_OVER, /* the generation is over for us, whatever others know */
    KEEPER_RELEASING,
} KeeperState;

struct HaKeeper {
    CfsClient *client;
    char *name;
    char *process;
    HaKeeperNews news;
    gpointer data;
    KeeperState state;
    HaGeneration generation;
    HaGeneration released; /* the last one given back */
    bool any_heard;
    HaTime heard;          /* s */
    HaTime last_sent;      /* renewal, or take of another's lease */
    int renewals;          /* under way */
    bool fresh;            /* taken, and not told yet */
    bool refused;          /* the last take was, and it is not told yet */
    int hold_ms, lapse_ms; /* of the grant asked for */
    int64_t left_ms;
    int64_t ask_again_ms; /* boot clock: not before; 0: nobody was refused yet */
    guint timer;
    char *why;
    guint life; /* counts grants: answers to renewals of earlier ones say nothing */
};

typedef struct {
    HaKeeper *keeper;
    HaTime sent;
    guint life;
    int hold_ms;
} Renewal;

HaTime
ha_now(void)
{
    return (HaTime){ q_clock_boot_ms(), q_clock_raw_ms() };
}

static void
set_why(HaKeeper *keeper, const char *why)
{
    g_autofree char *old = keeper->why;

    keeper->why = g_strdup(why);
}

static void
end_generation(HaKeeper *keeper, const char *why)
{
    set_why(keeper, why);
    keeper->state = KEEPER_OVER;
    keeper->life++;
}

/* Certainly not ours any more, rather than not known now. */
static bool
is_definite(const GError *error)
{
    return g_error_matches(error, Q_ERROR, Q_ERROR_CONFLICT)
           || g_error_matches(error, Q_ERROR, Q_ERROR_DENIED)
           || g_error_matches(error, Q_ERROR, Q_ERROR_NOT_FOUND);
}

/* ------------------------------------------------------------------ renewing */

static void
on_renewed(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    g_autofree Renewal *renewal = data;
    HaKeeper *keeper = renewal->keeper;
    HaTime now = ha_now(); /* S20: before the answer is believed */

    if (renewal->life != keeper->life || keeper->state != KEEPER_HELD) {
        return;
    }
    keeper->renewals--;
    if (keeper->any_heard && ha_elapsed_ms(keeper->heard, now) >= renewal->hold_ms) {
        end_generation(keeper, "no renewal was heard by a majority in time");
    } else if (ok != NULL) {
        if (!keeper->any_heard || renewal->sent.boot_ms > keeper->heard.boot_ms) {
            keeper->heard = renewal->sent;
            keeper->any_heard = true;
        }
    } else if (is_definite(error)) {
        end_generation(keeper, error->message);
    } else {
        q_debug("renewal of %s: %s", keeper->name, error->message);
    }
    keeper->news(keeper->data);
}

static void
renew(HaKeeper *keeper, const HaTiming *timing)
{
    HaTime now = ha_now(); /* S19: read before it is handed over */

    if (keeper->renewals >= RENEWALS_MAX || ha_elapsed_ms(keeper->last_sent, now) < RENEW_GAP_MS) {
        return;
    }
    JsonObject *arguments = json_object_new();
    Renewal *renewal = g_new0(Renewal, 1);
    *renewal = (Renewal){ keeper, now, keeper->life, timing->local_end_ms };
    json_object_set_string_member(arguments, "name", keeper->name);
    ha_generation_to_json(arguments, "generation", keeper->generation);
    json_object_set_int_member(arguments, "sent_ms", now.boot_ms);
    keeper->last_sent = now;
    keeper->renewals++;
    cfs_client_send(keeper->client, "lease.renew", arguments, on_renewed, renewal);
}

/* ------------------------------------------------------------------ taking */

static gboolean
on_ask_again(gpointer data)
{
    HaKeeper *keeper = data;

    keeper->timer = 0;
    keeper->news(keeper->data);
    return G_SOURCE_REMOVE;
}

static void
ask_again_in(HaKeeper *keeper, int64_t ms)
{
    ms = CLAMP(ms, ASK_AGAIN_MIN_MS, ASK_AGAIN_MAX_MS);
    keeper->ask_again_ms = q_clock_boot_ms() + ms;
    if (keeper->timer != 0) {
        g_source_remove(keeper->timer);
    }
    keeper->timer = g_timeout_add((guint)ms + 1, on_ask_again, keeper);
}

static void
refuse_for(HaKeeper *keeper, int64_t left_ms)
{
    keeper->left_ms = left_ms;
    keeper->state = KEEPER_IDLE;
    keeper->refused = true;
    ask_again_in(keeper, left_ms > 0 ? left_ms + ASK_AGAIN_MIN_MS : ASK_AGAIN_MS);
    keeper->news(keeper->data);
}

static void
on_taken(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    HaKeeper *keeper = data;

    if (keeper->state != KEEPER_TAKING) {
        return;
    }
    if (ok == NULL) {
        set_why(keeper, error->message);
        refuse_for(keeper, -1);
        return;
    }
    keeper->state = KEEPER_HELD;
    keeper->generation = ha_generation_from_json(ok, "generation");
    keeper->life++;
    keeper->any_heard = false;
    keeper->renewals = 0;
    keeper->last_sent = (HaTime){ 0, 0 };
    keeper->fresh = true;
    set_why(keeper, NULL);
    keeper->news(keeper->data);
}

/* Another's, and alive as far as this node has heard: asking the others for a vote would be noise.
 */
static bool
is_anothers(CfsClient *client, JsonObject *lease)
{
    const char *state = q_json_string(lease, "state", "");

    /* Fenced: nobody's, until the master gives it back. */
    if (strcmp(state, "fenced") == 0) {
        return true;
    }
    return strcmp(state, "held") == 0 && q_json_int(lease, "left_ms", 0) > 0
           && (strcmp(q_json_string(lease, "node", ""), cfs_client_node(client)) != 0
               || strcmp(q_json_string(lease, "boot", ""), cfs_client_boot(client)) != 0);
}

static void
on_looked(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    HaKeeper *keeper = data;

    if (keeper->state != KEEPER_TAKING) {
        return;
    }
    if (ok == NULL || is_anothers(client, ok)) {
        set_why(keeper, ok == NULL ? error->message : "another node holds it");
        refuse_for(keeper, ok != NULL ? q_json_int(ok, "left_ms", -1) : -1);
        return;
    }
    JsonObject *arguments = json_object_new();
    json_object_set_string_member(arguments, "name", keeper->name);
    if (keeper->process != NULL) {
        json_object_set_string_member(arguments, "process", keeper->process);
    }
    json_object_set_int_member(arguments, "hold_ms", keeper->hold_ms);
    json_object_set_int_member(arguments, "lapse_ms", keeper->lapse_ms);
    cfs_client_send(client, "lease.take", arguments, on_taken, keeper);
}

static HaOutcome
take(HaKeeper *keeper, const HaTiming *timing, HaLease *lease)
{
    bool due = keeper->ask_again_ms != 0 && q_clock_boot_ms() >= keeper->ask_again_ms;

    /* After a refusal it is asked again when that makes sense, in haste or not. */
    if (keeper->refused || (!due && (keeper->ask_again_ms != 0 || !lease->renew))) {
        keeper->refused = false;
        lease->left_ms = keeper->left_ms;
        return HA_REFUSED;
    }
    JsonObject *arguments = json_object_new();
    json_object_set_string_member(arguments, "name", keeper->name);
    keeper->state = KEEPER_TAKING;
    keeper->hold_ms = timing->local_end_ms;
    keeper->lapse_ms = timing->lapse_ms;
    cfs_client_send(keeper->client, "lease.get", arguments, on_looked, keeper);
    return HA_PENDING;
}

/* ------------------------------------------------------------------ what managers call */

static HaOutcome
tell(HaKeeper *keeper, HaLease *lease)
{
    lease->generation = keeper->generation;
    lease->heard = keeper->heard;
    lease->fresh = keeper->fresh;
    lease->left_ms = -1;
    keeper->fresh = false;
    return HA_DONE;
}

HaOutcome
ha_keeper_hold(HaKeeper *keeper, const HaTiming *timing, HaLease *lease)
{
    if (keeper->state == KEEPER_HELD && keeper->any_heard
        && ha_elapsed_ms(keeper->heard, ha_now()) >= timing->local_end_ms) {
        end_generation(keeper, "no renewal was heard by a majority in time");
    }
    if (keeper->state == KEEPER_OVER) {
        return HA_REFUSED;
    }
    if (keeper->state == KEEPER_IDLE) {
        return take(keeper, timing, lease);
    }
    if (keeper->state != KEEPER_HELD) {
        return HA_PENDING;
    }
    if (lease->renew || !keeper->any_heard) {
        renew(keeper, timing);
    }
    return keeper->any_heard ? tell(keeper, lease) : HA_PENDING;
}

HaOutcome
ha_keeper_fence(HaKeeper *keeper, const HaTiming *timing, HaLease *lease)
{
    if (keeper->state == KEEPER_IDLE) {
        return take(keeper, timing, lease);
    }
    return keeper->state == KEEPER_HELD ? tell(keeper, lease) : HA_PENDING;
}

void
ha_keeper_forget(HaKeeper *keeper)
{
    if (keeper->state == KEEPER_HELD) {
        keeper->state = KEEPER_IDLE;
        keeper->life++;
        keeper->ask_again_ms = 0;
    }
}

static void send_release(HaKeeper *keeper);

static gboolean
on_release_again(gpointer data)
{
    HaKeeper *keeper = data;

    keeper->timer = 0;
    send_release(keeper);
    return G_SOURCE_REMOVE;
}

static void
on_released(CfsClient *client, JsonObject *ok, const GError *error, gpointer data)
{
    HaKeeper *keeper = data;

    if (ok == NULL && !is_definite(error)) {
        /* Not known, or nothing may change now: asked until it is known. Renewing or taking it
         * meanwhile would be wrong either way. */
        set_why(keeper, error->message);
        keeper->timer = g_timeout_add(RELEASE_AGAIN_MS, on_release_again, keeper);
        return;
    }
    keeper->state = KEEPER_IDLE;
    keeper->life++;
    keeper->released = keeper->generation;
    keeper->ask_again_ms = 0;
    keeper->refused = false;
    keeper->news(keeper->data);
}

static void
send_release(HaKeeper *keeper)
{
    JsonObject *arguments = json_object_new();

    json_object_set_string_member(arguments, "name", keeper->name);
    ha_generation_to_json(arguments, "generation", keeper->generation);
    cfs_client_send(keeper->client, "lease.release", arguments, on_released, keeper);
}

HaOutcome
ha_keeper_release(HaKeeper *keeper, HaGeneration generation)
{
    if (keeper->state == KEEPER_RELEASING) {
        return HA_PENDING;
    }
    if (ha_generation_none(generation)
        || ha_generation_compare(keeper->released, generation) == 0) {
        return HA_DONE;
    }
    if (keeper->timer != 0) {
        g_source_remove(keeper->timer);
        keeper->timer = 0;
    }
    keeper->state = KEEPER_RELEASING;
    keeper->generation = generation; /* also one of a manager before us */
    keeper->life++;                  /* answers to renewals count no more */
    send_release(keeper);
    return HA_PENDING;
}

void
ha_keeper_adopt(HaKeeper *keeper, HaGeneration generation, HaTime heard)
{
    keeper->state = KEEPER_HELD;
    keeper->generation = generation;
    keeper->heard = heard;
    keeper->any_heard = true;
    keeper->fresh = false;
    keeper->life++;
}

bool
ha_keeper_idle(const HaKeeper *keeper)
{
    return keeper->state == KEEPER_IDLE;
}

const char *
ha_keeper_why(const HaKeeper *keeper)
{
    return keeper->why;
}

HaKeeper *
ha_keeper_new(CfsClient *client, const char *name, const char *process, HaKeeperNews news,
              gpointer data)
{
    HaKeeper *keeper = g_new0(HaKeeper, 1);

    keeper->client = client;
    keeper->name = g_strdup(name);
    keeper->process = g_strdup(process);
    keeper->news = news;
    keeper->data = data;
    keeper->left_ms = -1;
    return keeper;
}

void
ha_keeper_free(HaKeeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    if (keeper->timer != 0) {
        g_source_remove(keeper->timer);
    }
    g_free(keeper->name);
    g_free(keeper->process);
    g_free(keeper->why);
    g_free(keeper);
}
