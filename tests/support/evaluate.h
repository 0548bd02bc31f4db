/* Logits of a graph with inputs "tokens" [b, s] and output "logits" [b, s, V], by either CPU executor; and
 * random bytes for a graph's weights. */
#ifndef TESTS_SUPPORT_EVALUATE_H
#define TESTS_SUPPORT_EVALUATE_H

#include "backend-cpu/cpu.h"
#include "ir/graph.h"
#include "tests/support/random.h"
#include "tests/support/test.h"

enum evaluate_precision { EVALUATE_FLOAT, EVALUATE_DOUBLE };

/* Fills weights that have dims but no bytes: norms (rank 1) with 1 +- 0.5, others with +- `size`. */
static inline void weights_randomise(struct graph *g, struct random *r, float size)
{
    for (uint32_t t = 0; t < g->tensors.count; t++) {
        struct tensor_view *view = &g->tensors.items[t].view;
        int64_t count = tensor_view_count(view);
        float *data = ARENA_ARRAY(&g->arena, float, (size_t)count);
        for (int64_t i = 0; i < count; i++)
            data[i] = view->rank == 1 ? 1 + random_float(r) * 0.5f : random_float(r) * size;
        view->base = (const uint8_t *)data;
        view->base_size = (size_t)count * sizeof *data;
    }
}

static inline void evaluate_read(struct executor *e, enum evaluate_precision precision, uint32_t tensor,
                                 int64_t count, double *logits, struct trace *trace)
{
    if (precision == EVALUATE_DOUBLE) {
        assert_ok(cpu_double_tensor_read(e, tensor, 0, count, logits, trace), trace);
        return;
    }
    float *values = malloc((size_t)count * sizeof *values);
    assert_ok(executor_tensor_read(e, tensor, 0, count, values, trace), trace);
    for (int64_t i = 0; i < count; i++)
        logits[i] = values[i];
    free(values);
}

/* tokens [b*s] -> logits, a heap array [b*s*V]. */
static inline double *evaluate(const struct graph *g, enum evaluate_precision precision, int64_t b, int64_t s,
                               const int32_t *tokens)
{
    struct trace trace = {0};
    struct executor *e = NULL;
    struct cpu_options options = {.threads = 1};
    assert_ok(precision == EVALUATE_DOUBLE ? cpu_double_executor_create(&e, options, &trace)
                                           : cpu_executor_create(&e, options, &trace),
              &trace);
    const struct dim_binding dims[4] = {
        {STR("b"), b}, {STR("s"), s}, {STR("batch"), b}, {STR("sequence"), s}};
    struct binding *bindings = calloc(g->tensors.count + 2, sizeof *bindings);
    uint32_t count = 0, output = graph_find_output(g, "logits"), input = graph_find_input(g, "tokens");
    const struct value *v = graph_value(g, output);
    int64_t elements = b * s * dims_size(&g->dims, v->axes[v->rank - 1]);
    for (uint32_t t = 0; t < g->tensors.count; t++, count++) {
        bindings[count].value = g->tensors.items[t].value;
        assert_ok(executor_upload(e, &g->tensors.items[t].view, &bindings[count].tensor, &trace), &trace);
    }
    bindings[count].value = input;
    assert_ok(executor_tensor_create(e, DTYPE_I32, b * s, &bindings[count].tensor, &trace), &trace);
    assert_ok(executor_tensor_write(e, bindings[count++].tensor, 0, b * s, tokens, &trace), &trace);
    bindings[count].value = output;
    assert_ok(executor_tensor_create(e, DTYPE_F32, elements, &bindings[count].tensor, &trace), &trace);
    struct program_spec spec = {g, dims, 4, bindings, count + 1};
    struct program *program = NULL;
    assert_ok(executor_compile(&program, e, &spec, &trace), &trace);
    assert_ok(executor_run(e, program, &trace), &trace);
    double *logits = malloc((size_t)elements * sizeof *logits);
    evaluate_read(e, precision, bindings[count].tensor, elements, logits, &trace);
    executor_program_destroy(e, program);
    executor_destroy(e);
    free(bindings);
    return logits;
}

#endif
