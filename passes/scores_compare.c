/* Ranks, their correlation, and what two rankings keep alike. */
#include "passes/scores_compare.h"
#include "shaders/scalar/scalar.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

struct valued {
    float value;
    uint32_t index;
};

static int by_value(const void *a, const void *b)
{
    const struct valued *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* Ranks from 0; equal values have the mean of theirs. */
static double *ranks_of(struct arena *arena, const struct score *s)
{
    struct valued *order = ARENA_ARRAY(arena, struct valued, s->count);
    double *ranks = ARENA_ARRAY(arena, double, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        order[i] = (struct valued){s->values[i], i};
    qsort(order, s->count, sizeof *order, by_value);
    for (uint32_t i = 0, end; i < s->count; i = end) {
        for (end = i; end < s->count && order[end].value == order[i].value; end++)
            ;
        for (uint32_t k = i; k < end; k++)
            ranks[order[k].index] = ((double)i + (double)(end - 1)) / 2;
    }
    return ranks;
}

static double correlation(const double *x, const double *y, uint32_t count)
{
    double mean = (double)(count - 1) / 2, xy = 0, xx = 0, yy = 0;
    for (uint32_t i = 0; i < count; i++) {
        xy += (x[i] - mean) * (y[i] - mean);
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

void scores_compare(struct scores_agreement *out, const struct score *a, const struct score *b, double share)
{
    assert(a->count == b->count && a->count > 0);
    struct arena scratch = {0};
    uint32_t kept = (uint32_t)(share * (double)a->count + 0.5);
    kept = kept < 1 ? 1 : kept > a->count ? a->count : kept;
    *out = (struct scores_agreement){.kept = kept};
    out->correlation = correlation(ranks_of(&scratch, a), ranks_of(&scratch, b), a->count);
    uint32_t *x = ARENA_ARRAY(&scratch, uint32_t, kept), *y = ARENA_ARRAY(&scratch, uint32_t, kept);
    scores_rank(a->values, a->count, kept, x);
    scores_rank(b->values, b->count, kept, y);
    for (uint32_t i = 0, k = 0; i < kept && k < kept;) {
        out->both += x[i] == y[k];
        if (x[i] == y[k])
            i++, k++;
        else
            *(x[i] < y[k] ? &i : &k) += 1;
    }
    arena_release(&scratch);
}
