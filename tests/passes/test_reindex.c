/* The primitive: which elements of a weight are left, and what is refused. */
#include "ir/build.h"
#include "ir/text.h"
#include "passes/classes.h"
#include "passes/reindex.h"
#include "tests/support/evaluate.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

static const struct llama_shape shape = {1, 4, 6, 2, 8, 5, 7};

static const struct tensor *weight(const struct graph *g, const char *name)
{
    for (uint32_t t = 0; t < g->tensors.count; t++)
        if (str_is(g->tensors.items[t].name, name))
            return &g->tensors.items[t];
    fail_msg("no weight %s", name);
    return NULL;
}

static struct graph *make(void)
{
    struct graph *g = llama_create(&shape);
    weights_randomise(g, &(struct random){1}, 1);
    return g;
}

static uint32_t leaf_of(const struct graph *g, const char *name)
{
    struct arena arena = {0};
    struct classes classes;
    struct trace trace = {0};
    assert_ok(classes_find(&classes, &arena, g, &trace), &trace);
    const struct prunable *item = classes_get(&classes, name);
    assert_non_null(item);
    uint32_t leaf = item->leaf;
    arena_release(&arena);
    return leaf;
}

/* Rows of `sliced` are rows `expected` of `whole`, all columns. */
static void assert_rows(const struct tensor *sliced, const struct tensor *whole, const uint32_t *expected,
                        int64_t count)
{
    assert_int_equal(sliced->view.dims[0], count);
    int64_t columns = whole->view.dims[1];
    for (int64_t i = 0; i < count; i++) {
        float a[64], b[64];
        tensor_view_read_f32(&sliced->view, i * columns, columns, a);
        tensor_view_read_f32(&whole->view, expected[i] * columns, columns, b);
        assert_memory_equal(a, b, (size_t)columns * sizeof *a);
    }
}

/* q is (g:2 * r:3 * (f:4 + f:4)): groups {1}, heads {0,2} of it, pairs {1,3}: written out by hand. */
static void gathers_products_and_sums(void **state)
{
    (void)state;
    struct graph *g = make(), *to = NULL;
    uint32_t groups = leaf_of(g, "layers.0.kv_heads");
    struct keep keeps[3] = {
        {groups, 1, DIM_NONE, (uint32_t[]){1}},
        {leaf_of(g, "layers.0.heads"), 2, groups, (uint32_t[]){0, 1, 0, 2}},
        {leaf_of(g, "head_pairs"), 2, DIM_NONE, (uint32_t[]){1, 3}},
    };
    struct trace trace = {0};
    assert_ok(reindex(&to, g, keeps, 3, &trace), &trace);
    assert_ok(graph_verify(to, &trace), &trace);
    static const uint32_t q[8] = {25, 27, 29, 31, 41, 43, 45, 47}, k[4] = {9, 11, 13, 15};
    static const uint32_t v[8] = {8, 9, 10, 11, 12, 13, 14, 15};
    assert_rows(weight(to, "layers.0.q"), weight(g, "layers.0.q"), q, 8);
    assert_rows(weight(to, "layers.0.k"), weight(g, "layers.0.k"), k, 4);
    assert_rows(weight(to, "layers.0.v"), weight(g, "layers.0.v"), v, 8);
    assert_int_equal(weight(to, "inv_freq")->view.dims[0], 2);
    assert_ptr_equal(weight(to, "layers.0.q")->view.base, weight(g, "layers.0.q")->view.base);
    graph_destroy(g), graph_destroy(to);
}

/* The result outlives its source, reindexed again and again. */
static void views_do_not_borrow_from_the_source_graph(void **state)
{
    (void)state;
    struct graph *g = make(), *a = NULL, *b = NULL;
    struct trace trace = {0};
    struct keep keep = {leaf_of(g, "layers.0.ffn"), 3, DIM_NONE, (uint32_t[]){0, 2, 4}};
    assert_ok(reindex(&a, g, &keep, 1, &trace), &trace);
    keep = (struct keep){leaf_of(a, "layers.0.ffn"), 2, DIM_NONE, (uint32_t[]){2, 1}};
    assert_ok(reindex(&b, a, &keep, 1, &trace), &trace);
    graph_destroy(a);
    struct graph *c = graph_clone(b);
    graph_destroy(b);
    assert_rows(weight(c, "layers.0.up"), weight(g, "layers.0.up"), (uint32_t[]){4, 2}, 2);
    graph_destroy(c), graph_destroy(g);
}

