/* Proof of the surgery: for random small models and random keep lists, the sliced graph computes what the
 * masked graph computes. The mask multiplies activations by 0 and 1 and shares no code with the slicing. */
#include "ir/text.h"
#include "passes/pass.h"
#include "passes/plan.h"
#include "passes/prune.h"
#include "passes/remove_branches.h"
#include "tests/support/evaluate.h"
#include "tests/support/llama.h"
#include "tests/support/mask.h"
#include <math.h>

enum { MODELS = 12, MOST = 64, MOST_MASKS = 64 };

struct subject {
    struct random random;
    struct llama_shape shape;
    struct graph *graph;
    struct pass_context context;
    struct plan plan;
    struct mask masks[MOST_MASKS];
    uint32_t mask_count;
    struct trace trace;
};

static struct llama_shape random_shape(struct random *r)
{
    static const int64_t groups[] = {1, 2, 3, 4}, each[] = {1, 2, 3};
    struct llama_shape s = {.layers = 1 + random_below(r, 3)};
    s.kv_heads = groups[random_below(r, 4)];
    s.heads = s.kv_heads * each[random_below(r, 3)];
    s.head_size = 2 * (1 + random_below(r, 4));
    s.hidden = 4 * (2 + random_below(r, 5));
    s.ffn = 5 + random_below(r, 30);
    s.vocabulary = 7 + random_below(r, 40);
    return s;
}

static void subject_init(struct subject *s, uint64_t seed)
{
    *s = (struct subject){.random = {seed}};
    s->shape = random_shape(&s->random);
    s->graph = llama_create(&s->shape);
    weights_randomise(s->graph, &s->random, 0.7f);
    assert_ok(plan_begin(&s->plan, s->graph, &s->context, &s->trace), &s->trace);
}

static void subject_release(struct subject *s)
{
    plan_release(&s->plan);
    pass_context_release(&s->context);
    graph_destroy(s->graph);
}

/* A mask on the `n`-th result of `op`: element i is kept when kept[i / run % period]. */
static void add_mask(struct subject *s, enum op op, uint32_t n, const bool *kept, int64_t period, int64_t run)
{
    uint32_t value = mask_find(s->graph, op, n);
    assert_int_not_equal(value, ID_NONE);
    const struct value *v = graph_value(s->graph, value);
    int64_t size = dims_size(&s->graph->dims, v->axes[v->rank - 1]);
    float *factors = ARENA_ARRAY(&s->context.arena, float, (size_t)size);
    for (int64_t i = 0; i < size; i++)
        factors[i] = kept[i / run % period] ? 1.0f : 0.0f;
    assert_true(s->mask_count < MOST_MASKS);
    s->masks[s->mask_count++] = (struct mask){value, factors};
}

static uint32_t random_keep(struct subject *s, int64_t size, uint32_t *list, bool *kept)
{
    uint32_t count = 1 + random_below(&s->random, (uint32_t)size);
    random_subset(&s->random, (uint32_t)size, count, list);
    memset(kept, 0, MOST * sizeof *kept);
    for (uint32_t i = 0; i < count; i++)
        kept[list[i]] = true;
    return count;
}

static double largest(const double *x, int64_t count)
{
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

/* The largest difference of logits, relative to max(1, the largest logit). */
static double distance(const struct graph *a, const struct graph *b, enum evaluate_precision precision,
                       int64_t batch, int64_t length, const int32_t *tokens, int64_t vocabulary)
{
    double *x = evaluate(a, precision, batch, length, tokens),
           *y = evaluate(b, precision, batch, length, tokens);
    int64_t count = batch * length * vocabulary;
    double scale = fmax(1, largest(x, count)), worst = 0;
    for (int64_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(x[i] - y[i]) / scale);
    free(x), free(y);
    return worst;
}

static double worst_distance(struct subject *s, const struct graph *a, const struct graph *b,
                             enum evaluate_precision precision)
{
    static const int64_t sizes[][2] = {{1, 1}, {2, 5}, {3, 9}};
    double worst = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int32_t tokens[27];
        for (int t = 0; t < 27; t++)
            tokens[t] = (int32_t)random_below(&s->random, (uint32_t)s->shape.vocabulary);
        worst = fmax(worst, distance(a, b, precision, sizes[i][0], sizes[i][1], tokens, s->shape.vocabulary));
    }
    return worst;
}

static void assert_same(struct subject *s, const struct graph *sliced, const struct graph *masked)
{
    double in_float = worst_distance(s, sliced, masked, EVALUATE_FLOAT),
           in_double = worst_distance(s, sliced, masked, EVALUATE_DOUBLE);
    if (in_float > 1e-5 || in_double > 1e-11)
        fail_msg("sliced and masked differ by %g in float, %g in double", in_float, in_double);
}

