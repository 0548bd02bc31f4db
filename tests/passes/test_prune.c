/* Pruning to a shape: which layers, heads and sizes; and the weights that it amends, against models changed
 * by hand and masked, in double precision. */
#include "passes/prune.h"
#include "tests/support/evaluate.h"
#include "tests/support/llama.h"
#include "tests/support/mask.h"
#include <math.h>

enum { TOKENS = 9, MOST_HEADS = 16 };

static const struct llama_shape shape = {
    .layers = 3, .hidden = 16, .heads = 8, .kv_heads = 2, .head_size = 4, .ffn = 12, .vocabulary = 23};

struct subject {
    struct random random;
    struct llama_shape shape;
    struct graph *graph;
    struct arena arena;
    struct scores scores;
    struct pass_context context;
    struct trace trace;
};

static void subject_init(struct subject *s, const struct llama_shape *of)
{
    *s = (struct subject){.random = {17}, .shape = *of};
    s->graph = llama_create(of);
    weights_randomise(s->graph, &s->random, 0.6f);
    s->context.scores = &s->scores;
}

static void subject_release(struct subject *s)
{
    pass_context_release(&s->context);
    graph_destroy(s->graph);
    arena_release(&s->arena);
}

static float *add_score(struct subject *s, const char *name, uint32_t count)
{
    float *values = ARENA_ARRAY(&s->arena, float, count);
    for (uint32_t i = 0; i < count; i++)
        values[i] = random_float(&s->random);
    scores_add(&s->scores, &s->arena, name, values, count);
    return values;
}

/* Scores for heads that give exactly these values. */
static void score_heads(struct subject *s, uint32_t layer, const float *values)
{
    scores_add(&s->scores, &s->arena, arena_printf(&s->arena, "layers.%u.heads", layer), values,
               (uint32_t)s->shape.heads);
}

static struct graph *prune(struct subject *s, const struct prune_request *request)
{
    struct graph *out = NULL;
    assert_ok(prune_to_shape(&out, s->graph, request, &s->context, &s->trace), &s->trace);
    return out;
}

static void assert_refused(struct subject *s, const struct prune_request *request, const char *text)
{
    struct graph *out = NULL;
    s->trace = (struct trace){0};
    assert_int_equal(prune_to_shape(&out, s->graph, request, &s->context, &s->trace), INVALID);
    if (!strstr(s->trace.text, text))
        fail_msg("expected \"%s\" in: %s", text, s->trace.text);
}

/* ---- sizes ---- */

static void rounds_follow_the_published_schedule(void **state)
{
    (void)state;
    static const int64_t four[] = {5632, 5120, 4608, 4096}, two[] = {5120, 4096}, uneven[] = {8, 7, 5, 3};
    int64_t size = 6144;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(size = prune_step(size, 4096, 4 - i, 1), four[i]);
    size = 6144;
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(size = prune_step(size, 4096, 2 - i, 1), two[i]);
    size = 9;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(size = prune_step(size, 3, 4 - i, 1), uneven[i]);
    assert_int_equal(prune_step(6144, 4096, 3, 256), 5632);
    assert_int_equal(prune_step(100, 64, 3, 64), 100);
}

static void a_round_goes_its_part_of_the_way(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s, &shape);
    add_score(&s, "hidden", 16);
    for (uint32_t l = 0; l < 3; l++) {
        add_score(&s, arena_printf(&s.arena, "layers.%u.heads", l), 8);
        add_score(&s, arena_printf(&s.arena, "layers.%u.ffn", l), 12);
    }
    int64_t ffn = 4, heads = 4;
    struct prune_request request = {.hidden = 8, .ffn = {&ffn, 1}, .heads = {&heads, 1}, .rounds = 2};
    struct graph *out = prune(&s, &request);
    struct classes classes;
    assert_ok(classes_find(&classes, &s.arena, out, &s.trace), &s.trace);
    assert_int_equal(classes.shape.hidden, 12);
    assert_int_equal(classes.shape.ffn[1], 8);
    assert_int_equal(classes.shape.heads[2], 6);
    graph_destroy(out);
    int64_t list[] = {4, 5, 6};
    request.ffn = (struct prune_sizes){list, 3};
    assert_refused(&s, &request, "several rounds");
    subject_release(&s);
}

