/* With scores s[i][j] = scale x[i].x[j], and p, q the softmax over j <= i of those of student x and teacher
 * y: KL(q || p) of row i = sum_j q (s_y - s_x) - log-sum_y + log-sum_x, and sum_j q[i][j] s[i][j] = scale
 * x[i].(q x)[i]; its gradient by s_x is p - q, so by x[i] it is scale times (p x - q x)[i], and from later
 * rows comes scale times the sum over k >= i of (p - q)[k][i] x[k]. p x and q x are attention, the sum over
 * later rows is attention's gradient of its values. */
#include "train/relation.h"
#include "ir/build.h"
#include "shaders/scalar/scalar.h"

/* Attention of one side with itself. */
struct side {
    uint32_t x, own, stats; /* own: with x as values too */
    struct build_attributes attributes;
};

static int64_t width_of(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return dims_size(&graph->dims, v->axes[v->rank - 1]);
}

static struct side relate(struct graph *graph, uint32_t x, uint32_t heads)
{
    uint32_t inputs[] = {x, x, x}, size = (uint32_t)width_of(graph, x) / heads;
    struct side side = {
        .x = x,
        .attributes = {
            .heads = heads, .kv_heads = heads, .causal = 1, .scale = gm_flush(gm_rsqrt(gm_from_uint(size)))}};
    side.own = build_op(graph, OP_attention, inputs, &side.attributes);
    side.stats = build_result(graph, side.own, 1);
    return side;
}

static uint32_t scaled(struct graph *graph, uint32_t x, float factor)
{
    struct build_attributes attributes = {.scale = factor};
    return build_op(graph, OP_scale, &x, &attributes);
}

static uint32_t minus(struct graph *graph, uint32_t x, uint32_t y)
{
    return build_binary(graph, OP_add, x, scaled(graph, y, -1));
}

/* [b, s, heads] */
static uint32_t head_products(struct graph *graph, uint32_t x, uint32_t y, const struct side *side)
{
    uint32_t inputs[] = {x, y};
    return build_op(graph, OP_attention_delta, inputs, &side->attributes);
}

static uint32_t spread(struct graph *graph, uint32_t x, int64_t width)
{
    struct build_attributes attributes = {.rows = width};
    return build_op(graph, OP_spread, &x, &attributes);
}

/* sum over i of the side's p[i][j] y[i]: attention's gradient of `values`, y being that of its result. */
static uint32_t gathered(struct graph *graph, const struct side *side, uint32_t values, uint32_t y)
{
    uint32_t inputs[] = {side->x, side->x, values, y, side->stats, head_products(graph, y, y, side)};
    return build_result(graph, build_op(graph, OP_attention_grad, inputs, &side->attributes), 2);
}

/* Of each row and head, [b, s, heads]. */
static uint32_t divergences(struct graph *graph, const struct side *of_x, const struct side *of_y,
                            uint32_t crossed)
{
    uint32_t by_y = head_products(graph, of_y->x, of_y->own, of_y);
    uint32_t by_x = head_products(graph, of_x->x, crossed, of_x);
    uint32_t sums = minus(graph, build_unary(graph, OP_attention_log_sums, of_x->stats),
                          build_unary(graph, OP_attention_log_sums, of_y->stats));
    uint32_t scores = minus(graph, scaled(graph, by_y, of_y->attributes.scale),
                            scaled(graph, by_x, of_x->attributes.scale));
    return build_binary(graph, OP_add, scores, sums);
}

struct relation_result relation_build(struct graph *graph, uint32_t x, uint32_t y, uint32_t weights,
                                      uint32_t heads)
{
    struct side of_x = relate(graph, x, heads), of_y = relate(graph, y, heads);
    uint32_t inputs[] = {y, y, x}, crossed = build_op(graph, OP_attention, inputs, &of_y.attributes);
    float share = gm_rcp(gm_from_uint(heads));
    uint32_t losses = scaled(graph, divergences(graph, &of_x, &of_y, crossed), share);
    uint32_t wide = spread(graph, weights, width_of(graph, x));
    uint32_t weighted = build_binary(graph, OP_mul, x, wide);
    uint32_t rows = build_binary(graph, OP_mul, minus(graph, of_x.own, crossed), wide);
    uint32_t columns = minus(graph, gathered(graph, &of_x, x, weighted), gathered(graph, &of_y, x, weighted));
    return (struct relation_result){
        .loss = build_binary(graph, OP_dot, losses, spread(graph, weights, heads)),
        .gradient = scaled(graph, build_binary(graph, OP_add, rows, columns),
                           gm_flush(of_x.attributes.scale * share)),
    };
}