/* Applies the plan; the graph verifies, and its masked twin computes the same. */
static void assert_sliced_is_masked(struct subject *s)
{
    struct graph *sliced = NULL;
    assert_ok(plan_apply(&sliced, &s->plan, &s->trace), &s->trace);
    assert_ok(pass_finish(&sliced, &s->context, &s->trace), &s->trace);
    struct graph *masked = mask_copy(s->graph, s->masks, s->mask_count);
    assert_same(s, sliced, masked);
    graph_destroy(sliced);
    graph_destroy(masked);
}

static void mask_ffn(struct subject *s, uint32_t layer)
{
    uint32_t list[MOST];
    bool kept[MOST];
    uint32_t count = random_keep(s, s->shape.ffn, list, kept);
    assert_ok(plan_ffn(&s->plan, layer, count, list, &s->trace), &s->trace);
    add_mask(s, OP_mul, layer, kept, s->shape.ffn, 1);
}

static void mask_kv_heads(struct subject *s, uint32_t layer)
{
    uint32_t list[MOST];
    bool kept[MOST];
    uint32_t count = random_keep(s, s->shape.kv_heads, list, kept);
    assert_ok(plan_kv_heads(&s->plan, layer, count, list, &s->trace), &s->trace);
    int64_t each = s->shape.heads / s->shape.kv_heads;
    add_mask(s, OP_attention, layer, kept, s->shape.kv_heads, each * s->shape.head_size);
}

/* As many heads in every group, but others in each. */
static void mask_heads(struct subject *s, uint32_t layer)
{
    uint32_t each = (uint32_t)(s->shape.heads / s->shape.kv_heads), groups = (uint32_t)s->shape.kv_heads;
    uint32_t left = 1 + random_below(&s->random, each), list[MOST];
    bool kept[MOST] = {false};
    for (uint32_t g = 0; g < groups; g++) {
        random_subset(&s->random, each, left, list + g * left);
        for (uint32_t i = g * left; i < (g + 1) * left; i++) {
            list[i] += g * each;
            kept[list[i]] = true;
        }
    }
    assert_ok(plan_heads(&s->plan, layer, left * groups, 0, list, &s->trace), &s->trace);
    add_mask(s, OP_attention, layer, kept, s->shape.heads, s->shape.head_size);
}

/* Channels of values, others for each group: reindex's lists per parent. */
static void mask_value_size(struct subject *s, uint32_t layer)
{
    uint32_t size = (uint32_t)s->shape.head_size, groups = (uint32_t)s->shape.kv_heads;
    uint32_t each = (uint32_t)s->shape.heads / groups, left = 1 + random_below(&s->random, size);
    const struct prunable *item = classes_get_layer(&s->plan.classes, layer, "value_size");
    uint32_t *lists = ARENA_ARRAY(&s->plan.arena, uint32_t, (size_t)groups * left);
    float *factors = ARENA_ARRAY(&s->context.arena, float, (size_t)(groups * each * size));
    for (uint32_t g = 0; g < groups; g++) {
        random_subset(&s->random, size, left, lists + g * left);
        for (uint32_t i = 0; i < left; i++)
            for (uint32_t h = 0; h < each; h++)
                factors[(g * each + h) * size + lists[g * left + i]] = 1;
    }
    assert_int_equal(item->parent == DIM_NONE, groups == 1);
    plan_add(&s->plan, item, left, lists);
    s->masks[s->mask_count++] = (struct mask){mask_find(s->graph, OP_attention, layer), factors};
}

static void mask_head_pairs(struct subject *s)
{
    uint32_t list[MOST];
    bool kept[MOST];
    const struct prunable *item = classes_get(&s->plan.classes, "head_pairs");
    if (!item)
        return; /* one pair only */
    uint32_t count = random_keep(s, s->shape.head_size / 2, list, kept);
    assert_ok(plan_class(&s->plan, item, item->name, count, list, &s->trace), &s->trace);
    for (uint32_t n = 0; n < 2 * s->shape.layers; n++)
        add_mask(s, OP_rope, n, kept, s->shape.head_size / 2, 1);
}

#define FOR_EACH_SUBJECT(s, seed) \
    for (uint64_t model_ = 0; model_ < MODELS && (subject_init(&(s), (seed) + model_), 1); model_++)

