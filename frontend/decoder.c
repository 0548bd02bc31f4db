/* See frontend/decoder.h. What a layer is made of stands in the form; this file follows it. */
#include "frontend/decoder.h"
#include "frontend/decoder_weights.h"
#include "frontend/lower.h"
#include <inttypes.h>
#include <math.h>

enum status decoder_check(const struct decoder_config *c, struct trace *trace)
{
    bool rotates = c->form->has_rotary, has_table = c->form->has_positions;
    const struct {
        const char *name;
        int64_t size, most;
    } sizes[] = {
        {"layers", c->layers, DECODER_MAX_LAYERS},
        {"hidden channels", c->hidden, DECODER_MAX_SIZE},
        {"heads", c->heads, DECODER_MAX_SIZE},
        {"key-value heads", c->kv_heads, DECODER_MAX_SIZE},
        {"channels of a head", c->head_dim, 1 << 16},
        {"MLP channels", c->ffn, DECODER_MAX_SIZE},
        {"words", c->vocab, DECODER_MAX_SIZE},
        {"rotated channels", rotates ? c->rotary.size : 1, c->head_dim},
        {"positions", has_table ? c->positions : 1, DECODER_MAX_SIZE},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].size < 1 || sizes[i].size > sizes[i].most)
            return status_fail(trace, INVALID, "the configuration has %" PRId64 " %s, expected 1 to %" PRId64,
                               sizes[i].size, sizes[i].name, sizes[i].most);
    if (c->heads % c->kv_heads != 0)
        return status_fail(trace, INVALID,
                           "expected a multiple of the %" PRId64 " key-value heads, found %" PRId64 " heads",
                           c->kv_heads, c->heads);
    if (c->heads * c->head_dim > DECODER_MAX_SIZE)
        return status_fail(trace, INVALID,
                           "%" PRId64 " heads of %" PRId64 " channels, at most %d channels are expected",
                           c->heads, c->head_dim, DECODER_MAX_SIZE);
    if (c->form->packing == PACKING_BY_HEAD && c->heads != c->kv_heads)
        return status_fail(trace, INVALID, "%" PRId64 " heads packed with %" PRId64 " key-value heads",
                           c->heads, c->kv_heads);
    if (rotates && c->rotary.size % 2 != 0)
        return status_fail(trace, UNSUPPORTED, "heads of %" PRId64 " channels cannot be rotated in halves",
                           c->rotary.size);
    return OK;
}

static uint32_t add(struct decoder *d, struct term term)
{
    return term_add(&d->im.terms, term, TERM_NONE);
}

static enum status add_norm(struct decoder *d, uint32_t *out, enum weight_role role, int64_t layer,
                            uint32_t x)
{
    const struct decoder_config *c = d->config;
    struct term term = {.kind = TERM_RMSNORM, .x = x, .size = c->hidden, .number = c->epsilon};
    bool is_centred = c->form->norm == DECODER_LAYERNORM, is_bare = c->form->norms_are_bare;
    if (is_centred)
        term.x = add(d, (struct term){.kind = TERM_CENTRED, .x = x, .size = c->hidden});
    if (is_bare)
        term.kind = TERM_NORMAL;
    else
        TRY(decoder_take_norm(d, &term.weight, role, layer, c->hidden));
    *out = add(d, term);
    if (!is_centred || is_bare || c->form->norms_lack_bias)
        return OK;
    struct term bias = {.kind = TERM_BIAS, .x = *out, .size = c->hidden};
    TRY(decoder_take_vector(d, &bias.weight, role, layer, PART_BIAS, c->hidden));
    *out = add(d, bias);
    return OK;
}

static enum status add_linear(struct decoder *d, uint32_t *out, struct decoder_rows rows, int64_t layer,
                              uint32_t x, bool has_bias)
{
    int64_t size = rows.total / rows.head * rows.count;
    struct term term = {.kind = TERM_LINEAR, .x = x, .size = size};
    TRY(decoder_take_rows(d, &term.weight, &rows, layer, PART_WEIGHT, term_get(&d->im.terms, x)->size));
    *out = add(d, term);
    if (!has_bias)
        return OK;
    struct term bias = {.kind = TERM_BIAS, .x = *out, .size = size};
    TRY(decoder_take_rows(d, &bias.weight, &rows, layer, PART_BIAS, 0));
    *out = add(d, bias);
    return OK;
}

/* ---- attention ---- */

