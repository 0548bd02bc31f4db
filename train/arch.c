/* One block is: attention on a norm, added; gated MLP on a norm, added. Axes that the rules would unify
 * anyway are made the same leaf from the start. */
#include "train/arch.h"
#include "ir/build.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>

struct family {
    const struct arch *arch;
    struct graph *graph;
    uint32_t hidden;        /* dimension leaf */
    uint32_t tokens, table; /* values: the ids, rotary's cosines and sines */
    float epsilon;
};

/* 1 / sqrt(n), rounded once: the golden estimate, corrected twice in double. So a model that is exported and
 * imported again has the very same scale. */
static float inverse_root(int64_t n)
{
    double y = (double)gm_rsqrt(gm_from_uint((uint)n));
    for (int i = 0; i < 2; i++)
        y = y * (1.5 - 0.5 * (double)n * y * y);
    return (float)y;
}

static uint32_t add_weight(struct family *f, const char *name, uint32_t rank, uint32_t rows, uint32_t columns)
{
    uint32_t axes[] = {rows, columns};
    struct tensor_view view = {.dtype = DTYPE_F32, .rank = rank};
    for (uint32_t i = 0; i < rank; i++)
        view.dims[i] = dims_size(&f->graph->dims, axes[i]);
    view.strides[0] = rank == 2 ? view.dims[1] : 1;
    view.strides[1] = rank == 2 ? 1 : 0;
    return build_tensor(f->graph, str_from(name), &view, axes);
}

static uint32_t matrix(struct family *f, const char *name, int64_t rows, uint32_t columns)
{
    return add_weight(f, name, 2, dims_leaf(&f->graph->dims, rows), columns);
}

static const char *layer_name(struct family *f, int64_t layer, const char *name)
{
    return arena_printf(&f->graph->arena, "layers.%" PRId64 ".%s", layer, name);
}

static uint32_t norm(struct family *f, const char *name, uint32_t x)
{
    uint32_t inputs[] = {x, add_weight(f, name, 1, f->hidden, DIM_NONE)};
    struct build_attributes attributes = {.epsilon = f->epsilon};
    return build_op(f->graph, OP_rmsnorm, inputs, &attributes);
}

static uint32_t linear(struct family *f, uint32_t x, uint32_t weight)
{
    return build_binary(f->graph, OP_matmul_nt, x, weight);
}

static uint32_t rotate(struct family *f, uint32_t x)
{
    uint32_t inputs[] = {x, f->table};
    struct build_attributes attributes = {.inverse = 0};
    return build_op(f->graph, OP_rope, inputs, &attributes);
}

/* Inverse frequencies theta^(-2j / head_dim), j < head_dim / 2 (Su et al. 2021, section 3.2.2). */
static void add_rotary(struct family *f)
{
    int64_t count = f->arch->head_dim / 2;
    float *frequencies = ARENA_ARRAY(&f->graph->arena, float, (size_t)count);
    float theta = f->arch->theta != 0 ? f->arch->theta : 10000;
    float step = gm_rcp(gm_from_uint((uint)f->arch->head_dim));
    for (int64_t j = 0; j < count; j++)
        frequencies[j] = gm_flush(gm_rcp(gm_pow(theta, gm_from_uint((uint)(2 * j)) * step)));
    struct tensor_view view = {
        .base = (const uint8_t *)frequencies,
        .base_size = (size_t)count * sizeof *frequencies,
        .dtype = DTYPE_F32,
        .rank = 1,
        .dims = {count},
        .strides = {1},
    };
    uint32_t axis = dims_leaf(&f->graph->dims, count);
    uint32_t inputs[] = {f->tokens, build_tensor(f->graph, STR("inv_freq"), &view, &axis)};
    f->table = build_op(f->graph, OP_rotary_table, inputs, NULL);
}

