/* What shapes cost, against published numbers and against the graphs of those shapes. */
#include "passes/receipt.h"
#include "search/bill.h"
#include "tests/emit/model.h"
#include "tests/support/test.h"
#include "train/arch.h"

static const struct circumstances plain = {1, 1, 16, 16};

static void read_description(struct bill *out, struct arena *arena, const char *base)
{
    struct trace trace = {0};
    struct yaml_value *root;
    struct settings settings;
    char text[512];
    snprintf(text, sizeof text, "base: {%s}\n", base);
    assert_ok(yaml_read(&root, arena, str_from(text), "text", &trace), &trace);
    assert_ok(settings_read(&settings, arena, "search", root, NULL, "text", &trace), &trace);
    assert_ok(bill_of_description(out, arena, &settings, &trace), &trace);
}

/* Without norms: the shapes of arXiv 2407.14679 (tables 10 and 13), 2408.11796 and the models' own
 * configurations, the papers' rounded totals to the last digit as added up outside of this program. With
 * norms: what the released checkpoints hold. */
static const struct {
    const char *name, *base;
    int64_t parameters, non_embedding; /* the latter 0: not published */
} published[] = {
#define NEMOTRON "kv_heads: 8, head_dim: 128, vocab: 256000, tied: false, gated: false, norm: none, "
    {"Nemotron-4 15B", NEMOTRON "layers: 32, heads: 48, ffn: 24576, hidden: 6144", 15627976704, 12482248704},
    {"Minitron 8B", NEMOTRON "layers: 32, heads: 48, ffn: 16384, hidden: 4096", 8271167488, 6174015488},
    {"Minitron 4B", NEMOTRON "layers: 32, heads: 24, ffn: 9216, hidden: 3072", 4190109696, 2617245696},
    {"8B-Depth", NEMOTRON "layers: 16, heads: 48, ffn: 24576, hidden: 6144", 9386852352, 0},
    {"8B-Width", NEMOTRON "layers: 32, heads: 32, ffn: 16384, hidden: 4096", 7734296576, 0},
    {"Depth and width", NEMOTRON "layers: 28, heads: 32, ffn: 16384, hidden: 4608", 7908360192, 0},
#define LLAMA "heads: 32, kv_heads: 8, head_dim: 128, vocab: 128256, tied: false, "
    {"Llama-3.1-8B", LLAMA "norm: none, layers: 32, ffn: 14336, hidden: 4096", 8029995008, 6979321856},
    {"Llama-3.1-8B, norms", LLAMA "layers: 32, ffn: 14336, hidden: 4096", 8030261248, 0},
    {"4B-Width", LLAMA "norm: none, layers: 32, ffn: 9216, hidden: 3072", 4512546816, 3724541952},
    {"4B-Depth", LLAMA "norm: none, layers: 16, ffn: 14336, hidden: 4096", 4540334080, 3489660928},
#define MISTRAL "heads: 32, kv_heads: 8, head_dim: 128, vocab: 131072, tied: false, "
    {"Mistral-NeMo-12B", MISTRAL "norm: none, layers: 40, ffn: 14336, hidden: 5120", 12247367680,
     10905190400},
    {"MN-Minitron-8B", MISTRAL "norm: none, layers: 40, ffn: 11520, hidden: 4096", 8413773824, 7340032000},
#define QWEN "heads: 32, kv_heads: 8, head_dim: 128, vocab: 151936, tied: false, ffn: 12288, "
    {"Qwen3-8B", QWEN "norm: none, layers: 36, hidden: 4096", 8190427136, 0},
    {"Qwen3-8B, norms", QWEN "qk_norm: true, layers: 36, hidden: 4096", 8190735360, 0},
    {"Qwen3-8B of 3840", QWEN "norm: none, layers: 32, hidden: 3840", 6955008000, 0},
    {"Qwen3-8B of 22 layers", QWEN "norm: none, layers: 22, hidden: 4096", 5489295360, 0},
    {"Qwen2.5-0.5B", "layers: 24, hidden: 896, heads: 14, kv_heads: 2, ffn: 4864, vocab: 151936, bias: qkv",
     494032768, 0},
    {"GPT-2",
     "layers: 12, hidden: 768, heads: 12, ffn: 3072, vocab: 50257, positions: 1024, gated: false, "
     "norm: layer, bias: [qkv, o, mlp]",
     124439808, 0},
};

static void counts_are_those_that_were_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        struct arena arena = {0};
        struct bill bill;
        struct cost cost;
        read_description(&bill, &arena, published[i].base);
        assert_true(bill_total(&cost, &bill, &bill.base, &plain));
        if (cost.of[COST_PARAMETERS] != published[i].parameters)
            fail_msg("%s: %lld parameters, published are %lld", published[i].name,
                     (long long)cost.of[COST_PARAMETERS], (long long)published[i].parameters);
        if (published[i].non_embedding)
            assert_int_equal(cost.of[COST_NON_EMBEDDING], published[i].non_embedding);
        arena_release(&arena);
    }
}

/* Minitron 4B by hand: 2 bytes a weight, 2 * 32 * 8 * 128 numbers a token; non-embedding weights and the head
 * once a token, 4 * 32 * 24 * 128 a key. */
static void memory_and_flops_are_as_by_hand(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct bill bill;
    struct cost cost;
    struct circumstances c = {3, 1000, 16, 8};
    read_description(&bill, &arena, published[2].base);
    assert_true(bill_total(&cost, &bill, &bill.base, &c));
    assert_int_equal(cost.of[COST_MEMORY], 2 * 4190109696 + 65536LL * 3 * 1000);
    assert_int_equal(cost.of[COST_FLOPS], 2 * (2617245696 + 256000LL * 3072) + 393216LL * 1000);
    c.weight_bits = 4;
    assert_true(bill_total(&cost, &bill, &bill.base, &c));
    assert_int_equal(cost.of[COST_MEMORY], 4190109696 / 2 + 65536LL * 3 * 1000);
    arena_release(&arena);
}