/* Where the rows of queries, keys or values are. */
static struct decoder_rows projection_rows(const struct decoder_config *c, enum weight_role role)
{
    int64_t narrow = c->kv_heads * c->head_dim, wide = c->heads * c->head_dim;
    int64_t size = role == ROLE_q ? wide : narrow, place = role == ROLE_q ? 0 : role == ROLE_k ? 1 : 2;
    int64_t firsts[] = {0, wide, wide + narrow};
    struct decoder_rows rows = decoder_rows_all(role, size);
    if (c->form->packing == PACKING_STACKED)
        rows = decoder_rows_some(ROLE_qkv, wide + 2 * narrow, firsts[place], size);
    else if (c->form->packing == PACKING_BY_HEAD)
        rows = (struct decoder_rows){.role = ROLE_qkv,
                                     .total = 3 * wide,
                                     .head = 3 * c->head_dim,
                                     .first = place * c->head_dim,
                                     .count = c->head_dim};
    else if (c->form->packing == PACKING_BY_GROUP) {
        int64_t queries = c->heads / c->kv_heads * c->head_dim, group = queries + 2 * c->head_dim;
        rows = (struct decoder_rows){.role = ROLE_qkv,
                                     .total = c->kv_heads * group,
                                     .head = group,
                                     .first = place == 0 ? 0 : queries + (place - 1) * c->head_dim,
                                     .count = place == 0 ? queries : c->head_dim};
    }
    rows.is_paired = c->form->rotates_neighbours && role != ROLE_v;
    return rows;
}

static int64_t window_of(const struct decoder_config *c, int64_t layer)
{
    return c->has_full_window && c->has_full_window[layer] ? 0 : c->window;
}

/* Queries or keys: projected, normalised head by head, rotated. */
static enum status add_query(struct decoder *d, uint32_t *out, enum weight_role role, int64_t layer,
                             uint32_t n)
{
    const struct decoder_config *c = d->config;
    int64_t heads = role == ROLE_q ? c->heads : c->kv_heads;
    TRY(add_linear(d, out, projection_rows(c, role), layer, n, c->has_qkv_bias));
    if (c->form->head_norms != HEAD_NORMS_NONE) {
        bool is_whole = c->form->head_norms == HEAD_NORMS_WHOLE;
        struct term norm = {.kind = TERM_RMSNORM,
                            .x = *out,
                            .size = heads * c->head_dim,
                            .groups = heads > 1 && !is_whole ? heads : 0,
                            .number = c->epsilon};
        enum weight_role norm_role = role == ROLE_q ? ROLE_q_norm : ROLE_k_norm;
        TRY(decoder_take_norm(d, &norm.weight, norm_role, layer, is_whole ? norm.size : c->head_dim));
        *out = add(d, norm);
    }
    bool is_local = c->local.size > 0 && window_of(c, layer) > 0;
    if (c->form->has_rotary && !(c->is_bare && c->is_bare[layer]))
        *out = add(d, (struct term){.kind = TERM_ROPE,
                                    .x = *out,
                                    .index = is_local ? d->local_frequencies : d->frequencies,
                                    .size = heads * c->head_dim,
                                    .groups = heads});
    return OK;
}

/* The norm of what a branch reads; NORMS_AFTER: that itself. */
static enum status add_norm_before(struct decoder *d, uint32_t *out, enum weight_role role, int64_t layer,
                                   uint32_t x)
{
    *out = x;
    return d->config->form->norms == NORMS_AFTER ? OK : add_norm(d, out, role, layer, x);
}

static enum status add_norm_after(struct decoder *d, uint32_t *out, enum weight_role role, int64_t layer)
{
    return d->config->form->norms == NORMS_BEFORE ? OK : add_norm(d, out, role, layer, *out);
}

static enum status add_attention(struct decoder *d, uint32_t *out, uint32_t n, int64_t layer)
{
    const struct decoder_config *c = d->config;
    int64_t wide = c->heads * c->head_dim;
    struct decoder_rows o_rows = decoder_rows_all(ROLE_o, c->hidden);
    struct term mixed = {.kind = TERM_ATTENTION,
                         .size = wide,
                         .heads = c->heads,
                         .groups = c->kv_heads,
                         .number = c->scale > 0 ? c->scale : 1 / sqrt((double)c->head_dim)};
    mixed.window = window_of(c, layer);
    mixed.softcap = c->softcap;
    mixed.index = d->slopes;
    TRY(add_query(d, &mixed.x, ROLE_q, layer, n));
    TRY(add_query(d, &mixed.y, ROLE_k, layer, n));
    TRY(add_linear(d, &mixed.z, projection_rows(c, ROLE_v), layer, n, c->has_qkv_bias));
    TRY(add_linear(d, out, o_rows, layer, add(d, mixed), c->has_o_bias));
    return add_norm_after(d, out, ROLE_attention_post_norm, layer);
}

