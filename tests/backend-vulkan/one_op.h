/* A case of tests/backend-cpu/cases.h as a graph of one op, run by an executor. */
#ifndef TESTS_BACKEND_VULKAN_ONE_OP_H
#define TESTS_BACKEND_VULKAN_ONE_OP_H

#include "ir/executor.h"
#include "tests/backend-cpu/cases.h"

struct one_op {
    struct graph *graph;
    uint32_t values[NODE_MAX_INPUTS + NODE_MAX_RESULTS];
    uint32_t count;
};

struct one_op one_op_create(const struct op_case *c); /* its graph is the caller's to destroy */
/* Runs the op on an executor; results go where the case keeps them. */
void one_op_run(struct executor *executor, const struct one_op *one, struct case_run *run);
/* Fails unless all results have the same bytes. */
void one_op_compare(const struct case_run *got, const struct case_run *expected);

#endif
