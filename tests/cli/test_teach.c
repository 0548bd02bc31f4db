/* Teachers in pipelines: asked beforehand, corrected before or beside, several by tag; training in phases. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <glob.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>

/* A teacher and a student from fresh weights, then these stages. */
static void write_stages(const struct fixture *f, const char *vocab, const char *stages)
{
    char text[16384];
    snprintf(text, sizeof text,
             "espalier: 1\nname: small\nseed: 5\ninputs:\n  text: {text: %s}\n"
             "  again: {text: %.*strain.txt, part: heldout, fraction: 0.2, tag: other}\nstages:\n"
             "  - init: {as: teacher, arch: {layers: 2, hidden: 24, heads: 2, kv_heads: 1, ffn: 24%s}, "
             "tokenizer: bytes, std: 0.3}\n"
             "  - init: {as: student, arch: {layers: 1, hidden: 16, heads: 2, kv_heads: 1, ffn: 24}, "
             "tokenizer: bytes, seed: 2}\n%s",
             f->text, (int)(strlen(f->text) - strlen("heldout.txt")), f->text, vocab, stages);
    fixture_write_file(f, "p.yaml", text);
}

static const char *id_of(const json_t *lines, const char *stage)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "id") && strcmp(json_text(line, "stage"), stage) == 0)
            return json_text(line, "id");
    }
    fail_msg("stage %s has no id", stage);
    return NULL;
}

/* The losses of the steps of a stage. */
static uint32_t losses_of(const json_t *lines, const char *stage, double out[64])
{
    uint32_t count = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "step") && strcmp(json_text(line, "stage"), stage) == 0)
            out[count++] = json_real_value(json_object_get(line, "loss"));
    }
    return count;
}

static void check_losses(const json_t *lines, const char *a, const char *b, double most)
{
    double x[64], y[64];
    uint32_t count = losses_of(lines, a, x);
    assert_int_equal(count, 6);
    assert_int_equal(losses_of(lines, b, y), count);
    for (uint32_t i = 0; i < count; i++)
        if (!(fabs(x[i] - y[i]) <= most * fabs(x[i])))
            fail_msg("step %u: %s has a loss of %.9g, %s of %.9g", i + 1, a, x[i], b, y[i]);
}

static void kept_targets_teach_as_their_teacher_does(void **state)
{
    struct fixture *f = *state;
    write_stages(
        f, "",
        "  - teach: {as: some, model: teacher, data: text, top: 40, length: 32, temperature: 1.5}\n"
        "  - teach: {as: all, model: teacher, data: text, top: 256, length: 32}\n"
        "  - teach: {as: half, model: teacher, data: text, top: 256, length: 32, type: f16}\n"
        "  - distill: {as: a, model: student, teacher: teacher, data: text, steps: 6, batch: 4, micro: 2, "
        "length: 32, loss: {top: 40, temperature: 1.5}}\n"
        "  - distill: {as: b, model: student, teacher: some, data: text, steps: 6, batch: 4, micro: 2, "
        "length: 32, loss: {temperature: 1.5}}\n"
        "  - distill: {as: c, model: student, teacher: teacher, data: text, steps: 6, batch: 4, micro: 2, "
        "length: 32}\n"
        "  - distill: {as: d, model: student, teacher: all, data: text, steps: 6, batch: 4, micro: 2, length: "
        "32}\n"
        "  - distill: {as: e, model: student, teacher: half, data: text, steps: 6, batch: 4, micro: 2, "
        "length: 32}\n");
    json_t *lines = fixture_run(f, "");
    check_losses(lines, "a", "b", 2e-6);
    check_losses(lines, "c", "d", 2e-6);
    check_losses(lines, "c", "e", 2e-3);
    double x[64], y[64];
    losses_of(lines, "a", x);
    losses_of(lines, "c", y);
    assert_true(fabs(x[0] - y[0]) > 1e-3 * y[0]); /* these are not the same loss */
    json_decref(lines);
}

