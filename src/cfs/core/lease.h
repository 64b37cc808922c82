#pragma once
#include "cfs/core/update.h"

/*
 * Leases (S18-S24). A grant is an update; renewals live in memory and count when a majority heard
 * them; a lapse is voted. Names: "ha_manager_lock", "ha_agent_NODE_lock", "storage-ID".
 */
#define LEASE_NAME_MAX 128

typedef enum {
    LEASE_FREE, /* nobody's: released, or given back */
    LEASE_HELD,
    LEASE_FENCED, /* taken from a node that lapsed: nobody's until the master gives it back (S22) */
} LeaseState;

/** A committed grant. Borrowed from the replica until its next step. */
typedef struct {
    const char *name;
    LeaseState state;
    Generation generation;
    uint32_t node_id;
    const char *node; /* holder, or who fenced */
    const char *boot;
    const char *process;
    int64_t hold_ms;  /* K: the holder's own end, counted from a heard renewal */
    int64_t lapse_ms; /* L: what voters wait */
    /* As this node sees it now: */
    int64_t left_ms;         /* until L has passed here; 0 may mean lapsed. Never a proof */
    int64_t heard_sent_ms;   /* held here: the holder's clock of the last heard renewal; else 0 */
    int64_t renewed_mono_ms; /* last renewal delivered here; 0: none since this process started */
} LeaseView;

typedef enum {
    LEASE_TAKE,    /* answered with a generation; UPDATE_HELD if another's */
    LEASE_RELEASE, /* by the holder at its generation */
    LEASE_RENEW,   /* answered when a majority heard it, UPDATE_OVER when it cannot be any more */
} LeaseOpKind;

/** One call about a lease. */
typedef struct {
    LeaseOpKind kind;
    const char *name;
    const char *process;   /* TAKE: who, within this node and boot: "crmd-4711" */
    int64_t hold_ms;       /* TAKE: K */
    int64_t lapse_ms;      /* TAKE: L; S38 relates them, the caller checks */
    Generation generation; /* RELEASE, RENEW */
    int64_t sent_ms;       /* RENEW: the holder's clock, read before it asked (S19) */
} LeaseOp;

/**
 * What a holder keeps to know whether it may still act (S20). For lrmd and crmd: read the clocks,
 * lease_hold_sent(), ask for the renewal, and on its answer read the clocks and lease_hold_heard().
 */
typedef struct {
    int64_t hold_ms; /* K */
    Clocks heard;    /* sent time of the newest heard renewal */
    bool any;        /* one was heard */
    bool over;       /* for good: no later answer revives it */
} LeaseHold;

void lease_hold_start(LeaseHold *hold, int64_t hold_ms);
/** lease_hold_heard: @sent: clocks when that renewal was sent. False if the generation is over. */
bool lease_hold_heard(LeaseHold *hold, const Clocks *sent, const Clocks *now);
/** lease_hold_alive: true while the holder may act; once false, always false. */
bool lease_hold_alive(LeaseHold *hold, const Clocks *now);
