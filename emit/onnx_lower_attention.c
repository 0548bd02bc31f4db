/* Lowerings of rotary embedding (Su et al. 2021) and of attention with grouped key-value heads (Ainslie et
 * al. 2023). Batch and sequence stay dynamic: a 0 in a Reshape copies the axis. */
#include "emit/onnx_interface.h"

/* Positions as a column that frequencies multiply: [s, 1, 1], or [b, s, 1, 1] where they differ in the batch;
 * of the fused form with an axis less. */
static const char *position_column(struct onnx_lower *l, const char *positions, bool has_batch)
{
    bool is_fused = l->onnx->form == ONNX_FUSED;
    if (!has_batch)
        return onnx_lower_reshape(l, positions, is_fused ? 2 : 3, (const int64_t[]){-1, 1, 1},
                                  onnx_lower_part(l, "column"));
    const char *axes = onnx_graph_integers(l->onnx, is_fused ? 1 : 2, (const int64_t[]){2, 3});
    return onnx_lower_apply(l, "Unsqueeze", positions, axes, onnx_lower_part(l, "column"));
}

/* ids [b, s], w [f] -> cosines and sines [s, 1, f + f] of position times frequency, for both halves of a
 * head. */
enum status onnx_lower_rotary_table(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    const char *positions = onnx_lower_part(l, "positions"), *twice = onnx_lower_part(l, "twice");
    bool is_fused = l->onnx->form == ONNX_FUSED, has_batch;
    const char *integers = onnx_lower_table_positions(l, POSITIONS_PLAIN, &has_batch);
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Cast",
                                                .inputs = {integers},
                                                .outputs = {positions},
                                                .attributes = {{.name = "to", .values = {ONNX_FLOAT}}}});
    const char *column = position_column(l, positions, has_batch);
    const char *angle =
        onnx_lower_apply(l, "Mul", column, onnx_lower_input(l, 1), onnx_lower_part(l, "angle"));
    if (is_fused) {
        onnx_lower_apply(l, "Cos", angle, NULL, onnx_lower_result(l));
        l->sines[l->node->results[0]] = onnx_lower_apply(l, "Sin", angle, NULL, onnx_lower_part(l, "sines"));
        return OK;
    }
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Concat",
                                                .inputs = {angle, angle},
                                                .outputs = {twice},
                                                .attributes = {{.name = "axis", .values = {-1}}}});
    onnx_lower_apply(l, "Cos", twice, NULL, onnx_lower_result(l));
    l->sines[l->node->results[0]] = onnx_lower_apply(l, "Sin", twice, NULL, onnx_lower_part(l, "sines"));
    return OK;
}

static const char *concat(struct onnx_lower *l, const char *a, const char *b, const char *output)
{
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Concat",
                                                .inputs = {a, b},
                                                .outputs = {output},
                                                .attributes = {{.name = "axis", .values = {-1}}}});
    return output;
}

/* halves [b, s, n, f+f] = first, second: halves * cosines + (-second, first) * sines. */
static const char *turn(struct onnx_lower *l, const char *halves, const char *first, const char *second,
                        const char *sines)
{
    const char *negated = onnx_lower_apply(l, "Neg", second, NULL, onnx_lower_part(l, "negated"));
    const char *turned = concat(l, negated, first, onnx_lower_part(l, "turned"));
    const char *along =
        onnx_lower_apply(l, "Mul", halves, onnx_lower_input(l, 1), onnx_lower_part(l, "along"));
    const char *across = onnx_lower_apply(l, "Mul", turned, sines, onnx_lower_part(l, "across"));
    return onnx_lower_apply(l, "Add", along, across, onnx_lower_part(l, "sum"));
}

/* The same by one operator, whose tables are [s, f] with a list of rows, or [b, s, f]. */
static void add_fused_rope(struct onnx_lower *l, int64_t heads, int64_t turned)
{
    const char *sines = l->sines[l->node->inputs[1]];
    bool has_batch;
    onnx_lower_table_positions(l, POSITIONS_PLAIN, &has_batch);
    onnx_graph_add(l->onnx,
                   &(struct onnx_node){.op = "RotaryEmbedding",
                                       .inputs = {onnx_lower_input(l, 0), onnx_lower_input(l, 1), sines,
                                                  has_batch ? NULL : onnx_lower_row_ids(l)},
                                       .outputs = {onnx_lower_result(l)},
                                       .attributes = {{.name = "num_heads", .values = {heads}},
                                                      {.name = "rotary_embedding_dim", .values = {turned}}}});
}

