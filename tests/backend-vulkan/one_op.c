#include "tests/backend-vulkan/one_op.h"
#include "ir/build.h"
#include "tests/support/test.h"
#include <inttypes.h>

struct one_op one_op_create(const struct op_case *c)
{
    struct one_op one = {.graph = graph_create()};
    struct build_attributes attributes = {.heads = c->attributes.heads,
                                          .kv_heads = c->attributes.kv_heads,
                                          .causal = c->attributes.causal,
                                          .window = c->attributes.window,
                                          .softcap = c->attributes.softcap,
                                          .inverse = c->attributes.inverse,
                                          .rows = c->attributes.rows,
                                          .start = c->attributes.start,
                                          .top = c->attributes.top,
                                          .decay = c->attributes.decay,
                                          .scale = c->attributes.scale,
                                          .epsilon = c->attributes.epsilon};
    for (uint32_t i = 0; i < op_table[c->op].inputs; i++) {
        uint32_t axes[VALUE_MAX_RANK];
        char name[16];
        for (uint32_t a = 0; a < c->in[i].rank; a++)
            axes[a] = dims_leaf(&one.graph->dims, c->in[i].dims[a]);
        snprintf(name, sizeof name, "x%" PRIu32, i);
        enum dtype dtype = case_is_integer(c->op, i) ? DTYPE_I32 : DTYPE_F32;
        one.values[one.count++] = build_input(one.graph, name, dtype, c->in[i].rank, axes);
    }
    uint32_t first = build_op(one.graph, c->op, one.values, &attributes);
    for (uint32_t i = 0; i < op_table[c->op].results; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%" PRIu32, i);
        one.values[one.count] = build_result(one.graph, first, i);
        build_output(one.graph, name, one.values[one.count++]);
    }
    return one;
}

void one_op_run(struct executor *executor, const struct one_op *one, struct case_run *run)
{
    struct trace trace = {0};
    struct binding bindings[NODE_MAX_INPUTS + NODE_MAX_RESULTS];
    struct program *program = NULL;
    uint32_t inputs = run->call.input_count;
    for (uint32_t i = 0; i < one->count; i++) {
        const struct kernel_operand *x = i < inputs ? &run->call.inputs[i] : &run->call.results[i - inputs];
        enum dtype dtype = i < inputs && case_is_integer(run->of->op, i) ? DTYPE_I32 : DTYPE_F32;
        bindings[i].value = one->values[i];
        assert_ok(executor_tensor_create(executor, dtype, x->count, &bindings[i].tensor, &trace), &trace);
        if (i < inputs)
            assert_ok(executor_tensor_write(executor, bindings[i].tensor, 0, x->count, x->data, &trace),
                      &trace);
    }
    struct program_spec spec = {.graph = one->graph, .bindings = bindings, .binding_count = one->count};
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    assert_ok(executor_run(executor, program, &trace), &trace);
    for (uint32_t i = inputs; i < one->count; i++) {
        const struct kernel_operand *y = &run->call.results[i - inputs];
        assert_ok(executor_tensor_read(executor, bindings[i].tensor, 0, y->count, y->data, &trace), &trace);
    }
    executor_program_destroy(executor, program);
    for (uint32_t i = 0; i < one->count; i++)
        executor_tensor_destroy(executor, bindings[i].tensor);
}

void one_op_compare(const struct case_run *got, const struct case_run *expected)
{
    char text[256];
    case_describe(got->of, text);
    for (uint32_t r = 0; r < got->call.result_count; r++) {
        const uint32_t *a = got->call.results[r].data, *b = expected->call.results[r].data;
        for (int64_t i = 0; i < got->call.results[r].count; i++)
            if (a[i] != b[i])
                fail_msg("%s: result %" PRIu32 ", element %" PRId64 ": %08" PRIx32 " instead of %08" PRIx32,
                         text, r, i, a[i], b[i]);
    }
}
