/* Every op as its mathematical formula in double precision with libm, written from the definition and not
 * from a kernel: plain loops, ordinary order. */
#ifndef TESTS_BACKEND_CPU_REFERENCE_H
#define TESTS_BACKEND_CPU_REFERENCE_H

#include "tests/backend-cpu/cases.h"

struct reference {
    const struct op_case *of;
    double *in[NODE_MAX_INPUTS]; /* integers too */
    double *out[NODE_MAX_RESULTS];
};

/* Computes the results of the run's inputs; release with reference_release(). */
struct reference reference_compute(const struct case_run *run);
void reference_release(struct reference *reference);

#endif
