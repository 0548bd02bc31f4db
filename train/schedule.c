/* The shapes of the schedules and the optimizer's numbers. */
#include "train/schedule.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>

#define PI gm_float(0x40490fdbu)   /* 3.14159274 */
#define HALF gm_float(0x3f000000u) /* 0.5 */

static float progress(const struct schedule *s, uint32_t done)
{
    return gm_div(gm_from_uint(done), gm_from_uint(s->steps - s->warmup));
}

static float factor_constant(const struct schedule *s, uint32_t done)
{
    (void)s, (void)done;
    return 1;
}

static float factor_linear(const struct schedule *s, uint32_t done)
{
    return gm_float(GM_ONE) - progress(s, done);
}

static float factor_cosine(const struct schedule *s, uint32_t done)
{
    return HALF * (gm_float(GM_ONE) + gm_cos(PI * progress(s, done)));
}

static float factor_wsd(const struct schedule *s, uint32_t done)
{
    uint32_t left = s->steps - s->warmup - done;
    return left >= s->decay ? gm_float(GM_ONE) : gm_div(gm_from_uint(left), gm_from_uint(s->decay));
}

static float (*const factors[SCHEDULE_COUNT])(const struct schedule *s, uint32_t done) = {
#define SCHEDULE(name, function, summary) [SCHEDULE_##name] = function,
#include "train/schedules.def"
};

const struct schedule_info schedule_table[SCHEDULE_COUNT] = {
#define SCHEDULE(name, function, summary) [SCHEDULE_##name] = {#name, summary},
#include "train/schedules.def"
};

bool schedule_from_name(struct str name, enum schedule_kind *out)
{
    for (int kind = 0; kind < SCHEDULE_COUNT; kind++)
        if (str_is(name, schedule_table[kind].name)) {
            *out = (enum schedule_kind)kind;
            return true;
        }
    return false;
}

/* 0, or at least 2^-51, and finite: what golden arithmetic takes as a constant. */
static bool is_amount(float x)
{
    return gm_is_finite(x) && x >= 0 && gm_flush(x) == x;
}

enum status schedule_check(const struct schedule *schedule, struct trace *trace)
{
    if (!is_amount(schedule->peak) || !is_amount(schedule->final) || schedule->final > schedule->peak)
        return status_fail(trace, INVALID,
                           "expected a learning rate of at least 0 and a final one not above it, found "
                           "%g and %g",
                           (double)schedule->peak, (double)schedule->final);
    if (schedule->steps == 0 || schedule->warmup > schedule->steps)
        return status_fail(trace, INVALID,
                           "expected at least one step and no more warm-up than steps, found %" PRIu32
                           " steps, %" PRIu32 " of them warm-up",
                           schedule->steps, schedule->warmup);
    if (schedule->decay > schedule->steps - schedule->warmup)
        return status_fail(trace, INVALID, "expected no more decay than steps after warm-up, found %" PRIu32,
                           schedule->decay);
    return OK;
}

float schedule_rate(const struct schedule *schedule, uint32_t step)
{
    if (step < schedule->warmup) {
        float part = gm_div(gm_from_uint(step + 1), gm_from_uint(schedule->warmup + 1));
        return gm_flush(schedule->peak * part);
    }
    float range = gm_flush(schedule->peak - schedule->final);
    return gm_flush(schedule->final +
                    range * gm_flush(factors[schedule->kind](schedule, step - schedule->warmup)));
}

enum status adamw_check(const struct adamw *a, struct trace *trace)
{
    const float betas[] = {a->beta1, a->beta2};
    for (int i = 0; i < 2; i++)
        if (!is_amount(betas[i]) || betas[i] >= 1)
            return status_fail(trace, INVALID, "adamw: expected beta%d from 0 to below 1, found %g", i + 1,
                               (double)betas[i]);
    if (!is_amount(a->epsilon) || a->epsilon == 0)
        return status_fail(trace, INVALID, "adamw: expected a positive epsilon, found %g",
                           (double)a->epsilon);
    if (!is_amount(a->decay) || !is_amount(a->max_norm))
        return status_fail(trace, INVALID, "adamw: expected decay and clip of at least 0, found %g and %g",
                           (double)a->decay, (double)a->max_norm);
    return OK;
}

void adamw_hyper(float out[HYPER_SIZE], const struct adamw *a, float rate, uint32_t step, float weight)
{
    float one = gm_float(GM_ONE);
    for (int i = 0; i < HYPER_SIZE; i++)
        out[i] = 0;
    out[0] = rate;
    out[1] = a->beta1;
    out[2] = gm_flush(one - a->beta1);
    out[3] = a->beta2;
    out[4] = gm_flush(one - a->beta2);
    out[5] = gm_rcp(one - gm_flush(gm_pow_int(a->beta1, step + 1)));
    out[6] = gm_rcp(one - gm_flush(gm_pow_int(a->beta2, step + 1)));
    out[7] = a->epsilon;
    out[8] = gm_flush(one - gm_flush(rate * a->decay));
    out[9] = a->max_norm;
    out[10] = gm_flush(gm_rcp(weight));
}
