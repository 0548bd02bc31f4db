/* One model in the spellings of many exporters imports to one graph, down to the bytes of every weight. */
#include "ir/build.h"
#include "ir/text.h"
#include "tests/frontend/import.h"
#include <math.h>

/* What onnx_llama_default() must become, built by hand; names and order of weights as the family has them. */
struct expected {
    struct graph *graph;
    const struct onnx_llama *model;
    float *kept[64];
    uint32_t kept_count;
};

static uint32_t weight(struct expected *e, const char *part, const char *name, int64_t rows, int64_t columns)
{
    int64_t count = rows * (columns ? columns : 1);
    float *values = onnx_llama_weight(part, count);
    for (int64_t j = 0; strcmp(part, "inv_freq") == 0 && j < count; j++)
        values[j] = onnx_llama_frequency(e->model, j);
    e->kept[e->kept_count++] = values;
    struct tensor_view view = {.base = (const uint8_t *)values,
                               .base_size = (size_t)count * 4,
                               .dtype = DTYPE_F32,
                               .rank = columns ? 2 : 1,
                               .dims = {rows, columns},
                               .strides = {columns ? columns : 1, columns ? 1 : 0}};
    uint32_t axes[2] = {dims_leaf(&e->graph->dims, rows),
                        columns ? dims_leaf(&e->graph->dims, columns) : DIM_NONE};
    uint32_t id = build_tensor(e->graph, str_from(name), &view, axes);
    struct tensor *tensor = &VEC_LAST(&e->graph->tensors);
    tensor->id = hash128_of(values, (size_t)count * 4);
    tensor->has_id = true;
    return id;
}

static uint32_t linear(struct expected *e, uint32_t x, int layer, const char *part, int64_t out, int64_t in)
{
    char name[64], bias[80];
    snprintf(name, sizeof name, "layers.%d.%s", layer, part);
    uint32_t y = build_binary(e->graph, OP_matmul_nt, x, weight(e, name, name, out, in));
    if (!e->model->bias || !strchr("qkv", *part))
        return y;
    snprintf(bias, sizeof bias, "%s.bias", name);
    return build_binary(e->graph, OP_add, y, weight(e, bias, bias, out, 0));
}

static uint32_t norm(struct expected *e, uint32_t x, const char *name)
{
    uint32_t inputs[2] = {x, weight(e, e->model->shared_norms ? "shared" : name, name, e->model->hidden, 0)};
    return build_op(e->graph, OP_rmsnorm, inputs, &(struct build_attributes){.epsilon = 1e-5f});
}

static uint32_t layer(struct expected *e, uint32_t x, int i, uint32_t *table)
{
    const struct onnx_llama *m = e->model;
    struct graph *g = e->graph;
    char name[64];
    snprintf(name, sizeof name, "layers.%d.attention_norm", i);
    uint32_t n = norm(e, x, name), wide = (uint32_t)(m->heads * m->head),
             narrow = (uint32_t)(m->kv_heads * m->head);
    uint32_t q = linear(e, n, i, "q", wide, m->hidden);
    if (*table == ID_NONE)
        *table = build_binary(g, OP_rotary_table, g->inputs.items[0].value,
                              weight(e, "inv_freq", "inv_freq", m->head / 2, 0));
    uint32_t qt[2] = {q, *table};
    q = build_op(g, OP_rope, qt, &(struct build_attributes){0});
    uint32_t kt[2] = {linear(e, n, i, "k", narrow, m->hidden), *table};
    uint32_t k = build_op(g, OP_rope, kt, &(struct build_attributes){0});
    uint32_t in[3] = {q, k, linear(e, n, i, "v", narrow, m->hidden)};
    struct build_attributes attributes = {.heads = m->heads,
                                          .kv_heads = m->kv_heads,
                                          .scale = (float)(1 / sqrt((double)m->head)),
                                          .causal = 1,
                                          .window = m->window};
    uint32_t a = build_op(g, OP_attention, in, &attributes);
    x = build_binary(g, OP_add, x, linear(e, a, i, "o", m->hidden, wide));
    snprintf(name, sizeof name, "layers.%d.mlp_norm", i);
    n = norm(e, x, name);
    uint32_t gate = build_unary(g, OP_silu, linear(e, n, i, "gate", m->ffn, m->hidden));
    uint32_t h = build_binary(g, OP_mul, gate, linear(e, n, i, "up", m->ffn, m->hidden));
    return build_binary(g, OP_add, x, linear(e, h, i, "down", m->hidden, m->ffn));
}

