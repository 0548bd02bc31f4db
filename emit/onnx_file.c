/* See emit/onnx_file.h. All but the weights is made in memory first, so every length is known when the first
 * byte is written; then the weights are streamed between the pieces. */
#include "emit/onnx_file.h"
#include "emit/onnx_lower.h"
#include "emit/output.h"
#include "emit/wire_writer.h"
#include "ir/text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct emit_onnx_options usual = {.interface = EMIT_INTERFACE_SOURCE};

/* The wire form of one initializer: `before` and then, when it stands inline, its content. */
struct piece {
    struct builder before;
    bool is_inline;
};

struct onnx_writer {
    const struct graph *graph; /* canonical */
    struct onnx_graph onnx;
    const struct onnx_limits *limits;
    const struct emit_onnx_options *options;
    const char *data_name; /* "" : everything inline */
    struct piece *pieces;  /* one an initializer */
    uint64_t *offsets;     /* in the data file */
    struct output_file model, data;
};

static bool is_outside(const struct onnx_writer *w, const struct onnx_initializer *it)
{
    return *w->data_name && !it->bytes && it->length >= w->limits->small_bytes;
}

static void add_entry(struct builder *tensor, const char *key, const char *value)
{
    struct builder entry = {0};
    wire_text(&entry, ENTRY_KEY, key);
    wire_text(&entry, ENTRY_VALUE, value);
    wire_message(tensor, TENSOR_EXTERNAL_DATA, &entry);
    builder_release(&entry);
}

static void add_external(struct onnx_writer *w, struct builder *tensor, uint32_t index)
{
    struct arena *arena = &w->onnx.arena;
    add_entry(tensor, "location", w->data_name);
    add_entry(tensor, "offset", arena_printf(arena, "%" PRIu64, w->offsets[index]));
    add_entry(tensor, "length", arena_printf(arena, "%" PRIu64, w->onnx.initializers.items[index].length));
    wire_integer(tensor, TENSOR_DATA_LOCATION, ONNX_EXTERNAL);
}

static void make_piece(struct onnx_writer *w, uint32_t index)
{
    const struct onnx_initializer *it = &w->onnx.initializers.items[index];
    struct piece *piece = &w->pieces[index];
    struct builder tensor = {0};
    for (uint32_t a = 0; a < it->rank; a++)
        wire_integer(&tensor, TENSOR_DIMS, it->dims[a]);
    wire_integer(&tensor, TENSOR_DATA_TYPE, it->kind);
    wire_text(&tensor, TENSOR_NAME, it->name);
    piece->is_inline = !is_outside(w, it);
    if (piece->is_inline)
        wire_open(&tensor, TENSOR_RAW_DATA, it->length);
    else
        add_external(w, &tensor, index);
    wire_open(&piece->before, GRAPH_INITIALIZER, tensor.length + (piece->is_inline ? it->length : 0));
    builder_add(&piece->before, builder_text(&tensor), tensor.length);
    builder_release(&tensor);
}

static void make_pieces(struct onnx_writer *w, const char *path)
{
    uint32_t count = w->onnx.initializers.count;
    uint64_t weights = 0, offset = 0;
    for (uint32_t i = 0; i < count; i++)
        weights += w->onnx.initializers.items[i].length;
    w->data_name = "";
    if (weights > w->limits->inline_bytes)
        w->data_name = arena_printf(&w->onnx.arena, "%s.data", output_base_name(path));
    w->pieces = ARENA_ARRAY(&w->onnx.arena, struct piece, count);
    w->offsets = ARENA_ARRAY(&w->onnx.arena, uint64_t, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct onnx_initializer *it = &w->onnx.initializers.items[i];
        w->offsets[i] = offset;
        if (is_outside(w, it))
            offset =
                (offset + it->length + EMIT_DATA_ALIGNMENT - 1) / EMIT_DATA_ALIGNMENT * EMIT_DATA_ALIGNMENT;
        make_piece(w, i);
    }
}

static void add_axis(struct builder *shape, struct onnx_axis axis)
{
    struct builder dim = {0};
    if (axis.symbol)
        wire_text(&dim, DIM_PARAMETER, axis.symbol);
    else
        wire_integer(&dim, DIM_VALUE, axis.size);
    wire_message(shape, SHAPE_DIM, &dim);
    builder_release(&dim);
}

