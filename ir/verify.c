/* The verifier: ids in range, nodes after what they read, results that name their node, every rule applied
 * afresh, axes that fit the weights. Collects all failures, not only the first. */
#include "ir/build.h"
#include "ir/text.h"
#include <inttypes.h>

struct verifier {
    const struct graph *graph;
    struct trace *trace;
    uint32_t failures;
};

static void fail_at(struct verifier *v, const char *what, uint32_t index, const char *why)
{
    if (v->failures++ == 0) {
        enum status ignored = status_fail(v->trace, INVALID, "the graph is not well-formed");
        (void)ignored;
    }
    trace_add(v->trace, "%s %" PRIu32 ": %s", what, index, why);
}

static bool check_value(struct verifier *v, uint32_t id)
{
    const struct graph *g = v->graph;
    const struct value *value = &g->values.items[id];
    uint32_t limits[] = {
        [VALUE_INPUT] = g->inputs.count, [VALUE_TENSOR] = g->tensors.count, [VALUE_NODE] = g->nodes.count};
    if (value->source >= limits[value->origin] || value->rank > VALUE_MAX_RANK) {
        fail_at(v, "value", id, "it names a source that does not exist, or too many axes");
        return false;
    }
    bool back = value->origin == VALUE_INPUT ? g->inputs.items[value->source].value == id
                : value->origin == VALUE_TENSOR
                    ? g->tensors.items[value->source].value == id
                    : value->slot < g->nodes.items[value->source].result_count &&
                          g->nodes.items[value->source].results[value->slot] == id;
    if (!back)
        fail_at(v, "value", id, "its source does not name it");
    for (uint32_t i = 0; i < value->rank; i++)
        if (value->axes[i] >= g->dims.terms.count) {
            fail_at(v, "value", id, "an axis is not a dimension term");
            return false;
        }
    return back;
}

static void check_tensor(struct verifier *v, uint32_t index)
{
    const struct tensor *t = &v->graph->tensors.items[index];
    const struct value *value = graph_value(v->graph, t->value);
    if (t->view.rank != value->rank) {
        fail_at(v, "tensor", index, "its view has another number of axes");
        return;
    }
    for (uint32_t i = 0; i < value->rank; i++)
        if (dims_size(&v->graph->dims, value->axes[i]) != t->view.dims[i])
            fail_at(v, "tensor", index, "its view has another size than its axes");
}

static bool check_operands(struct verifier *v, uint32_t index)
{
    const struct node *node = &v->graph->nodes.items[index];
    if ((uint32_t)node->op >= OP_COUNT || node->input_count != op_table[node->op].inputs ||
        node->result_count != op_table[node->op].results) {
        fail_at(v, "node", index, "unknown op or wrong arity");
        return false;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] >= v->graph->values.count) {
            fail_at(v, "node", index, "an input is no value");
            return false;
        }
        const struct value *in = graph_value(v->graph, node->inputs[i]);
        if (in->origin == VALUE_NODE && in->source >= index) {
            fail_at(v, "node", index, "it reads a value that is made later");
            return false;
        }
    }
    return true;
}

/* Rebuilds the graph by its rules and compares sizes. */
static void check_rules(struct verifier *v)
{
    struct graph *again = graph_create();
    struct graph_copy copy = graph_copy_begin(again, v->graph);
    for (uint32_t i = 0; i < v->graph->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < v->graph->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t n = 0; n < v->graph->nodes.count; n++) {
        const struct node *node = &v->graph->nodes.items[n];
        struct trace trace = {0};
        if (graph_copy_node(&copy, node, &trace) != OK) {
            fail_at(v, "node", n, trace.text);
            break;
        }
        for (uint32_t r = 0; r < node->result_count; r++) {
            const struct value *is = graph_value(v->graph, node->results[r]);
            const struct value *should = graph_value(again, copy.values[node->results[r]]);
            bool same = is->rank == should->rank && is->dtype == should->dtype;
            for (uint32_t i = 0; same && i < is->rank; i++)
                same = dims_size(&v->graph->dims, is->axes[i]) == dims_size(&again->dims, should->axes[i]);
            if (!same)
                fail_at(v, "node", n, "a result has another shape than its rule gives");
        }
    }
    graph_destroy(again);
}

enum status graph_verify(const struct graph *graph, struct trace *trace)
{
    struct verifier v = {.graph = graph, .trace = trace};
    for (uint32_t i = 0; i < graph->values.count; i++)
        check_value(&v, i);
    if (v.failures == 0) {
        for (uint32_t i = 0; i < graph->tensors.count; i++)
            check_tensor(&v, i);
        for (uint32_t i = 0; i < graph->nodes.count; i++)
            if (!check_operands(&v, i))
                return INVALID;
        for (uint32_t i = 0; i < graph->outputs.count; i++)
            if (graph->outputs.items[i].value >= graph->values.count)
                fail_at(&v, "output", i, "it is no value");
    }
    if (v.failures == 0)
        check_rules(&v);
    return v.failures == 0 ? OK : INVALID;
}