static void expected_text(struct builder *out, const struct onnx_llama *m)
{
    struct expected e = {.graph = graph_create(), .model = m};
    struct graph *g = e.graph;
    uint32_t axes[2] = {dims_symbol(&g->dims, STR("batch")), dims_symbol(&g->dims, STR("sequence"))};
    uint32_t tokens = build_input(g, "tokens", DTYPE_I32, 2, axes), table = ID_NONE;
    uint32_t embed = weight(&e, "embed", "embed", m->vocabulary, m->hidden);
    uint32_t x = build_binary(g, OP_embed, embed, tokens);
    for (int i = 0; i < m->layers; i++)
        x = layer(&e, x, i, &table);
    x = norm(&e, x, "norm");
    uint32_t head = m->tie == TIE_NONE ? weight(&e, "head", "head", m->vocabulary, m->hidden) : embed;
    build_output(g, "logits", build_binary(g, OP_matmul_nt, x, head));
    struct graph *canonical = graph_canonicalise(g);
    graph_print(canonical, TEXT_CANONICAL, out);
    graph_destroy(canonical);
    graph_destroy(g);
    for (uint32_t i = 0; i < e.kept_count; i++)
        free(e.kept[i]);
}

static void check(const struct onnx_llama *model, const char *what)
{
    struct import_fixture f;
    struct imported_model imported;
    struct builder found = {0}, wanted = {0};
    import_fixture_create(&f);
    print_message("%s\n", what);
    import_llama(&imported, &f, model);
    import_text(&found, &imported);
    expected_text(&wanted, model);
    assert_string_equal(found.data, wanted.data);
    builder_release(&found);
    builder_release(&wanted);
    imported_model_release(&imported);
    import_fixture_release(&f);
}