/* x [b, s, n*(f+f+rest)], table [s, 2, f]; the rest of each head stays as it is. */
static enum status lower_rope(struct onnx_lower *l, int64_t heads_count, struct trace *trace)
{
    int64_t half = onnx_lower_size(l, 1, 2), width = onnx_lower_size(l, 0, 2);
    int64_t rest = width / heads_count - 2 * half;
    const char *sines = l->sines[l->node->inputs[1]];
    const char *first = onnx_lower_part(l, "first"), *second = onnx_lower_part(l, "second");
    const char *behind = rest > 0 ? onnx_lower_part(l, "rest") : NULL;
    if (!sines)
        return status_fail(trace, UNSUPPORTED, "ONNX export: rope needs the result of a rotary_table");
    if (node_integer(l->node, ATTRIBUTE_inverse))
        return status_fail(trace, UNSUPPORTED, "ONNX export: rope that turns back belongs to gradients");
    if (l->onnx->form == ONNX_FUSED) {
        add_fused_rope(l, heads_count, rest > 0 ? 2 * half : 0);
        return OK;
    }
    const char *heads = onnx_lower_reshape(l, onnx_lower_input(l, 0), 4,
                                           (const int64_t[]){0, 0, heads_count, 2 * half + rest},
                                           onnx_lower_part(l, "heads"));
    const char *sizes = onnx_graph_integers(l->onnx, rest > 0 ? 3 : 2, (const int64_t[]){half, half, rest});
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Split",
                                                .inputs = {heads, sizes},
                                                .outputs = {first, second, behind},
                                                .attributes = {{.name = "axis", .values = {-1}}}});
    const char *halves = rest > 0 ? concat(l, first, second, onnx_lower_part(l, "halves")) : heads;
    const char *sum = turn(l, halves, first, second, sines);
    if (rest > 0)
        sum = concat(l, sum, behind, onnx_lower_part(l, "whole"));
    onnx_lower_reshape(l, sum, 3, (const int64_t[]){0, 0, width}, onnx_lower_result(l));
    return OK;
}

enum status onnx_lower_rope(struct onnx_lower *l, struct trace *trace)
{
    return lower_rope(l, onnx_lower_size(l, 0, 2) / (2 * onnx_lower_size(l, 1, 2)), trace);
}

enum status onnx_lower_rope_part(struct onnx_lower *l, struct trace *trace)
{
    return lower_rope(l, node_integer(l->node, ATTRIBUTE_heads), trace);
}

struct head_sizes {
    int64_t groups, repeats, key, value; /* g, r, h, e */
};

/* x [b, s, heads*size] -> [b, s, heads, size] */
static const char *split_heads(struct onnx_lower *l, const char *x, int64_t heads, int64_t size,
                               const char *name)
{
    return onnx_lower_reshape(l, x, 4, (const int64_t[]){0, 0, heads, size}, onnx_lower_part(l, name));
}

/* x [b, s, g*size] -> [b, s, g*r, size]: each group's head r times. */
static const char *repeat_heads(struct onnx_lower *l, const char *x, const struct head_sizes *h, int64_t size,
                                const char *name)
{
    struct arena *arena = &l->onnx->arena;
    const char *heads = split_heads(l, x, h->groups, size, name);
    if (h->repeats == 1)
        return heads;
    const char *apart =
        onnx_lower_unsqueeze(l, heads, 3, onnx_lower_part(l, arena_printf(arena, "%s/apart", name)));
    const char *times = onnx_graph_integers(l->onnx, 5, (const int64_t[]){1, 1, 1, h->repeats, 1});
    const char *repeated = onnx_lower_apply(l, "Expand", apart, times,
                                            onnx_lower_part(l, arena_printf(arena, "%s/repeated", name)));
    return onnx_lower_reshape(l, repeated, 4, (const int64_t[]){0, 0, h->groups * h->repeats, size},
                              onnx_lower_part(l, arena_printf(arena, "%s/heads", name)));
}

