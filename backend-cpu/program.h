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
#define sweep_run sweep_double_run
#define step_check step_double_check
#define step_count_bad step_double_count_bad
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
    uint32_t watched; /* a bit for each result that must be finite */
    struct work work;
    struct lent *lent;   /* NULL: every operand has its data */
    struct swept *swept; /* NULL: in no sweep */
};

/* How an operand of a sweep's step goes from item to item. */
struct swept_operand {
    enum swept_walk { SWEPT_WHOLE, SWEPT_ALONG, SWEPT_LOCAL } walk;
    size_t bytes; /* ALONG: of an item; LOCAL: where in the memory of a thread */
};

struct swept {
    struct swept_operand inputs[NODE_MAX_INPUTS], results[NODE_MAX_RESULTS];
};

/* Steps [first, end) for one item of their first axis after the other (ir/schedule.h). */
struct cpu_sweep {
    uint32_t first, end;
    int64_t count;
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
    struct cpu_sweep *sweeps; /* by first step */
    uint32_t sweep_count;
    real *packed; /* weights of sweeps, laid out in every run */
    char *local;  /* memory of sweeps, `local_bytes` for each thread */
    size_t local_bytes;
    struct lent_room room;
};

/* What a program needs of its executor. */
struct program_host {
    kernel_function *const *kernels;
    kernel_pack_function *pack;
    struct cpu_threads *threads;
    struct cpu_threads **alone; /* for each of them a pool of its own, of one thread */
    const struct cpu_tensor *tensors;
    uint32_t tensor_count;
    enum cpu_check check;
    const volatile sig_atomic_t *stop; /* of the executor */
};

enum status program_compile(struct program **out, const struct program_host *host,
                            const struct program_spec *spec, struct trace *trace) MUST_CHECK;
/* `profile` is told of every step; NULL is none. */
enum status program_run(struct program *program, const struct program_host *host, struct profile *profile,
                        struct trace *trace) MUST_CHECK;
void program_release(struct program *program); /* frees it too; accepts NULL */

/* INVALID: the fault that `call` of a step raised, or `bad` elements of result `result`, of all, that are not
 * finite. */
enum status step_check(const struct cpu_step *step, const struct kernel_fault *fault, uint32_t result,
                       int64_t bad, struct trace *trace) MUST_CHECK;
/* The first of the watched results with elements that are not finite, and how many; 0 where there are none.
 */
int64_t step_count_bad(const struct kernel_call *call, uint32_t watched, uint32_t *result);

/* Runs the steps of a sweep (backend-cpu/sweep.c). */
enum status sweep_run(struct program *program, const struct cpu_sweep *sweep, const struct program_host *host,
                      struct profile *profile, struct trace *trace) MUST_CHECK;

#endif
