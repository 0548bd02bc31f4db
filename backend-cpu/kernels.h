/* What a kernel is: a function that computes all results of one node from its operands.
 *
 * A kernel exists once per row of backend-cpu/isa.def and once in double precision: the same
 * sources, compiled with other flags and KERNEL_ISA. Its order of additions is the one that ir/ops.def fixes,
 * whatever the instruction set, the thread count or the number type: vectors run over outputs, never along a
 * contraction.
 *
 * Operands are dense row-major arrays of `real` (float; double under ESPALIER_DOUBLE) or int32_t. Their
 * shapes fit the op's dimension rule: the verifier saw to that. A result may be stored over an operand only
 * where the op's row says OP_IN_PLACE, or element by element (adamw). Values inside ids and labels are not
 * trusted: a kernel checks them and raises a fault instead of computing. */
#ifndef BACKEND_CPU_KERNELS_H
#define BACKEND_CPU_KERNELS_H

#include "backend-cpu/threads.h"
#include "ir/graph.h"
#include "ir/op.h"
#include "shaders/scalar/real.h"
#include <stdbool.h>
#include <stdint.h>

struct kernel_operand {
    void *data; /* real or int32_t */
    int64_t count;
    uint32_t rank;
    int64_t dims[VALUE_MAX_RANK];
};

/* One field an attribute; those that the op lacks are 0. */
#define KERNEL_INTEGER int64_t
#define KERNEL_REAL float
#define KERNEL_OPTION int64_t
#define KERNEL_OPTION_REAL float
struct kernel_attributes {
#define ATTRIBUTE(name, type, summary) KERNEL_##type name;
#include "ir/attributes.def"
};
#undef KERNEL_INTEGER
#undef KERNEL_REAL
#undef KERNEL_OPTION
#undef KERNEL_OPTION_REAL

/* An id outside of [0, limit): the first one, whatever the thread count. */
struct kernel_fault {
    bool raised;
    int64_t position, found, limit;
};

struct kernel_call {
    struct kernel_attributes attributes;
    uint32_t input_count, result_count;
    struct kernel_operand inputs[NODE_MAX_INPUTS];
    struct kernel_operand results[NODE_MAX_RESULTS];
    struct cpu_threads *threads;
    real *packed; /* of a product: operand 1 as a kernel_pack_function left it; NULL: not packed yet */
    struct kernel_fault fault; /* out */
};

typedef void kernel_function(struct kernel_call *call);
/* Elements that operand 1 of a call of `op` takes when it is laid out for many calls that share it; lays it
 * out unless `to` is NULL. 0 for an op that has no such layout. */
typedef int64_t kernel_pack_function(const struct kernel_call *call, enum op op, real *to);

#define KERNEL_PASTE(name, isa) kernel_##name##_##isa
#define KERNEL_EXPAND(name, isa) KERNEL_PASTE(name, isa)
#define KERNEL(name) KERNEL_EXPAND(name, KERNEL_ISA)

/* The kernels of each build, indexed by enum op, its layouts, and a piece of work that tells how fast it
 * multiplies: returns the number of multiplications done (kernels/rate.c). */
#define ISA(name, numerics, available)                           \
    extern kernel_function *const kernel_table_##name[OP_COUNT]; \
    kernel_pack_function kernel_pack_##name;                     \
    int64_t kernel_rate_##name(void);
#include "backend-cpu/isa.def"
ISA(double, GOLDEN, true)
#undef ISA

/* Inside a kernel's source: the prototypes of its own instruction set. */
#ifdef KERNEL_ISA
#define OP(name, ...) void KERNEL(name)(struct kernel_call * call);
#include "ir/ops.def"

/* Shorthand for kernels. */
static inline const real *kernel_input(const struct kernel_call *call, uint32_t i)
{
    return call->inputs[i].data;
}

static inline real *kernel_result(const struct kernel_call *call, uint32_t i)
{
    return call->results[i].data;
}

static inline int64_t kernel_last_dim(const struct kernel_operand *operand)
{
    return operand->rank ? operand->dims[operand->rank - 1] : 1;
}

/* Rows: all axes but the last, flattened. */
static inline int64_t kernel_rows(const struct kernel_operand *operand)
{
    int64_t last = kernel_last_dim(operand);
    return last ? operand->count / last : 0;
}

/* Items of `work` elements each that make a range worth another thread. */
static inline int64_t kernel_grain(int64_t work)
{
    enum { WORTH = 1 << 14 };
    return work >= WORTH ? 1 : WORTH / (work > 0 ? work : 1);
}

/* True when every id lies in [0, limit); else raises the fault. */
static inline bool kernel_ids_fit(struct kernel_call *call, const struct kernel_operand *ids, int64_t limit)
{
    const int32_t *id = ids->data;
    for (int64_t i = 0; i < ids->count; i++)
        if (id[i] < 0 || id[i] >= limit) {
            call->fault = (struct kernel_fault){true, i, id[i], limit};
            return false;
        }
    return true;
}
#endif

#endif
