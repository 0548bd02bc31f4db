/* The parts of a model under the names that llama.cpp gives them (its gguf-py/gguf/constants.py). What an
 * architecture is stands in ir/gguf_architectures.def; tensors are those of a Hugging Face folder under other
 * names. */
#include "emit/emit.h"
#include "emit/gguf_file.h"
#include "emit/gguf_tokenizer.h"
#include "emit/hf_weights.h"
#include "emit/rotary_base.h"
#include "ir/text.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { GGUF_DEFAULT_CONTEXT = 2048, GGUF_ROTARY_BASE = 10000 };

struct gguf_model {
    struct graph *graph; /* canonical */
    struct parts parts;
    struct hf_form form;
    float rotary_base;
    const float *rotary_factors; /* [frequencies], or NULL */
    struct hf_weights weights;
    const struct encoding *encoding;
    struct gguf file;
};

/* Frequencies that are no powers of one base are those of some base, divided by stored factors. */
static void find_rotary(struct gguf_model *m)
{
    const struct tensor_view *view = &m->parts.frequencies->view;
    int64_t count = view->dims[0];
    if (rotary_base_find(&m->rotary_base, view, NULL) == OK)
        return;
    float *factors = ARENA_ARRAY(&m->file.arena, float, (size_t)count);
    tensor_view_read_f32(view, 0, count, factors);
    m->rotary_base = GGUF_ROTARY_BASE;
    for (int64_t i = 0; i < count; i++)
        factors[i] = (float)(pow((double)GGUF_ROTARY_BASE, -(double)i / (double)count) / (double)factors[i]);
    m->rotary_factors = factors;
}

static enum status set_rotary(struct gguf_model *m, struct trace *trace)
{
    if (!m->parts.frequencies || !m->parts.frequencies->view.base)
        return OK;
    if (m->form.architecture->fields.has_factors) {
        find_rotary(m);
        return OK;
    }
    m->rotary_base = m->form.rotary.base;
    return m->form.rotary.scaling == SCALING_LLAMA3
               ? status_fail(trace, UNSUPPORTED,
                             "architecture %s has no place for the rotary frequencies of Llama 3.1",
                             m->form.architecture->name)
               : OK;
}

static enum status prepare(struct gguf_model *m, const struct graph *graph, enum emit_missing missing,
                           struct trace *trace)
{
    struct hf_table table = {gguf_architectures, gguf_architecture_count};
    m->graph = graph_canonicalise(graph);
    TRY(parts_find(&m->parts, m->graph, missing == EMIT_FILLS_MISSING ? PARTS_FILLED : PARTS_WHOLE, trace));
    TRY(hf_form_choose(&m->form, &m->parts, table, trace));
    return set_rotary(m, trace);
}

static void release(struct gguf_model *m)
{
    hf_weights_release(&m->weights);
    gguf_release(&m->file);
    parts_release(&m->parts);
    graph_destroy(m->graph);
}

/* ---- weights ---- */

/* Vectors stay f32; rows that blocks do not divide fall back to halves. */
static const struct encoding *encoding_of(const struct gguf_model *m, const struct safetensors_entry *entry)
{
    if (entry->rank < 2)
        return &encoding_f32;
    return entry->dims[1] % m->encoding->block == 0 ? m->encoding : &encoding_f16;
}

static void add_entry(struct gguf_model *m, const struct safetensors_entry *entry)
{
    struct gguf_tensor tensor = {*entry, encoding_of(m, entry)};
    gguf_add_tensor(&m->file, &tensor);
}

/* Rows of a head as the reader pairs them: row 2i and 2i + 1 rotate together, where ours are i and i + f. */
static const struct tensor *interleaved(struct gguf_model *m, const struct tensor *tensor)
{
    if (!tensor)
        return NULL;
    uint32_t rows = (uint32_t)tensor->view.dims[0], head = (uint32_t)m->parts.head_size;
    uint32_t *order = ARENA_ARRAY(&m->file.arena, uint32_t, rows);
    struct tensor *copy = ARENA_NEW(&m->file.arena, struct tensor);
    for (uint32_t i = 0; i < rows; i++)
        order[i] = i / head * head + i % 2 * (head / 2) + i % head / 2;
    *copy = *tensor;
    copy->view = tensor_view_take(&tensor->view, &m->file.arena, 0, order, rows);
    return copy;
}

