/* run and verify: what runs again and what does not, what they print, and what a lock is worth. */
#include "tests/cli/fixture.h"
#include "tests/support/test.h"

static const char *const names[] = {"init", "train", "score", "prune", "evaluate"};
enum { COUNT = sizeof names / sizeof *names };

static const char *status_of(const json_t *lines, const char *stage)
{
    const json_t *line = NULL;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *l = json_array_get(lines, i);
        if (json_object_get(l, "status") && strcmp(json_text(l, "stage"), stage) == 0)
            line = l;
    }
    return line ? json_text(line, "status") : "";
}

static const char *id_of(const json_t *lines, const char *stage)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *l = json_array_get(lines, i);
        if (json_object_get(l, "id") && strcmp(json_text(l, "stage"), stage) == 0)
            return json_text(l, "id");
    }
    fail_msg("stage %s has no id", stage);
    return "";
}

/* `expected`: one letter a stage, the first of its status. */
static void assert_statuses(const json_t *lines, const char *expected)
{
    for (size_t i = 0; i < COUNT; i++)
        if (status_of(lines, names[i])[0] != expected[i])
            fail_msg("stage %s is \"%s\", expected %c of %s", names[i], status_of(lines, names[i]),
                     expected[i], expected);
}

static void the_second_run_is_all_cached(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_t *first = fixture_run(f, ""), *second = fixture_run(f, "");
    assert_statuses(first, "rrrrr");
    assert_statuses(second, "ccccc");
    for (size_t i = 0; i < COUNT; i++)
        assert_string_equal(id_of(first, names[i]), id_of(second, names[i]));
    json_decref(first);
    json_decref(second);
}

static void a_changed_setting_runs_what_depends_on_it(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_decref(fixture_run(f, ""));
    fixture_write(f, ", steps: 3", "");
    json_t *lines = fixture_run(f, "");
    assert_statuses(lines, "crrrr");
    json_decref(lines);
    fixture_write(f, ", steps: 2", "");
    lines = fixture_run(f, "");
    assert_statuses(lines, "ccccc");
    json_decref(lines);
}

/* Stopped, gone on with, stopped again: the end is that of a run that was left alone, and so is each part. */
static void a_stopped_training_goes_on_to_the_same_end(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 6", "");
    json_t *whole = fixture_run(f, "");
    static const char *const stops[] = {", steps: 6, stop: 2", ", steps: 6, stop: 5", ", steps: 6, stop: 3",
                                        ", steps: 6"};
    static const char *const from[] = {NULL, "step 2", NULL, "step 5"};
    char *ids[4];
    for (int i = 0; i < 4; i++) {
        fixture_write(f, stops[i], "");
        struct outcome o = program_run("run %s --json --device cpu --store %s/other", f->yaml, f->directory);
        assert_int_equal(o.exit_status, 0);
        bool goes_on = strstr(builder_text(&o.err), "going on from the checkpoint of") != NULL;
        assert_true(goes_on == (from[i] != NULL));
        assert_true(!from[i] || strstr(builder_text(&o.err), from[i]) != NULL);
        json_t *lines = json_lines(&o.out);
        ids[i] = strdup(id_of(lines, "train"));
        json_decref(lines);
        outcome_release(&o);
    }
    assert_string_equal(ids[3], id_of(whole, "train"));
    fixture_write(f, ", steps: 6, stop: 5", ""); /* alone, in the first store: the same as after stop: 2 */
    json_t *five = fixture_run(f, "");
    assert_string_equal(ids[1], id_of(five, "train"));
    for (int i = 0; i < 4; i++)
        free(ids[i]);
    json_decref(five);
    json_decref(whole);
}

static void a_stop_at_the_end_of_a_phase_keeps_the_state(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", phases: [{steps: 3}, {steps: 3}]", "");
    json_t *whole = fixture_run(f, "");
    fixture_write(f, ", phases: [{steps: 3}, {steps: 3}], stop: 3", "");
    struct outcome o = program_run("run %s --json --device cpu --store %s/other", f->yaml, f->directory);
    assert_int_equal(o.exit_status, 0);
    outcome_release(&o);
    fixture_write(f, ", phases: [{steps: 3}, {steps: 3}]", "");
    o = program_run("run %s --json --device cpu --store %s/other", f->yaml, f->directory);
    assert_int_equal(o.exit_status, 0);
    assert_non_null(strstr(builder_text(&o.err), "going on from the checkpoint of step 3"));
    json_t *lines = json_lines(&o.out);
    assert_string_equal(id_of(lines, "train"), id_of(whole, "train"));
    outcome_release(&o);
    json_decref(lines);
    json_decref(whole);
}

