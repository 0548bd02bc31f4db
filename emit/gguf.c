/* The parts of a LLaMA-like model under the names that llama.cpp gives them (its gguf-py/gguf/constants.py).
 */
#include "emit/emit.h"
#include "emit/gguf_file.h"
#include "emit/gguf_tokenizer.h"
#include "emit/parts.h"
#include "emit/rotary_base.h"
#include "ir/text.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { GGUF_DEFAULT_CONTEXT = 2048, GGUF_ROTARY_BASE = 10000 };

struct gguf_model {
    struct graph *graph; /* canonical */
    struct parts parts;
    float rotary_base;
    const float *rotary_factors; /* [head_size / 2], or NULL */
    float query_factor; /* what makes the scale of the scores head_size^-0.5, the readers' only one */
    const struct encoding *encoding;
    struct gguf file;
};

/* What the readers' architecture "llama" is. */
static enum status check_form(const struct parts *p, struct trace *trace)
{
    const struct {
        bool holds;
        const char *what;
    } facts[] = {
        {p->norm_kind == DECODER_RMSNORM && !p->norm.bias, "layer norms"},
        {p->is_gated && p->activation == ACTIVATION_SILU, "an MLP that is not silu(gate) * up"},
        {!p->is_parallel, "attention and MLP side by side"},
        {p->norms == NORMS_BEFORE && !p->embed_norm.weight, "norms of what branches give, or of the embedding"},
        {!p->head_bias, "a bias of the head"},
        {p->softcap == 0 && p->logit_softcap == 0, "soft caps"},
        {!p->has_bare_layers && !p->local_frequencies, "layers that are rotated otherwise than others"},
        {p->head_norms == HEAD_NORMS_NONE, "normalised queries and keys"},
        {p->frequencies && !p->positions, "positions that are no rotary embedding"},
        {p->embedding_scale == 1, "a scaled embedding"},
        {p->window == 0, "attention with a window"},
        {!p->frequencies || 2 * p->frequencies->view.dims[0] == p->head_size,
         "heads that are rotated in part"},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (!facts[i].holds)
            return status_fail(trace, UNSUPPORTED, "architecture llama has no place for %s", facts[i].what);
    return OK;
}

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

static enum status prepare(struct gguf_model *m, const struct graph *graph, struct trace *trace)
{
    /* Readers of such files do without what is not there only in some architectures: nothing is filled up. */
    enum parts_missing missing = PARTS_WHOLE;
    m->graph = graph_canonicalise(graph);
    TRY(parts_find(&m->parts, m->graph, missing, trace));
    TRY(check_form(&m->parts, trace));
    TRY(parts_find_query_factor(&m->query_factor, &m->parts, 0, trace));
    if (m->parts.frequencies->view.base)
        find_rotary(m);
    return OK;
}

static void release(struct gguf_model *m)
{
    gguf_release(&m->file);
    parts_release(&m->parts);
    graph_destroy(m->graph);
}

/* ---- weights ---- */

/* Vectors stay f32; rows that blocks do not divide fall back to halves. */
static const struct encoding *encoding_of(const struct gguf_model *m, const struct tensor_view *view)
{
    if (view->rank < 2)
        return &encoding_f32;
    return view->dims[view->rank - 1] % m->encoding->block == 0 ? m->encoding : &encoding_f16;
}

static void add_view(struct gguf_model *m, const char *name, const struct tensor_view *view, float factor)
{
    struct gguf_tensor tensor = {name, *view, factor, encoding_of(m, view)};
    gguf_add_tensor(&m->file, &tensor);
}

/* Rows of a head as the reader pairs them: row 2i and 2i + 1 rotate together, where ours are i and i + f. */
static struct tensor_view interleaved(struct gguf_model *m, const struct tensor_view *view)
{
    uint32_t rows = (uint32_t)view->dims[0], head = (uint32_t)m->parts.head_size;
    uint32_t *order = ARENA_ARRAY(&m->file.arena, uint32_t, rows);
    for (uint32_t i = 0; i < rows; i++)
        order[i] = i / head * head + i % 2 * (head / 2) + i % head / 2;
    return tensor_view_take(view, &m->file.arena, 0, order, rows);
}

static void add_part(struct gguf_model *m, const char *name, const char *part, const struct tensor *tensor,
                     bool is_rotated, float factor)
{
    struct tensor_view view = is_rotated ? interleaved(m, &tensor->view) : tensor->view;
    add_view(m, arena_printf(&m->file.arena, "%s.%s", name, part), &view, factor);
}

static void add_linear(struct gguf_model *m, uint32_t layer, const char *role,
                       const struct part_linear *linear, bool is_rotated, float factor)
{
    const char *name = arena_printf(&m->file.arena, "blk.%" PRIu32 ".%s", layer, role);
    add_part(m, name, "weight", linear->weight, is_rotated, factor);
    if (linear->bias)
        add_part(m, name, "bias", linear->bias, is_rotated, factor);
}

static void add_layer(struct gguf_model *m, uint32_t i, const struct parts_layer *layer)
{
    struct arena *arena = &m->file.arena;
    add_view(m, arena_printf(arena, "blk.%" PRIu32 ".attn_norm.weight", i),
             &layer->attention_norm.weight->view, 1);
    add_linear(m, i, "attn_q", &layer->q, true, m->query_factor);
    add_linear(m, i, "attn_k", &layer->k, true, 1);
    add_linear(m, i, "attn_v", &layer->v, false, 1);
    add_linear(m, i, "attn_output", &layer->o, false, 1);
    add_view(m, arena_printf(arena, "blk.%" PRIu32 ".ffn_norm.weight", i), &layer->mlp_norm.weight->view, 1);
    add_linear(m, i, "ffn_gate", &layer->gate, false, 1);
    add_linear(m, i, "ffn_up", &layer->up, false, 1);
    add_linear(m, i, "ffn_down", &layer->down, false, 1);
}

static void add_weights(struct gguf_model *m)
{
    const struct parts *l = &m->parts;
    add_view(m, "token_embd.weight", &l->embed->view, 1);
    for (uint32_t i = 0; i < l->layers.count; i++)
        add_layer(m, i, &l->layers.items[i]);
    if (m->rotary_factors) {
        int64_t count = l->head_size / 2;
        struct tensor_view view = {.base = (const uint8_t *)m->rotary_factors,
                                   .base_size = (size_t)count * sizeof *m->rotary_factors,
                                   .dtype = DTYPE_F32,
                                   .rank = 1,
                                   .dims = {count},
                                   .strides = {1}};
        add_view(m, "rope_freqs.weight", &view, 1);
    }
    add_view(m, "output_norm.weight", &l->norm.weight->view, 1);
    if (l->head)
        add_view(m, "output.weight", &l->head->view, 1);
}

/* ---- keys ---- */

static void add_size(struct gguf_model *m, const char *key, int64_t size)
{
    gguf_add_u32(&m->file, key, (uint32_t)size);
}

static void add_keys(struct gguf_model *m, const struct emit_gguf_options *options)
{
    const struct parts *l = &m->parts;
    gguf_add_text(&m->file, "general.architecture", STR("llama"));
    add_size(m, "general.alignment", GGUF_ALIGNMENT);
    add_size(m, "general.file_type", m->encoding->gguf_file);
    add_size(m, "llama.block_count", l->layers.count);
    add_size(m, "llama.context_length", options->context > 0 ? options->context : GGUF_DEFAULT_CONTEXT);
    add_size(m, "llama.embedding_length", l->hidden);
    add_size(m, "llama.feed_forward_length", l->ffn);
    add_size(m, "llama.attention.head_count", l->heads);
    add_size(m, "llama.attention.head_count_kv", l->kv_heads);
    add_size(m, "llama.attention.key_length", l->head_size);
    add_size(m, "llama.attention.value_length", l->head_size);
    gguf_add_f32(&m->file, "llama.attention.layer_norm_rms_epsilon", l->epsilon);
    add_size(m, "llama.rope.dimension_count", l->head_size);
    gguf_add_f32(&m->file, "llama.rope.freq_base", m->rotary_base);
    add_size(m, "llama.vocab_size", l->vocabulary);
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
        status = prepare(&m, graph, trace);
    if (status == OK && !m.parts.frequencies->view.base)
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
    (void)missing;
    struct gguf_model m = {.encoding = &encoding_f32};
    enum status status = prepare(&m, graph, trace);
    release(&m);
    if (status != OK)
        trace_add(trace, "as a GGUF file");
    return status;
}