static void keeping_all_changes_nothing(void **state)
{
    (void)state;
    struct graph *g = make(), *to = NULL;
    struct trace trace = {0};
    for (uint32_t t = 0; t < g->tensors.count; t++) {
        g->tensors.items[t].has_id = true;
        g->tensors.items[t].id.low = t;
    }
    struct keep keep = {leaf_of(g, "hidden"), 4, DIM_NONE, (uint32_t[]){0, 1, 2, 3}};
    assert_ok(reindex(&to, g, &keep, 1, &trace), &trace);
    assert_true(hash128_equal(graph_hash(g), graph_hash(to)));
    graph_destroy(to);
    keep.lists = (uint32_t[]){0, 1, 3, 2}; /* another order is another weight: the id goes */
    assert_ok(reindex(&to, g, &keep, 1, &trace), &trace);
    assert_false(hash128_equal(graph_hash(g), graph_hash(to)));
    assert_false(weight(to, "embed")->has_id);
    graph_destroy(g), graph_destroy(to);
}

static void lists_per_parent_need_the_parent_everywhere(void **state)
{
    (void)state;
    struct graph *g = make();
    uint32_t groups = leaf_of(g, "layers.0.kv_heads"), heads = leaf_of(g, "layers.0.heads");
    struct arena scratch = {0};
    struct leaf_index values = leaf_index_values(&scratch, g);
    assert_true(reindex_allows_parent(g, &values, heads, groups));
    assert_true(reindex_allows_parent(g, &values, leaf_of(g, "layers.0.value_size"), groups));
    assert_false(reindex_allows_parent(g, &values, groups, heads));
    assert_false(
        reindex_allows_parent(g, &values, leaf_of(g, "head_pairs"), groups)); /* inv_freq has no groups */
    arena_release(&scratch);
    graph_destroy(g);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    struct graph *g = make();
    uint32_t ffn = leaf_of(g, "layers.0.ffn"), groups = leaf_of(g, "layers.0.kv_heads");
    uint32_t pairs = leaf_of(g, "head_pairs"), batch = graph_value(g, graph_find_input(g, "tokens"))->axes[0];
    const struct {
        struct keep keep;
        enum status code;
        const char *words;
    } cases[] = {
        {{ffn, 0, DIM_NONE, NULL}, INVALID, "nothing of an axis of size 5 would be left"},
        {{ffn, 2, DIM_NONE, (uint32_t[]){1, 5}}, INVALID, "position 5 of an axis of size 5"},
        {{ffn, 2, DIM_NONE, (uint32_t[]){3, 3}}, INVALID, "position 3 is in the list of kept ones twice"},
        {{batch, 1, DIM_NONE, (uint32_t[]){0}}, INVALID, "is dynamic"},
        {{graph_value(g, weight(g, "layers.0.q")->value)->axes[0], 1, DIM_NONE, (uint32_t[]){0}},
         INVALID,
         "made of several leaves"},
        {{pairs, 1, groups, (uint32_t[]){0, 1}}, INVALID, "cannot have a list for each position"},
    };
    struct trace trace = {0};
    struct graph *to = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(reindex(&to, g, &cases[i].keep, 1, &trace), cases[i].code, &trace, cases[i].words);
    struct keep twice[2] = {{ffn, 1, DIM_NONE, (uint32_t[]){0}}, {ffn, 1, DIM_NONE, (uint32_t[]){0}}};
    assert_fails(reindex(&to, g, twice, 2, &trace), INVALID, &trace, "reindexed twice");
    dims_freeze(&g->dims, ffn, STR("because"));
    assert_fails(reindex(&to, g, twice, 1, &trace), UNSUPPORTED, &trace, "cannot be pruned: because");
    graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gathers_products_and_sums),
        cmocka_unit_test(views_do_not_borrow_from_the_source_graph),
        cmocka_unit_test(keeping_all_changes_nothing),
        cmocka_unit_test(lists_per_parent_need_the_parent_everywhere),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
