/* Fused operators: of com.microsoft, as onnxruntime-genai's builder writes them (the inputs and attributes
 * are those of version 0.18), and of opset 23 with heads side by side. All spellings of one model are the
 * same graph. */
#include "tests/frontend/import.h"
#include "tests/support/random.h"
#include <math.h>

enum { HIDDEN = 12, HEADS = 4, GROUPS = 2, SIZE = 6, FFN = 10, WORDS = 11, POSITIONS = 16 };

static struct trace trace;

enum spelling { SMALL, OPSET_23, CONTRIB, CONTRIB_PACKED, SPELLINGS };

struct options {
    enum spelling spelling;
    bool gelu;             /* the MLP has no gate */
    bool layer_norm;       /* the second norm subtracts the mean, and has biases */
    int64_t turned;        /* channels of a head that are rotated */
    bool keys_differ;      /* only queries have neighbours rotated */
    bool neighbours;       /* the same with neighbours rotated, which the weights make up for */
    const char *attribute; /* one that is not supported, or NULL */
    int64_t value;
    bool is_multi; /* as many key heads as query heads */
    bool has_bias; /* of the scores */
};

struct writer {
    struct onnx_writer w;
    struct random random;
    struct options options;
    const char *cosines, *sines, *positions, *last, *length;
};

/* Channels [from] of the halves' order of queries and keys in that of neighbours. */
static int64_t place_of(const struct writer *x, int64_t from)
{
    int64_t half = x->options.turned / 2, inside = from % SIZE;
    bool is_moved = x->options.neighbours && inside < 2 * half;
    return is_moved ? from - inside + inside % half * 2 + inside / half : from;
}

/* Of queries and keys: channels are columns. */
static const char *query_weight(struct writer *x, const char *name, int64_t columns)
{
    int64_t dims[2] = {HIDDEN, columns};
    float values[HIDDEN * HEADS * SIZE];
    for (int64_t i = 0; i < HIDDEN * columns; i++)
        values[i / columns * columns + place_of(x, i % columns)] = random_float(&x->random);
    onnx_tensor(&x->w, name, ONNX_TEST_FLOAT, 2, dims, values, (size_t)(HIDDEN * columns) * sizeof *values);
    return name;
}

