/* Expressions over the tokens: what an ONNX graph computes, apart from how its axes are arranged.
 *
 * Equal terms are the same term (hash-consing), so that recognising a pattern is comparing numbers: x *
 * sigmoid(x) is silu because both operands are the same x. Terms have [batch, sequence, size] elements;
 * scores and what is made of them also have one per key, and their channels are heads. */
#ifndef FRONTEND_TERM_H
#define FRONTEND_TERM_H

#include "base/arena.h"
#include "base/map.h"
#include "base/vec.h"
#include <stdint.h>

enum { TERM_NONE = UINT32_MAX };

enum term_kind {
    TERM_TOKENS,
    TERM_EMBED,    /* weight: table [v, size] */
    TERM_LINEAR,   /* x times the transpose of weight [size, k] */
    TERM_BIAS,     /* x + weight [size] */
    TERM_GAIN,     /* x * weight [size] */
    TERM_ADD,      /* x + y */
    TERM_MULTIPLY, /* x * y */
    TERM_SCALE,    /* x * number */
    TERM_OFFSET,   /* x + number */
    TERM_SQUARE,   /* x * x */
    TERM_CUBE,     /* x * x * x */
    TERM_MEAN,     /* over all channels, size 1; groups: over those of each of so many heads */
    TERM_CENTRED,  /* x minus its mean over all channels */
    TERM_ROOT,     /* sqrt(x) */
    TERM_INVERSE,  /* 1 / x */
    TERM_EXP,
    TERM_SIGMOID,
    TERM_SILU,
    TERM_RELU,
    TERM_TANH,
    TERM_ERF,
    TERM_GELU,      /* x * (1 + erf(x / sqrt(2))) / 2 */
    TERM_GELU_TANH, /* x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2 */
    TERM_NORMAL,    /* x / sqrt(mean(x * x) + number); groups as for a mean. Of a centred x: a layer norm */
    TERM_RMSNORM,   /* the same times weight */
    TERM_POSITIONS, /* x plus row index + position of weight */
    TERM_MIX,       /* index: a sum of rotary tables times channels of x (frontend/mix.h) */
    TERM_ROPE,      /* index: frequencies; groups: heads of x */
    TERM_SCORES,    /* x: queries, y: keys; channels are the query heads */
    TERM_MASKED,    /* x + mask number `index` */
    TERM_SOFTMAX, /* of scores x times number, causal; bent by softcap; window; index: 1 + slopes, 0: none */
    TERM_IS_NAN,
    TERM_ATTENTION, /* x: queries, y: keys, z: values, number: scale; the rest as of the softmax */
};

/* Compared byte by byte: no padding may differ, so every term starts zeroed. */
struct term {
    enum term_kind kind;
    uint32_t x, y, z; /* operands; 0 where there is none */
    uint32_t weight;  /* of the importer's weights */
    uint32_t index;
    int64_t size; /* channels */
    int64_t
        groups;    /* key-value heads of scores and attention; heads of a rope, a mean or a norm (0: whole) */
    int64_t heads; /* query heads of scores and attention */
    double number;
    double softcap; /* of weights and attention; 0: none */
    int64_t window;
};

struct term_set {
    struct arena *arena;
    VEC(struct term) terms;
    VEC(uint32_t) origins; /* the ONNX node that made it first */
    struct map numbers;    /* bytes of a term -> its number */
};

uint32_t term_add(struct term_set *set, struct term term, uint32_t origin);
const struct term *term_get(const struct term_set *set, uint32_t term);
/* x * number, folding scales of scales; x itself when the number is 1. */
uint32_t term_scale(struct term_set *set, uint32_t x, double number, uint32_t origin);
/* Takes a scale off: returns what is scaled and multiplies *number. */
uint32_t term_strip_scale(const struct term_set *set, uint32_t term, double *number);
const char *term_kind_name(enum term_kind kind); /* for messages: "a sigmoid" */

#endif
