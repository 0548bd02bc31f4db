/* The model up to the hidden values before the head, then per chunk of tokens: logits and cross-entropy by
 * row. Weights are 0 where a row has no label. */
#include "measure/loss_graph.h"
#include "ir/build.h"
#include "measure/head_graph.h"
#include <inttypes.h>
#include <stdio.h>

/* Logits, and the loss of each row, of rows [start, start + rows). */
struct chunk {
    uint32_t logits, losses, weights;
};

static struct chunk add_chunk(struct graph *g, const struct head_graph *head, uint32_t labels,
                              uint32_t weights, int64_t start, int64_t rows)
{
    struct build_attributes range = {.start = start, .rows = rows};
    uint32_t logits = head_graph_logits(head, g, start, rows, 0);
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

/* How far the teacher is from the logits. */
struct comparison {
    struct head_graph head;
    int64_t vocabulary; /* of both; 0: all */
};

static enum status prepare_comparison(struct comparison *c, struct graph *g, const struct head_graph *model,
                                      const struct loss_teacher *teacher, struct trace *trace)
{
    TRY_WITH(trace, head_graph_copy(&c->head, g, teacher->model, trace), "while preparing the teacher");
    int64_t own = head_graph_size(model, g), theirs = head_graph_size(&c->head, g);
    c->vocabulary = teacher->vocabulary;
    if (c->vocabulary == 0 && own != theirs)
        return status_fail(trace, INVALID,
                           "the model's logits are of %" PRId64 " tokens, the teacher's of %" PRId64, own,
                           theirs);
    if (c->vocabulary > own || c->vocabulary > theirs)
        return status_fail(trace, INVALID,
                           "%" PRId64 " tokens are to be compared, the model has %" PRId64
                           " and the teacher %" PRId64,
                           c->vocabulary, own, theirs);
    return OK;
}

static void compare_chunk(struct graph *g, const struct chunk *chunk, const struct head_graph *head,
                          const struct comparison *c, int64_t start, int64_t rows)
{
    char name[LOSS_NAME_SIZE];
    int64_t number = start / LOSS_CHUNK;
    bool is_whole = c->vocabulary == 0 || c->vocabulary == head_graph_size(head, g);
    uint32_t own = is_whole ? chunk->logits : head_graph_logits(head, g, start, rows, c->vocabulary);
    uint32_t theirs = head_graph_logits(&c->head, g, start, rows, c->vocabulary);
    uint32_t inputs[3] = {own, theirs, chunk->weights};
    build_output(g, loss_output_name(name, "divergences", number), build_op(g, OP_kl_rows, inputs, NULL));
    struct build_attributes one = {.top = 1};
    build_output(g, loss_output_name(name, "choices", number),
                 build_result(g, build_op(g, OP_top_rows, &own, &one), 1));
    build_output(g, loss_output_name(name, "teacher", number),
                 build_result(g, build_op(g, OP_top_rows, &theirs, &one), 1));
}

const char *loss_output_name(char out[LOSS_NAME_SIZE], const char *what, int64_t chunk)
{
    snprintf(out, LOSS_NAME_SIZE, "%s.%" PRId64, what, chunk);
    return out;
}

enum status loss_graph_build(struct graph **out, const struct graph *model, int64_t tokens,
                             enum loss_outputs outputs, const struct loss_teacher *teacher,
                             struct trace *trace)
{
    struct graph *g = *out = graph_create();
    struct head_graph head;
    struct comparison comparison = {0};
    bool sums = outputs == LOSS_SUM_AND_EACH;
    TRY(head_graph_copy(&head, g, model, trace));
    if (teacher)
        TRY(prepare_comparison(&comparison, g, &head, teacher, trace));
    const struct value ids = *graph_value(g, graph_find_input(g, "tokens"));
    uint32_t labels = build_input(g, "labels", DTYPE_I32, ids.rank, ids.axes);
    uint32_t weights = build_input(g, "weights", DTYPE_F32, ids.rank, ids.axes);
    uint32_t loss = ID_NONE;
    for (int64_t start = 0; start < tokens; start += LOSS_CHUNK) {
        int64_t rows = tokens - start < LOSS_CHUNK ? tokens - start : LOSS_CHUNK;
        struct chunk chunk = add_chunk(g, &head, labels, weights, start, rows);
        output_chunk(g, &chunk, start / LOSS_CHUNK, outputs);
        if (teacher)
            compare_chunk(g, &chunk, &head, &comparison, start, rows);
        if (!sums)
            continue;
        uint32_t part = build_binary(g, OP_dot, chunk.losses, chunk.weights);
        loss = loss == ID_NONE ? part : build_binary(g, OP_add, loss, part);
    }
    if (sums)
        build_output(g, "loss", loss);
    return OK;
}
