/* A small LLaMA-family graph built by hand, for tests of ir/ and passes/ that need one without importing or
 * training. Weights have dims but no bytes. Shapes: hidden D, query heads H, kv heads G, head size E, ffn F,
 * vocabulary V. */
#ifndef TESTS_SUPPORT_LLAMA_H
#define TESTS_SUPPORT_LLAMA_H

#include "ir/build.h"
#include <stdio.h>
#include <string.h>

struct llama_shape {
    int64_t layers, hidden, heads, kv_heads, head_size, ffn, vocabulary;
};

static inline uint32_t llama_weight(struct graph *g, const char *name, int64_t rows, int64_t columns)
{
    struct tensor_view view = {.dtype = DTYPE_F32, .rank = columns ? 2 : 1, .dims = {rows, columns}};
    view.strides[0] = columns ? columns : 1;
    view.strides[1] = 1;
    uint32_t axes[2] = {dims_leaf(&g->dims, rows), columns ? dims_leaf(&g->dims, columns) : DIM_NONE};
    return build_tensor(g, str_from(name), &view, axes);
}

static inline uint32_t llama_linear(struct graph *g, uint32_t x, int layer, const char *role, int64_t rows,
                                    int64_t columns)
{
    char name[64];
    snprintf(name, sizeof name, "layers.%d.%s", layer, role);
    return build_binary(g, OP_matmul_nt, x, llama_weight(g, name, rows, columns));
}

static inline uint32_t llama_norm(struct graph *g, uint32_t x, const char *name, int64_t size)
{
    uint32_t inputs[2] = {x, llama_weight(g, name, size, 0)};
    return build_op(g, OP_rmsnorm, inputs, &(struct build_attributes){.epsilon = 0x1p-17f});
}

/* Inputs "tokens" i32 [b, s]; output "logits" [b, s, V]. Untied. */
static inline struct graph *llama_create(const struct llama_shape *m)
{
    struct graph *g = graph_create();
    uint32_t axes[2] = {dims_symbol(&g->dims, STR("b")), dims_symbol(&g->dims, STR("s"))};
    uint32_t tokens = build_input(g, "tokens", DTYPE_I32, 2, axes);
    uint32_t x = build_binary(g, OP_embed, llama_weight(g, "embed", m->vocabulary, m->hidden), tokens);
    uint32_t table =
        build_binary(g, OP_rotary_table, tokens, llama_weight(g, "inv_freq", m->head_size / 2, 0));
    for (int l = 0; l < m->layers; l++) {
        char name[64];
        snprintf(name, sizeof name, "layers.%d.attention_norm", l);
        uint32_t n = llama_norm(g, x, name, m->hidden);
        uint32_t q = llama_linear(g, n, l, "q", m->heads * m->head_size, m->hidden);
        uint32_t k = llama_linear(g, n, l, "k", m->kv_heads * m->head_size, m->hidden);
        uint32_t v = llama_linear(g, n, l, "v", m->kv_heads * m->head_size, m->hidden);
        uint32_t qr[2] = {q, table}, kr[2] = {k, table};
        uint32_t in[3] = {build_op(g, OP_rope, qr, NULL), build_op(g, OP_rope, kr, NULL), v};
        uint32_t a = build_op(g, OP_attention, in,
                              &(struct build_attributes){
                                  .heads = m->heads, .kv_heads = m->kv_heads, .scale = 0.25f, .causal = 1});
        x = build_binary(g, OP_add, x, llama_linear(g, a, l, "o", m->hidden, m->heads * m->head_size));
        snprintf(name, sizeof name, "layers.%d.mlp_norm", l);
        n = llama_norm(g, x, name, m->hidden);
        uint32_t gate = build_unary(g, OP_silu, llama_linear(g, n, l, "gate", m->ffn, m->hidden));
        uint32_t up = llama_linear(g, n, l, "up", m->ffn, m->hidden);
        uint32_t h = build_binary(g, OP_mul, gate, up);
        x = build_binary(g, OP_add, x, llama_linear(g, h, l, "down", m->hidden, m->ffn));
    }
    x = llama_norm(g, x, "norm", m->hidden);
    build_output(g, "logits",
                 build_binary(g, OP_matmul_nt, x, llama_weight(g, "head", m->vocabulary, m->hidden)));
    return g;
}

#endif
