/* Importing through the program: what makes an import run again, and damage after it. */
#include "base/file.h"
#include "tests/cli/fixture.h"
#include "tests/support/onnx_llama.h"
#include "tests/support/test.h"
#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_bytes(const struct fixture *f, const char *name, const struct builder *bytes)
{
    char path[4300];
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    assert_ok(file_write(path, bytes->data, bytes->length, &trace), &trace);
}

/* model.onnx, with its weights in weights.bin, and a pipeline that imports and evaluates it. */
static void write_model(const struct fixture *f)
{
    struct onnx_llama model = onnx_llama_default();
    struct onnx_writer w = {0};
    struct builder bytes = {0};
    model.vocabulary = 256;
    model.external = "weights.bin";
    onnx_llama_write(&w, &model);
    onnx_finish(&w, &bytes);
    write_bytes(f, "model.onnx", &bytes);
    write_bytes(f, "weights.bin", &w.data);
    builder_release(&bytes);
    onnx_writer_release(&w);
    char text[8192];
    snprintf(text, sizeof text,
             "espalier: 1\ninputs:\n  model: {model: model.onnx, tokenizer: bytes}\n  text: {text: %s}\n"
             "stages:\n  - import: {model: model}\n  - evaluate: {data: text, length: 64}\n",
             f->text);
    fixture_write_file(f, "p.yaml", text);
}

static char status_of(const json_t *lines, const char *stage)
{
    return json_text(json_find(lines, "stage", stage), "status")[0];
}

/* Flips one bit of a file of the fixture, near its end. */
static void flip(const char *path)
{
    struct builder bytes = {0};
    struct trace trace = {0};
    assert_ok(file_read(&bytes, path, 1 << 24, &trace), &trace);
    bytes.data[bytes.length - 6] ^= 1;
    assert_ok(file_write(path, bytes.data, bytes.length, &trace), &trace);
    builder_release(&bytes);
}

static void a_changed_data_file_runs_the_import_again(void **state)
{
    struct fixture *f = *state;
    char path[4300];
    write_model(f);
    json_t *lines = fixture_run(f, "");
    char id[64];
    snprintf(id, sizeof id, "%s", json_text(json_find(lines, "stage", "import"), "id"));
    assert_int_equal(status_of(lines, "import"), 'r');
    json_decref(lines);
    lines = fixture_run(f, "");
    assert_int_equal(status_of(lines, "import"), 'c');
    json_decref(lines);
    snprintf(path, sizeof path, "%s/weights.bin", f->directory);
    flip(path);
    lines = fixture_run(f, "");
    assert_int_equal(status_of(lines, "import"), 'r');
    assert_int_equal(status_of(lines, "evaluate"), 'r');
    assert_string_not_equal(json_text(json_find(lines, "stage", "import"), "id"), id);
    json_decref(lines);
}

/* model.onnx is a link; its weights lie beside what it leads to, and nowhere else. */
static void a_linked_model_finds_its_weights(void **state)
{
    struct fixture *f = *state;
    char real[4300], link_path[4300], path[4300];
    struct trace trace = {0};
    write_model(f);
    snprintf(path, sizeof path, "%s/blobs", f->directory);
    assert_ok(directory_create(path, &trace), &trace);
    snprintf(link_path, sizeof link_path, "%s/model.onnx", f->directory);
    snprintf(real, sizeof real, "%s/blobs/0123", f->directory);
    assert_int_equal(rename(link_path, real), 0);
    assert_int_equal(symlink("blobs/0123", link_path), 0);
    snprintf(path, sizeof path, "%s/weights.bin", f->directory);
    snprintf(real, sizeof real, "%s/blobs/weights.bin", f->directory);
    assert_int_equal(rename(path, real), 0);
    static const char expected[] = {'r', 'c'};
    for (int i = 0; i < 2; i++) {
        json_t *lines = fixture_run(f, "");
        assert_int_equal(status_of(lines, "import"), expected[i]);
        json_decref(lines);
    }
    flip(real);
    json_t *lines = fixture_run(f, "");
    assert_int_equal(status_of(lines, "import"), 'r');
    json_decref(lines);
}

/* 4 GB of weights in a file that holds nothing: telling the shape reads none of them but some places of a
 * head that is a copy of the embedding, half a GB each. */
static void inspect_large(const struct fixture *f, enum tie_form tie, const char *words)
{
    struct onnx_llama model = onnx_llama_default();
    struct onnx_writer w = {.is_sparse = true};
    struct builder bytes = {0};
    struct rusage before, after;
    char path[4300];
    model.layers = 8, model.hidden = 4096, model.heads = 32, model.head = 128, model.ffn = 8192;
    model.vocabulary = 32768, model.tie = tie, model.external = "weights.bin";
    onnx_llama_write(&w, &model);
    onnx_finish(&w, &bytes);
    write_bytes(f, "model.onnx", &bytes);
    write_bytes(f, "weights.bin", &w.data);
    snprintf(path, sizeof path, "%s/weights.bin", f->directory);
    assert_true(w.sparse_length > UINT64_C(4) << 30);
    assert_int_equal(truncate(path, (off_t)w.sparse_length), 0);
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &before), 0);
    program_expect(0, words, "inspect %s/model.onnx", f->directory);
    assert_int_equal(getrusage(RUSAGE_CHILDREN, &after), 0);
    assert_true(after.ru_maxrss == before.ru_maxrss ||
                after.ru_maxrss < 300000); /* kilobytes, of the largest child */
    builder_release(&bytes);
    onnx_writer_release(&w);
}

