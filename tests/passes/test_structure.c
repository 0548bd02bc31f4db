/* The residual stream, its branches and layers, found by dataflow. */
#include "ir/text.h"
#include "passes/remove_branches.h"
#include "passes/structure.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

static const struct llama_shape shape = {4, 24, 8, 4, 6, 40, 50};

struct found {
    struct arena arena;
    struct structure structure;
    struct graph *graph;
    struct trace trace;
};

static void find_in(struct found *f, struct graph *graph)
{
    *f = (struct found){.graph = graph};
    assert_ok(structure_find(&f->structure, &f->arena, graph, &f->trace), &f->trace);
}

static void found_release(struct found *f)
{
    arena_release(&f->arena);
    graph_destroy(f->graph);
}

static struct graph *parse(const char *text)
{
    struct graph *g = NULL;
    struct trace trace = {0};
    assert_ok(graph_parse(&g, str_from(text), "test", &trace), &trace);
    return g;
}

static void finds_layers_of_attention_and_mlp(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, llama_create(&shape));
    assert_int_equal(f.structure.branch_count, 8);
    assert_int_equal(f.structure.layer_count, 4);
    assert_int_equal(f.structure.period, 1);
    for (uint32_t b = 0; b < 8; b++) {
        const struct branch *branch = &f.structure.branches[b];
        assert_int_equal(branch->kind, b % 2 == 0 ? BRANCH_ATTENTION : BRANCH_MLP);
        assert_int_equal(branch->layer, b / 2);
        assert_int_equal(branch->reads, b);
        assert_int_equal(branch->node_count, b % 2 == 0 ? 8 : 6);
        assert_int_equal(branch->before, f.structure.stream[b]);
        assert_int_equal(branch->after, f.structure.stream[b + 1]);
        assert_true(hash128_equal(branch->hash, f.structure.branches[b % 2].hash));
    }
    assert_false(hash128_equal(f.structure.branches[0].hash, f.structure.branches[1].hash));
    found_release(&f);
}

/* Names and ids of weights, and the order of an add's operands, do not matter. */
static void does_not_look_at_names(void **state)
{
    (void)state;
    struct graph *g = llama_create(&shape);
    for (uint32_t t = 0; t < g->tensors.count; t++) {
        g->tensors.items[t].name = STR("w");
        g->tensors.items[t].has_id = true;
        g->tensors.items[t].id.low = t;
    }
    for (uint32_t n = 0; n < g->nodes.count; n++) {
        struct node *node = &g->nodes.items[n];
        uint32_t first = node->inputs[0];
        if (node->op == OP_add && n % 3 == 0) {
            node->inputs[0] = node->inputs[1];
            node->inputs[1] = first;
        }
    }
    struct found f;
    find_in(&f, g);
    assert_int_equal(f.structure.layer_count, 4);
    assert_int_equal(f.structure.period, 1);
    found_release(&f);
}

static void sees_where_layers_differ(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, llama_create(&shape));
    struct graph *without = NULL;
    uint32_t mlps[2] = {1, 5};
    assert_ok(remove_branches(&without, f.graph, &f.structure, mlps, 2, &f.trace), &f.trace);
    found_release(&f);
    find_in(&f, without);
    assert_int_equal(f.structure.branch_count, 6);
    assert_int_equal(f.structure.layer_count, 4);
    assert_int_equal(f.structure.layers[0].mlp, ID_NONE);
    assert_int_equal(f.structure.layers[2].mlp, ID_NONE);
    assert_int_equal(f.structure.layers[3].mlp, 5);
    assert_int_equal(f.structure.period, 2);
    found_release(&f);
}

static void lone_mlps_are_layers(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, llama_create(&shape));
    struct graph *without = NULL;
    uint32_t attention[2] = {0, 4};
    assert_ok(remove_branches(&without, f.graph, &f.structure, attention, 2, &f.trace), &f.trace);
    found_release(&f);
    find_in(&f, without);
    assert_int_equal(f.structure.layer_count, 4);
    assert_int_equal(f.structure.layers[0].attention, ID_NONE);
    assert_int_equal(f.structure.layers[0].mlp, 0);
    found_release(&f);
}

