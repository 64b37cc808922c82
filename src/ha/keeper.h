#pragma once
#include "cfs/client.h"
#include "ha/core/env.h"

/*
 * One lease as its holder sees it: taken, renewed, given back, without ever waiting (safety.md S18
 * to S20). For another node's agent lease: fenced (S22).
 */
typedef struct HaKeeper HaKeeper;

typedef void (*HaKeeperNews)(gpointer data);

/**
 * ha_keeper_new:
 * @client: borrowed, must outlive the keeper; best one that carries nothing but leases
 * @process: (nullable): who within this node and boot, "crmd-4711": another process of this boot is
 *   then another holder; NULL: the boot itself is
 */
HaKeeper *ha_keeper_new(CfsClient *client, const char *name, const char *process, HaKeeperNews news,
                        gpointer data);
void ha_keeper_free(HaKeeper *keeper);

/** ha_keeper_hold: as HaEnv's lease_hold for a lease of this node: takes it, or sends a renewal (at
 *  most one each 100 ms) if @lease->renew, and tells what was heard. HA_DONE only once a renewal
 * was heard. A generation that is over stays HA_REFUSED until ha_keeper_release(). */
HaOutcome ha_keeper_hold(HaKeeper *keeper, const HaTiming *timing, HaLease *lease);

/** ha_keeper_fence: another node's lease. HA_DONE: it is nobody's, @lease->generation says under
 *  which grant. While it is another's it is asked again when the holder's time may be up, and not
 *  before. */
HaOutcome ha_keeper_fence(HaKeeper *keeper, const HaTiming *timing, HaLease *lease);

/** ha_keeper_forget: it was given back: the next ha_keeper_fence() asks anew. */
void ha_keeper_forget(HaKeeper *keeper);

HaOutcome ha_keeper_release(HaKeeper *keeper, HaGeneration generation);

/** ha_keeper_adopt: goes on with a grant of this boot that a local manager before us took, whose
 * last renewal that counted was sent at @heard. */
void ha_keeper_adopt(HaKeeper *keeper, HaGeneration generation, HaTime heard);

bool ha_keeper_idle(const HaKeeper *keeper);       /* holds nothing, asks for nothing */
const char *ha_keeper_why(const HaKeeper *keeper); /* of the last refusal, or NULL */

HaTime ha_now(void); /* both clocks that a holder reads */
