/* See tests/emit/onnx_run.h. The operators are as their specification has them, written for the forms that
 * espalier exports: the last axis, three axes, heads side by side. */
#include "tests/emit/onnx_run.h"
#include "frontend/importer.h"
#include <math.h>

struct call {
    struct onnx_run *run;
    struct evaluation e;
};

static struct array *result(struct call *c, uint32_t output, uint32_t rank, const int64_t *dims)
{
    c->e.outputs[output] = onnx_run_array(c->run, ONNX_FLOAT, rank, dims);
    return c->e.outputs[output];
}

static int64_t last_axis(const struct array *x)
{
    return x->dims[x->rank - 1];
}

static double of_pointwise(const char *op, double x)
{
    return strcmp(op, "Relu") == 0 ? fmax(x, 0) : strcmp(op, "Tanh") == 0 ? tanh(x) : erf(x);
}

static void run_pointwise(struct call *c)
{
    const struct array *x = c->e.inputs[0];
    struct array *y = result(c, 0, x->rank, x->dims);
    for (int64_t i = 0; i < x->count; i++)
        y->data[i] = of_pointwise(c->e.node->op_type, x->data[i]);
}

static void soften(double *row, int64_t count)
{
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++)
        most = fmax(most, row[i]);
    for (int64_t i = 0; i < count; i++)
        sum += row[i] = exp(row[i] - most);
    for (int64_t i = 0; i < count; i++)
        row[i] /= sum;
}

static void run_softmax(struct call *c)
{
    const struct array *x = c->e.inputs[0];
    struct array *y = result(c, 0, x->rank, x->dims);
    assert_int_equal(onnx_integer(c->e.node, "axis", 0), -1);
    memcpy(y->data, x->data, (size_t)x->count * sizeof *x->data);
    for (int64_t i = 0; i < x->count; i += last_axis(x))
        soften(y->data + i, last_axis(x));
}

static void run_norm(struct call *c)
{
    const struct array *x = c->e.inputs[0], *w = c->e.inputs[1];
    struct array *y = result(c, 0, x->rank, x->dims);
    bool is_centred = strcmp(c->e.node->op_type, "LayerNormalization") == 0;
    double epsilon = (double)onnx_real(c->e.node, "epsilon", 1e-5f);
    int64_t size = last_axis(x);
    for (int64_t i = 0; i < x->count; i += size) {
        double mean = 0, square = 0;
        for (int64_t k = 0; k < size && is_centred; k++)
            mean += x->data[i + k] / (double)size;
        for (int64_t k = 0; k < size; k++)
            square += (x->data[i + k] - mean) * (x->data[i + k] - mean) / (double)size;
        for (int64_t k = 0; k < size; k++)
            y->data[i + k] = (x->data[i + k] - mean) / sqrt(square + epsilon) * w->data[k];
    }
}

/* The angle's row: of a table of rows picked by ids [b, s], or [b, s, f]. */
static int64_t row_of(const struct call *c, int64_t token)
{
    return c->e.inputs[3] ? (int64_t)c->e.inputs[3]->data[token] : token;
}

/* x [b, s, heads*size]; the halves of what is turned in each head are paired. */
static void run_rotary(struct call *c)
{
    const struct array *x = c->e.inputs[0], *cosines = c->e.inputs[1], *sines = c->e.inputs[2];
    struct array *y = result(c, 0, x->rank, x->dims);
    int64_t heads = onnx_integer(c->e.node, "num_heads", 0), size = last_axis(x) / heads;
    int64_t turned = onnx_integer(c->e.node, "rotary_embedding_dim", 0);
    int64_t half = (turned > 0 ? turned : size) / 2;
    assert_int_equal(cosines->rank, c->e.inputs[3] ? 2 : 3);
    assert_int_equal(last_axis(cosines), half);
    memcpy(y->data, x->data, (size_t)x->count * sizeof *x->data);
    for (int64_t i = 0; i < x->count / size; i++) {
        int64_t row = row_of(c, i / heads) * half;
        assert_true(row >= 0 && row < cosines->count);
        for (int64_t k = 0; k < half; k++) {
            double a = x->data[i * size + k], b = x->data[i * size + half + k];
            y->data[i * size + k] = a * cosines->data[row + k] - b * sines->data[row + k];
            y->data[i * size + half + k] = b * cosines->data[row + k] + a * sines->data[row + k];
        }
    }
}

