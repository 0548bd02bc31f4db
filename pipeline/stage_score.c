/* score: importance of heads, neurons, channels, layers and tokens, from forward passes on calibration text.
 */
#include "measure/score.h"
#include "pipeline/run.h"
#include "pipeline/scores_object.h"
#include "pipeline/stage.h"

/* The number of a word among `count` names that settings.def lists too. */
static uint32_t word_number(struct str word, const char *(*name)(uint32_t), uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (str_is(word, name(i)))
            return i;
    BUG("\"" STR_FORMAT "\" is in settings.def only", STR_ARGUMENT(word));
}

static const char *name_of_statistic(uint32_t number)
{
    return statistic_name((enum statistic)number);
}

static const char *name_of_depth(uint32_t number)
{
    return score_depth_names[number];
}

static const char *name_of_method(uint32_t number)
{
    return score_method_names[number];
}

static void add_activations(struct score_options *options, const struct settings *s,
                            struct score_variant *variants)
{
    struct str batches = {0}, batch, sequence;
    while (settings_next_word(s, "aggregate.batch", &batches, &batch)) {
        struct str sequences = {0};
        while (settings_next_word(s, "aggregate.sequence", &sequences, &sequence))
            variants[options->variant_count++] = (struct score_variant){
                SCORE_ACTIVATION, (enum statistic)word_number(batch, name_of_statistic, STATISTIC_COUNT),
                (enum statistic)word_number(sequence, name_of_statistic, STATISTIC_COUNT)};
    }
}

static uint32_t count_words(const struct settings *s, const char *key)
{
    struct str rest = {0}, word;
    uint32_t count = 0;
    while (settings_next_word(s, key, &rest, &word))
        count++;
    return count;
}

static void read_variants(struct score_options *options, struct arena *arena, const struct settings *s)
{
    uint32_t most = count_words(s, "metric") *
                    (count_words(s, "aggregate.batch") * count_words(s, "aggregate.sequence") + 1);
    struct score_variant *variants = ARENA_ARRAY(arena, struct score_variant, most);
    struct str rest = {0}, word;
    while (settings_next_word(s, "metric", &rest, &word)) {
        enum score_method method = (enum score_method)word_number(word, name_of_method, SCORE_METHOD_COUNT);
        if (method == SCORE_ACTIVATION)
            add_activations(options, s, variants);
        else
            variants[options->variant_count++] = (struct score_variant){.method = method};
    }
    options->variants = variants;
}

static void read_depths(struct score_options *options, struct arena *arena, const struct settings *s)
{
    enum score_depth *depths = ARENA_ARRAY(arena, enum score_depth, count_words(s, "depth"));
    struct str rest = {0}, word;
    while (settings_next_word(s, "depth", &rest, &word))
        depths[options->depth_count++] = (enum score_depth)word_number(word, name_of_depth, DEPTH_COUNT);
    options->depths = depths;
    const struct setting *lengths = settings_get(s, "blocks");
    uint32_t *blocks = ARENA_ARRAY(arena, uint32_t, lengths->list_count + 1);
    for (uint32_t i = 0; i < lengths->list_count; i++)
        blocks[i] = (uint32_t)lengths->list[i];
    options->blocks = blocks;
    options->block_count = lengths->list_count;
}

static void read_sites(struct score_options *options, const struct settings *s)
{
    struct str rest = {0}, word;
    while (settings_next_word(s, "sites", &rest, &word))
        options->sites |= str_is(word, "attention") ? SITE_ATTENTION
                          : str_is(word, "mlp")     ? SITE_MLP
                                                    : SITE_FINAL;
    options->neurons = str_is(settings_get(s, "neurons")->text, "before") ? NEURONS_BEFORE : NEURONS_AFTER;
    options->heads = str_is(settings_get(s, "heads")->text, "norm-last") ? HEADS_NORM_LAST : HEADS_NORM_FIRST;
}

static enum status score_with(struct stage_run *stage, const struct model *model, const struct task *task,
                              const struct corpus *corpus, struct partition part, struct trace *trace)
{
    const struct settings *s = &stage->entry->settings;
    struct executor *executor;
    TRY(stage_executor(&executor, stage, trace));
    struct score_options options = {.samples = (uint32_t)settings_integer(s, "samples"),
                                    .length = (uint32_t)settings_integer(s, "length"),
                                    .rows = (uint32_t)settings_integer(s, "micro"),
                                    .seed = (uint64_t)settings_integer(s, "seed"),
                                    .partition = part,
                                    .energy = settings_integer(s, "energy") != 0,
                                    .removals = settings_integer(s, "one_by_one") ? REMOVALS_ONE_BY_ONE
                                                                                  : REMOVALS_TOGETHER,
                                    .task = task,
                                    .tokenizer = model->tokenizer,
                                    .task_length = (uint32_t)settings_integer(s, "task_length"),
                                    .label = stage->entry->name,
                                    .stop = stage_stop(stage)};
    read_variants(&options, &stage->arena, s);
    read_depths(&options, &stage->arena, s);
    read_sites(&options, s);
    struct scores scores = {0};
    TRY(measure_score(&scores, &stage->arena, executor, model->graph, corpus, &options, trace));
    struct builder text = {0};
    scores_print(&scores, &text);
    enum status status =
        stage_add_text(stage, "scores", "scores", (struct str){text.data, text.length}, trace);
    builder_release(&text);
    return status;
}

static enum status score(struct stage_run *stage, const struct model *model, const struct corpus *corpus,
                         struct partition part, struct trace *trace)
{
    struct task task = {0};
    if (stage->entry->task == STAGE_NONE)
        return score_with(stage, model, NULL, corpus, part, trace);
    enum status status = stage_task(&task, stage, stage->entry->task, trace);
    if (status == OK)
        status = score_with(stage, model, &task, corpus, part, trace);
    task_release(&task);
    return status;
}

enum status stage_score(struct stage_run *stage, struct trace *trace)
{
    return stage_on_text(stage, score, trace);
}
