/* Quantised weights: each is decoded to floats once, and a note says so. */
#include "frontend/decoded.h"
#include "frontend/importer.h"
#include <inttypes.h>
#include <string.h>

enum { MOST_BITS = 8, MOST_AXIS = 1 << 26 };

/* The bytes of a stored tensor of 8-bit integers; NULL when it is something else. */
static const uint8_t *stored_bytes(const struct rule *rule, uint32_t slot, int64_t *count, int32_t *type)
{
    const struct import_value *value = rule_is_concrete(rule, slot) ? rule->inputs[slot] : NULL;
    const struct onnx_data *data = value ? value->data : NULL;
    if (!data || (data->type != ONNX_UINT8 && data->type != ONNX_INT8) || data->size != (size_t)data->count)
        return NULL;
    *count = data->count;
    *type = data->type;
    return data->bytes;
}

static bool is_there(const struct rule *rule, uint32_t slot)
{
    return slot < rule->input_count && rule->inputs[slot];
}

/* Floats of a stored tensor with `count` elements, of any shape. */
static bool stored_floats(const struct rule *rule, uint32_t slot, int64_t count, struct tensor_view *view)
{
    if (!rule_is_concrete(rule, slot) || !rule->inputs[slot]->has_weight)
        return false;
    *view = rule->inputs[slot]->weight;
    return tensor_view_count(view) == count;
}

static void note(struct rule *rule, const char *what)
{
    const struct imported_model *model = rule->im->model;
    for (uint32_t i = 0; i < model->notes.count; i++)
        if (str_starts_with(model->notes.items[i], what))
            return;
    import_note(rule->im, "%s %s decoded to f32", what, model->use == IMPORT_TO_LOOK ? "would be" : "were");
}

/* Rows of floats as a weight [rows, columns]. */
struct rows {
    struct decoded file;
    int64_t rows, columns;
    float *row;
};

/* `left`: what it is that was not decoded, or NULL. */
static enum status finish(struct rule *rule, struct rows *r, struct undecoded *left, struct import_value *out)
{
    const struct mapping *mapping = NULL;
    const int64_t dims[2] = {r->rows, r->columns};
    TRY(decoded_map(&mapping, &r->file, rule->im->model, rule->trace));
    *out = (struct import_value){.kind = VALUE_CONCRETE, .has_weight = true};
    if (left) {
        left->base = mapping->data;
        decoded_add_left_out(rule->im->model, left);
    }
    return tensor_view_dense(&out->weight, mapping, mapping->data, mapping->size, DTYPE_F32, 2, dims,
                             rule->trace);
}

/* ---- what is left as it is (frontend/decoded.h) ---- */

static const char by_blocks[] = "blocks along rows", by_scales[] = "DequantizeLinear";

static bool is_left_out(const struct rule *rule, const struct rows *r, const struct tensor_view *scales)
{
    uint64_t count = (uint64_t)r->rows * (uint64_t)r->columns; /* each is at most MOST_AXIS, or in memory */
    return tensor_view_is_dense(scales) && decoded_is_left_out(rule->im->model, count);
}

static struct str bytes_of(const uint8_t *bytes, int64_t count)
{
    return (struct str){(const char *)bytes, bytes ? (size_t)count : 0};
}

static struct str scales_of(const struct tensor_view *scales)
{
    const uint8_t *first = scales->base + (size_t)scales->offset * dtype_size(scales->dtype);
    return bytes_of(first, (int64_t)tensor_view_bytes(scales));
}

/* ---- blocks along rows: MatMulNBits ---- */

/* onnxruntime's docs/ContribOperators.md: row n is cut into blocks of `block` elements with a scale each;
 * elements are `bits` wide, low ones first in a byte, and stand for (q - zero) * scale. */
struct blocks {
    int64_t bits, block, count;   /* count: of a row */
    const uint8_t *bytes, *zeros; /* zeros: of a row padded to whole bytes, or NULL: 2^(bits - 1) */
    struct tensor_view scales;
    float *row_scales;
};

static uint32_t element(const uint8_t *bytes, int64_t i, int64_t bits)
{
    return bits == 8 ? bytes[i] : bytes[i / 2] >> (i % 2 * 4) & 15;
}

