/* See tests/frontend/traced.h. */
#include "tests/frontend/traced.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t count_of(const struct traced *x)
{
    int64_t count = 1;
    for (uint32_t a = 0; a < x->rank; a++)
        count *= x->dims[a];
    return count;
}

static struct traced make(struct tracer *t, const char *name, uint32_t rank, const int64_t *dims)
{
    struct traced x = {.name = name, .rank = rank};
    memcpy(x.dims, dims, rank * sizeof *dims);
    x.data = ARENA_ARRAY(&t->arena, double, (size_t)count_of(&x));
    return x;
}

/* The coordinates of element `i`. */
static void locate(const struct traced *x, int64_t i, int64_t *at)
{
    for (uint32_t a = x->rank; a-- > 0; i /= x->dims[a])
        at[a] = i % x->dims[a];
}

static int64_t element(const struct traced *x, const int64_t *at)
{
    int64_t i = 0;
    for (uint32_t a = 0; a < x->rank; a++)
        i = i * x->dims[a] + at[a];
    return i;
}

static const char *size_of(struct tracer *t, const char *shape, int64_t axis)
{
    struct onnx_writer *w = &t->writer;
    return onnx_op(w, "Gather", shape, onnx_const_int(w, axis), NULL);
}

void tracer_begin(struct tracer *t, uint64_t seed, int64_t batch, int64_t length)
{
    *t = (struct tracer){.random = {seed}, .batch = batch, .length = length};
    t->writer.opset = 17;
    t->writer.node_prefix = "/";
    onnx_input(&t->writer, "input_ids", ONNX_TEST_INT64, "batch sequence");
    const char *shape = onnx_op(&t->writer, "Shape", "input_ids", NULL);
    t->batch_size = size_of(t, shape, 0);
    t->length_size = size_of(t, shape, 1);
}

void tracer_release(struct tracer *t)
{
    onnx_writer_release(&t->writer);
    arena_release(&t->arena);
}

struct traced traced_weight(struct tracer *t, uint32_t rank, const int64_t *dims)
{
    const char *name = arena_printf(&t->arena, "w%u", t->weights++);
    struct traced x = make(t, name, rank, dims);
    int64_t count = count_of(&x);
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) {
        values[i] = random_float(&t->random) * 0.5f + (rank == 1 ? 1.0f : 0.0f);
        x.data[i] = (double)values[i];
    }
    onnx_tensor(&t->writer, name, ONNX_TEST_FLOAT, rank, dims, values, (size_t)count * sizeof *values);
    free(values);
    return x;
}

struct traced traced_embed(struct tracer *t, const struct traced *table, const int32_t *tokens)
{
    const char *name = onnx_op(&t->writer, "Gather", table->name, "input_ids", NULL);
    int64_t width = table->dims[1];
    struct traced y = make(t, name, 3, (const int64_t[]){t->batch, t->length, width});
    for (int64_t i = 0; i < t->batch * t->length; i++)
        memcpy(y.data + i * width, table->data + tokens[i] * width, (size_t)width * sizeof *y.data);
    return y;
}

struct traced traced_matmul(struct tracer *t, struct traced x, struct traced y)
{
    int64_t m = x.dims[x.rank - 2], k = x.dims[x.rank - 1], n = y.dims[y.rank - 1], dims[TRACED_RANK];
    memcpy(dims, x.dims, sizeof dims);
    dims[x.rank - 1] = n;
    struct traced z = make(t, onnx_op(&t->writer, "MatMul", x.name, y.name, NULL), x.rank, dims);
    int64_t matrices = count_of(&x) / (m * k);
    for (int64_t b = 0; b < matrices; b++)
        for (int64_t i = 0; i < m * n; i++) {
            const double *right = y.data + (y.rank > 2 ? b * k * n : 0);
            for (int64_t c = 0; c < k; c++)
                z.data[b * m * n + i] += x.data[(b * m + i / n) * k + c] * right[c * n + i % n];
        }
    return z;
}

