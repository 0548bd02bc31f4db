/* Models and what rewriting did to them. */
#include "passes/classes.h"
#include "passes/receipt.h"
#include "pipeline/model.h"
#include "report/page.h"
#include "report/sections.h"
#include <string.h>

/* What is shown of a model; shape on the arena. */
struct facts {
    struct shape shape;
    struct flops flops;
    int64_t non_embedding;
};

/* Parameters without the tensors that carry the vocabulary, shared ones once. */
static int64_t count_non_embedding(const struct classes *classes, const struct graph *graph)
{
    const struct prunable *vocabulary = classes_get(classes, "vocab");
    int64_t count = classes->shape.parameters;
    for (uint32_t i = 0; vocabulary && i < vocabulary->carrier_count; i++) {
        uint32_t tensor = vocabulary->carriers[i].tensor;
        bool is_counted = false;
        for (uint32_t k = 0; k < i; k++)
            is_counted = is_counted || vocabulary->carriers[k].tensor == tensor;
        if (!is_counted)
            count -= tensor_view_count(&graph->tensors.items[tensor].view);
    }
    return count;
}

static enum status find_facts(struct facts *out, const struct run *run, uint32_t stage, struct arena *arena,
                              struct trace *trace)
{
    const struct store_output *output = store_result_find(&run->results[stage], "model");
    struct model model = {0};
    struct classes classes;
    TRY(model_open(&model, run->store, output->id, NULL, NULL, trace));
    enum status status = classes_find(&classes, arena, model.graph, trace);
    if (status == OK)
        *out = (struct facts){classes.shape, flops_count(model.graph),
                              count_non_embedding(&classes, model.graph)};
    model_release(&model);
    if (status != OK)
        trace_add(trace, "while describing the model of stage \"%s\"",
                  run->pipeline.stages.items[stage].name);
    return status;
}

enum status section_size_of(struct section_size *out, const struct run *run, uint32_t stage,
                            struct trace *trace)
{
    struct arena arena = {0};
    struct facts facts;
    enum status status = find_facts(&facts, run, stage, &arena, trace);
    if (status == OK)
        *out = (struct section_size){facts.shape.parameters, facts.non_embedding};
    arena_release(&arena);
    return status;
}

/* One number where all layers agree, else all of them. */
static const char *sizes(struct arena *arena, const int64_t *values, uint32_t layers)
{
    int64_t size;
    struct builder text = {0};
    if (shape_is_uniform(values, layers, &size))
        return arena_printf(arena, "%lld", (long long)size);
    for (uint32_t i = 0; i < layers; i++)
        builder_printf(&text, "%s%lld", i ? " " : "", (long long)values[i]);
    const char *out = arena_printf(arena, "%s", builder_text(&text));
    builder_release(&text);
    return out;
}

static struct str integer(struct arena *arena, int64_t value)
{
    char digits[PAGE_NUMBER_SIZE];
    return str_from(arena_printf(arena, "%s", page_number(digits, value)));
}

enum { MODEL_CELLS = 13 };

static void add_model(struct builder *page, const char *name, const struct facts *f, struct arena *arena)
{
    const struct shape *s = &f->shape;
    struct str cells[MODEL_CELLS] = {str_from(name),
                                     integer(arena, s->layers),
                                     integer(arena, s->hidden),
                                     str_from(sizes(arena, s->heads, s->layers)),
                                     str_from(sizes(arena, s->kv_heads, s->layers)),
                                     str_from(sizes(arena, s->head_dim, s->layers)),
                                     str_from(sizes(arena, s->ffn, s->layers)),
                                     integer(arena, s->vocab),
                                     s->tied ? STR("yes") : STR("no"),
                                     integer(arena, s->parameters),
                                     integer(arena, f->non_embedding),
                                     integer(arena, f->flops.token),
                                     integer(arena, f->flops.key)};
    page_row(page, cells, MODEL_CELLS);
}

enum status section_models(struct builder *page, const struct run *run, struct arena *arena,
                           struct trace *trace)
{
    static const char *const headings[MODEL_CELLS] = {
        "stage",      "layers", "hidden",     "heads",         "KV heads",    "head size", "MLP",
        "vocabulary", "tied",   "parameters", "non-embedding", "FLOPs/token", "FLOPs/key"};
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        struct facts facts;
        if (!run->done[i] || !run->pipeline.stages.items[i].kind->makes_model)
            continue;
        if (!is_begun) {
            page_section(page, "models", "Models");
            page_table_begin(page, headings, MODEL_CELLS);
            is_begun = true;
        }
        TRY(find_facts(&facts, run, i, arena, trace));
        add_model(page, run->pipeline.stages.items[i].name, &facts, arena);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}

