/* Gradients op by op, in double precision, against finite differences of a random linear functional of the
 * result; and how the pass walks, adds and refuses. Whole models are checked in tests/train/test_step.c. */
#include "backend-cpu/cpu.h"
#include "ir/build.h"
#include "ir/text.h"
#include "passes/gradient.h"
#include "tests/support/test.h"
#include <math.h>

enum { MAX_INPUTS = 4, MAX_ELEMENTS = 512 };

/* A graph whose float inputs are all wanted; `functional` is the gradient of the result. */
struct bench {
    struct graph *graph;
    struct executor *executor;
    struct program *program;
    uint32_t inputs[MAX_INPUTS], tensors[MAX_INPUTS], gradients[MAX_INPUTS], count;
    uint32_t result, result_tensor;
    double functional[MAX_ELEMENTS];
};

static uint32_t random_state = 1;

static double random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (double)(random_state >> 8) * 0x1p-23 - 1;
}

static int64_t count_of(const struct graph *graph, uint32_t value)
{
    int64_t count = 1;
    for (uint32_t i = 0; i < graph_value(graph, value)->rank; i++)
        count *= dims_size(&graph->dims, graph_value(graph, value)->axes[i]);
    assert_true(count <= MAX_ELEMENTS);
    return count;
}

static uint32_t input(struct bench *b, const char *name, uint32_t rank, const int64_t *sizes)
{
    uint32_t axes[VALUE_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++)
        axes[i] = dims_leaf(&b->graph->dims, sizes[i]);
    return b->inputs[b->count++] = build_input(b->graph, name, DTYPE_F32, rank, axes);
}

