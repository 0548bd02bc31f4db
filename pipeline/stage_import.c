/* import: a model file into the IR. Weights stay in the user's file where its bytes are as the store would
 * keep them; transposed ones are streamed into the store. */
#include "base/log.h"
#include "pipeline/run.h"
#include "pipeline/source.h"
#include "pipeline/stage.h"
#include <stdlib.h>
#include <string.h>

/* The one that the pipeline names, else the one that came with the model. */
static enum status check_tokenizer(const struct settings *s, const struct imported_model *model,
                                   struct str *text, struct arena *arena, struct trace *trace)
{
    const char *source = settings_text(s, "tokenizer");
    const struct graph *graph = model->graph;
    *text = (struct str){"", 0};
    if (!*source && model->tokenizer.length == 0)
        return OK;
    struct tokenizer *tokenizer = NULL;
    if (*source)
        TRY(tokenizer_open(&tokenizer, source, trace));
    else
        TRY_WITH(trace, tokenizer_open_text(&tokenizer, model->tokenizer, trace),
                 "while reading the model's tokenizer.json (the setting tokenizer names another)");
    const struct value *logits = graph_value(graph, graph_find_output(graph, "logits"));
    int64_t vocabulary = dims_size(&graph->dims, logits->axes[logits->rank - 1]);
    enum status status =
        tokenizer_check_model(tokenizer, (uint64_t)vocabulary, settings_text(s, "model"), trace);
    if (strcmp(source, "bytes") == 0)
        *text = STR("bytes");
    else
        *text = (struct str){
            arena_copy_string(arena, tokenizer_json(tokenizer).data, tokenizer_json(tokenizer).length),
            tokenizer_json(tokenizer).length};
    tokenizer_close(tokenizer);
    return status;
}

static enum status store_imported(struct stage_run *stage, const struct imported_model *model,
                                  const struct settings *s, struct trace *trace)
{
    struct str tokenizer;
    TRY(check_tokenizer(s, model, &tokenizer, &stage->arena, trace));
    struct model_file *files = ARENA_ARRAY(&stage->arena, struct model_file, model->files.count);
    for (uint32_t i = 0; i < model->files.count; i++)
        files[i] =
            (struct model_file){model->files.items[i], imported_model_file_path(model, i, &stage->arena)};
    struct model_ids ids;
    TRY(model_store(&ids, stage_store(stage), model->graph, tokenizer, files, model->files.count, trace));
    stage_add_model_ids(stage, &ids);
    return OK;
}

enum status stage_import(struct stage_run *stage, struct trace *trace)
{
    const struct input_entry *input = &stage->run->pipeline.inputs.items[stage->entry->source];
    struct imported_model model = {0};
    enum status status = model_import_input(&model, input, IMPORT_TO_RUN, trace);
    json_t *notes = json_array();
    for (uint32_t i = 0; status == OK && i < model.notes.count; i++) {
        log_detail("import: " STR_FORMAT, STR_ARGUMENT(model.notes.items[i]));
        json_array_append_new(notes, json_stringn(model.notes.items[i].data, model.notes.items[i].length));
    }
    json_object_set_new(stage->record, "notes", notes);
    if (status == OK)
        status = store_imported(stage, &model, &input->settings, trace);
    imported_model_release(&model);
    return status;
}
