/* Speed of matrix products on a Vulkan device: vulkan_matmul [SELECTOR [SIZE [VARIANT|golden|device]]], with
 * a variant of backend-vulkan/variants.def or else what is kept of this device in the folder that CACHE
 * names. Prints GFLOP/s (multiply and add count as two) of x * w and x * transposed w at SIZE^3, the best and
 * the median of seven runs. */
#include "backend-vulkan/vulkan.h"
#include "base/log.h"
#include "ir/build.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7 };

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum status fill(struct executor *executor, uint32_t tensor, int64_t count, struct trace *trace)
{
    float *data = malloc((size_t)count * sizeof *data);
    if (!data)
        BUG("out of memory");
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
    enum status status = executor_tensor_write(executor, tensor, 0, count, data, trace);
    free(data);
    return status;
}

static enum status measure(struct executor *executor, enum op op, int64_t size, struct trace *trace)
{
    struct graph *graph = graph_create();
    uint32_t axes[4] = {dims_leaf(&graph->dims, size), dims_leaf(&graph->dims, size),
                        dims_leaf(&graph->dims, size), dims_leaf(&graph->dims, size)};
    uint32_t inputs[2] = {build_input(graph, "x", DTYPE_F32, 2, axes),
                          build_input(graph, "w", DTYPE_F32, 2, axes + 2)};
    uint32_t y = build_op(graph, op, inputs, &(struct build_attributes){0});
    build_output(graph, "y", y);
    struct binding bindings[3] = {{.value = inputs[0]}, {.value = inputs[1]}, {.value = y}};
    for (int i = 0; i < 3; i++)
        TRY(executor_tensor_create(executor, DTYPE_F32, size * size, &bindings[i].tensor, trace));
    for (int i = 0; i < 2; i++)
        TRY(fill(executor, bindings[i].tensor, size * size, trace));
    struct program *program = NULL;
    struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 3};
    TRY(executor_compile(&program, executor, &spec, trace));
    TRY(executor_run(executor, program, trace));
    double seconds[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double start = clock_seconds();
        TRY(executor_run(executor, program, trace));
        seconds[i] = clock_seconds() - start;
    }
    qsort(seconds, RUNS, sizeof *seconds, compare_seconds);
    double work = 2e-9 * (double)size * (double)size * (double)size;
    printf("%-10s %5lld^3  best %8.1f  median %8.1f GFLOP/s\n", op_table[op].name, (long long)size,
           work / seconds[0], work / seconds[RUNS / 2]);
    executor_program_destroy(executor, program);
    for (int i = 0; i < 3; i++)
        executor_tensor_destroy(executor, bindings[i].tensor);
    graph_destroy(graph);
    return OK;
}

int main(int argc, char **argv)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    struct vulkan_options options = {.selector = argc > 1 ? argv[1] : "", .cache = getenv("CACHE")};
    int64_t size = argc > 2 ? atoll(argv[2]) : 512;
    if (argc > 3 && !numerics_find(&options.numerics, str_from(argv[3])))
        options = (struct vulkan_options){
            .selector = options.selector, .numerics = NUMERICS_DEVICE, .variant = argv[3]};
    enum status status = size < 1 ? status_fail(&trace, INVALID, "SIZE must be 1 or more")
                                  : vulkan_executor_create(&executor, &options, &trace);
    if (status == OK)
        printf("%s\n", executor->name);
    const enum op ops[] = {OP_matmul_nn, OP_matmul_nt, OP_matmul_tn};
    for (size_t i = 0; i < sizeof ops / sizeof *ops && status == OK; i++)
        status = measure(executor, ops[i], size, &trace);
    executor_destroy(executor);
    if (status != OK)
        fprintf(stderr, "vulkan_matmul: %s\n", trace.text);
    return status_exit_code(status);
}
