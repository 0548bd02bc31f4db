/* search: ranking the candidates by short training, point by point, by loss and by tasks; limits of measured
 * latency; a search that was killed goes on. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

#define STAGES                                                                                \
    "  - import: {model: teacher}\n"                                                          \
    "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"                             \
    "  - prune\n"                                                                             \
    "  - distill: {teacher: import, data: text, steps: 12, batch: 4, micro: 4, length: 48}\n" \
    "  - evaluate: {data: text, length: 48}\n"

static void write_search(const struct fixture *f, const char *rank, const char *stages)
{
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(text, sizeof text,
             "espalier: 1\nname: toy\nseed: 3\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n"
             "  text: {text: %s}\nsearch:\n  base: {model: teacher}\n"
             "  grid: {layers: [2, 3], ffn: [24, 32, 40]}\n%sstages:\n%s",
             model, f->text, rank, stages);
    fixture_write_file(f, "p.yaml", text);
}

static json_t *search(const struct fixture *f, const char *store)
{
    struct outcome o =
        program_run("search %s --json --quiet --device cpu --store %s/%s", f->yaml, f->directory, store);
    if (o.exit_status != 0)
        fail_msg("search: exit status %d: %s", o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    return lines;
}

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
    write_search(f, "  rank: {points: [0, 4, 12]}\n", STAGES);
    json_t *lines = search(f, "one");
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
    write_search(f, "  rank: {points: [0, 2, 4, 6], keep: 0.5}\n", STAGES);
    json_t *lines = search(f, "one");
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
    write_search(f, "  rank: {points: [0, 2, 4, 6], settled: -1}\n", STAGES);
    json_t *lines = search(f, "one");
    assert_int_equal(candidates_at(lines, 4, &tau), 6);
    assert_int_equal(candidates_at(lines, 6, &tau), 0);
    json_decref(lines);
}

/* The whole training of a candidate is that of a pipeline with its sizes: the report is the same. */
static void a_candidate_is_what_a_pipeline_makes(void **state)
{
    struct fixture *f = *state;
    write_search(f, "  rank: {points: [5, 12]}\n", STAGES);
    json_t *lines = search(f, "one"), *run;
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
    write_search(f, "  rank: {points: [3, 8, 12]}\n", STAGES);
    json_t *alone = search(f, "alone");
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
    json_t *killed = search(f, "killed");
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
    write_search(f, "  rank: {points: [0, 12]}\n", STAGES);
    json_t *alone = search(f, "alone");
    struct process other;
    struct builder first = {0};
    const char *line;
    process_start(&other, "search %s --json --quiet --device cpu --store %s/shared", f->yaml, f->directory);
    json_t *second = search(f, "shared");
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

/* ---- several measures, none of training ---- */

static void write_items(const struct fixture *f)
{
    fixture_write_file(
        f, "items.jsonl",
        "{\"goal\": \"The\", \"sol1\": \"birds are bent\", \"sol2\": \"qq zzx\", \"label\": 0}\n"
        "{\"goal\": \"Many\", \"sol1\": \"xv\", \"sol2\": \"trees\", \"label\": 1}\n"
        "{\"goal\": \"stone\", \"sol1\": \"that cuts\", \"sol2\": \"is the\", \"label\": 1}\n"
        "{\"goal\": \"Above\", \"sol1\": \"the river\", \"sol2\": \"river the\", \"label\": 0}\n"
        "{\"goal\": \"pear\", \"sol1\": \"grows\", \"sol2\": \"swor\", \"label\": 0}\n");
}

/* As write_search, with the task as input "items". */
static void write_search_with_task(const struct fixture *f, const char *rank, const char *stages)
{
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    write_items(f);
    snprintf(text, sizeof text,
             "espalier: 1\nname: toy\nseed: 3\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n"
             "  text: {text: %s}\n  items: {task: piqa, items: items.jsonl}\n"
             "search:\n  base: {model: teacher}\n"
             "  grid: {layers: [1, 2, 3], ffn: [16, 40]}\n%sstages:\n%s",
             model, f->text, rank, stages);
    fixture_write_file(f, "p.yaml", text);
}

/* The value of a candidate at a point by a measure. */
static double value_of(const json_t *lines, int point, const char *measure, const char *quantity,
                       const char *candidate)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_object_get(line, "rank") && json_integer_value(json_object_get(line, "point")) == point &&
            strcmp(json_text(line, "measure"), measure) == 0 &&
            strcmp(json_text(line, "candidate"), candidate) == 0)
            return json_number_value(json_object_get(line, quantity));
    }
    fail_msg("%s has no %s at point %d", candidate, quantity, point);
    return NAN;
}

