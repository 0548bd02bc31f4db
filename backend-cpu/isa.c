/* Choosing the instruction set at run time; the builds give the same bytes. */
#include "backend-cpu/isa.h"

#if defined __x86_64__
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#define HAS_AVX512                                                              \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && \
     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
#else
#define HAS_AVX2 false
#define HAS_AVX512 false
#endif

bool cpu_isa_is_available(enum cpu_isa isa)
{
    switch (isa) {
    case CPU_ISA_BEST:
    case CPU_ISA_DEFAULT:
        return true;
    case CPU_ISA_AVX2:
        return HAS_AVX2;
    case CPU_ISA_AVX512:
        return HAS_AVX512;
    }
    return false;
}

enum status isa_find_kernels(struct isa_kernels *out, enum cpu_isa isa, struct trace *trace)
{
    static const struct isa_kernels builds[] = {
        [CPU_ISA_DEFAULT] = {"default", kernel_table_default},
        [CPU_ISA_AVX2] = {"avx2", kernel_table_avx2},
        [CPU_ISA_AVX512] = {"avx512", kernel_table_avx512},
    };
    if (isa == CPU_ISA_BEST)
        isa = cpu_isa_is_available(CPU_ISA_AVX512) ? CPU_ISA_AVX512
              : cpu_isa_is_available(CPU_ISA_AVX2) ? CPU_ISA_AVX2
                                                   : CPU_ISA_DEFAULT;
    if (isa > CPU_ISA_AVX512)
        return status_fail(trace, INVALID, "expected an instruction set, found number %d", (int)isa);
    if (!cpu_isa_is_available(isa))
        return status_fail(trace, UNSUPPORTED, "this processor does not have the instruction set %s",
                           builds[isa].name);
    *out = builds[isa];
    return OK;
}
