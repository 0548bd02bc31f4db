/* Rotary embedding: b sequences of s positions, heads of 2 * f elements. */
#ifndef SHADERS_PUSH_ROTARY_H
#define SHADERS_PUSH_ROTARY_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_rotary)
{
    PUSH_HEAD
    uint batch, sequence, heads; /* b, s, h */
    uint frequencies;            /* f */
    uint flip;                   /* sign bit to turn the sines with: 0x80000000 rotates back */
    uint rest;                   /* rope_part: elements of a head that are not turned */
};
PUSH_CHECK(push_rotary, 17)

#endif
