/* inspect, opt, eval, export, diff and store on the committed model. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/test.h"

#define MODEL "golden/tiny/model.onnx"

static json_t *one_line(const struct outcome *o)
{
    if (o->exit_status != 0)
        fail_msg("exit status %d: %s", o->exit_status, builder_text(&o->err));
    json_t *lines = json_lines(&o->out);
    assert_int_equal(json_array_size(lines), 1);
    json_t *line = json_incref(json_array_get(lines, 0));
    json_decref(lines);
    return line;
}

static json_int_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        fail_msg("\"%s\" is no integer, or is not there", key);
    return json_integer_value(value);
}

static void inspect_gives_the_shape(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        json_int_t value;
    } sizes[] = {{"layers", 3},   {"hidden", 32}, {"heads", 4},   {"kv_heads", 2},
                 {"head_dim", 8}, {"ffn", 48},    {"vocab", 256}, {"parameters", 31456}};
    struct outcome o = program_run("inspect --json " MODEL);
    json_t *line = one_line(&o);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (integer(line, sizes[i].key) != sizes[i].value)
            fail_msg("%s is %lld", sizes[i].key, (long long)integer(line, sizes[i].key));
    assert_true(json_is_true(json_object_get(line, "tied")));
    assert_int_equal(json_array_size(json_object_get(line, "refused")), 0);
    const json_t *classes = json_object_get(line, "classes");
    assert_true(json_array_size(classes) > 0);
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const json_t *c = json_array_get(classes, i);
        json_text(c, "name");
        json_text(c, "facts");
        json_text(c, "exactness");
        assert_true(integer(c, "size") > 0 && integer(c, "carriers") > 0);
    }
    json_decref(line);
    outcome_release(&o);
}

static void eval_agrees_with_the_pipeline(void **state)
{
    struct fixture *f = *state;
    char text[4400];
    snprintf(text, sizeof text,
             "espalier: 1\ninputs:\n  m: {model: %.*s/model.onnx, tokenizer: bytes}\n  t: {text: %s}\n"
             "stages:\n  - import: {model: m}\n  - evaluate: {data: t, length: 48}\n",
             (int)(strlen(f->text) - strlen("/heldout.txt")), f->text, f->text);
    fixture_write_file(f, "p.yaml", text);
    json_t *lines = fixture_run(f, "");
    const json_t *report = json_object_get(json_find(lines, "stage", "evaluate"), "report");
    struct outcome o =
        program_run("eval " MODEL " --text %s --tokenizer bytes --length 48 --json --device cpu", f->text);
    json_t *line = one_line(&o);
    static const char *const keys[] = {"loss", "perplexity", "bits_per_byte", "tokens", "bytes"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_true(json_number_value(json_object_get(line, keys[i])) ==
                    json_number_value(json_object_get(report, keys[i])));
    assert_true(json_number_value(json_object_get(line, "loss")) < 1.5); /* it has learnt something */
    json_decref(line);
    json_decref(lines);
    outcome_release(&o);
}

static void eval_needs_text_and_tokenizer(void **state)
{
    (void)state;
    program_expect(2, "--text", "eval " MODEL " --tokenizer bytes");
    program_expect(2, "has no tokenizer", "eval " MODEL " --text golden/tiny/heldout.txt");
    program_expect(2, "", "eval " MODEL " --text golden/tiny.lock --tokenizer bytes --length 100000");
}

static void opt_prunes_and_diff_sees_it(void **state)
{
    struct fixture *f = *state;
    struct outcome o =
        program_run("opt " MODEL " --passes prune_ffn{keep=0+1+2+5+40} -o %s/a.onnx --json", f->directory);
    json_t *line = one_line(&o);
    assert_string_equal(json_text(line, "contract"), "exact");
    assert_int_equal(integer(line, "parameters_before") - integer(line, "parameters_after"),
                     3 * 3 * 32 * (48 - 5));
    json_decref(line);
    outcome_release(&o);
    program_expect(0, "", "diff " MODEL " " MODEL);
    program_expect(1, "differences", "diff " MODEL " %s/a.onnx", f->directory);
    o = program_run("inspect --json %s/a.onnx", f->directory);
    line = one_line(&o);
    assert_int_equal(integer(line, "ffn"), 5);
    json_decref(line);
    outcome_release(&o);
}