static void how_targets_are_asked_for_changes_no_byte(void **state)
{
    struct fixture *f = *state;
    write_stages(
        f, "",
        "  - teach: {as: a, model: teacher, data: text, top: 16, length: 32, micro: 8}\n"
        "  - teach: {as: b, model: teacher, data: again, top: 16, length: 32, samples: 12, seed: 9}\n"
        "  - distill: {as: x, model: student, teacher: a, data: text, steps: 3, batch: 4, micro: 2, "
        "length: 32}\n"
        "  - distill: {as: y, model: student, teacher: b, data: again, steps: 3, batch: 4, micro: 2, "
        "length: 32, seed: 9}\n");
    json_t *first = fixture_run(f, "");
    write_stages(
        f, "",
        "  - teach: {as: a, model: teacher, data: text, top: 16, length: 32, micro: 3, checkpoint: 1}\n"
        "  - teach: {as: b, model: teacher, data: again, top: 16, length: 32}\n"
        "  - distill: {as: y, model: student, teacher: b, data: again, steps: 3, batch: 4, micro: 2, "
        "length: 32, seed: 9}\n");
    char options[4400];
    snprintf(options, sizeof options, "--store %s/other", f->directory);
    json_t *second = fixture_run(f, options);
    assert_string_equal(id_of(first, "a"), id_of(second, "a"));
    assert_string_not_equal(id_of(first, "b"), id_of(second, "b"));
    assert_string_equal(id_of(first, "y"), id_of(second, "y")); /* some of the windows, or all */
    assert_string_not_equal(id_of(first, "x"), id_of(first, "y"));
    json_decref(first);
    json_decref(second);
}

static void samples_that_no_teacher_was_asked_about_are_told(void **state)
{
    static const char *const seeds[] = {"", ", seed: 6"};
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        char stages[1024];
        snprintf(
            stages, sizeof stages,
            "  - teach: {model: teacher, data: text, top: 8, length: 32, samples: %d%s}\n"
            "  - distill: {model: student, teacher: teach, data: text, steps: 3, batch: 4, micro: 2, length: "
            "32}\n",
            i == 0 ? 11 : 40, seeds[i]);
        write_stages(f, "", stages);
        program_expect(
            2,
            i == 0 ? "asked its teacher about 11 of 270 sequences, the first that seed 5 draws, and "
                     "sample 11 of 12 here is none of them: give it the same seed and samples: 12, or 0"
                   : "asked its teacher about 40 of 270 sequences, the first that seed 6 draws",
            "run %s --device cpu", f->yaml);
    }
}

static void vocabularies_of_kept_targets_are_compared(void **state)
{
    static const char *const stages =
        "  - teach: {model: teacher, data: text, top: 8, length: 32%s}\n"
        "  - distill: {model: student, teacher: teach, data: text, steps: 1, batch: 2, micro: 2, length: 32}\n";
    struct fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text, stages, "");
    write_stages(f, ", vocab: 260", text);
    program_expect(
        2,
        "p.yaml:11:40: teacher: the teacher was asked about 260 tokens, the student has 256: if those "
        "mean the same, give the teach stage vocab: 256",
        "run %s --device cpu", f->yaml);
    snprintf(text, sizeof text, stages, ", vocab: 256");
    write_stages(f, ", vocab: 260", text);
    json_decref(fixture_run(f, ""));
    snprintf(text, sizeof text, stages, ", vocab: 300");
    write_stages(f, "", text);
    program_expect(2, "300 tokens are to take part, the teacher has logits of 256", "run %s --device cpu",
                   f->yaml);
    write_stages(f, "", "  - teach: {model: teacher, data: text, top: 257, length: 32}\n");
    program_expect(2, "257 tokens are to be kept of 256", "run %s --device cpu", f->yaml);
}

