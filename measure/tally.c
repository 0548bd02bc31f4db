/* Running sums over sequences. */
#include "measure/tally.h"
#include "shaders/scalar/scalar.h"

enum { BLOCK = 512 }; /* of P in ir/ops.def */

const char *statistic_name(enum statistic statistic)
{
    static const char *const names[] = {"mean", "l2", "variance"};
    return names[statistic];
}

void tally_init(struct tally *out, struct arena *arena, uint32_t count)
{
    *out = (struct tally){.count = count};
    out->sum = ARENA_ARRAY(arena, double, count);
    out->magnitude = ARENA_ARRAY(arena, double, count);
    out->squares = ARENA_ARRAY(arena, double, count);
    out->mean = ARENA_ARRAY(arena, double, count);
    out->m2 = ARENA_ARRAY(arena, double, count);
}

/* P over rows of x * x for one element, as the op column_squares has it. */
static float sum_of_squares(const float *values, uint32_t rows, uint32_t count)
{
    float total = 0;
    for (uint32_t block = 0; block < rows; block += BLOCK) {
        float part = 0;
        for (uint32_t r = block; r < rows && r < block + BLOCK; r++)
            part = part + values[(size_t)r * count] * values[(size_t)r * count];
        total = total + part;
    }
    return gm_flush(total);
}

void tally_add(struct tally *tally, const float *values, uint32_t rows)
{
    for (uint32_t e = 0; e < tally->count; e++)
        tally->squares[e] += (double)sum_of_squares(values + e, rows, tally->count);
    for (uint32_t r = 0; r < rows; r++) {
        const float *row = values + (size_t)r * tally->count;
        double n = (double)++tally->sequences;
        for (uint32_t e = 0; e < tally->count; e++) {
            double x = (double)row[e], deviation = x - tally->mean[e];
            tally->sum[e] += x;
            tally->magnitude[e] += x < 0 ? -x : x;
            tally->mean[e] += deviation / n;
            tally->m2[e] += deviation * (x - tally->mean[e]);
        }
    }
}

float tally_get(const struct tally *tally, uint32_t element, enum statistic statistic)
{
    double n = (double)tally->sequences;
    switch (statistic) {
    case STATISTIC_MEAN:
        return (float)(tally->magnitude[element] / n);
    case STATISTIC_L2:
        return gm_sqrt((float)tally->squares[element]);
    default:
        return (float)(tally->m2[element] / n);
    }
}
