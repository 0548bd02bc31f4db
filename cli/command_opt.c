/* opt: passes by name on one model, to a file. */
#include "cli/command.h"
#include "emit/emit.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "pipeline/scores_object.h"
#include "store/list.h"
#include <stdio.h>
#include <string.h>

static enum status read_scores(struct scores *out, struct arena *arena, const struct command *command,
                               struct trace *trace)
{
    const char *id_text = command_option(command, "scores");
    *out = (struct scores){0};
    if (!id_text)
        return OK;
    struct store *store = NULL;
    struct hash128 id;
    TRY(command_open_store(&store, command, trace));
    enum status status = store_find_prefix(&id, store, str_from(id_text), trace);
    if (status == OK)
        status = scores_open(out, arena, store, id, trace);
    store_close(store);
    return status;
}

static enum status write_graph(const char *path, const struct graph *graph, struct trace *trace)
{
    if (str_ends_with(str_from(path), ".onnx")) {
        struct emitted files = {0};
        enum status status = emit_onnx(&files, path, graph, NULL, trace);
        emitted_release(&files);
        return status;
    }
    if (!str_ends_with(str_from(path), ".ir"))
        return status_fail(trace, INVALID,
                           "--output: expected a name that ends in .onnx or .ir, found \"%s\"", path);
    struct builder text = {0};
    graph_print(graph, TEXT_READABLE, &text);
    enum status status = file_write(path, text.data, text.length, trace);
    builder_release(&text);
    return status;
}

static void print_receipt(const struct command *command, const struct receipt *r)
{
    if (command_is_json(command))
        print_json(json_pack(
            "{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "contract", contract_name(r->contract), "parameters_before",
            (json_int_t)r->parameters_before, "parameters_after", (json_int_t)r->parameters_after,
            "flops_per_token_before", (json_int_t)r->flops_before.token, "flops_per_token_after",
            (json_int_t)r->flops_after.token, "flops_per_key_before", (json_int_t)r->flops_before.key,
            "flops_per_key_after", (json_int_t)r->flops_after.key));
    else
        printf("contract %s, parameters %lld -> %lld, FLOPs a token %lld -> %lld\n",
               contract_name(r->contract), (long long)r->parameters_before, (long long)r->parameters_after,
               (long long)r->flops_before.token, (long long)r->flops_after.token);
}

static enum status apply(struct command *command, const struct graph *graph, struct arena *arena,
                         struct trace *trace)
{
    const char *text = command_option(command, "passes"), *output = command_option(command, "output");
    struct scores scores;
    struct pass_context context = {.scores = &scores};
    const struct pass_call *calls;
    uint32_t count;
    struct graph *after = NULL;
    TRY(pass_parse(&calls, &count, arena, str_from(text ? text : ""), trace));
    TRY(read_scores(&scores, arena, command, trace));
    enum status status = pass_run_all(&after, graph, calls, count, &context, trace);
    if (status == OK)
        status = write_graph(output, after, trace);
    if (status == OK)
        print_receipt(command, &context.receipt);
    graph_destroy(after);
    pass_context_release(&context);
    return status;
}

enum status command_opt(struct command *command, struct trace *trace)
{
    if (!command_option(command, "output"))
        return status_fail(trace, INVALID, "opt needs --output OUT (-o), a .onnx or .ir file");
    const char *passes = command_option(command, "passes");
    if (!passes || !*passes)
        return status_fail(trace, INVALID, "opt needs --passes 'NAME{OPTION=VALUES} ...'");
    struct model_source source;
    struct source_options options = command_source(command);
    TRY(model_source_open(&source, command->arguments[0], &options, trace));
    struct arena arena = {0};
    enum status status = apply(command, source.graph, &arena, trace);
    arena_release(&arena);
    model_source_release(&source);
    return status;
}
