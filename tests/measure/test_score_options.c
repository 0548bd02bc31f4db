/* Every option of scoring against figures of transformers 5.23 and PyTorch 2.15: LlamaForCausalLM in double
 * precision with the fixture's weights and batches, activations caught by hooks, gradients by autograd of the
 * summed cross-entropy, removed layers replaced by the identity. */
#include "measure/score.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { SAMPLES = 6, ROWS = 3, LENGTH = 40 };

struct figure {
    const char *name;
    uint32_t element;
    double value;
};

// clang-format off
/* Neurons after the gate, norms of heads first, outputs of the norms before attention and MLP. */
static const struct figure usual[] = {
    {"layers.1.heads@mean-mean", 0, 1.93045269},
    {"layers.1.heads@mean-mean", 3, 2.28637383},
    {"layers.0.ffn@mean-mean", 0, 1.05145709},
    {"layers.0.ffn@mean-mean", 13, 0.357081274},
    {"hidden@mean-mean", 0, 3.48203922},
    {"hidden@mean-mean", 19, 3.13193166},
    {"layers.1.heads@mean-l2", 0, 13.0330125},
    {"layers.1.heads@mean-l2", 3, 15.3555642},
    {"layers.0.ffn@mean-l2", 0, 11.6877361},
    {"layers.0.ffn@mean-l2", 13, 3.94393568},
    {"hidden@mean-l2", 0, 26.2841245},
    {"hidden@mean-l2", 19, 24.0148676},
    {"layers.1.heads@mean-variance", 0, 0.556693007},
    {"layers.1.heads@mean-variance", 3, 0.696280781},
    {"layers.0.ffn@mean-variance", 0, 3.14513135},
    {"layers.0.ffn@mean-variance", 13, 0.405240769},
    {"hidden@mean-variance", 0, 3.54987554},
    {"hidden@mean-variance", 19, 2.92097784},
    {"layers.1.heads@l2-mean", 0, 4.76846278},
    {"layers.1.heads@l2-mean", 3, 5.70287408},
    {"layers.0.ffn@l2-mean", 0, 2.70948155},
    {"layers.0.ffn@l2-mean", 13, 0.89772507},
    {"hidden@l2-mean", 0, 8.62041266},
    {"hidden@l2-mean", 19, 7.6967026},
    {"layers.1.heads@l2-l2", 0, 32.2976131},
    {"layers.1.heads@l2-l2", 3, 38.3147269},
    {"layers.0.ffn@l2-l2", 0, 29.7063551},
    {"layers.0.ffn@l2-l2", 13, 9.98437073},
    {"hidden@l2-l2", 0, 64.8865718},
    {"hidden@l2-l2", 19, 59.0024629},
    {"layers.1.heads@l2-variance", 0, 1.73215719},
    {"layers.1.heads@l2-variance", 3, 2.27265148},
    {"layers.0.ffn@l2-variance", 0, 8.59840629},
    {"layers.0.ffn@l2-variance", 13, 1.11295924},
    {"hidden@l2-variance", 0, 8.77963476},
    {"hidden@l2-variance", 19, 7.27715436},
    {"layers.1.heads@variance-mean", 0, 0.0630586189},
    {"layers.1.heads@variance-mean", 3, 0.192956832},
    {"layers.0.ffn@variance-mean", 0, 0.117986364},
    {"layers.0.ffn@variance-mean", 13, 0.00681134739},
    {"hidden@variance-mean", 0, 0.0652667169},
    {"hidden@variance-mean", 19, 0.0174596084},
    {"layers.1.heads@variance-l2", 0, 3.99655361},
    {"layers.1.heads@variance-l2", 3, 8.87636487},
    {"layers.0.ffn@variance-l2", 0, 10.474748},
    {"layers.0.ffn@variance-l2", 13, 1.05998116},
    {"hidden@variance-l2", 0, 2.72008863},
    {"hidden@variance-l2", 19, 0.943204918},
    {"layers.1.heads@variance-variance", 0, 0.190154318},
    {"layers.1.heads@variance-variance", 3, 0.376017196},
    {"layers.0.ffn@variance-variance", 0, 2.43024726},
    {"layers.0.ffn@variance-variance", 13, 0.0422262985},
    {"hidden@variance-variance", 0, 0.0616701982},
    {"hidden@variance-variance", 19, 0.0784674323},
    {"layers.1.heads@magnitude", 0, 3.49388184},
    {"layers.1.heads@magnitude", 3, 3.42167304},
    {"layers.0.ffn@magnitude", 0, 1.95589862},
    {"layers.0.ffn@magnitude", 13, 1.94267859},
    {"hidden@magnitude", 0, 8.22767044},
    {"hidden@magnitude", 19, 8.10291528},
    {"layers.1.heads@taylor", 0, 0.312582458},
    {"layers.1.heads@taylor", 3, 0.311912918},
    {"layers.0.ffn@taylor", 0, 0.205374226},
    {"layers.0.ffn@taylor", 13, 0.0950049131},
    {"hidden@taylor", 0, 1.278326},
    {"hidden@taylor", 19, 1.05503171},
    {"layers.1.heads@flap", 0, 1.65591038},
    {"layers.1.heads@flap", 3, 1.96978499},
    {"layers.0.ffn@flap", 0, 1.65225358},
    {"layers.0.ffn@flap", 13, 0.146920853},
    {"layers.1.heads@means", 0, -0.16253369},
    {"layers.1.heads@means", 23, -0.292584929},
    {"layers.0.ffn@means", 0, -0.648923289},
    {"layers.0.ffn@means", 13, 0.0957315263},
    {"layers@block-importance", 0, 0.718563095},
    {"layers@block-importance", 1, 0.280069295},
    {"blocks.2@block-importance", 0, 0.823122512},
    {"layers@perplexity", 0, -0.135193634},
    {"layers@perplexity", 1, -0.142592227},
    {"blocks.2@perplexity", 0, -0.387356692},
    {"layers@logit-error", 0, 1.70779344},
    {"layers@logit-error", 1, 0.55430843},
    {"blocks.2@logit-error", 0, 1.6285784},
    {"norms.0@energy", 0, 0.0918844239},
    {"norms.0@energy", 19, 0.0842399349},
    {"norms.2@energy", 0, 0.861751241},
    {"norms.2@energy", 19, 1.17805261},
    {"norms.4@energy", 0, 2.24717217},
    {"norms.4@energy", 19, 2.39724952},
};
/* Neurons before the activation function, norms of heads last, outputs of the norms before the MLP and of the last one. */
static const struct figure other[] = {
    {"layers.1.heads@mean-mean", 0, 1.62554295},
    {"layers.1.heads@mean-mean", 3, 1.94000987},
    {"layers.0.ffn@mean-mean", 0, 1.05131023},
    {"layers.0.ffn@mean-mean", 13, 0.649473914},
    {"hidden@mean-mean", 0, 2.6308835},
    {"hidden@mean-mean", 19, 2.45735716},
    {"layers.1.heads@mean-l2", 0, 12.6026045},
    {"layers.1.heads@mean-l2", 3, 14.9968674},
    {"layers.0.ffn@mean-l2", 0, 7.89749399},
    {"layers.0.ffn@mean-l2", 13, 5.1919419},
    {"hidden@mean-l2", 0, 20.0674843},
    {"hidden@mean-l2", 19, 18.6192693},
    {"layers.1.heads@mean-variance", 0, 1.52191878},
    {"layers.1.heads@mean-variance", 3, 1.89401879},
    {"layers.0.ffn@mean-variance", 0, 1.48625361},
    {"layers.0.ffn@mean-variance", 13, 0.574809848},
    {"hidden@mean-variance", 0, 2.68144301},
    {"hidden@mean-variance", 19, 2.0560548},
    {"layers.1.heads@l2-mean", 0, 4.16330805},
    {"layers.1.heads@l2-mean", 3, 4.9894388},
    {"layers.0.ffn@l2-mean", 0, 2.61296634},
    {"layers.0.ffn@l2-mean", 13, 1.59402516},
    {"hidden@l2-mean", 0, 6.55968246},
    {"hidden@l2-mean", 19, 6.06185607},
    {"layers.1.heads@l2-l2", 0, 32.2976131},
    {"layers.1.heads@l2-l2", 3, 38.3147269},
    {"layers.0.ffn@l2-l2", 0, 19.6640535},
    {"layers.0.ffn@l2-l2", 13, 12.7473866},
    {"hidden@l2-l2", 0, 49.8183098},
    {"hidden@l2-l2", 19, 45.8013929},
    {"layers.1.heads@l2-variance", 0, 4.49339845},
    {"layers.1.heads@l2-variance", 3, 6.15854086},
    {"layers.0.ffn@l2-variance", 0, 3.80418985},
    {"layers.0.ffn@l2-variance", 13, 1.42098226},
    {"hidden@l2-variance", 0, 6.68864125},
    {"hidden@l2-variance", 19, 5.10074376},
    {"layers.1.heads@variance-mean", 0, 0.138092483},
    {"layers.1.heads@variance-mean", 3, 0.207909549},
    {"layers.0.ffn@variance-mean", 0, 0.0326789795},
    {"layers.0.ffn@variance-mean", 13, 0.00166967247},
    {"hidden@variance-mean", 0, 0.0846355034},
    {"hidden@variance-mean", 19, 0.0336393981},
    {"layers.1.heads@variance-l2", 0, 8.6403474},
    {"layers.1.heads@variance-l2", 3, 10.9757673},
    {"layers.0.ffn@variance-l2", 0, 2.07542188},
    {"layers.0.ffn@variance-l2", 13, 0.126383413},
    {"hidden@variance-l2", 0, 3.67028547},
    {"hidden@variance-l2", 19, 1.12011766},
    {"layers.1.heads@variance-variance", 0, 0.712064777},
    {"layers.1.heads@variance-variance", 3, 2.16595082},
    {"layers.0.ffn@variance-variance", 0, 0.203026958},
    {"layers.0.ffn@variance-variance", 13, 0.00612540407},
    {"hidden@variance-variance", 0, 0.0962005044},
    {"hidden@variance-variance", 19, 0.0388701292},
    {"hidden@taylor", 0, 0.685259383},
    {"hidden@taylor", 19, 0.563034869},
    {"layers.0.ffn@taylor", 0, 0.22144787},
    {"layers.0.ffn@taylor", 13, 0.109925175},
};
// clang-format on

