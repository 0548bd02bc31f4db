/* apply: passes by name, as `opt --passes` takes them. */
#include "pipeline/rewrite.h"
#include "pipeline/run.h"

enum status stage_apply(struct stage_run *stage, struct trace *trace)
{
    const char *text = settings_text(&stage->entry->settings, "passes");
    struct model model = {0};
    struct scores scores;
    struct pass_context context = {.scores = &scores};
    const struct pass_call *calls = NULL;
    uint32_t count = 0;
    struct graph *after = NULL;
    enum status status = pass_parse(&calls, &count, &stage->arena, str_from(text), trace);
    if (status == OK)
        status = stage_model(&model, stage, stage->entry->model, trace);
    if (status == OK)
        status = rewrite_scores(&scores, stage, trace);
    if (status == OK)
        status = pass_run_all(&after, model.graph, calls, count, &context, trace);
    if (status == OK)
        status = rewrite_finish(stage, &model, after, &context, trace);
    graph_destroy(after);
    pass_context_release(&context);
    model_release(&model);
    if (status != OK)
        trace_add(trace, "while applying \"%s\"", text);
    return status;
}