static void tied_heads_count_once_and_work_twice(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct bill tied, untied;
    struct cost a, b;
    read_description(&tied, &arena, "layers: 1, hidden: 8, heads: 2, ffn: 8, vocab: 100");
    read_description(&untied, &arena, "layers: 1, hidden: 8, heads: 2, ffn: 8, vocab: 100, tied: false");
    assert_true(bill_total(&a, &tied, &tied.base, &plain));
    assert_true(bill_total(&b, &untied, &untied.base, &plain));
    assert_int_equal(b.of[COST_PARAMETERS] - a.of[COST_PARAMETERS], 800);
    assert_int_equal(b.of[COST_NON_EMBEDDING], a.of[COST_NON_EMBEDDING]);
    assert_int_equal(b.of[COST_FLOPS], a.of[COST_FLOPS]);
    arena_release(&arena);
}

static void too_large_is_noticed(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct bill bill;
    struct cost cost;
    read_description(&bill, &arena,
                     "layers: 4096, hidden: 1048576, heads: 65536, head_dim: 65536, ffn: 1, vocab: 1");
    assert_false(bill_total(&cost, &bill, &bill.base, &plain));
    arena_release(&arena);
}

/* ---- of graphs ---- */

static struct graph *build(const struct arch *arch)
{
    struct trace trace = {0};
    struct graph *graph;
    assert_ok(arch_build(&graph, arch, &trace), &trace);
    return graph;
}

/* The bill of `base` says of `other` what the graph of `other` has. */
static void assert_predicts(const struct arch *base, const struct arch *other)
{
    struct arena arena = {0};
    struct trace trace = {0};
    struct bill bill;
    struct cost cost;
    struct circumstances c = {1, 77, 16, 16};
    struct graph *graph = build(base), *made = build(other);
    assert_ok(bill_of_graph(&bill, &arena, graph, &trace), &trace);
    struct sizes sizes = {{other->layers, other->hidden, other->heads, other->kv_heads, other->ffn}};
    assert_true(bill_total(&cost, &bill, &sizes, &c));
    struct flops flops = flops_count(made);
    assert_int_equal(cost.of[COST_PARAMETERS], graph_parameters(made));
    assert_int_equal(cost.of[COST_FLOPS], flops.token + 77 * flops.key);
    assert_int_equal(cost.of[COST_NON_EMBEDDING],
                     graph_parameters(made) - (other->tied ? 1 : 2) * other->vocab * other->hidden);
    graph_destroy(graph);
    graph_destroy(made);
    arena_release(&arena);
}

static void a_graph_tells_the_cost_of_every_shape(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct arch base = {3, 48, 12, 4, 6, 80, 101, tied, 0, 0};
        const struct arch others[] = {base,
                                      {1, 48, 12, 4, 6, 80, 101, tied, 0, 0},
                                      {2, 30, 6, 2, 6, 33, 101, tied, 0, 0},
                                      {3, 17, 4, 4, 6, 1, 101, tied, 0, 0},
                                      {3, 48, 3, 1, 6, 79, 101, tied, 0, 0}};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            assert_predicts(&base, &others[i]);
    }
}

/* Leaves of size 1 are in no term: one layer, one key-value head, or one query head each. */
static void sizes_of_one_are_counted_too(void **state)
{
    (void)state;
    struct arch one_group = {1, 16, 4, 1, 4, 12, 50, true, 0, 0}, fewer = {1, 10, 2, 1, 4, 7, 50, true, 0, 0};
    assert_predicts(&one_group, &fewer);
    struct arch full = {2, 16, 4, 4, 4, 12, 50, false, 0, 0}, half = {1, 10, 2, 2, 4, 7, 50, false, 0, 0};
    assert_predicts(&full, &half);
}

static void biases_of_a_graph_are_counted(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct trace trace = {0};
    struct bill bill;
    struct cost cost;
    struct model_shape shape = {.layers = 2,
                                .hidden = 16,
                                .heads = 4,
                                .kv_heads = 2,
                                .head_size = 4,
                                .ffn = 24,
                                .vocabulary = 40,
                                .biased = true};
    struct graph *graph = model_create(&shape);
    assert_ok(bill_of_graph(&bill, &arena, graph, &trace), &trace);
    assert_true(bill_total(&cost, &bill, &bill.base, &plain));
    assert_int_equal(cost.of[COST_PARAMETERS], graph_parameters(graph));
    graph_destroy(graph);
    arena_release(&arena);
}

static void layers_that_differ_are_refused(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct trace trace = {0};
    struct bill bill;
    struct model_shape shape = {.layers = 2,
                                .hidden = 16,
                                .heads = 4,
                                .kv_heads = 2,
                                .head_size = 4,
                                .ffn = 24,
                                .vocabulary = 40,
                                .last_ffn = 20};
    struct graph *graph = model_create(&shape);
    assert_fails(bill_of_graph(&bill, &arena, graph, &trace), UNSUPPORTED, &trace, "not alike");
    graph_destroy(graph);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_those_that_were_published),
        cmocka_unit_test(memory_and_flops_are_as_by_hand),
        cmocka_unit_test(tied_heads_count_once_and_work_twice),
        cmocka_unit_test(too_large_is_noticed),
        cmocka_unit_test(a_graph_tells_the_cost_of_every_shape),
        cmocka_unit_test(sizes_of_one_are_counted_too),
        cmocka_unit_test(biases_of_a_graph_are_counted),
        cmocka_unit_test(layers_that_differ_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
