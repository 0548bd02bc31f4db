/* What executes a graph: the C twin, its double-precision reference, or a Vulkan device. Training and
 * measuring see only this interface.
 *
 * Device tensors are handles owned by the executor: flat arrays of f32 or i32. A graph is compiled once into
 * a program with every input, weight and output bound to a tensor; the program is then run any number of
 * times, and what varies is written into the input tensors in between. Binding an output to the tensor of an
 * input updates it in place: the compiler checks that nothing reads the old content after it is overwritten.
 */
#ifndef IR_EXECUTOR_H
#define IR_EXECUTOR_H

#include "base/status.h"
#include "ir/graph.h"
#include <signal.h>
#include <stdint.h>

struct executor;
struct program;
struct profile;

struct executor_counters {
    uint64_t dispatches;   /* kernel launches */
    uint64_t device_nodes; /* nodes executed on the device */
    uint64_t host_nodes;   /* float nodes executed by the host instead: must stay 0 */
};

/* A value of the graph (input, tensor or output) and the device tensor that holds it. */
struct binding {
    uint32_t value;
    uint32_t tensor;
};

struct program_spec {
    const struct graph *graph;
    const struct dim_binding *dims; /* sizes of batch and sequence */
    uint32_t dim_count;
    const struct binding *bindings; /* every graph input and weight that is used, and every output */
    uint32_t binding_count;
};

static inline bool executor_is_stopped(const volatile sig_atomic_t *stop)
{
    return stop && *stop;
}

struct executor_interface {
    const char *kind; /* "cpu", "vulkan" */
    /* Zeroed room for `count` elements. */
    enum status (*tensor_create)(struct executor *executor, enum dtype dtype, int64_t count, uint32_t *out,
                                 struct trace *trace);
    void (*tensor_destroy)(struct executor *executor, uint32_t tensor);
    /* See executor_lend(). NULL where weights must be uploaded. */
    enum status (*tensor_lend)(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                               struct trace *trace);
    /* Elements [first, first + count); data is float or int32_t. Floats are flushed to the threshold of
     * squares (golden: gm_flush_square) on the way in, so that a second moment comes back as it was read;
     * executor_upload flushes weights to 2^-51. */
    enum status (*tensor_write)(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                const void *data, struct trace *trace);
    enum status (*tensor_read)(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                               void *data, struct trace *trace);
    enum status (*compile)(struct program **out, struct executor *executor, const struct program_spec *spec,
                           struct trace *trace);
    /* DEVICE when the device is lost; NOT_FINITE naming the op when a result is not (where checking is on);
     * INTERRUPTED as executor->stop says. */
    enum status (*run)(struct executor *executor, struct program *program, struct trace *trace);
    void (*program_destroy)(struct executor *executor, struct program *program);
    struct executor_counters (*counters)(const struct executor *executor);
    void (*destroy)(struct executor *executor);
};

/* What matrix products round their operands to; sums are f32. Gradients need a scaled loss where that has a
 * narrower range than f32 has (train/trainer.h). */
enum operands { OPERANDS_F32, OPERANDS_BF16, OPERANDS_F16 };

/* First member of every implementation. */
struct executor {
    const struct executor_interface *interface;
    const char *name;     /* for people: "cpu (2 threads, avx512)", the device's name */
    const char *hardware; /* the same in every run on a machine: part of the keys of measured seconds */
    /* NULL, or told of every node that is run (ir/profile.h). Set before programs are compiled, by who owns
     * both. */
    struct profile *profile;
    /* NULL, or ends a run soon after it is nonzero, which is then INTERRUPTED and leaves what it writes
     * undefined. Set around the runs of those to whom that is no loss. */
    const volatile sig_atomic_t *stop;
    enum operands operands; /* OPERANDS_F32 unless under device numerics */
};

enum status executor_tensor_create(struct executor *executor, enum dtype dtype, int64_t count, uint32_t *out,
                                   struct trace *trace) MUST_CHECK;
void executor_tensor_destroy(struct executor *executor, uint32_t tensor);
enum status executor_tensor_write(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                  const void *data, struct trace *trace) MUST_CHECK;
enum status executor_tensor_read(struct executor *executor, uint32_t tensor, int64_t first, int64_t count,
                                 void *data, struct trace *trace) MUST_CHECK;
enum status executor_compile(struct program **out, struct executor *executor, const struct program_spec *spec,
                             struct trace *trace) MUST_CHECK;
enum status executor_run(struct executor *executor, struct program *program, struct trace *trace) MUST_CHECK;
void executor_program_destroy(struct executor *executor, struct program *program); /* accepts NULL */
struct executor_counters executor_counters(const struct executor *executor);
void executor_destroy(struct executor *executor); /* accepts NULL */

/* Creates a tensor of the view's size and streams the view into it, panel by panel. */
enum status executor_upload(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                            struct trace *trace) MUST_CHECK;
/* A tensor to be read by programs, whose elements may stay where they are: the twin reads them from the view,
 * piece by piece, in every run, and drops their pages; other executors upload. The view stays as it is until
 * the tensor is destroyed. For programs that run once or twice on a model that is too large to be copied. */
enum status executor_lend(struct executor *executor, const struct tensor_view *view, uint32_t *out,
                          struct trace *trace) MUST_CHECK;
/* Elements [first, first + count) of a weight as programs see it: widened, flushed to 2^-51. */
void executor_read_weight(const struct tensor_view *view, int64_t first, int64_t count, float *out);

#endif
