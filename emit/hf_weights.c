/* See emit/hf_weights.h. */
#include "emit/hf_weights.h"
#include <string.h>

/* A run of pieces that become one tensor. */
struct run {
    struct hf_weights *w;
    struct safetensors_entry entry;
    VEC(struct safetensors_piece) pieces;
};

static const struct decoder_form *form_of(const struct hf_weights *w)
{
    return &w->form->architecture->form;
}

static struct run begin(struct hf_weights *w, enum weight_role role, int64_t layer, enum weight_part part)
{
    const char *name = weight_name(&w->arena, form_of(w)->naming, role, layer, part);
    return (struct run){.w = w, .entry = {.name = name}};
}

static void add_view(struct run *run, const struct tensor_view *view, float factor)
{
    *VEC_PUSH(&run->w->arena, &run->pieces) = (struct safetensors_piece){.view = *view, .factor = factor};
}

static void add_zeros(struct run *run, int64_t count)
{
    *VEC_PUSH(&run->w->arena, &run->pieces) = (struct safetensors_piece){.zeros = count};
}

static void finish(struct run *run, uint32_t rank, int64_t rows, int64_t columns)
{
    run->entry.rank = rank;
    run->entry.dims[0] = rows;
    run->entry.dims[1] = columns;
    run->entry.pieces = run->pieces.items;
    run->entry.piece_count = run->pieces.count;
    *VEC_PUSH(&run->w->arena, &run->w->entries) = run->entry;
}

static void add_matrix(struct hf_weights *w, enum weight_role role, const struct tensor *tensor, float factor)
{
    struct run run = begin(w, role, 0, PART_WEIGHT);
    add_view(&run, &tensor->view, factor);
    finish(&run, 2, tensor->view.dims[0], tensor->view.dims[1]);
}

/* Rows [first, first + count) of a view. */
static struct tensor_view rows_of(const struct tensor_view *view, int64_t first, int64_t count)
{
    struct tensor_view rows = *view;
    if (rows.index[0])
        rows.index[0] += first;
    else
        rows.offset += first * rows.strides[0];
    rows.dims[0] = count;
    return rows;
}

/* ---- norms ---- */

/* The weight times `factor`, less the one that the form adds. */
static void add_vector(struct hf_weights *w, enum weight_role role, int64_t layer, enum weight_part part,
                       const struct tensor *tensor, float factor)
{
    int64_t size = tensor->view.dims[0];
    struct run run = begin(w, role, layer, part);
    struct tensor_view view = tensor->view;
    if (view.base && part == PART_WEIGHT && form_of(w)->norms_add_one) {
        float *values = ARENA_ARRAY(&w->arena, float, (size_t)size);
        tensor_view_read_f32(&view, 0, size, values);
        for (int64_t i = 0; i < size; i++)
            values[i] = values[i] * factor - 1;
        factor = 1;
        view = (struct tensor_view){.base = (const uint8_t *)values,
                                    .base_size = (size_t)size * sizeof *values,
                                    .dtype = DTYPE_F32,
                                    .rank = 1,
                                    .dims = {size},
                                    .strides = {1}};
    }
    add_view(&run, &view, factor);
    finish(&run, 1, size, 0);
}

static void add_norm(struct hf_weights *w, enum weight_role role, int64_t layer, const struct part_norm *norm,
                     float factor)
{
    if (!norm->weight || form_of(w)->norms_are_bare)
        return;
    add_vector(w, role, layer, PART_WEIGHT, norm->weight, factor);
    if (form_of(w)->norms_lack_bias)
        return;
    if (norm->bias) {
        add_vector(w, role, layer, PART_BIAS, norm->bias, factor);
    } else if (form_of(w)->norm == DECODER_LAYERNORM) {
        struct run run = begin(w, role, layer, PART_BIAS);
        add_zeros(&run, norm->weight->view.dims[0]);
        finish(&run, 1, norm->weight->view.dims[0], 0);
    }
}

/* ---- linear layers ---- */

/* Linear layers whose rows stand in one tensor: all of the first, then all of the next; or `turns` times some
 * of each. */
