#pragma once
#include "sim/cfs_world.h"

/* Where the history on a disk stands, read from its rows as they are. */
typedef struct {
    uint64_t database;
    Epoch promised, installed;
    uint64_t sequence;
    Digest history;
} SimPoint;

bool sim_point_of(const SimDisk *disk, SimPoint *point); /* false: nothing there yet */
