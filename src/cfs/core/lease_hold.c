#include "cfs/core/lease.h"

/* What a holder may believe (S19, S20, S24). */

void
lease_hold_start(LeaseHold *hold, int64_t hold_ms)
{
    *hold = (LeaseHold){ .hold_ms = hold_ms };
}

bool
lease_hold_alive(LeaseHold *hold, const Clocks *now)
{
    if (hold->any && clocks_elapsed_holder(&hold->heard, now) >= hold->hold_ms)
        hold->over = true;
    return !hold->over;
}

bool
lease_hold_heard(LeaseHold *hold, const Clocks *sent, const Clocks *now)
{
    /* The clock is read before the answer is believed: what is over stays over. */
    if (!lease_hold_alive(hold, now) || clocks_elapsed_holder(sent, now) >= hold->hold_ms) {
        hold->over = hold->over || hold->any;
        return false;
    }
    if (!hold->any || clocks_elapsed_holder(&hold->heard, sent) > 0)
        hold->heard = *sent;
    hold->any = true;
    return true;
}