static void add_place(struct builder *graph, enum onnx_field field, const struct onnx_place *place)
{
    struct builder shape = {0}, tensor = {0}, type = {0}, value = {0};
    for (uint32_t i = 0; i < place->rank; i++)
        add_axis(&shape, place->axes[i]);
    wire_integer(&tensor, TENSOR_TYPE_ELEMENT, place->kind);
    wire_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    wire_message(&type, TYPE_TENSOR, &tensor);
    wire_text(&value, VALUE_NAME, place->name);
    wire_message(&value, VALUE_TYPE, &type);
    wire_message(graph, field, &value);
    builder_release(&shape);
    builder_release(&tensor);
    builder_release(&type);
    builder_release(&value);
}

static void add_interface(const struct onnx_writer *w, struct builder *graph)
{
    for (uint32_t i = 0; i < w->onnx.inputs.count; i++)
        add_place(graph, GRAPH_INPUT, &w->onnx.inputs.items[i]);
    for (uint32_t i = 0; i < w->onnx.outputs.count; i++)
        add_place(graph, GRAPH_OUTPUT, &w->onnx.outputs.items[i]);
}

static void add_text(struct builder *out, enum onnx_field field, struct str text)
{
    if (text.length > 0)
        wire_text(out, field, text.data);
}

/* What the source's file said of the model. */
static void add_metadata(struct builder *out, const struct metadata *metadata)
{
    int64_t version;
    add_text(out, MODEL_DOMAIN, metadata_find(metadata, METADATA_DOMAIN));
    if (str_to_i64(metadata_find(metadata, METADATA_VERSION), &version))
        wire_integer(out, MODEL_VERSION, version);
    add_text(out, MODEL_DOC_STRING, metadata_find(metadata, METADATA_DOCUMENTATION));
    for (uint32_t i = 0; i < metadata->entries.count; i++) {
        const struct metadata_entry *entry = &metadata->entries.items[i];
        struct builder property = {0};
        if (str_is(entry->key, METADATA_DOMAIN) || str_is(entry->key, METADATA_VERSION) ||
            str_is(entry->key, METADATA_DOCUMENTATION))
            continue;
        wire_text(&property, ENTRY_KEY, entry->key.data);
        wire_text(&property, ENTRY_VALUE, entry->text.data);
        wire_message(out, MODEL_METADATA_PROPS, &property);
        builder_release(&property);
    }
}

/* What stands before the graph's initializers. `length`: of the whole graph. */
static void add_beginning(struct builder *out, const struct onnx_graph *onnx, const struct metadata *metadata,
                          uint64_t length)
{
    const struct builder *nodes = &onnx->nodes;
    struct builder opset = {0};
    wire_integer(out, MODEL_IR_VERSION, onnx->opset > ONNX_OPSET ? ONNX_FUSED_IR_VERSION : ONNX_IR_VERSION);
    wire_text(out, MODEL_PRODUCER_NAME, "espalier");
    wire_text(&opset, OPSET_DOMAIN, "");
    wire_integer(&opset, OPSET_VERSION, onnx->opset);
    wire_message(out, MODEL_OPSET_IMPORT, &opset);
    add_metadata(out, metadata);
    wire_open(out, MODEL_GRAPH, length);
    builder_add(out, builder_text(nodes), nodes->length);
    builder_release(&opset);
}

static enum status add_content(struct output_file *file, const struct onnx_initializer *it,
                               struct trace *trace)
{
    if (it->bytes)
        return output_add(file, it->bytes, it->length, trace);
    TRY_WITH(trace, output_add_weight(file, &it->view, 1, &encoding_f32, trace),
             "while writing the weight %s", it->name);
    return OK;
}

