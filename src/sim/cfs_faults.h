#pragma once
#include "sim/cfs_world.h"

typedef enum {
    FAULT_POWER,
    FAULT_FREEZE,
    FAULT_CFSD_KILL,
    FAULT_CFSD_STOP,
    FAULT_COROSYNC_KILL,
    FAULT_PARTITION, /* argument: mask of one side */
    FAULT_ONE_WAY,   /* argument: who does not hear the node */
    FAULT_LOSS,
    FAULT_SLOW_DISK,
    FAULT_HANGING_DISK,
    FAULT_FULL_DISK,
    FAULT_REINSTALL,
} FaultKind;
#define FAULT_KINDS (FAULT_REINSTALL + 1)

const char *fault_kind_name(FaultKind kind);
bool fault_kind_parse(const char *name, FaultKind *kind);

typedef struct {
    FaultKind kind;
    uint32_t node; /* number */
    uint32_t argument;
    int64_t from_us, until_us;
} Fault;

/** sim_faults_draw: (element-type Fault): from the seed alone; @kinds: bit per kind allowed. */
GArray *sim_faults_draw(uint64_t seed, uint32_t n_nodes, int64_t from_us, int64_t until_us,
                        uint32_t kinds);
/** sim_faults_plan: puts them into the world's queue. @faults must live as long as the world. */
void sim_faults_plan(SimWorld *world, const GArray *faults);
void sim_faults_heal(SimWorld *world); /* ends whatever is still on, starts what does not run */

char *sim_faults_text(const GArray *faults); /* one a line: KIND node N ARGUMENT FROM UNTIL */
GArray *sim_faults_parse(const char *text, GError **error);
