/* Choosing a build of the kernels at run time. */
#include "backend-cpu/isa.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#if defined __x86_64__
#include <cpuid.h>
#define HAS_AVX2 __builtin_cpu_supports("avx2")
#define HAS_FMA __builtin_cpu_supports("fma")
#define HAS_AVX512                                                              \
    (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && \
     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
#else
#define HAS_AVX2 false
#define HAS_FMA false
#define HAS_AVX512 false
#endif

void isa_processor_name(char out[ISA_PROCESSOR])
{
    memset(out, 0, ISA_PROCESSOR);
#if defined __x86_64__
    unsigned words[12] = {0}, known = 1;
    for (unsigned i = 0; i < 3 && known; i++)
        known = (unsigned)__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                                      &words[4 * i + 3]);
    if (known)
        memcpy(out, words, sizeof words);
#endif
    size_t first = strspn(out, " "), length = strlen(out + first);
    memmove(out, out + first, length + 1);
    while (length > 0 && out[length - 1] == ' ')
        out[--length] = '\0';
    if (length == 0)
        snprintf(out, ISA_PROCESSOR, "cpu");
}

struct build {
    struct isa_kernels kernels;
    enum numerics numerics;
    int64_t (*rate)(void);
};

static const struct build builds[CPU_ISA_COUNT] = {
#define ISA(name, numerics, available) \
    [CPU_ISA_##                        \
        name] = {{#name, kernel_table_##name, kernel_pack_##name}, NUMERICS_##numerics, kernel_rate_##name},
#include "backend-cpu/isa.def"
#undef ISA
};

static bool processor_has(enum cpu_isa isa)
{
    switch (isa) {
#define ISA(name, numerics, available) \
    case CPU_ISA_##name:               \
        return available;
#include "backend-cpu/isa.def"
#undef ISA
    case CPU_ISA_BEST:
    case CPU_ISA_COUNT:
        break;
    }
    return false;
}

bool cpu_isa_is_available(enum cpu_isa isa, enum numerics numerics)
{
    return isa == CPU_ISA_BEST || (builds[isa].numerics == numerics && processor_has(isa));
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double measured_rate(const struct build *build)
{
    double start = seconds();
    double work = (double)build->rate();
    double elapsed = seconds() - start;
    return work / (elapsed > 0 ? elapsed : 1e-9);
}

/* The best of several short turns of each, in turn, since others use the processor too and its clock moves.
 * CPU_ISA_BEST when no build of these numerics runs here. */
static enum cpu_isa fastest(enum numerics numerics)
{
    enum { TURNS = 16 };
    enum cpu_isa found = CPU_ISA_BEST;
    double best[CPU_ISA_COUNT] = {0};
    for (int turn = 0; turn < TURNS; turn++)
        for (enum cpu_isa isa = CPU_ISA_BEST + 1; isa < CPU_ISA_COUNT; isa++) {
            if (builds[isa].numerics != numerics || !processor_has(isa))
                continue;
            double rate = measured_rate(&builds[isa]);
            best[isa] = rate > best[isa] ? rate : best[isa];
            if (best[isa] > best[found])
                found = isa;
        }
    return found;
}

enum status isa_find_kernels(struct isa_kernels *out, enum cpu_isa isa, enum numerics numerics,
                             struct trace *trace)
{
    if (numerics == NUMERICS_DEVICE)
        return status_fail(trace, INVALID, "the twin does not compute under numerics device");
    if (isa == CPU_ISA_BEST)
        isa = fastest(numerics);
    if (isa == CPU_ISA_BEST)
        isa = fastest(NUMERICS_GOLDEN); /* golden results are within every tolerance */
    if ((unsigned)isa >= CPU_ISA_COUNT)
        return status_fail(trace, INVALID, "expected an instruction set, found number %d", (int)isa);
    if (builds[isa].numerics != numerics && builds[isa].numerics != NUMERICS_GOLDEN)
        return status_fail(trace, INVALID, "the instruction set %s does not compute under numerics %s",
                           builds[isa].kernels.name, numerics_name(numerics));
    if (!processor_has(isa))
        return status_fail(trace, UNSUPPORTED, "this processor does not have the instruction set %s",
                           builds[isa].kernels.name);
    *out = builds[isa].kernels;
    return OK;
}
