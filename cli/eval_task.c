/* See eval_task.h. */
#include "cli/eval_task.h"
#include "data/task.h"
#include "measure/answer.h"
#include <stdio.h>
#include <stdlib.h>

static enum status open_task(struct task *out, const struct command *command, struct trace *trace)
{
    enum task_kind kind;
    const char *name = command_option(command, "task"), *items = command_option(command, "items");
    struct task_options options = {.labels = command_option(command, "labels"),
                                   .examples = command_option(command, "examples")};
    int64_t shots, limit;
    if (!task_kind_from_name(str_from(name), &kind))
        return status_fail(trace, INVALID, "--task: expected one of %s, found \"%s\"", task_names(), name);
    if (!items)
        return status_fail(trace, INVALID, "--task %s needs --items FILE", name);
    TRY(command_integer(command, "shots", 0, 0, &shots, trace));
    TRY(command_integer(command, "documents", 0, 1, &limit, trace));
    if (shots > 1000)
        return status_fail(trace, INVALID, "--shots: expected at most 1000, found %lld", (long long)shots);
    options.shots = (uint32_t)shots;
    options.limit = (uint64_t)limit;
    return task_open(out, kind, items, &options, trace);
}

static void print_items(const struct task *task, const struct answer_score *scores)
{
    for (uint32_t i = 0; i < task->items.count; i++) {
        const struct task_item *item = &task->items.items[i];
        json_t *each = json_array();
        for (uint32_t c = item->first; c < item->first + item->count; c++)
            json_array_append_new(each, json_real(scores[c].log_likelihood));
        json_t *line = json_pack("{s:I,s:o}", "item", (json_int_t)i, "log_likelihoods", each);
        if (task->metrics == TASK_COMPLETION)
            json_object_set_new(line, "greedy", json_boolean(scores[item->first].is_greedy));
        else {
            json_object_set_new(line, "gold", json_integer(item->gold));
            json_object_set_new(line, "choice", json_integer(answer_choice(task, scores, i, false)));
        }
        if (task->metrics == TASK_CHOICE_NORMALISED)
            json_object_set_new(line, "choice_normalised",
                                json_integer(answer_choice(task, scores, i, true)));
        print_json(line);
    }
}

static json_t *mean_json(struct answer_mean mean)
{
    return json_pack("{s:f,s:f}", "value", mean.value, "error", mean.error);
}

static void print_result_json(const struct task *task, const struct answer_result *r)
{
    json_t *line = json_pack("{s:s,s:I,s:o}", "task", task_name(task->kind), "items", (json_int_t)r->items,
                             "accuracy", mean_json(r->accuracy));
    if (task->metrics == TASK_CHOICE_NORMALISED)
        json_object_set_new(line, "accuracy_normalised", mean_json(r->normalised));
    if (task->metrics == TASK_COMPLETION)
        json_object_set_new(line, "perplexity", json_real(r->perplexity));
    print_json(line);
}

static void print_result(const struct task *task, const struct answer_result *r)
{
    printf("%s: accuracy %.4f +- %.4f", task_name(task->kind), r->accuracy.value, r->accuracy.error);
    if (task->metrics == TASK_CHOICE_NORMALISED)
        printf(", normalised %.4f +- %.4f", r->normalised.value, r->normalised.error);
    if (task->metrics == TASK_COMPLETION)
        printf(", perplexity %.4f", r->perplexity);
    printf(", over %llu items\n", (unsigned long long)r->items);
}

static enum status answer(struct command *command, const struct task *task, const struct graph *graph,
                          struct tokenizer *tokenizer, struct answer_score *scores, struct trace *trace)
{
    struct device_options device;
    struct executor *executor = NULL;
    int64_t length;
    TRY(command_integer(command, "length", 0, 2, &length, trace));
    TRY(command_device(&device, command, trace));
    TRY(device_select(&executor, &device, trace));
    struct answer_options options = {.length = (uint32_t)length, .label = "eval", .stop = command->stop};
    enum status status = measure_answers(scores, executor, graph, task, tokenizer, &options, trace);
    executor_destroy(executor);
    return status;
}

enum status eval_task(struct command *command, const struct graph *graph, struct tokenizer *tokenizer,
                      struct trace *trace)
{
    struct task task = {0};
    struct arena arena = {0};
    enum status status = open_task(&task, command, trace);
    struct answer_score *scores = ARENA_ARRAY(&arena, struct answer_score, task.choices.count + 1);
    if (status == OK)
        status = answer(command, &task, graph, tokenizer, scores, trace);
    if (status == OK) {
        struct answer_result result = answer_summary(&task, scores);
        if (command_is_json(command)) {
            print_items(&task, scores);
            print_result_json(&task, &result);
        } else
            print_result(&task, &result);
    }
    arena_release(&arena);
    task_release(&task);
    return status;
}