static const char *weight(struct writer *x, const char *name, int64_t rows, int64_t columns)
{
    int64_t dims[2] = {rows, columns}, count = rows * (columns ? columns : 1);
    float values[WORDS * 48];
    assert_true((size_t)count <= sizeof values / sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = random_float(&x->random);
    onnx_tensor(&x->w, name, ONNX_TEST_FLOAT, columns ? 2 : 1, dims, values, (size_t)count * sizeof *values);
    return name;
}

/* The columns of three matrices [HIDDEN, n] side by side. */
static const char *packed_weight(struct writer *x, const struct random *start)
{
    static const int64_t sizes[3] = {HEADS * SIZE, GROUPS * SIZE, GROUPS * SIZE};
    const int64_t width = (HEADS + 2 * GROUPS) * SIZE, dims[2] = {HIDDEN, width};
    float values[HIDDEN * (HEADS + 2 * GROUPS) * SIZE];
    struct random random = *start;
    for (int64_t part = 0, first = 0; part < 3; first += sizes[part++])
        for (int64_t i = 0; i < HIDDEN * sizes[part]; i++)
            values[i / sizes[part] * width + first +
                   (part < 2 ? place_of(x, i % sizes[part]) : i % sizes[part])] = random_float(&random);
    onnx_tensor(&x->w, "qkv", ONNX_TEST_FLOAT, 2, dims, values, sizeof values);
    return "qkv";
}

static void add_tables(struct writer *x)
{
    int64_t half = x->options.turned / 2, dims[2] = {POSITIONS, half};
    float cosines[POSITIONS * SIZE], sines[POSITIONS * SIZE];
    for (int64_t p = 0; p < POSITIONS; p++)
        for (int64_t j = 0; j < half; j++) {
            float angle = (float)p * (float)pow(10000, -(double)j / (double)half);
            cosines[p * half + j] = (float)cos((double)angle);
            sines[p * half + j] = (float)sin((double)angle);
        }
    size_t bytes = (size_t)(POSITIONS * half) * sizeof *cosines;
    onnx_tensor(&x->w, "cos_cache", ONNX_TEST_FLOAT, 2, dims, cosines, bytes);
    onnx_tensor(&x->w, "sin_cache", ONNX_TEST_FLOAT, 2, dims, sines, bytes);
    x->cosines = "cos_cache";
    x->sines = "sin_cache";
}

/* Lengths as the builder computes them from the attention mask, and positions [batch, sequence]. */
static void add_lengths(struct writer *x)
{
    struct onnx_writer *w = &x->w;
    onnx_input(w, "attention_mask", ONNX_TEST_INT64, "batch sequence");
    onnx_input(w, "position_ids", ONNX_TEST_INT64, "batch sequence");
    x->positions = "position_ids";
    const char *sum = onnx_op(w, "ReduceSum", "attention_mask", onnx_const_int(w, 1), NULL);
    const char *last = onnx_op(w, "Sub", sum, onnx_const_int(w, 1), NULL);
    const char *shape = onnx_op(w, "Shape", "attention_mask", NULL);
    onnx_attribute_int(w, "to", 6);
    x->last = onnx_op(w, "Cast", last, NULL);
    onnx_attribute_int(w, "axis", 0);
    const char *length = onnx_op(w, "Gather", shape, onnx_const_index(w, 1), NULL);
    onnx_attribute_int(w, "to", 6);
    x->length = onnx_op(w, "Cast", length, NULL);
}

static const char *contrib(struct writer *x)
{
    x->w.domain = "com.microsoft";
    return x->w.domain;
}

/* ---- rotary embedding and attention ---- */

static const char *rotate(struct writer *x, const char *y, int64_t heads)
{
    struct onnx_writer *w = &x->w;
    onnx_attribute_int(w, "num_heads", heads);
    if (x->options.neighbours && !(x->options.keys_differ && heads == GROUPS))
        onnx_attribute_int(w, "interleaved", 1);
    if (x->options.turned != SIZE)
        onnx_attribute_int(w, "rotary_embedding_dim", x->options.turned);
    if (x->options.spelling == CONTRIB && contrib(x))
        return onnx_op(w, "RotaryEmbedding", y, x->positions, x->cosines, x->sines, NULL);
    return onnx_op(w, "RotaryEmbedding", y, x->cosines, x->sines, x->positions, NULL);
}

/* [batch, sequence, n * SIZE] as [batch, n, sequence, SIZE]. */
static const char *split(struct writer *x, const char *y, int64_t n)
{
    const int64_t target[4] = {0, 0, n, SIZE}, order[4] = {0, 2, 1, 3};
    const char *heads = onnx_op(&x->w, "Reshape", y, onnx_const_ints(&x->w, 4, target), NULL);
    onnx_attribute_ints(&x->w, "perm", 4, order);
    return onnx_op(&x->w, "Transpose", heads, NULL);
}

static const char *group_query_attention(struct writer *x, const char *q, const char *k, const char *v,
                                         bool rotates)
{
    struct onnx_writer *w = &x->w;
    onnx_attribute_int(w, "num_heads", HEADS);
    onnx_attribute_int(w, "kv_num_heads", GROUPS);
    onnx_attribute_float(w, "scale", (float)(1 / sqrt(SIZE)));
    onnx_attribute_float(w, "softcap", 0);
    onnx_attribute_int(w, "do_rotary", rotates);
    if (rotates && x->options.neighbours)
        onnx_attribute_int(w, "rotary_interleaved", 1);
    if (x->options.attribute)
        onnx_attribute_int(w, x->options.attribute, x->options.value);
    else
        onnx_attribute_int(w, "local_window_size", -1);
    contrib(x);
    const char *bias = x->options.has_bias ? x->cosines : "";
    return onnx_op(w, "GroupQueryAttention", q, k, v, "past_key", "past_value", x->last, x->length,
                   rotates ? x->cosines : "", rotates ? x->sines : "", "", bias, NULL);
}

static const char *attention(struct writer *x, const char *n)
{
    struct onnx_writer *w = &x->w;
    const int64_t merged[3] = {0, 0, HEADS * SIZE}, order[4] = {0, 2, 1, 3};
    int64_t groups = x->options.is_multi ? HEADS : GROUPS;
    struct random start = x->random;
    const char *q = query_weight(x, "q", HEADS * SIZE), *k = query_weight(x, "k", groups * SIZE),
               *v = weight(x, "v", HIDDEN, groups * SIZE);
    if (x->options.spelling == CONTRIB_PACKED)
        return group_query_attention(x, onnx_op(w, "MatMul", n, packed_weight(x, &start), NULL), "", "",
                                     true);
    q = rotate(x, onnx_op(w, "MatMul", n, q, NULL), HEADS);
    k = rotate(x, onnx_op(w, "MatMul", n, k, NULL), groups);
    v = onnx_op(w, "MatMul", n, v, NULL);
    if (x->options.spelling == CONTRIB && x->options.is_multi) {
        onnx_attribute_int(w, "num_heads", HEADS);
        onnx_attribute_int(w, "unidirectional", 1);
        contrib(x);
        return onnx_op(w, "MultiHeadAttention", q, k, v, NULL);
    }
    if (x->options.spelling == CONTRIB)
        return group_query_attention(x, q, k, v, false);
    if (x->options.spelling == OPSET_23) {
        onnx_attribute_int(w, "is_causal", 1);
        onnx_attribute_int(w, "q_num_heads", HEADS);
        onnx_attribute_int(w, "kv_num_heads", groups);
        return onnx_op(w, "Attention", q, k, v, NULL);
    }
    q = split(x, q, HEADS);
    k = split(x, k, groups);
    v = split(x, v, groups);
    onnx_attribute_int(w, "is_causal", 1);
    const char *y = onnx_op(w, "Attention", q, k, v, NULL);
    onnx_attribute_ints(w, "perm", 4, order);
    y = onnx_op(w, "Transpose", y, NULL);
    return onnx_op(w, "Reshape", y, onnx_const_ints(w, 3, merged), NULL);
}

/* ---- norms ---- */

/* The norm of a + b; the sum goes to *sum. */
static const char *norm_of_sum(struct writer *x, const char *a, const char *b, const char **sum,
                               const char *name, bool is_layer_norm)
{
    struct onnx_writer *w = &x->w;
    const char *gain = weight(x, name, HIDDEN, 0), *bias = NULL, *more = NULL;
    const char *norm = is_layer_norm ? "LayerNormalization" : "SimplifiedLayerNormalization";
    if (is_layer_norm) {
        bias = weight(x, arena_printf(&w->arena, "%s.bias", name), HIDDEN, 0);
        more = weight(x, arena_printf(&w->arena, "%s.more", name), HIDDEN, 0);
    }
    if (x->options.spelling >= CONTRIB) {
        const char *outputs[4] = {onnx_new_name(w), "", "", onnx_new_name(w)};
        const char *inputs[5] = {a, b, gain, bias, more};
        onnx_attribute_float(w, "epsilon", 1e-6f);
        contrib(x);
        onnx_op_named(w, arena_printf(&w->arena, "Skip%s", norm), 4, outputs, is_layer_norm ? 5 : 3, inputs);
        *sum = outputs[3];
        return outputs[0];
    }
    if (more) /* the bias of the linear layer b */
        b = onnx_op(w, "Add", b, more, NULL);
    *sum = onnx_op(w, "Add", a, b, NULL);
    onnx_attribute_float(w, "epsilon", 1e-6f);
    return bias ? onnx_op(w, norm, *sum, gain, bias, NULL) : onnx_op(w, norm, *sum, gain, NULL);
}

/* down(gelu(up(n) + bias)): the approximation where the norms subtract means, the exact one elsewhere. */
static const char *plain_mlp(struct writer *x, const char *n)
{
    struct onnx_writer *w = &x->w;
    bool is_fast = x->options.layer_norm;
    const char *y = onnx_op(w, "MatMul", n, weight(x, "up", HIDDEN, FFN), NULL),
               *bias = weight(x, "up.bias", FFN, 0);
    if (x->options.spelling >= CONTRIB && contrib(x)) {
        y = onnx_op(w, is_fast ? "FastGelu" : "BiasGelu", y, bias, NULL);
    } else {
        y = onnx_op(w, "Add", y, bias, NULL);
        onnx_attribute_text(w, "approximate", is_fast ? "tanh" : "none");
        y = onnx_op(w, "Gelu", y, NULL);
    }
    return onnx_op(w, "MatMul", y, weight(x, "down", FFN, HIDDEN), NULL);
}

static const char *mlp(struct writer *x, const char *n)
{
    struct onnx_writer *w = &x->w;
    if (x->options.gelu)
        return plain_mlp(x, n);
    const char *gate = onnx_op(w, "MatMul", n, weight(x, "gate", HIDDEN, FFN), NULL);
    const char *up = onnx_op(w, "MatMul", n, weight(x, "up", HIDDEN, FFN), NULL);
    const char *active = onnx_op(w, "Mul", gate, onnx_op(w, "Sigmoid", gate, NULL), NULL);
    return onnx_op(w, "MatMul", onnx_op(w, "Mul", active, up, NULL), weight(x, "down", FFN, HIDDEN), NULL);
}

static void write_model(struct import_fixture *f, const struct options *options)
{
    struct writer x = {.random = {7}, .options = *options};
    struct onnx_writer *w = &x.w;
    struct builder bytes = {0};
    const char *sum;
    w->opset = 23;
    w->node_prefix = "/";
    onnx_input(w, "input_ids", ONNX_TEST_INT64, "batch sequence");
    onnx_input(w, "past_key", ONNX_TEST_FLOAT, "batch 2 past size");
    onnx_input(w, "past_value", ONNX_TEST_FLOAT, "batch 2 past size");
    add_lengths(&x);
    add_tables(&x);
    const char *y = onnx_op(w, "Gather", weight(&x, "embed", WORDS, HIDDEN), "input_ids", NULL);
    onnx_attribute_float(w, "epsilon", 1e-6f);
    const char *n = onnx_op(w, "SimplifiedLayerNormalization", y, weight(&x, "norm_1", HIDDEN, 0), NULL);
    const char *o = onnx_op(w, "MatMul", attention(&x, n), weight(&x, "o", HEADS * SIZE, HIDDEN), NULL);
    n = norm_of_sum(&x, y, o, &sum, "norm_2", options->layer_norm);
    n = norm_of_sum(&x, sum, mlp(&x, n), &sum, "norm_3", false);
    onnx_output(w, onnx_op(w, "MatMul", n, weight(&x, "head", HIDDEN, WORDS), NULL));
    onnx_finish(w, &bytes);
    import_write_bytes(f, "model.onnx", bytes.data, bytes.length);
    onnx_writer_release(w);
    builder_release(&bytes);
}

static void text_of(struct builder *out, const struct options *options)
{
    struct import_fixture f;
    struct imported_model model;
    import_fixture_create(&f);
    write_model(&f, options);
    assert_ok(frontend_import_onnx(&model, f.path, NULL, &trace), &trace);
    import_text(out, &model);
    imported_model_release(&model);
    import_fixture_release(&f);
}

static void spellings_are_one_graph(void **state)
{
    (void)state;
    static const struct options cases[] = {{.turned = SIZE},
                                           {.turned = SIZE, .layer_norm = true},
                                           {.turned = 4},
                                           {.turned = SIZE, .gelu = true},
                                           {.turned = SIZE, .gelu = true, .layer_norm = true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct builder first = {0};
        struct options options = cases[i];
        text_of(&first, &options);
        assert_non_null(strstr(builder_text(&first), options.turned == SIZE ? "rope" : "rope_part"));
        assert_non_null(strstr(builder_text(&first), "attention"));
        for (int n = 1; n < 2 * SPELLINGS; n++) {
            struct builder other = {0};
            options.spelling = (enum spelling)(n % SPELLINGS);
            options.neighbours = n >= SPELLINGS;
            text_of(&other, &options);
            assert_string_equal(builder_text(&first), builder_text(&other));
            builder_release(&other);
        }
        builder_release(&first);
    }
}

static void multi_head_attention_is_the_same(void **state)
{
    (void)state;
    struct builder plain = {0}, fused = {0};
    struct options options = {.spelling = OPSET_23, .turned = SIZE, .is_multi = true};
    text_of(&plain, &options);
    options.spelling = CONTRIB;
    text_of(&fused, &options);
    assert_string_equal(builder_text(&fused), builder_text(&plain));
    builder_release(&plain);
    builder_release(&fused);
}

static void refuse(const struct options *options, const char *words)
{
    struct import_fixture f;
    struct imported_model model;
    import_fixture_create(&f);
    write_model(&f, options);
    assert_fails(frontend_import_onnx(&model, f.path, NULL, &trace), UNSUPPORTED, &trace, words);
    assert_non_null(strstr(trace.text, "node '/GroupQueryAttention"));
    import_fixture_release(&f);
}

static void queries_and_keys_rotate_alike(void **state)
{
    (void)state;
    struct options options = {.spelling = CONTRIB, .turned = SIZE, .neighbours = true, .keys_differ = true};
    refuse(&options, "neighbouring channels are rotated, 6 of each query and 0 of each key");
}

static void fused_attention_may_have_a_window(void **state)
{
    (void)state;
    struct options options = {.spelling = CONTRIB_PACKED, .turned = SIZE};
    struct import_fixture f;
    struct imported_model model;
    uint32_t seen = 0;
    options.attribute = "local_window_size";
    options.value = 7;
    import_fixture_create(&f);
    write_model(&f, &options);
    assert_ok(frontend_import_onnx(&model, f.path, NULL, &trace), &trace);
    for (uint32_t i = 0; i < model.graph->nodes.count; i++)
        if (model.graph->nodes.items[i].op == OP_attention) {
            assert_int_equal(node_integer(&model.graph->nodes.items[i], ATTRIBUTE_window), 7);
            seen++;
        }
    assert_true(seen > 0);
    imported_model_release(&model);
    import_fixture_release(&f);
}

static void what_fused_attention_does_beyond_is_refused(void **state)
{
    (void)state;
    struct options options = {.spelling = CONTRIB_PACKED, .turned = SIZE};
    options.attribute = "local_window_size";
    options.value = -4;
    refuse(&options, "local_window_size = -4");
    options.attribute = "smooth_softmax";
    options.value = 1;
    refuse(&options, "smooth_softmax = 1");
    options.attribute = NULL;
    options.has_bias = true;
    refuse(&options, "input 10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_are_one_graph),
        cmocka_unit_test(multi_head_attention_is_the_same),
        cmocka_unit_test(queries_and_keys_rotate_alike),
        cmocka_unit_test(fused_attention_may_have_a_window),
        cmocka_unit_test(what_fused_attention_does_beyond_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