static void sizes_must_be_multiples_where_asked(void **state)
{
    (void)state;
    struct subject s;
    subject_init(&s, &shape);
    add_score(&s, "hidden", 16);
    struct prune_request request = {.hidden = 10, .align = {.hidden = 4}};
    assert_refused(&s, &request, "hidden: 10 is no multiple of 4, which was asked for; 8 and 12 are");
    request.hidden = 12;
    graph_destroy(prune(&s, &request));
    request.hidden = 16;
    request.align.hidden = 5; /* stays as it is */
    graph_destroy(prune(&s, &request));
    int64_t ffn = 7;
    request = (struct prune_request){.ffn = {&ffn, 1}, .align = {.ffn = 2}};
    assert_refused(&s, &request, "ffn: 7 is no multiple of 2");
    subject_release(&s);
}

static bool has_note(const struct pass_context *context, const char *words)
{
    for (uint32_t i = 0; i < context->notes.count; i++)
        if (strstr(context->notes.items[i].data, words))
            return true;
    return false;
}

/* Widths of 1024 and more: what is asked for is taken as it is, with one note; on the way it is made a
 * multiple of 64. Smaller ones are never rounded. */
static void large_widths_are_aligned_unless_named(void **state)
{
    (void)state;
    static const struct llama_shape large = {2, 32, 2, 1, 4, 1088, 11};
    struct subject s;
    subject_init(&s, &large);
    struct pass_context context = {.scores = &s.scores};
    add_score(&s, "hidden", 32);
    add_score(&s, "layers.0.ffn", 1088);
    add_score(&s, "layers.1.ffn", 1088);
    int64_t ffn = 500;
    struct prune_request request = {
        .hidden = 25, .ffn = {&ffn, 1}, .align = {.hidden = ALIGN_USUAL, .ffn = ALIGN_USUAL}};
    struct graph *out = NULL;
    struct classes classes;
    assert_ok(prune_to_shape(&out, s.graph, &request, &context, &s.trace), &s.trace);
    assert_ok(classes_find(&classes, &s.arena, out, &s.trace), &s.trace);
    assert_int_equal(classes.shape.ffn[1], 500);
    assert_int_equal(context.notes.count, 1);
    assert_true(has_note(&context, "ffn: 500 is no multiple of 64"));
    assert_true(has_note(&context, "448 and 512 are"));
    graph_destroy(out);
    request.rounds = 2; /* (1088 + 500) / 2 = 794 -> 832; (32 + 25) / 2 -> 29 */
    assert_ok(prune_to_shape(&out, s.graph, &request, &context, &s.trace), &s.trace);
    assert_ok(classes_find(&classes, &s.arena, out, &s.trace), &s.trace);
    assert_int_equal(classes.shape.ffn[0], 832);
    assert_int_equal(classes.shape.hidden, 29);
    graph_destroy(out);
    pass_context_release(&context);
    subject_release(&s);
    assert_int_equal(align_usual(1023), 1);
    assert_int_equal(align_usual(1024), 64);
}

/* ---- which ---- */

static bool has_tensor(const struct graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        if (str_is(graph->tensors.items[i].name, name))
            return true;
    return false;
}

