/* The gradients of attention. Scores and weights are computed afresh from q, k and the stored (m, z): with
 * p = softmax(scale q k), d_ij = do_i v_j and delta = do o,  t = p (d - delta),  dq = scale t k,
 * dk = scale t' q,  dv = p' do (Dao et al. 2022, algorithm 4).
 *
 * One walk over the tiles of keys can give all three; the sums of dq go through all keys of a head in their
 * order, so it needs a sequence and group for each thread. Where there are fewer, dq takes a walk of its own
 * over the tiles of queries. Every sum has the same order either way. */
#ifndef BACKEND_CPU_KERNELS_ATTENTION_GRAD_H
#define BACKEND_CPU_KERNELS_ATTENTION_GRAD_H

#include "backend-cpu/kernels/attention.h"

enum attention_grad_pack {
    ATTENTION_QUERIES_ACROSS,
    ATTENTION_QUERIES_DOWN,
    ATTENTION_GRADIENTS_ACROSS, /* of the output: do */
    ATTENTION_GRADIENTS_DOWN,
    ATTENTION_KEYS_DOWN,
    ATTENTION_KEYS_ACROSS, /* these two for the walk over queries alone */
    ATTENTION_VALUES_ACROSS,
    ATTENTION_GRAD_PACKS,
};

struct attention_grad {
    struct attention a;
    const real *q, *k, *v, *output_gradient; /* [b, s, g*r*h], [b, s, g*h], [b, s, g*e], [b, s, g*r*e] */
    const real *stats, *delta;               /* [b, s, g*r, 2], [b, s, g*r] */
    real *dq, *dk, *dv;                      /* like q, k, v */
    struct attention_pack packs[ATTENTION_GRAD_PACKS];
};

enum { ATTENTION_WALK_PACKS = ATTENTION_KEYS_ACROSS }; /* what the one walk needs */

/* Ranges of work for cpu_threads_for(); the payload is a struct attention_grad. */
#define attention_groups KERNEL(attention_groups)
#define attention_key_tiles KERNEL(attention_key_tiles)
#define attention_query_tiles KERNEL(attention_query_tiles)
cpu_range_function attention_groups;      /* [b * g]: dq, dk and dv; packs what it needs */
cpu_range_function attention_key_tiles;   /* [b * g * tiles]: dk and dv, from what is packed */
cpu_range_function attention_query_tiles; /* [b * g * r * tiles]: dq, from what is packed */

#endif
