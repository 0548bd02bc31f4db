/* Calls of every kernel over awkward shapes: what the tests of this folder have in common.
 *
 * A case is an op with its shapes; a run of it owns guarded buffers with random canonical inputs, in float or
 * double, the same values either way. */
#ifndef TESTS_BACKEND_CPU_CASES_H
#define TESTS_BACKEND_CPU_CASES_H

#include "backend-cpu/kernels.h"

struct case_shape {
    uint32_t rank;
    int64_t dims[VALUE_MAX_RANK];
};

/* Shapes as cases write them. */
// clang-format off
#define S1(a)          {1, {a}}
#define S2(a, b)       {2, {a, b}}
#define S3(a, b, c)    {3, {a, b, c}}
#define S4(a, b, c, d) {4, {a, b, c, d}}
// clang-format on

struct op_case {
    enum op op;
    struct kernel_attributes attributes;
    struct case_shape in[NODE_MAX_INPUTS], out[NODE_MAX_RESULTS];
};

extern const struct op_case op_cases[];
extern const uint32_t op_case_count;

enum case_precision { CASE_FLOAT, CASE_DOUBLE };
/* Values up to 1 in magnitude: evenly spread, or of every exponent from 2^-51 on with some zeros. */
enum case_values { CASE_EVEN, CASE_ALL_EXPONENTS };

struct case_run {
    const struct op_case *of;
    enum case_precision precision;
    struct kernel_call call;
};

struct case_run case_run_create(const struct op_case *c, enum case_precision precision,
                                enum case_values values, uint32_t seed);
void case_run_release(struct case_run *run);
/* Clears the results, calls table[op], and fails when a guard word was written. */
void case_run_call(struct case_run *run, kernel_function *const *table, struct cpu_threads *threads);

/* One way after the other to make an input of the op hold one element that is not finite: an infinity or a
 * NaN, at its ends and in its middle. Writes it; false when there is no way `number`. */
bool case_spoil(struct case_run *run, uint32_t number);
/* Is an element of a result not finite? */
bool case_shows(const struct case_run *run);

int64_t case_count(struct case_shape shape);
bool case_is_integer(enum op op, uint32_t input); /* from the op's rule */
double case_get(const struct case_run *run, const struct kernel_operand *operand, int64_t i);
void case_describe(const struct op_case *c, char text[256]);

#endif
