/* eval --task: a model's answers to the items of a published task. */
#ifndef CLI_EVAL_TASK_H
#define CLI_EVAL_TASK_H

#include "cli/command.h"
#include "data/tokenizer.h"
#include "ir/graph.h"

/* Prints the result, with --json each item before it. */
enum status eval_task(struct command *command, const struct graph *graph, struct tokenizer *tokenizer,
                      struct trace *trace) MUST_CHECK;

#endif
