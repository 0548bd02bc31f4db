/* See passes/logit_tail.h. */
#include "passes/logit_tail.h"
#include "ir/build.h"

/* Which input of a sum is a stored vector, of the other's last axis; 2 when none is. */
static uint32_t vector_of(const struct graph *graph, const struct node *node)
{
    for (uint32_t i = 0; node->op == OP_add && i < 2; i++) {
        const struct value *v = graph_value(graph, node->inputs[i]);
        if (v->origin == VALUE_TENSOR && v->rank == 1)
            return i;
    }
    return 2;
}

struct logit_tail logit_tail_find(const struct graph *graph, uint32_t logits)
{
    struct logit_tail tail = {.product = logits};
    struct logit_step found[LOGIT_TAIL_MAX];
    while (tail.count < LOGIT_TAIL_MAX) {
        const struct value *v = graph_value(graph, tail.product);
        const struct node *node = v->origin == VALUE_NODE ? &graph->nodes.items[v->source] : NULL;
        uint32_t vector = node ? vector_of(graph, node) : 2;
        if (!node || (node->op != OP_scale && node->op != OP_tanh && vector == 2))
            break;
        found[tail.count++] =
            (struct logit_step){.op = node->op,
                                .scale = node->op == OP_scale ? node_real(node, ATTRIBUTE_scale) : 0,
                                .vector = vector < 2 ? node->inputs[vector] : ID_NONE,
                                .value = tail.product};
        tail.product = node->inputs[vector < 2 ? 1 - vector : 0];
    }
    for (uint32_t i = 0; i < tail.count; i++)
        tail.steps[i] = found[tail.count - 1 - i];
    return tail;
}

uint32_t logit_tail_bias(const struct logit_tail *tail)
{
    for (uint32_t i = 0; i < tail->count; i++)
        if (tail->steps[i].op == OP_add)
            return tail->steps[i].vector;
    return ID_NONE;
}

void logit_tail_move(struct logit_tail *tail, const uint32_t *values)
{
    for (uint32_t i = 0; i < tail->count; i++)
        if (tail->steps[i].op == OP_add)
            tail->steps[i].vector = values[tail->steps[i].vector];
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
        uint32_t inputs[] = {x, tail->steps[i].vector};
        x = kept[i] = build_op(graph, tail->steps[i].op, inputs, &attributes);
    }
    return x;
}

uint32_t logit_tail_pull_back(const struct logit_tail *tail, struct graph *graph,
                              const uint32_t kept[LOGIT_TAIL_MAX], uint32_t dy, uint32_t *dbias)
{
    if (dbias)
        *dbias = ID_NONE;
    for (uint32_t i = tail->count; i-- > 0;) {
        struct build_attributes attributes = {.scale = tail->steps[i].scale};
        if (tail->steps[i].op == OP_add) {
            if (dbias)
                *dbias = build_unary(graph, OP_column_sum, dy);
            continue;
        }
        dy = tail->steps[i].op == OP_scale ? build_op(graph, OP_scale, &dy, &attributes)
                                           : build_binary(graph, OP_tanh_grad, kept[i], dy);
    }
    return dy;
}
