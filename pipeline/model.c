/* Storing and opening models. The names object lists, in the order of the canonical graph's weights and
 * nodes, one name a line; so the canonical text and the names can be put together again without a key between
 * them. Behind them is the metadata. */
#include "pipeline/model.h"
#include "ir/build.h"
#include "ir/text.h"
#include "store/external.h"
#include "store/object.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status write_tensor(void *payload, const void *bytes, size_t length, struct trace *trace)
{
    return tensor_writer_add(payload, bytes, length, trace);
}

static const char *file_of(const struct tensor_view *view, const struct model_file *files, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (view->mapping && files[i].mapping == view->mapping)
            return files[i].path;
    return NULL;
}

static enum status store_tensor(struct tensor *tensor, const struct store *store,
                                const struct model_file *files, uint32_t file_count, struct trace *trace)
{
    const struct tensor_view *view = &tensor->view;
    if (!view->base)
        BUG("weight \"" STR_FORMAT "\" has no bytes", STR_ARGUMENT(tensor->name));
    const char *path = file_of(view, files, file_count), *dtype = dtype_name(view->dtype);
    size_t offset = view->mapping ? (size_t)(view->base - view->mapping->data) : 0;
    offset += (size_t)view->offset * dtype_size(view->dtype);
    if (path && tensor_view_is_dense(view) && offset % dtype_size(view->dtype) == 0) {
        enum status status =
            store_put_external(&tensor->id, store, path, offset, dtype, view->rank, view->dims, trace);
        tensor_view_drop(view, 0, tensor_view_count(view));
        tensor->has_id = status == OK;
        return status;
    }
    struct tensor_writer writer = {0};
    enum status status = tensor_writer_open(&writer, store, dtype, view->rank, view->dims, trace);
    if (status == OK)
        status = tensor_view_stream(view, (struct tensor_sink){write_tensor, &writer}, trace);
    if (status == OK)
        status = tensor_writer_commit(&tensor->id, &writer, trace);
    tensor_writer_release(&writer);
    tensor->has_id = status == OK;
    return status;
}

/* A line of text: control characters would break the list. */
static void add_line(struct builder *out, struct str text)
{
    for (size_t i = 0; i < text.length; i++)
        builder_add(out, (unsigned char)text.data[i] < ' ' ? "?" : &text.data[i], 1);
    builder_add_text(out, "\n");
}

/* Behind the names, ["KEY","TEXT"] a line. */
static void add_metadata(struct builder *out, const struct metadata *metadata)
{
    for (uint32_t i = 0; i < metadata->entries.count; i++) {
        const struct metadata_entry *entry = &metadata->entries.items[i];
        json_t *pair =
            json_pack("[s%,s%]", entry->key.data, entry->key.length, entry->text.data, entry->text.length);
        char *line = pair ? json_dumps(pair, JSON_COMPACT) : NULL;
        if (!line)
            BUG("metadata that is no UTF-8");
        builder_printf(out, "%s\n", line);
        free(line);
        json_decref(pair);
    }
}

static enum status store_names(struct hash128 *out, const struct store *store, const struct graph *graph,
                               struct trace *trace)
{
    struct builder text = {0};
    for (uint32_t i = 0; i < graph->tensors.count; i++)
        add_line(&text, graph->tensors.items[i].name);
    for (uint32_t i = 0; i < graph->nodes.count; i++)
        add_line(&text, graph->nodes.items[i].origin);
    add_metadata(&text, &graph->metadata);
    enum status status = store_put(out, NULL, store, "names", builder_text(&text), text.length, trace);
    builder_release(&text);
    return status;
}

static enum status store_graph(struct model_ids *out, const struct store *store, struct graph *graph,
                               const struct model_file *files, uint32_t file_count, struct trace *trace)
{
    for (uint32_t i = 0; i < graph->tensors.count; i++) {
        struct tensor *tensor = &graph->tensors.items[i];
        if (!tensor->has_id || !store_has_object(store, tensor->id))
            TRY_WITH(trace, store_tensor(tensor, store, files, file_count, trace),
                     "while storing weight \"" STR_FORMAT "\"", STR_ARGUMENT(tensor->name));
    }
    struct builder text = {0};
    graph_print(graph, TEXT_CANONICAL, &text);
    enum status status = store_put(&out->model, out->sha256, store, "model", text.data, text.length, trace);
    builder_release(&text);
    return status == OK ? store_names(&out->names, store, graph, trace) : status;
}

enum status model_store(struct model_ids *out, const struct store *store, const struct graph *graph,
                        struct str tokenizer, const struct model_file *files, uint32_t file_count,
                        struct trace *trace)
{
    *out = (struct model_ids){0};
    struct graph *canonical = graph_canonicalise(graph);
    enum status status = store_graph(out, store, canonical, files, file_count, trace);
    graph_destroy(canonical);
    out->has_tokenizer = tokenizer.length > 0;
    if (status == OK && out->has_tokenizer)
        status =
            store_put(&out->tokenizer, NULL, store, "tokenizer", tokenizer.data, tokenizer.length, trace);
    return status;
}

/* ---- opening ---- */

