/* The stage generate: its texts are those that the command generate prints, and run again when any of what
 * they depend on changes. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <limits.h>

enum { TOKENS = 12 };

static void write_pipeline(const struct fixture *f, const char *settings)
{
    char text[8192], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(
        text, sizeof text,
        "espalier: 1\nname: texts\nseed: 11\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\nstages:\n"
        "  - import: {model: teacher}\n  - generate: {%s}\n",
        model, settings);
    fixture_write_file(f, "p.yaml", text);
}

/* What the stage made. */
static json_t *read_samples(const struct fixture *f, const json_t *lines)
{
    const char *id = json_text(json_find(lines, "stage", "generate"), "id");
    struct outcome o = program_run("store show %s --store %s/.espalier", id, f->directory);
    assert_int_equal(o.exit_status, 0);
    json_t *samples = json_loads(builder_text(&o.out), 0, NULL);
    assert_non_null(samples);
    outcome_release(&o);
    return samples;
}

static const json_t *sample(const json_t *samples, size_t number)
{
    return json_array_get(json_object_get(samples, "samples"), number);
}

static void assert_prints(const json_t *expected, const char *prompt, const char *drawing)
{
    struct outcome o = program_run(
        "generate golden/tiny/model.onnx --tokenizer bytes --json -q --device cpu --tokens %d --prompt %s %s",
        TOKENS, prompt, drawing);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    assert_true(
        json_equal(json_object_get(json_array_get(lines, 0), "tokens"), json_object_get(expected, "tokens")));
    assert_string_equal(json_text(json_array_get(lines, 0), "text"), json_text(expected, "text"));
    assert_string_equal(json_text(expected, "prompt"), prompt);
    json_decref(lines);
    outcome_release(&o);
}

static void texts_are_those_of_the_command(void **state)
{
    const struct fixture *f = *state;
    write_pipeline(f, "prompt: [The, Many], tokens: 12, samples: 2, temperature: 0.9, top: 20");
    json_t *lines = fixture_run(f, "");
    json_t *samples = read_samples(f, lines);
    assert_int_equal(json_array_size(json_object_get(samples, "samples")), 6);
    assert_prints(sample(samples, 0), "The", "");
    assert_prints(sample(samples, 1), "The", "--temperature 0.9 --top 20 --seed 11");
    assert_prints(sample(samples, 3), "Many", "");
    assert_prints(sample(samples, 4), "Many", "--temperature 0.9 --top 20 --seed 11");
    /* another stream of the same seed */
    assert_string_equal(json_text(sample(samples, 2), "prompt"), "The");
    assert_false(json_equal(json_object_get(sample(samples, 1), "tokens"),
                            json_object_get(sample(samples, 2), "tokens")));
    json_decref(samples);
    json_decref(lines);
}

static void expect_status(const struct fixture *f, const char *settings, const char *status)
{
    write_pipeline(f, settings);
    json_t *lines = fixture_run(f, "");
    assert_string_equal(json_text(json_find(lines, "stage", "generate"), "status"), status);
    json_decref(lines);
}

static void a_changed_prompt_runs_again(void **state)
{
    const struct fixture *f = *state;
    expect_status(f, "prompt: [a, b], tokens: 2", "ran");
    expect_status(f, "prompt: [a, b], tokens: 2, samples: 2", "cached");
    expect_status(f, "prompt: [a, c], tokens: 2", "ran");
    expect_status(f, "prompt: ab, tokens: 2", "ran");
    expect_status(f, "prompt: [ab], tokens: 2", "cached");
    expect_status(f, "prompt: ['a,b'], tokens: 2", "ran");
    expect_status(f, "prompt: [a, b], tokens: 2, seed: 12", "ran");
}

/* Bytes drawn at random are no UTF-8; what is kept of them is. */
static void texts_of_any_bytes_are_kept(void **state)
{
    const struct fixture *f = *state;
    write_pipeline(f, "prompt: x, tokens: 60, greedy: false, samples: 1, temperature: 50");
    json_t *lines = fixture_run(f, "");
    json_t *samples = read_samples(f, lines);
    assert_int_equal(json_array_size(json_object_get(sample(samples, 0), "tokens")), 60);
    const json_t *text = json_object_get(sample(samples, 0), "text");
    assert_true(json_string_length(text) > 60);
    assert_non_null(strstr(json_string_value(text), "\xef\xbf\xbd"));
    json_decref(samples);
    json_decref(lines);
}

/* Bytes have no token that begins a text. */
static void a_text_needs_a_beginning(void **state)
{
    const struct fixture *f = *state;
    write_pipeline(f, "tokens: 2");
    program_expect(2, "give a prompt", "run %s --device cpu", f->yaml);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(texts_are_those_of_the_command),
        FIXTURE_TEST(a_changed_prompt_runs_again),
        FIXTURE_TEST(texts_of_any_bytes_are_kept),
        FIXTURE_TEST(a_text_needs_a_beginning),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