struct packed {
    const struct part_linear *items[3];
    float factors[3];
    uint32_t count;
    int64_t turns;
};

static int64_t rows_in(const struct part_linear *linear)
{
    return linear->weight->view.dims[0];
}

static void add_biases(struct hf_weights *w, enum weight_role role, int64_t layer, const struct packed *p)
{
    struct run run = begin(w, role, layer, PART_BIAS);
    int64_t total = 0;
    for (int64_t turn = 0; turn < p->turns; turn++)
        for (uint32_t i = 0; i < p->count; i++) {
            const struct tensor *bias = p->items[i]->bias;
            int64_t count = rows_in(p->items[i]) / p->turns;
            total += count;
            if (!bias) {
                add_zeros(&run, count);
                continue;
            }
            struct tensor_view view = rows_of(&bias->view, turn * count, count);
            add_view(&run, &view, p->factors[i]);
        }
    finish(&run, 1, total, 0);
}

/* [in, out]: row by row, the outputs of each. */
static void add_turned(struct hf_weights *w, enum weight_role role, int64_t layer, const struct packed *p)
{
    struct run run = begin(w, role, layer, PART_WEIGHT);
    int64_t inputs = p->items[0]->weight->view.dims[1], total = 0;
    for (uint32_t i = 0; i < p->count; i++)
        total += rows_in(p->items[i]);
    for (int64_t row = 0; row < (p->count > 1 ? inputs : 1); row++)
        for (uint32_t i = 0; i < p->count; i++) {
            struct tensor_view view = tensor_view_transpose(&p->items[i]->weight->view);
            if (p->count > 1)
                view = rows_of(&view, row, 1);
            add_view(&run, &view, p->factors[i]);
        }
    finish(&run, 2, inputs, total);
}

static void add_packed(struct hf_weights *w, enum weight_role role, int64_t layer, const struct packed *p,
                       bool has_bias)
{
    if (has_bias)
        add_biases(w, role, layer, p);
    if (form_of(w)->is_transposed) {
        add_turned(w, role, layer, p);
        return;
    }
    struct run run = begin(w, role, layer, PART_WEIGHT);
    int64_t total = 0;
    for (int64_t turn = 0; turn < p->turns; turn++)
        for (uint32_t i = 0; i < p->count; i++) {
            int64_t count = rows_in(p->items[i]) / p->turns;
            struct tensor_view view = rows_of(&p->items[i]->weight->view, turn * count, count);
            add_view(&run, &view, p->factors[i]);
            total += count;
        }
    finish(&run, 2, total, p->items[0]->weight->view.dims[1]);
}

static void add_linear(struct hf_weights *w, enum weight_role role, int64_t layer,
                       const struct part_linear *linear, bool has_bias, float factor)
{
    add_packed(w, role, layer, &(struct packed){{linear}, {factor}, 1, 1}, has_bias);
}

/* ---- layers ---- */

/* A form's biases: there always, or where the model has any. */
static bool writes_bias(enum decoder_bias bias, bool has_bias)
{
    return bias == BIAS_ALWAYS || (bias == BIAS_CONFIGURED && has_bias);
}

/* Where one field says it of all linear layers, of them too. */
static bool any_attention_bias(const struct hf_weights *w)
{
    const struct parts *p = w->parts;
    return p->has_qkv_bias || p->has_o_bias ||
           (w->form->architecture->fields.has_one_bias && p->has_mlp_bias);
}

/* A linear layer, or a norm (columns 0), of zeros: the branch adds nothing. */
static void add_zero_weight(struct hf_weights *w, enum weight_role role, int64_t layer, int64_t rows,
                            int64_t columns, bool has_bias)
{
    bool is_turned = form_of(w)->is_transposed && columns > 0;
    if (!weight_name(&w->arena, form_of(w)->naming, role, layer, PART_WEIGHT))
        return;
    struct run run = begin(w, role, layer, PART_WEIGHT);
    add_zeros(&run, rows * (columns > 0 ? columns : 1));
    finish(&run, columns > 0 ? 2 : 1, is_turned ? columns : rows, is_turned ? rows : columns);
    if (!has_bias)
        return;
    run = begin(w, role, layer, PART_BIAS);
    add_zeros(&run, rows);
    finish(&run, 1, rows, 0);
}

