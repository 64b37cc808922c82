#pragma once
#include "base/error.h"

/*
 * The times of one profile (safety.md S38), counted from s, the send time of the last renewal that
 * a majority heard. All in milliseconds.
 */
typedef struct {
    const char *profile; /* "fast", "steady", "classic" */
    bool classic;        /* rounds, locks and watchdog of the existing system; no generations */
    int nodes;

    int token_ms;       /* T: Corosync's token timeout */
    int membership_ms;  /* M: silent death to new membership */
    int renew_ms;       /* r */
    int heard_ms;       /* a: until a majority heard a renewal */
    int reaction_ms;    /* j */
    int kill_ms;        /* t: kill and proof */
    int feed_check_ms;  /* f: how often watchdogd looks */
    int under_way_ms;   /* X: what may still be on its way to a disk */
    int slack_ms;       /* S */
    int local_end_ms;   /* K */
    int fires_ms;       /* W: the device fires at the latest */
    int device_ms;      /* H: the device's timeout */
    int granularity_ms; /* g: of the device */
    int standstill_ms;  /* R: expiry to standstill */
    int lapse_ms;       /* L */
    int rate_permille;  /* rho: how far clock rates may be off */

    int round_ms;       /* a round at least this often */
    int idle_round_ms;  /* the same while passive */
    int fence_delay_ms; /* classic: how long a node is away before it is fenced; else 0 */
    int forget_ms;      /* a node that is gone this long is forgotten */
    int crm_idle_rounds;
    int lrm_idle_rounds;
    int lost_give_up_ms; /* a restarting local manager without its lease gives up */
} HaTiming;

typedef struct {
    int nodes;           /* of the cluster; 0 counts as 3 */
    int granularity_ms;  /* g of the device; -1: unknown, counts as 1000 */
    int standstill_ms;   /* R; -1: unknown, counts as 1000 */
    int sync_timeout_ms; /* of a registered qdevice, else 0: adds to M */
} HaTimingFacts;

/**
 * ha_timing:
 * @profile: "fast", "steady" or "classic"
 * @facts: (nullable)
 *
 * Computes the profile's times for this cluster and checks them with ha_timing_check().
 *
 * Errors: Q_ERROR_INVALID: unknown profile, or the inequality that fails
 */
bool ha_timing(const char *profile, const HaTimingFacts *facts, HaTiming *timing, GError **error);

/** ha_timing_check: the inequalities (1) to (5) of S38. Errors: Q_ERROR_INVALID, naming the first
 *  that fails with its numbers. The classic profile has none. */
bool ha_timing_check(const HaTiming *timing, GError **error);

/* A point in time on the clocks that a holder reads (S24): elapsed is the larger difference. */
typedef struct {
    int64_t boot_ms; /* CLOCK_BOOTTIME */
    int64_t raw_ms;  /* CLOCK_MONOTONIC_RAW */
} HaTime;

int64_t ha_elapsed_ms(HaTime since, HaTime now);
HaTime ha_time_after(HaTime since, int64_t ms);