static enum status write_model(struct onnx_writer *w, struct trace *trace)
{
    struct builder beginning = {0}, end = {0};
    add_interface(w, &end);
    wire_text(&w->onnx.nodes, GRAPH_NAME, "model");
    uint64_t length = w->onnx.nodes.length + end.length;
    for (uint32_t i = 0; i < w->onnx.initializers.count; i++)
        length +=
            w->pieces[i].before.length + (w->pieces[i].is_inline ? w->onnx.initializers.items[i].length : 0);
    add_beginning(&beginning, &w->onnx, &w->graph->metadata, length);
    enum status status = output_add(&w->model, beginning.data, beginning.length, trace);
    for (uint32_t i = 0; i < w->onnx.initializers.count && status == OK; i++) {
        const struct piece *piece = &w->pieces[i];
        status = output_add(&w->model, piece->before.data, piece->before.length, trace);
        if (status == OK && piece->is_inline)
            status = add_content(&w->model, &w->onnx.initializers.items[i], trace);
    }
    if (status == OK)
        status = output_add(&w->model, end.data, end.length, trace);
    builder_release(&beginning);
    builder_release(&end);
    return status;
}

static enum status write_data(struct onnx_writer *w, const char *path, struct trace *trace)
{
    char *data_path = path_beside(path, w->data_name);
    enum status status = output_open(&w->data, data_path, trace);
    free(data_path);
    for (uint32_t i = 0; i < w->onnx.initializers.count && status == OK; i++) {
        if (!is_outside(w, &w->onnx.initializers.items[i]))
            continue;
        status = output_pad(&w->data, w->offsets[i] - output_length(&w->data), trace);
        if (status == OK)
            status = add_content(&w->data, &w->onnx.initializers.items[i], trace);
    }
    return status;
}

/* The data file gets its name first: a model without its data would be worse than data without a model. */
static enum status commit(struct onnx_writer *w, struct emitted *out, const char *path, struct trace *trace)
{
    struct emitted data = {0};
    enum status status = OK;
    if (*w->data_name)
        status = output_commit(&w->data, &data, w->data_name, trace);
    if (status == OK)
        status = output_commit(&w->model, out, output_base_name(path), trace);
    if (status == OK && data.files.count > 0) {
        struct emitted_file *file = VEC_PUSH(&out->arena, &out->files);
        *file = data.files.items[0];
        file->name = arena_copy_string(&out->arena, file->name, strlen(file->name));
    }
    emitted_release(&data);
    return status;
}

static enum status write_files(struct onnx_writer *w, struct emitted *out, const char *path,
                               struct trace *trace)
{
    TRY(onnx_lower_graph(&w->onnx, w->graph, w->options->interface, trace));
    make_pieces(w, path);
    TRY(output_open(&w->model, path, trace));
    if (*w->data_name)
        TRY(write_data(w, path, trace));
    TRY(write_model(w, trace));
    return commit(w, out, path, trace);
}

enum status onnx_file_write(struct emitted *out, const char *path, const struct graph *graph,
                            const struct emit_onnx_options *options, const struct onnx_limits *limits,
                            struct trace *trace)
{
    struct graph *canonical = graph_canonicalise(graph);
    struct onnx_writer w = {.graph = canonical, .limits = limits, .options = options ? options : &usual};
    w.onnx.form = w.options->is_fused ? ONNX_FUSED : ONNX_PLAIN;
    enum status status = write_files(&w, out, path, trace);
    for (uint32_t i = 0; w.pieces && i < w.onnx.initializers.count; i++)
        builder_release(&w.pieces[i].before);
    output_release(&w.model);
    output_release(&w.data);
    onnx_graph_release(&w.onnx);
    graph_destroy(canonical);
    return status;
}

enum status emit_onnx(struct emitted *out, const char *path, const struct graph *graph,
                      const struct emit_onnx_options *options, struct trace *trace)
{
    const struct onnx_limits limits = {EMIT_INLINE_LIMIT, EMIT_SMALL_LIMIT};
    return onnx_file_write(out, path, graph, options, &limits, trace);
}

enum status emit_onnx_check(const struct graph *graph, const struct emit_onnx_options *options,
                            struct trace *trace)
{
    struct graph *canonical = graph_canonicalise(graph);
    options = options ? options : &usual;
    struct onnx_graph onnx = {.form = options->is_fused ? ONNX_FUSED : ONNX_PLAIN};
    enum status status = onnx_lower_graph(&onnx, canonical, options->interface, trace);
    onnx_graph_release(&onnx);
    graph_destroy(canonical);
    return status;
}
