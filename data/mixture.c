/* A period of W micro-batches is a permutation of W places, of which each source owns a run. */
#include "data/mixture.h"
#include "shaders/scalar/permute.h"
#include "shaders/scalar/random.h"
#include <assert.h>

/* Keeps these random words apart from those of other uses of the same seed: "mixt". */
static const uint32_t PURPOSE = 0x6d697874;

static uint64_t period_of(const struct mixture *m)
{
    uint64_t period = 0;
    for (uint32_t i = 0; i < m->count; i++)
        period += m->shares[i];
    return period;
}

/* The source of a place of a period. */
static uint32_t source_at(const struct mixture *m, uint64_t key, uint64_t period, uint64_t place)
{
    uint64_t at = gm_permute(key, period, place);
    uint32_t source = 0;
    for (; at >= m->shares[source]; source++)
        at -= m->shares[source];
    assert(source < m->count);
    return source;
}

static uint64_t key_of(const struct mixture *m, uint64_t number)
{
    struct gm_words counter = {(uint32_t)number, (uint32_t)(number >> 32), 0, PURPOSE};
    struct gm_words words = gm_philox(counter, (uint32_t)m->seed, (uint32_t)(m->seed >> 32));
    return (uint64_t)words.y << 32 | words.x;
}

uint64_t mixture_count(const struct mixture *m, uint32_t source, uint64_t micro_batches)
{
    uint64_t period = period_of(m), number = micro_batches / period, key = key_of(m, number);
    uint64_t count = number * m->shares[source];
    for (uint64_t place = 0; place < micro_batches % period; place++)
        count += source_at(m, key, period, place) == source;
    return count;
}

struct mixture_pick mixture_pick(const struct mixture *m, uint64_t micro_batch)
{
    uint64_t period = period_of(m);
    if (m->count == 1)
        return (struct mixture_pick){0, micro_batch};
    uint32_t source = source_at(m, key_of(m, micro_batch / period), period, micro_batch % period);
    return (struct mixture_pick){source, mixture_count(m, source, micro_batch)};
}
