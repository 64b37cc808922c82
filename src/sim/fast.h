#pragma once
#include <stdio.h>
#include "base/error.h"

typedef struct Fast Fast;

/* clang-format off */
typedef enum {
    FAULT_CRASH,      /* power off, on again later */
    FAULT_FREEZE,     /* the whole host stands still, its watchdog does not */
    FAULT_PARTITION,  /* the hosts of a bit mask are cut off from the others */
    FAULT_STOP,       /* SIGSTOP of one daemon, SIGCONT later */
    FAULT_KILL,       /* SIGKILL of one daemon, started again by the supervisor */
    FAULT_BAD_STARTS, /* starts of guests fail, most of them */
    FAULT_BAD_STOPS,
    FAULT_GUEST,      /* a guest's process ends by itself */
    FAULT_REQUEST,    /* an administrator wants something */
    FAULT_BY_HAND,    /* a guest is started without HA, and put under HA later */
    FAULT_END
} FastFault;
/* clang-format on */

typedef struct {
    FastFault kind;
    int64_t at_ms;
    int64_t lasts_ms;
    guint host; /* or guest */
    guint what; /* daemon, bit mask, request */
} FaultPlan;

typedef struct {
    guint hosts;
    guint guests;
    int64_t length_ms;
    guint kinds; /* bit mask of FastFault; 0: all */
    const char *profile;
    FILE *trace;
} FastOptions;

typedef struct {
    int invariant; /* 0: all held */
    char *violation;
    int64_t at_ms;
    guint counts[FAULT_END];
    GArray
        *failovers; /* int64_t: ms from power loss to the guest's process elsewhere, undisturbed */
} FastResult;

const char *fast_fault_name(FastFault kind);
/** fast_plan: (element-type FaultPlan): the faults that @seed draws, by time */
GArray *fast_plan(uint64_t seed, const FastOptions *options);
/** fast_run: one history, equal for equal arguments */
void fast_run(uint64_t seed, const FastOptions *options, const GArray *faults, FastResult *result);
void fast_result_clear(FastResult *result);
/** fast_shrink: (transfer full): as few of @faults as still end in a violation of that invariant */
GArray *fast_shrink(uint64_t seed, const FastOptions *options, const GArray *faults, int invariant);

/* `quorate-sim fuzz …` */
int fast_main(int argc, char **argv);
