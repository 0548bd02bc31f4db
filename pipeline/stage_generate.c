/* generate: texts that a model writes, for a look at what it says: for each prompt one of the likeliest
 * tokens, then some that are drawn, each from a stream of the seed. What `espalier generate` prints is the
 * first of those. */
#include "data/utf8.h"
#include "measure/generate.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"
#include <string.h>

/* What all texts of a stage have in common. */
struct writer {
    struct stage_run *stage;
    struct tokenizer *tokenizer;
    struct generator *generator;
    json_t *samples; /* the texts so far */
};

/* What is no character, or NUL, which few readers of JSON take, stands as U+FFFD. */
static json_t *valid_text(struct str text)
{
    struct builder valid = {0};
    while (text.length > 0) {
        const char *nul = memchr(text.data, '\0', text.length);
        size_t length = nul ? (size_t)(nul - text.data) : text.length;
        utf8_add_valid(&valid, (struct str){text.data, length});
        if (nul)
            builder_add_text(&valid, "\xef\xbf\xbd");
        length += nul != NULL;
        text = (struct str){text.data + length, text.length - length};
    }
    json_t *json = json_stringn(builder_text(&valid), valid.length);
    builder_release(&valid);
    return json;
}

static json_t *sample_json(const struct token_list *tokens, size_t prompt_tokens, struct str prompt,
                           struct str text, const struct generate_options *options)
{
    json_t *ids = json_array();
    for (size_t i = prompt_tokens; i < tokens->count; i++)
        json_array_append_new(ids, json_integer(tokens->items[i]));
    json_t *sample =
        json_pack("{s:o,s:o,s:o}", "prompt", valid_text(prompt), "text", valid_text(text), "tokens", ids);
    if (options->temperature > 0)
        json_object_set_new(sample, "stream", json_integer(options->stream));
    return sample;
}

static enum status write_text(struct writer *w, struct str prompt, const struct generate_options *options,
                              struct trace *trace)
{
    struct token_list tokens = {0};
    struct builder text = {0};
    enum status status = generate_encode(&tokens, w->tokenizer, prompt, trace);
    size_t prompt_tokens = tokens.count;
    if (status == OK)
        status = generator_continue(w->generator, &tokens, options, trace);
    if (status == OK)
        status = generate_decode(&text, w->tokenizer, &tokens, prompt_tokens, trace);
    if (status == OK)
        json_array_append_new(w->samples,
                              sample_json(&tokens, prompt_tokens, prompt,
                                          (struct str){builder_text(&text), text.length}, options));
    builder_release(&text);
    token_list_release(&tokens);
    return status;
}

static enum status continue_prompt(struct writer *w, struct str prompt, struct trace *trace)
{
    const struct settings *s = &w->stage->entry->settings;
    struct generate_options options = {.tokens = (uint32_t)settings_integer(s, "tokens"),
                                       .end = tokenizer_eos(w->tokenizer),
                                       .vocabulary = tokenizer_vocabulary(w->tokenizer),
                                       .top = (uint32_t)settings_integer(s, "top"),
                                       .seed = (uint64_t)settings_integer(s, "seed"),
                                       .stop = stage_stop(w->stage)};
    if (settings_integer(s, "greedy"))
        TRY(write_text(w, prompt, &options, trace));
    options.temperature = (float)settings_real(s, "temperature");
    for (; options.stream < settings_integer(s, "samples"); options.stream++)
        TRY(write_text(w, prompt, &options, trace));
    return OK;
}

static enum status write_all(struct writer *w, struct trace *trace)
{
    const struct settings *s = &w->stage->entry->settings;
    struct str rest = {0}, prompt;
    if (!settings_has(s, "prompt"))
        return continue_prompt(w, STR(""), trace);
    while (settings_next_text(s, "prompt", &rest, &prompt))
        TRY_WITH(trace, continue_prompt(w, prompt, trace), "while continuing \"" STR_FORMAT "\"",
                 STR_ARGUMENT(prompt));
    return OK;
}

static enum status generate(struct stage_run *stage, const struct model *model, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct executor *executor;
    if (!model->tokenizer)
        return settings_fail(s, "prompt", trace,
                             "the model has no tokenizer: give its input one (tokenizer: FILE or bytes)");
    TRY(stage_executor(&executor, stage, trace));
    struct writer w = {.stage = stage,
                       .tokenizer = model->tokenizer,
                       .generator = generator_create(executor, model->graph),
                       .samples = json_array()};
    enum status status = write_all(&w, trace);
    if (status == OK)
        status = stage_add_json(stage, "samples", "samples",
                                json_pack("{s:O,s:f,s:I}", "samples", w.samples, "temperature",
                                          settings_real(s, "temperature"), "seed",
                                          (json_int_t)settings_integer(s, "seed")),
                                trace);
    json_decref(w.samples);
    generator_destroy(w.generator);
    return status;
}

enum status stage_generate(struct stage_run *stage, struct trace *trace)
{
    struct model model = {0};
    enum status status = stage_model(&model, stage, stage->entry->model, trace);
    if (status == OK)
        status = generate(stage, &model, trace);
    model_release(&model);
    return status;
}