static void inspect_reads_no_weights(void **state)
{
    inspect_large(*state, TIE_SAME_TENSOR, "tied in the file");
    inspect_large(*state, TIE_COPY, "in some places only");
}

/* Every command that imports takes --untrusted; without it a note says what is odd. */
static void hard_links_are_noted_or_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const commands[] = {
        "inspect %s --untrusted",
        "export %s --to hf --untrusted -o %s/hf",
        "generate %s --tokenizer bytes --tokens 1 --untrusted",
        "opt %s --passes remove_layers{layers=0} --untrusted -o %s/o.onnx",
        "eval %s --text %s/p.yaml --tokenizer bytes --length 8 --untrusted",
        "diff %s %s/model.onnx --untrusted"};
    char path[4300], other[4300], model[4300], line[9000];
    write_model(f);
    snprintf(model, sizeof model, "%s/model.onnx", f->directory);
    program_expect(0, "", "inspect %s --untrusted", model);
    snprintf(path, sizeof path, "%s/weights.bin", f->directory);
    snprintf(other, sizeof other, "%s/other.bin", f->directory);
    assert_int_equal(link(path, other), 0);
    program_expect(0, "note: the data file 'weights.bin' has 2 hard links", "inspect %s", model);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, commands[i], model, f->directory); /* the formats above */
        program_expect(2, "of an untrusted model has 2 hard links", "%s", line);
    }
}

/* Also when every result is in the store: the setting changes no key. */
static void untrusted_inputs_have_no_hard_links(void **state)
{
    struct fixture *f = *state;
    char path[4300], other[4300], text[8192];
    write_model(f);
    json_decref(fixture_run(f, ""));
    snprintf(
        text, sizeof text,
        "espalier: 1\ninputs:\n  model: {model: model.onnx, tokenizer: bytes, untrusted: true}\n  text: {text: %s}\n"
        "stages:\n  - import: {model: model}\n  - evaluate: {data: text, length: 64}\n",
        f->text);
    fixture_write_file(f, "p.yaml", text);
    json_t *lines = fixture_run(f, "");
    assert_int_equal(status_of(lines, "import"), 'c');
    json_decref(lines);
    snprintf(path, sizeof path, "%s/weights.bin", f->directory);
    snprintf(other, sizeof other, "%s/other.bin", f->directory);
    assert_int_equal(link(path, other), 0);
    program_expect(2, "of an untrusted model has 2 hard links", "run %s --device cpu", f->yaml);
    fixture_write_file(
        f, "s.yaml",
        "espalier: 1\ninputs:\n  model: {model: model.onnx, tokenizer: bytes, untrusted: true}\n"
        "search: {base: {model: model}, grid: {ffn: [8]}, budget: {parameters: {target: 1e6, tolerance: 0.9}}}\n");
    program_expect(2, "of an untrusted model has 2 hard links", "search %s/s.yaml", f->directory);
}

static void an_error_of_an_import_is_told_once(void **state)
{
    struct fixture *f = *state;
    write_model(f);
    fixture_write_file(f, "model.onnx", "no model at all");
    struct outcome o = program_run("run %s --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 2);
    const char *once = strstr(builder_text(&o.err), "while importing");
    assert_non_null(once);
    assert_null(strstr(once + 1, "while importing"));
    outcome_release(&o);
}

/* Flips a bit in every object of kind tensor; `damaged` is the last one's path. */
static char damaged[4400];
static int damage_tensor(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)at;
    struct builder bytes = {0};
    struct trace trace = {0};
    if (type != FTW_F || info->st_size < 200 || !strstr(path, "/objects/"))
        return 0;
    assert_ok(file_read(&bytes, path, 1 << 24, &trace), &trace);
    if (str_starts_with((struct str){bytes.data, bytes.length}, "espalier-object 1 tensor ")) {
        snprintf(damaged, sizeof damaged, "%s", path);
        flip(path);
    }
    builder_release(&bytes);
    return 0;
}

static void a_damaged_weight_is_an_error_that_names_it(void **state)
{
    struct fixture *f = *state;
    char store[4300];
    *damaged = '\0';
    fixture_write(f, ", steps: 1", "");
    json_decref(fixture_run(f, "--until train"));
    snprintf(store, sizeof store, "%s/.espalier", f->directory);
    assert_int_equal(nftw(store, damage_tensor, 8, FTW_PHYS), 0);
    assert_true(*damaged);
    struct outcome o = program_run("run %s --device cpu", f->yaml);
    assert_int_equal(o.exit_status, 2);
    assert_non_null(strstr(builder_text(&o.err), "while opening weight"));
    assert_non_null(strstr(builder_text(&o.err), "xxh3:"));
    outcome_release(&o);
    program_expect(2, "xxh3:", "inspect %s:train", f->yaml);
    o = program_run("store fsck --store %s", store);
    assert_int_equal(o.exit_status, 1);
    assert_non_null(strstr(builder_text(&o.out), strrchr(damaged, '/') + 1));
    outcome_release(&o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_changed_data_file_runs_the_import_again),
        FIXTURE_TEST(a_linked_model_finds_its_weights),
        FIXTURE_TEST(inspect_reads_no_weights),
        FIXTURE_TEST(hard_links_are_noted_or_refused),
        FIXTURE_TEST(untrusted_inputs_have_no_hard_links),
        FIXTURE_TEST(an_error_of_an_import_is_told_once),
        FIXTURE_TEST(a_damaged_weight_is_an_error_that_names_it),
    };
    program_begin(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