static void decode_row(const struct blocks *b, struct rows *r, int64_t n)
{
    int64_t bytes = b->block * b->bits / 8, zero_bytes = (b->count * b->bits + 7) / 8;
    tensor_view_read_f32(&b->scales, n * b->count, b->count, b->row_scales);
    for (int64_t k = 0; k < r->columns; k++) {
        int64_t block = k / b->block;
        const uint8_t *place = b->bytes + (n * b->count + block) * bytes;
        int64_t zero = b->zeros ? (int64_t)element(b->zeros + n * zero_bytes, block, b->bits)
                                : INT64_C(1) << (b->bits - 1);
        r->row[k] = (float)((int64_t)element(place, k % b->block, b->bits) - zero) * b->row_scales[block];
    }
}

/* The sizes are known; scales and zero points are inputs from `scales` on, the elements input `data`. */
static enum status read_blocks(struct rule *rule, struct blocks *b, const struct rows *r, uint32_t data,
                               uint32_t scales)
{
    int64_t found, zeros;
    int32_t type;
    if (r->rows < 1 || r->columns < 1 || r->rows > MOST_AXIS || r->columns > MOST_AXIS || b->block < 16 ||
        b->block > MOST_AXIS || (b->block & (b->block - 1)) != 0)
        return status_fail(rule->trace, INVALID, "N = %" PRId64 ", K = %" PRId64 ", block_size = %" PRId64,
                           r->rows, r->columns, b->block);
    if (b->bits != 4 && b->bits != 8)
        return rule_refuse(rule, "%" PRId64 " bits, only 4 and 8 are supported", b->bits);
    b->count = (r->columns + b->block - 1) / b->block;
    b->bytes = stored_bytes(rule, data, &found, &type);
    if (!b->bytes || type != ONNX_UINT8 || found != r->rows * b->count * (b->block * b->bits / 8))
        return rule_refuse(rule, "input %u is not a stored tensor of %" PRId64 " bytes", data,
                           r->rows * b->count * (b->block * b->bits / 8));
    if (!stored_floats(rule, scales, r->rows * b->count, &b->scales))
        return rule_refuse(rule, "input %u is not a stored tensor of %" PRId64 " scales", scales,
                           r->rows * b->count);
    if (is_there(rule, scales + 1)) {
        b->zeros = stored_bytes(rule, scales + 1, &zeros, &type);
        if (!b->zeros || type != ONNX_UINT8 || zeros != r->rows * ((b->count * b->bits + 7) / 8))
            return rule_refuse(rule, "input %u is not a stored tensor of zero points of %" PRId64 " bits",
                               scales + 1, b->bits);
    }
    return OK;
}

static enum status decode_blocks(struct rule *rule, const struct blocks *b, struct rows *r)
{
    for (int64_t n = 0; n < r->rows; n++) {
        decode_row(b, r, n);
        TRY(decoded_write(&r->file, r->row, (size_t)r->columns, rule->trace));
    }
    return OK;
}

static struct undecoded blocks_as_they_are(const struct blocks *b, const struct rows *r)
{
    int64_t bytes = b->count * (b->block * b->bits / 8), zeros = (b->count * b->bits + 7) / 8;
    return (struct undecoded){.rule = by_blocks,
                              .parameter = b->block << 8 | b->bits << 4 | b->scales.dtype,
                              .parts = {bytes_of(b->bytes, r->rows * bytes), scales_of(&b->scales),
                                        bytes_of(b->zeros, r->rows * zeros)}};
}

static enum status decode_weight(struct rule *rule, const struct blocks *blocks, struct rows *r,
                                 struct import_value *out)
{
    struct blocks b = *blocks;
    struct arena scratch = {0};
    r->row = ARENA_ARRAY(&scratch, float, (size_t)r->columns);
    b.row_scales = ARENA_ARRAY(&scratch, float, (size_t)b.count);
    enum status status = decoded_open(&r->file, rule->trace);
    bool is_left = is_left_out(rule, r, &b.scales);
    struct undecoded left = is_left ? blocks_as_they_are(&b, r) : (struct undecoded){0};
    if (status == OK)
        status = is_left ? decoded_skip(&r->file, (uint64_t)(r->rows * r->columns), rule->trace)
                         : decode_blocks(rule, &b, r);
    if (status == OK)
        status = finish(rule, r, is_left ? &left : NULL, out);
    decoded_close(&r->file);
    arena_release(&scratch);
    note(rule, b.bits == 4 ? "weights of 4 bits in blocks" : "weights of 8 bits in blocks");
    return status;
}

