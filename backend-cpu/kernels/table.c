/* The kernels of this instruction set by op: a row of ir/ops.def without a kernel does not link. Views have
 * none. */
#include "backend-cpu/kernels.h"

#define TABLE_PASTE(isa) kernel_table_##isa
#define TABLE_EXPAND(isa) TABLE_PASTE(isa)

kernel_function *const TABLE_EXPAND(KERNEL_ISA)[OP_COUNT] = {
#define OP(name, inputs, results, rule, attributes, flags, gradient, summary) \
    [OP_##name] = ((flags)&OP_VIEW) ? NULL : KERNEL(name),
#include "ir/ops.def"
};
