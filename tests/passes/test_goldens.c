/* Text goldens: golden/passes/PASS/NAME.ir is a graph whose lines "#! ..." say what to do with it, and
 * NAME.expected what must come out: the graph, or the error.
 *   #! passes TEXT          the passes to run
 *   #! score NAME N N ...   a score
 * With GOLDEN=update in the environment the expected files are written instead of compared. */
#include "ir/text.h"
#include "passes/pass.h"
#include "tests/support/test.h"
#include <glob.h>

struct golden {
    struct arena arena;
    struct scores scores;
    char *passes;
    struct trace trace;
};

static char *read_text(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = calloc(1, 1 << 20);
    *length = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

static void read_score(struct golden *g, char *line)
{
    float values[256];
    uint32_t count = 0;
    char *rest = NULL, *name = strtok_r(line, " ", &rest);
    for (char *word = strtok_r(NULL, " ", &rest); word && count < 256; word = strtok_r(NULL, " ", &rest))
        values[count++] = strtof(word, NULL);
    scores_add(&g->scores, &g->arena, name, values, count);
}

static void read_directives(struct golden *g, const char *text)
{
    for (const char *at = strstr(text, "#! "); at; at = strstr(at + 3, "#! ")) {
        char *line = arena_copy_string(&g->arena, at + 3, strcspn(at + 3, "\n"));
        if (strncmp(line, "passes ", 7) == 0)
            g->passes = line + 7;
        else if (strncmp(line, "score ", 6) == 0)
            read_score(g, line + 6);
        else
            fail_msg("no such directive: %s", line);
    }
}

/* What the text form does not show: which positions of a weight's axes are left. */
static void print_kept(const struct graph *graph, struct builder *out)
{
    for (uint32_t t = 0; t < graph->tensors.count; t++) {
        const struct tensor *tensor = &graph->tensors.items[t];
        for (uint32_t a = 0; a < tensor->view.rank; a++) {
            if (!tensor->view.index[a])
                continue;
            builder_printf(out, "# " STR_FORMAT " axis %u keeps", STR_ARGUMENT(tensor->name), a);
            for (int64_t i = 0; i < tensor->view.dims[a]; i++)
                builder_printf(out, " %u", tensor->view.index[a][i]);
            builder_add_text(out, "\n");
        }
    }
}

static enum status run(struct golden *g, const char *path, struct str text, struct builder *out)
{
    const struct pass_call *calls;
    uint32_t count;
    struct graph *graph = NULL, *result = NULL;
    struct pass_context context = {.scores = &g->scores};
    TRY(graph_parse(&graph, text, path, &g->trace));
    enum status status =
        pass_parse(&calls, &count, &g->arena, str_from(g->passes ? g->passes : ""), &g->trace);
    if (status == OK)
        status = pass_run_all(&result, graph, calls, count, &context, &g->trace);
    if (status == OK) {
        graph_print(result, TEXT_READABLE, out);
        print_kept(result, out);
        builder_printf(
            out, "# contract %s, parameters %lld -> %lld, flops %lld + %lld/key -> %lld + %lld/key\n",
            contract_name(context.receipt.contract), (long long)context.receipt.parameters_before,
            (long long)context.receipt.parameters_after, (long long)context.receipt.flops_before.token,
            (long long)context.receipt.flops_before.key, (long long)context.receipt.flops_after.token,
            (long long)context.receipt.flops_after.key);
    }
    graph_destroy(graph);
    graph_destroy(result);
    pass_context_release(&context);
    return status;
}

static bool check(const char *path)
{
    struct golden g = {0};
    struct builder out = {0};
    size_t length = 0, expected_length = 0;
    char *text = read_text(path, &length);
    read_directives(&g, text);
    enum status status = run(&g, path, (struct str){text, length}, &out);
    if (status != OK)
        builder_printf(&out, "%s: %s\n", status_name(status), g.trace.text);
    const char *expected_path =
        arena_printf(&g.arena, "%.*s.expected", (int)(strlen(path) - strlen(".ir")), path);
    const char *update = getenv("GOLDEN");
    bool same = true;
    if (update && strcmp(update, "update") == 0) {
        FILE *file = fopen(expected_path, "wb");
        same = file && fwrite(builder_text(&out), 1, out.length, file) == out.length && fclose(file) == 0;
    } else {
        char *expected = read_text(expected_path, &expected_length);
        same = expected && strcmp(expected, builder_text(&out)) == 0;
        if (!same)
            print_error("%s: expected\n%s\ngot\n%s\n", path, expected ? expected : "(no file)",
                        builder_text(&out));
        free(expected);
    }
    free(text);
    builder_release(&out);
    arena_release(&g.arena);
    return same;
}

static void every_golden_comes_out_as_expected(void **state)
{
    (void)state;
    glob_t paths = {0};
    uint32_t different = 0;
    assert_int_equal(glob("golden/passes/*/*.ir", 0, NULL, &paths), 0);
    for (size_t i = 0; i < paths.gl_pathc; i++)
        different += !check(paths.gl_pathv[i]);
    assert_true(paths.gl_pathc > 0);
    globfree(&paths);
    assert_int_equal(different, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_golden_comes_out_as_expected)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
