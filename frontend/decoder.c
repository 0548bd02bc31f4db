/* See frontend/decoder.h. */
#include "frontend/decoder.h"
#include "frontend/lower.h"
#include <inttypes.h>
#include <math.h>

struct decoder {
    struct importer im;
    const struct decoder_source *source;
    uint32_t frequencies;
    struct trace *trace;
};

enum status decoder_check(const struct decoder_config *c, struct trace *trace)
{
    const struct {
        const char *name;
        int64_t size, most;
    } sizes[] = {
        {"layers", c->layers, DECODER_MAX_LAYERS},    {"hidden channels", c->hidden, DECODER_MAX_SIZE},
        {"heads", c->heads, DECODER_MAX_SIZE},        {"key-value heads", c->kv_heads, DECODER_MAX_SIZE},
        {"channels of a head", c->head_dim, 1 << 16}, {"MLP channels", c->ffn, DECODER_MAX_SIZE},
        {"words", c->vocab, DECODER_MAX_SIZE}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].size < 1 || sizes[i].size > sizes[i].most)
            return status_fail(trace, INVALID, "the configuration has %" PRId64 " %s, expected 1 to %" PRId64,
                               sizes[i].size, sizes[i].name, sizes[i].most);
    if (c->heads % c->kv_heads != 0)
        return status_fail(trace, INVALID, "%" PRId64 " heads for %" PRId64 " key-value heads", c->heads,
                           c->kv_heads);
    if (c->head_dim % 2 != 0)
        return status_fail(trace, UNSUPPORTED, "heads of %" PRId64 " channels cannot be rotated in halves",
                           c->head_dim);
    return OK;
}

static enum status take(struct decoder *d, uint32_t *weight, enum decoder_role role, int64_t layer,
                        enum decoder_part part, uint32_t rank, int64_t rows, int64_t columns)
{
    const char *name = d->source->name(d->im.arena, role, layer, part);
    int64_t dims[] = {rows, columns};
    struct tensor_view view;
    TRY(weight_set_take(&view, d->source->weights, name, rank, dims, d->trace));
    *weight = import_weight(&d->im, &view);
    return OK;
}

static uint32_t add(struct decoder *d, struct term term)
{
    return term_add(&d->im.terms, term, TERM_NONE);
}

static enum status add_norm(struct decoder *d, uint32_t *out, enum decoder_role role, int64_t layer,
                            uint32_t x)
{
    const struct decoder_config *c = d->source->config;
    struct term term = {.kind = TERM_RMSNORM, .x = x, .size = c->hidden, .number = c->epsilon};
    TRY(take(d, &term.weight, role, layer, PART_WEIGHT, 1, c->hidden, 0));
    *out = add(d, term);
    return OK;
}

static enum status add_linear(struct decoder *d, uint32_t *out, enum decoder_role role, int64_t layer,
                              uint32_t x, int64_t size, bool has_bias)
{
    struct term term = {.kind = TERM_LINEAR, .x = x, .size = size};
    TRY(take(d, &term.weight, role, layer, PART_WEIGHT, 2, size, term_get(&d->im.terms, x)->size));
    *out = add(d, term);
    if (!has_bias)
        return OK;
    struct term bias = {.kind = TERM_BIAS, .x = *out, .size = size};
    TRY(take(d, &bias.weight, role, layer, PART_BIAS, 1, size, 0));
    *out = add(d, bias);
    return OK;
}

static uint32_t add_rope(struct decoder *d, uint32_t x, int64_t heads)
{
    int64_t size = term_get(&d->im.terms, x)->size;
    return add(
        d, (struct term){.kind = TERM_ROPE, .x = x, .index = d->frequencies, .size = size, .groups = heads});
}

static enum status add_attention(struct decoder *d, uint32_t *x, int64_t layer)
{
    const struct decoder_config *c = d->source->config;
    int64_t wide = c->heads * c->head_dim, narrow = c->kv_heads * c->head_dim;
    uint32_t n, q, k, v, o;
    TRY(add_norm(d, &n, ROLE_attention_norm, layer, *x));
    TRY(add_linear(d, &q, ROLE_q, layer, n, wide, c->has_qkv_bias));
    TRY(add_linear(d, &k, ROLE_k, layer, n, narrow, c->has_qkv_bias));
    TRY(add_linear(d, &v, ROLE_v, layer, n, narrow, c->has_qkv_bias));
    struct term mixed = {.kind = TERM_ATTENTION,
                         .x = add_rope(d, q, c->heads),
                         .y = add_rope(d, k, c->kv_heads),
                         .z = v,
                         .size = wide,
                         .heads = c->heads,
                         .groups = c->kv_heads,
                         .number = 1 / sqrt((double)c->head_dim)};
    TRY(add_linear(d, &o, ROLE_o, layer, add(d, mixed), c->hidden, c->has_o_bias));
    *x = add(d, (struct term){.kind = TERM_ADD, .x = *x, .y = o, .size = c->hidden});
    return OK;
}

