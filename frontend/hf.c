/* A Hugging Face folder: config.json says what the model is, model.safetensors or the shards that
 * model.safetensors.index.json lists hold the weights, tokenizer.json comes with it. */
#include "frontend/data_file.h"
#include "frontend/hf_config.h"
#include "frontend/json_object.h"
#include "frontend/metadata.h"
#include "frontend/safetensors.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT = 16 << 20, INDEX_LIMIT = 100 << 20, SHARDS_LIMIT = 10000 };

/* Tensors that old checkpoints hold beside the weights, and that no implementation reads. */
static const char *const unread[] = {".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                     ".attention.bias", ".attention.masked_bias"};

struct folder {
    struct imported_model *model;
    const struct import_options *options;
    const char *path; /* of config.json */
    struct arena arena;
    struct weight_set weights;
    struct map shards;   /* file name -> number */
    VEC(uint32_t) first; /* the first weight of each shard */
    struct trace *trace;
};

static struct str text_of(const struct mapping *mapping)
{
    return (struct str){mapping->data ? (const char *)mapping->data : "", mapping->size};
}

static enum status map_text(struct str *out, struct folder *f, const char *name, size_t limit)
{
    const struct mapping *mapping;
    TRY(data_file_map(&mapping, f->model, f->path, str_from(name), f->options, f->trace));
    *out = text_of(mapping);
    if (out->length > limit)
        return status_fail(f->trace, INVALID, "%s has %zu bytes, at most %zu are read", name, out->length,
                           limit);
    return OK;
}

static enum status read_shard(struct folder *f, const char *name)
{
    const struct mapping *mapping;
    TRY(data_file_map(&mapping, f->model, f->path, str_from(name), f->options, f->trace));
    TRY_WITH(f->trace, safetensors_read(&f->weights, mapping, f->trace), "while reading %s", name);
    return OK;
}

/* ---- shards ---- */

static enum status read_new_shard(struct folder *f, const char *name)
{
    if (!map_add_text(&f->shards, &f->arena, str_from(name), f->first.count))
        return OK;
    if (f->first.count == SHARDS_LIMIT)
        return status_fail(f->trace, INVALID, "more than %d shards", SHARDS_LIMIT);
    *VEC_PUSH(&f->arena, &f->first) = f->weights.items.count;
    return read_shard(f, name);
}

/* The index and the shards must agree on which tensor is where. */
static enum status check_listed(struct folder *f, const json_t *list)
{
    uint32_t shard = 0, listed;
    for (uint32_t i = 0; i < f->weights.items.count; i++) {
        while (shard + 1 < f->first.count && i >= f->first.items[shard + 1])
            shard++;
        struct str name = f->weights.items.items[i].name;
        const char *file = json_string_value(json_object_get(list, name.data));
        if (!file || !map_find_text(&f->shards, str_from(file), &listed) || listed != shard)
            return status_fail(f->trace, INVALID,
                               "tensor '" STR_FORMAT "' is in " STR_FORMAT ", the index says %s",
                               STR_ARGUMENT(name), STR_ARGUMENT(f->shards.entries[shard].text),
                               file ? file : "nothing of it");
    }
    return OK;
}

static enum status read_listed(struct folder *f, const json_t *index)
{
    const json_t *list = json_object_get(index, "weight_map");
    const char *name;
    json_t *file;
    if (!json_is_object(list))
        return status_fail(f->trace, INVALID, "expected an object \"weight_map\"");
    json_object_foreach((json_t *)(uintptr_t)list, name, file)
    {
        if (!json_is_string(file))
            return status_fail(f->trace, INVALID, "weight_map: expected the file of '%.200s'", name);
        TRY(read_new_shard(f, json_string_value(file)));
    }
    json_object_foreach((json_t *)(uintptr_t)list, name, file)
    {
        if (!weight_set_find(&f->weights, str_from(name)))
            return status_fail(f->trace, INVALID,
                               "tensor '%.200s' is not in %.200s, where the index says it is", name,
                               json_string_value(file));
    }
    return check_listed(f, list);
}

static enum status read_index(struct folder *f)
{
    static const char name[] = "model.safetensors.index.json";
    struct str text;
    json_t *index;
    TRY(map_text(&text, f, name, INDEX_LIMIT));
    TRY_WITH(f->trace, json_object_read(&index, text, f->trace), "while reading %s", name);
    enum status status = read_listed(f, index);
    if (status != OK)
        trace_add(f->trace, "while reading %s", name);
    json_decref(index);
    return status;
}

/* ---- the folder ---- */

static bool is_there(const struct folder *f, const char *name)
{
    char *path = path_beside(f->path, name);
    bool exists = file_exists(path);
    free(path);
    return exists;
}

static enum status read_weights(struct folder *f)
{
    if (is_there(f, "model.safetensors"))
        return read_shard(f, "model.safetensors");
    if (is_there(f, "model.safetensors.index.json"))
        return read_index(f);
    return status_fail(
        f->trace, NOT_FOUND,
        "expected model.safetensors or model.safetensors.index.json beside %s; weights in other "
        "forms (pytorch_model.bin) are not read",
        f->path);
}

static void skip_unread(struct folder *f)
{
    for (uint32_t i = 0; i < f->weights.items.count; i++) {
        struct stored_weight *weight = &f->weights.items.items[i];
        for (size_t k = 0; k < sizeof unread / sizeof *unread; k++) {
            size_t length = strlen(unread[k]);
            weight->is_taken |=
                weight->name.length > length &&
                memcmp(weight->name.data + weight->name.length - length, unread[k], length) == 0;
        }
    }
}

/* A folder says who made it under which licence in files of their own, and an export has none of them. */
static void read_metadata(struct folder *f)
{
    static const char *const files[] = {"README.md",
                                        "LICENSE",
                                        "LICENSE.txt",
                                        "LICENSE.md",
                                        "NOTICE",
                                        "USE_POLICY.md",
                                        "generation_config.json",
                                        "chat_template.jinja"};
    struct metadata_reader reader = {.model = f->model};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (is_there(f, files[i]))
            metadata_drop(&reader, "%s", files[i]);
    metadata_finish(&reader);
}

static enum status read_folder(struct folder *f)
{
    const struct mapping *mapping;
    struct decoder_config config;
    TRY(data_file_map_main(&mapping, f->model, f->path, f->trace));
    if (mapping->size > CONFIG_LIMIT)
        return status_fail(f->trace, INVALID, "config.json has %zu bytes, at most %d are read", mapping->size,
                           CONFIG_LIMIT);
    TRY_WITH(f->trace, hf_config_read(&config, f->model, text_of(mapping), f->trace),
             "while reading config.json");
    TRY(read_weights(f));
    skip_unread(f);
    struct decoder_source source = {&config, &f->weights};
    TRY(decoder_build(f->model, &source, f->trace));
    if (is_there(f, "tokenizer.json"))
        TRY(map_text(&f->model->tokenizer, f, "tokenizer.json", INDEX_LIMIT));
    read_metadata(f);
    return OK;
}

enum status frontend_import_hf(struct imported_model *out, const char *directory,
                               const struct import_options *options, struct trace *trace)
{
    static const struct import_options usual = {IMPORT_TRUSTED, IMPORT_TO_RUN};
    char *path = path_join(directory, "config.json");
    struct folder f = {.model = out, .options = options ? options : &usual, .path = path, .trace = trace};
    f.weights.arena = &f.arena;
    *out = (struct imported_model){.use = f.options->use};
    enum status status = read_folder(&f);
    arena_release(&f.arena);
    if (status != OK) {
        trace_add(trace, "while importing %s", directory);
        imported_model_release(out);
    }
    free(path);
    return status;
}
