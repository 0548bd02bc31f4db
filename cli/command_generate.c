/* generate: a text continued by a model. */
#include "cli/command.h"
#include "measure/generate.h"
#include <stdio.h>
#include <stdlib.h>

static enum status read_options(struct generate_options *out, const struct command *command,
                                const struct tokenizer *tokenizer, struct trace *trace)
{
    int64_t tokens, top, seed;
    double temperature = 0;
    const char *text = command_option(command, "temperature");
    TRY(command_integer(command, "tokens", 64, 1, &tokens, trace));
    TRY(command_integer(command, "top", 0, 1, &top, trace));
    TRY(command_integer(command, "seed", 0, 0, &seed, trace));
    if (text && (!str_to_double(str_from(text), &temperature) || temperature < 0 || temperature > 1000))
        return status_fail(trace, INVALID, "--temperature: expected a number from 0 to 1000, found \"%s\"",
                           text);
    *out = (struct generate_options){.tokens = (uint32_t)tokens,
                                     .end = tokenizer_eos(tokenizer),
                                     .temperature = (float)temperature,
                                     .top = (uint32_t)top,
                                     .seed = (uint64_t)seed,
                                     .vocabulary = tokenizer_vocabulary(tokenizer),
                                     .stop = command->stop};
    return OK;
}

static enum status print_text(const struct command *command, const struct tokenizer *tokenizer,
                              const struct token_list *tokens, size_t prompt, struct trace *trace)
{
    struct builder text = {0};
    enum status status = generate_decode(&text, tokenizer, tokens, prompt, trace);
    if (status == OK && command_is_json(command)) {
        json_t *ids = json_array();
        for (size_t i = prompt; i < tokens->count; i++)
            json_array_append_new(ids, json_integer(tokens->items[i]));
        json_t *string = json_stringn(builder_text(&text), text.length);
        print_json(json_pack("{s:o,s:o}", "text", string ? string : json_null(), "tokens", ids));
    } else if (status == OK)
        printf("%s\n", builder_text(&text));
    builder_release(&text);
    return status;
}

static enum status continue_text(struct token_list *tokens, struct executor *executor,
                                 const struct graph *graph, const struct generate_options *options,
                                 struct trace *trace)
{
    struct generator *generator = generator_create(executor, graph);
    enum status status = generator_continue(generator, tokens, options, trace);
    generator_destroy(generator);
    return status;
}

static enum status generate(struct command *command, const struct graph *graph, struct tokenizer *tokenizer,
                            struct trace *trace)
{
    struct generate_options options;
    struct device_options device;
    struct executor *executor = NULL;
    struct token_list tokens = {0};
    TRY(read_options(&options, command, tokenizer, trace));
    TRY(command_device(&device, command, trace));
    const char *given = command_option(command, "prompt");
    enum status status = generate_encode(&tokens, tokenizer, str_from(given ? given : ""), trace);
    size_t prompt = tokens.count;
    if (status == OK)
        status = device_select(&executor, &device, trace);
    if (status == OK)
        status = continue_text(&tokens, executor, graph, &options, trace);
    if (status == OK)
        status = print_text(command, tokenizer, &tokens, prompt, trace);
    executor_destroy(executor);
    token_list_release(&tokens);
    return status;
}

enum status command_generate(struct command *command, struct trace *trace)
{
    struct model_source source;
    struct source_options options = command_source(command);
    struct tokenizer *tokenizer = NULL;
    TRY(model_source_open(&source, command->arguments[0], &options, trace));
    enum status status = command_tokenizer(&tokenizer, command, &source, trace);
    if (status == OK)
        status = command_check_vocabulary(source.graph, tokenizer, command->arguments[0], trace);
    if (status == OK)
        status = generate(command, source.graph, tokenizer, trace);
    tokenizer_close(tokenizer);
    model_source_release(&source);
    return status;
}