static void interleave(struct gguf_model *m)
{
    for (uint32_t i = 0; i < m->parts.layers.count; i++) {
        struct parts_layer *layer = &m->parts.layers.items[i];
        layer->q.weight = interleaved(m, layer->q.weight);
        layer->q.bias = interleaved(m, layer->q.bias);
        layer->k.weight = interleaved(m, layer->k.weight);
        layer->k.bias = interleaved(m, layer->k.bias);
    }
}

static void add_factors(struct gguf_model *m)
{
    int64_t count = m->parts.frequencies->view.dims[0];
    struct safetensors_piece *piece = ARENA_NEW(&m->file.arena, struct safetensors_piece);
    piece->factor = 1;
    piece->view = (struct tensor_view){.base = (const uint8_t *)m->rotary_factors,
                                       .base_size = (size_t)count * sizeof *m->rotary_factors,
                                       .dtype = DTYPE_F32,
                                       .rank = 1,
                                       .dims = {count},
                                       .strides = {1}};
    add_entry(m, &(struct safetensors_entry){"rope_freqs.weight", 1, {count, 0}, piece, 1});
}

static void add_weights(struct gguf_model *m)
{
    if (m->form.architecture->form.rotates_neighbours)
        interleave(m);
    m->weights.parts = &m->parts;
    m->weights.form = &m->form;
    hf_weights_add(&m->weights);
    for (uint32_t i = 0; i < m->weights.entries.count; i++)
        add_entry(m, &m->weights.entries.items[i]);
    if (m->rotary_factors)
        add_factors(m);
}

/* ---- keys ---- */

static const char *key_of(struct gguf_model *m, const char *key)
{
    return arena_printf(&m->file.arena, "%s.%s", m->form.architecture->name, key);
}

static void add_size(struct gguf_model *m, const char *key, int64_t size)
{
    gguf_add_u32(&m->file, key_of(m, key), (uint32_t)size);
}

static void add_rotary_keys(struct gguf_model *m)
{
    if (!m->parts.frequencies)
        return;
    add_size(m, "rope.dimension_count", 2 * m->parts.frequencies->view.dims[0]);
    gguf_add_f32(&m->file, key_of(m, "rope.freq_base"), m->rotary_base);
    if (m->form.architecture->fields.has_local_rotary)
        gguf_add_f32(&m->file, key_of(m, "rope.freq_base_swa"),
                     m->form.local_base > 0 ? m->form.local_base : m->rotary_base);
    if (m->form.rotary.scaling != SCALING_LINEAR)
        return;
    gguf_add_text(&m->file, key_of(m, "rope.scaling.type"), STR("linear"));
    gguf_add_f32(&m->file, key_of(m, "rope.scaling.factor"), m->form.rotary.factor);
}

static void add_windows(struct gguf_model *m)
{
    const struct hf_fields *fields = &m->form.architecture->fields;
    if (fields->layers != LAYERS_PERIODIC)
        return;
    if (m->parts.window > 0)
        add_size(m, fields->window, m->parts.window);
    add_size(m, "attention.sliding_window_pattern", m->form.window_period);
}

static void add_caps(struct gguf_model *m)
{
    if (m->parts.softcap > 0)
        gguf_add_f32(&m->file, key_of(m, "attn_logit_softcapping"), m->parts.softcap);
    if (m->parts.logit_softcap > 0)
        gguf_add_f32(&m->file, key_of(m, "final_logit_softcapping"), m->parts.logit_softcap);
}

static bool is_of_the_model(struct str key)
{
    return metadata_general(key) == GENERAL_OF_MODEL;
}

