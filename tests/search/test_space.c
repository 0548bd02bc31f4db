/* Search files: the published lists, limits and their ends, and files that are wrong. */
#include "base/file.h"
#include "search/search.h"
#include "tests/support/test.h"
#include <math.h>

/* layers, heads, ffn, hidden. arXiv 2407.14679: the 18 of table 9's grid of 4B, the 15 of table 19. */
static const int64_t of_4b[][4] = {{29, 24, 9216, 3072},  {29, 32, 7680, 3072}, {29, 32, 9216, 3072},
                                   {29, 48, 10240, 2560}, {30, 24, 9216, 3072}, {30, 32, 7680, 3072},
                                   {30, 48, 10240, 2560}, {31, 24, 7680, 3072}, {31, 24, 9216, 3072},
                                   {31, 32, 7680, 3072},  {31, 48, 8960, 2560}, {31, 48, 10240, 2560},
                                   {32, 24, 7680, 3072},  {32, 24, 9216, 3072}, {32, 32, 7680, 3072},
                                   {32, 32, 10240, 2560}, {32, 48, 8960, 2560}, {32, 48, 10240, 2560}};
static const int64_t of_8b[][4] = {{32, 32, 12800, 5120}, {32, 32, 13824, 4608}, {32, 48, 11520, 4608},
                                   {32, 48, 16384, 4096}, {31, 32, 12800, 5120}, {31, 32, 16128, 4608},
                                   {31, 48, 13824, 4608}, {31, 48, 16384, 4096}, {30, 32, 12800, 5120},
                                   {30, 32, 16128, 4608}, {30, 48, 13824, 4608}, {30, 48, 16384, 4096},
                                   {29, 32, 12800, 5120}, {29, 32, 16128, 4608}, {29, 48, 13824, 4608}};

static bool has(const struct search *search, const int64_t shape[4])
{
    for (uint32_t i = 0; i < search->candidates.items.count; i++) {
        const int64_t *of = search->candidates.items.items[i].sizes.of;
        if (of[SIZE_LAYERS] == shape[0] && of[SIZE_HEADS] == shape[1] && of[SIZE_FFN] == shape[2] &&
            of[SIZE_HIDDEN] == shape[3] && of[SIZE_KV_HEADS] == 8)
            return true;
    }
    return false;
}

static void assert_lists(const char *path, const int64_t (*shapes)[4], uint32_t count)
{
    struct trace trace = {0};
    struct search search;
    assert_ok(search_read(&search, path, &trace), &trace);
    assert_int_equal(search.candidates.items.count, count);
    for (uint32_t i = 0; i < count; i++)
        if (!has(&search, shapes[i]))
            fail_msg("%s lacks %d/%d/%d/%d", path, (int)shapes[i][0], (int)shapes[i][1], (int)shapes[i][2],
                     (int)shapes[i][3]);
    for (uint32_t i = 0; i + 1 < count; i++)
        assert_true(search.candidates.items.items[i].cost.of[COST_PARAMETERS] <=
                    search.candidates.items.items[i + 1].cost.of[COST_PARAMETERS]);
    search_release(&search);
}

static void lists_the_published_candidates(void **state)
{
    (void)state;
    assert_lists("examples/search/minitron-4b.yaml", of_4b, sizeof of_4b / sizeof *of_4b);
    assert_lists("examples/search/minitron-8b.yaml", of_8b, sizeof of_8b / sizeof *of_8b);
}

/* ---- files of our own ---- */

#define BASE "base: {layers: 4, hidden: 64, heads: 8, kv_heads: 4, ffn: 128, vocab: 100, norm: none}\n  "

static enum status read_file(struct search *out, const char *whole, struct trace *trace)
{
    char *directory = test_directory_create(), path[4200];
    snprintf(path, sizeof path, "%s/s.yaml", directory);
    assert_ok(file_write(path, whole, strlen(whole), trace), trace);
    enum status status = search_read(out, path, trace);
    test_directory_remove(directory);
    return status;
}

/* Table 19 is not the range of 5 % about 8.0e9, which holds 18 shapes, 13 of them in the table: it goes from
 * 7.871e9 to 8.493e9, and the shapes of the grid next to that are of 7.772e9 and 8.550e9. */
