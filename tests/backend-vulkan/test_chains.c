/* Random chains of element-wise ops, and additions behind products and norms: the twin and a Vulkan device
 * give, chained and one node at a time, the same bytes. */
#include "backend-cpu/cpu.h"
#include "ir/build.h"
#include "tests/backend-vulkan/fixture.h"
#include "tests/support/random.h"
#include <inttypes.h>

enum { INPUTS = 5, MATRIX = 2, NODES = 24, OUTPUTS_MOST = NODES, ROUNDS = 8 };

/* A graph of element-wise nodes, norms and products with a matrix on [b, s, d]; some values are outputs.
 * Inputs are two such values, the matrix [d, d] and two biases [d]. */
struct random_graph {
    struct graph *graph;
    uint32_t inputs[INPUTS], outputs[OUTPUTS_MOST], output_count;
    int64_t counts[INPUTS], count; /* elements of each input; of all other values */
};

static const enum op unary[] = {OP_silu, OP_relu, OP_gelu, OP_gelu_tanh, OP_tanh};
static const enum op binary[] = {OP_add,       OP_mul,       OP_silu_grad,      OP_relu_grad,
                                 OP_gelu_grad, OP_tanh_grad, OP_gelu_tanh_grad, OP_add};

#define PICK(random, array) array[random_below(random, sizeof array / sizeof *array)]

/* Something that is added to often. */
static uint32_t add_head(struct random_graph *r, struct random *random, uint32_t a)
{
    static const enum op products[] = {OP_matmul_nt, OP_matmul_nn};
    static const enum op norms[] = {OP_rmsnorm, OP_layernorm};
    if (random_below(random, 2))
        return build_binary(r->graph, PICK(random, products), a, r->inputs[MATRIX]);
    return build_result(r->graph,
                        build_op(r->graph, PICK(random, norms), (uint32_t[]){a, r->inputs[INPUTS - 1]},
                                 &(struct build_attributes){.epsilon = 1e-5f}),
                        0);
}

static uint32_t add_node(struct random_graph *r, struct random *random, const uint32_t *values,
                         uint32_t count)
{
    uint32_t a = values[random_below(random, count)], b = values[random_below(random, count)];
    uint32_t bias = r->inputs[INPUTS - 1 - random_below(random, 2)];
    switch (random_below(random, 8)) {
    case 0:
        return build_unary(r->graph, PICK(random, unary), a);
    case 1:
        return build_binary(r->graph, random_below(random, 2) ? OP_add : OP_mul, a, bias);
    case 2:
        return build_op(r->graph, OP_scale, &a, &(struct build_attributes){.scale = random_float(random)});
    case 3:
    case 4: {
        uint32_t head = add_head(r, random, a);
        if (random_below(random, 3) == 0)
            head = build_binary(r->graph, OP_add, head, bias);
        switch (random_below(random, 4)) {
        case 0:
            return build_binary(r->graph, OP_add, b, head);
        case 1:
            return build_binary(r->graph, OP_add, head, b);
        case 2: /* another one may take this up */
            return build_binary(r->graph, OP_add, head, add_head(r, random, b));
        default:
            return head;
        }
    }
    default:
        return build_binary(r->graph, PICK(random, binary), a, b);
    }
}

static struct random_graph make_graph(struct random *random)
{
    struct random_graph r = {.graph = graph_create()};
    int64_t b = 4, s = 1 + random_below(random, 40), d = 1 + random_below(random, 90);
    uint32_t axes[] = {dims_leaf(&r.graph->dims, b), dims_leaf(&r.graph->dims, s),
                       dims_leaf(&r.graph->dims, d)};
    uint32_t square[] = {axes[2], axes[2]};
    uint32_t values[INPUTS + NODES], count = 0;
    r.count = b * s * d;
    for (uint32_t i = 0; i < INPUTS; i++) {
        char name[16];
        uint32_t rank = i < MATRIX ? 3 : i == MATRIX ? 2 : 1;
        snprintf(name, sizeof name, "x%" PRIu32, i);
        r.inputs[i] = build_input(r.graph, name, DTYPE_F32, rank,
                                  rank == 3   ? axes
                                  : rank == 2 ? square
                                              : axes + 2);
        r.counts[i] = rank == 3 ? r.count : rank == 2 ? d * d : d;
        if (i < MATRIX)
            values[count++] = r.inputs[i];
    }
    for (uint32_t n = 0; n < NODES; n++) {
        values[count] = add_node(&r, random, values, count);
        if (n + 1 == NODES || random_below(random, 5) == 0) {
            char name[16];
            snprintf(name, sizeof name, "y%" PRIu32, n);
            build_output(r.graph, name, values[count]);
            r.outputs[r.output_count++] = values[count];
        }
        count++;
    }
    return r;
}

