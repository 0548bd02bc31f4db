/* Unification of dimension terms: splitting, sums, facts, conflicts. */
#include "ir/build.h"
#include "ir/dim.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

static struct arena arena;

static void expect_text(const struct dims *dims, uint32_t term, const char *text)
{
    struct builder b = {0};
    dims_print(dims, term, &b);
    assert_string_equal(builder_text(&b), text);
    builder_release(&b);
}

static void splits_a_leaf_by_the_factors_of_a_product(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t whole = dims_leaf(&dims, 64),
             factors[3] = {dims_leaf(&dims, 4), dims_leaf(&dims, 2), dims_leaf(&dims, 8)};
    assert_true(dims_unify(&dims, whole, dims_product(&dims, factors, 3), &why));
    expect_text(&dims, whole, "(4*2*8)");
    uint32_t coarse[2] = {dims_leaf(&dims, 8), dims_leaf(&dims, 8)};
    uint32_t other = dims_product(&dims, coarse, 2);
    assert_true(dims_unify(&dims, other, whole, &why));
    expect_text(&dims, coarse[0], "(4*2)");
    assert_int_equal(dims_find(&dims, coarse[1]), dims_find(&dims, factors[2]));
}

static void splits_inside_a_product_by_a_sum(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t f = dims_leaf(&dims, 4), halves[2] = {f, f}, head = dims_sum(&dims, halves, 2);
    uint32_t heads_and_size[2] = {dims_leaf(&dims, 8), head}, axis = dims_leaf(&dims, 64);
    assert_true(dims_unify(&dims, dims_product(&dims, heads_and_size, 2), axis, &why));
    uint32_t groups[3] = {dims_leaf(&dims, 4), dims_leaf(&dims, 2), dims_leaf(&dims, 8)};
    assert_true(dims_unify(&dims, dims_product(&dims, groups, 3), axis, &why));
    expect_text(&dims, axis, "(4*2*(4+4))");
    uint32_t leaves[DIM_MAX_FACTORS];
    assert_int_equal(dims_leaves(&dims, axis, leaves), 3);
}

static void splits_sums_at_the_smaller_boundary(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t a[2] = {dims_leaf(&dims, 10), dims_leaf(&dims, 6)},
             b[2] = {dims_leaf(&dims, 4), dims_leaf(&dims, 12)};
    uint32_t x = dims_sum(&dims, a, 2), y = dims_sum(&dims, b, 2);
    assert_true(dims_unify(&dims, x, y, &why));
    expect_text(&dims, x, "(4+6+6)");
    expect_text(&dims, y, "(4+6+6)");
}

static void pushes_facts_to_the_parts_of_a_split_leaf(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t whole = dims_leaf(&dims, 6), f = dims_leaf(&dims, 3), halves[2] = {f, f};
    dims_add_fact(&dims, whole, FACT_NORMALISER);
    assert_true(dims_unify(&dims, whole, dims_sum(&dims, halves, 2), &why));
    assert_true(dims.terms.items[dims_find(&dims, f)].facts & FACT_NORMALISER);
}

static void freezes_leaves_that_conflict_and_says_why(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t a[2] = {dims_leaf(&dims, 3), dims_leaf(&dims, 4)},
             b[2] = {dims_leaf(&dims, 4), dims_leaf(&dims, 3)};
    assert_false(dims_unify(&dims, dims_product(&dims, a, 2), dims_product(&dims, b, 2), &why));
    assert_non_null(strstr(why.data, "incompatible factors 3 and 4"));
    assert_true(dims.terms.items[dims_find(&dims, a[1])].facts & FACT_FROZEN);
    assert_false(dims_unify(&dims, dims_leaf(&dims, 5), dims_leaf(&dims, 7), &why));
}

static void refuses_an_axis_that_contains_itself(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    struct str why;
    uint32_t x = dims_leaf(&dims, 1), y = dims_leaf(&dims, 4), parts[2] = {x, y}, big = dims_leaf(&dims, 5);
    assert_true(dims_unify(&dims, big, dims_sum(&dims, parts, 2), &why));
    uint32_t self[2] = {y, dims_leaf(&dims, 1)};
    assert_false(dims_unify(&dims, y, dims_sum(&dims, self, 2), &why));
}

static void evaluates_symbols_and_reports_overflow(void **state)
{
    (void)state;
    struct dims dims = {.arena = &arena};
    uint32_t b = dims_symbol(&dims, STR("b")), s = dims_symbol(&dims, STR("s")), both[2] = {b, s};
    uint32_t product = dims_product(&dims, both, 2);
    struct dim_binding sizes[2] = {{STR("b"), 3}, {STR("s"), 7}};
    assert_int_equal(dims_evaluate(&dims, product, sizes, 2), 21);
    assert_int_equal(dims_evaluate(&dims, product, sizes, 1), DIM_UNKNOWN);
    sizes[0].size = sizes[1].size = INT64_MAX / 2;
    assert_int_equal(dims_evaluate(&dims, product, sizes, 2), DIM_UNKNOWN);
}

/* The terms that the dimension analysis note lists for LLaMA. */
static void finds_the_terms_of_a_llama_block(void **state)
{
    (void)state;
    struct graph *g = llama_create(&(struct llama_shape){2, 24, 8, 4, 6, 40, 50});
    const char *expected[][3] = {{"layers.0.q", "(4*2*(3+3))", "24"}, {"layers.0.k", "(4*(3+3))", "24"},
                                 {"layers.0.v", "(4*6)", "24"},       {"layers.1.o", "24", "(4*2*6)"},
                                 {"layers.1.gate", "40", "24"},       {"head", "50", "24"}};
    uint32_t hidden = DIM_NONE;
    for (uint32_t t = 0; t < g->tensors.count; t++)
        for (size_t e = 0; e < sizeof expected / sizeof *expected; e++) {
            if (!str_is(g->tensors.items[t].name, expected[e][0]))
                continue;
            const struct value *v = graph_value(g, g->tensors.items[t].value);
            expect_text(&g->dims, v->axes[0], expected[e][1]);
            expect_text(&g->dims, v->axes[1], expected[e][2]);
            uint32_t axis = dims_find(&g->dims, v->axes[strcmp(expected[e][2], "24") != 0 ? 0 : 1]);
            assert_true(hidden == DIM_NONE || hidden == axis);
            hidden = axis;
        }
    assert_true(g->dims.terms.items[hidden].facts & FACT_NORMALISER);
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_a_leaf_by_the_factors_of_a_product),
        cmocka_unit_test(splits_inside_a_product_by_a_sum),
        cmocka_unit_test(splits_sums_at_the_smaller_boundary),
        cmocka_unit_test(pushes_facts_to_the_parts_of_a_split_leaf),
        cmocka_unit_test(freezes_leaves_that_conflict_and_says_why),
        cmocka_unit_test(refuses_an_axis_that_contains_itself),
        cmocka_unit_test(evaluates_symbols_and_reports_overflow),
        cmocka_unit_test(finds_the_terms_of_a_llama_block),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
