#pragma once
#include "sim/cfs_world.h"

/*
 * What clients do: files written, made, moved and removed on every node, and holders of leases as
 * lrmd and crmd hold them. Everything that a client knows of an outcome goes to the checker.
 */
typedef struct {
    double ops_per_s; /* of each node */
    bool leases;
} SimLoadOptions;

void sim_load_new(SimWorld *world, const SimLoadOptions *options);
void sim_load_free(SimWorld *world);
void sim_load_started(SimNode *node); /* hook: a new process */
void sim_load_answer(SimWorld *world, SimNode *node, uint64_t id, const UpdateResult *result);

void sim_load_quiet(SimWorld *world); /* no new calls from now on */

/** sim_load_probe: one write on @node; its number. sim_load_probed: was it acknowledged? */
uint64_t sim_load_probe(SimNode *node);
bool sim_load_probed(SimNode *node, uint64_t number);
