/* Scores on the command line: drawn, compared, and pruned by. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <stdlib.h>

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

static void write_task(const struct fixture *f, const char *first)
{
    char text[1024], yaml[8192];
    snprintf(text, sizeof text,
             "{\"goal\": \"%s\", \"sol1\": \"bird sleeps\", \"sol2\": \"zz qx\", \"label\": 0}\n"
             "{\"goal\": \"Above\", \"sol1\": \"w\", \"sol2\": \"the river\", \"label\": 1}\n",
             first);
    fixture_write_file(f, "items.jsonl", text);
    snprintf(
        yaml, sizeof yaml,
        "espalier: 1\nname: task\nseed: 5\ninputs:\n  text: {text: %s}\n  items: {task: piqa, items: "
        "items.jsonl}\nstages:\n"
        "  - init:  {arch: {layers: 3, hidden: 16, heads: 2, ffn: 24}, std: 0.3, tokenizer: bytes}\n"
        "  - score: {data: text, samples: 4, micro: 2, length: 32, depth: [perplexity, margin], blocks: 2, "
        "task: items}\n"
        "  - prune: {as: one, model: init, layers: 2, by_depth: margin}\n"
        "  - prune: {as: run, model: init, layers: 1, drop: run, by_depth: margin}\n",
        f->text);
    fixture_write_file(f, "p.yaml", yaml);
}

/* Element `index` of a score, as `store show` prints it. */
static double value_of(const struct fixture *f, const char *id, const char *name, int index)
{
    struct outcome o = program_run("store show %s --store %s/.espalier", id, f->directory);
    char heading[64];
    snprintf(heading, sizeof heading, "%s ", name);
    char *at = strstr(builder_text(&o.out), heading);
    assert_non_null(at);
    for (int i = 0; i <= index; i++)
        at = strchr(at, '\n') + 1;
    double value = strtod(at, NULL);
    outcome_release(&o);
    return value;
}

/* Layers that a task misses least go; another item asks the task again. */
static void layers_go_by_a_task(void **state)
{
    struct fixture *f = *state;
    write_task(f, "The quiet");
    json_t *first = fixture_run(f, "");
    const char *id = json_text(json_find(first, "stage", "score"), "id");
    int least = 0, run = value_of(f, id, "blocks.2@margin", 1) < value_of(f, id, "blocks.2@margin", 0);
    for (int i = 1; i < 3; i++)
        if (value_of(f, id, "layers@margin", i) < value_of(f, id, "layers@margin", least))
            least = i;
    char passes[64];
    snprintf(passes, sizeof passes, "remove_layers{layers=%d}", least);
    struct outcome o =
        program_run("opt %s:init --passes %s -o %s/one.onnx -q", f->yaml, passes, f->directory);
    assert_int_equal(o.exit_status, 0);
    outcome_release(&o);
    char text[9000];
    snprintf(text, sizeof text, "diff %s:one %s/one.onnx", f->yaml, f->directory);
    expect_output(0, "same", text);
    snprintf(passes, sizeof passes, "remove_layers{layers=%d+%d}", run, run + 1);
    o = program_run("opt %s:init --passes %s -o %s/run.onnx -q", f->yaml, passes, f->directory);
    assert_int_equal(o.exit_status, 0);
    outcome_release(&o);
    snprintf(text, sizeof text, "diff %s:run %s/run.onnx", f->yaml, f->directory);
    expect_output(0, "same", text);
    write_task(f, "The loud");
    json_t *second = fixture_run(f, "");
    assert_string_equal(json_text(json_find(second, "stage", "score"), "status"), "ran");
    assert_string_not_equal(json_text(json_find(second, "stage", "score"), "id"), id);
    json_decref(first);
    json_decref(second);
}

int main(int argc, char **argv)
{
    program_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(inspect_draws_scores),
        FIXTURE_TEST(diff_compares_scores),
        FIXTURE_TEST(prune_takes_the_scores_it_is_told),
        FIXTURE_TEST(layers_go_by_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