static enum status add_mlp(struct decoder *d, uint32_t *x, int64_t layer)
{
    const struct decoder_config *c = d->source->config;
    uint32_t n, gate, up, down;
    TRY(add_norm(d, &n, ROLE_mlp_norm, layer, *x));
    TRY(add_linear(d, &gate, ROLE_gate, layer, n, c->ffn, c->has_mlp_bias));
    TRY(add_linear(d, &up, ROLE_up, layer, n, c->ffn, c->has_mlp_bias));
    uint32_t active = add(d, (struct term){.kind = TERM_SILU, .x = gate, .size = c->ffn});
    uint32_t product = add(d, (struct term){.kind = TERM_MULTIPLY, .x = active, .y = up, .size = c->ffn});
    TRY(add_linear(d, &down, ROLE_down, layer, product, c->hidden, c->has_mlp_bias));
    *x = add(d, (struct term){.kind = TERM_ADD, .x = *x, .y = down, .size = c->hidden});
    return OK;
}

static enum status add_head(struct decoder *d, uint32_t *logits, uint32_t x, uint32_t embedding)
{
    const struct decoder_config *c = d->source->config;
    TRY(add_norm(d, &x, ROLE_norm, 0, x));
    const char *name = d->source->name(d->im.arena, ROLE_head, 0, PART_WEIGHT);
    struct term head = {.kind = TERM_LINEAR, .x = x, .weight = embedding, .size = c->vocab};
    bool is_stored = weight_set_find(d->source->weights, str_from(name)) != NULL;
    if (!c->tied || is_stored)
        TRY(take(d, &head.weight, ROLE_head, 0, PART_WEIGHT, 2, c->vocab, c->hidden));
    if (c->tied && !weights_equal(&d->im.weights.items[head.weight], &d->im.weights.items[embedding]))
        return status_fail(
            d->trace, INVALID,
            "tensor '%s' differs from the embedding, which the configuration says is the head too", name);
    *logits = add(d, head);
    return OK;
}

/* On the model's arena: the graph's tensor will be a view of them. */
static void add_frequencies(struct decoder *d)
{
    const struct decoder_config *c = d->source->config;
    struct frequencies f = {.count = c->head_dim / 2};
    f.values = ARENA_ARRAY(&d->im.model->arena, float, (size_t)f.count);
    decoder_frequencies(f.values, &c->rotary, c->head_dim);
    d->frequencies = d->im.frequencies.count;
    *VEC_PUSH(d->im.arena, &d->im.frequencies) = f;
}

static enum status build(struct decoder *d, struct graph **graph)
{
    const struct decoder_config *c = d->source->config;
    struct term embed = {.kind = TERM_EMBED, .size = c->hidden};
    uint32_t logits = TERM_NONE;
    add_frequencies(d);
    embed.x = add(d, (struct term){.kind = TERM_TOKENS, .size = 1});
    TRY(take(d, &embed.weight, ROLE_embed, 0, PART_WEIGHT, 2, c->vocab, c->hidden));
    uint32_t x = add(d, embed);
    for (int64_t layer = 0; layer < c->layers; layer++) {
        TRY(add_attention(d, &x, layer));
        TRY(add_mlp(d, &x, layer));
    }
    TRY(add_head(d, &logits, x, embed.weight));
    TRY(weight_set_check_taken(d->source->weights, d->trace));
    return lower_terms(graph, &d->im, logits, d->trace);
}

enum status decoder_build(struct imported_model *model, const struct decoder_source *source,
                          struct trace *trace)
{
    struct arena arena = {0};
    struct decoder d = {.source = source, .trace = trace};
    d.im.model = model;
    d.im.arena = d.im.terms.arena = d.im.room.arena = &arena;
    enum status status = build(&d, &model->graph);
    if (status == OK)
        import_note_storage(&d.im);
    arena_release(&arena);
    return status;
}
