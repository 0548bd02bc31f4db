/* After a rewrite: measure what it did on the probe batch, cut the tokenizer to the tokens that are left,
 * store. */
#include "pipeline/rewrite.h"
#include "data/tokenizer_reduce.h"
#include "measure/probe.h"
#include "pipeline/run.h"
#include "pipeline/scores_object.h"

enum status rewrite_scores(struct scores *out, struct stage_run *stage, struct trace *trace)
{
    *out = (struct scores){0};
    if (stage->entry->scores == STAGE_NONE)
        return OK;
    const struct store_output *scores =
        store_result_find(&stage->run->results[stage->entry->scores], "scores");
    if (!scores)
        BUG("stage %u has no scores", stage->entry->scores);
    return scores_open(out, &stage->arena, stage->run->store, scores->id, trace);
}

static enum status measure(struct stage_run *stage, const struct graph *before, const struct graph *after,
                           struct pass_context *context, struct trace *trace)
{
    struct executor *executor;
    struct probe probe;
    TRY(stage_executor(&executor, stage, trace));
    TRY_WITH(trace,
             measure_probe(&probe, executor, before, after, context->remap.kept, context->remap.count, trace),
             "while measuring what the rewrite did");
    context->receipt.measured = true;
    context->receipt.max_logit_change = probe.drift;
    context->receipt.kl = probe.divergence;
    return OK;
}

static json_t *receipt_json(const struct receipt *r)
{
    json_t *json = json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f}", "contract", contract_name(r->contract), "parameters_before",
        (json_int_t)r->parameters_before, "parameters_after", (json_int_t)r->parameters_after,
        "flops_per_token_before", (json_int_t)r->flops_before.token, "flops_per_token_after",
        (json_int_t)r->flops_after.token, "flops_per_key_before", (json_int_t)r->flops_before.key,
        "flops_per_key_after", (json_int_t)r->flops_after.key, "max_logit_change", r->max_logit_change, "kl",
        r->kl);
    if (r->folded_heads > 0)
        json_object_set_new(json, "folded_heads", json_integer(r->folded_heads));
    if (r->compensated > 0)
        json_object_set_new(json, "compensated_projections", json_integer(r->compensated));
    if (r->rescaled_norms > 0)
        json_object_set_new(json, "rescaled_norms", json_integer(r->rescaled_norms));
    return json;
}

enum status rewrite_finish(struct stage_run *stage, const struct model *before, const struct graph *after,
                           struct pass_context *context, struct trace *trace)
{
    struct str tokenizer = model_tokenizer_text(before);
    struct builder reduced = {0};
    enum status status = measure(stage, before->graph, after, context, trace);
    if (status == OK && context->remap.count > 0 && before->tokenizer) {
        struct tokenizer_reduction reduction;
        status =
            tokenizer_reduce(&reduced, &reduction, before->tokenizer, (const int32_t *)context->remap.kept,
                             context->remap.count, TOKENIZER_REFUSE_LOSS, trace);
        tokenizer = (struct str){reduced.data, reduced.length};
    }
    if (status == OK)
        status = stage_add_model(stage, after, tokenizer, trace);
    if (status == OK)
        status = stage_add_json(stage, "receipt", "receipt", receipt_json(&context->receipt), trace);
    builder_release(&reduced);
    return status;
}
