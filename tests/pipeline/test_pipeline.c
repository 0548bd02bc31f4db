/* pipeline/pipeline.c: which stage feeds which. Mistakes are in test_errors.c. */
#include "base/file.h"
#include "pipeline/pipeline.h"
#include "tests/pipeline/fixture.h"

#define HEAD                                                                  \
    "espalier: 1\nseed: 9\ninputs:\n  m: {model: m.onnx, tokenizer: bytes}\n" \
    "  t: {text: sub/t.txt}\n  a: {text: /abs/t.txt}\nstages:\n"

static const struct stage_entry *read_text(struct fixture *f, const char *stages)
{
    char text[4096];
    int length = snprintf(text, sizeof text, HEAD "%s", stages);
    assert_ok(file_write(f->yaml, text, (size_t)length, &f->trace), &f->trace);
    pipeline_release(&f->pipeline);
    assert_ok(pipeline_read(&f->pipeline, f->yaml, &f->trace), &f->trace);
    return f->pipeline.stages.items;
}

static void a_stage_takes_the_model_before_it(void **state)
{
    const struct stage_entry *s = read_text(*state, "  - import: {model: m}\n"
                                                    "  - score: {data: t}\n"
                                                    "  - evaluate: {data: t}\n"
                                                    "  - prune: {hidden: 8}\n"
                                                    "  - export: {onnx: o.onnx}\n"
                                                    "  - evaluate: {as: e, data: t}\n");
    assert_int_equal(s[0].model, STAGE_NONE);
    assert_int_equal(s[0].source, 0);
    assert_int_equal(s[1].model, 0);
    assert_int_equal(s[2].model, 0);
    assert_int_equal(s[3].model, 0);
    assert_int_equal(s[4].model, 3);
    assert_int_equal(s[5].model, 3);
    assert_int_equal(s[5].data, 1);
}

static void naming_a_stage_that_makes_no_model_means_its_model(void **state)
{
    const struct stage_entry *s = read_text(*state, "  - import: {model: m}\n"
                                                    "  - prune: {hidden: 8}\n"
                                                    "  - evaluate: {data: t, model: import}\n"
                                                    "  - apply: {passes: x}\n"
                                                    "  - distill: {teacher: evaluate, data: t, steps: 1}\n");
    assert_int_equal(s[2].model, 0);
    assert_int_equal(s[3].model, 0); /* evaluate handed on what it was given */
    assert_int_equal(s[4].teacher_count, 1);
    assert_int_equal(s[4].teachers[0].stage, 0);
    assert_int_equal(s[4].model, 3);
}

static void prune_and_apply_take_the_nearest_scores_above(void **state)
{
    const struct stage_entry *s = read_text(*state, "  - import: {model: m}\n"
                                                    "  - prune: {as: p, hidden: 8}\n"
                                                    "  - score: {data: t, model: import}\n"
                                                    "  - score: {as: later, data: t}\n"
                                                    "  - prune: {hidden: 8}\n"
                                                    "  - apply: {passes: x, scores: score}\n"
                                                    "  - init: {like: p}\n"
                                                    "  - train: {data: t, steps: 1}\n");
    assert_int_equal(s[1].scores, STAGE_NONE);
    assert_int_equal(s[4].scores, 3);
    assert_int_equal(s[5].scores, 2);
    assert_int_equal(s[6].model, STAGE_NONE);
    assert_int_equal(s[6].like, 1);
    assert_int_equal(s[7].scores, STAGE_NONE);
}

static void paths_are_relative_to_the_file(void **state)
{
    struct fixture *f = *state;
    char expected[4300];
    const struct stage_entry *s = read_text(f, "  - import: {model: m}\n  - export: {hf: ../out}\n");
    snprintf(expected, sizeof expected, "%s/sub/t.txt", f->directory);
    assert_string_equal(settings_text(&f->pipeline.inputs.items[1].settings, "text"), expected);
    assert_string_equal(settings_text(&f->pipeline.inputs.items[2].settings, "text"), "/abs/t.txt");
    assert_string_equal(settings_text(&f->pipeline.inputs.items[0].settings, "tokenizer"), "bytes");
    snprintf(expected, sizeof expected, "%s/../out", f->directory);
    assert_string_equal(settings_text(&s[1].settings, "hf"), expected);
    assert_string_equal(settings_text(&s[1].settings, "onnx"), "");
}

static void a_seed_is_the_files_unless_given(void **state)
{
    const struct stage_entry *s = read_text(*state, "  - import: {model: m}\n  - score: {data: t}\n"
                                                    "  - score: {as: b, data: t, seed: 0}\n");
    assert_int_equal(settings_integer(&s[1].settings, "seed"), 9);
    assert_int_equal(settings_integer(&s[2].settings, "seed"), 0);
}

static void a_stage_may_be_a_bare_word(void **state)
{
    const struct stage_entry *s = read_text(*state, "  - import: {model: m}\n  - prune\n");
    assert_string_equal(s[1].name, "prune");
    assert_int_equal(s[1].line, 9);
}

static void the_demo_of_the_documents_reads(void **state)
{
    const struct stage_entry *s = read_text(
        *state,
        "  - import:   {model: m}\n"
        "  - score:    {data: t, samples: 256, length: 256, aggregate: {batch: l2, sequence: mean}}\n"
        "  - prune:    {hidden: 96, ffn: 256, heads: 6, kv_heads: 2, layers: 5}\n"
        "  - distill:  {teacher: import, data: t, steps: 400, batch: 16, micro: 8, length: 256, loss: {logits: "
        "forward-kl}, optimizer: {adamw: {lr: 1.0e-3}}, schedule: {cosine: {warmup: 20}}}\n"
        "  - evaluate: {data: t, metrics: [perplexity]}\n"
        "  - export:   {onnx: student.onnx, hf: student/}\n"
        "  - init:     {as: scratch, like: prune}\n"
        "  - train:    {as: scratch-trained, data: t, steps: 400, batch: 16, micro: 8, length: 256, loss: {ce: "
        "1}, optimizer: {adamw: {lr: 1.0e-3}}}\n");
    assert_string_equal(s[7].name, "scratch-trained");
    assert_int_equal(s[7].model, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_stage_takes_the_model_before_it),
        FIXTURE_TEST(naming_a_stage_that_makes_no_model_means_its_model),
        FIXTURE_TEST(prune_and_apply_take_the_nearest_scores_above),
        FIXTURE_TEST(paths_are_relative_to_the_file),
        FIXTURE_TEST(a_seed_is_the_files_unless_given),
        FIXTURE_TEST(a_stage_may_be_a_bare_word),
        FIXTURE_TEST(the_demo_of_the_documents_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
