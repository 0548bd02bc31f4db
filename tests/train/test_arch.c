/* The graph of the LLaMA family, and the signals found in it. */
#include "ir/text.h"
#include "tests/train/model.h"
#include "train/signals.h"

static void builds_a_graph_that_verifies(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct graph *graph = model_build(model_arch(), 1);
    assert_ok(graph_verify(graph, &trace), &trace);
    assert_int_equal(graph->tensors.count, 1 + 1 + 2 * 9 + 2);
    /* embedding and head, then per layer two norms, q k v o and three of the MLP, then the last norm;
     * rotary frequencies are no parameters */
    assert_int_equal(graph_parameters(graph),
                     2 * 67 * 24 + 2 * (2 * 24 + 2 * 24 * 24 + 2 * 24 * 12 + 3 * 24 * 40) + 24);
    graph_destroy(graph);
}

static void has_one_tensor_for_tied_ends(void **state)
{
    (void)state;
    struct arch arch = model_arch();
    arch.tied = true;
    struct graph *graph = model_build(arch, 1);
    struct arena arena = {0};
    struct signals signals;
    struct trace trace = {0};
    assert_ok(signals_find(&signals, &arena, graph, &trace), &trace);
    assert_int_equal(signals.head, graph->tensors.items[0].value);
    assert_string_equal(graph->tensors.items[0].name.data, "embed");
    arena_release(&arena);
    graph_destroy(graph);
}

static void finds_signals_by_name(void **state)
{
    (void)state;
    struct graph *graph = model_build(model_arch(), 1);
    struct arena arena = {0};
    struct signals signals;
    struct trace trace = {0};
    assert_ok(signals_find(&signals, &arena, graph, &trace), &trace);
    assert_int_equal(signals.residuals.count, 5); /* the embedding and two sums a layer */
    uint32_t first = signals_get(&signals, STR("residual.0"));
    assert_int_equal(graph->nodes.items[graph_value(graph, first)->source].op, OP_embed);
    uint32_t last = signals_get(&signals, STR("residual.4"));
    const struct node *norm =
        &graph->nodes.items[graph_value(graph, signals_get(&signals, STR("hidden")))->source];
    assert_int_equal(norm->op, OP_rmsnorm);
    assert_int_equal(norm->inputs[0], last);
    assert_int_equal(signals_get(&signals, STR("residual.5")), ID_NONE);
    assert_int_equal(signals_get(&signals, STR("residual.x")), ID_NONE);
    assert_int_equal(signals_get(&signals, STR("nothing")), ID_NONE);
    arena_release(&arena);
    graph_destroy(graph);
}

static void rejects_sizes_that_do_not_fit(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct graph *graph;
    struct arch arch = model_arch();
    arch.kv_heads = 3;
    assert_fails(arch_build(&graph, &arch, &trace), INVALID, &trace, "not a multiple");
    arch = model_arch();
    arch.head_dim = 5;
    assert_fails(arch_build(&graph, &arch, &trace), INVALID, &trace, "even head_dim");
    arch = model_arch();
    arch.ffn = 0;
    assert_fails(arch_build(&graph, &arch, &trace), INVALID, &trace, "expected ffn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_a_graph_that_verifies),
        cmocka_unit_test(has_one_tensor_for_tied_ends),
        cmocka_unit_test(finds_signals_by_name),
        cmocka_unit_test(rejects_sizes_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