static void add_zero_norms(struct hf_weights *w, int64_t i, enum weight_role before, enum weight_role after)
{
    bool has_bias = form_of(w)->norm == DECODER_LAYERNORM && !form_of(w)->norms_lack_bias;
    if (form_of(w)->norms_are_bare)
        return;
    if (form_of(w)->norms != NORMS_AFTER)
        add_zero_weight(w, before, i, w->parts->hidden, 0, has_bias);
    if (form_of(w)->norms != NORMS_BEFORE)
        add_zero_weight(w, after, i, w->parts->hidden, 0, has_bias);
}

static void add_zero_attention(struct hf_weights *w, int64_t i)
{
    const struct decoder_form *form = form_of(w);
    const struct parts *p = w->parts;
    int64_t wide = p->heads * p->head_size, narrow = p->kv_heads * p->head_size;
    bool any = any_attention_bias(w), has_bias = writes_bias(form->qkv_bias, any),
         is_whole = form->head_norms == HEAD_NORMS_WHOLE;
    add_zero_norms(w, i, ROLE_attention_norm, ROLE_attention_post_norm);
    if (form->packing != PACKING_APART) {
        add_zero_weight(w, ROLE_qkv, i, wide + 2 * narrow, p->hidden, has_bias);
    } else {
        add_zero_weight(w, ROLE_q, i, wide, p->hidden, has_bias);
        add_zero_weight(w, ROLE_k, i, narrow, p->hidden, has_bias);
        add_zero_weight(w, ROLE_v, i, narrow, p->hidden, has_bias);
    }
    if (form->head_norms != HEAD_NORMS_NONE) {
        add_zero_weight(w, ROLE_q_norm, i, is_whole ? wide : p->head_size, 0, false);
        add_zero_weight(w, ROLE_k_norm, i, is_whole ? narrow : p->head_size, 0, false);
    }
    add_zero_weight(w, ROLE_o, i, p->hidden, wide, writes_bias(form->o_bias, any));
}

static void add_attention(struct hf_weights *w, int64_t i, const struct parts_layer *layer)
{
    const struct decoder_form *form = form_of(w);
    const struct parts *p = w->parts;
    /* One field says whether there are any, where it says so. */
    bool any = any_attention_bias(w), has_bias = writes_bias(form->qkv_bias, any);
    float query_factor = form->head_norms != HEAD_NORMS_NONE ? 1 : w->form->query_factor;
    struct packed packed = {{&layer->q, &layer->k, &layer->v}, {query_factor, 1, 1}, 3, 1};
    if (form->packing == PACKING_BY_HEAD)
        packed.turns = p->heads;
    if (form->packing == PACKING_BY_GROUP)
        packed.turns = p->kv_heads;
    if (form->packing != PACKING_APART) {
        add_packed(w, ROLE_qkv, i, &packed, has_bias);
    } else {
        add_linear(w, ROLE_q, i, &layer->q, has_bias, query_factor);
        add_linear(w, ROLE_k, i, &layer->k, has_bias, 1);
        add_linear(w, ROLE_v, i, &layer->v, has_bias, 1);
    }
    if (form->head_norms != HEAD_NORMS_NONE) {
        add_vector(w, ROLE_q_norm, i, PART_WEIGHT, layer->q_norm, w->form->query_factor);
        add_vector(w, ROLE_k_norm, i, PART_WEIGHT, layer->k_norm, 1);
    }
    add_linear(w, ROLE_o, i, &layer->o, writes_bias(form->o_bias, any), 1);
    add_norm(w, ROLE_attention_norm, i, &layer->attention_norm, 1);
    add_norm(w, ROLE_attention_post_norm, i, &layer->attention_post_norm, 1);
}

