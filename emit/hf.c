/* A Hugging Face folder: made complete under a temporary name beside its place, then put there in one step.
 * An existing folder is only replaced when it holds nothing but files that such a folder has. */
#include "emit/emit.h"
#include "emit/hf_config.h"
#include "emit/hf_weights.h"
#include "emit/output.h"
#include "ir/text.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const file_names[] = {"config.json", "model.safetensors", "model.safetensors.index.json",
                                         "tokenizer.json", "tokenizer_config.json"};
static const uint64_t HF_SHARD_SIZE = UINT64_C(5000000000); /* as transformers has it */

struct hf_writer {
    const struct emit_hf_options *options;
    struct graph *graph; /* canonical */
    struct parts parts;
    struct hf_form form;
    struct arena arena;
    const char *place, *temporary; /* directories; temporary is NULL until it exists */
};

/* A graph that is only checked may have frequencies without content. */
static enum status prepare(struct hf_writer *w, const struct graph *graph, enum emit_missing missing,
                           struct trace *trace)
{
    enum parts_missing parts = missing == EMIT_FILLS_MISSING ? PARTS_FILLED : PARTS_WHOLE;
    w->graph = graph_canonicalise(graph);
    TRY_WITH(trace, parts_find(&w->parts, w->graph, parts, trace), "as a model of Hugging Face's");
    TRY_WITH(trace,
             hf_form_choose(&w->form, &w->parts, (struct hf_table){hf_architectures, hf_architecture_count},
                            trace),
             "as a model of Hugging Face's");
    return OK;
}

static void release(struct hf_writer *w)
{
    parts_release(&w->parts);
    arena_release(&w->arena);
    graph_destroy(w->graph);
}

/* ---- the files ---- */

static enum status write_text(struct hf_writer *w, struct emitted *list, const char *name, struct str text,
                              struct trace *trace)
{
    struct output_file file = {0};
    enum status status = output_open(&file, arena_printf(&w->arena, "%s/%s", w->temporary, name), trace);
    if (status == OK)
        status = output_add(&file, text.data, text.length, trace);
    if (status == OK)
        status = output_commit(&file, list, name, trace);
    output_release(&file);
    return status;
}

static enum status write_shard(struct hf_writer *w, struct emitted *list, const char *name,
                               const struct safetensors_entry *entries, uint32_t count, struct trace *trace)
{
    struct output_file file = {0};
    enum status status = output_open(&file, arena_printf(&w->arena, "%s/%s", w->temporary, name), trace);
    if (status == OK)
        status = safetensors_write(&file, entries, count, trace);
    if (status == OK)
        status = output_commit(&file, list, name, trace);
    output_release(&file);
    return status;
}

/* How many entries from `first` on fit one file, at least one. */
static uint32_t shard_length(const struct hf_writer *w, const struct hf_weights *weights, uint32_t first)
{
    uint64_t limit = w->options->shard_size > 0 ? w->options->shard_size : HF_SHARD_SIZE, bytes = 0;
    uint32_t end = first;
    while (end < weights->entries.count &&
           (end == first || bytes + safetensors_bytes(&weights->entries.items[end]) <= limit))
        bytes += safetensors_bytes(&weights->entries.items[end++]);
    return end - first;
}

static enum status write_shards(struct hf_writer *w, struct emitted *list, const struct hf_weights *weights,
                                uint32_t shards, struct trace *trace)
{
    struct builder index = {0};
    uint64_t total = 0;
    enum status status = OK;
    for (uint32_t i = 0; i < weights->entries.count; i++)
        total += safetensors_bytes(&weights->entries.items[i]);
    builder_printf(&index, "{\n  \"metadata\": {\"total_size\": %" PRIu64 "},\n  \"weight_map\": {", total);
    for (uint32_t first = 0, shard = 1; status == OK && first < weights->entries.count; shard++) {
        const char *name =
            arena_printf(&w->arena, "model-%05" PRIu32 "-of-%05" PRIu32 ".safetensors", shard, shards);
        uint32_t count = shard_length(w, weights, first);
        status = write_shard(w, list, name, weights->entries.items + first, count, trace);
        for (uint32_t i = first; i < first + count; i++)
            builder_printf(&index, "%s\n    \"%s\": \"%s\"", i > 0 ? "," : "", weights->entries.items[i].name,
                           name);
        first += count;
    }
    builder_add_text(&index, "\n  }\n}\n");
    if (status == OK)
        status = write_text(w, list, "model.safetensors.index.json", (struct str){index.data, index.length},
                            trace);
    builder_release(&index);
    return status;
}