/* past [b, g, p, size] and x [b, s, g*size] -> [b, g, p + s, size] */
static const struct array *join(struct call *c, uint32_t input, int64_t groups, const struct array *past,
                                uint32_t output)
{
    const struct array *x = c->e.inputs[input];
    int64_t size = last_axis(x) / groups, s = x->dims[1], p = past ? past->dims[2] : 0;
    int64_t dims[4] = {x->dims[0], groups, p + s, size};
    struct array *all = onnx_run_array(c->run, ONNX_FLOAT, 4, dims);
    for (int64_t b = 0; b < dims[0]; b++)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t i = 0; i < (p + s) * size; i++) {
                int64_t at = i / size, k = i % size;
                all->data[((b * groups + g) * (p + s) + at) * size + k] =
                    at < p ? past->data[((b * groups + g) * p + at) * size + k]
                           : x->data[(b * s + at - p) * groups * size + g * size + k];
            }
    if (output < c->e.output_count)
        c->e.outputs[output] = all;
    return all;
}

static double mask_at(const struct array *mask, const int64_t at[4])
{
    int64_t index = 0;
    for (uint32_t axis = 0; mask && axis < mask->rank; axis++) {
        int64_t place = at[4 - mask->rank + axis];
        index = index * mask->dims[axis] + (mask->dims[axis] == 1 ? 0 : place);
    }
    return mask ? mask->data[index] : 0;
}

static void attend(struct call *c, const struct array *k, const struct array *v, int64_t heads, int64_t b,
                   int64_t n, int64_t i)
{
    const struct array *q = c->e.inputs[0];
    int64_t groups = k->dims[1], t = k->dims[2], h = k->dims[3], e = v->dims[3], s = q->dims[1];
    int64_t g = n / (heads / groups);
    double *weights = ARENA_ARRAY(&c->run->arena, double, (size_t)t);
    bool is_causal = onnx_integer(c->e.node, "is_causal", 0) != 0;
    assert_true(!is_causal || t == s); /* where runtimes agree */
    for (int64_t j = 0; j < t; j++) {
        double product = 0;
        for (int64_t x = 0; x < h; x++)
            product +=
                q->data[((b * s + i) * heads + n) * h + x] * k->data[((b * groups + g) * t + j) * h + x];
        weights[j] = product * (double)onnx_real(c->e.node, "scale", 0) +
                     mask_at(c->e.inputs[3], (const int64_t[]){b, n, i, j}) +
                     (is_causal && j > i ? -INFINITY : 0);
    }
    soften(weights, t);
    for (int64_t x = 0; x < e; x++)
        for (int64_t j = 0; j < t; j++)
            c->e.outputs[0]->data[((b * s + i) * heads + n) * e + x] +=
                weights[j] * v->data[((b * groups + g) * t + j) * e + x];
}

/* q, k, v [b, s, heads side by side], a mask, past keys and values. */
static void run_attention(struct call *c)
{
    const struct array *q = c->e.inputs[0];
    int64_t heads = onnx_integer(c->e.node, "q_num_heads", 0);
    int64_t groups = onnx_integer(c->e.node, "kv_num_heads", 0);
    const struct array *k = join(c, 1, groups, c->e.inputs[4], 1), *v = join(c, 2, groups, c->e.inputs[5], 2);
    const int64_t dims[3] = {q->dims[0], q->dims[1], heads * v->dims[3]};
    result(c, 0, 3, dims);
    for (int64_t b = 0; b < dims[0]; b++)
        for (int64_t n = 0; n < heads; n++)
            for (int64_t i = 0; i < dims[1]; i++)
                attend(c, k, v, heads, b, n, i);
}

