/* eval: loss, perplexity and bits per byte of a model on a text. With --task, see eval_task.h. */
#include "cli/command.h"
#include "cli/eval_task.h"
#include "measure/evaluate.h"
#include "pipeline/vocabularies.h"
#include <stdio.h>
#include <string.h>

static void print_result(const struct command *command, const struct evaluation *e)
{
    bool compares = command_option(command, "teacher") != NULL;
    if (command_is_json(command)) {
        json_t *json =
            json_pack("{s:f,s:f,s:f,s:f,s:I,s:I,s:I}", "loss", e->loss, "loss_error", e->error, "perplexity",
                      e->perplexity, "bits_per_byte", e->bits_per_byte, "tokens", (json_int_t)e->tokens,
                      "bytes", (json_int_t)e->bytes, "windows", (json_int_t)e->window_count);
        if (compares)
            json_object_update_new(json, json_pack("{s:f,s:f,s:f,s:f}", "divergence", e->divergence,
                                                   "divergence_error", e->divergence_error, "agreement",
                                                   e->agreement, "agreement_error", e->agreement_error));
        print_json(json);
        return;
    }
    printf("loss %.4f +- %.4f nats per token, perplexity %.4f, %.4f bits per byte, over %llu tokens (%llu "
           "bytes)\n",
           e->loss, e->error, e->perplexity, e->bits_per_byte, (unsigned long long)e->tokens,
           (unsigned long long)e->bytes);
    if (compares)
        printf("divergence from the teacher %.4f +- %.4f nats per token, the same likeliest token %.4f +- "
               "%.4f\n",
               e->divergence, e->divergence_error, e->agreement, e->agreement_error);
}

static enum status read_rule(struct vocabulary_rule *out, const struct command *command, struct trace *trace)
{
    const char *word = command_option(command, "vocab");
    *out = (struct vocabulary_rule){.word = VOCABULARY_SAME};
    if (!word || strcmp(word, "same") == 0)
        return OK;
    out->word = VOCABULARY_SHARED;
    return strcmp(word, "shared") == 0
               ? OK
               : status_fail(trace, INVALID, "--vocab: expected same or shared, found \"%s\"", word);
}

/* The teacher must read the same ids as the same text. Who gives a tokenizer says that it is both models'. */
static enum status check_teacher(int64_t *shared, const struct command *command, const struct graph *graph,
                                 const struct model_source *teacher, const struct tokenizer *tokenizer,
                                 struct trace *trace)
{
    struct tokenizer *own = NULL;
    struct vocabulary of_model, of_teacher;
    struct vocabulary_rule rule;
    TRY(read_rule(&rule, command, trace));
    if (!command_option(command, "tokenizer"))
        TRY(model_source_tokenizer(&own, teacher, NULL, trace));
    enum status status = vocabulary_of_model(&of_model, graph, tokenizer, trace);
    if (status == OK)
        status = vocabulary_of_model(&of_teacher, teacher->graph, own, trace);
    if (status == OK)
        status = vocabularies_match(shared, &of_model, &of_teacher, &rule, trace);
    tokenizer_close(own);
    return status;
}

/* Opens what --teacher names, if anything; *shared: tokens that are compared, 0: all. */
static enum status open_teacher(struct model_source *out, int64_t *shared, const struct command *command,
                                const struct graph *graph, const struct tokenizer *tokenizer,
                                struct trace *trace)
{
    const char *name = command_option(command, "teacher");
    struct source_options options = command_source(command);
    *out = (struct model_source){0};
    *shared = 0;
    if (!name)
        return OK;
    TRY(model_source_open(out, name, &options, trace));
    return check_teacher(shared, command, graph, out, tokenizer, trace);
}

static enum status evaluate(struct command *command, const struct graph *graph, struct tokenizer *tokenizer,
                            struct trace *trace)
{
    struct device_options device;
    struct executor *executor = NULL;
    struct corpus corpus = {0};
    struct model_source teacher = {0};
    struct corpus_options form = {.delimiter = command_option(command, "delimiter")};
    const char *join = command_option(command, "join");
    struct evaluation result;
    int64_t length, stride, rows, documents, shared = 0;
    TRY(command_integer(command, "length", 256, 2, &length, trace));
    TRY(command_integer(command, "stride", 0, 1, &stride, trace));
    TRY(command_integer(command, "rows", 8, 1, &rows, trace));
    TRY(command_integer(command, "documents", 0, 1, &documents, trace));
    form.limit = (uint64_t)documents;
    TRY(command_device(&device, command, trace));
    if (join && !corpus_join_from_name(str_from(join), &form.join))
        return status_fail(trace, INVALID,
                           "--join: expected auto, none, eos, bos, both or newline, found \"%s\"", join);
    enum status status = corpus_open(&corpus, command_option(command, "text"), tokenizer, &form, NULL, trace);
    if (status == OK)
        status = open_teacher(&teacher, &shared, command, graph, tokenizer, trace);
    if (status == OK)
        status = device_select(&executor, &device, trace);
    struct evaluate_options options = {.length = (uint32_t)length,
                                       .stride = (uint32_t)stride,
                                       .rows = (uint32_t)rows,
                                       .teacher = teacher.graph,
                                       .vocabulary = shared,
                                       .label = "eval",
                                       .stop = command->stop};
    if (status == OK)
        status = measure_evaluate(&result, executor, graph, &corpus, tokenizer, &options, trace);
    if (status == OK)
        print_result(command, &result);
    executor_destroy(executor);
    corpus_release(&corpus);
    model_source_release(&teacher);
    return status;
}

enum status command_eval(struct command *command, struct trace *trace)
{
    bool has_task = command_option(command, "task");
    if (has_task && command_option(command, "teacher"))
        return status_fail(trace, INVALID, "--teacher is compared on a text: give --text FILE");
    if (has_task == (command_option(command, "text") != NULL))
        return status_fail(trace, INVALID, "eval needs either --text FILE, or --task NAME and --items FILE");
    struct model_source source;
    struct source_options options = command_source(command);
    struct tokenizer *tokenizer = NULL;
    TRY(model_source_open(&source, command->arguments[0], &options, trace));
    enum status status = command_tokenizer(&tokenizer, command, &source, trace);
    if (status == OK)
        status = command_check_vocabulary(source.graph, tokenizer, command->arguments[0], trace);
    if (status == OK)
        status = has_task ? eval_task(command, source.graph, tokenizer, trace)
                          : evaluate(command, source.graph, tokenizer, trace);
    tokenizer_close(tokenizer);
    model_source_release(&source);
    return status;
}
