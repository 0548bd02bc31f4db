/* The walk: what depends on a wanted value, then backwards over the nodes that were there at the start. */
#include "passes/gradient.h"
#include "base/str.h"
#include "ir/build.h"
#include "passes/gradients/gradient_call.h"
#include <assert.h>

#define no_gradient NULL
static gradient_function *const functions[OP_COUNT] = {
#define OP(name, inputs, results, rule, attributes, flags, gradient, summary) [OP_##name] = gradient,
#include "ir/ops.def"
};
#undef no_gradient

struct walk {
    struct graph *graph;
    uint32_t value_count; /* values of the graph before the walk */
    bool *depends;        /* per value: a wanted value reaches it */
    uint32_t *gradients;  /* per value: its gradient so far, or ID_NONE */
};

static void mark_dependent(struct walk *walk, const struct gradient_request *request)
{
    const struct graph *graph = walk->graph;
    for (uint32_t i = 0; i < request->wanted_count; i++) {
        assert(request->wanted[i] < walk->value_count);
        walk->depends[request->wanted[i]] = true;
    }
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        bool depends = false;
        for (uint32_t i = 0; i < node->input_count; i++)
            depends |= walk->depends[node->inputs[i]];
        for (uint32_t i = 0; i < node->result_count; i++)
            walk->depends[node->results[i]] |= depends;
    }
}

static void accumulate(struct walk *walk, uint32_t value, uint32_t gradient)
{
    uint32_t *sum = &walk->gradients[value];
    *sum = *sum == ID_NONE ? gradient : build_binary(walk->graph, OP_add, *sum, gradient);
}

static enum status refuse(const struct walk *walk, uint32_t index, const char *why, struct trace *trace)
{
    const struct node *node = &walk->graph->nodes.items[index];
    return status_fail(trace, UNSUPPORTED, "node %u (%s%s" STR_FORMAT ") %s", index, op_table[node->op].name,
                       node->origin.length ? ", " : "", STR_ARGUMENT(node->origin), why);
}

static enum status walk_node(struct walk *walk, uint32_t index, struct trace *trace)
{
    struct gradient_call call = {.graph = walk->graph, .node = walk->graph->nodes.items[index]};
    const struct node *node = &call.node;
    bool is_needed = false;
    for (uint32_t i = 0; i < node->input_count; i++) {
        call.needed[i] = walk->depends[node->inputs[i]];
        call.dx[i] = ID_NONE;
        is_needed |= call.needed[i];
    }
    call.dy = walk->gradients[node->results[0]];
    for (uint32_t i = 1; i < node->result_count && is_needed; i++)
        if (walk->gradients[node->results[i]] != ID_NONE)
            return refuse(walk, index, "has a gradient for its first result only", trace);
    if (!is_needed || call.dy == ID_NONE)
        return OK;
    if (!functions[node->op])
        return refuse(walk, index, "has no gradient, and a value that wants one depends on it", trace);
    functions[node->op](&call);
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (!call.needed[i])
            continue;
        if (call.dx[i] == ID_NONE)
            return refuse(walk, index, "has no gradient for an input that wants one", trace);
        accumulate(walk, node->inputs[i], call.dx[i]);
    }
    return OK;
}

enum status gradient_build(uint32_t *out, struct graph *graph, const struct gradient_request *request,
                           struct trace *trace)
{
    struct walk walk = {
        .graph = graph,
        .value_count = graph->values.count,
        .depends = ARENA_ARRAY(&graph->arena, bool, graph->values.count),
        .gradients = ARENA_ARRAY(&graph->arena, uint32_t, graph->values.count),
    };
    for (uint32_t i = 0; i < walk.value_count; i++)
        walk.gradients[i] = ID_NONE;
    mark_dependent(&walk, request);
    uint32_t node_count = graph->nodes.count; /* without those that add seeds of one value */
    for (uint32_t i = 0; i < request->seed_count; i++)
        accumulate(&walk, request->seeds[i].value, request->seeds[i].gradient);
    for (uint32_t n = node_count; n-- > 0;)
        TRY(walk_node(&walk, n, trace));
    for (uint32_t i = 0; i < request->wanted_count; i++)
        out[i] = walk.gradients[request->wanted[i]];
    return OK;
}
