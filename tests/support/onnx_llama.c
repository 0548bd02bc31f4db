/* Emitting the family. */
#include "tests/support/onnx_llama.h"
#include "tests/support/onnx_neighbours.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_ROWS = 64 };
struct emitter {
    struct onnx_writer *w;
    const struct onnx_llama *m;
    const char *cosine, *sine, *mask; /* over [batch, heads, sequence, head]; mask or condition */
    const char *batch, *sequence;     /* [1] */
};

struct onnx_llama onnx_llama_default(void)
{
    return (struct onnx_llama){.layers = 2,
                               .hidden = 12,
                               .heads = 4,
                               .kv_heads = 2,
                               .head = 4,
                               .ffn = 10,
                               .vocabulary = 11,
                               .opset = 17};
}

/* Of a sparse model, zeros that take no memory until somebody reads them. */
static float *weight_of(const struct emitter *e, const char *part, int64_t count)
{
    float *values = e->w->is_sparse ? calloc((size_t)count, sizeof(float)) : onnx_llama_weight(part, count);
    return neighbours_order_part(values, part, count, e->m);
}

static const char *op2(struct emitter *e, const char *op, const char *x, const char *y)
{
    return e->m->swapped ? onnx_op(e->w, op, y, x, NULL) : onnx_op(e->w, op, x, y, NULL);
}