static void a_run_of_layers_goes_as_one(void **state)
{
    (void)state;
    static const float each[] = {0.1f, 0.9f, 0.2f}, runs[] = {0.8f, 0.3f};
    struct subject s;
    subject_init(&s, &shape);
    scores_add(&s.scores, &s.arena, "layers", each, 3);
    scores_add(&s.scores, &s.arena, "blocks.2", runs, 2);
    struct prune_request request = {.layers = 1, .drop_run = true};
    struct graph *out = prune(&s, &request);
    assert_true(has_tensor(out, "layers.0.down") && !has_tensor(out, "layers.1.down"));
    assert_true(!has_tensor(out, "layers.2.down"));
    graph_destroy(out);
    request.layers = 2; /* a run of one */
    out = prune(&s, &request);
    assert_true(!has_tensor(out, "layers.0.down") && has_tensor(out, "layers.1.down"));
    graph_destroy(out);
    subject_release(&s);
}

static void heads_are_ranked_in_groups_or_together(void **state)
{
    (void)state;
    static const float even[] = {9, 1, 8, 2, 3, 7, 4, 6}, uneven[] = {9, 8, 7, 1, 2, 3, 4, 5};
    struct subject s;
    subject_init(&s, &shape);
    for (uint32_t l = 0; l < 3; l++)
        score_heads(&s, l, l == 1 ? uneven : even);
    int64_t heads = 4, none[] = {4, 0, 4};
    struct prune_request request = {.heads = {none, 3}, .ranking = HEADS_GLOBAL};
    struct graph *global = prune(&s, &request);
    request.ranking = HEADS_IN_GROUP;
    struct graph *in_group = prune(&s, &request);
    assert_int_equal(graph_parameters(global), graph_parameters(in_group));
    graph_destroy(global);
    graph_destroy(in_group);
    request = (struct prune_request){.heads = {&heads, 1}, .ranking = HEADS_GLOBAL};
    assert_refused(&s, &request, "layers.1.heads: the best 4 heads are not as many in each of the 2");
    request.ranking = HEADS_IN_GROUP;
    graph_destroy(prune(&s, &request));
    subject_release(&s);
}

/* ---- amended weights ---- */

static float *weight(struct graph *graph, const char *name)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        if (str_is(graph->tensors.items[i].name, name))
            return (float *)(uintptr_t)graph->tensors.items[i].view.base;
    fail_msg("no weight %s", name);
    return NULL;
}

static void assert_same_logits(struct subject *s, const struct graph *a, const struct graph *b)
{
    int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++)
        tokens[i] = (int32_t)random_below(&s->random, (uint32_t)s->shape.vocabulary);
    double *x = evaluate(a, EVALUATE_DOUBLE, 1, TOKENS, tokens),
           *y = evaluate(b, EVALUATE_DOUBLE, 1, TOKENS, tokens);
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < TOKENS * s->shape.vocabulary; i++) {
        worst = fmax(worst, fabs(x[i] - y[i]));
        largest = fmax(largest, fabs(y[i]));
    }
    free(x);
    free(y);
    if (!(worst <= 1e-6 * largest))
        fail_msg("logits differ by %g of %g", worst, largest);
}

static void heads_are_paired_as_printed(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 32; i++) /* 48 heads, 32 kept: 17..32 take over from 48..33 */
        assert_int_equal(amend_partner(48, 32, i), i < 17 ? 0 : 48 - (i - 17));
    assert_int_equal(amend_partner(8, 4, 1), 8);
    assert_int_equal(amend_partner(8, 4, 4), 5);
    assert_int_equal(amend_partner(4, 4, 4), 0);
}

/* A copy whose rows of q (or k, v) of head `into` are h + sign * (h - those of `from`). */
static void fold(struct graph *graph, const char *name, uint32_t into, uint32_t from, float sign,
                 uint32_t size, uint32_t width)
{
    float *w = weight(graph, name);
    for (uint32_t i = 0; i < size * width; i++) {
        float *to = &w[into * size * width + i];
        *to = *to + sign * (*to - w[from * size * width + i]);
    }
}

