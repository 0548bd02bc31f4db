/* answer: a model's answers to a published task, and how many are right, as reports. */
#include "data/task.h"
#include "measure/answer.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"

static json_t *answers_json(const struct task *task, const struct answer_score *scores)
{
    json_t *answers = json_array();
    for (uint32_t i = 0; i < task->items.count; i++) {
        const struct task_item *item = &task->items.items[i];
        json_t *each = json_array();
        for (uint32_t c = item->first; c < item->first + item->count; c++)
            json_array_append_new(each, json_real(scores[c].log_likelihood));
        json_array_append_new(answers, each);
    }
    return json_pack("{s:o}", "log_likelihoods", answers);
}

static json_t *report_json(const struct task *task, const struct answer_score *scores, int64_t parameters)
{
    struct answer_result r = answer_summary(task, scores);
    json_t *report = json_pack("{s:s,s:I,s:f,s:f,s:I}", "task", task_name(task->kind), "items",
                               (json_int_t)r.items, "accuracy", r.accuracy.value, "accuracy_error",
                               r.accuracy.error, "parameters", (json_int_t)parameters);
    if (task->metrics == TASK_CHOICE_NORMALISED) {
        json_object_set_new(report, "normalised", json_real(r.normalised.value));
        json_object_set_new(report, "normalised_error", json_real(r.normalised.error));
    }
    if (task->metrics == TASK_COMPLETION)
        json_object_set_new(report, "perplexity", json_real(r.perplexity));
    return report;
}

static enum status answer(struct stage_run *stage, const struct model *model, const struct task *task,
                          struct trace *trace)
{
    struct executor *executor;
    struct answer_score *scores = ARENA_ARRAY(&stage->arena, struct answer_score, task->choices.count);
    struct answer_options options = {.length = (uint32_t)settings_integer(&stage->entry->settings, "length"),
                                     .label = stage->entry->name,
                                     .stop = stage_stop(stage)};
    if (!model->tokenizer)
        return settings_fail(&stage->entry->settings, "data", trace,
                             "the model has no tokenizer: give its input one (tokenizer: FILE or bytes)");
    TRY(stage_executor(&executor, stage, trace));
    TRY(measure_answers(scores, executor, model->graph, task, model->tokenizer, &options, trace));
    TRY(stage_add_json(stage, "report", "report", report_json(task, scores, graph_parameters(model->graph)),
                       trace));
    return stage_add_json(stage, "answers", "report", answers_json(task, scores), trace);
}

enum status stage_answer(struct stage_run *stage, struct trace *trace)
{
    struct task task = {0};
    struct model model = {0};
    enum status status = stage_task(&task, stage, stage->entry->data, trace);
    if (status == OK)
        status = stage_model(&model, stage, stage->entry->model, trace);
    if (status == OK)
        status = answer(stage, &model, &task, trace);
    model_release(&model);
    task_release(&task);
    return status;
}
