/* evaluate: loss and perplexity on text, as a report. */
#include "measure/evaluate.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"

/* What intervals are made of: an output of its own, so that the report is of what was measured alone. */
static json_t *windows_json(const struct evaluation *e)
{
    json_t *nats = json_array(), *tokens = json_array();
    for (uint64_t i = 0; i < e->window_count; i++) {
        json_array_append_new(nats, json_real(e->windows[i].nats));
        json_array_append_new(tokens, json_integer(e->windows[i].tokens));
    }
    return json_pack("{s:I,s:f,s:o,s:o}", "windows", (json_int_t)e->window_count, "loss_error", e->error,
                     "nats", nats, "tokens", tokens);
}

static enum status evaluate(struct stage_run *stage, const struct model *model, const struct corpus *corpus,
                            struct partition part, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct executor *executor;
    TRY(stage_executor(&executor, stage, trace));
    struct evaluate_options options = {
        .length = (uint32_t)settings_integer(s, "length"),
        .stride = settings_has(s, "stride") ? (uint32_t)settings_integer(s, "stride") : 0,
        .rows = (uint32_t)settings_integer(s, "micro"),
        .partition = part,
        .arena = &stage->arena,
        .label = stage->entry->name,
        .stop = stage_stop(stage)};
    struct evaluation result;
    TRY(measure_evaluate(&result, executor, model->graph, corpus, model->tokenizer, &options, trace));
    TRY(stage_add_json(stage, "windows", "windows", windows_json(&result), trace));
    return stage_add_json(stage, "report", "report",
                          json_pack("{s:f,s:f,s:f,s:I,s:I,s:I}", "loss", result.loss, "perplexity",
                                    result.perplexity, "bits_per_byte", result.bits_per_byte, "tokens",
                                    (json_int_t)result.tokens, "bytes", (json_int_t)result.bytes,
                                    "parameters", (json_int_t)graph_parameters(model->graph)),
                          trace);
}

enum status stage_evaluate(struct stage_run *stage, struct trace *trace)
{
    return stage_on_text(stage, evaluate, trace);
}