static void table_19_is_a_range_of_its_own(void **state)
{
    (void)state;
    static const char grid[] =
        "espalier: 1\nsearch:\n"
        "  base: {layers: 32, hidden: 6144, heads: 48, kv_heads: 8, head_dim: 128, ffn: 24576, vocab: 256000, "
        "tied: false, gated: false, norm: none}\n"
        "  grid: {layers: [29, 30, 31, 32], hidden: [4096, 4608, 5120, 5632, 6144], heads: [32, 48], "
        "expansion: [2.5, 3, 3.5, 4]}\n  budget: {parameters: ";
    struct trace trace = {0};
    struct search search;
    char text[1024];
    snprintf(text, sizeof text, "%s{target: 8.0e9, tolerance: 0.05}}\n", grid);
    assert_ok(read_file(&search, text, &trace), &trace);
    uint32_t found = 0;
    for (size_t i = 0; i < sizeof of_8b / sizeof *of_8b; i++)
        found += has(&search, of_8b[i]);
    assert_int_equal(search.candidates.items.count, 18);
    assert_int_equal(found, 13);
    search_release(&search);
    snprintf(text, sizeof text, "%s{min: 7.7e9, max: 8.6e9}}\n", grid);
    assert_ok(read_file(&search, text, &trace), &trace);
    const struct candidate *all = search.candidates.items.items;
    uint32_t first = 0, last = search.candidates.items.count - 1;
    while (all[first].cost.of[COST_PARAMETERS] < 7800000000)
        first++;
    while (all[last].cost.of[COST_PARAMETERS] > 8500000000)
        last--;
    assert_int_equal(last - first + 1, 15);
    assert_true(first > 0 && last + 1 < search.candidates.items.count);
    static const double expected[] = {7.772, 7.871, 8.493, 8.550};
    const uint32_t at[] = {first - 1, first, last, last + 1};
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)all[at[i]].cost.of[COST_PARAMETERS] / 1e9 - expected[i]) < 5e-4);
    search_release(&search);
}

/* `part` is what stands below "search:". */
static enum status read_part(struct search *out, const char *part, struct trace *trace)
{
    char text[4096];
    snprintf(text, sizeof text, "espalier: 1\nsearch:\n  %s\n", part);
    return read_file(out, text, trace);
}

static void assert_count(const char *part, uint32_t count)
{
    struct trace trace = {0};
    struct search search;
    assert_ok(read_part(&search, part, &trace), &trace);
    if (search.candidates.items.count != count)
        fail_msg("%s: %u candidates, expected %u", part, search.candidates.items.count, count);
    search_release(&search);
}

static void assert_refused(const char *part, const char *words)
{
    struct trace trace = {0};
    struct search search;
    assert_fails(read_part(&search, part, &trace), INVALID, &trace, words);
}

/* Two layers have 2 * 36864 + 6400 = 80128 parameters, three 116992, four 153856. */
static void both_ends_of_a_range_belong_to_it(void **state)
{
    (void)state;
#define LAYERS BASE "grid: {layers: [1, 2, 3, 4]}\n  budget: {parameters: "
    assert_count(LAYERS "{min: 80128, max: 116992}}", 2);
    assert_count(LAYERS "{min: 80129, max: 116992}}", 1);
    assert_count(LAYERS "{min: 80128, max: 116991}}", 1);
    assert_count(LAYERS "{min: 80127.5, max: 80128.5}}", 1);
    assert_count(LAYERS "{max: 80128}}", 2);
    assert_count(LAYERS "{target: 80128, tolerance: 0}}", 1);
    assert_count(LAYERS "{target: 80128, tolerance: 1}}", 4);
    assert_refused(LAYERS "{min: 80128.1, max: 80128.9}}", "no whole number");
    assert_refused(LAYERS "{target: 80129, tolerance: 0}}", "no candidate");
}

/* 80128 is 100000 less 0.19872 of it, and 64102.4 and a quarter more; 0.19872 and 64102.4 are not exact in
 * binary. */
static void the_ends_of_a_tolerance_belong_to_it(void **state)
{
    (void)state;
    assert_count(LAYERS "{target: 100000, tolerance: 0.19872}}", 2);
    assert_count(LAYERS "{target: 100000, tolerance: 0.1987}}", 1);
    assert_count(LAYERS "{target: 64102.4, tolerance: 0.25}}", 1);
    assert_refused(LAYERS "{target: 64102, tolerance: 0.24999}}", "no candidate");
}

