/* Whether a device computes the golden bytes: kernels run on made-up operands and are compared, bit by bit,
 * with the same text or formula in C. */
#ifndef BACKEND_VULKAN_SELFTEST_H
#define BACKEND_VULKAN_SELFTEST_H

#include "backend-vulkan/engine.h"

struct selftest_verdict {
    bool passed;
    char why[256]; /* "32 functions of 4096 inputs, ..." or the first difference */
};

/* Fails only where the device could not run the test at all. */
enum status selftest_run(struct selftest_verdict *out, struct engine *engine, struct trace *trace) MUST_CHECK;

#endif