static void own_bytes(struct graph *graph)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++) {
        struct tensor_view *v = &graph->tensors.items[i].view;
        int64_t count = tensor_view_count(v);
        float *copy = ARENA_ARRAY(&graph->arena, float, (size_t)count);
        tensor_view_read_f32(v, 0, count, copy);
        struct tensor_view plain = {.base = (const uint8_t *)copy,
                                    .base_size = (size_t)count * sizeof *copy,
                                    .dtype = DTYPE_F32,
                                    .rank = v->rank,
                                    .dims = {v->dims[0], v->rank > 1 ? v->dims[1] : 0},
                                    .strides = {v->rank > 1 ? v->dims[1] : 1, 1}};
        *v = plain;
    }
}

/* The graph with some heads of layer 0 zeroed. */
static struct graph *without_heads(struct subject *s, const struct graph *graph, const bool *kept)
{
    float *factors = ARENA_ARRAY(&s->arena, float, (size_t)(s->shape.heads * s->shape.head_size));
    for (int64_t i = 0; i < s->shape.heads * s->shape.head_size; i++)
        factors[i] = kept[i / s->shape.head_size] ? 1 : 0;
    struct mask mask = {mask_find(graph, OP_attention, 0), factors};
    return mask_copy(graph, &mask, 1);
}

static void check_residual(const struct amend_request *amend, const uint32_t pairs[][2], uint32_t count)
{
    static const float values[] = {5, 1, 8, 2, 3, 7, 4, 6}; /* kept: 2 0 | 5 7, go: 3 1 | 6 4 */
    static const bool kept[] = {true, false, true, false, false, true, false, true};
    struct subject s;
    subject_init(&s, &shape);
    score_heads(&s, 0, values);
    int64_t heads[] = {4, 0, 0};
    struct prune_request request = {.heads = {heads, 3}, .amend = *amend};
    struct graph *pruned = prune(&s, &request), *changed = graph_clone(s.graph);
    own_bytes(changed);
    for (uint32_t i = 0; i < count; i++)
        fold(changed, "layers.0.q", pairs[i][0], pairs[i][1], amend->rule == RESIDUAL_PAPER ? 1 : -1, 4, 16);
    struct graph *masked = without_heads(&s, changed, kept);
    assert_same_logits(&s, pruned, masked);
    assert_int_equal(s.context.receipt.folded_heads, count);
    assert_int_equal(s.context.receipt.contract, CONTRACT_APPROXIMATE);
    graph_destroy(masked);
    graph_destroy(changed);
    graph_destroy(pruned);
    subject_release(&s);
}

static void kept_heads_take_over_differences(void **state)
{
    (void)state;
    /* In groups: ranks 1 2 | 3 4 are 2 0 | 3 1 and 5 7 | 6 4. Over the layer: 2 5 7 0 | 6 4 3 1. */
    static const uint32_t in_group[][2] = {{0, 3}, {2, 1}, {7, 6}, {5, 4}},
                          global[][2] = {{0, 6}, {7, 4}, {5, 3}, {2, 1}};
    check_residual(&(struct amend_request){RESIDUAL_PAPER, PAIRS_IN_GROUP, false, false}, in_group, 4);
    check_residual(&(struct amend_request){RESIDUAL_LACO, PAIRS_IN_GROUP, false, false}, in_group, 4);
    check_residual(&(struct amend_request){RESIDUAL_PAPER, PAIRS_GLOBAL, false, false}, global, 4);
    check_residual(&(struct amend_request){RESIDUAL_LACO, PAIRS_GLOBAL, false, false}, global, 4);
}

