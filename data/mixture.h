/* A mixture of sources by shares: which source each micro-batch is drawn from, as a pure function of its
 * number. Of every W micro-batches, W being the sum of the shares, each source gives just its share, in an
 * order that a keyed permutation shuffles anew every W. */
#ifndef DATA_MIXTURE_H
#define DATA_MIXTURE_H

#include <stdint.h>

enum { MIXTURE_MAX = 64, MIXTURE_MAX_SHARE = 1000 };

struct mixture {
    uint32_t count; /* of sources, at least 1 */
    uint32_t shares[MIXTURE_MAX];
    uint64_t seed;
};

struct mixture_pick {
    uint32_t source;
    uint64_t number; /* of the micro-batch among those of its source, from 0 */
};

struct mixture_pick mixture_pick(const struct mixture *mixture, uint64_t micro_batch);
/* How many of the first `micro_batches` are of that source. */
uint64_t mixture_count(const struct mixture *mixture, uint32_t source, uint64_t micro_batches);

#endif
