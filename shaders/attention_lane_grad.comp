/* Gradients of attention for a tile of keys, ROWS of them a lane: dk = scale * sum over heads and queries of t * q, dv = sum of p * do, with p the
 * attention weights and t = p * (do . v - delta), which goes to a panel: zeros where the query does not see the key.
 * q [b, s, n * h], k, dk [b, s, g * h], v, dv [b, s, g * e], d = do [b, s, n * e], stats [b, s, n, 2], delta [b, s, n],
 * panel [planes, s, s]. */
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
READS(3, float, d);
READS(3, vec4, d4);
READS(4, float, stats);
READS(5, float, delta);
WRITES(6, float, dk);
WRITES(7, float, dv);
WRITES(8, float, panel);
READS(9, float, slopes);

vec4 key[ROWS][KEY_QUADS], value[ROWS][VALUE_QUADS];
/* dk and dv: of a block of queries, of a head, of all heads. */
vec4 sk[ROWS][KEY_QUADS], sv[ROWS][VALUE_QUADS];
vec4 tk[ROWS][KEY_QUADS], tv[ROWS][VALUE_QUADS];
vec4 uk[ROWS][KEY_QUADS], uv[ROWS][VALUE_QUADS];

/* Whether one of the keys of row r is seen by one of the eight queries that i is among. */
bool is_met(uint r, uint i)
{
    uint row = tile_row + 8u * r, of_eight = i / 8u * 8u;
    return row < sequence && (causal == 0u || (row <= of_eight && of_eight - smaller(of_eight, row + 7u) < window));
}

#define FOR_ALL(r, c, quads)         \
    for (uint r = 0u; r < ROWS; r++) \
        for (uint c = 0u; c < quads; c++)

void close_blocks()
{
    FOR_ALL(r, c, KEY_QUADS)
    {
        tk[r][c] = tk[r][c] + sk[r][c];
        sk[r][c] = vec4(gm_float(0u));
    }
    FOR_ALL(r, c, VALUE_QUADS)
    {
        tv[r][c] = tv[r][c] + sv[r][c];
        sv[r][c] = vec4(gm_float(0u));
    }
}

void close_head()
{
    FOR_ALL(r, c, KEY_QUADS)
    {
        uk[r][c] = uk[r][c] + tk[r][c];
        tk[r][c] = vec4(gm_float(0u));
    }
    FOR_ALL(r, c, VALUE_QUADS)
    {
        uv[r][c] = uv[r][c] + tv[r][c];
        tv[r][c] = vec4(gm_float(0u));
    }
}

/* Queries i .. i + 3 of head h, whose plane of the panel begins at `to`. */
void add_queries(uint i, uint h, uint to, float slope)
{
    uint reach = causal != 0u ? smaller(window, sequence) : sequence;
    vec4 query[4][KEY_QUADS], grad[4][VALUE_QUADS], top, z, shift;
    for (uint e = 0u; e < 4u; e++) {
        uint row = at_row(i + e, heads, h, 1u);
        for (uint c = 0u; c < KEY_QUADS; c++)
            query[e][c] = QUAD(q, q4, at0 + row * key_width, 4u * c, key_width);
        for (uint c = 0u; c < VALUE_QUADS; c++)
            grad[e][c] = QUAD(d, d4, at3 + row * value_width, 4u * c, value_width);
        top[e] = stats[at4 + 2u * row];
        z[e] = stats[at4 + 2u * row + 1u];
        shift[e] = delta[at5 + row];
    }
    for (uint r = 0u; r < ROWS; r++)
        if (is_met(r, i)) {
            vec4 x = vec4(gm_float(0u)), y = vec4(gm_float(0u)), p, t;
            for (uint c = 0u; c < KEY_QUADS; c++)
                for (uint e = 0u; e < 4u; e++) {
                    ADD_DOT(x[e], query[e][c], key[r][c])
                }
            for (uint c = 0u; c < VALUE_QUADS; c++)
                for (uint e = 0u; e < 4u; e++) {
                    ADD_DOT(y[e], grad[e][c], value[r][c])
                }
            for (uint e = 0u; e < 4u; e++) {
                float score = SCORE(x[e], slope, i + e, lane_row(r));
                float share_of = gm_flush(gm_exp(score - top[e]) * z[e]);
                float bent = UNBEND(gm_flush(share_of * gm_flush(gm_flush(y[e]) - shift[e])), score);
                bool is_seen = (causal != 0u ? i + e - lane_row(r) : lane_row(r)) < (i + e < sequence ? reach : 0u);
                p[e] = is_seen ? share_of : gm_float(0u);
                t[e] = is_seen ? bent : gm_float(0u);
            }
            for (uint c = 0u; c < KEY_QUADS; c++)
                for (uint e = 0u; e < 4u; e++)
                    sk[r][c] = sk[r][c] + t[e] * query[e][c];
            for (uint c = 0u; c < VALUE_QUADS; c++)
                for (uint e = 0u; e < 4u; e++)
                    sv[r][c] = sv[r][c] + p[e] * grad[e][c];
            for (uint e = 0u; e < 4u; e++)
                if (i + e < sequence)
                    panel[to + (i + e) * panel_row() + lane_row(r)] = t[e];
        }
}

void main()
{
    if (!locate_tile(share))
        return;
    for (uint r = 0u; r < ROWS; r++) {
        uint row = at_row(lane_row(r), groups, kv_head, 1u);
        for (uint c = 0u; c < KEY_QUADS; c++) {
            key[r][c] = QUAD(k, k4, at1 + row * key_width, 4u * c, key_width);
            sk[r][c] = tk[r][c] = uk[r][c] = vec4(gm_float(0u));
        }
        for (uint c = 0u; c < VALUE_QUADS; c++) {
            value[r][c] = QUAD(v, v4, at2 + row * value_width, 4u * c, value_width);
            sv[r][c] = tv[r][c] = uv[r][c] = vec4(gm_float(0u));
        }
    }
    for (uint a = 0u; a < share; a++) {
        float slope = BENT != 0u ? slopes[at9 + (sloped != 0u ? head + a : 0u)] : gm_float(0u);
        for (uint i = causal != 0u ? tile_row : 0u; i < walk_end(); i += 4u) {
            add_queries(i, head + a, at8 + (plane + a) * rows * panel_row(), slope);
            if ((i + 4u) % BLOCK == 0u)
                close_blocks();
        }
        close_blocks();
        close_head();
    }
    for (uint r = 0u; r < ROWS; r++) {
        if (lane_row(r) >= sequence)
            return;
        uint row = at_row(lane_row(r), groups, kv_head, 1u);
        for (uint c = 0u; c < 4u * KEY_QUADS; c++)
            if (c < key_width)
                dk[at6 + row * key_width + c] = gm_flush(gm_flush(uk[r][c / 4u][c % 4u]) * scale);
        for (uint c = 0u; c < 4u * VALUE_QUADS; c++)
            if (c < value_width)
                dv[at7 + row * value_width + c] = gm_flush(uv[r][c / 4u][c % 4u]);
    }
}
