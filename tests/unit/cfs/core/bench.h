#pragma once
#include "cfs/core/replica.h"

/*
 * One replica on the bench: a disk in memory, messages that come back to it, answers kept. In a
 * cluster of one (a corosync.conf that names it alone) its messages pass through our hands.
 */
typedef struct {
    Replica *replica;
    GHashTable *entries; /* uint64_t * → TreeEntry */
    GHashTable *rows;    /* char * → GBytes */
    TreeFigures figures;
    GPtrArray *sent; /* GBytes: every message so far */
    UpdateResult answer;
    bool answered;
    bool disk_fails;
    int64_t now_ms;
    uint64_t starts;
    guint visible; /* how often readers were told of something new */
} Bench;

Bench *bench_new(bool cluster);
void bench_free(Bench *bench);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bench, bench_free)

void bench_restart(Bench *bench); /* as after kill -9: the disk is all that is left */
void bench_step(Bench *bench, ReplicaInput input);
UpdateResult bench_update(Bench *bench, Update *update); /* (transfer full) */
UpdateResult bench_lease(Bench *bench, const LeaseOp *op);
UpdateCode bench_write(Bench *bench, const char *path, const char *text);
char *bench_read(Bench *bench, const char *path); /* NULL: not there */