static void a_stop_after_the_last_step_is_none(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_decref(fixture_run(f, ""));
    fixture_write(f, ", steps: 2, stop: 2", "");
    json_t *lines = fixture_run(f, "");
    assert_statuses(lines, "ccccc");
    json_decref(lines);
}

/* The same file under two names: the second phase draws on, or begins. */
static void what_a_phase_draws_is_in_its_key(void **state)
{
    struct fixture *f = *state;
    char text[10000];
    char *ids[2];
    for (int i = 0; i < 2; i++) {
        snprintf(
            text, sizeof text,
            "espalier: 1\ninputs: {one: {text: %s}, two: {text: %s}}\nstages:\n"
            "  - init:  {arch: {layers: 1, hidden: 16, heads: 2, ffn: 24}, tokenizer: bytes}\n"
            "  - train: {data: one, batch: 4, micro: 2, length: 32, phases: [{steps: 1}, {steps: 1, data: %s}]}\n",
            f->text, f->text, i ? "two" : "one");
        fixture_write_file(f, "p.yaml", text);
        json_t *lines = fixture_run(f, "");
        assert_string_equal(status_of(lines, "train"), "ran");
        ids[i] = strdup(id_of(lines, "train"));
        json_decref(lines);
    }
    assert_string_not_equal(ids[0], ids[1]);
    free(ids[0]);
    free(ids[1]);
}

static void what_changes_no_result_runs_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_decref(fixture_run(f, ""));
    fixture_write(f, ", steps: 2, checkpoint: 1, optimizer: {adamw: {beta1: 0.90}}", "# a comment\n");
    json_t *lines = fixture_run(f, "--threads 1");
    assert_statuses(lines, "ccccc");
    json_decref(lines);
}

static void a_changed_text_runs_what_reads_it(void **state)
{
    struct fixture *f = *state;
    fixture_write_file(f, "t.txt",
                       "One fox sees a wall. Two foxes see the walls. A bird waits near the river.\n");
    snprintf(f->text, sizeof f->text, "t.txt");
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, ""));
    fixture_write_file(f, "t.txt",
                       "Two fox sees a wall. Two foxes see the walls. A bird waits near the river.\n");
    json_t *lines = fixture_run(f, "");
    assert_statuses(lines, "crrrr");
    json_decref(lines);
}

static void dry_run_explains_and_runs_nothing(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_t *lines = fixture_run(f, "--dry-run");
    assert_statuses(lines, "ppppp");
    assert_string_equal(json_text(json_find(lines, "stage", "init"), "why"), "no result for its key");
    assert_string_equal(json_text(json_find(lines, "stage", "train"), "why"), "after init");
    json_decref(lines);
    json_decref(fixture_run(f, "--until train"));
    lines = fixture_run(f, "--dry-run");
    assert_statuses(lines, "ccppp");
    json_decref(lines);
}

static void write_pruning(const struct fixture *f, const char *score, const char *prune)
{
    char text[8192];
    snprintf(text, sizeof text,
             "espalier: 1\nseed: 5\ninputs:\n  text: {text: %s}\nstages:\n"
             "  - init:  {arch: {layers: 3, hidden: 16, heads: 4, kv_heads: 2, ffn: 24}, tokenizer: bytes}\n"
             "  - train: {data: text, steps: 1, batch: 2, micro: 2, length: 32}\n%s  - prune: %s\n",
             f->text, score, prune);
    fixture_write_file(f, "p.yaml", text);
}

