/* Prunable classes: names, sizes, carriers, what pruning means, and what is refused. */
#include "ir/text.h"
#include "passes/classes.h"
#include "tests/support/llama.h"
#include "tests/support/test.h"

struct found {
    struct arena arena;
    struct classes classes;
    struct graph *graph;
    struct trace trace;
};

static void find_in(struct found *f, struct graph *graph)
{
    *f = (struct found){.graph = graph};
    assert_ok(classes_find(&f->classes, &f->arena, graph, &f->trace), &f->trace);
}

static void found_release(struct found *f)
{
    arena_release(&f->arena);
    graph_destroy(f->graph);
}

static void assert_class(const struct found *f, const char *name, int64_t size, uint32_t carriers,
                         enum exactness exactness)
{
    const struct prunable *item = classes_get(&f->classes, name);
    if (!item)
        fail_msg("there is no class %s", name);
    if (item->size != size || item->carrier_count != carriers || item->exactness != exactness)
        fail_msg("%s has size %d, %u carriers and is %s", name, (int)item->size, item->carrier_count,
                 exactness_name(item->exactness));
}

/* Carriers counted by hand: D in embed, head, last norm, and 9 weights a layer; f in q, k and inv_freq. */
static void names_the_classes_of_a_llama(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, llama_create(&(struct llama_shape){2, 24, 8, 4, 6, 40, 50}));
    assert_class(&f, "hidden", 24, 2 * 9 + 3, RENORMALISES);
    assert_class(&f, "vocab", 50, 2, INTERFACE);
    assert_class(&f, "layers.0.ffn", 40, 3, EXACT);
    assert_class(&f, "layers.1.kv_heads", 4, 4, EXACT);
    assert_class(&f, "layers.1.heads", 2, 2, EXACT);
    assert_class(&f, "layers.1.value_size", 6, 2, EXACT);
    assert_class(&f, "head_pairs", 3, 2 * 2 + 1, EXACT);
    assert_int_equal(f.classes.count, 3 + 2 * 4);
    assert_string_equal(classes_get(&f.classes, "head_pairs")->facts, "contracted, paired");
    assert_ptr_equal(classes_get_layer(&f.classes, 1, "ffn"), classes_get(&f.classes, "layers.1.ffn"));
    const struct prunable *heads = classes_get(&f.classes, "layers.0.heads");
    assert_int_equal(heads->parent, classes_get(&f.classes, "layers.0.kv_heads")->leaf);
    found_release(&f);
}

/* One layer with learned positions, norms that centre, a rotation of a part of each head, and an MLP without
 * a gate. */
static struct graph *parse_other(struct trace *trace)
{
    static const char text[] =
        "espalier-ir 1\n"
        "input %0: i32[b, s] tokens\n"
        "tensor %1: f32[d0:30, d1:8] -\n"
        "tensor %2: f32[d2:16, d3:8] -\n"
        "tensor %3: f32[d4:8] -\n"
        "tensor %4: f32[d5:24, d6:8] -\n"
        "tensor %5: f32[d7:12, d8:8] -\n"
        "tensor %6: f32[d9:6, d10:8] -\n"
        "tensor %7: f32[d11:8, d12:12] -\n"
        "tensor %8: f32[d13:2] -\n"
        "tensor %9: f32[d14:8] -\n"
        "tensor %10: f32[d15:11, d16:8] -\n"
        "tensor %11: f32[d17:8, d18:11] -\n"
        "%12: f32[b, s, d1] = embed %1 %0\n"
        "%13: f32[b, s, d1] = add_positions %12 %2 start=0\n"
        "%14: f32[b, s, d1], %15: f32[b, s], %16: f32[b, s] = layernorm %13 %3 epsilon=1e-05\n"
        "%17: f32[b, s, d5] = matmul_nt %14 %4\n"
        "%18: f32[b, s, d7] = matmul_nt %14 %5\n"
        "%19: f32[b, s, d9] = matmul_nt %14 %6\n"
        "%20: f32[s, 2, d13] = rotary_table %0 %8\n"
        "%21: f32[b, s, d5] = rope_part %17 %20 heads=4 inverse=0\n"
        "%22: f32[b, s, d7] = rope_part %18 %20 heads=2 inverse=0\n"
        "%23: f32[b, s, 12], %24: f32[b, s, 4, 2] = attention %21 %22 %19 heads=4 kv_heads=2 "
        "scale=0.5 causal=1\n"
        "%25: f32[b, s, 8] = matmul_nt %23 %7\n"
        "%26: f32[b, s, 8] = add %13 %25\n"
        "%27: f32[b, s, 8], %28: f32[b, s], %29: f32[b, s] = layernorm %26 %9 epsilon=1e-05\n"
        "%30: f32[b, s, 11] = matmul_nt %27 %10\n"
        "%31: f32[b, s, 11] = relu %30\n"
        "%32: f32[b, s, 8] = matmul_nt %31 %11\n"
        "%33: f32[b, s, 8] = add %26 %32\n"
        "%34: f32[b, s, 30] = matmul_nt %33 %1\n"
        "output %34 logits\n";
    struct graph *graph = NULL;
    assert_ok(graph_parse(&graph, str_from(text), "other", trace), trace);
    return graph;
}