struct traced traced_binary(struct tracer *t, const char *op, struct traced x, struct traced y)
{
    uint32_t rank = x.rank > y.rank ? x.rank : y.rank;
    int64_t dims[TRACED_RANK], at[TRACED_RANK], of_x[TRACED_RANK], of_y[TRACED_RANK];
    for (uint32_t a = 0; a < rank; a++) {
        int64_t dx = a + x.rank < rank ? 1 : x.dims[a + x.rank - rank];
        int64_t dy = a + y.rank < rank ? 1 : y.dims[a + y.rank - rank];
        dims[a] = dx > dy ? dx : dy;
    }
    struct traced z = make(t, onnx_op(&t->writer, op, x.name, y.name, NULL), rank, dims);
    for (int64_t i = 0; i < count_of(&z); i++) {
        locate(&z, i, at);
        for (uint32_t a = 0; a < x.rank; a++)
            of_x[a] = x.dims[a] == 1 ? 0 : at[a + rank - x.rank];
        for (uint32_t a = 0; a < y.rank; a++)
            of_y[a] = y.dims[a] == 1 ? 0 : at[a + rank - y.rank];
        double p = x.data[element(&x, of_x)], q = y.data[element(&y, of_y)];
        z.data[i] = *op == 'A' ? p + q : *op == 'M' ? p * q : p / q;
    }
    return z;
}

struct traced traced_number(struct tracer *t, float value)
{
    struct traced x = {.name = onnx_const_float(&t->writer, value)};
    x.data = ARENA_ARRAY(&t->arena, double, 1);
    *x.data = (double)value;
    return x;
}

struct traced traced_silu(struct tracer *t, struct traced x)
{
    struct onnx_writer *w = &t->writer;
    struct traced y =
        make(t, onnx_op(w, "Mul", x.name, onnx_op(w, "Sigmoid", x.name, NULL), NULL), x.rank, x.dims);
    for (int64_t i = 0; i < count_of(&x); i++)
        y.data[i] = x.data[i] / (1 + exp(-x.data[i]));
    return y;
}

struct traced traced_norm(struct tracer *t, struct traced x, struct traced weight)
{
    struct onnx_writer *w = &t->writer;
    const int64_t last = -1;
    const char *square = onnx_op(w, "Pow", x.name, onnx_const_float(w, 2), NULL);
    onnx_attribute_ints(w, "axes", 1, &last);
    const char *mean = onnx_op(w, "ReduceMean", square, NULL);
    const char *root = onnx_op(w, "Sqrt", onnx_op(w, "Add", mean, onnx_const_float(w, 1e-5f), NULL), NULL);
    const char *name = onnx_op(w, "Mul", onnx_op(w, "Div", x.name, root, NULL), weight.name, NULL);
    struct traced y = make(t, name, x.rank, x.dims);
    int64_t width = x.dims[x.rank - 1];
    for (int64_t i = 0; i < count_of(&x); i++) {
        double sum = 0;
        for (int64_t c = 0; c < width; c++)
            sum += x.data[i / width * width + c] * x.data[i / width * width + c];
        y.data[i] = x.data[i] / sqrt(sum / (double)width + (double)1e-5f) * weight.data[i % width];
    }
    return y;
}

struct traced traced_reshape(struct tracer *t, struct traced x, uint32_t rank, const int64_t *target)
{
    struct onnx_writer *w = &t->writer;
    const char *parts[TRACED_RANK], *shape = onnx_new_name(w);
    int64_t dims[TRACED_RANK], known = 1;
    for (uint32_t a = 0; a < rank; a++) {
        bool is_batch = target[a] == TRACED_BATCH, is_length = target[a] == TRACED_LENGTH;
        parts[a] = is_batch ? t->batch_size : is_length ? t->length_size : onnx_const_int(w, target[a]);
        dims[a] = is_batch ? t->batch : is_length ? t->length : target[a];
        known *= dims[a] > 0 ? dims[a] : 1;
    }
    for (uint32_t a = 0; a < rank; a++)
        if (dims[a] == TRACED_REST)
            dims[a] = count_of(&x) / known;
    onnx_attribute_int(w, "axis", 0);
    onnx_op_named(w, "Concat", 1, &shape, rank, parts);
    struct traced y = make(t, onnx_op(w, "Reshape", x.name, shape, NULL), rank, dims);
    memcpy(y.data, x.data, (size_t)count_of(&x) * sizeof *x.data);
    return y;
}