/* Hours of training would come before it: nothing has run when it is told, of a dry run or a real one. */
static void pruning_that_cannot_work_is_foreseen(void **state)
{
    struct fixture *f = *state;
    static const char score[] = "  - score: {data: text, samples: 4, micro: 2, length: 32, blocks: [2]}\n";
    static const struct {
        const char *score, *prune, *words;
    } cases[] = {
        {"", "{hidden: 8}", "there is no score for hidden"},
        {"", "{layers: 2}", "there is no score for layers"},
        {"", "{vocab: 64}", "vocab: needs a score stage above"},
        {"", "{by: l2-l2, ffn: 8}", "there are no such scores"},
        {score, "{hidden: 32}", "hidden"},
        {score, "{ffn: 25}", "ffn"},
        {score, "{heads: 3}", "heads"},
        {score, "{kv_heads: 3}", "kv_heads"},
        {score, "{layers: 4}", "layers"},
        {score, "{keep_layers: [0, 3]}", "keep_layers"},
        {score, "{ffn: [8, 8]}", "2 sizes were given, for 3 layers"},
        {score, "{vocab: 300}", "asks for 300 tokens, the model has 256"},
        {score, "{ffn: 12, align: {ffn: 8}}", "multiple of 8"},
        {score, "{layers: 2}\n  - prune: {as: again, layers: 3}", "\"again\""},
        {score, "{layers: 1}\n  - prune: {as: again, drop: run, keep_layers: [1]}", "keep_layers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_pruning(f, cases[i].score, cases[i].prune);
        program_expect(2, cases[i].words, "run %s --device cpu --dry-run", f->yaml);
        program_expect(2, "while looking ahead at stage", "run %s --device cpu", f->yaml);
    }
    program_expect(0, "", "store ls --store %s/.espalier", f->directory);
    struct outcome o = program_run("store ls --store %s/.espalier", f->directory);
    assert_null(strstr(builder_text(&o.out), "init"));
    outcome_release(&o);
}

/* What is foreseen is no more than what would be found. */
static void pruning_that_works_is_not_refused(void **state)
{
    struct fixture *f = *state;
    static const char score[] =
        "  - score: {data: text, samples: 4, micro: 2, length: 32, blocks: [2], energy: true, metric: flap}\n";
    static const char *const works[] = {
        "{by: random, by_depth: random, hidden: 8, ffn: 8, layers: 2}",
        "{keep_layers: [0, 2]}",
        "{heads: 2, rank_heads: global, residual: paper, residual_pairs: global, ffn: 16, compensate: flap}",
        "{layers: 1, drop: run, hidden: 12, rescale_norms: true}",
        "{ffn: 16}\n  - init: {as: fresh, like: prune}\n  - prune: {as: again, by: random, ffn: 12}",
        "{ffn: 16}\n  - apply: {passes: 'remove_layers{layers=1}'}\n  - prune: {as: last, by: random, ffn: 8}",
    };
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        bool needs_none = i < 2;
        write_pruning(f, needs_none ? "" : score, works[i]);
        json_decref(fixture_run(f, "--dry-run"));
        struct outcome o = program_run("run %s --device cpu --quiet", f->yaml);
        if (o.exit_status != 0)
            assert_null(strstr(builder_text(&o.err), "looking ahead"));
        outcome_release(&o);
    }
}

static void until_stops_after_a_stage(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_t *lines = fixture_run(f, "--until score");
    assert_string_equal(status_of(lines, "score"), "ran");
    assert_string_equal(status_of(lines, "prune"), "");
    json_decref(lines);
    lines = fixture_run(f, "");
    assert_statuses(lines, "cccrr");
    json_decref(lines);
}

static void lines_have_their_stable_names(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    json_t *lines = fixture_run(f, "");
    size_t steps = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *l = json_array_get(lines, i);
        if (!json_object_get(l, "step"))
            continue;
        static const char *const keys[] = {"loss", "lr", "grad_norm", "tokens_per_s"};
        assert_string_equal(json_text(l, "stage"), "train");
        assert_int_equal(json_integer_value(json_object_get(l, "step")), ++steps);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            assert_true(json_is_number(json_object_get(l, keys[k])));
    }
    assert_int_equal(steps, 2);
    const json_t *train = NULL;
    for (size_t i = 0; i < json_array_size(lines) && !train; i++)
        if (json_object_get(json_array_get(lines, i), "kind") &&
            strcmp(json_text(json_array_get(lines, i), "kind"), "train") == 0)
            train = json_array_get(lines, i);
    assert_non_null(train);
    assert_int_equal(strncmp(json_text(train, "id"), "xxh3:", 5), 0);
    assert_int_equal(strlen(json_text(train, "id")), 5 + 32);
    assert_int_equal(strlen(json_text(train, "sha256")), 64);
    assert_true(json_is_number(json_object_get(train, "seconds")));
    const json_t *report = json_object_get(json_find(lines, "kind", "evaluate"), "report");
    assert_true(json_is_number(json_object_get(report, "loss")));
    json_decref(lines);
}