static enum status open_tensors(struct model *model, const struct store *store, struct trace *trace)
{
    struct graph *graph = model->graph;
    model->tensors = calloc(graph->tensors.count + 1, sizeof *model->tensors);
    if (!model->tensors)
        BUG("out of memory");
    for (uint32_t i = 0; i < graph->tensors.count; i++) {
        struct tensor *tensor = &graph->tensors.items[i];
        struct tensor_object *object = &model->tensors[model->tensor_count];
        if (!tensor->has_id)
            return status_fail(trace, CORRUPT, "weight %u has no id", i);
        TRY_WITH(trace, tensor_object_open(object, store, tensor->id, OBJECT_VERIFY, trace),
                 "while opening weight %u", i);
        model->tensor_count++;
        struct tensor_view view;
        enum dtype dtype;
        if (!dtype_from_name(str_from(object->form.dtype), &dtype))
            return status_fail(trace, CORRUPT, "weight %u has element type \"%s\"", i, object->form.dtype);
        TRY(tensor_view_dense(&view, &object->mapping, object->data, object->form.bytes, dtype,
                              object->form.rank, object->form.dims, trace));
        bool same = view.rank == tensor->view.rank && view.dtype == tensor->view.dtype;
        for (uint32_t a = 0; same && a < view.rank; a++)
            same = view.dims[a] == tensor->view.dims[a];
        if (!same)
            return status_fail(trace, CORRUPT, "weight %u has another shape than the model says", i);
        tensor->view = view;
    }
    return OK;
}

static void take_metadata(struct graph *graph, struct str line)
{
    json_t *pair = json_loadb(line.data, line.length, 0, NULL);
    const char *key, *value;
    size_t key_length, value_length;
    if (pair && json_unpack(pair, "[s%,s%]", &key, &key_length, &value, &value_length) == 0)
        metadata_add(&graph->metadata, &graph->arena, (struct str){key, key_length},
                     (struct str){value, value_length});
    json_decref(pair);
}

static void take_names(struct graph *graph, struct str text)
{
    size_t at = 0;
    for (uint32_t i = 0; at < text.length; i++) {
        const char *end = memchr(text.data + at, '\n', text.length - at);
        size_t length = end ? (size_t)(end - text.data) - at : text.length - at;
        if (i >= graph->tensors.count + graph->nodes.count) {
            take_metadata(graph, (struct str){text.data + at, length});
            at += length + 1;
            continue;
        }
        struct str name = {arena_copy_string(&graph->arena, text.data + at, length), length};
        if (i < graph->tensors.count)
            graph->tensors.items[i].name = name;
        else
            graph->nodes.items[i - graph->tensors.count].origin = name;
        at += length + 1;
    }
}

static enum status parse_graph(struct graph **out, const struct store *store, struct hash128 id,
                               struct trace *trace)
{
    struct store_object object = {0};
    char hex[HASH128_HEX], name[HASH128_HEX + 8];
    hash128_to_hex(id, hex);
    snprintf(name, sizeof name, "xxh3:%s", hex);
    enum status status = store_open_object(&object, store, id, "model", OBJECT_VERIFY, trace);
    if (status == OK)
        status = graph_parse(out, store_object_text(&object), name, trace);
    store_object_release(&object);
    return status;
}

static enum status open_graph(struct model *out, const struct store *store, struct hash128 id,
                              struct trace *trace)
{
    TRY(parse_graph(&out->graph, store, id, trace));
    return open_tensors(out, store, trace);
}

static enum status open_names(struct graph *graph, const struct store *store, struct hash128 id,
                              struct trace *trace)
{
    struct store_object object = {0};
    TRY(store_open_object(&object, store, id, "names", OBJECT_VERIFY, trace));
    take_names(graph, store_object_text(&object));
    store_object_release(&object);
    return OK;
}

enum status model_take_metadata(struct graph *graph, const struct store *store, struct hash128 id,
                                struct hash128 names, struct trace *trace)
{
    struct graph *source;
    TRY(parse_graph(&source, store, id, trace));
    enum status status = open_names(source, store, names, trace);
    if (status == OK)
        graph_copy_metadata(graph, source);
    graph_destroy(source);
    return status;
}

static enum status open_tokenizer(struct model *out, const struct store *store, struct hash128 id,
                                  struct trace *trace)
{
    struct store_object object = {0};
    TRY(store_open_object(&object, store, id, "tokenizer", OBJECT_VERIFY, trace));
    struct str text = store_object_text(&object);
    enum status status = str_is(text, "bytes") ? tokenizer_open(&out->tokenizer, "bytes", trace)
                                               : tokenizer_open_text(&out->tokenizer, text, trace);
    out->is_bytes = str_is(text, "bytes");
    store_object_release(&object);
    return status;
}

enum status model_open(struct model *out, const struct store *store, struct hash128 id,
                       const struct hash128 *names, const struct hash128 *tokenizer, struct trace *trace)
{
    *out = (struct model){.id = id};
    char hex[HASH128_HEX];
    hash128_to_hex(id, hex);
    enum status status = open_graph(out, store, id, trace);
    if (status == OK && names) {
        out->names = *names;
        status = open_names(out->graph, store, *names, trace);
    }
    if (status == OK && tokenizer) {
        out->tokenizer_id = *tokenizer;
        out->has_tokenizer = true;
        status = open_tokenizer(out, store, *tokenizer, trace);
    }
    if (status != OK) {
        trace_add(trace, "while opening model xxh3:%s", hex);
        model_release(out);
    }
    return status;
}

void model_release(struct model *model)
{
    for (uint32_t i = 0; i < model->tensor_count; i++)
        tensor_object_release(&model->tensors[i]);
    free(model->tensors);
    graph_destroy(model->graph);
    tokenizer_close(model->tokenizer);
    *model = (struct model){0};
}

struct str model_tokenizer_text(const struct model *model)
{
    if (!model->tokenizer)
        return (struct str){"", 0};
    return model->is_bytes ? STR("bytes") : tokenizer_json(model->tokenizer);
}
