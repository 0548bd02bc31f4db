/* One element a lane: what pointwise kernels need. */
#ifndef SHADERS_PUSH_ELEMENTS_H
#define SHADERS_PUSH_ELEMENTS_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_elements)
{
    PUSH_HEAD
    uint count;   /* elements to write */
    uint skip;    /* place_rows: elements before the first to write; add_positions_grad: sequences */
    uint first;   /* place_rows: first element of the part; add_positions: of the table */
    uint period;  /* length of the shorter operand; of one sequence */
    uint decay;   /* adamw: 1 where weight decay applies */
    float factor; /* scale */
};
PUSH_CHECK(push_elements, 17)

#endif