static void heads_of_their_own_take_keys_and_values_along(void **state)
{
    (void)state;
    static const float values[] = {4, 1, 3, 2};
    static const bool kept[] = {true, false, true, true};
    const struct llama_shape own = {
        .layers = 1, .hidden = 16, .heads = 4, .kv_heads = 4, .head_size = 4, .ffn = 12, .vocabulary = 23};
    static const char *const names[] = {"layers.0.q", "layers.0.k", "layers.0.v"};
    struct subject s;
    subject_init(&s, &own);
    score_heads(&s, 0, values);
    int64_t heads = 3;
    struct prune_request request = {
        .heads = {&heads, 1}, .kv_heads = {&heads, 1}, .amend = {.rule = RESIDUAL_PAPER}};
    struct graph *pruned = prune(&s, &request), *changed = graph_clone(s.graph);
    own_bytes(changed);
    for (int i = 0; i < 3; i++)
        fold(changed, names[i], 3, 1, 1, 4, 16); /* rank 3 takes over from rank 4 */
    struct graph *masked = without_heads(&s, changed, kept);
    assert_same_logits(&s, pruned, masked);
    graph_destroy(masked);
    graph_destroy(changed);
    graph_destroy(pruned);
    int64_t one = 1;
    request.heads = request.kv_heads = (struct prune_sizes){&one, 1};
    assert_refused(&s, &request, "needs at least half");
    subject_release(&s);
}

/* x -> x * factors + shifts, wherever `value` is used. */
static struct graph *shift_copy(const struct graph *graph, const uint32_t *values, float *const *factors,
                                float *const *shifts, uint32_t count)
{
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, graph);
    struct trace trace = {0};
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        uint32_t result = graph->nodes.items[n].results[0];
        assert_ok(graph_copy_node(&copy, &graph->nodes.items[n], &trace), &trace);
        for (uint32_t i = 0; i < count; i++) {
            if (values[i] != result)
                continue;
            uint32_t x = mask_apply(to, copy.values[result], factors[i]);
            const struct value *v = graph_value(to, x);
            int64_t size = dims_size(&to->dims, v->axes[v->rank - 1]);
            struct tensor_view view = {.base = (const uint8_t *)shifts[i],
                                       .base_size = (size_t)size * sizeof(float),
                                       .dtype = DTYPE_F32,
                                       .rank = 1,
                                       .dims = {size},
                                       .strides = {1}};
            uint32_t axis = v->axes[v->rank - 1];
            copy.values[result] = build_binary(to, OP_add, x, build_tensor(to, STR("shift"), &view, &axis));
        }
    }
    build_output(to, "logits", copy.values[graph_find_output(graph, "logits")]);
    return to;
}

/* Neurons and heads of all layers; what goes is taken for its mean. */
static void compensated_channels_are_taken_for_their_means(void **state)
{
    (void)state;
    struct subject s;
    uint32_t values[6], channels[2] = {12, 32}, list[12];
    float *factors[6], *shifts[6];
    subject_init(&s, &shape);
    for (uint32_t l = 0; l < 3; l++) {
        const float *ffn = add_score(&s, arena_printf(&s.arena, "layers.%u.ffn", l), 12);
        const float *heads = add_score(&s, arena_printf(&s.arena, "layers.%u.heads", l), 8);
        for (uint32_t k = 0; k < 2; k++) {
            uint32_t at = 2 * l + k;
            shifts[at] = add_score(&s, arena_printf(&s.arena, "layers.%u.%s@means", l, k ? "heads" : "ffn"),
                                   channels[k]);
            factors[at] = ARENA_ARRAY(&s.arena, float, channels[k]);
            values[at] = mask_find(s.graph, k ? OP_attention : OP_mul, l);
        }
        scores_rank(ffn, 12, 7, list);
        for (uint32_t i = 0; i < 7; i++)
            factors[2 * l][list[i]] = 1;
        for (uint32_t g = 0; g < 2; g++) {
            scores_rank(heads + 4 * g, 4, 3, list);
            for (uint32_t i = 0; i < 12; i++)
                factors[2 * l + 1][(4 * g + list[i / 4]) * 4 + i % 4] = 1;
        }
    }
    int64_t ffn = 7, heads = 6;
    struct prune_request request = {.ffn = {&ffn, 1}, .heads = {&heads, 1}, .amend = {.compensate = true}};
    struct graph *pruned = prune(&s, &request);
    for (uint32_t i = 0; i < 6; i++)
        for (uint32_t c = 0; c < channels[i % 2]; c++)
            shifts[i][c] *= 1 - factors[i][c];
    struct graph *shifted = shift_copy(s.graph, values, factors, shifts, 6);
    assert_same_logits(&s, pruned, shifted);
    assert_int_equal(s.context.receipt.compensated, 6);
    assert_true(has_tensor(pruned, "layers.1.down.bias"));
    graph_destroy(shifted);
    /* What is amended once has biases, which take up more, and nothing goes without means. */
    struct graph *before = s.graph;
    s.graph = pruned;
    ffn = 5;
    request.heads = (struct prune_sizes){0};
    s.scores = (struct scores){0};
    for (uint32_t l = 0; l < 3; l++) {
        add_score(&s, arena_printf(&s.arena, "layers.%u.ffn", l), 7);
    }
    assert_refused(&s, &request, "metric flap");
    for (uint32_t l = 0; l < 3; l++)
        add_score(&s, arena_printf(&s.arena, "layers.%u.ffn@means", l), 7);
    struct graph *again = prune(&s, &request);
    assert_int_equal(graph_parameters(pruned) - graph_parameters(again), 3 * 2 * 3 * 16);
    graph_destroy(again);
    graph_destroy(before);
    subject_release(&s);
}

