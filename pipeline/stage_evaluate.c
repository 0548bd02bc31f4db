/* evaluate: loss and perplexity on text, and how far from a teacher's, as a report. */
#include "measure/evaluate.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"
#include "pipeline/vocabularies.h"

/* What intervals are made of: an output of its own, so that the report is of what was measured alone. */
static json_t *windows_json(const struct evaluation *e, bool compares)
{
    json_t *nats = json_array(), *tokens = json_array(), *apart = json_array(), *agreed = json_array();
    for (uint64_t i = 0; i < e->window_count; i++) {
        json_array_append_new(nats, json_real(e->windows[i].nats));
        json_array_append_new(tokens, json_integer(e->windows[i].tokens));
        json_array_append_new(apart, json_real(e->windows[i].divergence));
        json_array_append_new(agreed, json_integer(e->windows[i].agreed));
    }
    json_t *windows = json_pack("{s:I,s:f,s:o,s:o}", "windows", (json_int_t)e->window_count, "loss_error",
                                e->error, "nats", nats, "tokens", tokens);
    if (compares)
        json_object_update_new(windows, json_pack("{s:f,s:f,s:O,s:O}", "divergence_error",
                                                  e->divergence_error, "agreement_error", e->agreement_error,
                                                  "divergences", apart, "agreed", agreed));
    json_decref(apart);
    json_decref(agreed);
    return windows;
}

static json_t *report_json(const struct evaluation *e, const struct graph *model, bool compares)
{
    json_t *report = json_pack("{s:f,s:f,s:f,s:I,s:I,s:I}", "loss", e->loss, "perplexity", e->perplexity,
                               "bits_per_byte", e->bits_per_byte, "tokens", (json_int_t)e->tokens, "bytes",
                               (json_int_t)e->bytes, "parameters", (json_int_t)graph_parameters(model));
    if (compares)
        json_object_update_new(
            report, json_pack("{s:f,s:f}", "divergence", e->divergence, "agreement", e->agreement));
    return report;
}

static enum status measure(struct stage_run *stage, const struct model *model, const struct model *teacher,
                           const struct corpus *corpus, struct partition part, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct executor *executor;
    struct evaluate_options options = {
        .length = (uint32_t)settings_integer(s, "length"),
        .stride = settings_has(s, "stride") ? (uint32_t)settings_integer(s, "stride") : 0,
        .rows = (uint32_t)settings_integer(s, "micro"),
        .partition = part,
        .arena = &stage->arena,
        .label = stage->entry->name,
        .stop = stage_stop(stage)};
    if (teacher) {
        options.teacher = teacher->graph;
        struct teacher_source asked = {.model = teacher};
        TRY(vocabularies_match_stage(&options.vocabulary, s, model, &asked, trace));
    }
    TRY(stage_executor(&executor, stage, trace));
    struct evaluation result;
    TRY(measure_evaluate(&result, executor, model->graph, corpus, model->tokenizer, &options, trace));
    TRY(stage_add_json(stage, "windows", "windows", windows_json(&result, teacher), trace));
    return stage_add_json(stage, "report", "report", report_json(&result, model->graph, teacher), trace);
}

static enum status evaluate(struct stage_run *stage, const struct model *model, const struct corpus *corpus,
                            struct partition part, struct trace *trace)
{
    if (stage->entry->teacher_count == 0)
        return measure(stage, model, NULL, corpus, part, trace);
    struct model teacher = {0};
    enum status status = stage_model(&teacher, stage, stage->entry->teachers[0].stage, trace);
    if (status == OK)
        status = measure(stage, model, &teacher, corpus, part, trace);
    model_release(&teacher);
    return status;
}

enum status stage_evaluate(struct stage_run *stage, struct trace *trace)
{
    return stage_on_text(stage, evaluate, trace);
}