static bool mlp_has_bias(const struct hf_weights *w)
{
    return writes_bias(form_of(w)->mlp_bias,
                       w->parts->has_mlp_bias ||
                           (w->form->architecture->fields.has_one_bias && any_attention_bias(w)));
}

static void add_mlp(struct hf_weights *w, int64_t i, const struct parts_layer *layer)
{
    const struct decoder_form *form = form_of(w);
    bool has_bias = mlp_has_bias(w);
    if (form->packs_gate) {
        add_packed(w, ROLE_gate_up, i, &(struct packed){{&layer->gate, &layer->up}, {1, 1}, 2, 1}, has_bias);
    } else {
        if (form->is_gated)
            add_linear(w, ROLE_gate, i, &layer->gate, has_bias, 1);
        add_linear(w, ROLE_up, i, &layer->up, has_bias, 1);
    }
    add_linear(w, ROLE_down, i, &layer->down, has_bias, 1);
    if (!w->parts->is_parallel || !form->shares_norm)
        add_norm(w, ROLE_mlp_norm, i, &layer->mlp_norm, 1);
    add_norm(w, ROLE_mlp_post_norm, i, &layer->mlp_post_norm, 1);
}

/* The row of the first position is where the form has it: nobody reads those before. */
static void add_positions(struct hf_weights *w)
{
    const struct parts *p = w->parts;
    struct run run = begin(w, ROLE_positions, 0, PART_WEIGHT);
    int64_t first = form_of(w)->first_position, columns = p->positions->view.dims[1],
            skipped = p->first_position > first ? p->first_position - first : 0,
            missing = first > p->first_position ? first - p->first_position : 0,
            rows = p->positions->view.dims[0] - skipped;
    struct tensor_view view = rows_of(&p->positions->view, skipped, rows);
    if (missing > 0)
        add_zeros(&run, missing * columns);
    add_view(&run, &view, 1);
    finish(&run, 2, missing + rows, columns);
}

static void add_head_bias(struct hf_weights *w)
{
    const struct parts *p = w->parts;
    struct run run = begin(w, ROLE_head, 0, PART_BIAS);
    if (p->head_bias)
        add_view(&run, &p->head_bias->view, 1);
    else
        add_zeros(&run, p->vocabulary);
    finish(&run, 1, p->vocabulary, 0);
}

static void add_zero_mlp(struct hf_weights *w, int64_t i)
{
    const struct decoder_form *form = form_of(w);
    const struct parts *p = w->parts;
    bool has_bias = mlp_has_bias(w);
    add_zero_norms(w, i, ROLE_mlp_norm, ROLE_mlp_post_norm);
    if (form->packs_gate) {
        add_zero_weight(w, ROLE_gate_up, i, 2 * p->ffn, p->hidden, has_bias);
    } else {
        if (form->is_gated)
            add_zero_weight(w, ROLE_gate, i, p->ffn, p->hidden, has_bias);
        add_zero_weight(w, ROLE_up, i, p->ffn, p->hidden, has_bias);
    }
    add_zero_weight(w, ROLE_down, i, p->hidden, p->ffn, has_bias);
}

void hf_weights_add(struct hf_weights *w)
{
    const struct parts *p = w->parts;
    float factor = w->form->embedding_factor;
    add_matrix(w, ROLE_embed, p->embed, factor);
    if (p->positions)
        add_positions(w);
    if (p->head)
        add_matrix(w, ROLE_head, p->head, 1);
    if (form_of(w)->has_head_bias)
        add_head_bias(w);
    add_norm(w, ROLE_embed_norm, 0, &p->embed_norm, 1);
    add_norm(w, ROLE_norm, 0, &p->norm, p->head ? 1 : 1 / factor);
    for (uint32_t i = 0; i < p->layers.count; i++) {
        const struct parts_layer *layer = &p->layers.items[i];
        if (layer->attention)
            add_attention(w, i, layer);
        else
            add_zero_attention(w, i);
        if (layer->down.weight)
            add_mlp(w, i, layer);
        else
            add_zero_mlp(w, i);
    }
}

void hf_weights_release(struct hf_weights *weights)
{
    arena_release(&weights->arena);
}
