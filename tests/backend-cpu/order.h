/* The two orders of addition of ir/ops.def, written down literally, and those of the losses, which use them.
 */
#ifndef TESTS_BACKEND_CPU_ORDER_H
#define TESTS_BACKEND_CPU_ORDER_H

#include "tests/backend-cpu/cases.h"

/* P_k: blocks of 512, each in one accumulator from +0, then the block sums. */
struct product {
    float total, block;
    int64_t next;
};

static inline void product_add(struct product *p, int64_t k, float a, float b)
{
    if (k / 512 != p->next / 512) {
        p->total = p->total + p->block;
        p->block = 0;
    }
    p->next = k;
    p->block = p->block + a * b;
}

static inline float product_end(const struct product *p)
{
    return p->total + p->block;
}

/* R_i: 64 lanes, then halves. */
struct row {
    float lane[64];
};

static inline void row_add(struct row *r, int64_t i, float x)
{
    r->lane[i % 64] = r->lane[i % 64] + x;
}

static inline float row_end(struct row *r)
{
    for (int h = 32; h > 0; h /= 2)
        for (int l = 0; l < h; l++)
            r->lane[l] = r->lane[l] + r->lane[l + h];
    return r->lane[0];
}

static inline const float *in(const struct case_run *run, int i)
{
    return run->call.inputs[i].data;
}

static inline int64_t dim(const struct case_run *run, int i, int axis)
{
    return run->of->in[i].dims[axis];
}

/* What the kernels of the losses must give. */
void order_of_ce_rows(const struct case_run *run, float *out[]);
void order_of_kl_rows(const struct case_run *run, float *out[]);
void order_of_reverse_kl_rows(const struct case_run *run, float *out[]);
void order_of_js_rows(const struct case_run *run, float *out[]);
void order_of_kl_top_rows(const struct case_run *run, float *out[]);
void order_of_top_rows(const struct case_run *run, float *out[]);
void order_of_kl_kept_rows(const struct case_run *run, float *out[]);
void order_of_mse_rows(const struct case_run *run, float *out[]);
void order_of_cosine_loss_rows(const struct case_run *run, float *out[]);

#endif
