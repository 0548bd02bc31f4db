/* Attention of a tile of queries, ROWS of them a lane: scores and their maximum, weights w = exp(score - m), o = (sum of w * v) / (sum of w).
 * Scores, and then weights, lie in a part of the panel that this group alone has: four keys of each lane side by side.
 * q [b, s, n * h], k [b, s, g * h], v [b, s, g * e] -> o [b, s, n * e], stats [b, s, n, 2] = (m, 1 / sum of w). */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/attention.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/lane.glsl"

READS(0, float, q);
READS(0, vec4, q4);
READS(1, float, k);
READS(1, vec4, k4);
READS(2, float, v);
READS(2, vec4, v4);
WRITES(3, float, o);
WRITES(4, float, stats);
READS(5, float, slopes);
layout(std430, binding = 6) buffer Panel { vec4 panel[]; };

uint first, end, panel_at; /* keys of the group; where its part of the panel begins for this lane */
uint low[ROWS], seen[ROWS]; /* a lane's query r sees `seen` keys from low on */
float top[ROWS], z[ROWS];   /* its maximum, and 1 / sum of weights */

#define PANEL(r, j) panel[panel_at + (((j) - first) / 4u * ROWS + (r)) * 8u]

/* The end of the keys that any query of row r sees. */
uint row_end(uint r)
{
    uint row = tile_row + 8u * r;
    return row >= sequence ? 0u : (causal != 0u ? smaller(row + 8u, sequence) : sequence);
}

/* Elements where key j + e is one of those that are seen; others in the place of the rest. */
vec4 seen_of(vec4 x, uint j, uint from, uint count, float other)
{
    return vec4(j - from < count ? x.x : other, j + 1u - from < count ? x.y : other,
                j + 2u - from < count ? x.z : other, j + 3u - from < count ? x.w : other);
}

vec4 largest(vec4 a, vec4 b)
{
    return vec4(gm_max(a.x, b.x), gm_max(a.y, b.y), gm_max(a.z, b.z), gm_max(a.w, b.w));
}

vec4 weights_of(vec4 x, float m)
{
    return vec4(gm_exp(x.x - m), gm_exp(x.y - m), gm_exp(x.z - m), gm_exp(x.w - m));
}

void find_scores()
{
    vec4 own[ROWS][KEY_QUADS], most[ROWS];
    float slope = BENT != 0u ? slopes[at5 + (sloped != 0u ? head : 0u)] : gm_float(0u);
    for (uint r = 0u; r < ROWS; r++) {
        uint query = lane_row(r), from = at0 + at_row(query, heads, head, key_width);
        low[r] = causal != 0u ? first_key(query) : 0u;
        seen[r] = query < sequence ? (causal != 0u ? query + 1u : sequence) - low[r] : 0u;
        most[r] = vec4(LOWEST);
        for (uint c = 0u; c < KEY_QUADS; c++)
            own[r][c] = QUAD(q, q4, from, 4u * c, key_width);
    }
    for (uint j = first; j < end; j += 4u) {
        vec4 other[4][KEY_QUADS];
        for (uint e = 0u; e < 4u; e++)
            for (uint c = 0u; c < KEY_QUADS; c++)
                other[e][c] = QUAD(k, k4, at1 + at_row(j + e, groups, kv_head, key_width), 4u * c, key_width);
        for (uint r = 0u; r < ROWS; r++)
            if (j < row_end(r)) {
                vec4 x = vec4(gm_float(0u));
                for (uint c = 0u; c < KEY_QUADS; c++)
                    for (uint e = 0u; e < 4u; e++) {
                        ADD_DOT(x[e], own[r][c], other[e][c])
                    }
                for (uint e = 0u; e < 4u; e++)
                    x[e] = SCORE(x[e], slope, lane_row(r), j + e);
                PANEL(r, j) = x;
                most[r] = largest(most[r], seen_of(x, j, low[r], seen[r], LOWEST));
            }
    }
    for (uint r = 0u; r < ROWS; r++) {
        vec4 both = largest(most[r], most[r].zwxy);
        top[r] = gm_max(both.x, both.y);
    }
}