static const struct {
    const char *name;
    void (*run)(struct call *);
} operators[] = {
    {"Relu", run_pointwise},         {"Tanh", run_pointwise},        {"Erf", run_pointwise},
    {"Softmax", run_softmax},        {"RMSNormalization", run_norm}, {"LayerNormalization", run_norm},
    {"RotaryEmbedding", run_rotary}, {"Attention", run_attention},
};

static bool run_here(struct call *c)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (strcmp(operators[i].name, c->e.node->op_type) == 0) {
            operators[i].run(c);
            return true;
        }
    return false;
}

/* ---- the run ---- */

void onnx_run_open(struct onnx_run *run, const char *path)
{
    static const struct import_options options = {IMPORT_TRUSTED, IMPORT_TO_RUN};
    struct trace trace = {0};
    *run = (struct onnx_run){0};
    assert_ok(onnx_file_open(&run->file, &run->owner, path, &options, &trace), &trace);
    run->room.arena = &run->arena;
    onnx_run_forget(run);
}

void onnx_run_close(struct onnx_run *run)
{
    onnx_file_release(&run->file);
    imported_model_release(&run->owner);
    arena_release(&run->arena);
}

struct array *onnx_run_array(struct onnx_run *run, int32_t type, uint32_t rank, const int64_t *dims)
{
    struct array *array;
    struct trace trace = {0};
    run->room.used = 0;
    assert_ok(array_create(&array, &run->room, type, rank, dims, &trace), &trace);
    return array;
}

void onnx_run_set(struct onnx_run *run, const char *name, const struct array *array)
{
    assert_true(map_add_text(&run->names, &run->arena, str_from(name), run->values.count)); /* once */
    *VEC_PUSH(&run->arena, &run->values) = array;
}

const struct array *onnx_run_get(const struct onnx_run *run, const char *name)
{
    uint32_t index;
    if (!map_find_text(&run->names, str_from(name), &index))
        fail_msg("nothing made %s", name);
    return run->values.items[index];
}

bool onnx_run_has_input(const struct onnx_run *run, const char *name)
{
    const Onnx__GraphProto *graph = run->file.proto->graph;
    for (size_t i = 0; i < graph->n_input; i++)
        if (strcmp(graph->input[i]->name, name) == 0)
            return true;
    return false;
}

void onnx_run_forget(struct onnx_run *run)
{
    const Onnx__GraphProto *graph = run->file.proto->graph;
    struct trace trace = {0};
    memset(&run->names, 0, sizeof run->names);
    memset(&run->values, 0, sizeof run->values);
    for (size_t i = 0; i < graph->n_initializer; i++) {
        struct onnx_data data;
        struct array *array;
        run->room.used = 0;
        assert_ok(onnx_data_locate(&data, &run->file, graph->initializer[i], &trace), &trace);
        assert_ok(array_from_data(&array, &run->room, &data, &trace), &trace);
        onnx_run_set(run, graph->initializer[i]->name, array);
    }
}

static void run_node(struct onnx_run *run, const Onnx__NodeProto *node)
{
    struct trace trace = {0};
    struct call *c = ARENA_NEW(&run->arena, struct call);
    run->room.used = 0;
    c->run = run;
    c->e = (struct evaluation){.room = &run->room, .file = &run->file, .node = node, .trace = &trace};
    c->e.input_count = (uint32_t)node->n_input;
    c->e.output_count = (uint32_t)node->n_output;
    for (size_t i = 0; i < node->n_input; i++)
        c->e.inputs[i] = *node->input[i] ? onnx_run_get(run, node->input[i]) : NULL;
    if (!run_here(c) && import_evaluate(NULL, node, &c->e) != OK)
        fail_msg("%s (%s): %s", onnx_node_name(node), node->op_type, trace.text);
    for (size_t o = 0; o < node->n_output; o++)
        onnx_run_set(run, node->output[o], c->e.outputs[o]);
}

void onnx_run_all(struct onnx_run *run)
{
    const Onnx__GraphProto *graph = run->file.proto->graph;
    for (size_t i = 0; i < graph->n_node; i++)
        run_node(run, graph->node[i]);
}
