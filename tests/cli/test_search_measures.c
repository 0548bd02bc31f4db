/* search: rankings by tasks, and without training; limits of measured latency. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"
#include <dirent.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>

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

/* As fixture_write_search(), with the task as input "items". */
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
    json_t *lines = fixture_search(f, "one");
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
    json_t *lines = fixture_search(f, "one");
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
    json_t *first = fixture_search(f, "one"), *second = fixture_search(f, "one");
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
    json_t *third = fixture_search(f, "one");
    assert_int_equal(json_array_size(third), 5);
    assert_null(json_find(third, "candidate", "l3-h2"));
    assert_true(json_number_value(json_object_get(json_find(third, "candidate", "l2-h4"), "latency")) == 90);
    json_decref(third);
    write_timed(f, "{target: 100, tolerance: 0.2}");
    json_t *fourth = fixture_search(f, "one");
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
    json_t *first = fixture_search(f, "one"), *second = fixture_search(f, "one");
    assert_int_equal(json_array_size(first), 6);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(candidates_are_ranked_without_training_by_a_task),
        FIXTURE_TEST(a_task_decides_where_that_is_asked),
        FIXTURE_TEST(latency_is_measured_once),
        FIXTURE_TEST(a_search_killed_while_timing_goes_on),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
