/* Attention over a batch of sequences: query heads n = g * r, r of them to a key-value head. A plane is one
 * query head of one sequence, number sequence * n + head. */
#ifndef SHADERS_PUSH_ATTENTION_H
#define SHADERS_PUSH_ATTENTION_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_attention)
{
    PUSH_HEAD
    uint batch, sequence; /* b, s */
    uint heads, groups;   /* n = g * r, g */
    uint share;           /* r, query heads to a key-value head */
    uint key_width;       /* h */
    uint value_width;     /* e */
    uint causal;          /* 1: query i sees keys 0 .. i */
    uint chunks;          /* pieces that the columns of the result are cut into */
    float scale;          /* of the scores */
    /* Kernels named attention_panel_* and attention_lane*: a panel holds a number for each query and key of
     * some planes, [planes, rows, columns], queries from first_row on and keys from first_column on. */
    uint first_plane, planes;
    uint first_row, rows;
    uint first_column, columns;
    uint width;           /* of the operand that is multiplied: h or e */
    uint window;          /* keys that a query sees at most: the last ones; at least 1 */
    float softcap, uncap; /* scores are bent to softcap * tanh(uncap * score), where softcap is not 0 */
    uint sloped;          /* 1: scores fall with the distance, by the head's slope */
};
PUSH_CHECK(push_attention, 32)

#endif
