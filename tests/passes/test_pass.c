/* The language of passes, the runner, and pruning to a shape: what is kept, what it costs, what is refused.
 */
#include "ir/build.h"
#include "ir/text.h"
#include "passes/classes.h"
#include "passes/pass.h"
#include "passes/prune.h"
#include "tests/support/llama.h"
#include "tests/support/random.h"
#include "tests/support/test.h"

static const struct llama_shape shape = {3, 24, 6, 3, 4, 10, 20};

struct subject {
    struct graph *graph, *result;
    struct pass_context context;
    struct scores scores;
    struct classes classes; /* of the result */
    struct arena arena;
    struct trace trace;
};

static void subject_init(struct subject *s)
{
    *s = (struct subject){.graph = llama_create(&shape)};
    s->context.scores = &s->scores;
}

static void subject_release(struct subject *s)
{
    graph_destroy(s->graph);
    graph_destroy(s->result);
    pass_context_release(&s->context);
    arena_release(&s->arena);
}

static enum status run(struct subject *s, const char *text)
{
    const struct pass_call *calls;
    uint32_t count;
    graph_destroy(s->result);
    s->result = NULL;
    TRY(pass_parse(&calls, &count, &s->arena, str_from(text), &s->trace));
    TRY(pass_run_all(&s->result, s->graph, calls, count, &s->context, &s->trace));
    return classes_find(&s->classes, &s->arena, s->result, &s->trace);
}

static void score_all(struct subject *s)
{
    struct random r = {7};
    float values[64];
    for (int i = 0; i < 64; i++)
        values[i] = random_float(&r);
    scores_add(&s->scores, &s->arena, "hidden", values, 24);
    scores_add(&s->scores, &s->arena, "layers", (float[]){0.5f, 0.1f, 0.9f}, 3);
    for (int l = 0; l < 3; l++) {
        char name[32];
        snprintf(name, sizeof name, "layers.%d.ffn", l);
        scores_add(&s->scores, &s->arena, name, values + l, 10);
        snprintf(name, sizeof name, "layers.%d.heads", l);
        scores_add(&s->scores, &s->arena, name, (float[]){1, 2, 9, 8, 3, 3}, 6);
    }
}

/* The positions along `axis` of a weight that are left. */
static const uint32_t *left(const struct subject *s, const char *name, uint32_t axis)
{
    for (uint32_t t = 0; t < s->result->tensors.count; t++)
        if (str_is(s->result->tensors.items[t].name, name))
            return s->result->tensors.items[t].view.index[axis];
    fail_msg("no weight %s", name);
    return NULL;
}

static void parses_calls_with_lists_and_ranges(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct trace trace = {0};
    const struct pass_call *calls;
    uint32_t count;
    assert_ok(pass_parse(&calls, &count, &arena, STR(" prune{ffn=512,heads=6}  remove_layers{layers=1+3-5} "),
                         &trace),
              &trace);
    assert_int_equal(count, 2);
    assert_int_equal(calls[0].pass, PASS_prune);
    assert_int_equal(pass_option_get(&calls[0], "heads")->values[0], 6);
    assert_null(pass_option_get(&calls[0], "hidden"));
    const struct pass_option *layers = pass_option_get(&calls[1], "layers");
    assert_int_equal(layers->count, 4);
    assert_int_equal(layers->values[3], 5);
    assert_ok(pass_parse(&calls, &count, &arena, STR(""), &trace), &trace);
    assert_int_equal(count, 0);
    arena_release(&arena);
}

static void names_the_position_of_what_it_cannot_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"prun{ffn=1}", "position 1: expected the name of a pass (prune "},
        {"prune{fnf=1}", "position 7: expected an option of prune (hidden ffn"},
        {"prune{ffn}", "position 10: expected =, found \"}\""},
        {"prune{ffn=}", "position 11: expected a number, found \"}\""},
        {"prune{ffn=12", "position 13: expected +, a comma or }, found the end"},
        {"prune{ffn=1,ffn=2}", "position 13: expected each option once"},
        {"prune{ffn=1}prune", "position 13: expected a blank between passes"},
        {"remove_layers{layers=3-1}", "position 22: expected an ascending range"},
        {"remove_layers{layers=0-99999999999}", "position 22: expected an ascending range"},
        {"prune{ffn=99999999999999999999}", "position 11: expected a number"},
    };
    struct arena arena = {0};
    const struct pass_call *calls;
    uint32_t count;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace trace = {0};
        assert_fails(pass_parse(&calls, &count, &arena, str_from(cases[i].text), &trace), INVALID, &trace,
                     cases[i].words);
    }
    arena_release(&arena);
}

