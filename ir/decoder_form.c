/* See ir/decoder_form.h. */
#include "ir/decoder_form.h"
#include <inttypes.h>
#include <string.h>

static const char *const names[NAMING_COUNT][ROLE_COUNT] = {
#define WEIGHT_ROLE(role)
#define WEIGHT_NAME(naming, role, name) [NAMING_##naming][ROLE_##role] = name,
#include "ir/weight_names.def"
};

const char *weight_name(struct arena *arena, enum weight_naming naming, enum weight_role role, int64_t layer,
                        enum weight_part part)
{
    const char *pattern = names[naming][role], *ending = part == PART_BIAS ? "bias" : "weight";
    const char *star = pattern ? strchr(pattern, '*') : NULL;
    if (!pattern)
        return NULL;
    if (!star)
        return arena_printf(arena, "%s.%s", pattern, ending);
    return arena_printf(arena, "%.*s%" PRId64 "%s.%s", (int)(star - pattern), pattern, layer, star + 1,
                        ending);
}

/* Of 0 < x < 1, by Newton's iteration. */
static double root(double x)
{
    double y = 1;
    for (int i = 0; i < 64; i++)
        y = (y + x / y) / 2;
    return y;
}

static void add_powers(float *out, float base, int64_t count, int64_t step)
{
    double power = (double)base;
    for (int64_t i = 0; i < count; i++) {
        out[i] = (float)power;
        for (int64_t k = 0; k < step; k++)
            power *= (double)base;
    }
}

void slopes_usual(float *out, int64_t heads)
{
    int64_t whole = 1;
    double base = 0x1p-8; /* 2^(-8 / whole) */
    for (; 2 * whole <= heads; whole *= 2)
        base = root(base);
    add_powers(out, (float)base, whole, 1);
    add_powers(out + whole, (float)root(base), heads - whole, 2);
}

/* The first of an activation's words is the one that is written. */
static const struct {
    const char *name;
    enum decoder_activation activation;
} activations[] = {
    {"silu", ACTIVATION_SILU},
    {"swish", ACTIVATION_SILU},
    {"gelu", ACTIVATION_GELU},
    {"gelu_new", ACTIVATION_GELU_TANH},
    {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
    {"gelu_fast", ACTIVATION_GELU_TANH},
    {"relu", ACTIVATION_RELU},
    {"relu2", ACTIVATION_RELU_SQUARED},
};

enum decoder_activation activation_find(const char *name)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0)
            return activations[i].activation;
    return ACTIVATION_NONE;
}

const char *activation_name(enum decoder_activation activation)
{
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (activations[i].activation == activation)
            return activations[i].name;
    return NULL;
}