/* Weights of row r in the place of its scores; their sum, of the 64 sums that golden numerics have (reduce.glsl): sixteen of them at a time are
 * in registers, while all their weights are made. */
float find_weights(uint r, float m, uint from, uint count)
{
    vec4 total[4];
    for (uint part = 0u; part < 4u; part++) {
        vec4 s[4];
        for (uint p = 0u; p < 4u; p++)
            s[p] = vec4(gm_float(0u));
        for (uint block = first / 64u * 64u; block < row_end(r); block += 64u)
            for (uint p = 0u; p < 4u; p++) {
                uint j = block + 16u * p + 4u * part;
                if (j >= first && j < row_end(r)) {
                    vec4 w = seen_of(weights_of(PANEL(r, j), m), j, from, count, gm_float(0u));
                    s[p] = s[p] + w;
                    PANEL(r, j) = w;
                }
            }
        vec4 folded = (s[0] + s[2]) + (s[1] + s[3]);
        for (uint p = 0u; p < 4u; p++)
            total[p] = p == part ? folded : total[p];
    }
    vec4 all = (total[0] + total[2]) + (total[1] + total[3]);
    return (all.x + all.z) + (all.y + all.w);
}

/* Row by row, in a loop that drivers do not unroll, for it is long: so no array is read or written by its counter. */
void find_all_weights()
{
    for (uint row = 0u; row < ROWS; row++) {
        float m = top[0];
        uint from = low[0], count = seen[0];
        for (uint r = 1u; r < ROWS; r++) {
            m = r == row ? top[r] : m;
            from = r == row ? low[r] : from;
            count = r == row ? seen[r] : count;
        }
        float one = gm_flush(gm_rcp(find_weights(row, m, from, count)));
        for (uint r = 0u; r < ROWS; r++)
            z[r] = r == row ? one : z[r];
    }
}

void store(uint r, vec4 total[VALUE_QUADS])
{
    uint to = at_row(lane_row(r), heads, head, 1u);
    for (uint c = 0u; c < 4u * VALUE_QUADS; c++)
        if (c < value_width)
            o[at3 + to * value_width + c] = gm_flush(gm_flush(total[c / 4u][c % 4u]) * z[r]);
    stats[at4 + 2u * to] = gm_flush(top[r]);
    stats[at4 + 2u * to + 1u] = z[r];
}

void main()
{
    if (!locate_tile(1u))
        return;
    panel_at = at6 / 4u + GROUP * (panel_row() / 4u * TILE) + LANE;
    first = walk_start();
    end = causal != 0u ? smaller(tile_row + TILE, sequence) : sequence;
    find_scores();
    find_all_weights();
    vec4 total[ROWS][VALUE_QUADS], s[ROWS][VALUE_QUADS];
    for (uint r = 0u; r < ROWS; r++)
        for (uint c = 0u; c < VALUE_QUADS; c++)
            total[r][c] = s[r][c] = vec4(gm_float(0u));
    for (uint j = first; j < end; j += 4u) {
        vec4 other[4][VALUE_QUADS];
        for (uint e = 0u; e < 4u; e++)
            for (uint c = 0u; c < VALUE_QUADS; c++)
                other[e][c] = QUAD(v, v4, at2 + at_row(j + e, groups, kv_head, value_width), 4u * c, value_width);
        for (uint r = 0u; r < ROWS; r++)
            if (j < row_end(r)) {
                vec4 w = PANEL(r, j);
                for (uint c = 0u; c < VALUE_QUADS; c++)
                    for (uint e = 0u; e < 4u; e++)
                        s[r][c] = s[r][c] + w[e] * other[e][c];
            }
        if ((j + 4u) % BLOCK == 0u || j + 4u >= end)
            for (uint r = 0u; r < ROWS; r++)
                for (uint c = 0u; c < VALUE_QUADS; c++) {
                    total[r][c] = total[r][c] + s[r][c];
                    s[r][c] = vec4(gm_float(0u));
                }
    }
    for (uint r = 0u; r < ROWS; r++)
        if (lane_row(r) < sequence)
            store(r, total[r]);
}