/* softcap * tanh(scores / softcap), where there is a soft cap */
static const char *bend(struct onnx_lower *l, const char *scores)
{
    float softcap = node_softcap(l->node);
    if (softcap == 0)
        return scores;
    const char *size = onnx_graph_float(l->onnx, softcap);
    const char *part = onnx_lower_apply(l, "Div", scores, size, onnx_lower_part(l, "part"));
    const char *bent = onnx_lower_apply(l, "Tanh", part, NULL, onnx_lower_part(l, "bent"));
    return onnx_lower_apply(l, "Mul", bent, size, onnx_lower_part(l, "capped"));
}

/* scores [b, heads, s, s] plus slope times (key less query), where heads have slopes */
static const char *lean(struct onnx_lower *l, const char *scores)
{
    uint32_t input = op_constant_input(l->node->op);
    if (input == UINT32_MAX)
        return scores;
    const char *slopes = onnx_lower_reshape(l, onnx_lower_input(l, input), 3, (const int64_t[]){-1, 1, 1},
                                            onnx_lower_part(l, "slopes"));
    const char *losses =
        onnx_lower_apply(l, "Mul", slopes, onnx_lower_distances(l), onnx_lower_part(l, "losses"));
    return onnx_lower_apply(l, "Add", scores, losses, onnx_lower_part(l, "leaning"));
}

/* x [b, g, t, size] -> [b, g*r, t, size]: the same where there is a cache. */
static const char *repeat_cached_heads(struct onnx_lower *l, const char *x, const struct head_sizes *h,
                                       int64_t size, const char *name)
{
    struct arena *arena = &l->onnx->arena;
    if (h->repeats == 1)
        return x;
    const char *apart =
        onnx_lower_unsqueeze(l, x, 2, onnx_lower_part(l, arena_printf(arena, "%s/apart", name)));
    const char *times = onnx_graph_integers(l->onnx, 5, (const int64_t[]){1, 1, h->repeats, 1, 1});
    const char *repeated = onnx_lower_apply(l, "Expand", apart, times,
                                            onnx_lower_part(l, arena_printf(arena, "%s/repeated", name)));
    return onnx_lower_reshape(l, repeated, 4, (const int64_t[]){0, h->groups * h->repeats, -1, size},
                              onnx_lower_part(l, arena_printf(arena, "%s/heads", name)));
}

/* q [b, s, heads, h]; k the same, or with a cache [b, heads, t, h] -> softmax(q k' * scale + mask)
 * [b, heads, s, t] */
static const char *weigh_keys(struct onnx_lower *l, const char *q, const char *k)
{
    const int64_t order[4] = {0, l->has_cache ? 1 : 2, 3, l->has_cache ? 2 : 1};
    const char *queries =
        onnx_lower_transpose(l, q, 4, (const int64_t[]){0, 2, 1, 3}, onnx_lower_part(l, "queries"));
    const char *keys = onnx_lower_transpose(l, k, 4, order, onnx_lower_part(l, "keys"));
    const char *products = onnx_lower_apply(l, "MatMul", queries, keys, onnx_lower_part(l, "products"));
    const char *scores =
        onnx_lower_apply(l, "Mul", products, onnx_graph_float(l->onnx, node_real(l->node, ATTRIBUTE_scale)),
                         onnx_lower_part(l, "scores"));
    scores = lean(l, bend(l, scores));
    if (node_integer(l->node, ATTRIBUTE_causal))
        scores =
            onnx_lower_apply(l, "Add", scores, onnx_lower_mask(l, node_integer(l->node, ATTRIBUTE_window)),
                             onnx_lower_part(l, "masked"));
    const char *weights = onnx_lower_part(l, "weights");
    onnx_graph_add(l->onnx, &(struct onnx_node){.op = "Softmax",
                                                .inputs = {scores},
                                                .outputs = {weights},
                                                .attributes = {{.name = "axis", .values = {-1}}}});
    return weights;
}

/* Has the fused operator the same meaning everywhere? Runtimes differ in whether they cap scores before or
 * after the mask, and slopes would be a mask for each head. */
static bool can_fuse_attention(const struct onnx_lower *l)
{
    return l->onnx->form == ONNX_FUSED && node_softcap(l->node) == 0 &&
           op_constant_input(l->node->op) == UINT32_MAX;
}

