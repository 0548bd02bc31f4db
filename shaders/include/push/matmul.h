/* y[m][n] = sum over k of x[m * x_row + k * x_step] * w[k * w_step + n * w_column]. */
#ifndef SHADERS_PUSH_MATMUL_H
#define SHADERS_PUSH_MATMUL_H

#include "shaders/include/push/push.h"

PUSH_BLOCK(push_matmul)
{
    PUSH_HEAD
    uint rows, columns, depth; /* M, N, K */
    uint x_row, x_step;        /* elements between rows of x, and between its k */
    uint w_step, w_column;     /* elements between the k of w, and between its columns */
    uint y_row;                /* elements between rows of y */
    uint padded;               /* repack: columns written, zeros after the last */
};
PUSH_CHECK(push_matmul, 20)

#endif
