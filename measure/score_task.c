/* Depth by a task: the model answers it, then does so without each layer and run of layers. The prefix that
 * two removals have in common is computed anew: an answer's session knows one model. */
#include "measure/answer.h"
#include "measure/scorer.h"
#include <inttypes.h>

static enum status answer(struct score_answers *out, const struct scorer *s, struct executor *executor,
                          const struct graph *model, const char *label, struct trace *trace)
{
    const struct score_options *o = s->options;
    struct arena scratch = {0};
    struct answer_score *scores = ARENA_ARRAY(&scratch, struct answer_score, o->task->choices.count);
    struct answer_options options = {.length = o->task_length, .label = label, .stop = o->stop};
    enum status status = measure_answers(scores, executor, model, o->task, o->tokenizer, &options, trace);
    if (status == OK) {
        struct answer_result result = answer_summary(o->task, scores);
        *out = (struct score_answers){result.accuracy.value, result.margin};
    }
    arena_release(&scratch);
    return status;
}

static const char *label_of(const struct scorer *s, uint32_t candidate)
{
    return s->options->label ? arena_printf(s->arena, "%s, without %" PRIu32 " of %" PRIu32,
                                            s->options->label, candidate + 1, s->candidates.count)
                             : NULL;
}

enum status scorer_run_task(struct scorer *s, struct executor *executor, struct trace *trace)
{
    TRY_WITH(trace, answer(&s->full_answers, s, executor, s->model, s->options->label, trace),
             "while answering the task of depth");
    for (uint32_t i = 0; i < s->candidates.count; i++) {
        struct candidate *c = &s->candidates.items[i];
        struct graph *without = NULL;
        enum status status = scorer_model_without(&without, s, c, trace);
        if (status == OK)
            status = answer(&c->answers, s, executor, without, label_of(s, i), trace);
        graph_destroy(without);
        if (status != OK)
            trace_add(trace, "while answering the task of depth without layers %" PRIu32 " to %" PRIu32,
                      c->first, c->first + c->count - 1);
        TRY(status);
    }
    return OK;
}