#define INPUT(b, name, ...) \
    input((b), (name), sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static void open_bench(struct bench *b)
{
    struct trace trace = {0};
    struct cpu_options options = {.threads = 1};
    *b = (struct bench){.graph = graph_create()};
    assert_ok(cpu_double_executor_create(&b->executor, options, &trace), &trace);
}

static void close_bench(struct bench *b)
{
    executor_program_destroy(b->executor, b->program);
    executor_destroy(b->executor);
    graph_destroy(b->graph);
}

static uint32_t add_tensor(struct bench *b, uint32_t value)
{
    struct trace trace = {0};
    uint32_t tensor;
    assert_ok(executor_tensor_create(b->executor, DTYPE_F32, count_of(b->graph, value), &tensor, &trace),
              &trace);
    return tensor;
}

static void randomise(struct bench *b, uint32_t tensor, int64_t count, double *keep)
{
    struct trace trace = {0};
    double data[MAX_ELEMENTS];
    for (int64_t i = 0; i < count; i++)
        data[i] = random_number();
    assert_ok(cpu_double_tensor_write(b->executor, tensor, 0, count, data, &trace), &trace);
    if (keep)
        memcpy(keep, data, (size_t)count * sizeof *data);
}

static double evaluate(struct bench *b)
{
    struct trace trace = {0};
    double y[MAX_ELEMENTS], sum = 0;
    int64_t count = count_of(b->graph, b->result);
    assert_ok(executor_run(b->executor, b->program, &trace), &trace);
    assert_ok(cpu_double_tensor_read(b->executor, b->result_tensor, 0, count, y, &trace), &trace);
    for (int64_t i = 0; i < count; i++)
        sum += y[i] * b->functional[i];
    return sum;
}

static double difference(struct bench *b, uint32_t tensor, int64_t element)
{
    static const double places[] = {1, -1, 2, -2};
    const double h = 0x1p-10;
    struct trace trace = {0};
    double old, f[4];
    assert_ok(cpu_double_tensor_read(b->executor, tensor, element, 1, &old, &trace), &trace);
    for (int k = 0; k < 4; k++) {
        double moved = old + places[k] * h;
        assert_ok(cpu_double_tensor_write(b->executor, tensor, element, 1, &moved, &trace), &trace);
        f[k] = evaluate(b);
    }
    assert_ok(cpu_double_tensor_write(b->executor, tensor, element, 1, &old, &trace), &trace);
    return (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
}

/* Builds the gradients of all inputs, compiles, and compares every element. */
static void check(struct bench *b, uint32_t result)
{
    struct trace trace = {0};
    struct binding bindings[2 * MAX_INPUTS + 2];
    uint32_t count = 0, gradient_tensors[MAX_INPUTS];
    const struct value shape = *graph_value(b->graph, result);
    b->result = result;
    uint32_t dy = build_input(b->graph, "dy", DTYPE_F32, shape.rank, shape.axes);
    struct gradient_seed seed = {result, dy};
    struct gradient_request request = {
        .seeds = &seed, .seed_count = 1, .wanted = b->inputs, .wanted_count = b->count};
    assert_ok(gradient_build(b->gradients, b->graph, &request, &trace), &trace);
    b->result_tensor = add_tensor(b, result);
    bindings[count++] = (struct binding){result, b->result_tensor};
    build_output(b->graph, "y", result);
    bindings[count++] = (struct binding){dy, add_tensor(b, dy)};
    randomise(b, bindings[1].tensor, count_of(b->graph, dy), b->functional);
    for (uint32_t i = 0; i < b->count; i++) {
        assert_int_not_equal(b->gradients[i], ID_NONE);
        b->tensors[i] = add_tensor(b, b->inputs[i]);
        gradient_tensors[i] = add_tensor(b, b->gradients[i]);
        randomise(b, b->tensors[i], count_of(b->graph, b->inputs[i]), NULL);
        build_output(b->graph, "dx", b->gradients[i]);
        bindings[count++] = (struct binding){b->inputs[i], b->tensors[i]};
        for (uint32_t k = 0; k < i; k++) /* both summands of a sum have the same value as gradient */
            if (b->gradients[k] == b->gradients[i])
                gradient_tensors[i] = gradient_tensors[k];
        bindings[count++] = (struct binding){b->gradients[i], gradient_tensors[i]};
    }
    struct program_spec spec = {.graph = b->graph, .bindings = bindings, .binding_count = count};
    assert_ok(executor_compile(&b->program, b->executor, &spec, &trace), &trace);
    for (uint32_t i = 0; i < b->count; i++) {
        double found[MAX_ELEMENTS];
        int64_t size = count_of(b->graph, b->inputs[i]);
        evaluate(b);
        assert_ok(cpu_double_tensor_read(b->executor, gradient_tensors[i], 0, size, found, &trace), &trace);
        for (int64_t k = 0; k < size; k++) {
            double expected = difference(b, b->tensors[i], k);
            if (!(fabs(found[k] - expected) < 1e-8 * (1 + fabs(expected))))
                fail_msg("input %u, element %d: expected %.12g, found %.12g", i, (int)k, expected, found[k]);
        }
    }
}

static void differentiates_products(void **state)
{
    (void)state;
    const enum op ops[] = {OP_matmul_nt, OP_matmul_nn};
    for (int k = 0; k < 2; k++) {
        struct bench b;
        open_bench(&b);
        uint32_t x = INPUT(&b, "x", 2, 3, 5);
        uint32_t w = k == 0 ? INPUT(&b, "w", 4, 5) : INPUT(&b, "w", 5, 4);
        check(&b, build_binary(b.graph, ops[k], x, w));
        close_bench(&b);
    }
}

static void differentiates_rmsnorm(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    uint32_t inputs[] = {INPUT(&b, "x", 2, 3, 5), INPUT(&b, "w", 5)};
    struct build_attributes attributes = {.epsilon = 0x1p-5f};
    check(&b, build_op(b.graph, OP_rmsnorm, inputs, &attributes));
    close_bench(&b);
}

static void differentiates_rope_both_ways(void **state)
{
    (void)state;
    for (int64_t inverse = 0; inverse < 2; inverse++) {
        struct bench b;
        struct trace trace = {0};
        open_bench(&b);
        uint32_t x = INPUT(&b, "x", 2, 3, 8);
        uint32_t axes[] = {graph_value(b.graph, x)->axes[1], dims_leaf(&b.graph->dims, 2),
                           dims_leaf(&b.graph->dims, 2)};
        /* A weight without a gradient of its own; only the structure is checked, numbers are in test_step.c.
         */
        static const float angles[] = {0.6f, 0.6f, 0.8f, 0.8f, 0.6f, 0.6f,
                                       0.8f, 0.8f, 0.6f, 0.6f, 0.8f, 0.8f};
        struct tensor_view view;
        const int64_t dims[] = {3, 2, 2};
        assert_ok(tensor_view_dense(&view, NULL, (const uint8_t *)angles, sizeof angles, DTYPE_F32, 3, dims,
                                    &trace),
                  &trace);
        uint32_t inputs[] = {x, build_tensor(b.graph, STR("angles"), &view, axes)};
        struct build_attributes attributes = {.inverse = inverse};
        uint32_t y = build_op(b.graph, OP_rope, inputs, &attributes);
        /* The gradient is itself a rope, turned the other way. */
        struct gradient_seed seed = {y, y};
        struct gradient_request request = {.seeds = &seed, .seed_count = 1, .wanted = &x, .wanted_count = 1};
        uint32_t dx;
        assert_ok(gradient_build(&dx, b.graph, &request, &trace), &trace);
        const struct node *node = &b.graph->nodes.items[graph_value(b.graph, dx)->source];
        assert_int_equal(node->op, OP_rope);
        assert_int_equal(node_integer(node, ATTRIBUTE_inverse), !inverse);
        assert_int_equal(node->inputs[1], inputs[1]);
        close_bench(&b);
    }
}

static void differentiates_attention(void **state)
{
    (void)state;
    for (int64_t causal = 0; causal < 2; causal++) {
        struct bench b;
        open_bench(&b);
        uint32_t inputs[] = {INPUT(&b, "q", 2, 5, 12), INPUT(&b, "k", 2, 5, 6), INPUT(&b, "v", 2, 5, 4)};
        struct build_attributes attributes = {.heads = 4, .kv_heads = 2, .scale = 0.75f, .causal = causal};
        attributes.window = causal * 3;
        attributes.softcap = 2;
        check(&b, build_op(b.graph, OP_attention, inputs, &attributes));
        close_bench(&b);
    }
}

static void differentiates_pointwise_ops(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    struct build_attributes attributes = {.scale = -1.5f};
    uint32_t x = INPUT(&b, "x", 3, 4);
    uint32_t y = build_op(b.graph, OP_scale, &x, &attributes);
    check(&b, build_unary(b.graph, OP_silu, y));
    close_bench(&b);
}

static void differentiates_activations(void **state)
{
    (void)state;
    const enum op ops[] = {OP_relu, OP_gelu, OP_gelu_tanh, OP_tanh};
    for (int k = 0; k < 4; k++) {
        struct bench b;
        open_bench(&b);
        struct build_attributes attributes = {.scale = 2.5f};
        random_state = 7; /* no element lies so near to zero that a difference steps over relu's kink */
        uint32_t x = INPUT(&b, "x", 3, 4);
        uint32_t y = build_unary(b.graph, ops[k], build_op(b.graph, OP_scale, &x, &attributes));
        check(&b, build_binary(b.graph, OP_mul, y, y)); /* the square of relu is what some models have */
        close_bench(&b);
    }
}

static void differentiates_layernorm_and_its_bias(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    uint32_t inputs[] = {INPUT(&b, "x", 2, 3, 5), INPUT(&b, "w", 5)}, bias = INPUT(&b, "bias", 5);
    struct build_attributes attributes = {.epsilon = 0x1p-5f};
    uint32_t y = build_op(b.graph, OP_layernorm, inputs, &attributes);
    check(&b, build_binary(b.graph, OP_add, y, bias));
    close_bench(&b);
}

static void differentiates_norms_of_heads(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    uint32_t inputs[] = {INPUT(&b, "x", 2, 3, 12), INPUT(&b, "w", 4)};
    struct build_attributes attributes = {.epsilon = 0x1p-5f, .heads = 3};
    check(&b, build_op(b.graph, OP_head_rmsnorm, inputs, &attributes));
    close_bench(&b);
}

static void differentiates_learned_positions(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    uint32_t inputs[] = {INPUT(&b, "x", 2, 3, 4), INPUT(&b, "table", 6, 4)};
    struct build_attributes attributes = {.start = 2};
    uint32_t y = build_op(b.graph, OP_add_positions, inputs, &attributes);
    check(&b, build_unary(b.graph, OP_silu, y));
    close_bench(&b);
}

/* Table and rotation as inputs: the gradient of the table is not asked for. */
static void differentiates_a_rotation_of_parts_of_heads(void **state)
{
    (void)state;
    struct bench b;
    struct trace trace = {0};
    open_bench(&b);
    uint32_t x = INPUT(&b, "x", 2, 3, 12), table = INPUT(&b, "table", 3, 2, 2), dx;
    struct build_attributes attributes = {.heads = 2};
    uint32_t inputs[] = {x, table}, y = build_op(b.graph, OP_rope_part, inputs, &attributes);
    struct gradient_seed seed = {y, y};
    struct gradient_request request = {.seeds = &seed, .seed_count = 1, .wanted = &x, .wanted_count = 1};
    assert_ok(gradient_build(&dx, b.graph, &request, &trace), &trace);
    const struct node *node = &b.graph->nodes.items[graph_value(b.graph, dx)->source];
    assert_int_equal(node->op, OP_rope_part);
    assert_int_equal(node_integer(node, ATTRIBUTE_inverse), 1);
    assert_int_equal(node_integer(node, ATTRIBUTE_heads), 2);
    close_bench(&b);
}

static void differentiates_sums_and_products_with_broadcast(void **state)
{
    (void)state;
    const enum op ops[] = {OP_add, OP_mul};
    for (int k = 0; k < 4; k++) {
        struct bench b;
        open_bench(&b);
        uint32_t x = INPUT(&b, "x", 2, 3, 4);
        uint32_t y = k < 2 ? INPUT(&b, "y", 4) : INPUT(&b, "y", 2, 3, 4);
        check(&b, build_unary(b.graph, OP_silu, build_binary(b.graph, ops[k % 2], x, y)));
        close_bench(&b);
    }
}

static void adds_what_reaches_a_value_twice(void **state)
{
    (void)state;
    struct bench b;
    open_bench(&b);
    uint32_t x = INPUT(&b, "x", 3, 4);
    uint32_t square = build_binary(b.graph, OP_mul, x, x);
    check(&b, build_binary(b.graph, OP_add, build_binary(b.graph, OP_mul, square, x),
                           build_unary(b.graph, OP_silu, x)));
    close_bench(&b);
}

static void sums_the_rows_of_a_table(void **state)
{
    (void)state;
    struct bench b;
    struct trace trace = {0};
    open_bench(&b);
    uint32_t table = INPUT(&b, "table", 5, 3);
    uint32_t axes[] = {dims_leaf(&b.graph->dims, 2), dims_leaf(&b.graph->dims, 2)};
    uint32_t ids = build_input(b.graph, "ids", DTYPE_I32, 2, axes);
    uint32_t y = build_binary(b.graph, OP_embed, table, ids), dtable;
    struct gradient_seed seed = {y, y}; /* the rows themselves as their gradient */
    struct gradient_request request = {.seeds = &seed, .seed_count = 1, .wanted = &table, .wanted_count = 1};
    assert_ok(gradient_build(&dtable, b.graph, &request, &trace), &trace);
    build_output(b.graph, "dtable", dtable);
    struct binding bindings[] = {{table, add_tensor(&b, table)}, {ids, 0}, {dtable, add_tensor(&b, dtable)}};
    assert_ok(executor_tensor_create(b.executor, DTYPE_I32, 4, &bindings[1].tensor, &trace), &trace);
    const int32_t picked[] = {3, 1, 3, 3};
    assert_ok(executor_tensor_write(b.executor, bindings[1].tensor, 0, 4, picked, &trace), &trace);
    double rows[15], found[15];
    randomise(&b, bindings[0].tensor, 15, rows);
    struct program_spec spec = {.graph = b.graph, .bindings = bindings, .binding_count = 3};
    assert_ok(executor_compile(&b.program, b.executor, &spec, &trace), &trace);
    assert_ok(executor_run(b.executor, b.program, &trace), &trace);
    assert_ok(cpu_double_tensor_read(b.executor, bindings[2].tensor, 0, 15, found, &trace), &trace);
    const double times[] = {0, 1, 0, 3, 0};
    for (int i = 0; i < 15; i++)
        assert_true(fabs(found[i] - times[i / 3] * rows[i]) < 1e-12);
    close_bench(&b);
}

static void gives_nothing_where_nothing_depends(void **state)
{
    (void)state;
    struct bench b;
    struct trace trace = {0};
    open_bench(&b);
    uint32_t x = INPUT(&b, "x", 3, 4);
    INPUT(&b, "other", 3, 4);
    uint32_t y = build_unary(b.graph, OP_silu, x), nodes = b.graph->nodes.count;
    struct gradient_seed seed = {y, y};
    struct gradient_request request = {
        .seeds = &seed, .seed_count = 1, .wanted = b.inputs, .wanted_count = 2};
    assert_ok(gradient_build(b.gradients, b.graph, &request, &trace), &trace);
    assert_int_not_equal(b.gradients[0], ID_NONE);
    assert_int_equal(b.gradients[1], ID_NONE);
    assert_int_equal(b.graph->nodes.count, nodes + 1);
    close_bench(&b);
}

static void names_the_node_that_has_no_gradient(void **state)
{
    (void)state;
    struct bench b;
    struct trace trace = {0};
    open_bench(&b);
    uint32_t x = INPUT(&b, "x", 3, 4);
    uint32_t y = build_unary(b.graph, OP_column_squares, build_unary(b.graph, OP_silu, x));
    struct gradient_seed seed = {y, y};
    struct gradient_request request = {
        .seeds = &seed, .seed_count = 1, .wanted = b.inputs, .wanted_count = 1};
    assert_fails(gradient_build(b.gradients, b.graph, &request, &trace), UNSUPPORTED, &trace,
                 "node 1 (column_squares)");
    close_bench(&b);
}

static void refuses_the_gradient_of_a_statistic(void **state)
{
    (void)state;
    struct bench b;
    struct trace trace = {0};
    open_bench(&b);
    uint32_t inputs[] = {INPUT(&b, "x", 3, 4), INPUT(&b, "w", 4)};
    struct build_attributes attributes = {.epsilon = 0x1p-5f};
    uint32_t y = build_op(b.graph, OP_rmsnorm, inputs, &attributes), r = build_result(b.graph, y, 1);
    struct gradient_seed seed = {r, r};
    struct gradient_request request = {
        .seeds = &seed, .seed_count = 1, .wanted = b.inputs, .wanted_count = 2};
    assert_fails(gradient_build(b.gradients, b.graph, &request, &trace), UNSUPPORTED, &trace,
                 "first result only");
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(differentiates_products),
        cmocka_unit_test(differentiates_rmsnorm),
        cmocka_unit_test(differentiates_rope_both_ways),
        cmocka_unit_test(differentiates_attention),
        cmocka_unit_test(differentiates_pointwise_ops),
        cmocka_unit_test(differentiates_activations),
        cmocka_unit_test(differentiates_layernorm_and_its_bias),
        cmocka_unit_test(differentiates_norms_of_heads),
        cmocka_unit_test(differentiates_learned_positions),
        cmocka_unit_test(differentiates_a_rotation_of_parts_of_heads),
        cmocka_unit_test(differentiates_sums_and_products_with_broadcast),
        cmocka_unit_test(adds_what_reaches_a_value_twice),
        cmocka_unit_test(sums_the_rows_of_a_table),
        cmocka_unit_test(gives_nothing_where_nothing_depends),
        cmocka_unit_test(names_the_node_that_has_no_gradient),
        cmocka_unit_test(refuses_the_gradient_of_a_statistic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