static void expect_accuracies_to_descend(const json_t *lines, const char *measure)
{
    double before = INFINITY;
    int count = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *value = json_object_get(line, "accuracy");
        if (!value || strcmp(json_text(line, "measure"), measure) != 0)
            continue;
        assert_true(json_number_value(value) <= before);
        assert_int_equal(json_integer_value(json_object_get(line, "rank")), ++count);
        before = json_number_value(value);
    }
    assert_int_equal(count, 6);
}

#define UNTRAINED                                                                    \
    "  - import: {model: teacher}\n"                                                 \
    "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"                    \
    "  - prune\n  - evaluate: {data: text, length: 48}\n  - answer: {data: items}\n" \
    "  - answer: {as: shorter, data: items, length: 4}\n"

/* Without training, by loss and by a task: what a pipeline with a candidate's sizes measures. */
static void candidates_are_ranked_without_training_by_a_task(void **state)
{
    struct fixture *f = *state;
    write_search_with_task(f, "", UNTRAINED);
    json_t *lines = search(f, "one");
    expect_accuracies_to_descend(lines, "answer");
    expect_accuracies_to_descend(lines, "shorter");
    double loss = value_of(lines, 0, "evaluate", "loss", "l2-f16"),
           accuracy = value_of(lines, 0, "answer", "accuracy", "l2-f16");
    const json_t *sum = NULL;
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (json_object_get(json_array_get(lines, i), "kendall_tau_with_deciding"))
            sum = json_array_get(lines, i);
    assert_non_null(sum);
    json_decref(lines);
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(text, sizeof text,
             "espalier: 1\nseed: 3\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n  text: {text: %s}\n"
             "  items: {task: piqa, items: items.jsonl}\nstages:\n  - import: {model: teacher}\n"
             "  - score: {data: text, samples: 8, length: 48, micro: 8}\n  - prune: {layers: 2, ffn: 16}\n"
             "  - evaluate: {data: text, length: 48}\n  - answer: {data: items}\n",
             model, f->text);
    fixture_write_file(f, "p.yaml", text);
    json_t *run = fixture_run(f, "");
    const json_t *evaluated = json_object_get(json_find(run, "stage", "evaluate"), "report"),
                 *answered = json_object_get(json_find(run, "stage", "answer"), "report");
    assert_true(json_number_value(json_object_get(evaluated, "loss")) == loss);
    assert_true(json_number_value(json_object_get(answered, "accuracy")) == accuracy);
    json_decref(run);
}

/* The measure that rank.by names decides who is dropped. */
static void a_task_decides_where_that_is_asked(void **state)
{
    struct fixture *f = *state;
    static const char stages[] =
        "  - import: {model: teacher}\n"
        "  - score: {data: text, samples: 8, length: 48, micro: 8}\n"
        "  - prune\n"
        "  - distill: {teacher: import, data: text, steps: 12, batch: 4, micro: 4, length: 48}\n"
        "  - evaluate: {data: text, length: 48}\n  - answer: {as: task, data: items}\n";
    write_search_with_task(f, "  rank: {points: [2, 4], keep: 0.5, by: task}\n", stages);
    json_t *lines = search(f, "one");
    int kept = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (json_integer_value(json_object_get(line, "point")) != 2 || !json_object_get(line, "accuracy"))
            continue;
        bool is_good = json_integer_value(json_object_get(line, "rank")) <= 3, is_there = false;
        for (size_t k = 0; k < json_array_size(lines); k++) {
            const json_t *later = json_array_get(lines, k);
            is_there = is_there || (json_integer_value(json_object_get(later, "point")) == 4 &&
                                    json_object_get(later, "loss") &&
                                    strcmp(json_text(later, "candidate"), json_text(line, "candidate")) == 0);
        }
        assert_int_equal(is_good, is_there);
        kept += is_there;
    }
    assert_int_equal(kept, 3);
    json_decref(lines);
    write_search_with_task(f, "  rank: {points: [2, 4], by: nothing}\n", stages);
    program_expect(2, "rank.by: no stage that measures is called \"nothing\"", "search %s --device cpu",
                   f->yaml);
    write_search_with_task(f, "  rank: {points: [0, 4]}\n", UNTRAINED);
    program_expect(2, "rank.points: 4: no stage trains what was pruned", "search %s --device cpu", f->yaml);
}

/* ---- latency ---- */

