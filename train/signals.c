/* The head is the product that makes "logits"; the residual stream is followed from there down to the
 * embedding. */
#include "train/signals.h"

static const struct node *producer(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return v->origin == VALUE_NODE && v->slot == 0 ? &graph->nodes.items[v->source] : NULL;
}

static const char *origin_name(const struct graph *graph, uint32_t value)
{
    const struct node *node = producer(graph, value);
    return node ? op_table[node->op].name : "no node";
}

static enum status find_head(struct signals *out, const struct graph *graph, struct trace *trace)
{
    out->tail = logit_tail_find(graph, out->logits);
    const struct node *node = producer(graph, out->tail.product);
    if (!node || node->op != OP_matmul_nt)
        return status_fail(trace, UNSUPPORTED,
                           "expected \"logits\" to be a matmul_nt of hidden states and a weight, found %s",
                           origin_name(graph, out->tail.product));
    if (graph_value(graph, node->inputs[1])->origin != VALUE_TENSOR)
        return status_fail(trace, UNSUPPORTED, "expected the head's second factor to be a weight, found %s",
                           origin_name(graph, node->inputs[1]));
    out->hidden = node->inputs[0];
    out->head = node->inputs[1];
    return OK;
}

static bool is_sum_or_embedding(const struct graph *graph, uint32_t value)
{
    const struct node *node = producer(graph, value);
    return node &&
           (node->op == OP_embed || (node->op == OP_add && graph_value(graph, node->inputs[1])->rank > 1));
}

/* From the last sum before the head down; of a sum's two inputs the stream is the one that is itself a sum or
 * the embedding (the other is a branch's product). */
static void find_residuals(struct signals *out, struct arena *arena, const struct graph *graph)
{
    uint32_t at = out->hidden;
    const struct node *node = producer(graph, at);
    if (node && node->op == OP_add && graph_value(graph, node->inputs[1])->rank == 1)
        node = producer(graph, node->inputs[0]); /* the bias of the last norm */
    if (node && (node->op == OP_rmsnorm || node->op == OP_layernorm))
        at = node->inputs[0];
    while (at != ID_NONE && is_sum_or_embedding(graph, at)) {
        *VEC_PUSH(arena, &out->residuals) = at;
        node = producer(graph, at);
        at = ID_NONE;
        for (uint32_t i = 0; node->op == OP_add && i < 2 && at == ID_NONE; i++)
            if (is_sum_or_embedding(graph, node->inputs[i]))
                at = node->inputs[i];
    }
    for (uint32_t i = 0, j = out->residuals.count; i + 1 < j; i++) {
        uint32_t swap = out->residuals.items[i];
        out->residuals.items[i] = out->residuals.items[--j];
        out->residuals.items[j] = swap;
    }
}

enum status signals_find(struct signals *out, struct arena *arena, const struct graph *graph,
                         struct trace *trace)
{
    *out = (struct signals){
        .tokens = graph_find_input(graph, "tokens"),
        .logits = graph_find_output(graph, "logits"),
    };
    if (out->tokens == ID_NONE || graph_value(graph, out->tokens)->rank != 2)
        return status_fail(trace, UNSUPPORTED, "expected a model with an input \"tokens\" of two axes");
    if (out->logits == ID_NONE)
        return status_fail(trace, UNSUPPORTED, "expected a model with an output \"logits\"");
    TRY(find_head(out, graph, trace));
    find_residuals(out, arena, graph);
    return OK;
}

uint32_t signals_get(const struct signals *signals, struct str name)
{
    static const char prefix[] = "residual.";
    uint64_t index;
    if (str_is(name, "logits"))
        return signals->logits;
    if (str_is(name, "hidden"))
        return signals->hidden;
    if (str_is(name, "head"))
        return signals->head;
    if (!str_starts_with(name, prefix))
        return ID_NONE;
    struct str digits = {name.data + sizeof prefix - 1, name.length - (sizeof prefix - 1)};
    return str_to_u64(digits, &index) && index < signals->residuals.count ? signals->residuals.items[index]
                                                                          : ID_NONE;
}