/* The first record of diff --json whose "difference" is `what`, or its last record. */
static json_t *diff_record(int status, const char *what, const char *a, const char *b)
{
    struct outcome o = program_run("diff --json %s %s", a, b);
    if (o.exit_status != status)
        fail_msg("diff %s %s: exit status %d: %s", a, b, o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    assert_true(json_array_size(lines) > 0);
    const json_t *line =
        what ? json_find(lines, "difference", what) : json_array_get(lines, json_array_size(lines) - 1);
    if (!line)
        fail_msg("diff %s %s has no record \"%s\"", a, b, what);
    json_t *copy = json_deep_copy(line);
    json_decref(lines);
    return copy;
}

static void diff_has_a_record_for_everything(void **state)
{
    struct fixture *f = *state;
    char pruned[4300], shallow[4300];
    snprintf(pruned, sizeof pruned, "%s/pruned.onnx", f->directory);
    snprintf(shallow, sizeof shallow, "%s/shallow.ir", f->directory);
    program_expect(0, "", "opt " MODEL " --passes prune_ffn{keep=0-7} -o %s", pruned);
    program_expect(0, "", "opt " MODEL " --passes remove_layers{layers=2} -o %s", shallow);
    json_t *sum = diff_record(0, NULL, MODEL, MODEL);
    assert_true(json_is_true(json_object_get(sum, "same")));
    assert_int_equal(integer(sum, "differences"), 0);
    json_decref(sum);
    sum = diff_record(1, NULL, MODEL, pruned);
    assert_true(json_is_false(json_object_get(sum, "same")));
    assert_true(integer(sum, "differences") > 3);
    json_decref(sum);
    json_t *shape = diff_record(1, "shape", MODEL, pruned);
    const json_t *shapes = json_object_get(shape, "shapes");
    json_text(shape, "weight");
    assert_int_equal(json_array_size(shapes), 2);
    json_decref(shape);
    json_t *structure = diff_record(1, "structure", MODEL, shallow);
    const json_t *parameters = json_object_get(structure, "parameters");
    assert_int_equal(json_integer_value(json_array_get(parameters, 0)), 31456);
    assert_true(json_integer_value(json_array_get(parameters, 1)) < 31456);
    assert_int_equal(json_array_size(json_object_get(structure, "nodes")), 2);
    json_decref(structure);
}

/* The model with no number in the middle of its weights, wherever elements begin there. */
static void diff_compares_bits(void **state)
{
    struct fixture *f = *state;
    char path[4300];
    struct builder whole = {0};
    struct trace trace = {0};
    assert_ok(file_read(&whole, MODEL, 1 << 20, &trace), &trace);
    memset(whole.data + whole.length / 2, 0xff, 8);
    snprintf(path, sizeof path, "%s/nan.onnx", f->directory);
    assert_ok(file_write(path, whole.data, whole.length, &trace), &trace);
    builder_release(&whole);
    program_expect(0, "", "diff %s %s", path, path);
    json_t *weight = diff_record(1, "weight", MODEL, path);
    assert_in_range(integer(weight, "elements"), 2, 3);
    assert_true(json_is_null(json_object_get(weight, "largest")));
    json_decref(weight);
    program_expect(1, "1 differences", "diff " MODEL " %s", path);
}

static void opt_tells_its_costs(void **state)
{
    struct fixture *f = *state;
    static const char *const keys[] = {"parameters_before",      "parameters_after",
                                       "flops_per_token_before", "flops_per_token_after",
                                       "flops_per_key_before",   "flops_per_key_after"};
    struct outcome o =
        program_run("opt " MODEL " --passes prune_ffn{keep=0-7} -o %s/a.ir --json", f->directory);
    json_t *line = one_line(&o);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_true(integer(line, keys[i]) > 0);
    /* Three matrices a layer lose 40 of 48 rows of 32, two operations an element. */
    assert_int_equal(integer(line, "flops_per_token_before") - integer(line, "flops_per_token_after"),
                     2 * 3 * 3 * 32 * 40);
    assert_int_equal(integer(line, "flops_per_key_before"), integer(line, "flops_per_key_after"));
    json_decref(line);
    outcome_release(&o);
}

static void quiet_hides_notes(void **state)
{
    (void)state;
    struct outcome o = program_run("inspect " MODEL), quiet = program_run("inspect " MODEL " -q");
    assert_non_null(strstr(builder_text(&o.err), "note: "));
    assert_string_equal(builder_text(&quiet.err), "");
    assert_string_equal(builder_text(&quiet.out), builder_text(&o.out));
    outcome_release(&o);
    outcome_release(&quiet);
}

static void opt_refuses_what_is_impossible(void **state)
{
    struct fixture *f = *state;
    program_expect(2, "--output", "opt " MODEL " --passes prune_ffn{size=8}");
    program_expect(2, "prune_fnn", "opt " MODEL " --passes prune_fnn{size=8} -o %s/a.ir", f->directory);
    program_expect(2, "wide", "opt " MODEL " --passes prune_ffn{wide=8} -o %s/a.ir", f->directory);
    program_expect(2, "49", "opt " MODEL " --passes prune_ffn{size=49} -o %s/a.ir", f->directory);
    program_expect(2, "score", "opt " MODEL " --passes prune_ffn{size=8} -o %s/a.ir", f->directory);
    program_expect(2, ".onnx or .ir", "opt " MODEL " --passes remove_layers{layers=1} -o %s/a.bin",
                   f->directory);
}

static void exports_come_back_the_same(void **state)
{
    struct fixture *f = *state;
    program_expect(0, "", "export " MODEL " --to onnx -o %s/a.onnx", f->directory);
    program_expect(0, "", "diff " MODEL " %s/a.onnx", f->directory);
    program_expect(0, "", "export " MODEL " --to hf --tokenizer bytes -o %s/hf", f->directory);
    program_expect(2, "found \"ckpt\"", "export " MODEL " --to ckpt -o %s/a.ckpt", f->directory);
}

/* Whether a file holds the words. */
static bool file_says(const struct fixture *f, const char *name, const char *words)
{
    char path[4300];
    struct builder bytes = {0};
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    assert_ok(file_read(&bytes, path, 1 << 24, &trace), &trace);
    bool found = memmem(bytes.data, bytes.length, words, strlen(words)) != NULL;
    builder_release(&bytes);
    return found;
}

static void exports_have_the_interface_that_is_asked_for(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[] = {"onnx", "onnx_fused"};
    for (int i = 0; i < 2; i++) {
        program_expect(0, "", "export " MODEL " --to %s --interface cache -o %s/cached.onnx", forms[i],
                       f->directory);
        assert_true(file_says(f, "cached.onnx", "past_key_values.2.value"));
        assert_int_equal(file_says(f, "cached.onnx", "RMSNormalization"), i == 1);
        program_expect(1, "1 differences", "diff " MODEL " %s/cached.onnx", f->directory);
        program_expect(0, "took the 6 inputs of the key-value cache as empty", "inspect %s/cached.onnx",
                       f->directory);
        struct outcome o = program_run("inspect %s/cached.onnx -q", f->directory);
        assert_non_null(
            strstr(builder_text(&o.out), "cache        past_key_values.%.key, past_key_values.%.value\n"));
        outcome_release(&o);
        program_expect(0, "", "opt %s/cached.onnx --passes remove_layers{layers=1} -o %s/cut.onnx",
                       f->directory, f->directory);
        assert_true(file_says(f, "cut.onnx", "present.1.key"));
        assert_false(file_says(f, "cut.onnx", "present.2.key"));
        program_expect(0, "", "export %s/cached.onnx --to %s --interface tokens -o %s/bare.onnx",
                       f->directory, forms[i], f->directory);
        assert_false(file_says(f, "bare.onnx", "past_key_values"));
        program_expect(0, "", "diff " MODEL " %s/bare.onnx", f->directory);
    }
    program_expect(2, "--interface: only onnx or onnx_fused has a choice, found --to hf",
                   "export " MODEL " --to hf --interface cache -o %s/x", f->directory);
    program_expect(2, "--interface: expected source, tokens or cache, found \"keep\"",
                   "export " MODEL " --to onnx --interface keep -o %s/x.onnx", f->directory);
    program_expect(2, "--to: expected onnx, hf, gguf or onnx_fused, found \"ckpt\"",
                   "export " MODEL " --to ckpt -o %s/x", f->directory);
    struct outcome help = program_run("export --help");
    assert_non_null(strstr(builder_text(&help.out), "what to write: onnx, hf, gguf or onnx_fused\n"));
    outcome_release(&help);
}

/* Weights, structure, loss and tokenizer come back from a Hugging Face folder, of a pruned model too. */
static void folders_come_back_the_same(void **state)
{
    struct fixture *f = *state;
    static const char *const score = "--text golden/tiny/heldout.txt --length 48 --json --device cpu";
    program_expect(0, "", "opt " MODEL " --passes prune_ffn{keep=0+1+2+5+40} -o %s/a.onnx", f->directory);
    program_expect(0, "", "export %s/a.onnx --to hf --tokenizer bytes -o %s/hf", f->directory, f->directory);
    program_expect(0, "", "diff %s/a.onnx %s/hf", f->directory, f->directory);
    struct outcome a = program_run("eval %s/a.onnx --tokenizer bytes %s", f->directory, score);
    struct outcome b = program_run("eval %s/hf %s", f->directory, score);
    json_decref(one_line(&b));
    assert_string_equal(builder_text(&a.out), builder_text(&b.out));
    outcome_release(&a);
    outcome_release(&b);
    program_expect(2, "config.json", "inspect %s", f->directory);
}

/* Escape sequences in names and texts of a file are shown, not sent. */
static void nothing_in_a_file_commands_the_terminal(void **state)
{
    struct fixture *f = *state;
    char path[4300];
    struct builder bytes = {0};
    struct trace trace = {0};
    program_expect(0, "", "export " MODEL " --to onnx --interface cache -o %s/m.onnx", f->directory);
    snprintf(path, sizeof path, "%s/m.onnx", f->directory);
    assert_ok(file_read(&bytes, path, 1 << 24, &trace), &trace);
    static const char mask[] = "attention_mask";
    char *place = bytes.data;
    while ((place = memmem(place, bytes.length - (size_t)(place - bytes.data), mask, strlen(mask))))
        memcpy(place, "at\033[31m\xff__mask", strlen(mask));
    builder_printf(&bytes, "\x72\x10\x0a\x06k\033[31m\x12\x06\033[32m!");
    assert_ok(file_write(path, bytes.data, bytes.length, &trace), &trace);
    for (int i = 0; i < 2; i++) {
        struct outcome o =
            i == 0 ? program_run("inspect %s/m.onnx", f->directory)
                   : program_run("export %s/m.onnx --to hf -o %s/folder", f->directory, f->directory);
        assert_int_equal(o.exit_status, 0);
        assert_null(strchr(builder_text(&o.out), '\033'));
        assert_null(strchr(builder_text(&o.err), '\033'));
        assert_non_null(strstr(builder_text(&o.err), "k?[31m"));
        outcome_release(&o);
    }
    fixture_write_file(f, "p.yaml",
                       "espalier: 1\ninputs:\n  m: {model: m.onnx}\nstages:\n  - import: {model: m}\n");
    json_decref(fixture_run(f, ""));
    char command[4500];
    snprintf(command, sizeof command,
             "grep -q \"'at?.31m?__mask' taken as all ones\" %s/.espalier/records/*.json", f->directory);
    assert_int_equal(system(command), 0);
    builder_release(&bytes);
}

/* Through pruning and training, to each of the forms; and files of every form are found again. */
static void a_pipeline_carries_interface_and_metadata_through(void **state)
{
    struct fixture *f = *state;
    char text[9000], path[4300];
    struct builder bytes = {0};
    struct trace trace = {0};
    program_expect(0, "", "export " MODEL " --to onnx --interface cache -o %s/m.onnx", f->directory);
    snprintf(path, sizeof path, "%s/m.onnx", f->directory);
    assert_ok(file_read(&bytes, path, 1 << 24, &trace), &trace);
    static const char licence[] = "Licence of \"test\"\n";
    int length = (int)strlen(licence);
    /* an entry of metadata_props; fields may come in any order */
    builder_printf(&bytes, "\x72%c\x0a\x07license\x12%c%s", length + 11, length, licence);
    assert_ok(file_write(path, bytes.data, bytes.length, &trace), &trace);
    snprintf(text, sizeof text,
             "espalier: 1\ninputs:\n  m: {model: m.onnx, tokenizer: bytes}\n  t: {text: %s}\n"
             "stages:\n  - import: {model: m}\n  - score: {data: t, samples: 8, length: 32}\n"
             "  - prune: {ffn: 30, layers: 2, hidden: 24}\n"
             "  - distill: {teacher: import, data: t, steps: 1, batch: 2, micro: 2, length: 32}\n"
             "  - export: {onnx: s.onnx, onnx_fused: f.onnx, gguf: s.gguf}\n"
             "  - init: {as: fresh, like: prune, seed: 1}\n"
             "  - export: {as: bare, onnx: b.onnx, interface: tokens}\n",
             f->text);
    fixture_write_file(f, "p.yaml", text);
    json_decref(fixture_run(f, ""));
    static const char *const files[] = {"s.onnx", "f.onnx", "b.onnx"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(file_says(f, files[i], "past_key_values.1.key"), i < 2);
        assert_false(file_says(f, files[i], "past_key_values.2.key"));
        assert_int_equal(file_says(f, files[i], "Licence of \"test\"\n"),
                         i < 2); /* fresh weights are nobody's */
    }
    assert_true(file_says(f, "f.onnx", "kv_num_heads"));
    struct outcome o = program_run("inspect %s:distill --json", f->yaml);
    json_t *line = one_line(&o);
    assert_string_equal(json_text(json_object_get(line, "metadata"), "license"), licence);
    assert_string_equal(json_text(json_object_get(line, "interface"), "past_key"), "past_key_values.%.key");
    json_decref(line);
    outcome_release(&o);
    json_t *lines = fixture_run(f, "");
    assert_string_equal(json_text(json_find(lines, "stage", "export"), "status"), "cached");
    json_decref(lines);
    /* another licence, and nothing else: what was distilled stays, what is exported says it */
    memcpy(bytes.data + bytes.length - strlen("test\"\n"), "best", 4);
    assert_ok(file_write(path, bytes.data, bytes.length, &trace), &trace);
    lines = fixture_run(f, "");
    assert_string_equal(json_text(json_find(lines, "stage", "distill"), "status"), "cached");
    assert_string_equal(json_text(json_find(lines, "stage", "export"), "status"), "ran");
    json_decref(lines);
    assert_true(file_says(f, "s.onnx", "Licence of \"best\"\n"));
    o = program_run("inspect %s:distill", f->yaml);
    assert_non_null(strstr(builder_text(&o.out), "metadata     license = Licence of \"best\"\n"));
    outcome_release(&o);
    builder_release(&bytes);
}

/* A folder's shards, configuration and tokenizer count in the key of its import. */
static void a_pipeline_imports_a_folder(void **state)
{
    struct fixture *f = *state;
    char text[9000], path[4300];
    program_expect(0, "", "export " MODEL " --to hf --tokenizer bytes -o %s/hf", f->directory);
    snprintf(text, sizeof text,
             "espalier: 1\ninputs:\n  m: {model: hf}\n  t: {text: %s}\n"
             "stages:\n  - import: {model: m}\n  - evaluate: {data: t, length: 48}\n",
             f->text);
    fixture_write_file(f, "p.yaml", text);
    json_decref(fixture_run(f, ""));
    json_t *lines = fixture_run(f, "");
    assert_string_equal(json_text(json_find(lines, "stage", "import"), "status"), "cached");
    json_decref(lines);
    struct builder config = {0};
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/hf/config.json", f->directory);
    assert_ok(file_read(&config, path, 1 << 20, &trace), &trace);
    char *epsilon = strstr(config.data, "1e-05");
    assert_non_null(epsilon);
    epsilon[4] = '4';
    assert_ok(file_write(path, config.data, config.length, &trace), &trace);
    lines = fixture_run(f, "");
    assert_string_not_equal(json_text(json_find(lines, "stage", "import"), "status"), "cached");
    json_decref(lines);
    builder_release(&config);
}

static void any_prefix_of_a_model_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct builder whole = {0};
    struct trace trace = {0};
    char path[4300];
    assert_ok(file_read(&whole, MODEL, 1 << 20, &trace), &trace);
    snprintf(path, sizeof path, "%s/cut.onnx", f->directory);
    for (size_t i = 0; i < 24; i++) {
        size_t length = i < 12 ? i * 7 : whole.length - 1 - (i - 12) * (whole.length / 13);
        assert_ok(file_write(path, whole.data, length, &trace), &trace);
        program_expect(2, "cut.onnx", "inspect %s", path);
    }
    builder_release(&whole);
}