/* Objects of the store with that kind. */
static void find_objects(const struct fixture *f, const char *kind, glob_t *out)
{
    char pattern[4400];
    snprintf(pattern, sizeof pattern, "%s/.espalier/objects/*/*", f->directory);
    glob_t all;
    assert_int_equal(glob(pattern, 0, NULL, &all), 0);
    *out = (glob_t){0};
    for (size_t i = 0; i < all.gl_pathc; i++) {
        char header[64] = {0}, expected[64];
        FILE *file = fopen(all.gl_pathv[i], "rb");
        assert_non_null(file);
        assert_int_equal(fread(header, 1, 63, file), 63);
        fclose(file);
        snprintf(expected, sizeof expected, "espalier-object 1 %s ", kind);
        if (strncmp(header, expected, strlen(expected)) == 0)
            assert_int_equal(glob(all.gl_pathv[i], out->gl_pathc ? GLOB_APPEND : 0, NULL, out), 0);
    }
    globfree(&all);
}

static const char damaging[] =
    "  - teach: {model: teacher, data: text, top: 200, length: 32}\n"
    "  - distill: {model: student, teacher: teach, data: text, steps: 3, batch: 8, micro: 8, length: 32%s}\n";

static void damage_of_a_part_is_told(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    glob_t parts;
    snprintf(text, sizeof text, damaging, "");
    write_stages(f, "", text);
    json_decref(fixture_run(f, "--until teach"));
    program_expect(0, "", "store gc --store %s/.espalier", f->directory); /* keeps what the list names */
    find_objects(f, "packed", &parts);
    assert_true(parts.gl_pathc > 3);
    for (size_t i = 0; i < parts.gl_pathc; i++) {
        assert_int_equal(chmod(parts.gl_pathv[i], 0600), 0);
        FILE *file = fopen(parts.gl_pathv[i], "r+b");
        assert_non_null(file);
        for (long at = 400; fseek(file, at, SEEK_SET) == 0 && at < 200000; at += 500)
            fputc(0x5a, file);
        fclose(file);
    }
    program_expect(2, "which stage \"teach\" made", "run %s --device cpu", f->yaml);
    program_expect(1, "", "store fsck --store %s/.espalier", f->directory);
    globfree(&parts);
}

static void targets_that_are_kept_are_not_swept(void **state)
{
    struct fixture *f = *state;
    char text[1024];
    snprintf(text, sizeof text, damaging, "");
    write_stages(f, "", text);
    json_decref(fixture_run(f, "--until teach"));
    program_expect(0, "", "store gc --store %s/.espalier", f->directory);
    json_decref(fixture_run(f, ""));
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
}

/* ---- killed ---- */

/* The largest step of any checkpoint. */
static int latest_checkpoint(const struct fixture *f)
{
    char pattern[4400];
    glob_t found;
    int latest = 0;
    snprintf(pattern, sizeof pattern, "%s/.espalier/checkpoints/*/*/manifest", f->directory);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *end = strrchr(found.gl_pathv[i], '/');
        *end = 0;
        int step = atoi(strrchr(found.gl_pathv[i], '/') + 1);
        latest = step > latest ? step : latest;
    }
    globfree(&found);
    return latest;
}

/* Stops a run once a checkpoint of that step is there. */
static void stop_at_checkpoint(const struct fixture *f, int step, int signal_number)
{
    struct process p;
    process_start(&p, "run %s --json --quiet --device cpu", f->yaml);
    for (int i = 0; i < 20000 && latest_checkpoint(f) < step; i++)
        usleep(500);
    kill(p.pid, signal_number);
    int status = process_finish(&p);
    if (status != 128 + signal_number && status != 130)
        fail_msg("the run ended with %d before it could be stopped at %d", status, step);
}

static void check_killed(const struct fixture *f, const char *stage, const int steps[3])
{
    char options[4400];
    snprintf(options, sizeof options, "--quiet --store %s/undisturbed", f->directory);
    json_t *undisturbed = fixture_run(f, options);
    stop_at_checkpoint(f, steps[0], SIGKILL);
    stop_at_checkpoint(f, steps[1], SIGKILL);
    stop_at_checkpoint(f, steps[2], SIGINT);
    assert_true(latest_checkpoint(f) >= steps[2]);
    json_t *killed = fixture_run(f, "--quiet");
    assert_string_equal(id_of(undisturbed, stage), id_of(killed, stage));
    assert_int_equal(latest_checkpoint(f), 0);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
    json_decref(undisturbed);
    json_decref(killed);
}

