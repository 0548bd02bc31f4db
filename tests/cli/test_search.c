/* search: ranking the candidates by short training, point by point; a search that was killed goes on. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

/* How many candidates a point ranks, checking that ranks ascend with losses; *tau is NaN where none is given.
 */
static int candidates_at(const json_t *lines, int point, double *tau)
{
    int count = 0;
    double loss = -INFINITY;
    *tau = NAN;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!json_object_get(line, "point") || json_integer_value(json_object_get(line, "point")) != point)
            continue;
        if (json_object_get(line, "candidates"))
            assert_int_equal(json_integer_value(json_object_get(line, "candidates")), count);
        if (json_object_get(line, "kendall_tau"))
            *tau = json_number_value(json_object_get(line, "kendall_tau"));
        if (!json_object_get(line, "rank"))
            continue;
        assert_int_equal(json_integer_value(json_object_get(line, "rank")), ++count);
        assert_true(json_number_value(json_object_get(line, "loss")) >= loss);
        loss = json_number_value(json_object_get(line, "loss"));
    }
    return count;
}

static void candidates_are_ranked_at_each_point(void **state)
{
    struct fixture *f = *state;
    double tau;
    fixture_write_search(f, "  rank: {points: [0, 4, 12]}\n", FIXTURE_SEARCH_STAGES);
    json_t *lines = fixture_search(f, "one");
    assert_int_equal(candidates_at(lines, 0, &tau), 6);
    assert_true(isnan(tau));
    assert_int_equal(candidates_at(lines, 4, &tau), 6);
    assert_true(tau >= -1 && tau <= 1);
    assert_int_equal(candidates_at(lines, 12, &tau), 6);
    json_decref(lines);
}

static void the_worst_are_dropped_where_that_is_asked(void **state)
{
    struct fixture *f = *state;
    double tau;
    fixture_write_search(f, "  rank: {points: [0, 2, 4, 6], keep: 0.5}\n", FIXTURE_SEARCH_STAGES);
    json_t *lines = fixture_search(f, "one");
    assert_int_equal(candidates_at(lines, 0, &tau), 6);
    assert_int_equal(candidates_at(lines, 2, &tau), 6); /* nobody is dropped before training */
    assert_int_equal(candidates_at(lines, 4, &tau), 3);
    assert_int_equal(candidates_at(lines, 6, &tau), 2);
    json_decref(lines);
}

static void a_ranking_that_has_settled_ends(void **state)
{
    struct fixture *f = *state;
    double tau;
    fixture_write_search(f, "  rank: {points: [0, 2, 4, 6], settled: -1}\n", FIXTURE_SEARCH_STAGES);
    json_t *lines = fixture_search(f, "one");
    assert_int_equal(candidates_at(lines, 4, &tau), 6);
    assert_int_equal(candidates_at(lines, 6, &tau), 0);
    json_decref(lines);
}

/* The whole training of a candidate is that of a pipeline with its sizes: the report is the same. */
static void a_candidate_is_what_a_pipeline_makes(void **state)
{
    struct fixture *f = *state;
    fixture_write_search(f, "  rank: {points: [5, 12]}\n", FIXTURE_SEARCH_STAGES);
    json_t *lines = fixture_search(f, "one"), *run;
    double expected = NAN, found = NAN;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "rank") && json_integer_value(json_object_get(line, "point")) == 12 &&
            strcmp(json_text(line, "candidate"), "l2-f24") == 0)
            found = json_number_value(json_object_get(line, "loss"));
    }
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(
        text, sizeof text,
        "espalier: 1\nseed: 3\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n  text: {text: %s}\nstages:\n"
        "  - import: {model: teacher}\n"
        "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"
        "  - prune: {layers: 2, ffn: 24}\n"
        "  - distill: {teacher: import, data: text, steps: 12, batch: 4, micro: 4, length: 48}\n"
        "  - evaluate: {data: text, length: 48}\n",
        model, f->text);
    fixture_write_file(f, "p.yaml", text);
    run = fixture_run(f, "");
    for (size_t i = 0; i < json_array_size(run); i++) {
        const json_t *report = json_object_get(json_array_get(run, i), "report");
        if (report)
            expected = json_number_value(json_object_get(report, "loss"));
    }
    assert_true(expected > 0);
    if (found != expected)
        fail_msg("%.17g in the search, %.17g in a pipeline", found, expected);
    json_decref(run);
    json_decref(lines);
}

