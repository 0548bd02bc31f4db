/* A compiled graph: a list of kernel calls over places in memory, in the order of the nodes. */
#ifndef BACKEND_CPU_PROGRAM_H
#define BACKEND_CPU_PROGRAM_H

#include "backend-cpu/cpu.h"
#include "backend-cpu/kernels.h"
#include "backend-cpu/lent.h"
#include "ir/executor.h"
#include "ir/profile.h"

#ifdef ESPALIER_DOUBLE
#define cpu_tensor_get cpu_double_tensor_get
#define program_compile program_double_compile
#define program_run program_double_run
#define program_release program_double_release
#endif

/* A tensor of the executor: `count` elements, real or int32_t; or a lent weight. Neither: destroyed. */
struct cpu_tensor {
    void *data;
    enum dtype dtype;
    int64_t count;
    const struct tensor_view *lent;
};

static inline bool cpu_tensor_is_there(const struct cpu_tensor *tensor)
{
    return tensor->data || tensor->lent;
}

/* An instruction: what to call and what to say when it goes wrong. */
struct cpu_step {
    kernel_function *kernel;
    struct kernel_call call;
    const char *label; /* "%12 = matmul_nt (layers.0.q)" */
    enum op op;
    struct work work;
    struct lent *lent; /* NULL: every operand has its data */
};

/* A place that the program reads or writes: must be as it was when the program is run. */
struct cpu_use {
    uint32_t tensor;
    const void *data; /* or the view that is lent */
};

struct program {
    struct arena arena;
    struct cpu_step *steps;
    uint32_t step_count;
    struct cpu_use *uses;
    uint32_t use_count;
    void **scratch;
    uint32_t scratch_count;
    struct lent_room room;
};

/* What a program needs of its executor. */
struct program_host {
    kernel_function *const *kernels;
    struct cpu_threads *threads;
    const struct cpu_tensor *tensors;
    uint32_t tensor_count;
    enum cpu_check check;
};

enum status program_compile(struct program **out, const struct program_host *host,
                            const struct program_spec *spec, struct trace *trace) MUST_CHECK;
/* `profile` is told of every step; NULL is none. */
enum status program_run(struct program *program, const struct program_host *host, struct profile *profile,
                        struct trace *trace) MUST_CHECK;
void program_release(struct program *program); /* frees it too; accepts NULL */

#endif
