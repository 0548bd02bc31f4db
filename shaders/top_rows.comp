/* The logarithms of the `length` largest probabilities of each row, of equal ones the first, in the order of their
 * places; and of what the others come to together.
 * y [rows, columns] -> logs [rows, length], places [rows, length], rest [rows]. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/rows.h"
#include "shaders/include/kernel.glsl"
#include "shaders/include/reduce.glsl"

READS(0, float, y);
WRITES(1, float, logs);
WRITES(2, float, places);
WRITES(3, float, rest);

#include "shaders/include/largest.glsl"

shared uint lanes_above[LANES], lanes_equal[LANES];
shared uint last_tie; /* the last of those equal to the least that is kept, plus 1 */

/* Writes what is kept; each lane looks through a stretch of the row. */
void keep(uint ay, uint row, uint least, float m, float log_sum)
{
    uint stretch = (columns + LANES - 1u) / LANES, first = smaller(LANE * stretch, columns);
    uint end = smaller(first + stretch, columns), above = 0u, equal = 0u;
    for (uint c = first; c < end; c++) {
        uint rank = rank_of(y[ay + c]);
        above += rank > least ? 1u : 0u;
        equal += rank == least ? 1u : 0u;
    }
    lanes_above[LANE] = above;
    lanes_equal[LANE] = equal;
    if (LANE == 0u)
        last_tie = 0u;
    barrier();
    uint above_all = 0u, above_before = 0u, equal_before = 0u;
    for (uint l = 0u; l < LANES; l++) {
        above_all += lanes_above[l];
        above_before += l < LANE ? lanes_above[l] : 0u;
        equal_before += l < LANE ? lanes_equal[l] : 0u;
    }
    uint ties = length - above_all, at = row * length + above_before + smaller(equal_before, ties);
    for (uint c = first; c < end; c++) {
        uint rank = rank_of(y[ay + c]);
        bool is_tie = rank == least && equal_before < ties;
        equal_before += rank == least ? 1u : 0u;
        if (is_tie && equal_before == ties)
            last_tie = c + 1u;
        if (rank > least || is_tie) {
            logs[at1 + at] = gm_flush(gm_flush(y[ay + c] - m) - log_sum);
            places[at2 + at] = gm_from_uint(c);
            at++;
        }
    }
    barrier();
}

void main()
{
    uint row = GROUP;
    if (row >= rows)
        return;
    uint ay = at0 + row * columns, least = least_kept(ay);
    float m = LOWEST, n = LOWEST, s = gm_float(0u), u = gm_float(0u);
    for (uint c = LANE; c < columns; c += LANES)
        m = gm_max(m, y[ay + c]);
    m = row_max(m);
    for (uint c = LANE; c < columns; c += LANES)
        s = s + gm_flush(gm_exp(y[ay + c] - m));
    float log_sum = gm_log(row_sum(s));
    keep(ay, row, least, m, log_sum);
    uint end = last_tie;
    for (uint c = LANE; c < columns; c += LANES) {
        uint rank = rank_of(y[ay + c]);
        if (rank < least || (rank == least && c >= end))
            n = gm_max(n, y[ay + c]);
    }
    n = row_max(n);
    for (uint c = LANE; c < columns; c += LANES) {
        uint rank = rank_of(y[ay + c]);
        if (rank < least || (rank == least && c >= end))
            u = u + gm_flush(gm_exp(y[ay + c] - n));
    }
    u = row_sum(u);
    if (LANE == 0u) {
        float others = gm_flush((gm_flush(n - m) + gm_log(u)) - log_sum);
        rest[at3 + row] = length < columns ? others : gm_float(0xc3000000u); /* -128 */
    }
}