/* ---- receipts ---- */

static struct str change(struct arena *arena, const json_t *receipt, const char *before, const char *after)
{
    char a[PAGE_NUMBER_SIZE], b[PAGE_NUMBER_SIZE];
    int64_t from = json_integer_value(json_object_get(receipt, before)),
            to = json_integer_value(json_object_get(receipt, after));
    double percent = from > 0 ? 100.0 * (double)(to - from) / (double)from : 0;
    return str_from(
        arena_printf(arena, "%s → %s (%+.1f %%)", page_number(a, from), page_number(b, to), percent));
}

static void add_size(struct builder *text, const char *name, const char *before, const char *after)
{
    if (strcmp(before, after) != 0)
        builder_printf(text, "%s%s %s → %s", text->length ? ", " : "", name, before, after);
}

/* The sizes that are others than before. */
static struct str changed_sizes(struct arena *arena, const struct shape *a, const struct shape *b)
{
    struct builder text = {0};
    const struct {
        const char *name;
        int64_t before, after;
    } whole[] = {{"layers", a->layers, b->layers},
                 {"hidden", a->hidden, b->hidden},
                 {"vocabulary", a->vocab, b->vocab}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        add_size(&text, whole[i].name, arena_printf(arena, "%lld", (long long)whole[i].before),
                 arena_printf(arena, "%lld", (long long)whole[i].after));
    add_size(&text, "heads", sizes(arena, a->heads, a->layers), sizes(arena, b->heads, b->layers));
    add_size(&text, "KV heads", sizes(arena, a->kv_heads, a->layers), sizes(arena, b->kv_heads, b->layers));
    add_size(&text, "head size", sizes(arena, a->head_dim, a->layers), sizes(arena, b->head_dim, b->layers));
    add_size(&text, "MLP", sizes(arena, a->ffn, a->layers), sizes(arena, b->ffn, b->layers));
    struct str out = str_from(arena_printf(arena, "%s", builder_text(&text)));
    builder_release(&text);
    return out;
}

/* What was amended besides. */
static struct str amendments(struct arena *arena, const json_t *receipt)
{
    static const char *const keys[][2] = {{"folded_heads", "heads folded"},
                                          {"compensated_projections", "projections compensated"},
                                          {"rescaled_norms", "norms rescaled"}};
    const char *text = "";
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(receipt, keys[i][0]);
        if (value)
            text = arena_printf(arena, "%s%s%lld %s", text, *text ? ", " : "",
                                (long long)json_integer_value(value), keys[i][1]);
    }
    return str_from(text);
}

enum { REWRITE_CELLS = 8 };

static enum status add_rewrite(struct builder *page, const struct run *run, uint32_t stage,
                               const json_t *receipt, struct arena *arena, struct trace *trace)
{
    const struct stage_entry *e = &run->pipeline.stages.items[stage];
    struct facts before, after;
    TRY(find_facts(&before, run, e->model, arena, trace));
    TRY(find_facts(&after, run, stage, arena, trace));
    double drift = json_number_value(json_object_get(receipt, "max_logit_change"));
    struct str cells[REWRITE_CELLS] = {
        str_from(e->name),
        str_from(json_string_value(json_object_get(receipt, "contract"))),
        changed_sizes(arena, &before.shape, &after.shape),
        change(arena, receipt, "parameters_before", "parameters_after"),
        change(arena, receipt, "flops_per_token_before", "flops_per_token_after"),
        str_from(arena_printf(arena, "%.4g", drift)),
        str_from(arena_printf(arena, "%.4g", json_number_value(json_object_get(receipt, "kl")))),
        amendments(arena, receipt)};
    page_row(page, cells, REWRITE_CELLS);
    return OK;
}

enum status section_rewrites(struct builder *page, const struct run *run, struct arena *arena,
                             struct trace *trace)
{
    static const char *const headings[REWRITE_CELLS] = {
        "stage", "contract", "sizes", "parameters", "FLOPs/token", "logit change", "KL, nats", "amended"};
    bool is_begun = false;
    for (uint32_t i = 0; i < run->pipeline.stages.count; i++) {
        json_t *receipt;
        TRY(section_json(&receipt, run, i, "receipt", trace));
        if (!receipt)
            continue;
        if (!is_begun) {
            page_section(page, "rewrites", "What was cut");
            page_table_begin(page, headings, REWRITE_CELLS);
            is_begun = true;
        }
        enum status status = add_rewrite(page, run, i, receipt, arena, trace);
        json_decref(receipt);
        TRY(status);
    }
    if (is_begun)
        page_table_end(page);
    return OK;
}
