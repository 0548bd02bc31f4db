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

/* Under device numerics: takes from the engine every arithmetic by which the device multiplies wrongly, down
 * to f32, which selftest_run() has judged. DEVICE where the options ask for one such. */
enum status selftest_settle(struct engine *engine, const struct vulkan_options *options,
                            struct trace *trace) MUST_CHECK;

/* Whether attention by the engine's arithmetic, which has matrices, comes to what it does without. */
enum status selftest_attention(bool *passed, struct engine *engine, struct trace *trace) MUST_CHECK;

#endif
