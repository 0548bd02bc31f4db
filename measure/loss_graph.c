/* The model up to the hidden values before the head, then per chunk of tokens: logits and cross-entropy by
 * row. Weights are 0 where a row has no label. */
#include "measure/loss_graph.h"
#include "ir/build.h"
#include <inttypes.h>
#include <stdio.h>

/* Its operands in the loss graph. */
struct head {
    uint32_t hidden, weight; /* logits = matmul_nt(hidden, weight) */
    uint32_t bias;           /* plus this, or ID_NONE */
    struct logit_tail tail;  /* of that */
};

static const struct node *producer(const struct graph *model, uint32_t value)
{
    const struct value *v = value == ID_NONE ? NULL : graph_value(model, value);
    return v && v->origin == VALUE_NODE ? &model->nodes.items[v->source] : NULL;
}

/* The stored vector that a sum adds, or ID_NONE; *other is the other operand. */
static uint32_t find_bias(const struct graph *model, const struct node *sum, uint32_t *other)
{
    for (uint32_t i = 0; sum && sum->op == OP_add && i < 2; i++) {
        const struct value *v = graph_value(model, sum->inputs[i]);
        *other = sum->inputs[1 - i];
        if (v->origin == VALUE_TENSOR && v->rank == 1)
            return sum->inputs[i];
    }
    return ID_NONE;
}

enum status loss_head_find(struct loss_head *out, const struct graph *model, struct trace *trace)
{
    uint32_t logits = graph_find_output(model, "logits");
    *out = (struct loss_head){.node = ID_NONE, .sum = ID_NONE, .bias = ID_NONE, .tail = {.product = logits}};
    if (logits != ID_NONE)
        out->tail = logit_tail_find(model, logits);
    logits = out->tail.product;
    const struct node *sum = producer(model, logits);
    out->bias = find_bias(model, sum, &logits);
    const struct node *node = out->bias == ID_NONE ? sum : producer(model, logits);
    if (!node || node->op != OP_matmul_nt)
        return status_fail(trace, UNSUPPORTED, "expected a model whose output \"logits\" is a linear layer");
    out->node = (uint32_t)(node - model->nodes.items);
    if (out->bias != ID_NONE)
        out->sum = (uint32_t)(sum - model->nodes.items);
    return OK;
}

bool loss_head_has(const struct loss_head *head, const struct graph *model, uint32_t node)
{
    return node == head->node || node == head->sum ||
           (head->node != ID_NONE && logit_tail_has(&head->tail, model->nodes.items[node].results[0]));
}

static enum status copy_body(struct head *out, struct graph *to, const struct graph *model,
                             struct trace *trace)
{
    struct loss_head head;
    TRY(loss_head_find(&head, model, trace));
    struct graph_copy copy = graph_copy_begin(to, model);
    for (uint32_t i = 0; i < model->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < model->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t i = 0; i < model->nodes.count; i++)
        if (!loss_head_has(&head, model, i))
            TRY(graph_copy_node(&copy, &model->nodes.items[i], trace));
    const struct node *node = &model->nodes.items[head.node];
    *out = (struct head){copy.values[node->inputs[0]], copy.values[node->inputs[1]],
                         head.bias == ID_NONE ? ID_NONE : copy.values[head.bias], head.tail};
    return OK;
}

/* Logits, and the loss of each row, of rows [start, start + rows). */
struct chunk {
    uint32_t logits, losses, weights;
};

static struct chunk add_chunk(struct graph *g, struct head head, uint32_t labels, uint32_t weights,
                              int64_t start, int64_t rows)
{
    struct build_attributes range = {.start = start, .rows = rows};
    uint32_t logits = build_binary(g, OP_matmul_nt, build_op(g, OP_rows, &head.hidden, &range), head.weight);
    if (head.bias != ID_NONE)
        logits = build_binary(g, OP_add, logits, head.bias);
    uint32_t kept[LOGIT_TAIL_MAX];
    logits = logit_tail_apply(&head.tail, g, logits, kept);
    uint32_t y = build_op(g, OP_items, &labels, &range), w = build_op(g, OP_items, &weights, &range);
    uint32_t inputs[3] = {logits, y, w};
    return (struct chunk){logits, build_op(g, OP_ce_rows, inputs, NULL), w};
}

static void output_chunk(struct graph *g, const struct chunk *chunk, int64_t number,
                         enum loss_outputs outputs)
{
    char name[LOSS_NAME_SIZE];
    build_output(g, loss_output_name(name, "losses", number), chunk->losses);
    if (outputs == LOSS_EACH_AND_LOGITS)
        build_output(g, loss_output_name(name, "logits", number), chunk->logits);
}

const char *loss_output_name(char out[LOSS_NAME_SIZE], const char *what, int64_t chunk)
{
    snprintf(out, LOSS_NAME_SIZE, "%s.%" PRId64, what, chunk);
    return out;
}

enum status loss_graph_build(struct graph **out, const struct graph *model, int64_t tokens,
                             enum loss_outputs outputs, struct trace *trace)
{
    struct graph *g = *out = graph_create();
    struct head head;
    bool sums = outputs == LOSS_SUM_AND_EACH;
    TRY(copy_body(&head, g, model, trace));
    const struct value ids = *graph_value(g, graph_find_input(g, "tokens"));
    uint32_t labels = build_input(g, "labels", DTYPE_I32, ids.rank, ids.axes);
    uint32_t weights = build_input(g, "weights", DTYPE_F32, ids.rank, ids.axes);
    uint32_t loss = ID_NONE;
    for (int64_t start = 0; start < tokens; start += LOSS_CHUNK) {
        int64_t rows = tokens - start < LOSS_CHUNK ? tokens - start : LOSS_CHUNK;
        struct chunk chunk = add_chunk(g, head, labels, weights, start, rows);
        output_chunk(g, &chunk, start / LOSS_CHUNK, outputs);
        if (!sums)
            continue;
        uint32_t part = build_binary(g, OP_dot, chunk.losses, chunk.weights);
        loss = loss == ID_NONE ? part : build_binary(g, OP_add, loss, part);
    }
    if (sums)
        build_output(g, "loss", loss);
    return OK;
}