enum status rule_MatMulNBits(struct rule *rule)
{
    struct import_value weight;
    struct blocks b = {.bits = onnx_integer(rule->node, "bits", 4),
                       .block = onnx_integer(rule->node, "block_size", 0)};
    struct rows r = {.rows = onnx_integer(rule->node, "N", 0), .columns = onnx_integer(rule->node, "K", 0)};
    if (rule->input_count < 3 || !rule_is_activation(rule, 0))
        return rule_refuse(rule, "expected an activation times a quantised weight");
    TRY(read_blocks(rule, &b, &r, 1, 2));
    if (is_there(rule, 4))
        return rule_refuse(rule, "input 4 (an order of the channels) is not supported");
    TRY(decode_weight(rule, &b, &r, &weight));
    TRY(rule_linear(rule, rule->inputs[0], &weight));
    if (!is_there(rule, 5))
        return OK;
    struct import_value product = rule->outputs[0];
    struct term term = {.kind = TERM_BIAS, .x = product.term, .size = rule_get(rule, &product)->size};
    if (!rule_vector(rule, 5, term.size, &term.weight))
        return rule_refuse(rule, "input 5 is not a stored vector of %" PRId64 " elements", term.size);
    rule_set(rule, 0, rule_term(rule, term), &product.view);
    return OK;
}

/* ---- GatherBlockQuantized ---- */

/* Rows of a table that is stored so, picked by ids: [rows, bytes of a row], scales [rows, blocks]. */
enum status rule_GatherBlockQuantized(struct rule *rule)
{
    struct import_value table;
    const struct onnx_data *data = rule_is_concrete(rule, 0) ? rule->inputs[0]->data : NULL;
    struct blocks b = {.bits = onnx_integer(rule->node, "bits", 4),
                       .block = onnx_integer(rule->node, "block_size", 128)};
    int64_t axis = onnx_integer(rule->node, "gather_axis", 0),
            along = onnx_integer(rule->node, "quantize_axis", 1);
    if (!data || data->rank != 2 || data->dims[1] > MOST_AXIS || axis != 0 || (along != 1 && along != -1))
        return rule_refuse(rule, "only rows of a stored matrix whose blocks lie along its rows are gathered");
    struct rows r = {.rows = data->dims[0], .columns = b.bits == 4 ? 2 * data->dims[1] : data->dims[1]};
    if (b.block > 0 && r.columns % b.block != 0)
        return rule_refuse(rule, "rows of %" PRId64 " elements are no multiple of block_size = %" PRId64,
                           r.columns, b.block);
    TRY(read_blocks(rule, &b, &r, 0, 2));
    TRY(decode_weight(rule, &b, &r, &table));
    struct rule *inner = ARENA_NEW(rule->im->arena, struct rule);
    *inner = (struct rule){.im = rule->im, .node = rule->node, .trace = rule->trace, .input_count = 2};
    inner->inputs[0] = &table;
    inner->inputs[1] = rule->inputs[1];
    TRY(rule_Gather(inner));
    rule->outputs[0] = inner->outputs[0];
    return OK;
}

/* ---- DequantizeLinear ---- */

/* (q - zero) * scale, with one scale for all, for each index of an axis, or for each block of an axis. */
struct linear_scales {
    struct tensor_view scales;
    const uint8_t *zeros; /* or NULL: 0 */
    int32_t type;
    int64_t row_step, column_step, row_block,
        column_block; /* scale number row / row_block * row_step + ... */
};