struct traced traced_transpose(struct tracer *t, struct traced x, const int64_t *order)
{
    int64_t dims[TRACED_RANK], at[TRACED_RANK], from[TRACED_RANK];
    for (uint32_t a = 0; a < x.rank; a++)
        dims[a] = x.dims[order[a]];
    onnx_attribute_ints(&t->writer, "perm", x.rank, order);
    struct traced y = make(t, onnx_op(&t->writer, "Transpose", x.name, NULL), x.rank, dims);
    for (int64_t i = 0; i < count_of(&y); i++) {
        locate(&y, i, at);
        for (uint32_t a = 0; a < x.rank; a++)
            from[order[a]] = at[a];
        y.data[i] = x.data[element(&x, from)];
    }
    return y;
}

/* Elements start, start + step, ... of the axis, `count` of them. */
static struct traced pick(struct tracer *t, struct traced x, const char *name, int64_t axis, int64_t start,
                          int64_t step, int64_t count)
{
    int64_t dims[TRACED_RANK], at[TRACED_RANK];
    memcpy(dims, x.dims, sizeof dims);
    dims[axis] = count;
    struct traced y = make(t, name, x.rank, dims);
    for (int64_t i = 0; i < count_of(&y); i++) {
        locate(&y, i, at);
        at[axis] = start + step * at[axis];
        y.data[i] = x.data[element(&x, at)];
    }
    return y;
}

struct traced traced_slice(struct tracer *t, struct traced x, int64_t axis, int64_t start, int64_t end)
{
    struct onnx_writer *w = &t->writer;
    const char *name = onnx_op(w, "Slice", x.name, onnx_const_int(w, start), onnx_const_int(w, end),
                               onnx_const_int(w, axis), NULL);
    return pick(t, x, name, axis, start, 1, end - start);
}

struct traced traced_reverse(struct tracer *t, struct traced x, int64_t axis)
{
    struct onnx_writer *w = &t->writer;
    const char *name = onnx_op(w, "Slice", x.name, onnx_const_int(w, -1), onnx_const_int(w, INT64_MIN + 1),
                               onnx_const_int(w, axis), onnx_const_int(w, -1), NULL);
    return pick(t, x, name, axis, x.dims[axis] - 1, -1, x.dims[axis]);
}

struct traced traced_concat(struct tracer *t, struct traced x, struct traced y, int64_t axis)
{
    int64_t dims[TRACED_RANK], at[TRACED_RANK];
    memcpy(dims, x.dims, sizeof dims);
    dims[axis] += y.dims[axis];
    onnx_attribute_int(&t->writer, "axis", axis);
    struct traced z = make(t, onnx_op(&t->writer, "Concat", x.name, y.name, NULL), x.rank, dims);
    for (int64_t i = 0; i < count_of(&z); i++) {
        locate(&z, i, at);
        bool is_second = at[axis] >= x.dims[axis];
        at[axis] -= is_second ? x.dims[axis] : 0;
        z.data[i] = is_second ? y.data[element(&y, at)] : x.data[element(&x, at)];
    }
    return z;
}

struct traced traced_expand(struct tracer *t, struct traced x, int64_t axis, int64_t count)
{
    int64_t ones[TRACED_RANK], dims[TRACED_RANK];
    for (uint32_t a = 0; a < x.rank; a++)
        ones[a] = a == (uint32_t)axis ? count : 1;
    memcpy(dims, x.dims, sizeof dims);
    dims[axis] = count;
    const char *shape = onnx_const_ints(&t->writer, x.rank, ones);
    return pick(t, x, onnx_op(&t->writer, "Expand", x.name, shape, NULL), axis, 0, 0, count);
}

