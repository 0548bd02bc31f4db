/* Attention and its gradients by cooperative matrices, with operands of 16 bits and f32 sums. A group has TILE fixed rows
 * of one head of one sequence, and walks the other side WALK rows at a time; scores live in shared memory, and never in a
 * tensor. One of these is defined:
 *   FORWARD  queries fixed: first the maximum of the scores, then w = exp(score - m), o = (sum of w * v) / (sum of w)
 *   GRAD_Q   queries fixed: dq = scale * sum of t * k with t = p * (do . v - delta)
 *   GRAD_K   keys fixed:    dk = scale * sum over heads and queries of t * q
 *   GRAD_V   keys fixed:    dv = sum over heads and queries of p * do
 * Shapes and bindings as attention.comp and attention_grad_*.comp have them. */
#version 450
#pragma use_vulkan_memory_model
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/constants.h"
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/matrix.glsl"

layout(constant_id = ATTENTION_OUT) const uint OUT = 64u; /* columns of the result a group, 32, 64 or 128 */
layout(constant_id = ATTENTION_SUBGROUPS) const uint SUBGROUPS = 4u;
const uint TILE = 32u, WALK = 32u;
const uint STAGED = 64u; /* columns of both sides that are multiplied at once */
const uint LEFT_LINE = STAGED / 2u + PAD, RIGHT_LINE = (OUT > STAGED ? OUT : STAGED) / 2u + PAD;
const uint WEIGHT_LINE = WALK / 2u + PAD;
const uint DOWN = TILE / ROWS, ACROSS = OUT / COLUMNS;
const uint OWN = (DOWN * ACROSS + SUBGROUPS - 1u) / SUBGROUPS; /* matrices of the result a subgroup, at most */
#include "shaders/include/heads.glsl"

READS(0, float, q);
READS(1, float, k);
#ifdef FORWARD
READS(2, float, v);
WRITES(3, float, y);
WRITES(4, float, stats);
READS(5, float, slopes);
#else
#ifndef GRAD_V
READS(2, float, v);
#endif
READS(3, float, d);
READS(4, float, stats);
#ifndef GRAD_V
READS(5, float, delta);
#endif
WRITES(6, float, y);
READS(7, float, slopes);
#endif

shared uint left[TILE * LEFT_LINE];
shared uint right[WALK * RIGHT_LINE];
shared uint weights[TILE * WEIGHT_LINE];
shared float scores[TILE * WALK]; /* and what is stored of the result, a matrix a subgroup */
#if defined(GRAD_Q) || defined(GRAD_K)
shared float dots[TILE * WALK];
#endif
shared float top[WALK], z[WALK], shift[WALK]; /* of queries: m, 1 / sum (FORWARD: the sum), delta */

SUMS sums[OWN];
float slope;

/* to[line] = columns [first, first + span) of row row0 + line of a head, in pairs; zeros beyond `width`. */
#define STAGE(to, to_line, lines, span, from, from_at, row0, all_heads, h, width, first)                     \
    for (uint i_ = LANE; i_ < lines * (span / 2u); i_ += LANES) {                                            \
        uint line_ = i_ / (span / 2u), pair_ = i_ % (span / 2u), c_ = first + 2u * pair_;                    \
        uint at_ = from_at + at_row(row0 + line_, all_heads, h, width) + c_;                                 \
        float a_ = c_ < width ? from[at_] : gm_float(0u);                                                    \
        float b_ = c_ + 1u < width ? from[at_ + 1u] : gm_float(0u);                                          \
        to[line_ * to_line + pair_] = narrow_pair(a_, b_);                                                   \
    }

/* What `left` and `right` have of the product is added to `result`, which is new where `first` is 0. */
#define ADD_DOTS(result, first, width)                                                                       \
    for (uint f_ = gl_SubgroupID; f_ < DOWN * (WALK / COLUMNS); f_ += SUBGROUPS) {                           \
        uint row_ = f_ / (WALK / COLUMNS) * ROWS, column_ = f_ % (WALK / COLUMNS) * COLUMNS;                 \
        SUMS sum_ = SUMS(0.0);                                                                               \
        if (first > 0u)                                                                                      \
            coopMatLoad(sum_, result, row_ * WALK + column_, WALK, gl_CooperativeMatrixLayoutRowMajor);      \
        for (uint k_ = 0u; k_ < STAGED && first + k_ < width; k_ += DEPTH) {                                 \
            LEFT a_;                                                                                         \
            RIGHT b_;                                                                                        \
            coopMatLoad(a_, left, row_ * LEFT_LINE + k_ / 2u, LEFT_LINE, gl_CooperativeMatrixLayoutRowMajor); \
            coopMatLoad(b_, right, column_ * RIGHT_LINE + k_ / 2u, RIGHT_LINE,                               \
                        gl_CooperativeMatrixLayoutColumnMajor);                                              \
            sum_ = coopMatMulAdd(a_, b_, sum_);                                                              \
        }                                                                                                    \
        coopMatStore(sum_, result, row_ * WALK + column_, WALK, gl_CooperativeMatrixLayoutRowMajor);         \
    }

