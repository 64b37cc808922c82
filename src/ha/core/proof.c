#include "ha/core/proof.h"

HaProof
ha_proof_of_death(const HaRun *run, const HaLeaseView *lease, const char *boot)
{
    if (run == NULL)
        return HA_DEAD_NO_RECORD;
    if (run->stated_dead)
        return HA_DEAD_STATED;
    if (run->power_off)
        return HA_DEAD_POWER;
    if (boot != NULL && g_strcmp0(boot, run->boot) != 0)
        return HA_DEAD_OTHER_BOOT;
    /* Unguarded: its node promised nobody to end it, so no lapse says anything about it. */
    if (!ha_generation_none(run->guard) && lease != NULL
        && ha_generation_compare(run->guard, lease->generation) < 0)
        return HA_DEAD_GUARD;
    return HA_ALIVE;
}

const char *
ha_proof_text(HaProof proof)
{
    static const char *const texts[] = {
        [HA_ALIVE] = "nothing proves it dead",
        [HA_DEAD_NO_RECORD] = "it has no run record",
        [HA_DEAD_GUARD] = "the lease that guarded it is over",
        [HA_DEAD_POWER] = "its node's power was cut",
        [HA_DEAD_OTHER_BOOT] = "its node has booted anew",
        [HA_DEAD_STATED] = "an administrator said that it is dead",
    };
    return texts[proof];
}
