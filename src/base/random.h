#pragma once
#include <stdbool.h>
#include <stdint.h>

/*
 * Random numbers from a seed: equal seeds, equal numbers, on every machine. For cores and
 * simulators; secrets come from the kernel instead.
 */
typedef struct {
    uint64_t state[4];
} QRandom;

void q_random_seed(QRandom *random, uint64_t seed);
uint64_t q_random_next(QRandom *random);
uint64_t q_random_id(QRandom *random);                    /* never 0 */
uint64_t q_random_below(QRandom *random, uint64_t limit); /* 0 … limit - 1; limit > 0 */
int64_t q_random_between(QRandom *random, int64_t low, int64_t high); /* both included */
bool q_random_chance(QRandom *random, double probability);