static void add_metadata(struct gguf_model *m)
{
    for (uint32_t i = 0; i < m->graph->metadata.entries.count; i++) {
        const struct metadata_entry *entry = &m->graph->metadata.entries.items[i];
        if (is_of_the_model(entry->key))
            gguf_add_text(&m->file, entry->key.data, entry->text);
    }
}

static void add_keys(struct gguf_model *m, const struct emit_gguf_options *options)
{
    const struct parts *p = &m->parts;
    const struct hf_architecture *a = m->form.architecture;
    int64_t context = options->context > 0 ? options->context : GGUF_DEFAULT_CONTEXT;
    gguf_add_text(&m->file, "general.architecture", str_from(a->name));
    gguf_add_u32(&m->file, "general.alignment", GGUF_ALIGNMENT);
    gguf_add_u32(&m->file, "general.file_type", m->encoding->gguf_file);
    add_metadata(m);
    add_size(m, "block_count", p->layers.count);
    add_size(m, "context_length", p->positions ? p->positions->view.dims[0] - p->first_position : context);
    add_size(m, "embedding_length", p->hidden);
    add_size(m, "feed_forward_length", p->ffn);
    add_size(m, "attention.head_count", p->heads);
    add_size(m, "attention.head_count_kv", p->kv_heads);
    add_size(m, "attention.key_length", p->head_size);
    add_size(m, "attention.value_length", p->head_size);
    gguf_add_f32(&m->file, key_of(m, a->fields.epsilon), p->epsilon);
    if (a->fields.slopes)
        gguf_add_f32(&m->file, key_of(m, a->fields.slopes), SLOPES_RANGE);
    add_windows(m);
    add_caps(m);
    if (a->fields.parallel)
        gguf_add_bool(&m->file, key_of(m, a->fields.parallel), p->is_parallel);
    add_rotary_keys(m);
    add_size(m, "vocab_size", p->vocabulary);
}

/* ---- the file ---- */

static enum status write_file(struct gguf_model *m, struct emitted *out, const char *path,
                              const struct emit_gguf_options *options, struct trace *trace)
{
    struct output_file file = {0};
    add_keys(m, options);
    if (options->tokenizer_json.length > 0)
        TRY(gguf_add_tokenizer(&m->file, options, m->parts.vocabulary, trace));
    else
        gguf_add_text(&m->file, "tokenizer.ggml.model", STR("none"));
    add_weights(m);
    enum status status = output_open(&file, path, trace);
    if (status == OK)
        status = gguf_write(&file, &m->file, trace);
    if (status == OK)
        status = output_commit(&file, out, output_base_name(path), trace);
    if (status == OK)
        emitted_note_metadata(out, &m->graph->metadata, is_of_the_model);
    output_release(&file);
    return status;
}

enum status emit_gguf(struct emitted *out, const char *path, const struct graph *graph,
                      const struct emit_gguf_options *options, struct trace *trace)
{
    const char *type = options->type ? options->type : "f32";
    struct gguf_model m = {.encoding = encoding_find(str_from(type))};
    enum status status = OK;
    if (!m.encoding)
        status = status_fail(trace, INVALID,
                             "the type of weights: expected f32, f16, bf16 or q8_0, found \"%s\"", type);
    if (status == OK)
        status = prepare(&m, graph, options->missing, trace);
    if (status == OK)
        parts_note_filled(&m.parts);
    if (status == OK && m.parts.frequencies && !m.parts.frequencies->view.base)
        status = status_fail(trace, INVALID, "the rotary frequencies have no content");
    if (status == OK)
        status = write_file(&m, out, path, options, trace);
    release(&m);
    if (status != OK)
        trace_add(trace, "as a GGUF file");
    return status;
}

enum status emit_gguf_check(const struct graph *graph, enum emit_missing missing, struct trace *trace)
{
    struct gguf_model m = {.encoding = &encoding_f32};
    enum status status = prepare(&m, graph, missing, trace);
    release(&m);
    if (status != OK)
        trace_add(trace, "as a GGUF file");
    return status;
}
