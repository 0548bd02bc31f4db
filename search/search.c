/* Reading a search file. */
#include "search/search.h"
#include "pipeline/source.h"
#include <string.h>

static const char *const description_keys[] = {"base.layers",   "base.hidden", "base.heads", "base.kv_heads",
                                               "base.head_dim", "base.ffn",    "base.vocab", "base.positions",
                                               "base.tied",     "base.gated",  "base.norm",  "base.norms",
                                               "base.qk_norm",  "base.bias"};

const struct input_entry *search_base_input(const struct search *search)
{
    const char *name = settings_text(&search->settings, "base.model");
    for (uint32_t i = 0; i < search->pipeline.inputs.count; i++)
        if (strcmp(search->pipeline.inputs.items[i].name, name) == 0)
            return &search->pipeline.inputs.items[i];
    return NULL;
}

static enum status bill_of_model(struct bill *out, struct search *search, struct trace *trace)
{
    const struct settings *s = &search->settings;
    const struct input_entry *input = search_base_input(search);
    if (!input)
        return settings_fail(s, "base.model", trace, "no input is called \"%s\"",
                             settings_text(s, "base.model"));
    if (!settings_has(&input->settings, "model"))
        return settings_fail(s, "base.model", trace, "input \"%s\" has no model", input->name);
    for (size_t i = 0; i < sizeof description_keys / sizeof *description_keys; i++)
        if (settings_get(s, description_keys[i])->is_given)
            return settings_fail(s, description_keys[i], trace, "base.model is given too, and has it");
    const char *path = settings_text(&input->settings, "model");
    struct imported_model model = {0};
    enum status status = model_import_input(&model, input, IMPORT_TO_LOOK, trace);
    if (status == OK)
        status = bill_of_graph(out, &search->arena, model.graph, trace);
    imported_model_release(&model);
    if (status != OK)
        trace_add(trace, "while reading the shape of %s", path);
    return status;
}

static enum status read_search(struct search *out, const char *path, struct trace *trace)
{
    static const char *const also[] = {"search", NULL};
    struct yaml_value start = {.line = 1, .column = 1};
    struct bill bill = {0};
    struct pipeline_options form = {.also = also};
    TRY(pipeline_read_with(&out->pipeline, path, &form, trace));
    const struct yaml_value *part = yaml_find(out->pipeline.root, "search");
    if (!part)
        return yaml_fail(trace, path, &start,
                         "expected the key \"search\", with base, grid and budget, found none");
    TRY(settings_read(&out->settings, &out->pipeline.arena, "search", part, NULL, out->pipeline.path, trace));
    const struct settings *s = &out->settings;
    if (settings_has(s, "base.model"))
        TRY(bill_of_model(&bill, out, trace));
    else if (out->pipeline.stages.count > 0)
        return settings_fail(s, "base.model", trace, "must be given where stages rank the candidates");
    else
        TRY(bill_of_description(&bill, &out->arena, s, trace));
    TRY(space_read(&out->space, &out->arena, &bill, s, trace));
    return space_enumerate(&out->candidates, &out->arena, &out->space, s, trace);
}

enum status search_read(struct search *out, const char *path, struct trace *trace)
{
    *out = (struct search){0};
    enum status status = read_search(out, path, trace);
    if (status != OK)
        search_release(out);
    return status;
}

void search_release(struct search *search)
{
    pipeline_release(&search->pipeline);
    arena_release(&search->arena);
    *search = (struct search){0};
}
