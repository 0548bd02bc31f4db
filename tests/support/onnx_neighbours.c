/* See tests/support/onnx_neighbours.h. */
#include "tests/support/onnx_neighbours.h"
#include <stdlib.h>
#include <string.h>

void neighbours_order(float *values, int64_t rows, int64_t columns, int64_t head)
{
    size_t size = (size_t)columns * sizeof *values;
    float *from = malloc((size_t)rows * size);
    memcpy(from, values, (size_t)rows * size);
    for (int64_t row = 0; row < rows; row++) {
        int64_t inside = row % head, place = row - inside + inside % (head / 2) * 2 + inside / (head / 2);
        memcpy(values + place * columns, from + row * columns, size);
    }
    free(from);
}

float *neighbours_order_part(float *values, const char *part, int64_t count, const struct onnx_llama *model)
{
    bool is_query = strstr(part, ".q") != NULL;
    int64_t rows = (is_query ? model->heads : model->kv_heads) * model->head;
    if (model->rotary == ROTARY_NEIGHBOURS && (is_query || strstr(part, ".k")))
        neighbours_order(values, rows, count / rows, model->head);
    return values;
}

/* Two values of one shape [..., count] become [..., 2 * count]. */
static const char *stack(struct onnx_writer *w, const char *a, const char *b, uint32_t rank,
                         const int64_t *shape)
{
    const char *axis = onnx_const_ints(w, 1, (const int64_t[]){-1});
    a = onnx_op(w, "Unsqueeze", a, axis, NULL);
    b = onnx_op(w, "Unsqueeze", b, axis, NULL);
    onnx_attribute_int(w, "axis", -1);
    const char *pairs = onnx_op(w, "Concat", a, b, NULL);
    return onnx_op(w, "Reshape", pairs, onnx_const_ints(w, rank, shape), NULL);
}

const char *neighbours_spread(struct onnx_writer *w, const char *angles, bool has_batch, int64_t half)
{
    return stack(w, angles, angles, has_batch ? 3 : 2,
                 has_batch ? (const int64_t[]){0, -1, 2 * half} : (const int64_t[]){-1, 2 * half});
}

/* Every second channel. */
static const char *every_second(struct onnx_writer *w, const char *x, int64_t start)
{
    const char *inputs[5] = {x, NULL, NULL, NULL, NULL};
    const int64_t values[4] = {start, INT64_MAX, 3, 2};
    for (int i = 0; i < 4; i++)
        inputs[1 + i] = onnx_const_ints(w, 1, &values[i]);
    const char *out = onnx_new_name(w);
    onnx_op_named(w, "Slice", 1, &out, 5, inputs);
    return out;
}

const char *neighbours_turn(struct onnx_writer *w, const char *x, int64_t heads, int64_t head)
{
    const char *even = every_second(w, x, 0), *odd = onnx_op(w, "Neg", every_second(w, x, 1), NULL);
    return stack(w, odd, even, 4, (const int64_t[]){0, heads, -1, head});
}
