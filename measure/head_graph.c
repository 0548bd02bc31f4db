/* The head is found by structure: what makes "logits", but for what the tail does to them. */
#include "measure/head_graph.h"
#include "ir/build.h"

enum status model_head_find(struct model_head *out, const struct graph *model, struct trace *trace)
{
    uint32_t logits = graph_find_output(model, "logits");
    *out = (struct model_head){.node = ID_NONE};
    if (logits != ID_NONE)
        out->tail = logit_tail_find(model, logits);
    const struct value *v = logits == ID_NONE ? NULL : graph_value(model, out->tail.product);
    if (!v || v->origin != VALUE_NODE || model->nodes.items[v->source].op != OP_matmul_nt)
        return status_fail(trace, UNSUPPORTED, "expected a model whose output \"logits\" is a linear layer");
    out->node = v->source;
    return OK;
}

bool model_head_has(const struct model_head *head, const struct graph *model, uint32_t node)
{
    return head->node != ID_NONE &&
           (node == head->node || logit_tail_has(&head->tail, model->nodes.items[node].results[0]));
}

/* Inputs that `copy->to` has by that name already are those. */
static enum status copy_inputs(struct graph_copy *copy, struct trace *trace)
{
    const struct graph *model = copy->from;
    for (uint32_t i = 0; i < model->inputs.count; i++) {
        const struct input *input = &model->inputs.items[i];
        uint32_t there = graph_find_input(copy->to, input->name.data);
        if (there == ID_NONE) {
            graph_copy_input(copy, i);
            continue;
        }
        const struct value *from = graph_value(model, input->value), *to = graph_value(copy->to, there);
        for (uint32_t a = 0; a < from->rank; a++) {
            uint32_t term = dims_find(&model->dims, from->axes[a]);
            if (from->rank != to->rank || !dims_is_leaf(&model->dims, term) ||
                dims_size(&model->dims, term) != dims_size(&copy->to->dims, to->axes[a]))
                return status_fail(trace, UNSUPPORTED,
                                   "the two models' \"" STR_FORMAT "\" do not have the same sizes",
                                   STR_ARGUMENT(input->name));
            copy->terms[term] = to->axes[a];
        }
        copy->values[input->value] = there;
    }
    return OK;
}

enum status head_graph_copy(struct head_graph *out, struct graph *to, const struct graph *model,
                            struct trace *trace)
{
    struct model_head head;
    TRY(model_head_find(&head, model, trace));
    struct graph_copy copy = graph_copy_begin(to, model);
    TRY(copy_inputs(&copy, trace));
    for (uint32_t i = 0; i < model->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t i = 0; i < model->nodes.count; i++)
        if (!model_head_has(&head, model, i))
            TRY(graph_copy_node(&copy, &model->nodes.items[i], trace));
    const struct node *node = &model->nodes.items[head.node];
    logit_tail_move(&head.tail, copy.values);
    *out = (struct head_graph){copy.values[node->inputs[0]], copy.values[node->inputs[1]], head.tail};
    return OK;
}

uint32_t head_graph_logits(const struct head_graph *head, struct graph *graph, int64_t start, int64_t rows,
                           int64_t vocabulary)
{
    struct build_attributes range = {.start = start, .rows = rows}, used = {.start = 0, .rows = vocabulary};
    uint32_t weight = head->weight, kept[LOGIT_TAIL_MAX];
    struct logit_tail tail = head->tail;
    if (vocabulary > 0 && vocabulary < head_graph_size(head, graph)) {
        weight = build_op(graph, OP_rows, &weight, &used);
        for (uint32_t i = 0; i < tail.count; i++)
            if (tail.steps[i].op == OP_add)
                tail.steps[i].vector = build_op(graph, OP_items, &tail.steps[i].vector, &used);
    }
    uint32_t logits =
        build_binary(graph, OP_matmul_nt, build_op(graph, OP_rows, &head->hidden, &range), weight);
    return logit_tail_apply(&tail, graph, logits, kept);
}

int64_t head_graph_size(const struct head_graph *head, const struct graph *graph)
{
    return dims_size(&graph->dims, graph_value(graph, head->weight)->axes[0]);
}