/* Killed when the first point is there, and once more a while later. */
static void a_killed_search_goes_on(void **state)
{
    struct fixture *f = *state;
    fixture_write_search(f, "  rank: {points: [3, 8, 12]}\n", FIXTURE_SEARCH_STAGES);
    json_t *alone = fixture_search(f, "alone");
    for (int i = 0; i < 2; i++) {
        struct process p;
        const char *line;
        process_start(&p, "search %s --json --quiet --device cpu --store %s/killed", f->yaml, f->directory);
        while ((line = process_read_line(&p)) && !strstr(line, "\"point\":3") &&
               !strstr(line, "\"point\": 3"))
            ;
        usleep(30000 * (useconds_t)i);
        kill(p.pid, SIGKILL);
        process_finish(&p);
    }
    json_t *killed = fixture_search(f, "killed");
    assert_true(json_equal(alone, killed));
    json_decref(alone);
    json_decref(killed);
}

static int count_text(const struct builder *text, const char *words)
{
    int count = 0;
    for (const char *at = builder_text(text); (at = strstr(at, words)); at++)
        count++;
    return count;
}

/* Two searches of one file at once, as with a device each: both end with the ranking of one that is alone. */
static void two_searches_share_the_work(void **state)
{
    struct fixture *f = *state;
    fixture_write_search(f, "  rank: {points: [0, 12]}\n", FIXTURE_SEARCH_STAGES);
    json_t *alone = fixture_search(f, "alone");
    struct process other;
    struct builder first = {0};
    const char *line;
    process_start(&other, "search %s --json --quiet --device cpu --store %s/shared", f->yaml, f->directory);
    json_t *second = fixture_search(f, "shared");
    while ((line = process_read_line(&other)))
        builder_printf(&first, "%s\n", line);
    assert_int_equal(process_finish(&other), 0);
    json_t *lines = json_lines(&first);
    assert_true(json_equal(alone, second));
    assert_true(json_equal(alone, lines));
    assert_int_equal(count_text(&first, "rank"), 12);
    builder_release(&first);
    json_decref(lines);
    json_decref(second);
    json_decref(alone);
}

static void the_example_ranks_its_shapes(void **state)
{
    struct fixture *f = *state;
    double tau;
    struct outcome o = program_run(
        "search examples/search/tiny.yaml --json --quiet --device cpu --store %s/example", f->directory);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    assert_int_equal(candidates_at(lines, 16, &tau), 4);
    assert_true(tau >= -1 && tau <= 1);
    json_decref(lines);
    outcome_release(&o);
}

static void the_base_may_be_a_folder(void **state)
{
    struct fixture *f = *state;
    program_expect(0, "", "export golden/tiny/model.onnx --to hf --tokenizer bytes --output %s/hf",
                   f->directory);
    fixture_write_file(f, "p.yaml",
                       "espalier: 1\ninputs: {teacher: {model: hf}}\n"
                       "search: {base: {model: teacher}, grid: {layers: [2, 3], ffn: [24]}}\n");
    struct outcome o = program_run("search %s --json", f->yaml);
    assert_int_equal(o.exit_status, 0);
    json_t *lines = json_lines(&o.out);
    assert_int_equal(json_array_size(lines), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(lines, 1), "hidden")), 32);
    json_decref(lines);
    outcome_release(&o);
}

