/* score: importance of heads, neurons, channels, layers and tokens, from forward passes on calibration text.
 */
#include "measure/score.h"
#include "pipeline/run.h"
#include "pipeline/scores_object.h"
#include "pipeline/stage.h"

static enum status score(struct stage_run *stage, const struct model *model, const struct corpus *corpus,
                         struct partition part, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct executor *executor;
    TRY(stage_executor(&executor, stage, trace));
    struct score_options options = {.samples = (uint32_t)settings_integer(s, "samples"),
                                    .length = (uint32_t)settings_integer(s, "length"),
                                    .rows = (uint32_t)settings_integer(s, "micro"),
                                    .seed = (uint64_t)settings_integer(s, "seed"),
                                    .partition = part,
                                    .label = stage->entry->name,
                                    .stop = stage_stop(stage)};
    struct scores scores = {0};
    TRY(measure_score(&scores, &stage->arena, executor, model->graph, corpus, &options, trace));
    struct builder text = {0};
    scores_print(&scores, &text);
    enum status status =
        stage_add_text(stage, "scores", "scores", (struct str){text.data, text.length}, trace);
    builder_release(&text);
    return status;
}

enum status stage_score(struct stage_run *stage, struct trace *trace)
{
    return stage_on_text(stage, score, trace);
}