static void write_timed(const struct fixture *f, const char *limit)
{
    char text[16384], model[PATH_MAX];
    assert_non_null(realpath("golden/tiny/model.onnx", model));
    snprintf(text, sizeof text,
             "espalier: 1\nname: timed\ninputs:\n  teacher: {model: %s, tokenizer: bytes}\n"
             "search:\n  base: {model: teacher}\n  grid: {layers: [1, 2, 3], heads: [2, 4]}\n"
             "  cost: {timed: 16, repeats: 3}\n  budget: {latency: %s}\n",
             model, limit);
    fixture_write_file(f, "p.yaml", text);
}

/* Puts `seconds` in the place of what was measured of a candidate. */
static void forge(const struct fixture *f, const char *candidate, double seconds)
{
    char path[4400], name[4700];
    snprintf(path, sizeof path, "%s/one/records", f->directory);
    DIR *folder = opendir(path);
    bool is_found = false;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        json_t *record = json_load_file(name, 0, NULL);
        if (record && strcmp(json_text(record, "candidate"), candidate) == 0) {
            json_object_set_new(record, "latency", json_real(seconds));
            assert_int_equal(json_dump_file(record, name, 0), 0);
            is_found = true;
        }
        json_decref(record);
    }
    closedir(folder);
    assert_true(is_found);
}

/* What was measured stands: a second search decides by it, and measures nothing again. */
static void latency_is_measured_once(void **state)
{
    struct fixture *f = *state;
    write_timed(f, "{max: 100}");
    json_t *first = search(f, "one"), *second = search(f, "one");
    assert_int_equal(json_array_size(first), 6);
    assert_true(json_equal(first, second));
    for (size_t i = 0; i < 6; i++) {
        double latency = json_number_value(json_object_get(json_array_get(first, i), "latency"));
        assert_true(latency > 0 && latency < 100);
    }
    json_decref(first);
    json_decref(second);
    forge(f, "l2-h4", 90);
    forge(f, "l3-h2", 120);
    json_t *third = search(f, "one");
    assert_int_equal(json_array_size(third), 5);
    assert_null(json_find(third, "candidate", "l3-h2"));
    assert_true(json_number_value(json_object_get(json_find(third, "candidate", "l2-h4"), "latency")) == 90);
    json_decref(third);
    write_timed(f, "{target: 100, tolerance: 0.2}");
    json_t *fourth = search(f, "one");
    assert_int_equal(json_array_size(fourth), 2);
    json_decref(fourth);
    write_timed(f, "{min: 110, max: 115}");
    program_expect(2, "no candidate: 110 to 115 seconds a token were asked for, the 6 candidates take",
                   "search %s --device cpu --store %s/one", f->yaml, f->directory);
    program_expect(2, "no candidate", "search %s --device cpu --threads 1 --store %s/two", f->yaml,
                   f->directory);
}

/* Killed while it times: what it has timed stays. */
static void a_search_killed_while_timing_goes_on(void **state)
{
    struct fixture *f = *state;
    struct process p;
    write_timed(f, "{max: 100}");
    process_start(&p, "search %s --json --quiet --device cpu --store %s/one", f->yaml, f->directory);
    usleep(40000);
    kill(p.pid, SIGKILL);
    process_finish(&p);
    json_t *first = search(f, "one"), *second = search(f, "one");
    assert_int_equal(json_array_size(first), 6);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
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

static void stages_must_say_how_a_candidate_is_made(void **state)
{
    struct fixture *f = *state;
    write_search(f, "", "  - import: {model: teacher}\n");
    program_expect(2, "end with prune, train or distill, then evaluate or answer", "search %s --device cpu",
                   f->yaml);
    write_search(f, "  rank: {points: [0, 13]}\n", STAGES);
    program_expect(2, "rank.points: 13 is after the last of the 12 steps", "search %s --device cpu", f->yaml);
    write_search(f, "  rank: {points: [4, 4]}\n", STAGES);
    program_expect(2, "expected ascending points, found 4 after 4", "search %s --device cpu", f->yaml);
    write_search(
        f, "",
        "  - import: {model: teacher}\n  - score: {data: text, samples: 8}\n  - prune: {hidden: 16}\n"
        "  - train: {data: text, steps: 4}\n  - evaluate: {data: text}\n");
    program_expect(2, "hidden: the search gives the sizes", "search %s --device cpu", f->yaml);
    write_search(f, "  rank: {points: 4}\n", STAGES);
    program_expect(0, "", "search %s --device cpu --list", f->yaml);
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
        FIXTURE_TEST(candidates_are_ranked_without_training_by_a_task),
        FIXTURE_TEST(a_task_decides_where_that_is_asked),
        FIXTURE_TEST(latency_is_measured_once),
        FIXTURE_TEST(a_search_killed_while_timing_goes_on),
        FIXTURE_TEST(the_base_may_be_a_folder),
        FIXTURE_TEST(stages_must_say_how_a_candidate_is_made),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