/* A window is a mask, and so is what is hidden behind a cache, where runtimes differ; without them the
 * operator makes its own. */
static void add_fused_attention(struct onnx_lower *l, int64_t heads, int64_t groups)
{
    int64_t window = node_integer(l->node, ATTRIBUTE_window);
    bool has_mask = window > 0 || onnx_lower_needs_mask(l);
    bool is_causal = node_integer(l->node, ATTRIBUTE_causal) && !has_mask;
    struct onnx_node node = {
        .op = "Attention",
        .inputs = {onnx_lower_input(l, 0), onnx_lower_input(l, 1), onnx_lower_input(l, 2),
                   has_mask ? onnx_lower_mask(l, window) : NULL},
        .outputs = {onnx_lower_result(l)},
        .attributes = {{.name = "q_num_heads", .values = {heads}},
                       {.name = "kv_num_heads", .values = {groups}},
                       {.name = "scale", .is_real = true, .real = node_real(l->node, ATTRIBUTE_scale)},
                       {.name = "is_causal", .values = {is_causal}}}};
    for (int kind = 0; kind < CACHE_KINDS && l->has_cache; kind++) {
        node.inputs[4 + kind] = onnx_lower_past(l, (enum interface_part)(PAST_KEY + kind));
        node.outputs[1 + kind] = onnx_lower_present(l, (enum interface_part)(PRESENT_KEY + kind));
    }
    onnx_graph_add(l->onnx, &node);
    for (int kind = 0; kind < CACHE_KINDS && l->has_cache; kind++)
        onnx_lower_hand_on(l, (enum interface_part)(PRESENT_KEY + kind), node.outputs[1 + kind]);
}

static const char *take_keys(struct onnx_lower *l, const struct head_sizes *h)
{
    if (!l->has_cache)
        return repeat_heads(l, onnx_lower_input(l, 1), h, h->key, "k");
    const char *all = onnx_lower_join_past(l, onnx_lower_input(l, 1), h->groups, h->key, PAST_KEY, "k");
    return repeat_cached_heads(l, all, h, h->key, "k");
}

/* [b, heads, t, e] with a cache, else [b, s, heads, e]. */
static const char *take_values(struct onnx_lower *l, const struct head_sizes *h)
{
    if (!l->has_cache)
        return repeat_heads(l, onnx_lower_input(l, 2), h, h->value, "v");
    const char *all = onnx_lower_join_past(l, onnx_lower_input(l, 2), h->groups, h->value, PAST_VALUE, "v");
    return repeat_cached_heads(l, all, h, h->value, "v");
}

static void add_plain_attention(struct onnx_lower *l, const struct head_sizes *h)
{
    int64_t heads = h->groups * h->repeats;
    const char *q = split_heads(l, onnx_lower_input(l, 0), heads, h->key, "q");
    const char *k = take_keys(l, h), *values = take_values(l, h), *weights = weigh_keys(l, q, k);
    if (!l->has_cache)
        values =
            onnx_lower_transpose(l, values, 4, (const int64_t[]){0, 2, 1, 3}, onnx_lower_part(l, "values"));
    const char *mixed = onnx_lower_apply(l, "MatMul", weights, values, onnx_lower_part(l, "mixed"));
    const char *rows =
        onnx_lower_transpose(l, mixed, 4, (const int64_t[]){0, 2, 1, 3}, onnx_lower_part(l, "rows"));
    onnx_lower_reshape(l, rows, 3, (const int64_t[]){0, 0, heads * h->value}, onnx_lower_result(l));
}

/* q [b, s, g*r*h], k [b, s, g*h], v [b, s, g*e] -> [b, s, g*r*e] */
enum status onnx_lower_attention(struct onnx_lower *l, struct trace *trace)
{
    (void)trace;
    int64_t heads = node_integer(l->node, ATTRIBUTE_heads),
            groups = node_integer(l->node, ATTRIBUTE_kv_heads);
    if (can_fuse_attention(l)) {
        add_fused_attention(l, heads, groups);
    } else {
        struct head_sizes h = {.groups = groups,
                               .repeats = heads / groups,
                               .key = onnx_lower_size(l, 0, 2) / heads,
                               .value = onnx_lower_size(l, 2, 2) / groups};
        add_plain_attention(l, &h);
    }
    l->layer++;
    return OK;
}
