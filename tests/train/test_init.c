/* Fresh weights: their roles, their spread, and that any part comes out the same alone. */
#include "tests/train/model.h"
#include "train/init.h"
#include <math.h>

static struct init_plan make_plan(struct arena *arena, const struct graph *graph, enum init_residual residual)
{
    struct init_plan plan;
    struct trace trace = {0};
    struct init_options options = {.seed = 7, .residual = residual};
    assert_ok(init_plan_make(&plan, arena, graph, &options, &trace), &trace);
    return plan;
}

static uint32_t find_tensor(const struct graph *graph, const char *name)
{
    for (uint32_t t = 0; t < graph->tensors.count; t++)
        if (str_is(graph->tensors.items[t].name, name))
            return t;
    fail_msg("no tensor %s", name);
    return 0;
}

static void finds_roles_by_structure(void **state)
{
    (void)state;
    struct graph *graph = model_build(model_arch(), 1);
    struct arena arena = {0};
    struct init_plan plan = make_plan(&arena, graph, INIT_RESIDUAL_SCALED);
    assert_int_equal(plan.tensors[find_tensor(graph, "inv_freq")].role, INIT_KEPT);
    assert_int_equal(plan.tensors[find_tensor(graph, "layers.1.o")].role, INIT_RESIDUAL);
    assert_int_equal(plan.tensors[find_tensor(graph, "layers.0.down")].role, INIT_RESIDUAL);
    assert_int_equal(plan.tensors[find_tensor(graph, "layers.0.up")].role, INIT_MATRIX);
    assert_int_equal(plan.tensors[find_tensor(graph, "embed")].role, INIT_MATRIX);
    assert_int_equal(plan.tensors[find_tensor(graph, "layers.0.mlp_norm")].role, INIT_ONES);
    assert_float_equal(plan.tensors[find_tensor(graph, "layers.0.down")].deviation, 0.01f,
                       1e-7f); /* 0.02 / sqrt 4 */
    assert_true(tensor_is_constant(graph, find_tensor(graph, "inv_freq")));
    assert_false(tensor_is_constant(graph, find_tensor(graph, "head")));
    arena_release(&arena);
    graph_destroy(graph);
}

static void reads_any_part_alone(void **state)
{
    (void)state;
    struct graph *graph = model_build(model_arch(), 1);
    struct arena arena = {0};
    struct init_plan plan = make_plan(&arena, graph, INIT_RESIDUAL_PLAIN);
    uint32_t t = find_tensor(graph, "embed");
    enum { ALL = 67 * 24 };
    static float all[ALL], part[ALL];
    init_read(&plan, t, 0, ALL, all);
    for (int64_t first = 0, n = 1; first < ALL; first += n, n = n % 7 + 1) {
        int64_t count = ALL - first < n ? ALL - first : n;
        init_read(&plan, t, first, count, part);
        assert_memory_equal(part, all + first, (size_t)count * sizeof *part);
    }
    init_read(&plan, find_tensor(graph, "head"), 0, ALL, part);
    assert_memory_not_equal(part, all, sizeof all); /* another stream */
    arena_release(&arena);
    graph_destroy(graph);
}

static void spreads_like_a_normal(void **state)
{
    (void)state;
    struct arch arch = model_arch();
    arch.vocab = 4000;
    struct graph *graph = model_build(arch, 1);
    struct arena arena = {0};
    struct init_plan plan = make_plan(&arena, graph, INIT_RESIDUAL_PLAIN);
    init_fill(&plan, graph);
    const struct tensor_view *view = &graph->tensors.items[find_tensor(graph, "embed")].view;
    int64_t count = tensor_view_count(view);
    const float *x = (const float *)view->base;
    double sum = 0, squares = 0, fourth = 0;
    for (int64_t i = 0; i < count; i++) {
        double z = x[i] / 0.02;
        sum += z, squares += z * z, fourth += z * z * z * z;
    }
    /* 96000 samples: five standard errors of mean (1), variance (sqrt 2) and fourth moment (sqrt 96) */
    double unit = 5 / sqrt((double)count);
    assert_true(fabs(sum / (double)count) < unit);
    assert_true(fabs(squares / (double)count - 1) < unit * sqrt(2));
    assert_true(fabs(fourth / (double)count - 3) < unit * sqrt(96));
    arena_release(&arena);
    graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_roles_by_structure),
        cmocka_unit_test(reads_any_part_alone),
        cmocka_unit_test(spreads_like_a_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