/* Both branches read the same norm of the stream (GPT-J): y = (x + attention(n)) + mlp(n). */
static const char parallel[] =
    "espalier-ir 1\n"
    "input %0: i32[b, s] tokens\n"
    "tensor %1: f32[d0:10, d1:8] -\n"
    "%2: f32[b, s, d1] = embed %1 %0\n"
    "tensor %3: f32[d1] -\n"
    "%4: f32[b, s, d1], %5: f32[b, s] = rmsnorm %2 %3 epsilon=0.001\n"
    "tensor %6: f32[d2:6, d1] -\n"
    "%7: f32[b, s, d2] = matmul_nt %4 %6\n"
    "tensor %8: f32[d3:6, d1] -\n"
    "%9: f32[b, s, d3] = matmul_nt %4 %8\n"
    "tensor %10: f32[d4:6, d1] -\n"
    "%11: f32[b, s, d4] = matmul_nt %4 %10\n"
    "%12: f32[b, s, d5:6], %13: f32[b, s, d6:3, d7:2] = attention %7 %9 %11 heads=3 kv_heads=3 scale=1 "
    "causal=1\n"
    "tensor %14: f32[d1, d5] -\n"
    "%15: f32[b, s, d1] = matmul_nt %12 %14\n"
    "%16: f32[b, s, d1] = add %2 %15\n"
    "tensor %17: f32[d8:12, d1] -\n"
    "%18: f32[b, s, d8] = matmul_nt %4 %17\n"
    "%19: f32[b, s, d8] = silu %18\n"
    "tensor %20: f32[d1, d8] -\n"
    "%21: f32[b, s, d1] = matmul_nt %19 %20\n"
    "%22: f32[b, s, d1] = add %16 %21\n"
    "tensor %23: f32[d9:10, d1] -\n"
    "%24: f32[b, s, d9] = matmul_nt %22 %23\n"
    "output %24 logits\n";

static void parallel_branches_read_the_same_stream(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, parse(parallel));
    assert_int_equal(f.structure.branch_count, 2);
    assert_int_equal(f.structure.layer_count, 1);
    assert_int_equal(f.structure.branches[0].reads, 0);
    assert_int_equal(f.structure.branches[1].reads, 0);
    assert_int_equal(f.structure.branches[1].kind, BRANCH_MLP);
    found_release(&f);
}

/* What moves the start: an embedding of positions added, then a norm. */
static void starts_after_what_is_made_of_the_embedding_alone(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, parse("espalier-ir 1\n"
                      "input %0: i32[b, s] tokens\n"
                      "input %1: i32[b, s] positions\n"
                      "tensor %2: f32[d0:10, d1:8] -\n"
                      "%3: f32[b, s, d1] = embed %2 %0\n"
                      "tensor %4: f32[d2:5, d1] -\n"
                      "%5: f32[b, s, d1] = embed %4 %1\n"
                      "%6: f32[b, s, d1] = add %3 %5\n"
                      "tensor %7: f32[d3:12, d1] -\n"
                      "%8: f32[b, s, d3] = matmul_nt %6 %7\n"
                      "%9: f32[b, s, d3] = silu %8\n"
                      "tensor %10: f32[d1, d3] -\n"
                      "%11: f32[b, s, d1] = matmul_nt %9 %10\n"
                      "%12: f32[b, s, d1] = add %11 %6\n"
                      "%13: f32[b, s, d0] = matmul_nt %12 %2\n"
                      "output %13 logits\n"));
    assert_int_equal(f.structure.branch_count, 1);
    assert_int_equal(f.structure.branches[0].before, f.graph->nodes.items[2].results[0]);
    found_release(&f);
}

static void says_when_there_is_no_stream(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct structure structure;
    struct trace trace = {0};
    struct graph *g =
        parse("espalier-ir 1\ninput %0: f32[b, d0:4] x\n%1: f32[b, d0] = silu %0\noutput %1 logits\n");
    assert_fails(structure_find(&structure, &arena, g, &trace), UNSUPPORTED, &trace, "no embedding");
    graph_destroy(g);
    /* the logits see the stream both before and after the branch */
    g = parse("espalier-ir 1\ninput %0: i32[b, s] tokens\ntensor %1: f32[d0:10, d1:8] -\n"
              "%2: f32[b, s, d1] = embed %1 %0\n%3: f32[b, s, d1] = silu %2\n"
              "%4: f32[b, s, d1] = add %2 %3\n%5: f32[b, s, d1] = mul %4 %2\n"
              "%6: f32[b, s, d0] = matmul_nt %5 %1\noutput %6 logits\n");
    assert_fails(structure_find(&structure, &arena, g, &trace), UNSUPPORTED, &trace,
                 "no single residual stream");
    graph_destroy(g);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_layers_of_attention_and_mlp),
        cmocka_unit_test(does_not_look_at_names),
        cmocka_unit_test(sees_where_layers_differ),
        cmocka_unit_test(lone_mlps_are_layers),
        cmocka_unit_test(parallel_branches_read_the_same_stream),
        cmocka_unit_test(starts_after_what_is_made_of_the_embedding_alone),
        cmocka_unit_test(says_when_there_is_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
