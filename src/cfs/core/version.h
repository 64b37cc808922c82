#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

/*
 * Names of points in the history: epochs, generations of leases, digests. Words: safety.md.
 * All of them are plain values; {0, …} is "none" and is smaller than every other.
 */

/** An epoch: its number, and the random id of the plan that formed it. */
typedef struct {
    uint64_t number;
    uint64_t plan;
} Epoch;

bool epoch_equal(Epoch a, Epoch b);

/** A generation of a lease: epoch number and sequence of the update that granted it (S18). */
typedef struct {
    uint64_t epoch;
    uint64_t sequence;
} Generation;

int generation_compare(Generation a, Generation b); /* <0, 0, >0 */
bool generation_is_none(Generation generation);

/** Identity of an update (S14): who sent it, in which process, its how-manieth. */
typedef struct {
    uint32_t node;
    uint64_t incarnation;
    uint64_t number; /* from 1 */
} UpdateId;

/** 128 bits against accidents, not against forgers: machines do not lie. */
typedef struct {
    uint64_t a, b;
} Digest;

bool digest_equal(Digest x, Digest y);
Digest digest_bytes(const void *data, size_t length);
Digest digest_chain(Digest before, const void *data, size_t length); /* depends on the order */
/* A sum over a set: adding and removing in any order gives the same. */
Digest digest_add(Digest sum, Digest part);
Digest digest_remove(Digest sum, Digest part);

/**
 * Readings of one moment, given with every input; the core never reads a clock (S24). wall_s is
 * for people (mtime) and decides nothing.
 */
typedef struct {
    int64_t boot_ms; /* CLOCK_BOOTTIME */
    int64_t mono_ms; /* CLOCK_MONOTONIC */
    int64_t raw_ms;  /* CLOCK_MONOTONIC_RAW */
    int64_t wall_s;  /* CLOCK_REALTIME */
} Clocks;

int64_t clocks_elapsed_holder(const Clocks *from, const Clocks *to); /* the longest reading */
int64_t clocks_elapsed_voter(const Clocks *from, const Clocks *to);  /* the shortest reading */
