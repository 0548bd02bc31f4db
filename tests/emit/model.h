/* Small models of the LLaMA family with weights, in the variations that exporting distinguishes. Content is a
 * fixed sequence of fractions, so a wrong transposition or offset shows. */
#ifndef TESTS_EMIT_MODEL_H
#define TESTS_EMIT_MODEL_H

#include "ir/build.h"
#include "tests/support/test.h"
#include <math.h>

struct model_shape {
    int64_t layers, hidden, heads, kv_heads, head_size, ffn, vocabulary;
    bool tied, biased;
    float scale;        /* of attention; 0: head_size^-0.5 */
    float theta;        /* 0: 10000 */
    int64_t last_ffn;   /* of the last layer; 0: ffn */
    enum dtype storage; /* of matrices: f32 or bf16 */
};

static inline uint32_t model_weight(struct graph *g, const char *name, enum dtype storage, int64_t rows,
                                    int64_t columns)
{
    struct tensor_view view = {.dtype = storage, .rank = columns ? 2 : 1, .dims = {rows, columns}};
    view.strides[0] = columns ? columns : 1;
    view.strides[1] = columns ? 1 : 0;
    size_t count = (size_t)(rows * (columns ? columns : 1));
    view.base_size = count * dtype_size(storage);
    uint8_t *bytes = arena_alloc(&g->arena, view.base_size);
    uint32_t state = (uint32_t)g->tensors.count * 7919 + 17;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float value = ((float)(state >> 8) * 0x1p-24f - 0.5f) * 0.25f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t upper = (uint16_t)(bits >> 16);
        memcpy(bytes + i * dtype_size(storage), storage == DTYPE_F32 ? (void *)&value : &upper,
               dtype_size(storage));
    }
    view.base = bytes;
    uint32_t axes[2] = {dims_leaf(&g->dims, rows), columns ? dims_leaf(&g->dims, columns) : DIM_NONE};
    return build_tensor(g, str_from(arena_copy_string(&g->arena, name, strlen(name))), &view, axes);
}

static inline uint32_t model_frequencies(struct graph *g, const struct model_shape *m)
{
    int64_t count = m->head_size / 2;
    uint32_t value = model_weight(g, "inv_freq", DTYPE_F32, count, 0);
    float *w = (float *)(uintptr_t)g->tensors.items[g->tensors.count - 1].view.base;
    for (int64_t i = 0; i < count; i++)
        w[i] = (float)pow(m->theta > 0 ? (double)m->theta : 10000, -(double)i / (double)count);
    return value;
}

static inline uint32_t model_linear(struct graph *g, const struct model_shape *m, uint32_t x, int64_t layer,
                                    const char *role, int64_t rows, int64_t columns)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%d.%s", (int)layer, role);
    uint32_t y = build_binary(g, OP_matmul_nt, x, model_weight(g, name, m->storage, rows, columns));
    if (!m->biased || (strcmp(role, "q") != 0 && strcmp(role, "k") != 0))
        return y;
    snprintf(name, sizeof name, "layers.%d.%s_bias", (int)layer, role);
    return build_binary(g, OP_add, y, model_weight(g, name, DTYPE_F32, rows, 0));
}

static inline uint32_t model_norm(struct graph *g, const struct model_shape *m, uint32_t x, const char *name)
{
    uint32_t inputs[2] = {x, model_weight(g, name, DTYPE_F32, m->hidden, 0)};
    return build_op(g, OP_rmsnorm, inputs, &(struct build_attributes){.epsilon = 1e-5f});
}

static inline uint32_t model_attention(struct graph *g, const struct model_shape *m, uint32_t x,
                                       uint32_t table, int64_t layer)
{
    int64_t wide = m->heads * m->head_size, narrow = m->kv_heads * m->head_size;
    uint32_t n = model_norm(g, m, x, "attention_norm");
    uint32_t q[2] = {model_linear(g, m, n, layer, "q", wide, m->hidden), table};
    uint32_t k[2] = {model_linear(g, m, n, layer, "k", narrow, m->hidden), table};
    uint32_t in[3] = {build_op(g, OP_rope, q, NULL), build_op(g, OP_rope, k, NULL),
                      model_linear(g, m, n, layer, "v", narrow, m->hidden)};
    struct build_attributes a = {.heads = m->heads, .kv_heads = m->kv_heads, .causal = 1, .scale = m->scale};
    if (a.scale == 0)
        a.scale = (float)(1 / sqrt((double)m->head_size));
    uint32_t y = build_op(g, OP_attention, in, &a);
    return build_binary(g, OP_add, x, model_linear(g, m, y, layer, "o", m->hidden, wide));
}

static inline uint32_t model_mlp(struct graph *g, const struct model_shape *m, uint32_t x, int64_t layer)
{
    int64_t ffn = m->last_ffn && layer == m->layers - 1 ? m->last_ffn : m->ffn;
    uint32_t n = model_norm(g, m, x, "mlp_norm");
    uint32_t gate = build_unary(g, OP_silu, model_linear(g, m, n, layer, "gate", ffn, m->hidden));
    uint32_t h = build_binary(g, OP_mul, gate, model_linear(g, m, n, layer, "up", ffn, m->hidden));
    return build_binary(g, OP_add, x, model_linear(g, m, h, layer, "down", m->hidden, ffn));
}

static inline struct graph *model_create(const struct model_shape *m)
{
    struct graph *g = graph_create();
    uint32_t axes[2] = {dims_symbol(&g->dims, STR("batch")), dims_symbol(&g->dims, STR("sequence"))};
    uint32_t tokens = build_input(g, "tokens", DTYPE_I32, 2, axes);
    uint32_t embedding = model_weight(g, "embed", m->storage, m->vocabulary, m->hidden);
    uint32_t x = build_binary(g, OP_embed, embedding, tokens);
    uint32_t table = build_binary(g, OP_rotary_table, tokens, model_frequencies(g, m));
    for (int64_t layer = 0; layer < m->layers; layer++)
        x = model_mlp(g, m, model_attention(g, m, x, table, layer), layer);
    x = model_norm(g, m, x, "norm");
    if (!m->tied)
        embedding = model_weight(g, "head", m->storage, m->vocabulary, m->hidden);
    build_output(g, "logits", build_binary(g, OP_matmul_nt, x, embedding));
    return g;
}

/* The whole content of a file; heap, free it. */
static inline uint8_t *model_read_file(const char *directory, const char *name, size_t *size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    if (fread(bytes, 1, *size, file) != *size)
        fail_msg("cannot read %s", path);
    bytes[*size] = '\0';
    fclose(file);
    return bytes;
}

#endif
