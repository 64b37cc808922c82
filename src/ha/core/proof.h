#pragma once
#include "ha/core/env.h"

typedef enum {
    HA_ALIVE,           /* nothing proves it dead: nobody else may start it */
    HA_DEAD_NO_RECORD,  /* no run record */
    HA_DEAD_GUARD,      /* guard < the generation of its node's lease */
    HA_DEAD_POWER,      /* power-off record for that boot */
    HA_DEAD_OTHER_BOOT, /* its node itself, under another boot */
    HA_DEAD_STATED,     /* an operator's recorded statement for that guest */
} HaProof;

/**
 * ha_proof_of_death:
 * @run: (nullable)
 * @lease: (nullable): the agent lease of the node of @run
 * @boot: (nullable): the boot under which that node itself was last seen in an open epoch
 *
 * S34, all of it: "not a member" and "not seen for a while" prove nothing.
 */
HaProof ha_proof_of_death(const HaRun *run, const HaLeaseView *lease, const char *boot);
const char *ha_proof_text(HaProof proof);