static bool find_scales(struct rule *rule, struct linear_scales *s, const struct rows *r)
{
    int64_t axis = onnx_integer(rule->node, "axis", 1), block = onnx_integer(rule->node, "block_size", 0),
            zeros;
    int64_t sizes[2] = {r->rows, r->columns};
    int32_t type;
    axis += axis < 0 ? 2 : 0;
    s->row_block = s->column_block = 1;
    if (axis < 0 || axis > 1 || block < 0 || (block > 0 && sizes[axis] % block != 0))
        return false;
    int64_t per_axis = block > 0 ? sizes[axis] / block : sizes[axis];
    int64_t count = block > 0 ? per_axis * sizes[1 - axis] : per_axis;
    if (block > 0) {
        s->row_block = axis == 0 ? block : 1;
        s->column_block = axis == 1 ? block : 1;
        s->row_step = axis == 0 ? sizes[1] : per_axis;
        s->column_step = 1;
    } else if (stored_floats(rule, 1, count, &s->scales) && count > 1) {
        s->row_step = axis == 0;
        s->column_step = axis == 1;
    } else {
        count = 1;
    }
    if (!stored_floats(rule, 1, count, &s->scales))
        return false;
    if (!is_there(rule, 2))
        return true;
    s->zeros = stored_bytes(rule, 2, &zeros, &type);
    return s->zeros && zeros == count && type == s->type;
}

static double integer_of(uint8_t byte, int32_t type)
{
    return type == ONNX_INT8 ? (double)(int8_t)byte : (double)byte;
}

static enum status decode_linear(struct rule *rule, const uint8_t *bytes, const struct linear_scales *s,
                                 struct rows *r)
{
    int64_t count = tensor_view_count(&s->scales);
    struct arena scratch = {0};
    float *scales = ARENA_ARRAY(&scratch, float, (size_t)count);
    enum status status = OK;
    tensor_view_read_f32(&s->scales, 0, count, scales);
    r->row = ARENA_ARRAY(&scratch, float, (size_t)r->columns);
    for (int64_t n = 0; status == OK && n < r->rows; n++) {
        for (int64_t k = 0; k < r->columns; k++) {
            int64_t at = n / s->row_block * s->row_step + k / s->column_block * s->column_step;
            double zero = s->zeros ? integer_of(s->zeros[at], s->type) : 0;
            r->row[k] = (float)(integer_of(bytes[n * r->columns + k], s->type) - zero) * scales[at];
        }
        status = decoded_write(&r->file, r->row, (size_t)r->columns, rule->trace);
    }
    arena_release(&scratch);
    return status;
}

static struct undecoded linear_as_it_is(const struct rule *rule, const uint8_t *bytes,
                                        const struct linear_scales *s, const struct rows *r)
{
    int64_t count = tensor_view_count(&s->scales), axis = onnx_integer(rule->node, "axis", 1),
            block = onnx_integer(rule->node, "block_size", 0);
    return (struct undecoded){
        .rule = by_scales,
        .parameter = block << 16 | (axis & 3) << 12 | s->type << 4 | s->scales.dtype,
        .parts = {bytes_of(bytes, r->rows * r->columns), scales_of(&s->scales), bytes_of(s->zeros, count)}};
}

enum status rule_DequantizeLinear(struct rule *rule)
{
    struct linear_scales s = {0};
    struct rows r = {0};
    int64_t count;
    const uint8_t *bytes = stored_bytes(rule, 0, &count, &s.type);
    const struct onnx_data *data = bytes ? rule->inputs[0]->data : NULL;
    if (!data || data->rank != 2 || count == 0 || data->dims[1] > MOST_AXIS)
        return rule_refuse(rule, "only stored matrices of 8-bit integers are decoded");
    r.rows = data->dims[0];
    r.columns = data->dims[1];
    if (!find_scales(rule, &s, &r))
        return rule_refuse(
            rule, "its scales and zero points are not stored, or do not fit [%" PRId64 ", %" PRId64 "]",
            r.rows, r.columns);
    enum status status = decoded_open(&r.file, rule->trace);
    bool is_left = is_left_out(rule, &r, &s.scales);
    struct undecoded left = is_left ? linear_as_it_is(rule, bytes, &s, &r) : (struct undecoded){0};
    if (status == OK)
        status = is_left ? decoded_skip(&r.file, (uint64_t)(r.rows * r.columns), rule->trace)
                         : decode_linear(rule, bytes, &s, &r);
    if (status == OK)
        status = finish(rule, &r, is_left ? &left : NULL, &rule->outputs[0]);
    decoded_close(&r.file);
    note(rule, "weights of 8 bits");
    return status;
}