struct traced traced_cap(struct tracer *t, struct traced x, float cap)
{
    struct onnx_writer *w = &t->writer;
    const char *bent = onnx_op(w, "Tanh", onnx_op(w, "Div", x.name, onnx_const_float(w, cap), NULL), NULL);
    struct traced y = make(t, onnx_op(w, "Mul", bent, onnx_const_float(w, cap), NULL), x.rank, x.dims);
    for (int64_t i = 0; i < count_of(&x); i++)
        y.data[i] = (double)cap * tanh(x.data[i] / (double)cap);
    return y;
}

/* 0, 1, ... of the run's length. */
static const char *positions(struct tracer *t)
{
    struct onnx_writer *w = &t->writer;
    const char *length = onnx_op(w, "Squeeze", t->length_size, NULL);
    return onnx_op(w, "Range", onnx_const_index(w, 0), length, onnx_const_index(w, 1), NULL);
}

/* Cosines and sines of the angles, [length, size]: each pair's twice. */
static void rotary_tables(struct tracer *t, int64_t half, const float *frequencies, const char *out[2])
{
    struct onnx_writer *w = &t->writer;
    const char *row = onnx_new_name(w);
    onnx_tensor(w, row, ONNX_TEST_FLOAT, 2, (const int64_t[]){1, half}, frequencies,
                (size_t)half * sizeof(float));
    const char *column = onnx_op(w, "Unsqueeze", positions(t), onnx_const_int(w, 1), NULL);
    onnx_attribute_int(w, "to", ONNX_TEST_FLOAT);
    column = onnx_op(w, "Cast", column, NULL);
    const char *angles = onnx_op(w, "Mul", column, row, NULL);
    onnx_attribute_int(w, "axis", -1);
    const char *twice = onnx_op(w, "Concat", angles, angles, NULL);
    out[0] = onnx_op(w, "Cos", twice, NULL);
    out[1] = onnx_op(w, "Sin", twice, NULL);
}

struct traced traced_rotary(struct tracer *t, struct traced x, float base)
{
    struct onnx_writer *w = &t->writer;
    int64_t size = x.dims[x.rank - 1], half = size / 2;
    float *frequencies = ARENA_ARRAY(&t->arena, float, half);
    const char *tables[2];
    for (int64_t i = 0; i < half; i++)
        frequencies[i] = (float)pow((double)base, -2.0 * (double)i / (double)size);
    rotary_tables(t, half, frequencies, tables);
    struct traced first = traced_slice(t, x, x.rank - 1, 0, half),
                  second = traced_slice(t, x, x.rank - 1, half, size);
    const char *turned = onnx_op(w, "Neg", second.name, NULL);
    onnx_attribute_int(w, "axis", -1);
    turned = onnx_op(w, "Concat", turned, first.name, NULL);
    const char *name = onnx_op(w, "Add", onnx_op(w, "Mul", x.name, tables[0], NULL),
                               onnx_op(w, "Mul", turned, tables[1], NULL), NULL);
    struct traced y = make(t, name, x.rank, x.dims);
    for (int64_t i = 0; i < count_of(&x); i++) {
        int64_t channel = i % size, pair = channel % half;
        double angle = (double)(i / size % t->length) * (double)frequencies[pair];
        double other = channel < half ? -x.data[i + half] : x.data[i - half];
        y.data[i] = x.data[i] * cos(angle) + other * sin(angle);
    }
    return y;
}

/* Two values of one shape, an element of each in turn along the last axis. */
static const char *interleave(struct onnx_writer *w, const char *a, const char *b, uint32_t rank,
                              const int64_t *shape)
{
    const char *axis = onnx_const_int(w, -1);
    a = onnx_op(w, "Unsqueeze", a, axis, NULL);
    b = onnx_op(w, "Unsqueeze", b, axis, NULL);
    onnx_attribute_int(w, "axis", -1);
    return onnx_op(w, "Reshape", onnx_op(w, "Concat", a, b, NULL), onnx_const_ints(w, rank, shape), NULL);
}

static const char *every_other(struct tracer *t, const char *x, int64_t start)
{
    struct onnx_writer *w = &t->writer;
    return onnx_op(w, "Slice", x, onnx_const_int(w, start), onnx_const_int(w, INT64_MAX),
                   onnx_const_int(w, 3), onnx_const_int(w, 2), NULL);
}