static void other_numbers_are_limited_too(void **state)
{
    (void)state;
    assert_count(BASE "grid: {layers: [1, 2, 3, 4]}\n  budget: {non_embedding: {max: 73728}}", 2);
    assert_count(
        BASE "grid: {layers: [1, 2]}\n  cost: {context: 1, weights: f32, cache: int8}\n  budget: {memory: "
             "{max: 173184}}",
        1); /* 4 * 43264 + 2 * 4 * 8 */
    assert_count(
        BASE "grid: {layers: [1, 2]}\n  cost: {context: 1, weights: f32, cache: int8}\n  budget: {memory: "
             "{target: 173120, tolerance: 0}}",
        1);
    assert_refused(BASE "grid: {layers: [1, 2]}\n  cost: {context: 1}\n  budget: {flops: {max: 86783}}",
                   "there is 86784 to");
    assert_count(BASE "grid: {layers: [1, 2]}\n  cost: {context: 1}\n  budget: {flops: {max: 86784}}", 1);
}

static void impossible_combinations_are_passed_over(void **state)
{
    (void)state;
    assert_count(BASE, 1);
    assert_count(BASE "grid: {heads: [2, 4, 6, 8]}", 2);                   /* 4 and 8, of 4 key-value heads */
    assert_count(BASE "grid: {heads: [2, 4, 8], kv_heads: [1, 2, 4]}", 5); /* at most 2 queries a head */
    assert_count(BASE "grid: {hidden: [32, 64], expansion: [1, 2, 3]}", 5); /* 3 * 64 is wider than 128 */
    assert_refused(BASE "grid: {heads: [3, 5]}", "of 2 combinations 0 are possible");
}

/* Expansions are rounded to multiples, by themselves where the MLP is large; the base's width stays. */
static void expansions_are_rounded(void **state)
{
    (void)state;
    static const char large[] = "base: {layers: 1, hidden: 1000, heads: 8, ffn: 4100, vocab: 100}\n  ";
    struct search search;
    struct trace trace = {0};
    char text[256];
    assert_count(BASE "grid: {expansion: [1.01, 1.02, 1.9, 2], align: 32}", 2); /* 64 twice, 128 twice */
    assert_count(BASE "grid: {expansion: [1.9], align: 40}", 1);
    assert_refused(BASE "grid: {expansion: [1.9]}", "no whole number");
    snprintf(text, sizeof text, "%sgrid: {expansion: [0.001, 2.5, 4.1]}", large);
    assert_ok(read_part(&search, text, &trace), &trace);
    assert_int_equal(search.candidates.items.count, 3);
    static const int64_t widths[] = {64, 2496, 4100};
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(search.candidates.items.items[i].sizes.of[SIZE_FFN], widths[i]);
    search_release(&search);
    snprintf(text, sizeof text, "%sgrid: {expansion: [2.5], align: 1}", large);
    assert_ok(read_part(&search, text, &trace), &trace);
    assert_int_equal(search.candidates.items.items[0].sizes.of[SIZE_FFN], 2500);
    search_release(&search);
}

static void nothing_within_the_budget_says_what_there_is(void **state)
{
    (void)state;
    assert_refused(LAYERS "{min: 200000}}", "there is 43264 to 153856");
}

