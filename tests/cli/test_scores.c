/* Scores on the command line: drawn, compared, and pruned by. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"

static const char many[] =
    "  - score: {as: many, data: text, samples: 4, micro: 2, length: 32, metric: [activation, magnitude, flap], "
    "aggregate: {batch: [l2, mean]}, depth: [block-importance, perplexity], blocks: 2}\n";

static void write_with(const struct fixture *f, const char *more)
{
    char tail[2048];
    snprintf(tail, sizeof tail, "%s%s", many, more);
    fixture_write(f, ", steps: 1", tail);
}

static void expect_output(int status, const char *words, const char *arguments)
{
    struct outcome o = program_run("%s", arguments);
    if (o.exit_status != status || !strstr(builder_text(&o.out), words))
        fail_msg("%s: exit status %d, expected %d and \"%s\" in: %s%s", arguments, o.exit_status, status,
                 words, builder_text(&o.out), builder_text(&o.err));
    outcome_release(&o);
}

static void inspect_draws_scores(void **state)
{
    struct fixture *f = *state;
    char text[9000];
    write_with(f, "");
    program_expect(2, "has not run yet", "inspect %s:score", f->yaml);
    json_decref(fixture_run(f, ""));
    snprintf(text, sizeof text, "inspect %s:score", f->yaml);
    expect_output(0, "layers.*.ffn: 2 x 24, ", text);
    expect_output(0, "half of the sum in the first", text);
    snprintf(text, sizeof text, "inspect --json %s:many", f->yaml);
    expect_output(0, "{\"score\":\"layers.1.ffn@l2-mean\",\"count\":16,", text);
    expect_output(0, "\"blocks.2@perplexity\",\"count\":1,", text);
    snprintf(text, sizeof text, "inspect %s:prune", f->yaml); /* a model as ever */
    expect_output(0, "ffn          16", text);
}

static void diff_compares_scores(void **state)
{
    struct fixture *f = *state;
    char text[9000];
    write_with(
        f,
        "  - score: {as: again, model: train, data: text, samples: 4, micro: 2, length: 32, neurons: before}\n");
    json_decref(fixture_run(f, ""));
    snprintf(text, sizeof text, "diff %s:score %s:score", f->yaml, f->yaml);
    expect_output(0, "same", text);
    snprintf(text, sizeof text, "diff --json --keep 0.25 %s:score %s:again", f->yaml, f->yaml);
    expect_output(1, "\"kept\":6,", text);
    expect_output(1, "{\"same\":false,\"differences\":2}", text); /* the neurons of both layers */
    snprintf(text, sizeof text, "diff %s:score %s:many", f->yaml, f->yaml);
    expect_output(1, "has other elements in the second", text);
    expect_output(1, "is in the second only", text);
    program_expect(2, "--keep: expected a number", "diff --keep 2 %s:score %s:many", f->yaml, f->yaml);
}

static void prune_takes_the_scores_it_is_told(void **state)
{
    struct fixture *f = *state;
    write_with(f,
               "  - prune: {as: a, ffn: 8, by: mean-mean, layers: 1, by_depth: perplexity}\n"
               "  - prune: {as: b, model: many, scores: many, ffn: 8, by: flap, compensate: flap}\n"
               "  - prune: {as: c, model: many, ffn: 8, heads: 1, residual: paper}\n"
               "  - prune: {as: d, model: many, ffn: 8, layers: 1, by: random, by_depth: random, seed: 4}\n");
    json_decref(fixture_run(f, ""));
    write_with(f, "  - prune: {as: a, ffn: 8, by: taylor}\n");
    program_expect(2, "by: there are no such scores", "run %s", f->yaml);
    fixture_write(f, ", steps: 1",
                  "  - prune: {as: a, model: train, hidden: 8, scores: score, compensate: flap, ffn: 8}\n");
    program_expect(2, "metric flap", "run %s", f->yaml);
}

int main(int argc, char **argv)
{
    program_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(inspect_draws_scores),
        FIXTURE_TEST(diff_compares_scores),
        FIXTURE_TEST(prune_takes_the_scores_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