/* heads 1 2 | 9 8 | 3 3: groups 1 (17) and 2 (6) stay; of each the better head, of equals the first. */
static void keeps_what_scores_highest(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s);
    score_all(&s);
    assert_ok(run(&s, "prune{heads=2,kv_heads=2,layers=2}"), &s.trace);
    assert_int_equal(s.classes.shape.layers, 2);
    assert_int_equal(s.classes.shape.heads[1], 2);
    assert_int_equal(s.classes.shape.kv_heads[1], 2);
    static const uint32_t q[8] = {8, 9, 10, 11, 16, 17, 18, 19}, k[8] = {4, 5, 6, 7, 8, 9, 10, 11};
    assert_memory_equal(left(&s, "layers.0.q", 0), q, sizeof q);
    assert_memory_equal(left(&s, "layers.2.o", 1), q, sizeof q);
    assert_memory_equal(left(&s, "layers.2.k", 0), k, sizeof k);
    subject_release(&s);
}

static void ranks_ties_by_index(void **state)
{
    (void)state;
    uint32_t kept[3];
    scores_rank((float[]){2, 5, 2, 2, 7}, 5, 3, kept);
    assert_memory_equal(kept, ((uint32_t[]){0, 1, 4}), sizeof kept);
    scores_rank((float[]){-1, -1, -1, -0.5f}, 4, 2, kept);
    assert_memory_equal(kept, ((uint32_t[]){0, 3}), 2 * sizeof *kept);
}

static void accepts_a_size_for_each_kept_layer(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s);
    score_all(&s);
    assert_ok(run(&s, "prune{ffn=4+7,keep_layers=0+2,hidden=16,vocab=0-4+9}"), &s.trace);
    assert_int_equal(s.classes.shape.ffn[0], 4);
    assert_int_equal(s.classes.shape.ffn[1], 7);
    assert_int_equal(s.classes.shape.hidden, 16);
    assert_int_equal(s.classes.shape.vocab, 6);
    assert_int_equal(s.context.remap.count, 6);
    assert_int_equal(s.context.remap.kept[5], 9);
    assert_int_equal(s.context.receipt.contract, CONTRACT_RENORMALISING);
    subject_release(&s);
}

static void remaps_compose(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s);
    assert_ok(run(&s, "prune_vocab{keep=1+5-8+19} prune_vocab{keep=0+2+5}"), &s.trace);
    assert_int_equal(s.context.remap.count_before, 20);
    assert_memory_equal(s.context.remap.kept, ((uint32_t[]){1, 6, 19}), 3 * sizeof(uint32_t));
    subject_release(&s);
}

/* Counted by formulas, not by walking a graph. */
static void receipts_count_parameters_and_operations(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s);
    score_all(&s);
    assert_ok(run(&s, "prune_ffn{size=6} remove_layers{layers=0}"), &s.trace);
    const struct receipt *r = &s.context.receipt;
    int64_t attention = 2 * 24 * 24 + 2 * 12 * 24;
    assert_int_equal(r->parameters_before, 24 + 2 * 20 * 24 + 3 * (48 + attention + 3 * 10 * 24));
    assert_int_equal(r->parameters_after, 24 + 2 * 20 * 24 + 2 * (48 + attention + 3 * 6 * 24));
    assert_int_equal(r->flops_before.token, 2 * (20 * 24 + 3 * (attention + 3 * 10 * 24)));
    assert_int_equal(r->flops_after.token, 2 * (20 * 24 + 2 * (attention + 3 * 6 * 24)));
    assert_int_equal(r->flops_before.key, 3 * 2 * 2 * 24);
    assert_int_equal(r->flops_after.key, 2 * 2 * 2 * 24);
    assert_int_equal(r->contract, CONTRACT_EXACT);
    assert_int_equal(s.context.runs, 2);
    assert_int_equal(s.context.round_trips, 2);
    subject_release(&s);
}

static void asking_for_the_present_size_changes_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "prune",
        "prune{hidden=24,ffn=10,heads=6,kv_heads=3,layers=3,vocab=0-19}",
        "prune_ffn{size=10}",
        "prune_heads{count=6}",
        "prune_kv_heads{keep=0-2}",
        "prune_hidden{size=24}",
    };
    struct subject s;
    subject_init(&s);
    struct graph *canonical = graph_canonicalise(s.graph);
    for (uint32_t t = 0; t < canonical->tensors.count; t++) {
        canonical->tensors.items[t].has_id = true;
        canonical->tensors.items[t].id.low = t;
    }
    graph_destroy(s.graph);
    s.graph = canonical;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_ok(run(&s, texts[i]), &s.trace);
        assert_true(hash128_equal(graph_hash(s.result), graph_hash(canonical)));
    }
    assert_int_equal(s.context.receipt.contract, CONTRACT_EXACT);
    assert_int_equal(s.context.remap.count, 0);
    subject_release(&s);
}

