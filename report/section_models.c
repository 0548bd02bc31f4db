/* Models and what rewriting did to them. */
#include "passes/classes.h"
#include "pipeline/model.h"
#include "report/page.h"
#include "report/sections.h"

/* One number where all layers agree, else all of them. */
static struct str sizes(struct arena *arena, const int64_t *values, uint32_t layers)
{
    int64_t size;
    struct builder text = {0};
    if (shape_is_uniform(values, layers, &size))
        return str_from(arena_printf(arena, "%lld", (long long)size));
    for (uint32_t i = 0; i < layers; i++)
        builder_printf(&text, "%s%lld", i ? " " : "", (long long)values[i]);
    struct str out = str_from(arena_printf(arena, "%s", builder_text(&text)));
    builder_release(&text);
    return out;
}

static struct str integer(struct arena *arena, int64_t value)
{
    char digits[PAGE_NUMBER_SIZE];
    return str_from(arena_printf(arena, "%s", page_number(digits, value)));
}

enum { MODEL_CELLS = 10 };

static enum status add_model(struct builder *page, const struct run *run, uint32_t stage, struct arena *arena,
                             struct trace *trace)
{
    const struct store_output *output = store_result_find(&run->results[stage], "model");
    struct model model = {0};
    struct classes classes;
    TRY(model_open(&model, run->store, output->id, NULL, NULL, trace));
    enum status status = classes_find(&classes, arena, model.graph, trace);
    if (status == OK) {
        const struct shape *s = &classes.shape;
        struct str cells[MODEL_CELLS] = {str_from(run->pipeline.stages.items[stage].name),
                                         integer(arena, s->layers),
                                         integer(arena, s->hidden),
                                         sizes(arena, s->heads, s->layers),
                                         sizes(arena, s->kv_heads, s->layers),
                                         sizes(arena, s->head_dim, s->layers),
                                         sizes(arena, s->ffn, s->layers),
                                         integer(arena, s->vocab),
                                         s->tied ? STR("yes") : STR("no"),
                                         integer(arena, s->parameters)};
        page_row(page, cells, MODEL_CELLS);
    }
    model_release(&model);
    return status;
}

enum status section_models(struct builder *page, const struct run *run, struct arena *arena,
                           struct trace *trace)
{
    static const char *const headings[MODEL_CELLS] = {"stage",    "layers",    "hidden", "heads",
                                                      "KV heads", "head size", "MLP",    "vocabulary",
                                                      "tied",     "parameters"};
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        if (!run->done[i] || !run->pipeline.stages.items[i].kind->makes_model)
            continue;
        if (!is_begun) {
            page_section(page, "models", "Models");
            page_table_begin(page, headings, MODEL_CELLS);
            is_begun = true;
        }
        TRY_WITH(trace, add_model(page, run, i, arena, trace), "while describing the model of stage \"%s\"",
                 run->pipeline.stages.items[i].name);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}

static struct str change(struct arena *arena, const json_t *receipt, const char *before, const char *after)
{
    char a[PAGE_NUMBER_SIZE], b[PAGE_NUMBER_SIZE];
    return str_from(arena_printf(arena, "%s → %s",
                                 page_number(a, json_integer_value(json_object_get(receipt, before))),
                                 page_number(b, json_integer_value(json_object_get(receipt, after)))));
}

enum status section_rewrites(struct builder *page, const struct run *run, struct arena *arena,
                             struct trace *trace)
{
    static const char *const headings[] = {
        "stage", "contract", "parameters", "FLOPs a token", "largest change of a logit", "KL, nats"};
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        json_t *receipt;
        TRY(section_json(&receipt, run, i, "receipt", trace));
        if (!receipt)
            continue;
        if (!is_begun) {
            page_section(page, "rewrites", "What was cut");
            page_table_begin(page, headings, 6);
            is_begun = true;
        }
        struct str cells[] = {
            str_from(run->pipeline.stages.items[i].name),
            str_from(json_string_value(json_object_get(receipt, "contract"))),
            change(arena, receipt, "parameters_before", "parameters_after"),
            change(arena, receipt, "flops_per_token_before", "flops_per_token_after"),
            str_from(
                arena_printf(arena, "%.4g", json_number_value(json_object_get(receipt, "max_logit_change")))),
            str_from(arena_printf(arena, "%.4g", json_number_value(json_object_get(receipt, "kl"))))};
        page_row(page, cells, 6);
        json_decref(receipt);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}