static void a_killed_teacher_goes_on_where_it_was(void **state)
{
    write_stages(*state, "",
                 "  - teach: {model: teacher, data: text, top: 256, length: 8, checkpoint: 1, micro: 1}\n");
    check_killed(*state, "teach", (const int[]){2, 4, 6});
}

static void a_killed_run_goes_on_in_any_phase(void **state)
{
    write_stages(
        *state, "",
        "  - train: {model: student, data: text, batch: 4, micro: 2, length: 32, checkpoint: 10, phases: "
        "[{steps: 15}, {steps: 15, length: 16, lr: 1.0e-4, data: {text: 2, again: 1}}, {steps: 70, micro: 4, "
        "schedule: linear}]}\n");
    check_killed(*state, "train", (const int[]){15, 25, 45});
}

static void a_killed_run_goes_on_with_its_corrected_teacher(void **state)
{
    write_stages(
        *state, "",
        "  - distill: {model: student, teacher: teacher, correct: 1.0e-3, data: text, steps: 90, batch: 4, "
        "micro: 2, length: 32, checkpoint: 10}\n");
    check_killed(*state, "distill", (const int[]){10, 30, 50});
}

/* ---- what must come to the same ---- */

static void check_same(const struct fixture *f, const char *a, const char *b)
{
    json_t *lines = fixture_run(f, "--quiet");
    assert_string_equal(id_of(lines, a), id_of(lines, b));
    json_decref(lines);
}

static void one_phase_is_a_plain_run(void **state)
{
    write_stages(
        *state, "",
        "  - train: {as: a, model: student, data: text, batch: 4, micro: 2, length: 32, steps: 5, lanes: "
        "2}\n"
        "  - train: {as: b, model: student, batch: 2, micro: 2, length: 32, lanes: 2, phases: [{steps: 5, "
        "batch: 4, data: text}]}\n");
    check_same(*state, "a", "b");
}

/* A later phase of the same data goes on where the one before stopped. */
static void phases_at_a_constant_rate_are_a_plain_run(void **state)
{
    write_stages(
        *state, "",
        "  - train: {as: a, model: student, data: {text: 1, again: 1}, batch: 4, micro: 2, length: 32, "
        "steps: 10, schedule: constant}\n"
        "  - train: {as: b, model: student, data: {text: 1, again: 1}, batch: 4, micro: 2, length: 32, "
        "schedule: constant, phases: [{steps: 3}, {steps: 7}]}\n");
    check_same(*state, "a", "b");
}

/* Stopped within and at the end of a phase. */
static void a_stopped_run_goes_on_through_its_phases(void **state)
{
    static const char *const stops[] = {", stop: 3", ", stop: 4", ", stop: 6", ""};
    struct fixture *f = *state;
    char *id = NULL;
    for (int round = 0; round < 2; round++) {
        char options[4400];
        snprintf(options, sizeof options, "--quiet --store %s/%d", f->directory, round);
        for (int i = round == 0 ? 3 : 0; i < 4; i++) {
            char text[1024];
            snprintf(
                text, sizeof text,
                "  - train: {model: student, data: text, batch: 4, micro: 2, length: 32, phases: [{steps: 4}, "
                "{steps: 4, length: 16}]%s}\n",
                stops[i]);
            write_stages(f, "", text);
            json_t *lines = fixture_run(f, options);
            if (i == 3 && round == 0)
                id = strdup(id_of(lines, "train"));
            if (i == 3)
                assert_string_equal(id_of(lines, "train"), id);
            else
                assert_string_not_equal(id_of(lines, "train"), id);
            json_decref(lines);
        }
    }
    free(id);
}