static uint16_t to_half(float value)
{
    _Float16 half = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

/* Stores a weight of [rows, columns] (columns 0: a vector), transposed when asked. */
static void store(struct emitter *e, const char *name, const float *values, int64_t rows, int64_t columns,
                  bool transposed)
{
    int64_t count = rows * (columns ? columns : 1),
            dims[2] = {transposed ? columns : rows, transposed ? rows : columns};
    if (e->w->is_sparse) {
        onnx_tensor(e->w, name, e->m->half ? ONNX_TEST_FLOAT16 : ONNX_TEST_FLOAT, columns ? 2 : 1, dims,
                    values, (size_t)count * (e->m->half ? sizeof(uint16_t) : sizeof(float)));
        return;
    }
    float *arranged = malloc((size_t)count * sizeof *arranged);
    for (int64_t i = 0; i < count; i++)
        arranged[transposed ? i % columns * rows + i / columns : i] = values[i];
    uint16_t *half = malloc((size_t)count * sizeof *half);
    for (int64_t i = 0; i < count; i++)
        half[i] = to_half(arranged[i]);
    if (e->m->half)
        onnx_tensor(e->w, name, ONNX_TEST_FLOAT16, columns ? 2 : 1, dims, half, (size_t)count * sizeof *half);
    else
        onnx_tensor(e->w, name, ONNX_TEST_FLOAT, columns ? 2 : 1, dims, arranged,
                    (size_t)count * sizeof *arranged);
    free(half);
    free(arranged);
}

/* A stored weight as it is used: half precision is cast up first. */
static const char *use(struct emitter *e, const char *name)
{
    if (!e->m->half)
        return name;
    onnx_attribute_int(e->w, "to", ONNX_TEST_FLOAT);
    return onnx_op(e->w, "Cast", name, NULL);
}

static const char *shape_of(struct emitter *e, uint32_t count, const char *const *parts)
{
    const char *output = onnx_new_name(e->w);
    onnx_attribute_int(e->w, "axis", 0);
    onnx_op_named(e->w, "Concat", 1, &output, count, parts);
    return output;
}

static const char *axis_size(struct emitter *e, const char *x, int64_t axis)
{
    struct onnx_writer *w = e->w;
    const char *shape = onnx_op(w, "Shape", x, NULL), *index = onnx_const_index(w, axis);
    onnx_attribute_int(w, "axis", 0);
    const char *size = onnx_op(w, "Gather", shape, index, NULL);
    return onnx_op(w, "Reshape", size, onnx_const_int(w, 1), NULL);
}

static const char *transpose(struct emitter *e, const char *x, uint32_t rank, const int64_t *order)
{
    onnx_attribute_ints(e->w, "perm", rank, order);
    return onnx_op(e->w, "Transpose", x, NULL);
}

static const char *unsqueeze(struct emitter *e, const char *x, int64_t axis)
{
    if (e->m->opset >= 13)
        return onnx_op(e->w, "Unsqueeze", x, onnx_const_int(e->w, axis), NULL);
    onnx_attribute_ints(e->w, "axes", 1, &axis);
    return onnx_op(e->w, "Unsqueeze", x, NULL);
}

static const char *slice(struct emitter *e, const char *x, int64_t axis, int64_t start, int64_t end)
{
    struct onnx_writer *w = e->w;
    return onnx_op(w, "Slice", x, onnx_const_int(w, start), onnx_const_int(w, end), onnx_const_int(w, axis),
                   NULL);
}

static const char *reshape(struct emitter *e, const char *x, uint32_t count, const char *const *parts)
{
    return onnx_op(e->w, "Reshape", x, shape_of(e, count, parts), NULL);
}

static const char *linear(struct emitter *e, const char *x, const char *part, int64_t out, int64_t in,
                          bool bias)
{
    struct onnx_writer *w = e->w;
    float *values = weight_of(e, part, out * in);
    enum linear_form form = e->m->linear;
    const char *name = arena_printf(&w->arena, "onnx::%s", part), *y;
    store(e, name, values, out, in, form == LINEAR_STORED_IN_OUT || form == LINEAR_RESHAPED);
    free(values);
    const char *weight = use(e, name);
    if (form == LINEAR_STORED_IN_OUT) {
        y = onnx_op(w, "MatMul", x, weight, NULL);
    } else if (form == LINEAR_TRANSPOSED) {
        y = onnx_op(w, "MatMul", x, transpose(e, weight, 2, (const int64_t[]){1, 0}), NULL);
    } else {
        const char *flat = reshape(e, x, 2, (const char *[]){onnx_const_int(w, -1), onnx_const_int(w, in)});
        if (form == LINEAR_GEMM)
            onnx_attribute_int(w, "transB", 1);
        y = onnx_op(w, form == LINEAR_GEMM ? "Gemm" : "MatMul", flat, weight, NULL);
        y = reshape(e, y, 3, (const char *[]){e->batch, e->sequence, onnx_const_int(w, out)});
    }
    if (!bias)
        return y;
    const char *bias_part = arena_printf(&w->arena, "%s.bias", part);
    values = weight_of(e, bias_part, out);
    store(e, bias_part, values, out, 0, false);
    free(values);
    return op2(e, "Add", y, use(e, bias_part));
}

/* One linear layer for several parts, stacked along its outputs; the parts' results by slicing. */
static void packed(struct emitter *e, const char *x, const char *prefix, uint32_t count,
                   const char *const *parts, const int64_t *sizes, const char **outputs)
{
    struct onnx_writer *w = e->w;
    int64_t total = 0, at = 0, in = e->m->hidden;
    for (uint32_t i = 0; i < count; i++)
        total += sizes[i];
    float *values = calloc((size_t)(total * in), sizeof *values);
    for (uint32_t i = 0; i < count; i++) {
        float *part = weight_of(e, arena_printf(&w->arena, "%s%s", prefix, parts[i]), sizes[i] * in);
        memcpy(values + at * in, part, (size_t)(sizes[i] * in) * sizeof *values);
        free(part);
        at += sizes[i];
    }
    const char *name = arena_printf(&w->arena, "onnx::%s%s", prefix, parts[0]);
    store(e, name, values, total, in, true);
    free(values);
    const char *y = onnx_op(w, "MatMul", x, use(e, name), NULL);
    for (uint32_t i = 0, start = 0; i < count; start += (uint32_t)sizes[i++])
        outputs[i] = slice(e, y, 2, start, start + sizes[i]);
}

static const char *mean_square(struct emitter *e, const char *x)
{
    struct onnx_writer *w = e->w;
    const int64_t last = -1;
    const char *square = e->m->norm == NORM_MUL_RECIPROCAL
                             ? onnx_op(w, "Mul", x, x, NULL)
                             : onnx_op(w, "Pow", x, onnx_const_float(w, 2), NULL);
    const char *axes = e->m->opset >= 18 ? onnx_const_int(w, -1) : NULL;
    onnx_attribute_int(w, "keepdims", 1);
    if (axes)
        return onnx_op(w, "ReduceMean", square, axes, NULL);
    onnx_attribute_ints(w, "axes", 1, &last);
    return onnx_op(w, "ReduceMean", square, NULL);
}

static const char *norm(struct emitter *e, const char *x, const char *part)
{
    struct onnx_writer *w = e->w;
    const char *stored = part;
    if (!e->m->shared_norms || strcmp(part, "layers.0.attention_norm") == 0) {
        float *values = onnx_llama_weight(e->m->shared_norms ? "shared" : part, e->m->hidden);
        store(e, part, values, e->m->hidden, 0, false);
        free(values);
    } else {
        stored = onnx_op(w, "Identity", "layers.0.attention_norm", NULL);
    }
    const char *weight = use(e, stored);
    if (e->m->norm == NORM_FUSED) {
        onnx_attribute_float(w, "epsilon", 1e-5f);
        return onnx_op(w, "RMSNormalization", x, weight, NULL);
    }
    const char *variance = op2(e, "Add", mean_square(e, x), onnx_const_float(w, 1e-5f)), *normal;
    if (e->m->norm == NORM_POW_MINUS_HALF) {
        normal = op2(e, "Mul", x, onnx_op(w, "Pow", variance, onnx_const_float(w, -0.5f), NULL));
    } else {
        const char *root = onnx_op(w, "Sqrt", variance, NULL);
        if (e->m->norm == NORM_DIV_SQRT)
            normal = onnx_op(w, "Div", x, root, NULL);
        else if (e->m->norm == NORM_MUL_RECIPROCAL)
            normal = op2(e, "Mul", x, onnx_op(w, "Reciprocal", root, NULL));
        else
            normal = op2(e, "Mul", x, onnx_op(w, "Div", onnx_const_float(w, 1), root, NULL));
    }
    return op2(e, "Mul", normal, weight);
}

/* [.., rows, columns] over positions: cosines and sines, by one of several ways. */
static void make_tables(struct emitter *e, const char *positions)
{
    struct onnx_writer *w = e->w;
    const struct onnx_llama *m = e->m;
    int64_t half = m->head / 2, dims[3] = {1, half, 1};
    float *frequencies = malloc((size_t)half * sizeof *frequencies);
    for (int64_t j = 0; j < half; j++)
        frequencies[j] = onnx_llama_frequency(m, j);
    if (m->rotary == ROTARY_TABLES) {
        float *table[2];
        const char *names[2] = {"cos_cached", "sin_cached"}, *out[2];
        int64_t shape[2] = {TABLE_ROWS, m->head};
        for (uint32_t t = 0; t < 2; t++) {
            table[t] = malloc((size_t)(TABLE_ROWS * m->head) * sizeof(float));
            for (int64_t i = 0; i < TABLE_ROWS * m->head; i++) {
                float angle = (float)(i / m->head) * frequencies[i % half];
                table[t][i] = t == 0 ? (float)cos((double)angle) : (float)sin((double)angle);
            }
            table[t][40 * m->head] += t == 0 ? m->table_error : 0;
            onnx_tensor(w, names[t], ONNX_TEST_FLOAT, 2, shape, table[t],
                        (size_t)(TABLE_ROWS * m->head) * sizeof(float));
            out[t] = unsqueeze(e, onnx_op(w, "Gather", names[t], positions, NULL), m->cache ? 1 : 0);
            free(table[t]);
        }
        e->cosine = out[0];
        e->sine = out[1];
        free(frequencies);
        return;
    }
    onnx_attribute_int(w, "to", ONNX_TEST_FLOAT);
    const char *angles, *p = onnx_op(w, "Cast", positions, NULL);
    if (m->rotary == ROTARY_MATMUL && m->cache) {
        onnx_tensor(w, "inv_freq", ONNX_TEST_FLOAT, 3, dims, frequencies, (size_t)half * sizeof *frequencies);
        angles = onnx_op(w, "MatMul", "inv_freq", unsqueeze(e, p, 1), NULL);
        angles = transpose(e, angles, 3, (const int64_t[]){0, 2, 1});
    } else {
        onnx_tensor(w, "inv_freq", ONNX_TEST_FLOAT, 1, &half, frequencies,
                    (size_t)half * sizeof *frequencies);
        angles = op2(e, "Mul", unsqueeze(e, p, m->cache ? 2 : 1), "inv_freq");
    }
    free(frequencies);
    if (m->rotary == ROTARY_FUSED) { /* [1, sequence, half] */
        angles = m->cache ? angles : unsqueeze(e, angles, 0);
        e->cosine = onnx_op(w, "Cos", angles, NULL);
        e->sine = onnx_op(w, "Sin", angles, NULL);
        return;
    }
    if (m->rotary == ROTARY_NEIGHBOURS)
        angles = neighbours_spread(w, angles, m->cache, half);
    else if (m->rotary != ROTARY_HALVES) {
        onnx_attribute_int(w, "axis", -1);
        angles = onnx_op(w, "Concat", angles, angles, NULL);
    }
    angles = unsqueeze(e, angles, m->cache ? 1 : 0);
    e->cosine = onnx_op(w, "Cos", angles, NULL);
    e->sine = onnx_op(w, "Sin", angles, NULL);
}

static const char *rotate(struct emitter *e, const char *x, int64_t heads)
{
    struct onnx_writer *w = e->w;
    int64_t half = e->m->head / 2;
    const char *low, *high;
    if (e->m->rotary == ROTARY_FUSED)
        return onnx_op(w, "RotaryEmbedding", x, e->cosine, e->sine, NULL);
    if (e->m->rotary == ROTARY_NEIGHBOURS)
        return op2(e, "Add", op2(e, "Mul", x, e->cosine),
                   op2(e, "Mul", neighbours_turn(w, x, heads, e->m->head), e->sine));
    if (e->m->rotary == ROTARY_SPLIT) {
        const char *outputs[2] = {onnx_new_name(w), onnx_new_name(w)}, *inputs[2] = {x, NULL};
        const int64_t parts[2] = {half, half};
        inputs[1] = onnx_const_ints(w, 2, parts);
        onnx_attribute_int(w, "axis", -1);
        onnx_op_named(w, "Split", 2, outputs, 2, inputs);
        low = outputs[0];
        high = outputs[1];
    } else {
        low = slice(e, x, e->m->rotary == ROTARY_CONCAT ? 3 : -1, 0, half);
        high = slice(e, x, -1, half, INT64_MAX);
    }
    if (e->m->rotary == ROTARY_HALVES) {
        const char *first =
            onnx_op(w, "Sub", op2(e, "Mul", low, e->cosine), op2(e, "Mul", high, e->sine), NULL);
        const char *second = op2(e, "Add", op2(e, "Mul", high, e->cosine), op2(e, "Mul", low, e->sine));
        onnx_attribute_int(w, "axis", -1);
        return onnx_op(w, "Concat", first, second, NULL);
    }
    const char *negative = onnx_op(w, "Neg", e->m->rotary == ROTARY_INVERSE ? low : high, NULL);
    onnx_attribute_int(w, "axis", -1);
    const char *turned = e->m->rotary == ROTARY_INVERSE ? onnx_op(w, "Concat", high, negative, NULL)
                                                        : onnx_op(w, "Concat", negative, low, NULL);
    return op2(e, "Add", op2(e, "Mul", x, e->cosine), op2(e, "Mul", turned, e->sine));
}

/* Keys (columns) against positions, both divided by `chunk`. */
static const char *positions_table(struct emitter *e, const char *op, int64_t chunk)
{
    struct onnx_writer *w = e->w;
    const char *zero = onnx_const_index(w, 0), *length = onnx_op(w, "Squeeze", e->sequence, NULL);
    const char *range = onnx_op(w, "Range", zero, length, onnx_const_index(w, 1), NULL);
    range = onnx_op(w, "Div", range, onnx_const_index(w, chunk), NULL);
    return onnx_op(w, op, unsqueeze(e, range, 0), unsqueeze(e, range, 1), NULL);
}

static void make_mask(struct emitter *e)
{
    struct onnx_writer *w = e->w;
    const float low = -3.4028234663852886e38f;
    const char *square = shape_of(e, 2, (const char *[]){e->sequence, e->sequence}), *full;
    switch (e->m->mask) {
    case MASK_NONE:
        return;
    case MASK_WHERE:
    case MASK_CHUNKS:
        e->mask = positions_table(e, "LessOrEqual", 1);
        if (e->m->mask == MASK_CHUNKS)
            e->mask = op2(e, "And", e->mask, positions_table(e, "Equal", e->m->window));
        return;
    case MASK_LESS_WHERE_ADD:
        e->mask = onnx_op(w, "Where", positions_table(e, "Greater", 1), onnx_const_float(w, -INFINITY),
                          onnx_const_float(w, 0), NULL);
        return;
    case MASK_BUFFER: {
        float buffer[16 * 16];
        const int64_t dims[4] = {1, 1, 16, 16};
        for (int i = 0; i < 256; i++)
            buffer[i] = i % 16 > i / 16 || (e->m->window && i / 16 - i % 16 >= e->m->window) ? -INFINITY : 0;
        onnx_tensor(w, "mask_buffer", ONNX_TEST_FLOAT, 4, dims, buffer, sizeof buffer);
        const char *rows =
            onnx_op(w, "Slice", "mask_buffer", onnx_const_int(w, 0), e->sequence, onnx_const_int(w, 2), NULL);
        e->mask = onnx_op(w, "Slice", rows, onnx_const_int(w, 0), e->sequence, onnx_const_int(w, 3), NULL);
        return;
    }
    default:
        break;
    }
    onnx_attribute_tensor(w, "value", ONNX_TEST_FLOAT, 1, (const int64_t[]){1}, &low, sizeof low);
    full = onnx_op(w, "ConstantOfShape", square, NULL);
    const char *diagonal = onnx_const_index(w, e->m->mask == MASK_SEES_NEXT ? 2 : 1);
    onnx_attribute_int(w, "upper", 1);
    e->mask = onnx_op(w, "Trilu", full, diagonal, NULL);
    if (e->m->mask == MASK_WINDOW) {
        diagonal = onnx_const_index(w, -e->m->window);
        onnx_attribute_int(w, "upper", 0);
        e->mask = onnx_op(w, "Add", e->mask, onnx_op(w, "Trilu", full, diagonal, NULL), NULL);
    }
    if (e->m->cache) { /* padding as well, which is all zeros */
        const char *seen = unsqueeze(e, unsqueeze(e, "attention_mask", 1), 2);
        onnx_attribute_int(w, "to", ONNX_TEST_FLOAT);
        seen = onnx_op(w, "Cast", seen, NULL);
        const char *hidden = onnx_op(w, "Sub", onnx_const_float(w, 1), seen, NULL);
        e->mask = op2(e, "Add", unsqueeze(e, unsqueeze(e, e->mask, 0), 1),
                      onnx_op(w, "Mul", hidden, onnx_const_float(w, low), NULL));
    }
}

static const char *heads_of(struct emitter *e, const char *x, int64_t heads)
{
    struct onnx_writer *w = e->w;
    const char *count = e->m->linear == LINEAR_TRANSPOSED ? onnx_const_int(w, -1) : onnx_const_int(w, heads);
    const char *parts[] = {e->batch, e->sequence, count, onnx_const_int(w, e->m->head)};
    return transpose(e, reshape(e, x, 4, parts), 4, (const int64_t[]){0, 2, 1, 3});
}

static const char *with_past(struct emitter *e, const char *x, int64_t layer, const char *kind)
{
    struct onnx_writer *w = e->w;
    if (!e->m->cache)
        return x;
    const char *inputs[2] = {arena_printf(&w->arena, "past_key_values.%d.%s", (int)layer, kind), x};
    const char *output = arena_printf(&w->arena, "present.%d.%s", (int)layer, kind);
    onnx_input(w, inputs[0], ONNX_TEST_FLOAT,
               arena_printf(&w->arena, "batch %d past %d", (int)e->m->kv_heads, (int)e->m->head));
    onnx_output(w, output);
    onnx_attribute_int(w, "axis", -2);
    onnx_op_named(w, "Concat", 1, &output, 2, inputs);
    return output;
}

/* [batch, kv heads, sequence, head] -> [batch, heads, sequence, head] */
static const char *repeat(struct emitter *e, const char *x)
{
    struct onnx_writer *w = e->w;
    int64_t times = e->m->heads / e->m->kv_heads;
    if (times == 1 || e->m->repeat == REPEAT_FIVE_AXES || e->m->fused != FUSED_NOT)
        return x;
    bool tiled = e->m->repeat == REPEAT_TILED;
    const char *kv = onnx_const_int(w, e->m->kv_heads), *r = onnx_const_int(w, times);
    const char *target[] = {e->batch, tiled ? r : kv, tiled ? kv : r, axis_size(e, x, 2),
                            onnx_const_int(w, e->m->head)};
    const char *wide = onnx_op(w, "Expand", unsqueeze(e, x, tiled ? 1 : 2), shape_of(e, 5, target), NULL);
    const char *merged[] = {e->batch, onnx_const_int(w, e->m->heads), e->sequence,
                            onnx_const_int(w, e->m->head)};
    return reshape(e, wide, 4, merged);
}

static const char *scaled(struct emitter *e, const char *x, float factor)
{
    return op2(e, "Mul", x, onnx_const_float(e->w, factor));
}

static const char *masked_softmax(struct emitter *e, const char *scores, const char *keys)
{
    struct onnx_writer *w = e->w;
    float head = (float)e->m->head;
    if (e->m->scale == SCALE_DIV)
        scores = onnx_op(w, "Div", scores, onnx_const_float(w, sqrtf(head)), NULL);
    if (e->m->scale == SCALE_MUL)
        scores = scaled(e, scores, 1 / sqrtf(head));
    if (e->m->scale == SCALE_SHAPE) {
        const char *size = axis_size(e, keys, -1);
        onnx_attribute_int(w, "to", ONNX_TEST_FLOAT);
        size = onnx_op(w, "Cast", size, NULL);
        scores = onnx_op(w, "Div", scores, onnx_op(w, "Sqrt", size, NULL), NULL);
    }
    if (e->mask && (e->m->mask == MASK_WHERE || e->m->mask == MASK_CHUNKS))
        scores = onnx_op(w, "Where", e->mask, scores, onnx_const_float(w, -INFINITY), NULL);
    else if (e->mask)
        scores = op2(e, "Add", scores, e->mask);
    onnx_attribute_int(w, "axis", -1);
    return onnx_op(w, "Softmax", scores, NULL);
}

static const char *stacked(struct emitter *e, const char *x, const char *rows, const char *columns)
{
    const char *heads[] = {onnx_const_int(e->w, -1), rows, columns};
    return e->m->merged_batch ? reshape(e, x, 3, heads) : x;
}

static const char *attend(struct emitter *e, const char *q, const char *k, const char *v)
{
    struct onnx_writer *w = e->w;
    const struct onnx_llama *m = e->m;
    int64_t times = m->heads / m->kv_heads;
    const char *head = onnx_const_int(w, m->head);
    if (m->fused == FUSED_CAUSAL) {
        onnx_attribute_int(w, "is_causal", 1);
        return onnx_op(w, "Attention", q, k, v, NULL);
    }
    if (m->fused == FUSED_MASKED) {
        onnx_attribute_float(w, "scale", 1 / sqrtf((float)m->head));
        return onnx_op(w, "Attention", q, k, v, e->mask, NULL);
    }
    if (m->scale == SCALE_SPLIT) {
        q = scaled(e, q, sqrtf(1 / sqrtf((float)m->head)));
        k = scaled(e, k, sqrtf(1 / sqrtf((float)m->head)));
    }
    if (m->repeat == REPEAT_FIVE_AXES) { /* [b, g, r, s, d] against [b, g, 1, d, s] */
        const char *grouped[] = {e->batch, onnx_const_int(w, m->kv_heads), onnx_const_int(w, times),
                                 e->sequence, head};
        const char *merged[] = {e->batch, onnx_const_int(w, m->heads), e->sequence, e->sequence};
        const char *keys = unsqueeze(e, transpose(e, k, 4, (const int64_t[]){0, 1, 3, 2}), 2);
        const char *scores =
            reshape(e, onnx_op(w, "MatMul", reshape(e, q, 5, grouped), keys, NULL), 4, merged);
        const char *split[] = {e->batch, grouped[1], grouped[2], e->sequence, e->sequence};
        const char *weights = reshape(e, masked_softmax(e, scores, k), 5, split);
        const char *whole[] = {e->batch, onnx_const_int(w, m->heads), e->sequence, head};
        return reshape(e, onnx_op(w, "MatMul", weights, unsqueeze(e, v, 2), NULL), 4, whole);
    }
    const char *keys =
        transpose(e, stacked(e, k, e->sequence, head), m->merged_batch ? 3 : 4,
                  m->merged_batch ? (const int64_t[]){0, 2, 1} : (const int64_t[]){0, 1, 3, 2});
    const char *scores = onnx_op(w, "MatMul", stacked(e, q, e->sequence, head), keys, NULL);
    if (m->merged_batch) {
        const char *whole[] = {e->batch, onnx_const_int(w, m->heads), e->sequence, e->sequence};
        scores = reshape(e, scores, 4, whole);
    }
    return onnx_op(w, "MatMul", masked_softmax(e, scores, k), v, NULL);
}

static const char *attention(struct emitter *e, const char *x, int64_t layer)
{
    struct onnx_writer *w = e->w;
    const struct onnx_llama *m = e->m;
    const char *prefix = arena_printf(&w->arena, "layers.%d.", (int)layer);
    int64_t wide = m->heads * m->head, narrow = m->kv_heads * m->head;
    const char *projections[3], *q, *k, *v;
    if (m->packed) {
        packed(e, x, prefix, 3, (const char *[]){"q", "k", "v"}, (const int64_t[]){wide, narrow, narrow},
               projections);
    } else {
        projections[0] = linear(e, x, arena_printf(&w->arena, "%sq", prefix), wide, m->hidden, m->bias);
        projections[1] = linear(e, x, arena_printf(&w->arena, "%sk", prefix), narrow, m->hidden, m->bias);
        projections[2] = linear(e, x, arena_printf(&w->arena, "%sv", prefix), narrow, m->hidden, m->bias);
    }
    q = projections[0];
    k = projections[1];
    v = projections[2];
    q = rotate(e, heads_of(e, q, m->heads), m->heads);
    k = with_past(e, rotate(e, heads_of(e, k, m->kv_heads), m->kv_heads), layer, "key");
    v = with_past(e, heads_of(e, v, m->kv_heads), layer, "value");
    const char *o = transpose(e, attend(e, q, repeat(e, k), repeat(e, v)), 4, (const int64_t[]){0, 2, 1, 3});
    o = reshape(e, o, 3, (const char *[]){e->batch, e->sequence, onnx_const_int(w, -1)});
    return linear(e, o, arena_printf(&w->arena, "%so", prefix), m->hidden, wide, false);
}

static const char *silu(struct emitter *e, const char *x)
{
    struct onnx_writer *w = e->w;
    if (e->m->silu == SILU_EXP) {
        const char *power = onnx_op(w, "Exp", onnx_op(w, "Neg", x, NULL), NULL);
        return onnx_op(w, "Div", x, op2(e, "Add", onnx_const_float(w, 1), power), NULL);
    }
    const char *sigmoid = onnx_op(w, "Sigmoid", x, NULL);
    return e->m->silu == SILU_SIGMOID ? onnx_op(w, "Mul", x, sigmoid, NULL)
                                      : onnx_op(w, "Mul", sigmoid, x, NULL);
}

static const char *mlp(struct emitter *e, const char *x, int64_t layer)
{
    struct onnx_writer *w = e->w;
    const struct onnx_llama *m = e->m;
    const char *prefix = arena_printf(&w->arena, "layers.%d.", (int)layer);
    const char *halves[2];
    if (m->packed) {
        packed(e, x, prefix, 2, (const char *[]){"gate", "up"}, (const int64_t[]){m->ffn, m->ffn}, halves);
    } else {
        halves[0] = linear(e, x, arena_printf(&w->arena, "%sgate", prefix), m->ffn, m->hidden, false);
        halves[1] = linear(e, x, arena_printf(&w->arena, "%sup", prefix), m->ffn, m->hidden, false);
    }
    const char *gated = op2(e, "Mul", silu(e, halves[0]), halves[1]);
    return linear(e, gated, arena_printf(&w->arena, "%sdown", prefix), m->hidden, m->ffn, false);
}

static void head(struct emitter *e, const char *x)
{
    struct onnx_writer *w = e->w;
    const struct onnx_llama *m = e->m;
    const char *weight = "embed", *logits = "logits";
    if (m->tie != TIE_SAME_TENSOR) {
        weight = "onnx::head";
        float *values = weight_of(e, m->tie == TIE_COPY ? "embed" : "head", m->vocabulary * m->hidden);
        store(e, weight, values, m->vocabulary, m->hidden, m->tie == TIE_COPY);
        free(values);
    }
    weight = use(e, weight);
    if (m->tie != TIE_COPY)
        weight = transpose(e, weight, 2, (const int64_t[]){1, 0});
    onnx_op_named(w, "MatMul", 1, &logits, 2, (const char *[]){x, weight});
    onnx_output(w, logits);
}

void onnx_llama_write(struct onnx_writer *w, const struct onnx_llama *m)
{
    struct emitter e = {.w = w, .m = m};
    w->opset = m->opset;
    w->reversed = m->reversed;
    w->constant_nodes = m->constant_nodes;
    w->node_prefix = m->node_prefix;
    w->external = m->external;
    onnx_input(w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    e.batch = axis_size(&e, "input_ids", 0);
    e.sequence = axis_size(&e, "input_ids", 1);
    const char *positions = "position_ids";
    if (m->cache) {
        onnx_input(w, "attention_mask", ONNX_TEST_INT64, "batch total");
        onnx_input(w, "position_ids", ONNX_TEST_INT64, "batch sequence");
    } else {
        positions = onnx_op(w, "Range", onnx_const_index(w, 0), onnx_op(w, "Squeeze", e.sequence, NULL),
                            onnx_const_index(w, 1), NULL);
    }
    float *values = weight_of(&e, "embed", m->vocabulary * m->hidden);
    store(&e, "embed", values, m->vocabulary, m->hidden, false);
    free(values);
    const char *x = onnx_op(w, "Gather", use(&e, "embed"), "input_ids", NULL);
    make_tables(&e, positions);
    make_mask(&e);
    for (int64_t layer = 0; layer < m->layers; layer++) {
        const char *name = arena_printf(&w->arena, "layers.%d.attention_norm", (int)layer);
        x = op2(&e, "Add", x, attention(&e, norm(&e, x, name), layer));
        name = arena_printf(&w->arena, "layers.%d.mlp_norm", (int)layer);
        x = op2(&e, "Add", x, mlp(&e, norm(&e, x, name), layer));
    }
    head(&e, norm(&e, x, "norm"));
}