static uint32_t attention(struct family *f, int64_t layer, uint32_t x)
{
    const struct arch *a = f->arch;
    uint32_t y = norm(f, layer_name(f, layer, "attention_norm"), x);
    uint32_t q = matrix(f, layer_name(f, layer, "q"), a->heads * a->head_dim, f->hidden);
    uint32_t k = matrix(f, layer_name(f, layer, "k"), a->kv_heads * a->head_dim, f->hidden);
    uint32_t v = matrix(f, layer_name(f, layer, "v"), a->kv_heads * a->head_dim, f->hidden);
    uint32_t o = add_weight(f, layer_name(f, layer, "o"), 2, f->hidden,
                            dims_leaf(&f->graph->dims, a->heads * a->head_dim));
    uint32_t inputs[3] = {rotate(f, linear(f, y, q)), rotate(f, linear(f, y, k)), linear(f, y, v)};
    struct build_attributes attributes = {
        .heads = a->heads,
        .kv_heads = a->kv_heads,
        .scale = inverse_root(a->head_dim),
        .causal = 1,
    };
    uint32_t mixed = build_op(f->graph, OP_attention, inputs, &attributes);
    return build_binary(f->graph, OP_add, x, linear(f, mixed, o));
}

static uint32_t mlp(struct family *f, int64_t layer, uint32_t x)
{
    uint32_t width = dims_leaf(&f->graph->dims, f->arch->ffn);
    uint32_t y = norm(f, layer_name(f, layer, "mlp_norm"), x);
    uint32_t gate = add_weight(f, layer_name(f, layer, "gate"), 2, width, f->hidden);
    uint32_t up = add_weight(f, layer_name(f, layer, "up"), 2, width, f->hidden);
    uint32_t down = add_weight(f, layer_name(f, layer, "down"), 2, f->hidden, width);
    uint32_t gated = build_unary(f->graph, OP_silu, linear(f, y, gate));
    uint32_t product = build_binary(f->graph, OP_mul, gated, linear(f, y, up));
    return build_binary(f->graph, OP_add, x, linear(f, product, down));
}

static enum status check(const struct arch *arch, struct trace *trace)
{
    enum { LARGEST = 1 << 24 };
    const struct {
        const char *name;
        int64_t size;
    } sizes[] = {{"layers", arch->layers},     {"hidden", arch->hidden},     {"heads", arch->heads},
                 {"kv_heads", arch->kv_heads}, {"head_dim", arch->head_dim}, {"ffn", arch->ffn},
                 {"vocab", arch->vocab}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].size < 1 || sizes[i].size > LARGEST)
            return status_fail(trace, INVALID, "arch: expected %s from 1 to %d, found %" PRId64,
                               sizes[i].name, LARGEST, sizes[i].size);
    if (arch->heads % arch->kv_heads != 0)
        return status_fail(trace, INVALID,
                           "arch: heads (%" PRId64 ") is not a multiple of kv_heads (%" PRId64 ")",
                           arch->heads, arch->kv_heads);
    if (arch->head_dim % 2 != 0)
        return status_fail(trace, INVALID, "arch: expected an even head_dim, found %" PRId64, arch->head_dim);
    if (arch->theta < 0 || arch->epsilon < 0 || !gm_is_finite(arch->theta) || !gm_is_finite(arch->epsilon))
        return status_fail(trace, INVALID, "arch: theta and epsilon must be positive");
    return OK;
}

enum status arch_build(struct graph **out, const struct arch *arch, struct trace *trace)
{
    TRY(check(arch, trace));
    struct graph *graph = graph_create();
    uint32_t axes[] = {dims_symbol(&graph->dims, STR("batch")), dims_symbol(&graph->dims, STR("sequence"))};
    struct family f = {
        .arch = arch,
        .graph = graph,
        .hidden = dims_leaf(&graph->dims, arch->hidden),
        .tokens = build_input(graph, "tokens", DTYPE_I32, 2, axes),
        .epsilon = arch->epsilon != 0 ? arch->epsilon : 1e-5f,
    };
    uint32_t embedding = matrix(&f, "embed", arch->vocab, f.hidden);
    uint32_t x = build_binary(graph, OP_embed, embedding, f.tokens);
    add_rotary(&f);
    for (int64_t layer = 0; layer < arch->layers; layer++)
        x = mlp(&f, layer, attention(&f, layer, x));
    x = norm(&f, "norm", x);
    build_output(graph, "logits",
                 linear(&f, x, arch->tied ? embedding : matrix(&f, "head", arch->vocab, f.hidden)));
    *out = graph;
    return OK;
}
