/* The largest `length` of a row of `columns` elements of y, by a group of 64 lanes: included after the bindings. */
#ifndef SHADERS_LARGEST_GLSL
#define SHADERS_LARGEST_GLSL

/* Bits whose order as integers is that of the numbers. */
uint rank_of(float number)
{
    uint u = gm_bits(number);
    return (u & GM_SIGN) != 0u ? ~u : u | GM_SIGN;
}

/* The rank of the largest but length - 1 of the row: the largest that so many reach, found bit by bit. */
uint least_kept(uint ay)
{
    uint found = 0u;
    float wanted = gm_from_uint(smaller(length, columns));
    for (uint bit = GM_SIGN; bit != 0u; bit >>= 1) {
        float reached = gm_float(0u); /* a count, exact: rows are shorter than 2^24 */
        for (uint c = LANE; c < columns; c += LANES)
            reached = reached + (rank_of(y[ay + c]) >= (found | bit) ? gm_float(GM_ONE) : gm_float(0u));
        if (row_sum(reached) >= wanted)
            found |= bit;
    }
    return found;
}

#endif