/* ---- MLP ---- */

static uint32_t add_activation(struct decoder *d, uint32_t x)
{
    static const enum term_kind kinds[] = {
        [ACTIVATION_SILU] = TERM_SILU,           [ACTIVATION_GELU] = TERM_GELU,
        [ACTIVATION_GELU_TANH] = TERM_GELU_TANH, [ACTIVATION_RELU] = TERM_RELU,
        [ACTIVATION_RELU_SQUARED] = TERM_RELU,
    };
    enum decoder_activation activation = d->config->activation;
    uint32_t y = add(d, (struct term){.kind = kinds[activation], .x = x, .size = d->config->ffn});
    if (activation == ACTIVATION_RELU_SQUARED)
        y = add(d, (struct term){.kind = TERM_SQUARE, .x = y, .size = d->config->ffn});
    return y;
}

static uint32_t add_pair(struct decoder *d, enum term_kind kind, uint32_t x, uint32_t y)
{
    int64_t size = term_get(&d->im.terms, x)->size;
    return add(d, (struct term){.kind = kind, .x = x < y ? x : y, .y = x < y ? y : x, .size = size});
}

static enum status add_mlp(struct decoder *d, uint32_t *out, uint32_t n, int64_t layer)
{
    const struct decoder_config *c = d->config;
    bool is_packed = c->form->packs_gate;
    struct decoder_rows gate_rows = decoder_rows_all(ROLE_gate, c->ffn),
                        up_rows = decoder_rows_all(ROLE_up, c->ffn),
                        down_rows = decoder_rows_all(ROLE_down, c->hidden);
    uint32_t gate, up, inner;
    if (is_packed) {
        gate_rows = decoder_rows_some(ROLE_gate_up, 2 * c->ffn, 0, c->ffn);
        up_rows = decoder_rows_some(ROLE_gate_up, 2 * c->ffn, c->ffn, c->ffn);
    }
    if (c->form->is_gated)
        TRY(add_linear(d, &gate, gate_rows, layer, n, c->has_mlp_bias));
    TRY(add_linear(d, &up, up_rows, layer, n, c->has_mlp_bias));
    inner =
        c->form->is_gated ? add_pair(d, TERM_MULTIPLY, add_activation(d, gate), up) : add_activation(d, up);
    TRY(add_linear(d, out, down_rows, layer, inner, c->has_mlp_bias));
    return add_norm_after(d, out, ROLE_mlp_post_norm, layer);
}

/* ---- the model ---- */

static enum status add_layer(struct decoder *d, uint32_t *x, int64_t layer)
{
    uint32_t attention, mlp, n;
    TRY(add_norm_before(d, &n, ROLE_attention_norm, layer, *x));
    TRY(add_attention(d, &attention, n, layer));
    if (d->config->is_parallel) {
        if (!d->config->form->shares_norm)
            TRY(add_norm_before(d, &n, ROLE_mlp_norm, layer, *x));
        TRY(add_mlp(d, &mlp, n, layer));
        *x = add_pair(d, TERM_ADD, *x, add_pair(d, TERM_ADD, mlp, attention));
        return OK;
    }
    *x = add_pair(d, TERM_ADD, *x, attention);
    TRY(add_norm_before(d, &n, ROLE_mlp_norm, layer, *x));
    TRY(add_mlp(d, &mlp, n, layer));
    *x = add_pair(d, TERM_ADD, *x, mlp);
    return OK;
}

static enum status add_embedding(struct decoder *d, uint32_t *out, uint32_t *weight)
{
    const struct decoder_config *c = d->config;
    struct term embed = {.kind = TERM_EMBED, .size = c->hidden};
    embed.x = add(d, (struct term){.kind = TERM_TOKENS, .size = 1});
    struct decoder_rows rows = decoder_rows_all(ROLE_embed, c->vocab);
    rows.is_table = true;
    TRY(decoder_take_rows(d, weight, &rows, 0, PART_WEIGHT, c->hidden));
    embed.weight = *weight;
    *out = add(d, embed);
    if (c->form->scales_embedding)
        *out = term_scale(&d->im.terms, *out, (double)(float)sqrt((double)c->hidden), TERM_NONE);
    if (c->form->has_embedding_norm)
        TRY(add_norm(d, out, ROLE_embed_norm, 0, *out));
    if (!c->form->has_positions)
        return OK;
    struct term sum = {.kind = TERM_POSITIONS, .x = *out, .size = c->hidden};
    sum.index = (uint32_t)c->form->first_position;
    rows = decoder_rows_all(ROLE_positions, c->positions + c->form->first_position);
    rows.is_table = true;
    TRY(decoder_take_rows(d, &sum.weight, &rows, 0, PART_WEIGHT, c->hidden));
    *out = add(d, sum);
    return OK;
}

