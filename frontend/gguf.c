/* See frontend/gguf.h. */
#include "frontend/gguf.h"
#include "frontend/data_file.h"
#include "frontend/gguf_config.h"
#include "frontend/metadata.h"

struct reader {
    struct imported_model *model;
    struct gguf_file file;
    struct weight_set weights;
    struct arena arena;
    struct trace *trace;
};

/* Texts under general., but those that say how the file is made. */
static void read_metadata(struct reader *r)
{
    struct metadata_reader reader = {.model = r->model};
    for (uint32_t i = 0; i < r->file.entries.count; i++) {
        const struct gguf_entry *entry = &r->file.entries.items[i];
        enum metadata_general kind = metadata_general(entry->key);
        struct str text;
        if (kind == GENERAL_OTHER || kind == GENERAL_OF_FILE)
            continue;
        if (kind == GENERAL_OF_MODEL && gguf_text(entry, &text))
            metadata_read(&reader, entry->key, text);
        else
            metadata_drop(&reader, "%.*s", entry->key.length > 64 ? 64 : (int)entry->key.length,
                          entry->key.data);
    }
    metadata_finish(&reader);
}

static enum status build(struct reader *r, const struct mapping *file)
{
    struct decoder_config config;
    struct gguf_config_reader reader = {
        .file = &r->file, .weights = &r->weights, .arena = &r->arena, .trace = r->trace};
    TRY(gguf_read(&r->file, file, r->trace));
    TRY(gguf_config_find_architecture(&reader));
    TRY(gguf_add_weights(&r->weights, r->model, &r->file, file, r->trace));
    TRY(gguf_config_read(&config, &reader));
    struct decoder_source source = {&config, &r->weights};
    TRY(decoder_build(r->model, &source, r->trace));
    gguf_read_tokenizer(r->model, &r->file);
    read_metadata(r);
    return OK;
}

enum status gguf_build(struct imported_model *model, const struct mapping *file, struct trace *trace)
{
    struct reader r = {.model = model, .trace = trace};
    r.file.arena = r.weights.arena = &r.arena;
    enum status status = build(&r, file);
    arena_release(&r.arena);
    return status;
}

enum status frontend_import_gguf(struct imported_model *out, const char *path,
                                 const struct import_options *options, struct trace *trace)
{
    const struct mapping *file;
    *out = (struct imported_model){.use = options ? options->use : IMPORT_TO_RUN};
    enum status status = data_file_map_main(&file, out, path, trace);
    if (status == OK)
        status = gguf_build(out, file, trace);
    if (status != OK) {
        trace_add(trace, "while importing %s", path);
        imported_model_release(out);
    }
    return status;
}
