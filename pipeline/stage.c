/* What all stages share: opening what they take, handing over what they made. */
#include "pipeline/stage.h"
#include "pipeline/run.h"
#include "store/object.h"
#include <stdlib.h>
#include <string.h>

enum status stage_model(struct model *out, struct stage_run *stage, uint32_t from, struct trace *trace)
{
    const struct store_result *result = &stage->run->results[from];
    const struct store_output *model = store_result_find(result, "model");
    const struct store_output *names = store_result_find(result, "names");
    const struct store_output *tokenizer = store_result_find(result, "tokenizer");
    if (!model)
        BUG("stage %u makes no model", from);
    TRY(stage_lock_use(&stage->lock, model->id, trace));
    return model_open(out, stage->run->store, model->id, names ? &names->id : NULL,
                      tokenizer ? &tokenizer->id : NULL, trace);
}

static enum partition_part part_named(const char *name)
{
    return strcmp(name, "train") == 0 ? PART_TRAIN : strcmp(name, "heldout") == 0 ? PART_HELDOUT : PART_ALL;
}

enum status stage_corpus(struct corpus *out, struct partition *part, struct stage_run *stage, uint32_t number,
                         struct tokenizer *tokenizer, struct trace *trace)
{
    const struct input_entry *input = &stage->run->pipeline.inputs.items[number];
    const struct settings *s = &input->settings;
    if (!tokenizer)
        return settings_fail(&stage->entry->settings, "data", trace,
                             "the model has no tokenizer: give its input one (tokenizer: FILE or bytes)");
    struct corpus_options options = {.field = settings_text(s, "field")};
    if (settings_has(s, "delimiter"))
        options.delimiter = settings_text(s, "delimiter");
    if (!corpus_join_from_name(str_from(settings_text(s, "join")), &options.join))
        BUG("join %s is in settings.def but not in corpus.c", settings_text(s, "join"));
    TRY_WITH(trace, corpus_open(out, settings_text(s, "text"), tokenizer, &options, stage->run->store, trace),
             "while reading input \"%s\"", input->name);
    *part = (struct partition){.part = part_named(settings_text(s, "part")),
                               .fraction = settings_real(s, "fraction"),
                               .seed = (uint64_t)settings_integer(s, "split_seed")};
    return OK;
}

static const char *path_or_null(const struct settings *s, const char *key)
{
    return settings_has(s, key) ? settings_text(s, key) : NULL;
}

enum status stage_task(struct task *out, const struct stage_run *stage, uint32_t input, struct trace *trace)
{
    const struct settings *of = &stage->run->pipeline.inputs.items[input].settings,
                          *s = &stage->entry->settings;
    struct task_options options = {.labels = path_or_null(of, "labels"),
                                   .examples = path_or_null(of, "examples"),
                                   .shots = (uint32_t)settings_integer(s, "shots"),
                                   .limit = (uint64_t)settings_integer(s, "items")};
    enum task_kind kind;
    if (!task_kind_from_name(str_from(settings_text(of, "task")), &kind))
        BUG("task %s is in settings.def but not in task.def", settings_text(of, "task"));
    return task_open(out, kind, settings_text(of, "items"), &options, trace);
}

enum status stage_on_text(struct stage_run *stage, stage_work *work, struct trace *trace)
{
    struct model model = {0};
    struct corpus corpus = {0};
    struct partition part;
    enum status status = stage_model(&model, stage, stage->entry->model, trace);
    if (status == OK)
        status = stage_corpus(&corpus, &part, stage, stage->entry->data, model.tokenizer, trace);
    if (status == OK)
        status = work(stage, &model, &corpus, part, trace);
    corpus_release(&corpus);
    model_release(&model);
    return status;
}

enum status stage_executor(struct executor **out, struct stage_run *stage, struct trace *trace)
{
    struct run *run = stage->run;
    if (!run->executor) {
        TRY(device_select(&run->executor, &run->options.device, trace));
        run->executor->profile = run->options.profile;
    }
    *out = run->executor;
    return OK;
}

void stage_add_output(struct stage_run *stage, const char *name, struct hash128 id, const char *sha256)
{
    store_result_add(&stage->result, &stage->arena, name, id, sha256);
}

enum status stage_add_model(struct stage_run *stage, const struct graph *graph, struct str tokenizer,
                            struct trace *trace)
{
    struct model_ids ids;
    TRY(model_store(&ids, stage->run->store, graph, tokenizer, NULL, 0, trace));
    stage_add_model_ids(stage, &ids);
    return OK;
}

void stage_add_model_ids(struct stage_run *stage, const struct model_ids *ids)
{
    stage_add_output(stage, "model", ids->model, ids->sha256);
    stage_add_output(stage, "names", ids->names, NULL);
    if (ids->has_tokenizer)
        stage_add_output(stage, "tokenizer", ids->tokenizer, NULL);
}

enum status stage_add_text(struct stage_run *stage, const char *name, const char *kind, struct str text,
                           struct trace *trace)
{
    struct hash128 id;
    char sha256[SHA256_HEX];
    TRY(store_put(&id, sha256, stage->run->store, kind, text.data, text.length, trace));
    stage_add_output(stage, name, id, sha256);
    return OK;
}

enum status stage_add_json(struct stage_run *stage, const char *name, const char *kind, json_t *json,
                           struct trace *trace)
{
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    if (!text)
        BUG("%s cannot be written as JSON", name);
    enum status status = stage_add_text(stage, name, kind, str_from(text), trace);
    free(text);
    json_decref(json);
    return status;
}

const volatile sig_atomic_t *stage_stop(const struct stage_run *stage)
{
    return stage->run->options.stop;
}

struct store *stage_store(const struct stage_run *stage)
{
    return stage->run->store;
}
