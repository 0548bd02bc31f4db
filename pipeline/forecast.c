/* Stage by stage, the graph of what it will make; NULL where that is not known. */
#include "pipeline/forecast.h"
#include "passes/classes.h"
#include "pipeline/prune_request.h"
#include "pipeline/prune_scores.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include <inttypes.h>
#include <string.h>

struct forecast {
    const struct run *run;
    struct arena arena;
    const struct graph **graphs;    /* by stage: of its result, where it makes a model */
    struct graph **made;            /* those of them that are destroyed at the end */
    struct imported_model *imports; /* by stage */
};

static bool is_kind(const struct stage_entry *entry, const char *kind)
{
    return strcmp(entry->kind->name, kind) == 0;
}

static void add_zeros(struct scores *out, struct arena *arena, const char *name, int64_t count)
{
    scores_add(out, arena, name, ARENA_ARRAY(arena, float, (size_t)count + 1), (uint32_t)count);
}

enum status forecast_scores(struct scores *out, struct arena *arena, const struct graph *model,
                            const int64_t *blocks, uint32_t block_count, struct trace *trace)
{
    struct classes classes;
    *out = (struct scores){0};
    TRY(classes_find(&classes, arena, model, trace));
    const struct shape *shape = &classes.shape;
    add_zeros(out, arena, "hidden", shape->hidden);
    add_zeros(out, arena, "layers", shape->layers);
    for (uint32_t l = 0; l < shape->layers; l++) {
        add_zeros(out, arena, arena_printf(arena, "layers.%" PRIu32 ".heads", l), shape->heads[l]);
        add_zeros(out, arena, arena_printf(arena, "layers.%" PRIu32 ".ffn", l), shape->ffn[l]);
    }
    for (uint32_t i = 0; i < block_count; i++)
        if (blocks[i] <= shape->layers)
            add_zeros(out, arena, arena_printf(arena, "blocks.%" PRId64, blocks[i]),
                      shape->layers - blocks[i] + 1);
    return OK;
}

static enum status find_scores(struct scores *out, struct forecast *f, uint32_t number,
                               const struct graph *model, struct trace *trace)
{
    const struct pipeline *p = &f->run->pipeline;
    const struct stage_entry *entry = &p->stages.items[number];
    if (entry->scores != STAGE_NONE) {
        const struct setting *blocks = settings_get(&p->stages.items[entry->scores].settings, "blocks");
        return forecast_scores(out, &f->arena, model, blocks->list, blocks->list_count, trace);
    }
    struct scores none = {0};
    struct stage_run stage = {.entry = entry, .number = number};
    enum status status = prune_scores_choose(out, &stage, model, &none, trace);
    struct scores copy = {0}; /* what is chosen lies on the stage's arena */
    for (uint32_t i = 0; status == OK && i < out->items.count; i++)
        scores_add(
            &copy, &f->arena,
            arena_copy_string(&f->arena, out->items.items[i].name.data, out->items.items[i].name.length),
            out->items.items[i].values, out->items.items[i].count);
    *out = copy;
    arena_release(&stage.arena);
    return status;
}

/* The first: which ones makes no difference. */
static enum status choose_tokens(struct prune_request *request, struct forecast *f,
                                 const struct stage_entry *entry, const struct graph *model,
                                 struct trace *trace)
{
    const struct settings *s = &entry->settings;
    struct classes classes;
    int64_t count = settings_integer(s, "vocab");
    if (count == 0)
        return OK;
    TRY(classes_find(&classes, &f->arena, model, trace));
    if (entry->scores == STAGE_NONE)
        return settings_fail(s, "vocab", trace, "needs a score stage above and a model with a tokenizer");
    if (count > classes.shape.vocab)
        return settings_fail(s, "vocab", trace, "asks for %" PRId64 " tokens, the model has %" PRId64, count,
                             classes.shape.vocab);
    uint32_t *tokens = ARENA_ARRAY(&f->arena, uint32_t, (size_t)count);
    for (uint32_t i = 0; i < count; i++)
        tokens[i] = i;
    request->keep_tokens = tokens;
    request->keep_token_count = (uint32_t)count;
    return OK;
}

