/* A matrix reduced by rows or by columns. */
#ifndef SHADERS_PUSH_ROWS_H
#define SHADERS_PUSH_ROWS_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_rows)
{
    PUSH_HEAD
    uint rows;        /* groups, or what a column adds up */
    uint columns;     /* elements of a row */
    uint length;      /* embed: rows of the table; block_squares: elements in all; sequences: results;
                       * top_rows, kl_top_rows, kl_kept_rows: how many are kept */
    uint first, held; /* embed: the rows of the table that are bound; of dot and sum see there */
    uint stride;      /* embed_grad: elements between rows of the table */
    float reciprocal; /* 1/n of a mean, rounded once */
    float epsilon;    /* added to the mean square */
};
PUSH_CHECK(push_rows, 19)

#endif