#define CHECK(...)                                       \
    do {                                                 \
        struct onnx_llama model_ = onnx_llama_default(); \
        struct onnx_llama *m = &model_;                  \
        __VA_ARGS__;                                     \
        check(m, #__VA_ARGS__);                          \
    } while (0)

static void imports_every_form_of_linear_layer(void **state)
{
    (void)state;
    CHECK(m->linear = LINEAR_STORED_IN_OUT);
    CHECK(m->linear = LINEAR_TRANSPOSED);
    CHECK(m->linear = LINEAR_GEMM);
    CHECK(m->linear = LINEAR_RESHAPED);
    CHECK(m->bias = true);
    CHECK(m->bias = true, m->linear = LINEAR_GEMM, m->swapped = true);
}

static void imports_every_form_of_norm(void **state)
{
    (void)state;
    CHECK(m->norm = NORM_POW_DIV);
    CHECK(m->norm = NORM_MUL_RECIPROCAL);
    CHECK(m->norm = NORM_POW_MINUS_HALF);
    CHECK(m->norm = NORM_DIV_SQRT);
    CHECK(m->norm = NORM_POW_DIV, m->opset = 18);
    CHECK(m->norm = NORM_FUSED, m->opset = 23);
}

static void imports_every_form_of_rotary_embedding(void **state)
{
    (void)state;
    CHECK(m->rotary = ROTARY_CONCAT);
    CHECK(m->rotary = ROTARY_HALVES);
    CHECK(m->rotary = ROTARY_SPLIT);
    CHECK(m->rotary = ROTARY_TABLES);
    CHECK(m->rotary = ROTARY_TABLES, m->cache = true);
    CHECK(m->rotary = ROTARY_MATMUL, m->cache = true);
    CHECK(m->rotary = ROTARY_HALVES, m->swapped = true, m->cache = true);
    CHECK(m->rotary = ROTARY_HALVES, m->head = 8);
}

/* Scores do not depend on the order of channels, so neighbours become halves. */
static void neighbours_that_rotate_become_halves(void **state)
{
    (void)state;
    CHECK(m->rotary = ROTARY_NEIGHBOURS);
    CHECK(m->rotary = ROTARY_NEIGHBOURS, m->head = 8, m->bias = true, m->cache = true);
    CHECK(m->rotary = ROTARY_NEIGHBOURS, m->packed = true, m->swapped = true);
    CHECK(m->rotary = ROTARY_NEIGHBOURS, m->head = 2, m->linear = LINEAR_GEMM);
    CHECK(m->rotary = ROTARY_NEIGHBOURS, m->kv_heads = 1, m->heads = 4);
    CHECK(m->rotary = ROTARY_NEIGHBOURS, m->repeat = REPEAT_FIVE_AXES, m->merged_batch = true);
}

static void imports_every_form_of_causal_mask(void **state)
{
    (void)state;
    CHECK(m->mask = MASK_TRIU_ADD);
    CHECK(m->mask = MASK_WHERE);
    CHECK(m->mask = MASK_LESS_WHERE_ADD);
    CHECK(m->mask = MASK_BUFFER);
    CHECK(m->mask = MASK_TRIU_ADD, m->cache = true, m->swapped = true);
}

/* Of any length: those that the probes show, and those that only their number tells. */
static void imports_every_form_of_window(void **state)
{
    (void)state;
    static const int64_t windows[] = {1, 2, 3, 4, 5, 6, 9, 100, 4096};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        CHECK(m->mask = MASK_WINDOW, m->window = windows[i]);
    for (int64_t window = 2; window < 16; window++)
        CHECK(m->mask = MASK_BUFFER, m->window = window);
    CHECK(m->mask = MASK_WINDOW, m->window = 9, m->cache = true, m->swapped = true);
}

static void imports_every_form_of_scale(void **state)
{
    (void)state;
    CHECK(m->scale = SCALE_DIV);
    CHECK(m->scale = SCALE_MUL);
    CHECK(m->scale = SCALE_SPLIT);
    CHECK(m->scale = SCALE_SHAPE);
    CHECK(m->scale = SCALE_SPLIT, m->head = 6);
    CHECK(m->scale = SCALE_DIV, m->head = 6);
}

static void imports_groups_of_every_ratio(void **state)
{
    (void)state;
    CHECK(m->kv_heads = 4);
    CHECK(m->kv_heads = 2);
    CHECK(m->kv_heads = 1);
    CHECK(m->kv_heads = 4, m->repeat = REPEAT_FIVE_AXES);
    CHECK(m->kv_heads = 2, m->repeat = REPEAT_FIVE_AXES);
    CHECK(m->kv_heads = 1, m->repeat = REPEAT_FIVE_AXES);
    CHECK(m->kv_heads = 2, m->merged_batch = true);
    CHECK(m->kv_heads = 1, m->merged_batch = true, m->cache = true);
    CHECK(m->heads = 1, m->kv_heads = 1);
    CHECK(m->head = 2);
}

static void imports_every_form_of_silu(void **state)
{
    (void)state;
    CHECK(m->silu = SILU_SIGMOID);
    CHECK(m->silu = SILU_SIGMOID_FIRST);
    CHECK(m->silu = SILU_EXP);
    CHECK(m->silu = SILU_EXP, m->swapped = true);
}

static void imports_whole_styles_of_exporters(void **state)
{
    (void)state;
    CHECK(m->constant_nodes = true, m->cache = true, m->node_prefix = "/model/", m->opset = 14); /* legacy */
    CHECK(m->constant_nodes = true, m->linear = LINEAR_TRANSPOSED, m->swapped = true); /* unfolded */
    CHECK(m->linear = LINEAR_TRANSPOSED, m->scale = SCALE_SPLIT, m->mask = MASK_WHERE, m->merged_batch = true,
          m->norm = NORM_MUL_RECIPROCAL, m->opset = 18, m->node_prefix = "node_"); /* dynamo */
    CHECK(m->opset = 11, m->mask = MASK_BUFFER);
    CHECK(m->opset = 12, m->cache = true, m->mask = MASK_WHERE);
    CHECK(m->opset = 20, m->swapped = true);
    CHECK(m->reversed = true, m->constant_nodes = true, m->cache = true);
    CHECK(m->external = "model.onnx.data");
    CHECK(m->external = "model.onnx.data", m->linear = LINEAR_TRANSPOSED, m->constant_nodes = true);
}

static void imports_fused_operators(void **state)
{
    (void)state;
    CHECK(m->opset = 23, m->rotary = ROTARY_FUSED, m->norm = NORM_FUSED, m->fused = FUSED_CAUSAL);
    CHECK(m->opset = 23, m->rotary = ROTARY_FUSED, m->norm = NORM_FUSED, m->fused = FUSED_MASKED,
          m->mask = MASK_WHERE, m->cache = true);
    CHECK(m->opset = 23, m->fused = FUSED_MASKED, m->mask = MASK_LESS_WHERE_ADD, m->kv_heads = 1);
}

static void takes_packed_projections_apart(void **state)
{
    (void)state;
    CHECK(m->packed = true);
    CHECK(m->packed = true, m->kv_heads = 4, m->cache = true, m->rotary = ROTARY_SPLIT);
}

static void shares_only_tied_embeddings(void **state)
{
    (void)state;
    CHECK(m->tie = TIE_SAME_TENSOR);
    CHECK(m->tie = TIE_COPY);
    CHECK(m->tie = TIE_COPY, m->external = "weights.bin");
    CHECK(m->shared_norms = true); /* equal norm weights come out as separate tensors */
}

static void gives_weights_the_names_of_their_parts(void **state)
{
    (void)state;
    static const char *const names[] = {"embed",         "layers.0.attention_norm",
                                        "layers.0.q",    "inv_freq",
                                        "layers.0.k",    "layers.0.v",
                                        "layers.0.o",    "layers.0.mlp_norm",
                                        "layers.0.gate", "layers.0.up",
                                        "layers.0.down", "norm",
                                        "head"};
    struct onnx_llama model = onnx_llama_default();
    struct import_fixture f;
    struct imported_model imported;
    model.layers = 1;
    model.node_prefix = "/model/layers.0/";
    import_fixture_create(&f);
    import_llama(&imported, &f, &model);
    assert_int_equal(imported.graph->tensors.count, sizeof names / sizeof names[0]);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(imported.graph->tensors.items[i].name.data, names[i]);
    for (uint32_t i = 0; i < imported.graph->nodes.count; i++)
        assert_true(str_starts_with(imported.graph->nodes.items[i].origin, "/model/layers.0/"));
    imported_model_release(&imported);
    import_fixture_release(&f);
}

/* No weight lies in memory of its own: all are views of the mapped files. */
static void maps_weights_and_copies_none(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    struct import_fixture f;
    struct imported_model imported;
    model.external = "weights.bin";
    import_fixture_create(&f);
    import_llama(&imported, &f, &model);
    assert_int_equal(imported.files.count, 2);
    for (uint32_t i = 0; i < imported.graph->tensors.count; i++) {
        const struct tensor *tensor = &imported.graph->tensors.items[i];
        if (str_is(tensor->name, "inv_freq"))
            continue;
        const struct mapping *mapping = tensor->view.mapping;
        assert_true(mapping == imported.files.items[0] || mapping == imported.files.items[1]);
        assert_true(tensor->view.base >= mapping->data && tensor->view.base < mapping->data + mapping->size);
    }
    imported_model_release(&imported);
    import_fixture_release(&f);
}

static void keeps_half_precision_as_storage(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    struct import_fixture f;
    struct imported_model imported;
    model.half = true;
    model.tie = TIE_COPY;
    import_fixture_create(&f);
    import_llama(&imported, &f, &model);
    const struct tensor *q = import_find_tensor(&imported, "layers.1.q");
    assert_non_null(q);
    assert_int_equal(q->view.dtype, DTYPE_F16);
    float *wanted = onnx_llama_weight("layers.1.q", 16 * 12), found[16 * 12];
    tensor_view_read_f32(&q->view, 0, 16 * 12, found);
    for (int i = 0; i < 16 * 12; i++)
        assert_float_equal(found[i], (float)(_Float16)wanted[i], 0);
    free(wanted);
    assert_null(import_find_tensor(&imported, "head"));
    assert_true(import_has_note(&imported, "stored as f16"));
    assert_true(import_has_note(&imported, "tied embeddings rediscovered"));
    imported_model_release(&imported);
    import_fixture_release(&f);
}

static void remembers_what_it_took_for_granted(void **state)
{
    (void)state;
    struct onnx_llama model = onnx_llama_default();
    struct import_fixture f;
    struct imported_model imported;
    model.cache = true;
    import_fixture_create(&f);
    import_llama(&imported, &f, &model);
    assert_true(import_has_note(&imported, "took the 4 inputs of the key-value cache as empty"));
    assert_true(import_has_note(&imported, "took the output 'logits' of 5"));
    assert_true(import_has_note(&imported, "input 'attention_mask' taken as all ones"));
    assert_true(import_has_note(&imported, "input 'position_ids' taken as 0, 1, 2"));
    assert_true(interface_is_equal(&imported.graph->interface, &interface_usual));
    imported_model_release(&imported);
    import_fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_every_form_of_linear_layer),
        cmocka_unit_test(imports_every_form_of_norm),
        cmocka_unit_test(imports_every_form_of_rotary_embedding),
        cmocka_unit_test(neighbours_that_rotate_become_halves),
        cmocka_unit_test(imports_every_form_of_causal_mask),
        cmocka_unit_test(imports_every_form_of_window),
        cmocka_unit_test(imports_every_form_of_scale),
        cmocka_unit_test(imports_groups_of_every_ratio),
        cmocka_unit_test(imports_every_form_of_silu),
        cmocka_unit_test(imports_whole_styles_of_exporters),
        cmocka_unit_test(imports_fused_operators),
        cmocka_unit_test(takes_packed_projections_apart),
        cmocka_unit_test(shares_only_tied_embeddings),
        cmocka_unit_test(gives_weights_the_names_of_their_parts),
        cmocka_unit_test(maps_weights_and_copies_none),
        cmocka_unit_test(keeps_half_precision_as_storage),
        cmocka_unit_test(remembers_what_it_took_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