static void names_the_classes_of_other_families(void **state)
{
    (void)state;
    struct found f;
    struct trace trace = {0};
    find_in(&f, parse_other(&trace));
    assert_class(&f, "hidden", 8, 10, RENORMALISES);
    assert_class(&f, "layers.0.kv_heads", 2, 4, EXACT);
    assert_class(&f, "layers.0.heads", 2, 2, EXACT);
    assert_class(&f, "layers.0.value_size", 3, 2, EXACT);
    assert_class(&f, "layers.0.head_rest", 2, 2, EXACT);
    assert_class(&f, "layers.0.ffn", 11, 2, EXACT);
    assert_class(&f, "positions", 16, 1, REFUSED);
    assert_non_null(strstr(classes_get(&f.classes, "positions")->reason, "positions of a sequence index it"));
    found_release(&f);
}

static void tells_the_shape(void **state)
{
    (void)state;
    struct found f;
    int64_t size;
    find_in(&f, llama_create(&(struct llama_shape){3, 24, 8, 4, 6, 40, 50}));
    const struct shape *s = &f.classes.shape;
    assert_int_equal(s->layers, 3);
    assert_int_equal(s->hidden, 24);
    assert_int_equal(s->vocab, 50);
    assert_false(s->tied);
    assert_true(shape_is_uniform(s->heads, 3, &size) && size == 8);
    assert_true(shape_is_uniform(s->kv_heads, 3, &size) && size == 4);
    assert_true(shape_is_uniform(s->head_dim, 3, &size) && size == 6);
    assert_true(shape_is_uniform(s->ffn, 3, &size) && size == 40);
    assert_false(shape_is_uniform((int64_t[]){4, 0, 5}, 3, &size));
    assert_int_equal(s->parameters,
                     2 * 50 * 24 + 24 + 3 * (2 * 24 + 2 * 48 * 24 + 2 * 24 * 24 + 3 * 40 * 24));
    found_release(&f);
}

/* One key-value head, or as many as query heads: a factor of size 1 is no class. */
static void leaves_out_factors_of_size_one(void **state)
{
    (void)state;
    struct found f;
    find_in(&f, llama_create(&(struct llama_shape){1, 24, 4, 1, 6, 40, 50}));
    assert_null(classes_get(&f.classes, "layers.0.kv_heads"));
    assert_class(&f, "layers.0.heads", 4, 2, EXACT);
    assert_int_equal(classes_get(&f.classes, "layers.0.heads")->parent, DIM_NONE);
    found_release(&f);
    find_in(&f, llama_create(&(struct llama_shape){1, 24, 4, 4, 6, 40, 50}));
    assert_null(classes_get(&f.classes, "layers.0.heads"));
    assert_class(&f, "layers.0.kv_heads", 4, 4, EXACT);
    assert_class(&f, "head_pairs", 3, 3, EXACT);
    found_release(&f);
}

/* A tied head, no rotation, one MLP whose two weights meet a conflict. */
static void refuses_with_reason_and_path(void **state)
{
    (void)state;
    struct found f;
    struct graph *g = NULL;
    struct trace trace = {0};
    assert_ok(graph_parse(&g,
                          STR("espalier-ir 1\n"
                              "input %0: i32[b, s] tokens\n"
                              "tensor %1: f32[d0:10, d1:8] -\n"
                              "%2: f32[b, s, d1] = embed %1 %0\n"
                              "tensor %3: f32[d2:12, d1] -\n"
                              "%4: f32[b, s, d2] = matmul_nt %2 %3  # up\n"
                              "%5: f32[b, s, d2] = silu %4\n"
                              "tensor %6: f32[d1, d2] -\n"
                              "%7: f32[b, s, d1] = matmul_nt %5 %6\n"
                              "%8: f32[b, s, d1] = add %2 %7\n"
                              "%9: f32[b, s, d0] = matmul_nt %8 %1\n"
                              "output %9 logits\n"),
                          "test", &trace),
              &trace);
    uint32_t ffn = graph_value(g, g->nodes.items[1].results[0])->axes[2];
    dims_freeze(&g->dims, ffn, STR("incompatible factors 3 and 4"));
    find_in(&f, g);
    assert_true(f.classes.shape.tied);
    assert_class(&f, "hidden", 8, 3, EXACT); /* no norm runs over it */
    assert_class(&f, "vocab", 10, 1, INTERFACE);
    assert_class(&f, "layers.0.ffn", 12, 2, REFUSED);
    assert_string_equal(classes_get(&f.classes, "layers.0.ffn")->reason,
                        "frozen: incompatible factors 3 and 4; seen by matmul_nt (up), silu, matmul_nt");
    found_release(&f);
}

/* 100,000 nodes: what is found grows with the graph, and so does the memory that it takes (the time of such
 * graphs is that of bench/inspect_large.sh). */
static void takes_memory_in_step_with_the_graph(void **state)
{
    (void)state;
    size_t used[2], nodes[2];
    for (int64_t i = 0; i < 2; i++) {
        struct found f;
        int64_t layers = (i + 1) * 3600;
        find_in(&f, llama_create(&(struct llama_shape){(uint32_t)layers, 8, 2, 1, 4, 8, 16}));
        used[i] = f.arena.used;
        nodes[i] = f.graph->nodes.count;
        assert_int_equal(f.classes.shape.layers, layers);
        assert_int_equal(classes_get(&f.classes, "hidden")->carrier_count, 9 * layers + 3);
        found_release(&f);
    }
    assert_true(nodes[1] > 100000 && nodes[1] <= 2 * nodes[0]);
    assert_true(used[1] < 2.2 * (double)used[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_classes_of_a_llama),
        cmocka_unit_test(names_the_classes_of_other_families),
        cmocka_unit_test(tells_the_shape),
        cmocka_unit_test(leaves_out_factors_of_size_one),
        cmocka_unit_test(refuses_with_reason_and_path),
        cmocka_unit_test(takes_memory_in_step_with_the_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