struct traced traced_neighbours(struct tracer *t, struct traced x, int64_t turned, float base)
{
    struct onnx_writer *w = &t->writer;
    int64_t size = x.dims[3], half = turned / 2;
    float *frequencies = ARENA_ARRAY(&t->arena, float, half);
    const char *tables[2], *halves[2], *part = x.name;
    for (int64_t i = 0; i < half; i++)
        frequencies[i] = (float)pow((double)base, -2.0 * (double)i / (double)turned);
    rotary_tables(t, half, frequencies, tables); /* of halves: the first has each angle once */
    for (int i = 0; i < 2; i++) {
        halves[i] = onnx_op(w, "Slice", tables[i], onnx_const_int(w, 0), onnx_const_int(w, half),
                            onnx_const_int(w, 1), NULL);
        tables[i] = interleave(w, halves[i], halves[i], 2, (const int64_t[]){0, -1});
    }
    if (turned < size)
        part = onnx_op(w, "Slice", x.name, onnx_const_int(w, 0), onnx_const_int(w, turned),
                       onnx_const_int(w, 3), NULL);
    const char *odd = onnx_op(w, "Neg", every_other(t, part, 1), NULL), *even = every_other(t, part, 0);
    const char *others = interleave(w, odd, even, 4, (const int64_t[]){0, 0, 0, -1});
    const char *name = onnx_op(w, "Add", onnx_op(w, "Mul", part, tables[0], NULL),
                               onnx_op(w, "Mul", others, tables[1], NULL), NULL);
    if (turned < size) {
        const char *rest = onnx_op(w, "Slice", x.name, onnx_const_int(w, turned), onnx_const_int(w, size),
                                   onnx_const_int(w, 3), NULL);
        onnx_attribute_int(w, "axis", -1);
        name = onnx_op(w, "Concat", name, rest, NULL);
    }
    struct traced y = make(t, name, x.rank, x.dims);
    for (int64_t i = 0; i < count_of(&x); i++) {
        int64_t channel = i % size;
        double angle =
            channel < turned ? (double)(i / size % t->length) * (double)frequencies[channel / 2] : 0;
        double other = channel >= turned ? 0 : channel % 2 == 0 ? -x.data[i + 1] : x.data[i - 1];
        y.data[i] = x.data[i] * cos(angle) + other * sin(angle);
    }
    return y;
}

/* Which keys a query sees, [length, length]. */
static const char *causal_condition(struct tracer *t, int64_t window)
{
    struct onnx_writer *w = &t->writer;
    const char *range = positions(t);
    const char *keys = onnx_op(w, "Unsqueeze", range, onnx_const_int(w, 0), NULL);
    const char *queries = onnx_op(w, "Unsqueeze", range, onnx_const_int(w, 1), NULL);
    const char *before = onnx_op(w, "LessOrEqual", keys, queries, NULL);
    if (window == 0)
        return before;
    const char *start = onnx_op(w, "Sub", queries, onnx_const_index(w, window), NULL);
    return onnx_op(w, "And", before, onnx_op(w, "Greater", keys, start, NULL), NULL);
}

struct traced traced_causal_softmax(struct tracer *t, struct traced scores, int64_t window)
{
    struct onnx_writer *w = &t->writer;
    const char *masked =
        onnx_op(w, "Where", causal_condition(t, window), scores.name, onnx_const_float(w, -INFINITY), NULL);
    onnx_attribute_int(w, "axis", -1);
    struct traced p = make(t, onnx_op(w, "Softmax", masked, NULL), scores.rank, scores.dims);
    int64_t n = t->length;
    for (int64_t i = 0; i < count_of(&p); i++) {
        double sum = 0, most = -INFINITY;
        const double *row = scores.data + i / n * n;
        int64_t query = i / n % n, key = i % n, first = window && query >= window ? query - window + 1 : 0;
        for (int64_t c = first; c <= query; c++)
            most = fmax(most, row[c]);
        for (int64_t c = first; c <= query; c++)
            sum += exp(row[c] - most);
        p.data[i] = key <= query && key >= first ? exp(row[key] - most) / sum : 0;
    }
    return p;
}
