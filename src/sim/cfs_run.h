#pragma once
#include "sim/cfs_faults.h"

/* One history: a formed cluster, load, faults, peace, judgement. */
typedef struct {
    uint32_t n_nodes;
    int64_t length_us;
    uint32_t kinds; /* of faults allowed */
    FILE *trace;    /* NULL: none */
} SimRunOptions;

typedef struct {
    char *violation; /* NULL: none */
    int invariant;
    uint64_t steps;
    uint64_t counts[FAULT_KINDS];
} SimRunResult;

/** sim_run: @faults (nullable): instead of those that the seed draws. */
void sim_run(uint64_t seed, const GArray *faults, const SimRunOptions *options,
             SimRunResult *result);
/** sim_shrink: (transfer full): as few of the faults as still end in a violation. */
GArray *sim_shrink(uint64_t seed, const SimRunOptions *options, SimRunResult *result);
