/* Random numbers for tests: splitmix64, seeded by the test, the same everywhere. */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t random_below(struct random *r, uint32_t limit)
{
    return (uint32_t)((random_next(r) >> 32) * limit >> 32);
}

/* Uniform in [-1, 1). */
static inline float random_float(struct random *r)
{
    return (float)(int32_t)(random_next(r) >> 32) * 0x1p-31f;
}

/* `count` of the numbers below `size`, ascending. */
static inline void random_subset(struct random *r, uint32_t size, uint32_t count, uint32_t *out)
{
    for (uint32_t i = 0; i < size; i++)
        if (random_below(r, size - i) < count) {
            *out++ = i;
            count--;
        }
}

#endif
