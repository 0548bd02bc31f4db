/* See passes/logit_tail.h. */
#include "passes/logit_tail.h"
#include "ir/build.h"

struct logit_tail logit_tail_find(const struct graph *graph, uint32_t logits)
{
    struct logit_tail tail = {.product = logits};
    struct logit_step found[LOGIT_TAIL_MAX];
    while (tail.count < LOGIT_TAIL_MAX) {
        const struct value *v = graph_value(graph, tail.product);
        const struct node *node = v->origin == VALUE_NODE ? &graph->nodes.items[v->source] : NULL;
        if (!node || (node->op != OP_scale && node->op != OP_tanh))
            break;
        found[tail.count++] =
            (struct logit_step){.op = node->op,
                                .scale = node->op == OP_scale ? node_real(node, ATTRIBUTE_scale) : 0,
                                .value = tail.product};
        tail.product = node->inputs[0];
    }
    for (uint32_t i = 0; i < tail.count; i++)
        tail.steps[i] = found[tail.count - 1 - i];
    return tail;
}

bool logit_tail_has(const struct logit_tail *tail, uint32_t value)
{
    for (uint32_t i = 0; i < tail->count; i++)
        if (tail->steps[i].value == value)
            return true;
    return false;
}

uint32_t logit_tail_apply(const struct logit_tail *tail, struct graph *graph, uint32_t x,
                          uint32_t kept[LOGIT_TAIL_MAX])
{
    for (uint32_t i = 0; i < tail->count; i++) {
        struct build_attributes attributes = {.scale = tail->steps[i].scale};
        x = kept[i] = build_op(graph, tail->steps[i].op, &x, &attributes);
    }
    return x;
}

uint32_t logit_tail_pull_back(const struct logit_tail *tail, struct graph *graph,
                              const uint32_t kept[LOGIT_TAIL_MAX], uint32_t dy)
{
    for (uint32_t i = tail->count; i-- > 0;) {
        struct build_attributes attributes = {.scale = tail->steps[i].scale};
        dy = tail->steps[i].op == OP_scale ? build_op(graph, OP_scale, &dy, &attributes)
                                           : build_binary(graph, OP_tanh_grad, kept[i], dy);
    }
    return dy;
}
