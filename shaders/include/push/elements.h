/* One element a lane: what pointwise kernels need. */
#ifndef SHADERS_PUSH_ELEMENTS_H
#define SHADERS_PUSH_ELEMENTS_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_elements)
{
    PUSH_HEAD
    uint count;   /* elements to write */
    uint period;  /* length of the shorter operand */
    uint decay;   /* adamw: 1 where weight decay applies */
    float factor; /* scale */
};
PUSH_CHECK(push_elements, 15)

#endif
