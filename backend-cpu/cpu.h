/* The C twin: executes graphs on the host and defines the golden bytes.
 *
 * cpu_executor_create() computes in float as ir/ops.def says; its bytes depend neither on the thread count
 * nor on the instruction set. cpu_double_executor_create() is made of the same sources in double precision,
 * without flushing and with libm: the reference for tests of gradients and exactness (library
 * backend-cpu-double, which needs backend-cpu too). Both fill the interface of ir/executor.h; a tensor holds
 * float or int32_t on the outside either way. */
#ifndef BACKEND_CPU_CPU_H
#define BACKEND_CPU_CPU_H

#include "base/status.h"
#include "ir/executor.h"
#include "ir/numerics.h"

enum cpu_isa {
    CPU_ISA_BEST,
#define ISA(name, numerics, available) CPU_ISA_##name,
#include "backend-cpu/isa.def"
#undef ISA
    CPU_ISA_COUNT
};

/* Of every result of every node (ir/finite.h), or of none. */
enum cpu_check { CPU_CHECK_NONE, CPU_CHECK_FINITE };

struct cpu_options {
    uint32_t threads; /* 0: one for each processor */
    enum cpu_isa
        isa; /* BEST: the fastest of these numerics; the double executor has but one and ignores both */
    enum numerics numerics;
    enum cpu_check check_finite;
};

/* INVALID: too many threads. UNSUPPORTED: the processor lacks the instruction set asked for. */
enum status cpu_executor_create(struct executor **out, struct cpu_options options,
                                struct trace *trace) MUST_CHECK;
enum status cpu_double_executor_create(struct executor **out, struct cpu_options options,
                                       struct trace *trace) MUST_CHECK;

/* Elements [first, first + count) of a float tensor of the double executor, unrounded. */
enum status cpu_double_tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                    const double *data, struct trace *trace) MUST_CHECK;
enum status cpu_double_tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                   double *data, struct trace *trace) MUST_CHECK;

/* Whether `isa` has these numerics and this processor can run it; BEST always. */
bool cpu_isa_is_available(enum cpu_isa isa, enum numerics numerics);

#endif