static const struct score_variant variants[] = {
    {SCORE_ACTIVATION, STATISTIC_MEAN, STATISTIC_MEAN},
    {SCORE_ACTIVATION, STATISTIC_MEAN, STATISTIC_L2},
    {SCORE_ACTIVATION, STATISTIC_MEAN, STATISTIC_VARIANCE},
    {SCORE_ACTIVATION, STATISTIC_L2, STATISTIC_MEAN},
    {SCORE_ACTIVATION, STATISTIC_L2, STATISTIC_L2},
    {SCORE_ACTIVATION, STATISTIC_L2, STATISTIC_VARIANCE},
    {SCORE_ACTIVATION, STATISTIC_VARIANCE, STATISTIC_MEAN},
    {SCORE_ACTIVATION, STATISTIC_VARIANCE, STATISTIC_L2},
    {SCORE_ACTIVATION, STATISTIC_VARIANCE, STATISTIC_VARIANCE},
    {SCORE_TAYLOR, 0, 0},
    {SCORE_MAGNITUDE, 0, 0},
    {SCORE_RANDOM, 0, 0},
    {SCORE_FLAP, 0, 0},
};
static const enum score_depth depths[] = {DEPTH_BLOCK_IMPORTANCE, DEPTH_PERPLEXITY, DEPTH_LOGIT_ERROR};
static const uint32_t blocks[] = {2};