static void a_run_prints_a_table_for_people(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    struct outcome o = program_run("run %s --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 0);
    assert_non_null(strstr(builder_text(&o.out), "perplexity"));
    outcome_release(&o);
}

static void two_names_for_one_key_run_once(void **state)
{
    struct fixture *f = *state;
    fixture_write(
        f, ", steps: 2",
        "  - train: {as: again, model: init, data: text, steps: 2, batch: 4, micro: 2, length: 32}\n");
    json_t *lines = fixture_run(f, "");
    assert_string_equal(status_of(lines, "again"), "cached");
    assert_string_equal(id_of(lines, "again"), id_of(lines, "train"));
    json_decref(lines);
}

static void folders_above_exports_are_made(void **state)
{
    struct fixture *f = *state;
    char path[512];
    fixture_write(f, ", steps: 1", "  - export: {onnx: results/of/s.onnx, hf: others/s}\n");
    struct outcome o = program_run("run %s --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 0);
    assert_non_null(strstr(builder_text(&o.out), "results/of/s.onnx\n"));
    outcome_release(&o);
    static const char *const files[] = {"results/of/s.onnx", "others/s/model.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", f->directory, files[i]);
        assert_int_equal(access(path, R_OK), 0);
    }
}

static void an_export_that_is_gone_is_written_again(void **state)
{
    struct fixture *f = *state;
    char path[4300];
    fixture_write(f, ", steps: 1", "  - export: {onnx: s.onnx, hf: s}\n");
    json_decref(fixture_run(f, ""));
    snprintf(path, sizeof path, "%s/s.onnx", f->directory);
    assert_int_equal(unlink(path), 0);
    json_t *lines = fixture_run(f, "--dry-run");
    assert_string_equal(json_text(json_find(lines, "stage", "export"), "why"), "its files are not there");
    json_decref(lines);
    lines = fixture_run(f, "");
    assert_string_equal(status_of(lines, "export"), "ran");
    json_decref(lines);
    assert_int_equal(access(path, R_OK), 0);
    lines = fixture_run(f, "");
    assert_string_equal(status_of(lines, "export"), "cached");
    json_decref(lines);
}

/* Another seed makes what a file with that seed makes, and its results have names of their own: those of the
 * file's seed stay what gc keeps. */
static void a_seed_of_the_command_line_is_as_one_of_the_file(void **state)
{
    struct fixture *f = *state;
    char ref[4400];
    fixture_write(f, ", steps: 2, seed: 9", "");
    json_t *files = fixture_run(f, "--seed 5"), *own = fixture_run(f, "");
    assert_statuses(own, "ccccc");
    json_t *other = fixture_run(f, "--seed 6");
    assert_statuses(other, "rrrrr");
    assert_string_not_equal(id_of(other, "init"), id_of(own, "init"));
    assert_string_not_equal(id_of(other, "score"), id_of(own, "score"));
    static const char *const refs[] = {"small.init", "small.seed-5.init", "small.seed-6.init"};
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        snprintf(ref, sizeof ref, "%s/.espalier/refs/%s", f->directory, refs[i]);
        assert_int_equal(access(ref, R_OK), 0);
    }
    program_expect(0, "", "report %s --seed 6 -o %s/r.html", f->yaml, f->directory);
    program_expect(2, "not with --seed", "run %s --lock --seed 5", f->yaml);
    program_expect(2, "--seed: expected an integer", "run %s --seed x", f->yaml);
    json_decref(files);
    json_decref(own);
    json_decref(other);
}

static void a_model_larger_than_the_machine_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_write_file(f, "p.yaml",
                       "espalier: 1\nname: huge\nstages:\n  - init: {arch: {layers: 2000, hidden: 1000000, "
                       "heads: 2, ffn: 4000000}, tokenizer: bytes}\n");
    program_expect(2, "p.yaml:4:41: arch.hidden: the weights would take 1.28e+08 GB, this machine has",
                   "run %s --device cpu", f->yaml);
}

static void the_longest_names_can_be_stored(void **state)
{
    struct fixture *f = *state;
    char text[1024], name[65] = {0};
    memset(name, 'n', 64);
    snprintf(
        text, sizeof text,
        "espalier: 1\nname: %s\nstages:\n  - init: {as: %s, arch: {layers: 1, hidden: 8, heads: 1, ffn: 8}, "
        "tokenizer: bytes}\n",
        name, name);
    fixture_write_file(f, "p.yaml", text);
    json_decref(fixture_run(f, "--seed 2147483647"));
}

