/* Log-likelihoods of the choices of a task's items, and what follows from them. A text is scored as
 * lm-evaluation-harness does: context and continuation are encoded together, the tokens that are not of the
 * context alone are the continuation's, blanks at the end of a context go to the continuation. */
#ifndef MEASURE_ANSWER_H
#define MEASURE_ANSWER_H

#include "base/status.h"
#include "data/task.h"
#include "data/tokenizer.h"
#include "ir/executor.h"
#include <signal.h>

struct answer_options {
    uint32_t length;                   /* most tokens that the model sees, the last of a text; 0: all */
    const char *label;                 /* of the progress line; NULL: none */
    const volatile sig_atomic_t *stop; /* INTERRUPTED when it becomes nonzero; may be NULL */
};

/* Of one choice. */
struct answer_score {
    double
        log_likelihood; /* nats, of the continuation after the context; sums in double, in order of tokens */
    uint32_t tokens;    /* of the continuation */
    bool is_greedy;     /* the model's first choice at every token; of tasks of completion alone */
};

/* A mean over items with its standard error: the sample deviation over the root of the count (0 for one
 * item). */
struct answer_mean {
    double value, error;
};

struct answer_result {
    uint64_t items;
    struct answer_mean accuracy;   /* the gold choice is likeliest (the first of equals); or: is greedy */
    struct answer_mean normalised; /* likeliest per character; TASK_CHOICE_NORMALISED */
    double perplexity;             /* e^-mean log-likelihood of an item; TASK_COMPLETION */
    double margin; /* mean of the gold choice's log-likelihood less the largest of the others; 0 where there
                      are none */
};

/* Scores every choice of `task`: scores [task->choices.count], the caller's. INVALID for an empty context
 * where the tokenizer has no token that begins or ends a text, and for a continuation that adds no token. */
enum status measure_answers(struct answer_score *scores, struct executor *executor, const struct graph *model,
                            const struct task *task, struct tokenizer *tokenizer,
                            const struct answer_options *options, struct trace *trace) MUST_CHECK;

/* The choice of an item with the largest score, or score per character. */
uint32_t answer_choice(const struct task *task, const struct answer_score *scores, uint32_t item,
                       bool is_normalised);
struct answer_result answer_summary(const struct task *task, const struct answer_score *scores);

#endif