static void norms_make_up_for_the_channels_that_go(void **state)
{
    (void)state;
    static const char *const names[] = {"layers.0.attention_norm",
                                        "layers.0.mlp_norm",
                                        "layers.1.attention_norm",
                                        "layers.1.mlp_norm",
                                        "layers.2.attention_norm",
                                        "layers.2.mlp_norm",
                                        "norm"};
    struct subject s;
    float energies[7][16];
    uint32_t list[8];
    subject_init(&s, &shape);
    scores_rank(add_score(&s, "hidden", 16), 16, 8, list);
    struct prune_request request = {.hidden = 8, .amend = {.rescale = true}};
    assert_refused(&s, &request, "energy: true");
    for (uint32_t k = 0; k < 7; k++) {
        for (uint32_t c = 0; c < 16; c++)
            energies[k][c] = 1.5f + random_float(&s.random);
        scores_add(&s.scores, &s.arena, arena_printf(&s.arena, "norms.%u@energy", k), energies[k], 16);
    }
    struct graph *rescaled = prune(&s, &request);
    assert_int_equal(s.context.receipt.rescaled_norms, 7);
    request.amend.rescale = false;
    struct graph *plain = prune(&s, &request);
    own_bytes(plain);
    for (uint32_t k = 0; k < 7; k++) {
        double all = 0, kept = 0;
        for (uint32_t c = 0; c < 16; c++)
            all += (double)energies[k][c];
        for (uint32_t i = 0; i < 8; i++)
            kept += (double)energies[k][list[i]];
        for (uint32_t i = 0; i < 8; i++)
            weight(plain, names[k])[i] *= (float)sqrt(kept / 8 / (all / 16));
    }
    assert_same_logits(&s, rescaled, plain);
    graph_destroy(plain);
    graph_destroy(rescaled);
    subject_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_follow_the_published_schedule),
        cmocka_unit_test(a_round_goes_its_part_of_the_way),
        cmocka_unit_test(sizes_must_be_multiples_where_asked),
        cmocka_unit_test(large_widths_are_aligned_unless_named),
        cmocka_unit_test(a_run_of_layers_goes_as_one),
        cmocka_unit_test(heads_are_ranked_in_groups_or_together),
        cmocka_unit_test(heads_are_paired_as_printed),
        cmocka_unit_test(kept_heads_take_over_differences),
        cmocka_unit_test(heads_of_their_own_take_keys_and_values_along),
        cmocka_unit_test(norms_make_up_for_the_channels_that_go),
        cmocka_unit_test(compensated_channels_are_taken_for_their_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
