/* distill: what a student can be made to learn, and teachers that do not fit. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"

/* A teacher with 4 layers of width 24 and `teacher` more, a student with 2 of width 16, distilled as said. */
static void write_pipeline(const struct fixture *f, const char *teacher, const char *distill)
{
    char text[8192];
    snprintf(text, sizeof text,
             "espalier: 1\nname: small\nseed: 5\ninputs:\n  text: {text: %s}\nstages:\n"
             "  - init: {as: teacher, arch: {layers: 4, hidden: 24, heads: 2, kv_heads: 1, ffn: 24%s}, "
             "tokenizer: bytes, seed: 1}\n"
             "  - init: {as: student, arch: {layers: 2, hidden: 16, heads: 2, kv_heads: 1, ffn: 24}, "
             "tokenizer: bytes}\n"
             "  - distill: {teacher: teacher, data: text, steps: 3, batch: 4, micro: 2, length: 32%s}\n",
             f->text, teacher, distill);
    fixture_write_file(f, "p.yaml", text);
}

static char *distilled_id(const json_t *lines)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "id") && strcmp(json_text(line, "stage"), "distill") == 0)
            return strdup(json_text(line, "id"));
    }
    fail_msg("distill has no id");
    return NULL;
}

static void every_loss_makes_another_student(void **state)
{
    static const char *const losses[] = {
        "",
        ", loss: {logits: forward-kl, temperature: 2}",
        ", loss: {top: 20}",
        ", loss: {logits: reverse-kl}",
        ", loss: {logits: jensen-shannon}",
        ", loss: {logits: mse, ce: 0.5}",
        ", loss: {logits: cosine}",
        ", loss: {states: {at: block}}",
        ", loss: {states: {at: [queries, values], relation_heads: 4}}",
        ", loss: {states: {at: [embedding, block], distance: mse}}",
        ", loss: {states: {at: [block, mlp, attention, mlp-input], student: [0, 1], teacher: [1, 3], scale: fixed}}",
        ", loss: {logits: none, states: {at: block, scale: fixed, weight: 0.5}, ce: 1}",
    };
    enum { COUNT = sizeof losses / sizeof *losses };
    struct fixture *f = *state;
    char *ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        write_pipeline(f, "", losses[i]);
        json_t *lines = fixture_run(f, "");
        ids[i] = distilled_id(lines);
        json_decref(lines);
        for (int j = 0; j < i; j++)
            if (strcmp(ids[i], ids[j]) == 0)
                fail_msg("\"%s\" and \"%s\" make the same student", losses[j], losses[i]);
    }
    for (int i = 0; i < COUNT; i++)
        free(ids[i]);
}

static void write_teachers(const struct fixture *f, const char *teachers, const char *layers)
{
    char text[16384];
    snprintf(
        text, sizeof text,
        "espalier: 1\nseed: 5\ninputs:\n  text: {text: %s}\n  again: {text: %s, part: train}\nstages:\n"
        "  - init: {as: teacher, arch: {layers: 4, hidden: 24, heads: 2, kv_heads: 1, ffn: 24}, "
        "tokenizer: bytes, seed: 1}\n"
        "  - init: {as: wider, arch: {layers: 5, hidden: 32, heads: 2, kv_heads: 1, ffn: 24}, "
        "tokenizer: bytes, seed: 2}\n"
        "  - init: {as: student, arch: {layers: 3, hidden: 16, heads: 2, kv_heads: 1, ffn: 24}, "
        "tokenizer: bytes}\n"
        "  - distill: {teacher: %s, data: {text: 1, again: 1}, steps: 3, batch: 4, micro: 2, length: 32, "
        "loss: {states: {at: [embedding, block]%s}}}\n",
        f->text, f->text, teachers, layers);
    fixture_write_file(f, "p.yaml", text);
}

static char *student_of_teachers(const struct fixture *f, const char *teachers)
{
    write_teachers(f, teachers, "");
    json_t *lines = fixture_run(f, "");
    char *id = distilled_id(lines);
    json_decref(lines);
    return id;
}

/* Hidden states go to the teacher of the tag; one teacher of all tags is one without tags. */
static void states_of_several_teachers_are_learnt(void **state)
{
    struct fixture *f = *state;
    char *one = student_of_teachers(f, "teacher"),
         *same = student_of_teachers(f, "{text: teacher, again: teacher}"),
         *two = student_of_teachers(f, "{text: teacher, again: wider}");
    assert_string_equal(one, same);
    assert_string_not_equal(one, two);
    write_teachers(f, "{text: wider, again: teacher}", ", student: 1, teacher: 4");
    program_expect(
        2, "loss.states.teacher: expected layers from 0 to 3, found 4\n  with the teacher of \"again\"",
        "run %s --device cpu", f->yaml);
    free(one);
    free(same);
    free(two);
}

static void padding_is_compared_only_on_request(void **state)
{
    struct fixture *f = *state;
    write_pipeline(f, ", vocab: 260", "");
    program_expect(2, "p.yaml:9:14: vocab: the student's logits are of 256 tokens, the teacher's of 260",
                   "run %s --device cpu", f->yaml);
    program_expect(2, "say vocab: shared", "run %s --device cpu", f->yaml);
    write_pipeline(f, ", vocab: 260", ", vocab: shared");
    json_decref(fixture_run(f, ""));
    write_pipeline(f, ", vocab: 260",
                   ", vocab: shared}\n  - evaluate: {data: text, length: 32, teacher: teacher");
    program_expect(2, "p.yaml:10:15: vocab: the student's logits are of 256 tokens, the teacher's of 260",
                   "run %s --device cpu", f->yaml);
    write_pipeline(
        f, ", vocab: 260",
        ", vocab: shared}\n  - evaluate: {data: text, length: 32, teacher: teacher, vocab: shared");
    json_decref(fixture_run(f, ""));
}