static enum status prune(struct forecast *f, uint32_t number, struct trace *trace)
{
    const struct stage_entry *entry = &f->run->pipeline.stages.items[number];
    const struct graph *model = f->graphs[entry->model];
    struct scores scores;
    struct pass_context context = {.scores = &scores};
    if (!model)
        return OK;
    struct prune_request request = prune_request_read(&f->arena, &entry->settings);
    request.ranking = HEADS_IN_GROUP; /* alike, the best heads would all be of the first groups */
    request.amend = (struct amend_request){0};
    TRY(find_scores(&scores, f, number, model, trace));
    TRY(choose_tokens(&request, f, entry, model, trace));
    enum status status = prune_to_shape(&f->made[number], model, &request, &context, trace);
    pass_context_release(&context);
    f->graphs[number] = status == OK ? f->made[number] : NULL;
    return status;
}

static enum status look_at(struct forecast *f, uint32_t number, struct trace *trace)
{
    const struct pipeline *p = &f->run->pipeline;
    const struct stage_entry *entry = &p->stages.items[number];
    if (is_kind(entry, "import")) {
        TRY(model_import_input(&f->imports[number], &p->inputs.items[entry->source], IMPORT_TO_LOOK, trace));
        f->graphs[number] = f->imports[number].graph;
    } else if (is_kind(entry, "init") && entry->like == STAGE_NONE) {
        TRY(stage_init_shape(&f->made[number], &entry->settings, trace));
        f->graphs[number] = f->made[number];
    } else if (is_kind(entry, "init")) {
        f->graphs[number] = f->graphs[entry->like];
    } else if (is_kind(entry, "prune")) {
        return prune(f, number, trace);
    } else if (!is_kind(entry, "apply") && entry->kind->makes_model) {
        f->graphs[number] = f->graphs[entry->model]; /* trained */
    }
    return OK;
}

/* Stages whose shape a prune stage that is yet to run depends on, itself included. */
static bool *find_wanted(struct forecast *f, uint32_t last)
{
    const struct pipeline *p = &f->run->pipeline;
    bool *wanted = ARENA_ARRAY(&f->arena, bool, (size_t)last + 1);
    for (uint32_t i = last + 1; i-- > 0;) {
        const struct stage_entry *entry = &p->stages.items[i];
        wanted[i] = wanted[i] || (is_kind(entry, "prune") && !f->run->done[i]);
        uint32_t from = entry->like != STAGE_NONE ? entry->like : entry->model;
        if (wanted[i] && from != STAGE_NONE)
            wanted[from] = true;
    }
    return wanted;
}

enum status forecast_check(const struct run *run, uint32_t last, struct trace *trace)
{
    const struct pipeline *p = &run->pipeline;
    uint32_t count = last + 1;
    struct forecast f = {.run = run};
    f.graphs = ARENA_ARRAY(&f.arena, const struct graph *, count);
    f.made = ARENA_ARRAY(&f.arena, struct graph *, count);
    f.imports = ARENA_ARRAY(&f.arena, struct imported_model, count);
    const bool *wanted = find_wanted(&f, last);
    enum status status = OK;
    for (uint32_t i = 0; i < count && status == OK; i++) {
        status = wanted[i] ? look_at(&f, i, trace) : OK;
        if (status != OK)
            trace_add(trace, "while looking ahead at stage \"%s\" (%s:%u)", p->stages.items[i].name, p->path,
                      p->stages.items[i].line);
    }
    for (uint32_t i = 0; i < count; i++) {
        graph_destroy(f.made[i]);
        imported_model_release(&f.imports[i]);
    }
    arena_release(&f.arena);
    return status;
}
