/* A keyed permutation of [0, n): where a shuffle sends an index, without storing the shuffle. C only. */
#ifndef SHADERS_SCALAR_PERMUTE_H
#define SHADERS_SCALAR_PERMUTE_H

#include "shaders/scalar/random.h"

/* Eight Feistel rounds over the smallest even number of bits that holds n, with Philox as round function (any
 * round function makes a bijection), walking the cycle until the value is below n: at most four steps on
 * average. i < n <= 2^62. `key` names the shuffle: seed, stream and epoch hashed or packed into 64 bits. */
static inline uint64_t gm_permute(uint64_t key, uint64_t n, uint64_t i)
{
    uint half_bits = 1;
    while ((uint64_t)1 << 2 * half_bits < n)
        half_bits++;
    uint64_t mask = ((uint64_t)1 << half_bits) - 1;
    do {
        uint64_t left = i >> half_bits, right = i & mask;
        for (uint round = 0; round < 8; round++) {
            struct gm_words counter = {(uint)right, round, (uint)n, (uint)(n >> 32)};
            uint64_t mixed = left ^ (gm_philox(counter, (uint)key, (uint)(key >> 32)).x & mask);
            left = right;
            right = mixed;
        }
        i = left << half_bits | right;
    } while (i >= n);
    return i;
}

#endif