/* By cross-entropy alone: with no teacher, or as one is made for others. */
static void candidates_may_be_trained_without_a_teacher(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[] = {"train", "correct"};
    for (size_t i = 0; i < 2; i++) {
        char stages[1024];
        double tau;
        snprintf(stages, sizeof stages,
                 "  - import: {model: teacher}\n"
                 "  - score: {data: text, samples: 8, length: 48, micro: 8}\n  - prune\n"
                 "  - %s: {data: text, steps: 4, batch: 4, micro: 4, length: 48}\n"
                 "  - evaluate: {data: text, length: 48}\n",
                 kinds[i]);
        fixture_write_search(f, "  rank: {points: [0, 4]}\n", stages);
        json_t *lines = fixture_search(f, "one");
        assert_int_equal(candidates_at(lines, 0, &tau), 6);
        assert_int_equal(candidates_at(lines, 4, &tau), 6);
        assert_true(tau >= -1 && tau <= 1);
        json_decref(lines);
    }
}

static void stages_must_say_how_a_candidate_is_made(void **state)
{
    struct fixture *f = *state;
    fixture_write_search(f, "", "  - import: {model: teacher}\n");
    program_expect(2, "end with prune, train, correct or distill, then evaluate or answer",
                   "search %s --device cpu", f->yaml);
    fixture_write_search(f, "  rank: {points: [0, 13]}\n", FIXTURE_SEARCH_STAGES);
    program_expect(2, "rank.points: 13 is after the last of the 12 steps", "search %s --device cpu", f->yaml);
    fixture_write_search(f, "  rank: {points: [4, 4]}\n", FIXTURE_SEARCH_STAGES);
    program_expect(2, "expected ascending points, found 4 after 4", "search %s --device cpu", f->yaml);
    fixture_write_search(
        f, "",
        "  - import: {model: teacher}\n  - score: {data: text, samples: 8}\n  - prune: {hidden: 16}\n"
        "  - train: {data: text, steps: 4}\n  - evaluate: {data: text}\n");
    program_expect(2, "hidden: the search gives the sizes", "search %s --device cpu", f->yaml);
    fixture_write_search(f, "  rank: {points: 4}\n", FIXTURE_SEARCH_STAGES);
    program_expect(0, "", "search %s --device cpu --list", f->yaml);
}

/* All candidates have the same teachers. */
static void teachers_stand_before_prune(void **state)
{
    struct fixture *f = *state;
    static const char start[] =
        "  - import: {model: teacher}\n  - score: {data: text, samples: 8, length: 48}\n"
        "  - prune\n",
                      wanted[] = "a teacher is to stand before prune";
    char stages[1024];
    snprintf(stages, sizeof stages, "%s  - evaluate: {data: text, length: 48, teacher: prune}\n", start);
    fixture_write_search(f, "", stages);
    program_expect(2, wanted, "search %s --device cpu", f->yaml);
    snprintf(stages, sizeof stages,
             "%s  - distill: {teacher: prune, data: text, steps: 4}\n  - evaluate: {data: text}\n", start);
    fixture_write_search(f, "  rank: {points: 4}\n", stages);
    program_expect(2, wanted, "search %s --device cpu", f->yaml);
    snprintf(stages, sizeof stages, "%s  - evaluate: {data: text, length: 48, teacher: import}\n", start);
    fixture_write_search(f, "", stages);
    double tau;
    json_t *lines = fixture_search(f, "one");
    assert_int_equal(candidates_at(lines, 0, &tau), 6);
    json_decref(lines);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(candidates_are_ranked_at_each_point),
        FIXTURE_TEST(the_worst_are_dropped_where_that_is_asked),
        FIXTURE_TEST(a_ranking_that_has_settled_ends),
        FIXTURE_TEST(a_candidate_is_what_a_pipeline_makes),
        FIXTURE_TEST(a_killed_search_goes_on),
        FIXTURE_TEST(two_searches_share_the_work),
        FIXTURE_TEST(the_example_ranks_its_shapes),
        FIXTURE_TEST(the_base_may_be_a_folder),
        FIXTURE_TEST(candidates_may_be_trained_without_a_teacher),
        FIXTURE_TEST(stages_must_say_how_a_candidate_is_made),
        FIXTURE_TEST(teachers_stand_before_prune),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