/* All outputs, one after the other, in memory that the caller frees. */
static float *run_on(struct executor *executor, const struct random_graph *r, struct random random)
{
    struct trace trace = {0};
    struct binding bindings[INPUTS + OUTPUTS_MOST];
    struct program *program = NULL;
    uint32_t bound = 0;
    float *data = calloc((size_t)(r->count * r->output_count + r->counts[MATRIX]), sizeof *data);
    for (uint32_t i = 0; i < INPUTS; i++, bound++) {
        for (int64_t e = 0; e < r->counts[i]; e++)
            data[e] = (i == MATRIX ? 0.125f : 2) * random_float(&random);
        bindings[bound].value = r->inputs[i];
        assert_ok(executor_tensor_create(executor, DTYPE_F32, r->counts[i], &bindings[bound].tensor, &trace),
                  &trace);
        assert_ok(executor_tensor_write(executor, bindings[bound].tensor, 0, r->counts[i], data, &trace),
                  &trace);
    }
    for (uint32_t o = 0; o < r->output_count; o++, bound++) {
        bindings[bound].value = r->outputs[o];
        assert_ok(executor_tensor_create(executor, DTYPE_F32, r->count, &bindings[bound].tensor, &trace),
                  &trace);
    }
    struct program_spec spec = {.graph = r->graph, .bindings = bindings, .binding_count = bound};
    assert_ok(executor_compile(&program, executor, &spec, &trace), &trace);
    assert_ok(executor_run(executor, program, &trace), &trace);
    for (uint32_t o = 0; o < r->output_count; o++)
        assert_ok(executor_tensor_read(executor, bindings[INPUTS + o].tensor, 0, r->count,
                                       data + o * r->count, &trace),
                  &trace);
    executor_program_destroy(executor, program);
    for (uint32_t i = 0; i < bound; i++)
        executor_tensor_destroy(executor, bindings[i].tensor);
    return data;
}

static struct executor *open_twin(void)
{
    struct trace trace = {0};
    struct executor *executor = NULL;
    assert_ok(cpu_executor_create(&executor, (struct cpu_options){.threads = 1}, &trace), &trace);
    return executor;
}

/* `other` against the twin. */
static void check_against(struct executor *other, uint64_t seed)
{
    struct executor *alone = open_twin();
    struct random random = {seed};
    for (int round = 0; round < ROUNDS; round++) {
        struct random_graph r = make_graph(&random);
        struct random numbers = {seed + (uint64_t)round};
        float *expected = run_on(alone, &r, numbers), *found = run_on(other, &r, numbers);
        if (memcmp(expected, found, (size_t)(r.count * r.output_count) * sizeof *found) != 0)
            fail_msg("round %d: chains change bytes", round);
        free(expected);
        free(found);
        graph_destroy(r.graph);
    }
    executor_destroy(alone);
}

static void check_vulkan(enum fixture_driver driver, struct vulkan_options options)
{
    struct executor *chained = fixture_open(driver, options);
    check_against(chained, 4 + (uint64_t)driver);
    assert_true(executor_counters(chained).dispatches < executor_counters(chained).device_nodes);
    fixture_close(chained);
}

/* What an op hides from those behind it, as relu does minus infinity, is looked at; so it is not passed on in
 * a chain, and found with checks, and only with these. */
static void chains_hide_nothing_that_is_not_finite(void **state)
{
    (void)state;
    for (int checked = 0; checked < 2; checked++) {
        struct trace trace = {0};
        struct executor *e = fixture_open(
            FIXTURE_LAVAPIPE,
            (struct vulkan_options){.finite = checked ? VULKAN_FINITE_CHECKED : VULKAN_FINITE_UNCHECKED});
        struct graph *graph = graph_create();
        uint32_t axis = dims_leaf(&graph->dims, 3), tensors[2];
        uint32_t x = build_input(graph, "x", DTYPE_F32, 1, &axis);
        uint32_t sum = build_binary(graph, OP_add, build_binary(graph, OP_mul, x, x), x);
        uint32_t scaled = build_op(graph, OP_scale, &sum, &(struct build_attributes){.scale = -1});
        uint32_t y = build_unary(graph, OP_silu, build_unary(graph, OP_relu, scaled));
        build_output(graph, "y", y);
        for (int i = 0; i < 2; i++)
            assert_ok(executor_tensor_create(e, DTYPE_F32, 3, &tensors[i], &trace), &trace);
        const struct binding bindings[] = {{x, tensors[0]}, {y, tensors[1]}};
        struct program_spec spec = {.graph = graph, .bindings = bindings, .binding_count = 2};
        struct program *program;
        const float large[] = {1, 0x1p100f, 2};
        assert_ok(executor_compile(&program, e, &spec, &trace), &trace);
        assert_ok(executor_tensor_write(e, tensors[0], 0, 3, large, &trace), &trace);
        if (checked)
            assert_fails(executor_run(e, program, &trace), NOT_FINITE, &trace, "= scale, or in what");
        else
            assert_ok(executor_run(e, program, &trace), &trace);
        assert_true(checked || executor_counters(e).device_nodes == 5);
        executor_program_destroy(e, program);
        graph_destroy(graph);
        fixture_close(e);
    }
}

static void lavapipe_chains_without_changing_bytes(void **state)
{
    (void)state;
    check_vulkan(FIXTURE_LAVAPIPE, (struct vulkan_options){0});
}

static void swiftshader_chains_without_changing_bytes(void **state)
{
    (void)state;
    check_vulkan(FIXTURE_SWIFTSHADER, (struct vulkan_options){0});
}

static void chains_larger_than_a_binding_keep_their_bytes(void **state)
{
    (void)state;
    struct executor *chained = fixture_open(
        FIXTURE_LAVAPIPE, (struct vulkan_options){.max_buffer_bytes = 60000, .max_binding_bytes = 60000});
    check_against(chained, 7);
    fixture_close(chained);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lavapipe_chains_without_changing_bytes),
        cmocka_unit_test(swiftshader_chains_without_changing_bytes),
        cmocka_unit_test(chains_hide_nothing_that_is_not_finite),
        cmocka_unit_test(chains_larger_than_a_binding_keep_their_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