/* result[TILE, WALK] = fixed rows . walked rows */
#define DOTS(result, fixed, fixed_at, fixed_heads, fixed_head, walked, walked_at, walked_heads, walked_head, row0, width) \
    for (uint c0_ = 0u; c0_ < width; c0_ += STAGED) {                                                        \
        barrier();                                                                                           \
        STAGE(left, LEFT_LINE, TILE, STAGED, fixed, fixed_at, tile_row, fixed_heads, fixed_head, width, c0_) \
        STAGE(right, RIGHT_LINE, WALK, STAGED, walked, walked_at, row0, walked_heads, walked_head, width, c0_) \
        barrier();                                                                                           \
        ADD_DOTS(result, c0_, width)                                                                         \
    }                                                                                                        \
    barrier();

/* sums += weights * the walked rows' columns of this chunk */
#define APPLY(walked, walked_at, walked_heads, walked_head, row0, width)                                     \
    STAGE(right, RIGHT_LINE, WALK, OUT, walked, walked_at, row0, walked_heads, walked_head, width, chunk * OUT) \
    barrier();                                                                                               \
    for (uint n_ = 0u; n_ < OWN; n_++) {                                                                     \
        uint f_ = gl_SubgroupID + n_ * SUBGROUPS;                                                            \
        if (f_ < DOWN * ACROSS)                                                                              \
            for (uint k_ = 0u; k_ < WALK; k_ += DEPTH) {                                                     \
                LEFT a_;                                                                                     \
                RIGHT b_;                                                                                    \
                coopMatLoad(a_, weights, f_ / ACROSS * ROWS * WEIGHT_LINE + k_ / 2u, WEIGHT_LINE,            \
                            gl_CooperativeMatrixLayoutRowMajor);                                             \
                coopMatLoad(b_, right, k_ * RIGHT_LINE + f_ % ACROSS * (COLUMNS / 2u), RIGHT_LINE,           \
                            gl_CooperativeMatrixLayoutRowMajor);                                             \
                sums[n_] = coopMatMulAdd(a_, b_, sums[n_]);                                                  \
            }                                                                                                \
    }                                                                                                        \
    barrier();

#if defined(FORWARD) || defined(GRAD_Q)
#define OF_QUERY(row, column) (row)
#else
#define OF_QUERY(row, column) (column)
#endif

#ifdef FORWARD
/* The scores of a patch, LOWEST where the query does not see the key. */
void find_scores(uint j0)
{
    DOTS(scores, q, at0, heads, head, k, at1, groups, kv_head, j0, key_width)
    for (uint i = LANE; i < TILE * WALK; i += LANES) {
        uint query = tile_row + i / WALK, key = j0 + i % WALK;
        scores[i] = visible(query, key) ? score_of(scores[i], slope, query, key) : LOWEST;
    }
    barrier();
}

void find_maxima(uint keys)
{
    for (uint i = LANE; i < TILE; i += LANES) {
        top[i] = LOWEST;
        z[i] = gm_float(0u);
    }
    for (uint j0 = walk_start(); j0 < keys; j0 += WALK) {
        find_scores(j0);
        for (uint i = LANE; i < TILE; i += LANES)
            for (uint j = 0u; j < WALK; j++)
                top[i] = gm_max(top[i], scores[i * WALK + j]);
        barrier();
    }
}

/* Weights of a patch, and their sums. */
void weigh(uint j0)
{
    find_scores(j0);
    for (uint i = LANE; i < TILE * WALK / 2u; i += LANES) {
        uint row = i / (WALK / 2u), at = 2u * i;
        for (uint e = 0u; e < 2u; e++)
            scores[at + e] = scores[at + e] > LOWEST ? gm_flush(gm_exp(scores[at + e] - top[row])) : gm_float(0u);
        weights[row * WEIGHT_LINE + i % (WALK / 2u)] = narrow_pair(scores[at], scores[at + 1u]);
    }
    barrier();
    for (uint i = LANE; i < TILE; i += LANES)
        for (uint j = 0u; j < WALK; j++)
            z[i] = z[i] + scores[i * WALK + j];
}
#else
/* What is known of queries row0 .. row0 + WALK - 1 of head h. */
void read_queries(uint row0, uint h)
{
    for (uint i = LANE; i < WALK; i += LANES) {
        uint row = at_row(row0 + i, heads, h, 1u);
        top[i] = stats[at4 + 2u * row];
        z[i] = stats[at4 + 2u * row + 1u];
#ifndef GRAD_V
        shift[i] = delta[at5 + row];
#endif
    }
}