static void wrong_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *part, *words;
    } cases[] = {
        {BASE "grid: {depth: [1]}", "s.yaml:4:10: grid has no setting \"depth\""},
        {BASE "grid: {layers: []}", "expected an integer, or a list"},
        {BASE "grid: {expansion: []}", "expected a number, or a list of numbers"},
        {BASE "grid: {layers: [2.5]}", "expected an integer"},
        {BASE "grid: {layers: [0]}", "from 1 to"},
        {BASE "grid: {layers: [2, 3, 2]}", "2 stands twice"},
        {BASE "grid: {expansion: [1, 1.0]}", "1 stands twice"},
        {BASE "grid: {hidden: [65]}", "65 is more than the base has (64)"},
        {BASE "grid: {ffn: [64], expansion: [1]}", "give one of them"},
        {BASE "grid: {expansion: [1.01]}", "no whole number"},
        {BASE "grid: {expansion: [nan]}", "expected a number"},
        {BASE "budget: {parameters: {tolerance: 0.1}}", "a tolerance of what"},
        {BASE "budget: {parameters: {target: 5, max: 6}}", "give a target, or the ends"},
        {BASE "budget: {parameters: {min: 6, max: 5}}", "no whole number"},
        {BASE "budget: {parameters: {max: 1e19}}", "from 0 to 1e18"},
        {BASE "budget: {latency: {max: 1}}", "only a model can be timed"},
        {BASE "budget: {latency: {tolerance: 0.1}}", "a tolerance of what"},
        {BASE "budget: {latency: {target: 1, max: 2}}", "give a target, or the ends"},
        {BASE "budget: {latency: {min: 2, max: 1}}", "2 is above max, 1"},
        {BASE "budget: {speed: {max: 1}}", "budget has no setting \"speed\""},
        {BASE "cost: {weights: int3}", "one of: f32 bf16"},
        {"grid: {layers: [1]}", "base.layers: must be given"},
        {"base: {layers: 1, hidden: 8, heads: 2, ffn: 8}", "base.vocab: must be given"},
        {"base: {layers: 1, hidden: 9, heads: 2, ffn: 8, vocab: 5}", "does not divide hidden (9)"},
        {"base: {layers: 1, hidden: 8, heads: 3, kv_heads: 2, ffn: 8, vocab: 5}",
         "not a multiple of kv_heads (2)"},
        {"base: {layers: 1, hidden: 8, heads: 1, ffn: 8, vocab: 5, bias: [k]}", "one of: qkv o mlp"},
        {"base: {model: nowhere}", "no input is called \"nowhere\""},
        {"base: {layers: 4096, hidden: 1048576, heads: 65536, head_dim: 65536, ffn: 1, vocab: 1}",
         "more than 2^63"},
        {"[]", "expected a map of settings"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].part, cases[i].words);
    struct trace trace = {0};
    struct search search;
    assert_fails(read_file(&search, "espalier: 1\n", &trace), INVALID, &trace, "expected the key \"search\"");
    assert_fails(read_file(&search, "espalier: 1\nserach: {}\n", &trace), INVALID, &trace, "unknown key");
    assert_fails(search_read(&search, "nowhere.yaml", &trace), NOT_FOUND, &trace, "nowhere.yaml");
}

/* 700 to the power of 4 has no place in 32 bits. */
static void huge_grids_are_refused_with_their_size(void **state)
{
    (void)state;
    struct builder text = {0};
    builder_printf(&text,
                   "espalier: 1\nsearch:\n  base: {layers: 2000, hidden: 2000, heads: 2000, kv_heads: 2000, "
                   "head_dim: 2, ffn: 2000, vocab: 9}\n  grid:\n");
    static const char *const keys[] = {"layers", "hidden", "heads", "ffn"};
    for (int k = 0; k < 4; k++) {
        builder_printf(&text, "    %s: [", keys[k]);
        for (int i = 1; i <= 700; i++)
            builder_printf(&text, "%d%s", i, i == 700 ? "]\n" : ", ");
    }
    struct trace trace = {0};
    struct search search;
    assert_fails(read_file(&search, builder_text(&text), &trace), INVALID, &trace,
                 "240100000000 combinations");
    builder_release(&text);
}

static void the_shape_of_a_model_is_enough(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct search search;
    char text[4600], path[4096];
    if (!realpath("golden/tiny/model.onnx", path))
        fail_msg("run the tests from the repository root");
    snprintf(text, sizeof text,
             "espalier: 1\ninputs: {m: {model: %s}}\nsearch:\n  base: {model: m}\n  grid: {ffn: [24, 48]}\n",
             path);
    assert_ok(read_file(&search, text, &trace), &trace);
    assert_int_equal(search.candidates.items.count, 2);
    assert_int_equal(search.candidates.items.items[1].cost.of[COST_PARAMETERS], 31456);
    assert_int_equal(search.candidates.items.items[0].cost.of[COST_PARAMETERS], 31456 - 3 * 3 * 24 * 32);
    assert_string_equal(search.candidates.items.items[0].label, "f24");
    search_release(&search);
    snprintf(text, sizeof text, "espalier: 1\ninputs: {m: {model: %s}}\nsearch: {base: {model: m, ffn: 3}}\n",
             path);
    assert_fails(read_file(&search, text, &trace), INVALID, &trace, "base.model is given too");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_the_published_candidates),
        cmocka_unit_test(table_19_is_a_range_of_its_own),
        cmocka_unit_test(both_ends_of_a_range_belong_to_it),
        cmocka_unit_test(the_ends_of_a_tolerance_belong_to_it),
        cmocka_unit_test(other_numbers_are_limited_too),
        cmocka_unit_test(impossible_combinations_are_passed_over),
        cmocka_unit_test(expansions_are_rounded),
        cmocka_unit_test(nothing_within_the_budget_says_what_there_is),
        cmocka_unit_test(wrong_files_are_refused),
        cmocka_unit_test(huge_grids_are_refused_with_their_size),
        cmocka_unit_test(the_shape_of_a_model_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
