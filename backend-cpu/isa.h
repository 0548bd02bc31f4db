/* Which build of the kernels to run. */
#ifndef BACKEND_CPU_ISA_H
#define BACKEND_CPU_ISA_H

#include "backend-cpu/cpu.h"
#include "backend-cpu/kernels.h"

struct isa_kernels {
    const char *name;
    kernel_function *const *table; /* by enum op */
    kernel_pack_function *pack;
};

enum { ISA_PROCESSOR = 49 };
void isa_processor_name(char out[ISA_PROCESSOR]); /* as it names itself; "cpu" where it does not */

/* BEST is the build of these numerics that multiplies fastest here: measured, in less than a millisecond,
 * since what a processor has does not tell how fast it is at it. */
enum status isa_find_kernels(struct isa_kernels *out, enum cpu_isa isa, enum numerics numerics,
                             struct trace *trace) MUST_CHECK;

#endif
