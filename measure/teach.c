/* The model up to the hidden values before the head, then per chunk of tokens: logits, and the largest of
 * each row.
 */
#include "measure/teach.h"
#include "ir/build.h"
#include "measure/head_graph.h"
#include "shaders/scalar/root.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE = 32 };

static const char *output_name(char out[NAME_SIZE], const char *what, int64_t start)
{
    snprintf(out, NAME_SIZE, "%s.%" PRId64, what, start / HEAD_ROWS);
    return out;
}

static void add_chunk(struct graph *g, const struct head_graph *head, const struct teach_options *o,
                      int64_t start, int64_t rows)
{
    static const char *const names[] = {"logs", "places", "rest"};
    char name[NAME_SIZE];
    uint32_t logits = head_graph_logits(head, g, start, rows, o->vocabulary);
    struct build_attributes cooling = {.scale = 1}, top = {.top = o->top};
    if (o->temperature != 0 && o->temperature != 1) {
        cooling.scale = gm_flush(gm_rcp(o->temperature));
        logits = build_op(g, OP_scale, &logits, &cooling);
    }
    uint32_t first = build_op(g, OP_top_rows, &logits, &top);
    for (uint32_t i = 0; i < 3; i++)
        build_output(g, output_name(name, names[i], start), build_result(g, first, i));
}

static enum status build(struct teaching *t, const struct graph *model, struct trace *trace)
{
    struct head_graph head;
    struct graph *g = t->graph = graph_create();
    int64_t tokens = (int64_t)t->options.rows * t->options.length;
    TRY(head_graph_copy(&head, g, model, trace));
    int64_t size = head_graph_size(&head, g), used = t->options.vocabulary;
    if (used > size)
        return status_fail(trace, INVALID,
                           "%" PRId64 " tokens are to take part, the teacher has logits of %" PRId64, used,
                           size);
    t->vocabulary = (uint32_t)(used > 0 ? used : size);
    if (t->options.top > t->vocabulary)
        return status_fail(trace, INVALID, "top: %" PRIu32 " tokens are to be kept of %" PRIu32,
                           t->options.top, t->vocabulary);
    for (int64_t start = 0; start < tokens; start += HEAD_ROWS)
        add_chunk(g, &head, &t->options, start, tokens - start < HEAD_ROWS ? tokens - start : HEAD_ROWS);
    return OK;
}

enum status teaching_open(struct teaching *out, struct executor *executor, const struct graph *model,
                          const struct teach_options *options, struct trace *trace)
{
    *out = (struct teaching){.options = *options};
    enum status status = build(out, model, trace);
    struct dim_binding dims[2];
    if (status == OK) {
        uint32_t count = session_dims(dims, out->graph, options->rows, options->length);
        status = session_create(&out->session, executor, out->graph, dims, count, SESSION_UPLOAD, trace);
    }
    out->places = calloc((size_t)HEAD_ROWS * options->top, sizeof *out->places);
    if (!out->places)
        BUG("out of memory");
    if (status != OK)
        teaching_release(out);
    return status;
}

enum status teaching_ask(struct teaching *t, const int32_t *ids, struct targets *out, struct trace *trace)
{
    char name[NAME_SIZE];
    size_t top = t->options.top;
    int64_t tokens = (int64_t)t->options.rows * t->options.length;
    if (out->tokens != tokens || out->kept != top)
        BUG("a teacher is asked about other targets");
    TRY(session_write(&t->session, "tokens", ids, trace));
    TRY(session_run(&t->session, trace));
    for (int64_t start = 0; start < tokens; start += HEAD_ROWS) {
        size_t rows = (size_t)(tokens - start < HEAD_ROWS ? tokens - start : HEAD_ROWS), at = (size_t)start;
        TRY(session_read(&t->session, output_name(name, "logs", start), out->logs + at * top, trace));
        TRY(session_read(&t->session, output_name(name, "places", start), t->places, trace));
        TRY(session_read(&t->session, output_name(name, "rest", start), out->rest + at, trace));
        for (size_t i = 0; i < rows * top; i++) {
            if (!gm_is_finite(out->logs[at * top + i]) || !gm_is_finite(out->rest[at + i / top]))
                return status_fail(trace, INVALID, "the teacher's logits of token %zu are not finite",
                                   at + i / top);
            out->ids[at * top + i] = (int32_t)t->places[i];
        }
    }
    return OK;
}

void teaching_release(struct teaching *t)
{
    session_release(&t->session);
    graph_destroy(t->graph);
    free(t->places);
    *t = (struct teaching){0};
}
