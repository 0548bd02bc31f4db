/* Deterministic order: inputs as they are, then everything the outputs need, depth first from the first
 * output, operands left to right; weights in the order in which they are met. What no output needs is
 * dropped. The order of the source's nodes and the numbers of its values do not matter. */
#include "ir/build.h"
#include "ir/text.h"

struct visit {
    uint32_t node, next_input;
};

/* Copies `value`'s producers before it, with an explicit stack: graphs are deep. */
static void copy_needed(struct graph_copy *copy, uint32_t value, struct arena *scratch)
{
    const struct graph *from = copy->from;
    VEC(struct visit) stack = {0};
    const struct value *wanted = graph_value(from, value);
    if (wanted->origin == VALUE_NODE && copy->values[value] == ID_NONE)
        VEC_PUSH(scratch, &stack)->node = wanted->source;
    else if (wanted->origin == VALUE_TENSOR && copy->values[value] == ID_NONE)
        graph_copy_tensor(copy, wanted->source); /* an output that is a weight */
    struct trace trace = {0};
    while (stack.count > 0) {
        struct visit *top = &VEC_LAST(&stack);
        const struct node *node = &from->nodes.items[top->node];
        if (top->next_input == node->input_count) {
            stack.count--;
            if (copy->values[node->results[0]] == ID_NONE && graph_copy_node(copy, node, &trace) != OK)
                BUG("canonicalise: %s", trace.text);
            continue;
        }
        uint32_t input = node->inputs[top->next_input++]; /* a push below may move the stack */
        const struct value *v = graph_value(from, input);
        if (copy->values[input] != ID_NONE)
            continue;
        if (v->origin == VALUE_TENSOR)
            graph_copy_tensor(copy, v->source);
        else if (v->origin == VALUE_NODE)
            *VEC_PUSH(scratch, &stack) = (struct visit){v->source, 0};
    }
}

struct graph *graph_canonicalise(const struct graph *graph)
{
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, graph);
    struct arena scratch = {0};
    for (uint32_t i = 0; i < graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < graph->outputs.count; i++) {
        const struct output *output = &graph->outputs.items[i];
        copy_needed(&copy, output->value, &scratch);
        build_output(to, arena_copy_string(&to->arena, output->name.data, output->name.length),
                     copy.values[output->value]);
    }
    graph_copy_description(to, graph);
    arena_release(&scratch);
    return to;
}