static struct score_options all_options(void)
{
    return (struct score_options){.samples = SAMPLES,
                                  .length = LENGTH,
                                  .rows = ROWS,
                                  .seed = 9,
                                  .variants = variants,
                                  .variant_count = sizeof variants / sizeof *variants,
                                  .depths = depths,
                                  .depth_count = sizeof depths / sizeof *depths,
                                  .blocks = blocks,
                                  .block_count = 1,
                                  .energy = true};
}

static void compare(const struct scores *scores, const struct figure *figures, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct score *score = scores_get(scores, figures[i].name);
        if (!score)
            fail_msg("there is no score %s", figures[i].name);
        double is = (double)score->values[figures[i].element], should = figures[i].value;
        if (fabs(is - should) > 2e-5 * fabs(should) + 1e-6)
            fail_msg("%s[%u] is %.9g, PyTorch has %.9g", figures[i].name, figures[i].element, is, should);
    }
}

static void all_variants_from_one_pass_are_those_of_pytorch(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct scores scores = {0};
    struct score_options options = all_options();
    fixture_create(&f);
    assert_ok(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    compare(&scores, usual, sizeof usual / sizeof *usual);
    fixture_release(&f);
}

static void other_sites_are_those_of_pytorch(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct scores scores = {0};
    struct score_options options = all_options();
    options.variant_count -= 1; /* flap scores what is after */
    options.neurons = NEURONS_BEFORE;
    options.heads = HEADS_NORM_LAST;
    options.sites = SITE_MLP | SITE_FINAL;
    fixture_create(&f);
    assert_ok(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    compare(&scores, other, sizeof other / sizeof *other);
    fixture_release(&f);
}

static void same(const struct score *a, const struct score *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->values, b->values, a->count * sizeof *a->values);
}

/* Asking for more changes no bytes of what one asked for alone. */
static void the_first_variant_is_what_it_is_alone(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct scores all = {0}, alone = {0};
    struct score_options options = all_options();
    fixture_create(&f);
    assert_ok(measure_score(&all, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    options = (struct score_options){.samples = SAMPLES, .length = LENGTH, .rows = ROWS, .seed = 9};
    assert_ok(measure_score(&alone, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    same(scores_get(&all, "hidden@l2-mean"), scores_get(&alone, "hidden"));
    same(scores_get(&all, "layers.0.heads@l2-mean"), scores_get(&alone, "layers.0.heads"));
    same(scores_get(&all, "layers.1.ffn@l2-mean"), scores_get(&alone, "layers.1.ffn"));
    same(scores_get(&all, "hidden"), scores_get(&all, "hidden@mean-mean"));
    same(scores_get(&all, "layers"), scores_get(&alone, "layers"));
    same(scores_get(&all, "vocab"), scores_get(&alone, "vocab"));
    assert_null(scores_get(&alone, "hidden@l2-mean"));
    fixture_release(&f);
}

static double largest_of(const struct score *score)
{
    double largest = 0;
    for (uint32_t i = 0; i < score->count; i++) {
        assert_true(score->values[i] >= 0 && score->values[i] < 1);
        largest = fmax(largest, (double)score->values[i]);
    }
    return largest;
}

static void random_scores_follow_the_seed_alone(void **state)
{
    (void)state;
    static const struct score_variant variant = {SCORE_RANDOM, 0, 0};
    struct fixture f;
    struct trace trace = {0};
    struct scores scores[3] = {0};
    struct score_options options = {.samples = 3, .length = LENGTH, .rows = 3, .seed = 9};
    options.variants = &variant;
    options.variant_count = 1;
    fixture_create(&f);
    for (int i = 0; i < 3; i++) {
        options.samples = i == 1 ? 6 : 3;
        options.seed = i == 2 ? 10 : 9;
        assert_ok(measure_score(&scores[i], &f.arena, f.executor, f.model, &f.corpus, &options, &trace),
                  &trace);
    }
    const struct score *hidden = scores_get(&scores[0], "hidden"),
                       *other_seed = scores_get(&scores[2], "hidden");
    assert_true(largest_of(hidden) > 0.5);
    same(hidden, scores_get(&scores[1], "hidden"));
    same(scores_get(&scores[0], "layers.0.ffn"), scores_get(&scores[1], "layers.0.ffn"));
    assert_memory_not_equal(hidden->values, other_seed->values, hidden->count * sizeof *hidden->values);
    assert_memory_not_equal(scores_get(&scores[0], "layers.0.ffn")->values,
                            scores_get(&scores[0], "layers.1.ffn")->values, FFN * sizeof(float));
    fixture_release(&f);
}

static void refuses_what_has_no_meaning(void **state)
{
    (void)state;
    static const uint32_t too_long[] = {3};
    static const struct score_variant flap = {SCORE_FLAP, 0, 0};
    struct fixture f;
    struct trace trace = {0};
    struct scores scores = {0};
    struct score_options options = {.samples = 3, .length = LENGTH, .rows = 3, .blocks = too_long};
    options.block_count = 1;
    fixture_create(&f);
    enum status status = measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace);
    assert_int_equal(status, INVALID);
    assert_non_null(strstr(trace.text, "3 layers"));
    options.block_count = 0;
    options.variants = &flap;
    options.variant_count = 1;
    options.neurons = NEURONS_BEFORE;
    trace = (struct trace){0};
    status = measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace);
    assert_int_equal(status, INVALID);
    assert_non_null(strstr(trace.text, "flap"));
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_variants_from_one_pass_are_those_of_pytorch),
        cmocka_unit_test(other_sites_are_those_of_pytorch),
        cmocka_unit_test(the_first_variant_is_what_it_is_alone),
        cmocka_unit_test(random_scores_follow_the_seed_alone),
        cmocka_unit_test(refuses_what_has_no_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
