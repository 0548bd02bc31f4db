/* The largest elements of a row, by a heap of them. */
#ifndef BACKEND_CPU_KERNELS_LARGEST_H
#define BACKEND_CPU_KERNELS_LARGEST_H

#include "backend-cpu/kernels/row.h"

/* heap [k], its smallest first but for the first itself. */
static inline void sift_down(real *heap, int64_t k)
{
    for (int64_t at = 0, child; (child = 2 * at + 1) < k; at = child) {
        child += child + 1 < k && heap[child + 1] < heap[child];
        if (!(heap[child] < heap[at]))
            return;
        real swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

/* The k-th largest of y [v]; heap [v] is scratch. */
static inline real kth_largest(const real *y, int64_t v, int64_t k, real *heap)
{
    k = least(most(k, 1), v);
    for (int64_t i = 0; i < k; i++) { /* the first k, each moved up to where it belongs */
        int64_t at = i;
        for (; at > 0 && y[i] < heap[(at - 1) / 2]; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
        heap[at] = y[i];
    }
    for (int64_t i = k; i < v; i++)
        if (y[i] > heap[0]) {
            heap[0] = y[i];
            sift_down(heap, k);
        }
    return heap[0];
}

#endif