static void slicing_ffn_is_masking_its_product(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 100)
    {
        for (uint32_t l = 0; l < s.shape.layers; l++)
            mask_ffn(&s, l);
        assert_sliced_is_masked(&s);
        assert_int_equal(s.context.receipt.contract, CONTRACT_EXACT);
        subject_release(&s);
    }
}

static void slicing_heads_is_masking_their_outputs(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 200)
    {
        for (uint32_t l = 0; l < s.shape.layers; l++)
            mask_heads(&s, l);
        assert_sliced_is_masked(&s);
        subject_release(&s);
    }
}

static void slicing_groups_is_masking_all_their_heads(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 300)
    {
        for (uint32_t l = 0; l < s.shape.layers; l++)
            mask_kv_heads(&s, l);
        assert_sliced_is_masked(&s);
        subject_release(&s);
    }
}

static void slicing_value_channels_is_masking_them(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 400)
    {
        for (uint32_t l = 0; l < s.shape.layers; l++)
            mask_value_size(&s, l);
        assert_sliced_is_masked(&s);
        subject_release(&s);
    }
}

static void slicing_rotary_pairs_is_masking_queries_and_keys(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 500)
    {
        mask_head_pairs(&s);
        assert_sliced_is_masked(&s);
        subject_release(&s);
    }
}

static void slicing_everything_exact_at_once(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 600)
    {
        mask_head_pairs(&s);
        for (uint32_t l = 0; l < s.shape.layers; l++) {
            mask_ffn(&s, l);
            mask_heads(&s, l);
            mask_kv_heads(&s, l);
        }
        /* several masks on one value multiply: merge those of heads and groups */
        for (uint32_t i = 0; i < s.mask_count; i++)
            for (uint32_t j = i + 1; j < s.mask_count; j++)
                if (s.masks[i].value == s.masks[j].value) {
                    for (int64_t c = 0; c < s.shape.heads * s.shape.head_size; c++)
                        ((float *)s.masks[i].factors)[c] *= s.masks[j].factors[c];
                    s.masks[j] = s.masks[--s.mask_count];
                }
        assert_sliced_is_masked(&s);
        subject_release(&s);
    }
}

static uint32_t mask_stream(struct subject *s, int64_t divisor)
{
    uint32_t list[MOST];
    bool kept[MOST] = {false};
    uint32_t count = (uint32_t)(s->shape.hidden / divisor);
    random_subset(&s->random, (uint32_t)s->shape.hidden, count, list);
    for (uint32_t i = 0; i < count; i++)
        kept[list[i]] = true;
    assert_ok(plan_hidden(&s->plan, count, list, &s->trace), &s->trace);
    add_mask(s, OP_embed, 0, kept, s->shape.hidden, 1);
    for (uint32_t n = 0; n < 2 * s->shape.layers; n++)
        add_mask(s, OP_add, n, kept, s->shape.hidden, 1);
    for (uint32_t n = 0; n < 2 * s->shape.layers + 1; n++)
        add_mask(s, OP_rmsnorm, n, kept, s->shape.hidden, 1);
    return count;
}

/* rsqrt(sum / (D/4) + e) = rsqrt(sum / D + e/4) / 2: with that correction, which is exact in binary, the
 * masked norms are the sliced ones. */
static void correct_norms(struct graph *masked)
{
    for (uint32_t n = 0; n < masked->nodes.count; n++) {
        struct node *node = &masked->nodes.items[n];
        if (node->op != OP_rmsnorm)
            continue;
        node->attributes[0].real *= 0.25f;
        struct tensor *weight = &masked->tensors.items[graph_value(masked, node->inputs[1])->source];
        int64_t count = tensor_view_count(&weight->view);
        float *data = ARENA_ARRAY(&masked->arena, float, (size_t)count);
        tensor_view_read_f32(&weight->view, 0, count, data);
        for (int64_t i = 0; i < count; i++)
            data[i] *= 0.5f;
        weight->view.base = (const uint8_t *)data;
    }
}

static void slicing_the_stream_renormalises_and_nothing_else(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 700)
    {
        mask_stream(&s, 4);
        struct graph *sliced = NULL;
        assert_ok(plan_apply(&sliced, &s.plan, &s.trace), &s.trace);
        assert_ok(pass_finish(&sliced, &s.context, &s.trace), &s.trace);
        assert_int_equal(s.context.receipt.contract, CONTRACT_RENORMALISING);
        struct graph *masked = mask_copy(s.graph, s.masks, s.mask_count);
        assert_true(worst_distance(&s, sliced, masked, EVALUATE_DOUBLE) > 1e-4);
        correct_norms(masked);
        assert_same(&s, sliced, masked);
        graph_destroy(sliced);
        graph_destroy(masked);
        subject_release(&s);
    }
}

