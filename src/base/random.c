#include "base/random.h"

/* xoshiro256** by Blackman and Vigna (public domain), seeded through splitmix64. */

static uint64_t
rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

void
q_random_seed(QRandom *random, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        random->state[i] = z ^ z >> 31;
    }
}

uint64_t
q_random_next(QRandom *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t
q_random_id(QRandom *random)
{
    uint64_t id;

    do
        id = q_random_next(random);
    while (id == 0);
    return id;
}

uint64_t
q_random_below(QRandom *random, uint64_t limit)
{
    /* The product's upper half; its bias is below 2^-32 for the limits that anybody uses. */
    return (uint64_t)((unsigned __int128)q_random_next(random) * limit >> 64);
}

int64_t
q_random_between(QRandom *random, int64_t low, int64_t high)
{
    return low + (int64_t)q_random_below(random, (uint64_t)(high - low) + 1);
}

bool
q_random_chance(QRandom *random, double probability)
{
    return (double)(q_random_next(random) >> 11) * 0x1.0p-53 < probability;
}
