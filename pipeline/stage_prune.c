/* prune: cut a model to a shape, ranked by scores. Tokens are kept by how often they occur; those without
 * which some text could not be encoded (special tokens, single bytes, the unknown token) are kept before all
 * others. */
#include "base/log.h"
#include "pipeline/prune_request.h"
#include "pipeline/prune_scores.h"
#include "pipeline/rewrite.h"
#include "pipeline/run.h"
#include <stdlib.h>
#include <string.h>

static bool is_indispensable(const struct tokenizer *tokenizer, int32_t id)
{
    return tokenizer_text_length(tokenizer, id) <= 1 || id == tokenizer_bos(tokenizer) ||
           id == tokenizer_eos(tokenizer);
}

/* The `count` tokens to keep, ascending. */
static enum status choose_tokens(uint32_t *out, uint32_t count, struct stage_run *stage,
                                 const struct model *model, const struct scores *scores, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    const struct score *score = scores_get(scores, "vocab");
    if (!score || !model->tokenizer)
        return settings_fail(s, "vocab", trace, "needs a score stage above and a model with a tokenizer");
    if (count > score->count)
        return settings_fail(s, "vocab", trace, "asks for %u tokens, the model has %u", count, score->count);
    float *order = ARENA_ARRAY(&stage->arena, float, score->count);
    uint32_t needed = 0;
    for (uint32_t i = 0; i < score->count; i++) {
        bool must = is_indispensable(model->tokenizer, (int32_t)i);
        order[i] = must ? 3e38f : score->values[i];
        needed += must;
    }
    if (needed > count)
        return settings_fail(s, "vocab", trace,
                             "asks for %u tokens, but %u are single bytes or special and must stay", count,
                             needed);
    scores_rank(order, score->count, count, out);
    return OK;
}

static void tell_notes(struct stage_run *stage, const struct pass_context *context)
{
    json_t *notes = json_array();
    for (uint32_t i = 0; i < context->notes.count; i++) {
        struct str note = context->notes.items[i];
        log_note("note: %s: " STR_FORMAT, stage->entry->name, STR_ARGUMENT(note));
        json_array_append_new(notes, json_stringn(note.data, note.length));
    }
    json_object_set_new(stage->record, "notes", notes);
}

static enum status make_request(struct prune_request *request, struct stage_run *stage,
                                const struct model *model, const struct scores *scores, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    *request = prune_request_read(&stage->arena, s);
    uint32_t vocab = (uint32_t)settings_integer(s, "vocab");
    if (vocab == 0)
        return OK;
    uint32_t *tokens = ARENA_ARRAY(&stage->arena, uint32_t, vocab);
    TRY(choose_tokens(tokens, vocab, stage, model, scores, trace));
    request->keep_tokens = tokens;
    request->keep_token_count = vocab;
    return OK;
}

enum status stage_prune(struct stage_run *stage, struct trace *trace)
{
    struct model model = {0};
    struct scores all, scores;
    struct prune_request request;
    struct pass_context context = {.scores = &scores};
    struct graph *after = NULL;
    enum status status = stage_model(&model, stage, stage->entry->model, trace);
    if (status == OK)
        status = rewrite_scores(&all, stage, trace);
    if (status == OK)
        status = prune_scores_choose(&scores, stage, model.graph, &all, trace);
    if (status == OK)
        status = make_request(&request, stage, &model, &scores, trace);
    if (status == OK)
        status = prune_to_shape(&after, model.graph, &request, &context, trace);
    tell_notes(stage, &context);
    if (status == OK)
        status = rewrite_finish(stage, &model, after, &context, trace);
    graph_destroy(after);
    pass_context_release(&context);
    model_release(&model);
    return status;
}