/* Makes the head the embedding itself: a new graph; its weights' bytes stay with the old one. */
static void tie(struct graph **graph)
{
    struct node *head = &VEC_LAST(&(*graph)->nodes);
    head->inputs[1] = (*graph)->nodes.items[0].inputs[0];
    assert_int_equal((*graph)->nodes.items[0].op, OP_embed);
    *graph = graph_canonicalise(*graph);
}

static void check_vocabulary(struct subject *s)
{
    uint32_t list[MOST];
    bool kept[MOST];
    int32_t before[15], after[15];
    uint32_t count = random_keep(s, s->shape.vocabulary, list, kept);
    assert_ok(plan_vocab(&s->plan, count, list, &s->trace), &s->trace);
    struct graph *sliced = NULL;
    assert_ok(plan_apply(&sliced, &s->plan, &s->trace), &s->trace);
    assert_ok(pass_finish(&sliced, &s->context, &s->trace), &s->trace);
    for (int i = 0; i < 15; i++) {
        after[i] = (int32_t)random_below(&s->random, count);
        before[i] = (int32_t)list[after[i]];
    }
    double *x = evaluate(s->graph, EVALUATE_FLOAT, 3, 5, before),
           *y = evaluate(sliced, EVALUATE_FLOAT, 3, 5, after);
    for (uint32_t t = 0; t < 15; t++)
        for (uint32_t c = 0; c < count; c++)
            assert_true(x[t * s->shape.vocabulary + list[c]] == y[t * count + c]); /* to the bit */
    if (count < s->shape.vocabulary) {
        assert_int_equal(s->context.remap.count, count);
        assert_int_equal(s->context.remap.count_before, s->shape.vocabulary);
        assert_memory_equal(s->context.remap.kept, list, count * sizeof *list);
    }
    free(x), free(y);
    graph_destroy(sliced);
}

static void kept_logits_are_those_of_the_whole_vocabulary(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 800)
    {
        assert_false(s.plan.classes.shape.tied);
        check_vocabulary(&s);
        subject_release(&s);
    }
}

static void tied_vocabularies_shrink_on_both_sides(void **state)
{
    (void)state;
    struct subject s;
    FOR_EACH_SUBJECT(s, 900)
    {
        struct graph *untied = s.graph;
        tie(&s.graph);
        plan_release(&s.plan);
        assert_ok(plan_begin(&s.plan, s.graph, &s.context, &s.trace), &s.trace);
        assert_true(s.plan.classes.shape.tied);
        check_vocabulary(&s);
        subject_release(&s);
        graph_destroy(untied);
    }
}

/* To the bit: x + 0 is x. */
static void removing_branches_is_masking_their_results(void **state)
{
    (void)state;
    struct subject s;
    bool none = false;
    FOR_EACH_SUBJECT(s, 1000)
    {
        const struct structure *structure = &s.plan.classes.structure;
        uint32_t list[MOST], count = random_below(&s.random, structure->branch_count);
        random_subset(&s.random, structure->branch_count, count, list);
        struct graph *shallow = NULL;
        assert_ok(remove_branches(&shallow, s.graph, structure, list, count, &s.trace), &s.trace);
        assert_ok(graph_verify(shallow, &s.trace), &s.trace);
        for (uint32_t i = 0; i < count; i++) {
            /* matmuls of a layer: q k v o, gate up down */
            uint32_t n = list[i] / 2 * 7 + (list[i] % 2 == 0 ? 3 : 6);
            add_mask(&s, OP_matmul_nt, n, &none, 1, 1);
        }
        struct graph *masked = mask_copy(s.graph, s.masks, s.mask_count);
        assert_true(worst_distance(&s, shallow, masked, EVALUATE_FLOAT) == 0);
        graph_destroy(shallow);
        graph_destroy(masked);
        subject_release(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slicing_ffn_is_masking_its_product),
        cmocka_unit_test(slicing_heads_is_masking_their_outputs),
        cmocka_unit_test(slicing_groups_is_masking_all_their_heads),
        cmocka_unit_test(slicing_value_channels_is_masking_them),
        cmocka_unit_test(slicing_rotary_pairs_is_masking_queries_and_keys),
        cmocka_unit_test(slicing_everything_exact_at_once),
        cmocka_unit_test(slicing_the_stream_renormalises_and_nothing_else),
        cmocka_unit_test(kept_logits_are_those_of_the_whole_vocabulary),
        cmocka_unit_test(tied_vocabularies_shrink_on_both_sides),
        cmocka_unit_test(removing_branches_is_masking_their_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
