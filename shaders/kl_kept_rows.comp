/* Forward KL divergence of each row from a teacher of whose tokens `length` have kept log-probabilities and all others
 * one together, and its gradient times the weight of the row.
 * student x, dx [rows, columns], ids, logs [rows, length] (ids ascending), rest, weights [rows] -> loss [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, x);
READS(1, int, ids);
READS(2, float, logs);
READS(3, float, rest);
READS(4, float, weights);
WRITES(5, float, loss);
WRITES(6, float, dx);

/* Where in the row's ids, from `from` on, the first is that is not below c. */
uint seek(uint from, uint ak, uint c)
{
    while (from < length && uint(ids[at1 + ak + from]) < c)
        from++;
    return from;
}

bool is_at(uint j, uint ak, uint c)
{
    return j < length && uint(ids[at1 + ak + j]) == c;
}

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ax = at0 + row * columns, ak = row * length, j = 0u;
    float m = LOWEST, n = LOWEST, s = gm_float(0u), u = gm_float(0u), l = gm_float(0u), mass = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES) {
        m = gm_max(m, x[ax + c]);
        j = seek(j, ak, c);
        if (!is_at(j, ak, c))
            n = gm_max(n, x[ax + c]);
    }
    m = row_max(m);
    n = row_max(n);
    j = 0u;
    for (uint c = LANE; c < columns; c += LANES) {
        s = s + gm_flush(gm_exp(x[ax + c] - m));
        j = seek(j, ak, c);
        if (!is_at(j, ak, c))
            u = u + gm_flush(gm_exp(x[ax + c] - n));
    }
    s = row_sum(s);
    u = row_sum(u);
    float z = gm_flush(gm_rcp(s)), shift = gm_log(s) + m;
    for (uint i = LANE; i < length; i += LANES) {
        float kept = logs[at2 + ak + i], q = gm_flush(gm_exp(kept));
        mass = mass + q;
        l = l + q * gm_flush((kept - x[ax + uint(ids[at1 + ak + i])]) + shift);
    }
    mass = gm_flush(row_sum(mass));
    l = gm_flush(row_sum(l));
    float of_rest = rest[at3 + row], others = length < columns ? gm_flush(gm_exp(of_rest)) : gm_float(0u);
    bool has_rest = others != gm_float(0u);
    float zu = has_rest ? gm_flush(gm_rcp(u)) : gm_float(0u), total = gm_flush(mass + others);
    float weight = weights[at4 + row];
    j = 0u;
    for (uint c = LANE; c < columns; c += LANES) {
        float p = gm_flush(gm_flush(gm_flush(gm_exp(x[ax + c] - m)) * z) * total), target = gm_float(0u);
        j = seek(j, ak, c);
        if (is_at(j, ak, c))
            target = gm_flush(gm_exp(logs[at2 + ak + j]));
        else if (has_rest)
            target = gm_flush(gm_flush(gm_flush(gm_exp(x[ax + c] - n)) * zu) * others);
        dx[at6 + row * columns + c] = gm_flush(gm_flush(p - target) * weight);
    }
    if (LANE == 0u) {
        float of_others = gm_flush(others * gm_flush((of_rest - (gm_log(u) + n)) + shift));
        loss[at5 + row] = has_rest ? gm_flush(l + of_others) : l;
    }
}