static enum status add_head(struct decoder *d, uint32_t *logits, uint32_t x, uint32_t embedding)
{
    const struct decoder_config *c = d->config;
    struct decoder_rows rows = decoder_rows_all(ROLE_head, c->vocab);
    rows.is_table = true;
    TRY(add_norm(d, &x, ROLE_norm, 0, x));
    struct term head = {.kind = TERM_LINEAR, .x = x, .weight = embedding, .size = c->vocab};
    if (!c->tied || decoder_has_weight(d, ROLE_head, 0))
        TRY(decoder_take_rows(d, &head.weight, &rows, 0, PART_WEIGHT, c->hidden));
    if (c->tied && !import_weights_equal(&d->im, head.weight, embedding))
        return status_fail(
            d->trace, INVALID,
            "tensor '%s' differs from the embedding, which the configuration says is the head too",
            decoder_weight_name(d, ROLE_head, 0, PART_WEIGHT));
    *logits = add(d, head);
    if (c->form->has_head_bias) {
        struct term bias = {.kind = TERM_BIAS, .x = *logits, .size = c->vocab};
        TRY(decoder_take_vector(d, &bias.weight, ROLE_head, 0, PART_BIAS, c->vocab));
        *logits = add(d, bias);
    }
    if (c->logit_softcap > 0) {
        struct term_set *terms = &d->im.terms;
        struct term tangent = {.kind = TERM_TANH, .size = c->vocab};
        tangent.x = term_scale(terms, *logits, 1 / c->logit_softcap, TERM_NONE);
        *logits = term_scale(terms, add(d, tangent), c->logit_softcap, TERM_NONE);
    }
    return OK;
}

/* On the model's arena: the graph's tensors will be views of them. */
static uint32_t add_frequencies(struct decoder *d, const struct decoder_rotary *rotary)
{
    struct frequencies f = {.count = rotary->size / 2};
    f.values = ARENA_ARRAY(&d->im.model->arena, float, (size_t)f.count);
    decoder_frequencies(f.values, rotary);
    *VEC_PUSH(d->im.arena, &d->im.frequencies) = f;
    return d->im.frequencies.count - 1;
}

static void add_slopes(struct decoder *d)
{
    const struct decoder_config *c = d->config;
    struct frequencies slopes = {.count = c->heads};
    slopes.values = ARENA_ARRAY(&d->im.model->arena, float, (size_t)c->heads);
    slopes_usual(slopes.values, c->heads);
    float factor = c->form->slopes == SLOPES_SCALED ? (float)(1 / sqrt((double)c->head_dim)) : 1;
    for (int64_t i = 0; i < c->heads; i++)
        slopes.values[i] *= factor;
    *VEC_PUSH(d->im.arena, &d->im.slopes) = slopes;
    d->slopes = d->im.slopes.count;
}

static void add_tables(struct decoder *d)
{
    const struct decoder_config *c = d->config;
    if (c->form->has_rotary)
        d->frequencies = add_frequencies(d, &c->rotary);
    if (c->local.size > 0)
        d->local_frequencies = add_frequencies(d, &c->local);
    if (c->form->slopes != SLOPES_NONE)
        add_slopes(d);
}

static enum status build(struct decoder *d, struct graph **graph)
{
    uint32_t logits = TERM_NONE, x, embedding;
    add_tables(d);
    decoder_find_prefix(d);
    TRY(add_embedding(d, &x, &embedding));
    for (int64_t layer = 0; layer < d->config->layers; layer++)
        TRY(add_layer(d, &x, layer));
    TRY(add_head(d, &logits, x, embedding));
    TRY(weight_set_check_taken(d->weights, d->trace));
    return lower_terms(graph, &d->im, logits, d->trace);
}

enum status decoder_build(struct imported_model *model, const struct decoder_source *source,
                          struct trace *trace)
{
    struct arena arena = {0};
    struct decoder d = {.config = source->config, .weights = source->weights, .trace = trace};
    d.im.model = model;
    d.im.arena = d.im.terms.arena = d.im.room.arena = &arena;
    enum status status = build(&d, &model->graph);
    if (status == OK)
        import_note_storage(&d.im);
    arena_release(&arena);
    return status;
}
