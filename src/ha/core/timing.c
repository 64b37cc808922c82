#include "ha/core/timing.h"

int64_t
ha_elapsed_ms(HaTime since, HaTime now)
{
    return MAX(now.boot_ms - since.boot_ms, now.raw_ms - since.raw_ms);
}

HaTime
ha_time_after(HaTime since, int64_t ms)
{
    return (HaTime){ since.boot_ms + ms, since.raw_ms + ms };
}

static int
round_up(int value, int step)
{
    return (value + step - 1) / step * step;
}

/* 10 s rounds, 60 s watchdog, 120 s locks; a node is fenced once it is away 60 s (ha.md 1). */
static void
classic(HaTiming *timing)
{
    timing->classic = true;
    timing->fires_ms = 60000;
    timing->lapse_ms = 120000;
    timing->device_ms = 10000;
    timing->round_ms = 10000;
    timing->idle_round_ms = 5000;
    timing->fence_delay_ms = 60000;
    timing->crm_idle_rounds = 90;
    timing->lrm_idle_rounds = 60;
}

/*
 * S38's table, computed: T and a by the number of nodes; then each time is the smallest that its
 * inequality allows, rounded up to what people can remember.
 */
static void
computed(HaTiming *timing, const HaTimingFacts *facts, int slack_ms)
{
    HaTiming *t = timing;
    int n = t->nodes, rho = t->rate_permille = 5;

    t->token_ms = 1000 + (n > 8 ? (n - 8) * 125 / 2 : 0);
    t->membership_ms = t->token_ms * 22 / 10 + 50 + facts->sync_timeout_ms;
    t->renew_ms = 500;
    t->heard_ms = n <= 8 ? 100 : n <= 16 ? 150 : 200;
    t->reaction_ms = 50;
    t->kill_ms = 750;
    t->feed_check_ms = 250;
    t->under_way_ms = 500;
    t->slack_ms = slack_ms;
    t->granularity_ms = facts->granularity_ms >= 0 ? facts->granularity_ms : 1000;
    t->standstill_ms = facts->standstill_ms >= 0 ? facts->standstill_ms : 1000;

    t->local_end_ms =
        round_up(t->renew_ms + 2 * t->heard_ms + t->membership_ms + t->reaction_ms + slack_ms, 250);
    t->fires_ms = t->local_end_ms + t->kill_ms + t->feed_check_ms + t->granularity_ms;
    /* Devices count in whole seconds. */
    t->device_ms = (t->fires_ms - t->granularity_ms - t->renew_ms - t->heard_ms - t->feed_check_ms)
                   / 1000 * 1000;
    t->lapse_ms = round_up(((int64_t)t->fires_ms * (1000 + rho)
                            + 1000 * (int64_t)(t->standstill_ms + t->under_way_ms) + 999 - rho)
                               / (1000 - rho),
                           500);
    t->round_ms = 1000;
    t->idle_round_ms = 1000;
    t->crm_idle_rounds = 900;
    t->lrm_idle_rounds = 600;
}

bool
ha_timing(const char *profile, const HaTimingFacts *facts, HaTiming *timing, GError **error)
{
    static const HaTimingFacts unknown = { .granularity_ms = -1, .standstill_ms = -1 };
    HaTiming result = { .forget_ms = 3600000, .lost_give_up_ms = 90000 };

    facts = facts != NULL ? facts : &unknown;
    result.nodes = facts->nodes > 0 ? facts->nodes : 3;
    if (g_str_equal(profile, "classic")) {
        result.profile = "classic";
        classic(&result);
    } else if (g_str_equal(profile, "fast")) {
        result.profile = "fast";
        if (facts->sync_timeout_ms > 0)
            return q_set_error(error, Q_ERROR_INVALID,
                               "profile fast: a qdevice is registered, whose sync_timeout of %d ms "
                               "adds to the time of a membership change; use steady or the witness",
                               facts->sync_timeout_ms);
        computed(&result, facts, 1000);
    } else if (g_str_equal(profile, "steady")) {
        result.profile = "steady";
        computed(&result, facts, 2000);
    } else {
        return q_set_error(error, Q_ERROR_INVALID,
                           "ha profile '%s': expected fast, steady or classic", profile);
    }
    /* `fast` promises ten seconds; a device too coarse for that is refused, not stretched. */
    if (g_str_equal(profile, "fast") && result.granularity_ms > 1000)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "profile fast: the watchdog device counts in steps of %d ms, at most 1000 "
            "ms fit; use steady or another device",
            result.granularity_ms);
    if (!ha_timing_check(&result, error))
        return q_prefix_error(error, "profile %s: ", profile);
    *timing = result;
    return true;
}

bool
ha_timing_check(const HaTiming *t, GError **error)
{
    if (t->classic)
        return true;

    /* In millionths where rates come in, so that nothing is rounded in the wrong direction. */
    int64_t w_slow = (int64_t)t->fires_ms * (1000 + t->rate_permille);
    int64_t l_fast = (int64_t)t->lapse_ms * (1000 - t->rate_permille);
    int64_t rest = 1000 * (int64_t)(t->standstill_ms + t->under_way_ms);
    if (w_slow + rest > l_fast)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "inequality (1) W(1+rho) + R + X <= L(1-rho) fails: %.1f + %d + %d > %.1f ms: "
            "a guest could run twice",
            w_slow / 1000.0, t->standstill_ms, t->under_way_ms, l_fast / 1000.0);

    int change = t->renew_ms + 2 * t->heard_ms + t->membership_ms + t->reaction_ms;
    if (t->slack_ms < 1000 || change + t->slack_ms > t->local_end_ms)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "inequality (2) r + 2a + M + j + S <= K, S >= 1 s fails: %d + %d + %d + %d + "
            "%d > %d ms: one membership change would end healthy guests",
            t->renew_ms, 2 * t->heard_ms, t->membership_ms, t->reaction_ms, t->slack_ms,
            t->local_end_ms);
    if (t->local_end_ms + t->kill_ms + t->feed_check_ms + t->granularity_ms > t->fires_ms)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "inequality (3) K + t + f + g <= W fails: %d + %d + %d + %d > %d ms: the host "
            "would be reset before its guests are ended",
            t->local_end_ms, t->kill_ms, t->feed_check_ms, t->granularity_ms, t->fires_ms);
    if (t->device_ms < 2000
        || t->device_ms + t->granularity_ms + t->renew_ms + t->heard_ms + t->feed_check_ms
               > t->fires_ms)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "inequality (4) H + g + r + a + f <= W, H >= 2 s fails: %d + %d + %d + %d + "
            "%d > %d ms: the device would fire in normal operation",
            t->device_ms, t->granularity_ms, t->renew_ms, t->heard_ms, t->feed_check_ms,
            t->fires_ms);
    if (t->membership_ms + 200 >= t->lapse_ms)
        return q_set_error(
            error, Q_ERROR_INVALID,
            "inequality (5) M + 0.2 s < L fails: %d + 200 >= %d ms: leases would lapse "
            "before an epoch can be open",
            t->membership_ms, t->lapse_ms);
    return true;
}
