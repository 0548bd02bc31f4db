/* Lowering of attention and its gradients. */
#include "backend-vulkan/lower.h"
#include "shaders/include/push/attention.h"

enum { TILE = 8, CHUNK = 128 }; /* rows and columns of a group, shaders/include/attention.glsl */

/* From q [b, s, n * h], k [b, s, g * h], v [b, s, g * e], the first operands of all. */
static struct push_attention shape_of(const struct step *s)
{
    uint heads = (uint)node_integer(s->node, ATTRIBUTE_heads), groups = (uint)node_integer(s->node, ATTRIBUTE_kv_heads);
    return (struct push_attention){
        .batch = (uint)s->inputs[0].dims[0],
        .sequence = (uint)s->inputs[0].dims[1],
        .heads = heads,
        .groups = groups,
        .share = heads / groups,
        .key_width = (uint)s->inputs[0].dims[2] / heads,
        .value_width = (uint)s->inputs[2].dims[2] / groups,
        .causal = node_integer(s->node, ATTRIBUTE_causal) ? 1 : 0,
        .scale = node_real(s->node, ATTRIBUTE_scale),
    };
}

static void launch(struct lowering *l, enum kernel kernel, const struct span *spans, struct push_attention push,
                   uint heads, uint width)
{
    push.chunks = (width + CHUNK - 1) / CHUNK;
    uint64_t tiles = (push.sequence + TILE - 1) / TILE;
    double cost = 8.0 * push.batch * push.heads * push.sequence * push.sequence * (push.key_width + push.value_width);
    commands_add(l->commands, kernel, spans, &push, push.batch * (uint64_t)heads * tiles * push.chunks, cost);
}

/* Forward and the gradient of the queries: bindings are the operands and results, fixed rows are queries. */
enum status lower_attention(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_attention push = shape_of(s);
    struct lower_spans all = lower_all_spans(s);
    launch(l, s->kernel, all.spans, push, push.heads,
           s->kernel == KERNEL_attention ? push.value_width : push.key_width);
    return OK;
}

enum status lower_attention_kv(struct lowering *l, const struct step *s, struct trace *trace)
{
    (void)trace;
    struct push_attention push = shape_of(s);
    struct lower_spans all = lower_all_spans(s); /* q k v do stats delta dk dv */
    launch(l, KERNEL_attention_grad_k, all.spans, push, push.groups, push.key_width);
    all.spans[6] = s->results[1].span;
    launch(l, KERNEL_attention_grad_v, all.spans, push, push.groups, push.value_width);
    return OK;
}
