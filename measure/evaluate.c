/* The evaluation graph is the model up to the hidden values before the head, then per chunk of 512 tokens:
 * logits, cross-entropy by row, sum of loss times weight. Weights are 0 where a row has no label. */
#include "measure/evaluate.h"
#include "base/log.h"
#include "data/batch.h"
#include "ir/build.h"
#include "measure/session.h"
#include "shaders/scalar/scalar.h"
#include <string.h>

enum { CHUNK = 512 };

/* The model without its output; yields the values in `to` of the head's operands. */
struct head {
    uint32_t hidden, weight; /* logits = matmul_nt(hidden, weight) */
    uint32_t bias;           /* plus this, or ID_NONE */
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

static enum status copy_body(struct head *out, struct graph *to, const struct graph *model,
                             struct trace *trace)
{
    uint32_t logits = graph_find_output(model, "logits");
    const struct node *sum = producer(model, logits);
    uint32_t bias = find_bias(model, sum, &logits);
    const struct node *node = bias == ID_NONE ? sum : producer(model, logits);
    if (!node || node->op != OP_matmul_nt)
        return status_fail(trace, UNSUPPORTED, "expected a model whose output \"logits\" is a linear layer");
    struct graph_copy copy = graph_copy_begin(to, model);
    for (uint32_t i = 0; i < model->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < model->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t i = 0; i < model->nodes.count; i++)
        if (&model->nodes.items[i] != node && (&model->nodes.items[i] != sum || bias == ID_NONE))
            TRY(graph_copy_node(&copy, &model->nodes.items[i], trace));
    *out = (struct head){copy.values[node->inputs[0]], copy.values[node->inputs[1]],
                         bias == ID_NONE ? ID_NONE : copy.values[bias]};
    return OK;
}

static uint32_t add_chunk(struct graph *g, struct head head, uint32_t labels, uint32_t weights, int64_t start,
                          int64_t rows)
{
    struct build_attributes range = {.start = start, .rows = rows};
    uint32_t logits = build_binary(g, OP_matmul_nt, build_op(g, OP_rows, &head.hidden, &range), head.weight);
    if (head.bias != ID_NONE)
        logits = build_binary(g, OP_add, logits, head.bias);
    uint32_t y = build_op(g, OP_items, &labels, &range), w = build_op(g, OP_items, &weights, &range);
    uint32_t inputs[3] = {logits, y, w};
    return build_binary(g, OP_dot, build_op(g, OP_ce_rows, inputs, NULL), w);
}

static enum status build_graph(struct graph **out, const struct graph *model, int64_t tokens,
                               struct trace *trace)
{
    struct graph *g = *out = graph_create();
    struct head head;
    TRY(copy_body(&head, g, model, trace));
    const struct value ids = *graph_value(g, graph_find_input(g, "tokens"));
    uint32_t labels = build_input(g, "labels", DTYPE_I32, ids.rank, ids.axes);
    uint32_t weights = build_input(g, "weights", DTYPE_F32, ids.rank, ids.axes);
    uint32_t loss = ID_NONE;
    for (int64_t start = 0; start < tokens; start += CHUNK) {
        uint32_t part =
            add_chunk(g, head, labels, weights, start, tokens - start < CHUNK ? tokens - start : CHUNK);
        loss = loss == ID_NONE ? part : build_binary(g, OP_add, loss, part);
    }
    build_output(g, "loss", loss);
    return OK;
}

struct evaluator {
    struct session session;
    struct batcher batcher;
    struct batch batch;
    struct graph *graph;
    double sum;
    uint64_t labels, bytes;
};

static enum status one_batch(struct evaluator *e, uint64_t step, const struct tokenizer *tokenizer,
                             struct trace *trace)
{
    float loss;
    uint64_t labels, bytes;
    batcher_fill(&e->batcher, step, 0, &e->batch);
    TRY(session_write(&e->session, "tokens", e->batch.ids, trace));
    TRY(session_write(&e->session, "labels", e->batch.labels, trace));
    TRY(session_write(&e->session, "weights", e->batch.weights, trace));
    TRY(session_run(&e->session, trace));
    TRY(session_read(&e->session, "loss", &loss, trace));
    batch_count(&labels, &bytes, &e->batch, tokenizer);
    e->sum += (double)loss;
    e->labels += labels;
    e->bytes += bytes;
    return OK;
}

static enum status all_batches(struct evaluator *e, const struct tokenizer *tokenizer,
                               const struct evaluate_options *options, struct trace *trace)
{
    uint64_t steps = batcher_steps(&e->batcher);
    uint64_t limit = (options->limit + options->rows - 1) / options->rows;
    if (limit > 0 && limit < steps)
        steps = limit;
    struct progress progress;
    if (options->label)
        progress_start(&progress, options->label, "batches", 0, steps);
    enum status status = OK;
    for (uint64_t i = 0; i < steps && status == OK; i++) {
        if (options->stop && *options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while evaluating");
        else
            status = one_batch(e, i, tokenizer, trace);
        if (options->label)
            progress_update(&progress, i + 1, NULL);
    }
    if (options->label)
        progress_finish(&progress);
    return status;
}

static enum status prepare(struct evaluator *e, struct executor *executor, const struct graph *model,
                           const struct corpus *corpus, const struct evaluate_options *options,
                           struct trace *trace)
{
    struct batch_options batches = {.partition = options->partition,
                                    .order = BATCH_IN_ORDER,
                                    .length = options->length,
                                    .rows = options->rows,
                                    .micros = 1};
    TRY(batcher_open(&e->batcher, corpus, &batches, trace));
    batch_init(&e->batch, options->rows, options->length);
    TRY(build_graph(&e->graph, model, (int64_t)options->rows * options->length, trace));
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, e->graph, options->rows, options->length);
    return session_create(&e->session, executor, e->graph, dims, count, SESSION_UPLOAD, trace);
}

enum status measure_evaluate(struct evaluation *out, struct executor *executor, const struct graph *model,
                             const struct corpus *corpus, const struct tokenizer *tokenizer,
                             const struct evaluate_options *options, struct trace *trace)
{
    struct evaluator e = {.sum = 0};
    enum status status = prepare(&e, executor, model, corpus, options, trace);
    if (status == OK)
        status = all_batches(&e, tokenizer, options, trace);
    if (status == OK && e.labels == 0)
        status = status_fail(trace, INVALID, "no token was scored");
    if (status == OK) {
        *out = (struct evaluation){.tokens = e.labels, .bytes = e.bytes};
        out->loss = e.sum / (double)e.labels;
        out->perplexity = (double)gm_exp((float)out->loss);
        out->bits_per_byte = e.bytes > 0 ? e.sum / (double)e.bytes * 1.4426950408889634 : 0; /* log2(e) */
    }
    session_release(&e.session);
    graph_destroy(e.graph);
    batch_release(&e.batch);
    batcher_release(&e.batcher);
    return status;
}