static void a_store_lists_shows_and_checks(void **state)
{
    struct fixture *f = *state;
    fixture_write(f, ", steps: 1", "");
    json_t *lines = fixture_run(f, "");
    const json_t *train = NULL;
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (json_object_get(json_array_get(lines, i), "id") &&
            strcmp(json_text(json_array_get(lines, i), "stage"), "train") == 0)
            train = json_array_get(lines, i);
    char id[64];
    snprintf(id, sizeof id, "%s", json_text(train, "id"));
    json_decref(lines);
    struct outcome o = program_run("store ls --json --store %s/.espalier", f->directory);
    lines = json_lines(&o.out);
    assert_string_equal(json_text(json_find(lines, "id", id), "kind"), "model");
    json_decref(lines);
    outcome_release(&o);
    o = program_run("store show %.15s --store %s/.espalier", id, f->directory);
    assert_int_equal(strncmp(builder_text(&o.out), "espalier-ir 1\n", 14), 0);
    outcome_release(&o);
    program_expect(0, "", "inspect %.15s --store %s/.espalier", id, f->directory);
    program_expect(0, "", "inspect %s:evaluate", f->yaml);
    char other[4300];
    snprintf(other, sizeof other, "%s/q:r.yml", f->directory);
    assert_int_equal(rename(f->yaml, other), 0);
    program_expect(0, "", "inspect %s:evaluate", other);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
    program_expect(0, "", "store gc --store %s/.espalier", f->directory);
    program_expect(0, "", "store fsck --store %s/.espalier", f->directory);
    program_expect(2, "ffff", "store show xxh3:ffffffffffffffffffffffffffffffff --store %s/.espalier",
                   f->directory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspect_gives_the_shape),
        FIXTURE_TEST(eval_agrees_with_the_pipeline),
        cmocka_unit_test(eval_needs_text_and_tokenizer),
        FIXTURE_TEST(opt_prunes_and_diff_sees_it),
        FIXTURE_TEST(diff_has_a_record_for_everything),
        FIXTURE_TEST(diff_compares_bits),
        FIXTURE_TEST(opt_tells_its_costs),
        cmocka_unit_test(quiet_hides_notes),
        FIXTURE_TEST(opt_refuses_what_is_impossible),
        FIXTURE_TEST(exports_come_back_the_same),
        FIXTURE_TEST(exports_have_the_interface_that_is_asked_for),
        FIXTURE_TEST(nothing_in_a_file_commands_the_terminal),
        FIXTURE_TEST(a_pipeline_carries_interface_and_metadata_through),
        FIXTURE_TEST(folders_come_back_the_same),
        FIXTURE_TEST(a_pipeline_imports_a_folder),
        FIXTURE_TEST(any_prefix_of_a_model_file_is_refused),
        FIXTURE_TEST(a_store_lists_shows_and_checks),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
