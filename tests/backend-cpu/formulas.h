/* How formulas read their operands, and the formulas of the losses. */
#ifndef TESTS_BACKEND_CPU_FORMULAS_H
#define TESTS_BACKEND_CPU_FORMULAS_H

#include "tests/backend-cpu/reference.h"

#define IN(i) (r->in[i])
#define OUT(i) (r->out[i])
#define DIM(i, axis) (r->of->in[i].dims[axis])
#define EACH(index, count) for (int64_t index = 0; index < (count); index++)

static inline int64_t last(const struct case_shape *shape)
{
    return shape->dims[shape->rank - 1];
}

static inline int64_t rows_of(const struct case_shape *shape)
{
    return case_count(*shape) / last(shape);
}

static inline double product(const double *x, const double *y, int64_t count)
{
    double sum = 0;
    EACH(i, count) sum += x[i] * y[i];
    return sum;
}

void reference_ce_rows(struct reference *r);
void reference_kl_rows(struct reference *r);
void reference_kl_top_rows(struct reference *r);
void reference_top_rows(struct reference *r);
void reference_kl_kept_rows(struct reference *r);
void reference_reverse_kl_rows(struct reference *r);
void reference_js_rows(struct reference *r);
void reference_mse_rows(struct reference *r);
void reference_cosine_loss_rows(struct reference *r);

#endif
