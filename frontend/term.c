/* The set of terms. */
#include "frontend/term.h"
#include <assert.h>
#include <math.h>

uint32_t term_add(struct term_set *set, struct term term, uint32_t origin)
{
    uint32_t number;
    struct str key = {(const char *)&term, sizeof term};
    if (map_find_text(&set->numbers, key, &number))
        return number;
    number = set->terms.count;
    *VEC_PUSH(set->arena, &set->terms) = term;
    *VEC_PUSH(set->arena, &set->origins) = origin;
    map_add_text(&set->numbers, set->arena, key, number);
    return number;
}

const struct term *term_get(const struct term_set *set, uint32_t term)
{
    assert(term < set->terms.count);
    return &set->terms.items[term];
}

uint32_t term_strip_scale(const struct term_set *set, uint32_t term, double *number)
{
    const struct term *t = term_get(set, term);
    if (t->kind != TERM_SCALE)
        return term;
    *number *= t->number;
    return t->x;
}

uint32_t term_scale(struct term_set *set, uint32_t x, double number, uint32_t origin)
{
    x = term_strip_scale(set, x, &number);
    if (fabs(number - 1) < 1e-12) /* n * (1 / n) is not always 1 */
        return x;
    return term_add(
        set, (struct term){.kind = TERM_SCALE, .x = x, .number = number, .size = term_get(set, x)->size},
        origin);
}

const char *term_kind_name(enum term_kind kind)
{
    static const char *const names[] = {
        [TERM_TOKENS] = "the tokens",
        [TERM_EMBED] = "embeddings",
        [TERM_LINEAR] = "a linear layer",
        [TERM_BIAS] = "a biased value",
        [TERM_GAIN] = "a value times a weight",
        [TERM_ADD] = "a sum",
        [TERM_MULTIPLY] = "a product",
        [TERM_SCALE] = "a scaled value",
        [TERM_OFFSET] = "a value plus a constant",
        [TERM_SQUARE] = "a square",
        [TERM_CUBE] = "a cube",
        [TERM_MEAN] = "a mean",
        [TERM_CENTRED] = "a value minus its mean",
        [TERM_ROOT] = "a square root",
        [TERM_INVERSE] = "a reciprocal",
        [TERM_EXP] = "an exponential",
        [TERM_SIGMOID] = "a sigmoid",
        [TERM_SILU] = "a SiLU",
        [TERM_RELU] = "a ReLU",
        [TERM_TANH] = "a hyperbolic tangent",
        [TERM_ERF] = "an error function",
        [TERM_GELU] = "a GELU",
        [TERM_GELU_TANH] = "a GELU by tangent",
        [TERM_POSITIONS] = "a value plus learned positions",
        [TERM_NORMAL] = "a norm without weight",
        [TERM_RMSNORM] = "an RMS norm",
        [TERM_MIX] = "a part of a rotary embedding",
        [TERM_ROPE] = "a rotary embedding",
        [TERM_SCORES] = "attention scores",
        [TERM_MASKED] = "masked attention scores",
        [TERM_SOFTMAX] = "attention weights",
        [TERM_IS_NAN] = "a test for NaN",
        [TERM_ATTENTION] = "an attention",
    };
    return names[kind];
}
