/* What attention and its gradients share. Scores of a few rows at a time live in a thread's scratch, keys (or
 * queries) along the row, so that exponentials run on full vectors whatever the head size; no [s, s] matrix
 * is stored. The operands that run along the lanes are packed once per call (attention_pack_all). */
#ifndef BACKEND_CPU_KERNELS_ATTENTION_H
#define BACKEND_CPU_KERNELS_ATTENTION_H

#include "backend-cpu/kernels/tile.h"

enum { LINE = 64 / sizeof(real) }; /* elements of a cache line */

struct attention {
    int64_t batch, length;          /* b, s */
    int64_t groups, ratio, heads;   /* g, r, g*r */
    int64_t key_width, value_width; /* h, e: elements of a head */
    real scale;
    uint least; /* scaled_least(scale) */
    bool causal;
    int64_t window;      /* keys that a query sees at most: the last ones */
    real softcap, uncap; /* uncap = rcp(softcap); both 0 where scores are not bent */
    const real *slopes;  /* [g*r], or NULL */
    int64_t tiles;       /* of TILE_ROWS tokens */
    int64_t stride;      /* elements of a row of scores in scratch */
    struct cpu_threads *threads;
};

static inline struct attention attention_of(const struct kernel_call *call, const real *slopes)
{
    const struct kernel_operand *q = &call->inputs[0], *v = &call->inputs[2];
    struct attention a = {
        .batch = q->dims[0], .length = q->dims[1], .slopes = slopes, .threads = call->threads};
    a.groups = call->attributes.kv_heads;
    a.heads = call->attributes.heads;
    a.ratio = a.heads / a.groups;
    a.key_width = q->dims[2] / a.heads;
    a.value_width = v->dims[2] / a.groups;
    a.scale = call->attributes.scale;
    a.least = scaled_least(call->attributes.scale);
    a.causal = call->attributes.causal != 0;
    a.window = call->attributes.window > 0 ? call->attributes.window : a.length;
    a.softcap = call->attributes.softcap;
    a.uncap = a.softcap > 0 ? r_rcp(a.softcap) : 0;
    a.tiles = (a.length + TILE_ROWS - 1) / TILE_ROWS;
    /* Rows start on cache lines, and not a power of two apart: those would share cache sets. */
    a.stride = round_up(a.length, most(TILE_COLUMNS, LINE)) + LINE;
    return a;
}

/* The first key that query i sees, and what is behind the last query that sees key j. */
static inline int64_t attention_first_key(const struct attention *a, int64_t i)
{
    return i >= a->window ? i + 1 - a->window : 0;
}

static inline int64_t attention_end_query(const struct attention *a, int64_t j)
{
    return a->window < a->length ? least(j + a->window, a->length) : a->length;
}

/* Scores x [n] bent by the softcap, where there is one; and t [n] times the slope at bent scores x. */
#define attention_bend KERNEL(attention_bend)
#define attention_unbend KERNEL(attention_unbend)
void attention_bend(const struct attention *a, real *x, int64_t n);
void attention_unbend(const struct attention *a, real *t, const real *x, int64_t n);

/* Scores x [n] less the head's slope times how far query and key are apart: start, start + step, ... */
#define attention_lean KERNEL(attention_lean)
void attention_lean(const struct attention *a, real *x, int64_t n, int64_t head, int64_t start, int step);

/* An operand [b, s, heads * width] as panels for each sequence and head. */
enum attention_order {
    ATTENTION_TOKENS_ACROSS, /* contraction over the head's elements, tokens along the lanes */
    ATTENTION_TOKENS_DOWN,   /* contraction over tokens, the head's elements along the lanes */
};

struct attention_pack {
    const real *from;
    int64_t heads, width;
    enum attention_order order;
    int64_t size;  /* elements of the panels of one sequence and head; set by attention_pack_sizes() */
    real *to;      /* panels of consecutive heads of consecutive sequences, [.., size] */
    int64_t first; /* the first of them, counted over all heads of all sequences */
};

/* Packing goes either all at once into the shared scratch, or sequence by sequence and group by group into a
 * thread's own, which then stays in its cache. */
#define attention_pack_sizes KERNEL(attention_pack_sizes)
#define attention_pack_all KERNEL(attention_pack_all)
#define attention_pack_group KERNEL(attention_pack_group)
void attention_pack_sizes(const struct attention *a, struct attention_pack *packs, uint32_t count);
/* Into the shared scratch. */
void attention_pack_all(const struct attention *a, struct attention_pack *packs, uint32_t count);
/* The heads of one sequence that belong to a group, to `to` [attention_group_size()]. */
void attention_pack_group(const struct attention *a, struct attention_pack *packs, uint32_t count,
                          int64_t sequence, int64_t group, real *to);

static inline int64_t attention_group_size(const struct attention *a, const struct attention_pack *packs,
                                           uint32_t count)
{
    int64_t size = 0;
    for (uint32_t p = 0; p < count; p++)
        size += packs[p].heads / a->groups * packs[p].size;
    return size;
}

/* Whether there are sequences and groups enough to give each thread its own. */
static inline bool attention_divides_by_group(const struct attention *a)
{
    return a->batch * a->groups >= (int64_t)cpu_threads_count(a->threads);
}

static inline const real *attention_panels(const struct attention_pack *pack, int64_t sequence, int64_t head)
{
    return pack->to + (sequence * pack->heads + head - pack->first) * pack->size;
}

/* out[i][n] = P_c rows[i * row_step + c] * panels(c, n) for tokens n of the panels [first, end) of
 * TILE_COLUMNS; flushed with TILE_LAST, and then multiplied by the scale of scores and flushed again with
 * TILE_LAST | TILE_SCALED. */
#define attention_strip KERNEL(attention_strip)
void attention_strip(const struct attention *a, const real *rows, int64_t row_step, int row_count,
                     int64_t width, const real *panels, int64_t first, int64_t end, real *out,
                     enum tile_blocks last);

/* out[i][c] = P_n scores[i][n] * panels(n, c), n in [first, end) within blocks of 512 from 0; `last` as
 * above. */
#define attention_gather KERNEL(attention_gather)
void attention_gather(const struct attention *a, const real *scores, int row_count, int64_t first,
                      int64_t end, const real *panels, int64_t width, real *out, int64_t out_step,
                      enum tile_blocks last);

#endif