/* The command compares as the stage does. */
static void the_command_compares_padding_only_on_request(void **state)
{
    struct fixture *f = *state;
    write_pipeline(
        f, ", vocab: 260",
        ", vocab: shared}\n  - evaluate: {data: text, length: 32, teacher: teacher, vocab: shared");
    json_t *run = fixture_run(f, "");
    char words[16384];
    snprintf(words, sizeof words, "eval %s:distill --teacher %s:teacher --text %s --length 32 --device cpu",
             f->yaml, f->yaml, f->text);
    program_expect(2,
                   "--vocab: the student's logits are of 256 tokens, the teacher's of 260; if the first 256",
                   "%s", words);
    program_expect(2, "say --vocab shared", "%s", words);
    program_expect(2, "--vocab: expected same or shared, found \"some\"", "%s --vocab some", words);
    struct outcome o = program_run("%s --vocab shared --json -q", words);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    const json_t *report = json_object_get(json_find(run, "stage", "evaluate"), "report");
    const json_t *expected = json_object_get(report, "divergence");
    assert_true(json_number_value(expected) > 0);
    assert_true(json_equal(expected, json_object_get(json_array_get(lines, 0), "divergence")));
    json_decref(lines);
    json_decref(run);
    outcome_release(&o);
}

static void layers_that_are_not_there_are_refused(void **state)
{
    struct fixture *f = *state;
    write_pipeline(f, "", ", loss: {states: {at: block, student: 2, teacher: 3}}");
    program_expect(2, "loss.states.student: expected layers from 0 to 1, found 2", "run %s --device cpu",
                   f->yaml);
}

static void a_teacher_of_another_tokenizer_is_refused(void **state)
{
    struct fixture *f = *state;
    char text[8192];
    fixture_write_file(f, "t.json",
                       "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1}, \"merges\": []}}");
    snprintf(text, sizeof text,
             "espalier: 1\nseed: 5\ninputs:\n  text: {text: %s}\nstages:\n"
             "  - init: {as: teacher, arch: {layers: 1, hidden: 16, heads: 2, ffn: 24}, tokenizer: t.json}\n"
             "  - init: {as: student, arch: {layers: 1, hidden: 16, heads: 2, ffn: 24}, tokenizer: bytes}\n"
             "  - distill: {teacher: teacher, data: text, steps: 1, batch: 2, micro: 2, length: 32}\n",
             f->text);
    fixture_write_file(f, "p.yaml", text);
    program_expect(2, "student and teacher have different tokenizers", "run %s --device cpu", f->yaml);
    program_expect(2, "student and teacher have different tokenizers",
                   "eval %s:student --teacher %s:teacher --text %s --length 32 --device cpu", f->yaml,
                   f->yaml, f->text);
    /* Who gives a tokenizer says that it is both models'; then their sizes still count. */
    program_expect(
        2, "the student's logits are of 256 tokens, the teacher's of 2;",
        "eval %s:student --teacher %s:teacher --text %s --length 32 --device cpu --tokenizer bytes", f->yaml,
        f->yaml, f->text);
    program_expect(
        2, "the models share 2 tokens, the tokenizer has 256",
        "eval %s:student --teacher %s:teacher --text %s --length 32 --device cpu --tokenizer bytes "
        "--vocab shared",
        f->yaml, f->yaml, f->text);
}

/* A rate that rises until the small model blows up; without its guard the run goes on from the checkpoint. */
static void a_spike_stops_the_run_with_its_last_checkpoint(void **state)
{
    static const char *const guards[] = {", guard: 1.5", ""};
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        char text[8192];
        snprintf(
            text, sizeof text,
            "espalier: 1\nseed: 5\ninputs:\n  text: {text: %s}\nstages:\n"
            "  - init: {arch: {layers: 1, hidden: 16, heads: 2, ffn: 24}, tokenizer: bytes}\n"
            "  - train: {data: text, steps: 40, batch: 2, micro: 2, length: 32, optimizer: {adamw: {lr: 3, "
            "clip: 0}}, schedule: {constant: {warmup: 35}}, checkpoint: 4%s}\n",
            f->text, guards[i]);
        fixture_write_file(f, "p.yaml", text);
        if (i == 0)
            program_expect(
                2,
                "the loss of step 18 is 6.646, more than 1.5 times 4.138, the mean of the 16 before; "
                "the last checkpoint is of step 16",
                "run %s --device cpu", f->yaml);
        else
            program_expect(0, "going on from the checkpoint of step 16", "run %s --device cpu", f->yaml);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_loss_makes_another_student),
        FIXTURE_TEST(states_of_several_teachers_are_learnt),
        FIXTURE_TEST(padding_is_compared_only_on_request),
        FIXTURE_TEST(the_command_compares_padding_only_on_request),
        FIXTURE_TEST(layers_that_are_not_there_are_refused),
        FIXTURE_TEST(a_teacher_of_another_tokenizer_is_refused),
        FIXTURE_TEST(a_spike_stops_the_run_with_its_last_checkpoint),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
