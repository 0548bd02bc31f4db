/* init: a model with fresh weights, of a declared architecture or of the shape of another stage's model. */
#include "ir/build.h"
#include "pipeline/run.h"
#include "pipeline/stage.h"
#include "train/arch.h"
#include "train/init.h"
#include <string.h>
#include <unistd.h>

static enum status open_tokenizer(struct str *text, struct tokenizer **out, struct stage_run *stage,
                                  struct trace *trace)
{
    const char *source = settings_text(&stage->entry->settings, "tokenizer");
    TRY(tokenizer_open(out, source, trace));
    *text = strcmp(source, "bytes") == 0 ? STR("bytes") : tokenizer_json(*out);
    return OK;
}

static enum status build_arch(struct graph **out, const struct settings *s, const struct tokenizer *tokenizer,
                              struct trace *trace)
{
    struct arch arch = {.layers = settings_integer(s, "arch.layers"),
                        .hidden = settings_integer(s, "arch.hidden"),
                        .heads = settings_integer(s, "arch.heads"),
                        .kv_heads = settings_integer(s, "arch.kv_heads"),
                        .head_dim = settings_integer(s, "arch.head_dim"),
                        .ffn = settings_integer(s, "arch.ffn"),
                        .vocab = settings_integer(s, "arch.vocab"),
                        .tied = settings_integer(s, "arch.tied") != 0,
                        .theta = (float)settings_real(s, "arch.theta"),
                        .epsilon = (float)settings_real(s, "arch.epsilon")};
    arch.kv_heads = arch.kv_heads ? arch.kv_heads : arch.heads;
    arch.head_dim = arch.head_dim || !arch.heads ? arch.head_dim : arch.hidden / arch.heads;
    arch.vocab = arch.vocab ? arch.vocab : (int64_t)tokenizer_vocabulary(tokenizer);
    TRY(tokenizer_check_model(tokenizer, (uint64_t)arch.vocab, "arch.vocab", trace));
    return arch_build(out, &arch, trace);
}

enum status stage_init_shape(struct graph **out, const struct settings *settings, struct trace *trace)
{
    struct tokenizer *tokenizer = NULL;
    TRY(tokenizer_open(&tokenizer, settings_text(settings, "tokenizer"), trace));
    enum status status = build_arch(out, settings, tokenizer, trace);
    tokenizer_close(tokenizer);
    return status;
}

/* A number with some zeros too many is told before memory is asked for, where the system says how much there
 * is. */
static enum status check_size(const struct stage_run *stage, const struct graph *graph, struct trace *trace)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    double bytes = 0, memory = (double)pages * (double)page;
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        bytes += 4 * (double)tensor_view_count(&graph->tensors.items[i].view);
    if (pages <= 0 || page <= 0 || bytes <= memory)
        return OK;
    return settings_fail(&stage->entry->settings, stage->entry->like != STAGE_NONE ? "like" : "arch.hidden",
                         trace, "the weights would take %.4g GB, this machine has %.4g GB of memory",
                         1e-9 * bytes, 1e-9 * memory);
}

static enum status fill_and_store(struct stage_run *stage, struct graph *graph, struct str tokenizer,
                                  struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct init_options options = {.seed = (uint64_t)settings_integer(s, "seed"),
                                   .deviation = (float)settings_real(s, "std")};
    struct init_plan plan;
    TRY(check_size(stage, graph, trace));
    TRY(init_plan_make(&plan, &stage->arena, graph, &options, trace));
    init_fill(&plan, graph);
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        graph->tensors.items[i].has_id = graph->tensors.items[i].has_id && plan.tensors[i].role == INIT_KEPT;
    return stage_add_model(stage, graph, tokenizer, trace);
}

static enum status init_like(struct stage_run *stage, struct trace *trace)
{
    struct model model;
    TRY(stage_model(&model, stage, stage->entry->like, trace));
    struct graph *graph = graph_clone(model.graph);
    graph->metadata = (struct metadata){0}; /* of the other's weights */
    enum status status = fill_and_store(stage, graph, model_tokenizer_text(&model), trace);
    graph_destroy(graph);
    model_release(&model);
    return status;
}

enum status stage_init(struct stage_run *stage, struct trace *trace)
{
    if (stage->entry->like != STAGE_NONE)
        return init_like(stage, trace);
    struct tokenizer *tokenizer = NULL;
    struct graph *graph = NULL;
    struct str text;
    enum status status = open_tokenizer(&text, &tokenizer, stage, trace);
    if (status == OK)
        status = build_arch(&graph, &stage->entry->settings, tokenizer, trace);
    if (status == OK)
        status = fill_and_store(stage, graph, text, trace);
    graph_destroy(graph);
    tokenizer_close(tokenizer);
    return status;
}