static enum status write_weights(struct hf_writer *w, struct emitted *list, struct trace *trace)
{
    struct hf_weights weights = {.parts = &w->parts, .form = &w->form};
    uint32_t shards = 0;
    hf_weights_add(&weights);
    safetensors_sort(weights.entries.items, weights.entries.count);
    for (uint32_t first = 0; first < weights.entries.count; shards++)
        first += shard_length(w, &weights, first);
    enum status status = shards > 1 ? write_shards(w, list, &weights, shards, trace)
                                    : write_shard(w, list, "model.safetensors", weights.entries.items,
                                                  weights.entries.count, trace);
    hf_weights_release(&weights);
    return status;
}

static enum status write_tokenizer(struct hf_writer *w, struct emitted *list, struct trace *trace)
{
    struct builder text = {0};
    enum status status = hf_tokenizer_config_print(&text, w->options, trace);
    if (status == OK)
        status = write_text(w, list, "tokenizer.json", w->options->tokenizer_json, trace);
    if (status == OK)
        status = write_text(w, list, "tokenizer_config.json", (struct str){text.data, text.length}, trace);
    builder_release(&text);
    return status;
}

static enum status write_files(struct hf_writer *w, struct emitted *list, struct trace *trace)
{
    struct builder config = {0};
    hf_config_print(&config, &w->parts, &w->form, w->options);
    enum status status = write_text(w, list, "config.json", (struct str){config.data, config.length}, trace);
    builder_release(&config);
    if (status == OK)
        status = write_weights(w, list, trace);
    if (status == OK && w->options->tokenizer_json.length > 0)
        status = write_tokenizer(w, list, trace);
    return status;
}

/* ---- the folder ---- */

static bool is_ours(const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    for (size_t i = 0; i < sizeof file_names / sizeof *file_names; i++)
        if (strcmp(name, file_names[i]) == 0)
            return true;
    int end = 0;
    sscanf(name, "model-%*5[0-9]-of-%*5[0-9].safetensors%n", &end);
    return end > 0 && name[end] == '\0';
}

/* Nothing at the place, or a folder without files of others. */
static enum status check_place(const char *place, struct trace *trace)
{
    if (!file_exists(place))
        return OK;
    DIR *directory = opendir(place);
    if (!directory)
        return status_fail(trace, INVALID, "%s exists and is not a folder that can be listed", place);
    enum status status = OK;
    for (struct dirent *entry; status == OK && (entry = readdir(directory));)
        if (!is_ours(entry->d_name))
            status =
                status_fail(trace, INVALID,
                            "%s holds %s, which is no part of an exported model; choose another folder or "
                            "empty this one",
                            place, entry->d_name);
    closedir(directory);
    return status;
}

static enum status write_folder(struct hf_writer *w, struct emitted *list, const struct graph *graph,
                                struct trace *trace)
{
    TRY(prepare(w, graph, w->options->missing, trace));
    parts_note_filled(&w->parts);
    if (w->parts.frequencies && !w->parts.frequencies->view.base)
        return status_fail(trace, INVALID, "Hugging Face export: the rotary frequencies have no content");
    TRY(check_place(w->place, trace));
    const char *temporary = arena_printf(&w->arena, "%s.tmp-%ld", w->place, (long)getpid());
    TRY(directory_create(temporary, trace));
    w->temporary = temporary;
    TRY(write_files(w, list, trace));
    TRY(directory_replace(w->place, temporary, trace));
    w->temporary = NULL;
    return OK;
}

/* `path` without slashes at its end. */
static const char *trimmed(struct arena *arena, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return arena_copy_string(arena, path, length);
}

enum status emit_hf(struct emitted *out, const char *directory, const struct graph *graph,
                    const struct emit_hf_options *options, struct trace *trace)
{
    struct hf_writer w = {.options = options};
    struct emitted list = {0};
    w.place = trimmed(&w.arena, directory);
    enum status status = write_folder(&w, &list, graph, trace);
    for (uint32_t i = 0; status == OK && i < list.files.count; i++) {
        struct emitted_file *file = VEC_PUSH(&out->arena, &out->files);
        *file = list.files.items[i];
        file->name = arena_copy_string(&out->arena, file->name, strlen(file->name));
    }
    if (status == OK)
        emitted_note_metadata(out, &graph->metadata, NULL);
    struct trace second = {0};
    if (w.temporary && directory_remove(w.temporary, &second) != OK)
        trace_add(trace, "and then: %s", second.text);
    emitted_release(&list);
    release(&w);
    return status;
}

enum status emit_hf_check(const struct graph *graph, enum emit_missing missing, struct trace *trace)
{
    struct hf_writer w = {0};
    enum status status = prepare(&w, graph, missing, trace);
    release(&w);
    return status;
}