static void verify_compares_with_the_lock(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 2", "");
    program_expect(2, "p.yaml --lock", "verify %s --device cpu", f->yaml);
    program_expect(0, "wrote", "run %s --lock --device cpu", f->yaml);
    program_expect(0, "", "verify %s --device cpu --threads 1", f->yaml);
    fixture_write(f, ", steps: 3", "  - evaluate: {as: more, data: text, length: 64, model: train}\n");
    struct outcome o = program_run("verify %s --json --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 1);
    json_t *lines = json_lines(&o.out);
    assert_statuses(lines, "sdddd");
    assert_string_equal(status_of(lines, "more"), "missing");
    json_decref(lines);
    outcome_release(&o);
}

static void a_lock_with_too_many_stages_differs(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "  - evaluate: {as: more, data: text, length: 64, model: train}\n");
    program_expect(0, "wrote", "run %s --lock --device cpu", f->yaml);
    fixture_write(f, ", steps: 1", "");
    program_expect(1, "1 stages of the lock are not in the file", "verify %s --device cpu", f->yaml);
}

/* A stage that cannot run is no reason to hide the others. */
static void what_is_done_is_shown_though_another_stage_cannot_run(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, ""));
    fixture_write(f, ", steps: 1", "  - prune: {as: wider, hidden: 99}\n");
    program_expect(2, "while looking ahead", "run %s --dry-run --device cpu", f->yaml);
    program_expect(0, "", "inspect %s:train", f->yaml);
    program_expect(0, "", "inspect %s:score", f->yaml);
    program_expect(0, "", "export %s:prune --to onnx -o %s/x.onnx", f->yaml, f->directory);
    program_expect(0, "", "report %s -o %s/x.html", f->yaml, f->directory);
    program_expect(2, "has not run yet", "inspect %s:wider", f->yaml);
}

static void records_count_no_host_nodes(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, ""));
    char command[4400], path[4400];
    snprintf(command, sizeof command, "find %s/.espalier/records -name '*.json'", f->directory);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    int found = 0;
    while (fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = '\0';
        json_t *record = json_load_file(path, 0, NULL);
        const char *kind = json_text(record, "kind");
        if (strcmp(kind, "train") == 0 || strcmp(kind, "score") == 0 || strcmp(kind, "evaluate") == 0) {
            found++;
            assert_int_equal(json_integer_value(json_object_get(record, "host_nodes")), 0);
            assert_true(json_integer_value(json_object_get(record, "device_nodes")) > 0);
        }
        json_decref(record);
    }
    pclose(list);
    assert_int_equal(found, 3);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(the_second_run_is_all_cached),
        FIXTURE_TEST(a_changed_setting_runs_what_depends_on_it),
        FIXTURE_TEST(a_stopped_training_goes_on_to_the_same_end),
        FIXTURE_TEST(a_stop_at_the_end_of_a_phase_keeps_the_state),
        FIXTURE_TEST(a_stop_after_the_last_step_is_none),
        FIXTURE_TEST(what_a_phase_draws_is_in_its_key),
        FIXTURE_TEST(what_changes_no_result_runs_nothing),
        FIXTURE_TEST(a_changed_text_runs_what_reads_it),
        FIXTURE_TEST(dry_run_explains_and_runs_nothing),
        FIXTURE_TEST(pruning_that_cannot_work_is_foreseen),
        FIXTURE_TEST(pruning_that_works_is_not_refused),
        FIXTURE_TEST(until_stops_after_a_stage),
        FIXTURE_TEST(lines_have_their_stable_names),
        FIXTURE_TEST(a_run_prints_a_table_for_people),
        FIXTURE_TEST(two_names_for_one_key_run_once),
        FIXTURE_TEST(folders_above_exports_are_made),
        FIXTURE_TEST(an_export_that_is_gone_is_written_again),
        FIXTURE_TEST(a_seed_of_the_command_line_is_as_one_of_the_file),
        FIXTURE_TEST(a_model_larger_than_the_machine_is_refused),
        FIXTURE_TEST(the_longest_names_can_be_stored),
        FIXTURE_TEST(verify_compares_with_the_lock),
        FIXTURE_TEST(a_lock_with_too_many_stages_differs),
        FIXTURE_TEST(what_is_done_is_shown_though_another_stage_cannot_run),
        FIXTURE_TEST(records_count_no_host_nodes),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
