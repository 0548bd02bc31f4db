/* Binding: values that no node reads get no tensor. An output that is an input or a weight itself needs no
 * second one. */
#include "measure/session.h"
#include <assert.h>

uint32_t session_dims(struct dim_binding out[2], const struct graph *graph, int64_t batch, int64_t length)
{
    uint32_t tokens = graph_find_input(graph, "tokens"), count = 0;
    const int64_t sizes[2] = {batch, length};
    for (uint32_t i = 0; tokens != ID_NONE && i < graph_value(graph, tokens)->rank && i < 2; i++) {
        uint32_t axis = dims_find(&graph->dims, graph_value(graph, tokens)->axes[i]);
        struct str symbol = graph->dims.terms.items[axis].symbol;
        if (symbol.length > 0)
            out[count++] = (struct dim_binding){symbol, sizes[i]};
    }
    return count;
}

static int64_t count_of(const struct graph *graph, uint32_t value, const struct dim_binding *dims,
                        uint32_t dim_count)
{
    const struct value *v = graph_value(graph, value);
    int64_t count = 1;
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t size = dims_evaluate(&graph->dims, v->axes[i], dims, dim_count);
        if (size <= 0 || __builtin_mul_overflow(count, size, &count))
            return 0;
    }
    return count;
}

static enum status bind_weight(struct session *s, const struct tensor *weight, uint32_t *out,
                               struct trace *trace)
{
    enum status status = s->weights == SESSION_LEND ? executor_lend(s->executor, &weight->view, out, trace)
                                                    : executor_upload(s->executor, &weight->view, out, trace);
    if (status != OK)
        trace_add(trace, "while uploading weight \"" STR_FORMAT "\"", STR_ARGUMENT(weight->name));
    return status;
}

static enum status bind(struct session *s, uint32_t value, int64_t count, struct trace *trace)
{
    const struct value *v = graph_value(s->graph, value);
    if (count == 0)
        return status_fail(trace, INVALID, "value %%%u has a size that is unknown or too large", value);
    struct binding *b = &s->bindings[s->binding_count];
    b->value = value;
    s->counts[s->binding_count] = count;
    if (v->origin == VALUE_TENSOR)
        TRY(bind_weight(s, &s->graph->tensors.items[v->source], &b->tensor, trace));
    else
        TRY(executor_tensor_create(s->executor, v->dtype, count, &b->tensor, trace));
    s->binding_count++;
    return OK;
}

static void mark_used(const struct graph *graph, bool *used)
{
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < graph->nodes.items[n].input_count; i++)
            used[graph->nodes.items[n].inputs[i]] = true;
    for (uint32_t o = 0; o < graph->outputs.count; o++)
        used[graph->outputs.items[o].value] = true;
}

static enum status bind_all(struct session *s, const struct dim_binding *dims, uint32_t dim_count,
                            struct trace *trace)
{
    const struct graph *graph = s->graph;
    bool *used = ARENA_ARRAY(&s->arena, bool, graph->values.count + 1);
    mark_used(graph, used);
    for (uint32_t v = 0; v < graph->values.count; v++)
        if (used[v] && graph->values.items[v].origin != VALUE_NODE)
            TRY(bind(s, v, count_of(graph, v, dims, dim_count), trace));
    for (uint32_t o = 0; o < graph->outputs.count; o++) {
        uint32_t value = graph->outputs.items[o].value;
        bool bound = graph_value(graph, value)->origin != VALUE_NODE;
        for (uint32_t i = 0; i < s->binding_count; i++)
            bound = bound || s->bindings[i].value == value;
        if (!bound)
            TRY(bind(s, value, count_of(graph, value, dims, dim_count), trace));
    }
    return OK;
}

enum status session_create(struct session *out, struct executor *executor, const struct graph *graph,
                           const struct dim_binding *dims, uint32_t dim_count, enum session_weights weights,
                           struct trace *trace)
{
    *out = (struct session){.executor = executor, .graph = graph, .weights = weights};
    out->bindings = ARENA_ARRAY(&out->arena, struct binding, graph->values.count + 1);
    out->counts = ARENA_ARRAY(&out->arena, int64_t, graph->values.count + 1);
    enum status status = bind_all(out, dims, dim_count, trace);
    struct program_spec spec = {graph, dims, dim_count, out->bindings, out->binding_count};
    if (status == OK)
        status = executor_compile(&out->program, executor, &spec, trace);
    if (status != OK)
        session_release(out);
    return status;
}

void session_release(struct session *session)
{
    if (session->executor) {
        executor_program_destroy(session->executor, session->program);
        for (uint32_t i = 0; i < session->binding_count; i++)
            executor_tensor_destroy(session->executor, session->bindings[i].tensor);
    }
    arena_release(&session->arena);
    *session = (struct session){0};
}

static uint32_t find(const struct session *s, uint32_t value)
{
    for (uint32_t i = 0; i < s->binding_count; i++)
        if (s->bindings[i].value == value)
            return i;
    return ID_NONE;
}

int64_t session_count(const struct session *session, uint32_t value)
{
    uint32_t at = find(session, value);
    assert(at != ID_NONE);
    return session->counts[at];
}

enum status session_write(struct session *session, const char *input, const void *data, struct trace *trace)
{
    uint32_t value = graph_find_input(session->graph, input),
             at = value == ID_NONE ? ID_NONE : find(session, value);
    if (at == ID_NONE) /* no node reads it */
        return value == ID_NONE ? status_fail(trace, INVALID, "the graph has no input \"%s\"", input) : OK;
    return executor_tensor_write(session->executor, session->bindings[at].tensor, 0, session->counts[at],
                                 data, trace);
}

static enum status find_output(uint32_t *at, const struct session *s, const char *output, struct trace *trace)
{
    uint32_t value = graph_find_output(s->graph, output);
    *at = value == ID_NONE ? ID_NONE : find(s, value);
    return *at == ID_NONE ? status_fail(trace, INVALID, "the graph has no output \"%s\"", output) : OK;
}

enum status session_read_part(struct session *session, const char *output, int64_t first, int64_t count,
                              void *data, struct trace *trace)
{
    uint32_t at;
    TRY(find_output(&at, session, output, trace));
    return executor_tensor_read(session->executor, session->bindings[at].tensor, first, count, data, trace);
}

enum status session_read(struct session *session, const char *output, void *data, struct trace *trace)
{
    uint32_t at;
    TRY(find_output(&at, session, output, trace));
    return executor_tensor_read(session->executor, session->bindings[at].tensor, 0, session->counts[at], data,
                                trace);
}

enum status session_run(struct session *session, struct trace *trace)
{
    return executor_run(session->executor, session->program, trace);
}