static void teachers_that_are_one_are_one(void **state)
{
    write_stages(
        *state, "",
        "  - distill: {as: a, model: student, teacher: teacher, data: {text: 2, again: 1}, batch: 6, "
        "micro: 2, length: 32, steps: 4}\n"
        "  - distill: {as: b, model: student, teacher: {other: teacher, text: teacher}, data: {text: 2, "
        "again: 1}, batch: 6, micro: 2, length: 32, steps: 4}\n");
    check_same(*state, "a", "b");
}

static void a_correction_is_training_at_another_rate(void **state)
{
    write_stages(
        *state, "",
        "  - correct: {as: a, model: teacher, data: text, batch: 4, micro: 2, length: 32, steps: 3}\n"
        "  - train: {as: b, model: teacher, data: text, batch: 4, micro: 2, length: 32, steps: 3, optimizer: "
        "{adamw: {lr: 2.0e-4}}}\n");
    check_same(*state, "a", "b");
}

static void every_way_to_be_taught_makes_another_student(void **state)
{
    static const char *const ways[] = {
        "teacher: teacher",
        "teacher: corrected",
        "teacher: teacher, correct: 1.0e-3",
        "teacher: teacher, correct: 1.0e-2",
        "teacher: kept",
        "teacher: {text: teacher, other: corrected}, data: {text: 1, again: 1}",
        "teacher: {text: corrected, other: teacher}, data: {text: 1, again: 1}",
        "teacher: {text: kept, other: teacher}, data: {text: 1, again: 1}",
        "teacher: teacher, data: {text: 1, again: 1}",
        "teacher: teacher, data: {again: 1, text: 1}",
        "teacher: teacher, data: {text: 3, again: 1}",
    };
    enum { COUNT = sizeof ways / sizeof *ways };
    struct fixture *f = *state;
    char *ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char text[2048];
        snprintf(
            text, sizeof text,
            "  - correct: {as: corrected, model: teacher, data: text, batch: 4, micro: 2, length: 32, steps: 3}\n"
            "  - teach: {as: kept, model: teacher, data: text, top: 20, length: 32}\n"
            "  - distill: {model: student, %s%s, batch: 8, micro: 2, length: 32, steps: 3}\n",
            ways[i], strstr(ways[i], "data") ? "" : ", data: text");
        write_stages(f, "", text);
        json_t *lines = fixture_run(f, "--quiet");
        ids[i] = strdup(id_of(lines, "distill"));
        json_decref(lines);
        for (int j = 0; j < i; j++)
            if (strcmp(ids[i], ids[j]) == 0)
                fail_msg("\"%s\" and \"%s\" make the same student", ways[j], ways[i]);
    }
    for (int i = 0; i < COUNT; i++)
        free(ids[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(kept_targets_teach_as_their_teacher_does),
        FIXTURE_TEST(how_targets_are_asked_for_changes_no_byte),
        FIXTURE_TEST(samples_that_no_teacher_was_asked_about_are_told),
        FIXTURE_TEST(vocabularies_of_kept_targets_are_compared),
        FIXTURE_TEST(damage_of_a_part_is_told),
        FIXTURE_TEST(targets_that_are_kept_are_not_swept),
        FIXTURE_TEST(a_killed_teacher_goes_on_where_it_was),
        FIXTURE_TEST(a_killed_run_goes_on_in_any_phase),
        FIXTURE_TEST(a_killed_run_goes_on_with_its_corrected_teacher),
        FIXTURE_TEST(one_phase_is_a_plain_run),
        FIXTURE_TEST(phases_at_a_constant_rate_are_a_plain_run),
        FIXTURE_TEST(a_stopped_run_goes_on_through_its_phases),
        FIXTURE_TEST(teachers_that_are_one_are_one),
        FIXTURE_TEST(a_correction_is_training_at_another_rate),
        FIXTURE_TEST(every_way_to_be_taught_makes_another_student),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
