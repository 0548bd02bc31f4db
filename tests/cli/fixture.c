/* See fixture.h. */
#include "tests/cli/fixture.h"
#include "base/file.h"
#include "tests/support/test.h"
#include <limits.h>
#include <stdlib.h>

int fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->directory = test_directory_create();
    char absolute[PATH_MAX];
    if (!realpath("golden/tiny/heldout.txt", absolute))
        fail_msg("run the tests from the repository root");
    snprintf(f->text, sizeof f->text, "%s", absolute);
    snprintf(f->yaml, sizeof f->yaml, "%s/p.yaml", f->directory);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    test_directory_remove(f->directory);
    free(f);
    return 0;
}

void fixture_write_file(const struct fixture *f, const char *name, const char *text)
{
    char path[4300];
    struct trace trace = {0};
    snprintf(path, sizeof path, "%s/%s", f->directory, name);
    assert_ok(file_write(path, text, strlen(text), &trace), &trace);
}

void fixture_write(const struct fixture *f, const char *train, const char *tail)
{
    char text[8192];
    snprintf(
        text, sizeof text,
        "espalier: 1\nname: small\nseed: 5\ninputs:\n  text: {text: %s}\nstages:\n"
        "  - init:     {arch: {layers: 2, hidden: 16, heads: 2, kv_heads: 1, ffn: 24}, tokenizer: bytes}\n"
        "  - train:    {data: text, batch: 4, micro: 2, length: 32%s}\n"
        "  - score:    {data: text, samples: 4, micro: 2, length: 32}\n"
        "  - prune:    {ffn: 16}\n"
        "  - evaluate: {data: text, length: 64}\n%s",
        f->text, train, tail);
    fixture_write_file(f, "p.yaml", text);
}

json_t *fixture_run(const struct fixture *f, const char *options)
{
    struct outcome o = program_run("run %s --json --device cpu %s", f->yaml, options);
    if (o.exit_status != 0)
        fail_msg("run %s: exit status %d: %s", options, o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    return lines;
}

void fixture_write_search(const struct fixture *f, const char *rank, const char *stages)
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

json_t *fixture_search(const struct fixture *f, const char *store)
{
    struct outcome o =
        program_run("search %s --json --quiet --device cpu --store %s/%s", f->yaml, f->directory, store);
    if (o.exit_status != 0)
        fail_msg("search: exit status %d: %s", o.exit_status, builder_text(&o.err));
    json_t *lines = json_lines(&o.out);
    outcome_release(&o);
    return lines;
}
