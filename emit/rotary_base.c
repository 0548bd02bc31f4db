/* See emit/rotary_base.h. */
#include "emit/rotary_base.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Steps between two positive floats, whose bits are ordered as they are. */
static int64_t steps_between(float a, float b)
{
    int32_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x > y ? (int64_t)x - y : (int64_t)y - x;
}

static float expected_at(double base, int64_t i, int64_t count)
{
    return (float)pow(base, -(double)i / (double)count);
}

/* The first frequency that base does not give; count when all fit. */
static int64_t first_misfit(double base, const float *w, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!(w[i] > 0) || !isfinite(w[i]) ||
            steps_between(w[i], expected_at(base, i, count)) > ROTARY_BASE_ULPS)
            return i;
    return count;
}

static enum status find(float *out, const float *w, int64_t count, struct trace *trace)
{
    double estimate = 10000;
    if (count > 1) /* the last frequency has the largest exponent, so it tells the base best */
        estimate = pow((double)w[count - 1], -(double)count / (double)(count - 1));
    double whole = nearbyint(estimate);
    *out = (float)(first_misfit(whole, w, count) == count ? whole : estimate);
    int64_t misfit = isfinite(estimate) && *out > 0 ? first_misfit((double)*out, w, count) : count - 1;
    if (misfit == count)
        return OK;
    return status_fail(trace, UNSUPPORTED,
                       "rotary frequencies are no powers of one base: number %" PRId64 " of %" PRId64
                       " should be %.9g with the base %.9g, found %.9g",
                       misfit, count, (double)expected_at((double)*out, misfit, count), (double)*out,
                       (double)w[misfit]);
}

enum status rotary_base_find(float *out, const struct tensor_view *frequencies, struct trace *trace)
{
    int64_t count = tensor_view_count(frequencies);
    if (count < 1 || count > ROTARY_MAX_FREQUENCIES)
        return status_fail(trace, UNSUPPORTED, "%" PRId64 " rotary frequencies", count);
    struct arena scratch = {0};
    float *w = ARENA_ARRAY(&scratch, float, (size_t)count);
    tensor_view_read_f32(frequencies, 0, count, w);
    enum status status = find(out, w, count, trace);
    arena_release(&scratch);
    return status;
}