/* What the walked rows are multiplied with, from `scores` and `dots`: p, or t. */
float weight_of(uint i, uint row0)
{
    uint r = i / WALK, c = i % WALK, n = OF_QUERY(r, c);
    uint query = OF_QUERY(tile_row + r, row0 + c), key = OF_QUERY(row0 + c, tile_row + r);
    float score = score_of(scores[i], slope, query, key);
    float p = gm_flush(gm_flush(gm_exp(score - top[n])) * z[n]);
#ifndef GRAD_V
    p = unbend(gm_flush(p * gm_flush(gm_flush(dots[i]) - shift[n])), score);
#endif
    return visible(query, key) ? p : gm_float(0u);
}

void weigh(uint row0)
{
    for (uint i = LANE; i < TILE * WALK / 2u; i += LANES)
        weights[i / (WALK / 2u) * WEIGHT_LINE + i % (WALK / 2u)] =
            narrow_pair(weight_of(2u * i, row0), weight_of(2u * i + 1u, row0));
}
#endif

/* The result's rows of head h of `all`, each times `factor`, and FORWARD by what its weights add up to. */
void store(uint at, uint all, uint h, uint width, float factor)
{
    for (uint n = 0u; n < OWN; n++) {
        uint own = gl_SubgroupID + n * SUBGROUPS;
        if (own < DOWN * ACROSS)
            coopMatStore(sums[n], scores, gl_SubgroupID * OUTPUTS, COLUMNS, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        for (uint i = LANE; i < SUBGROUPS * OUTPUTS; i += LANES) {
            uint f = i / OUTPUTS + n * SUBGROUPS, e = i % OUTPUTS;
            uint row = f / ACROSS * ROWS + e / COLUMNS, column = chunk * OUT + f % ACROSS * COLUMNS + e % COLUMNS;
            if (f < DOWN * ACROSS && tile_row + row < sequence && column < width) {
#ifdef FORWARD
                float times = gm_flush(gm_rcp(z[row]));
#else
                float times = factor;
#endif
                y[at + at_row(tile_row + row, all, h, width) + column] = gm_flush(gm_flush(scores[i]) * times);
            }
        }
        barrier();
    }
}

void main()
{
    float one = gm_float(GM_ONE);
#if defined(FORWARD) || defined(GRAD_Q)
    if (!locate(heads))
        return;
    uint keys = causal != 0u ? smaller(tile_row + TILE, sequence) : sequence;
#else
    if (!locate(groups))
        return;
#endif
    for (uint n = 0u; n < OWN; n++)
        sums[n] = SUMS(0.0);
#ifdef FORWARD
    slope = slopes[at5 + (sloped != 0u ? head : 0u)];
    find_maxima(keys);
    for (uint j0 = walk_start(); j0 < keys; j0 += WALK) {
        weigh(j0);
        APPLY(v, at2, groups, kv_head, j0, value_width)
    }
    store(at3, heads, head, value_width, one);
    for (uint i = LANE; i < TILE && tile_row + i < sequence && chunk == 0u; i += LANES) {
        uint row = at_row(tile_row + i, heads, head, 2u);
        stats[at4 + row] = gm_flush(top[i]);
        stats[at4 + row + 1u] = gm_flush(gm_rcp(z[i]));
    }
#endif
#ifdef GRAD_Q
    slope = slopes[at7 + (sloped != 0u ? head : 0u)];
    read_queries(tile_row, head);
    for (uint j0 = walk_start(); j0 < keys; j0 += WALK) {
        DOTS(scores, q, at0, heads, head, k, at1, groups, kv_head, j0, key_width)
        DOTS(dots, d, at3, heads, head, v, at2, groups, kv_head, j0, value_width)
        weigh(j0);
        APPLY(k, at1, groups, kv_head, j0, key_width)
    }
    store(at6, heads, head, key_width, scale);
#endif
#if defined(GRAD_K) || defined(GRAD_V)
    for (uint h = kv_head * share; h < (kv_head + 1u) * share; h++) {
        slope = slopes[at7 + (sloped != 0u ? h : 0u)];
        for (uint i0 = causal != 0u ? tile_row / WALK * WALK : 0u; i0 < walk_end(); i0 += WALK) {
            read_queries(i0, h);
            DOTS(scores, k, at1, groups, kv_head, q, at0, heads, h, i0, key_width)
#ifdef GRAD_K
            DOTS(dots, v, at2, groups, kv_head, d, at3, heads, h, i0, value_width)
            weigh(i0);
            APPLY(q, at0, heads, h, i0, key_width)
#else
            weigh(i0);
            APPLY(d, at3, heads, h, i0, value_width)
#endif
        }
    }
#ifdef GRAD_K
    store(at6, groups, kv_head, key_width, scale);
#else
    store(at6, groups, kv_head, value_width, one);
#endif
#endif
}
