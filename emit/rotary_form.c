/* See emit/rotary_form.h. Parameters are estimated from a few frequencies, rounded to what people write, and
 * then held against all. */
#include "emit/rotary_form.h"
#include <math.h>

enum { LEAST_CONTEXT = 64, MOST_CONTEXT = 1 << 20 };
static const double low_factor = 1, high_factor = 4, tau = 6.28318530717958647693;

/* Where two are blended, implementations differ by the rounding of the blend: a small difference of factors.
 */
static const double blend_tolerance = 1e-5, tolerance = 5e-7;

static double plain(double base, int64_t i, int64_t count)
{
    return pow(base, -(double)i / (double)count);
}

/* A number that people would write, where it is nearly one. */
static double rounded(double x)
{
    double whole = nearbyint(x);
    return fabs(x / whole - 1) < 1e-5 ? whole : x;
}

static bool is_near(double found, double wanted, double most)
{
    return found > 0 && fabs(found / wanted - 1) < most;
}

/* All divided by one factor; the first is it, as a base to the power of 0 is 1. */
static bool find_linear(struct rotary_form *out, const float *w, int64_t count)
{
    double factor = rounded(1 / (double)w[0]);
    if (!(w[0] > 0) || !(w[count - 1] > 0) || count < 2)
        return false;
    double base = rounded(pow((double)w[count - 1] * factor, -(double)count / (double)(count - 1)));
    for (int64_t i = 0; i < count; i++)
        if (!is_near((double)w[i], plain(base, i, count) / factor, tolerance))
            return false;
    *out = (struct rotary_form){(float)base, SCALING_LINEAR, (float)factor, 0};
    return true;
}

/* Long wavelengths divided by the factor, short ones kept, those between blended (Llama 3.1; transformers,
 * modeling_rope_utils.py). */
static double scaled(double w, double factor, double context, bool *is_blend)
{
    double waves = context * w / tau, blend = (waves - low_factor) / (high_factor - low_factor);
    *is_blend = blend > -1e-3 && blend < 1 + 1e-3;
    blend = blend < 0 ? 0 : blend > 1 ? 1 : blend;
    return (1 - blend) * w / factor + blend * w;
}

static bool fits_llama3(const float *w, int64_t count, double base, double factor, double context)
{
    for (int64_t i = 0; i < count; i++) {
        bool is_blend;
        double wanted = scaled(plain(base, i, count), factor, context, &is_blend);
        if (!is_near((double)w[i], wanted, is_blend ? blend_tolerance : tolerance))
            return false;
    }
    return true;
}

/* The base by the last frequency that is kept as it is, whose exponent is the largest. */
static double estimate_base(const float *w, int64_t count, double context)
{
    double base = pow((double)w[1], -(double)count);
    int64_t last = 1;
    while (last + 1 < count && context * plain(base, last + 1, count) / tau > high_factor)
        last++;
    return rounded(pow((double)w[last], -(double)count / (double)last));
}

static bool find_llama3(struct rotary_form *out, const float *w, int64_t count)
{
    if (count < 3 || !(w[1] > 0) || !(w[count - 1] > 0))
        return false;
    for (int64_t context = LEAST_CONTEXT; context <= MOST_CONTEXT; context *= 2) {
        double base = estimate_base(w, count, (double)context);
        double factor = rounded(plain(base, count - 1, count) / (double)w[count - 1]);
        if (isfinite(base) && factor > 1 && fits_llama3(w, count, base, factor, (double)context)) {
            *out = (struct rotary_form){(float)base, SCALING_LLAMA3, (float)factor, context};
            return true;
        }
    }
    return false;
}

enum status rotary_form_find(struct rotary_form *out, const struct tensor_view *frequencies,
                             struct trace *trace)
{
    int64_t count = tensor_view_count(frequencies);
    struct trace plain_trace = {0};
    *out = (struct rotary_form){0};
    enum status status = rotary_base_find(&out->base, frequencies, &plain_trace);
    if (status == OK)
        return OK;
    bool found = false;
    if (count >= 1 && count <= ROTARY_MAX_FREQUENCIES) {
        struct arena scratch = {0};
        float *w = ARENA_ARRAY(&scratch, float, (size_t)count);
        tensor_view_read_f32(frequencies, 0, count, w);
        found = find_linear(out, w, count) || find_llama3(out, w, count);
        arena_release(&scratch);
    }
    return found
               ? OK
               : status_fail(trace, status, "%s (rope_theta), nor scaled as linear or llama3 (rope_scaling)",
                             plain_trace.text);
}