/* Pruning in two steps is pruning once, where lists are given. */
static void selections_compose(void **state)
{
    (void)state;
    struct subject s, t;
    subject_init(&s);
    subject_init(&t);
    assert_ok(run(&s, "prune_ffn{keep=0+2+4+6+8} prune_ffn{keep=1+3+4}"), &s.trace);
    assert_ok(run(&t, "prune_ffn{keep=2+6+8}"), &t.trace);
    assert_memory_equal(left(&s, "layers.1.up", 0), left(&t, "layers.1.up", 0), 3 * sizeof(uint32_t));
    assert_true(hash128_equal(graph_hash(s.result), graph_hash(t.result)));
    subject_release(&s);
    subject_release(&t);
}

static void says_what_was_asked_and_what_there_is(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum status code;
        const char *words;
    } cases[] = {
        {"prune{ffn=11}", INVALID, "layers.0.ffn: 11 asked for, there are 10"},
        {"prune{heads=4}", INVALID, "4 heads in all were asked for, which is not a multiple of the 3"},
        {"prune{heads=2,kv_heads=3}", INVALID,
         "not a multiple of the 3 key-value heads; each of these must keep as many (fewer"},
        {"prune{heads=9}", INVALID, "9 heads in all were asked for, there are 6 (2 to each of 3"},
        {"prune{heads=6,kv_heads=2}", INVALID, "6 heads in all were asked for, there are 4 (2 to each of 2"},
        {"prune{kv_heads=4}", INVALID, "layers.0.kv_heads: 4 asked for, there are 3"},
        {"prune{hidden=25}", INVALID, "hidden: 25 asked for, there are 24"},
        {"prune{hidden=0}", INVALID, "hidden: one number of at least 1 is expected, position 7"},
        {"prune{layers=4}", INVALID, "layers: 4 asked for, there are 3"},
        {"prune{keep_layers=0+3}", INVALID, "3 is not one of the model's 3 layers"},
        {"prune{layers=1,keep_layers=0+2}", INVALID, "1 were asked for, but 2 are listed"},
        {"prune{ffn=4+5}", INVALID, "ffn: 2 sizes were given, for 3 layers that are kept"},
        {"prune{vocab=5+20}", INVALID, "token 20 does not exist, there are 20"},
        {"prune_ffn{size=4,layers=1+3}", INVALID, "layer 3 does not exist: the model has 3 layers"},
        {"prune_ffn{size=4,keep=1}", INVALID, "prune_ffn needs either size or keep"},
        {"prune_ffn{keep=4+2}", INVALID, "keep: positions must ascend"},
        {"prune_ffn{keep=4+10}", INVALID, "position 10 of an axis of size 10 does not exist"},
        {"prune_heads{keep=0+1+2}", INVALID, "group 1 does not keep 1"},
        {"prune_heads{keep=0+2+6}", INVALID, "head 6 does not exist, there are 6"},
        {"remove_layers{layers=0-2}", INVALID, "removing 3 of 3 layers would leave none"},
        {"remove_layers", INVALID, "remove_layers needs layers"},
        {"remove_branches{mlp=3}", INVALID, "layer 3 does not exist"},
        {"remove_branches{mlp=1} remove_branches{mlp=1}", INVALID, "layer 1 has no mlp branch"},
        {"prune_vocab", INVALID, "prune_vocab needs keep"},
    };
    struct subject s;
    subject_init(&s);
    score_all(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(run(&s, cases[i].text), cases[i].code, &s.trace, cases[i].words);
    subject_release(&s);
}

static void says_what_is_wrong_with_scores(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s);
    assert_fails(run(&s, "prune{ffn=4}"), INVALID, &s.trace, "there is no score for layers.0.ffn");
    assert_fails(run(&s, "prune{layers=2}"), INVALID, &s.trace, "there is no score for layers");
    scores_add(&s.scores, &s.arena, "hidden", (float[3]){0}, 3);
    assert_fails(run(&s, "prune{hidden=4}"), INVALID, &s.trace,
                 "the score for hidden has 3 numbers, the model has 24 elements");
    float values[10] = {0, 0, 0, 0 / 0.0f};
    scores_add(&s.scores, &s.arena, "layers.0.ffn", values, 10);
    assert_fails(run(&s, "prune{ffn=4}"), INVALID, &s.trace, "is not a number at 3");
    subject_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_calls_with_lists_and_ranges),
        cmocka_unit_test(names_the_position_of_what_it_cannot_read),
        cmocka_unit_test(keeps_what_scores_highest),
        cmocka_unit_test(ranks_ties_by_index),
        cmocka_unit_test(accepts_a_size_for_each_kept_layer),
        cmocka_unit_test(remaps_compose),
        cmocka_unit_test(receipts_count_parameters_and_operations),
        cmocka_unit_test(asking_for_the_present_size_changes_nothing),
        cmocka_unit_test(selections_compose),
        cmocka_unit_test(says_what_was_asked_and_what_there_is),
        cmocka_unit_test(says_what_is_wrong_with_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
