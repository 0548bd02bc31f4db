/* Broadcasting, views of rows and blocks: their result shapes are computed. */
#include "ir/rule_special.h"
#include <inttypes.h>
#include <string.h>

static enum status copy_shape(const struct value *from, struct rule_result *out)
{
    out->dtype = from->dtype;
    out->rank = from->rank;
    memcpy(out->axes, from->axes, from->rank * sizeof *from->axes);
    return OK;
}

/* b has the shape of a, or only its last axis. */
static enum status broadcast(struct graph *graph, struct node *node, struct rule_result *results,
                             struct trace *trace)
{
    struct value a = *graph_value(graph, node->inputs[0]), b = *graph_value(graph, node->inputs[1]);
    const char *op = op_table[node->op].name;
    if (a.dtype != DTYPE_F32 || b.dtype != DTYPE_F32)
        return status_fail(trace, INVALID, "%s: expected f32 elements", op);
    if (a.rank == 0 || (b.rank != a.rank && b.rank != 1))
        return status_fail(trace, INVALID,
                           "%s: inputs have %" PRIu32 " and %" PRIu32 " axes; the second must have as many "
                           "as the first, or one",
                           op, a.rank, b.rank);
    for (uint32_t i = 0; i < b.rank; i++) {
        struct str why;
        uint32_t x = a.axes[a.rank - b.rank + i], y = b.axes[i];
        if (!dims_unify(&graph->dims, x, y, &why) && dims_size(&graph->dims, x) != dims_size(&graph->dims, y))
            return status_fail(trace, INVALID, "%s: axis %" PRIu32 ": " STR_FORMAT, op, i, STR_ARGUMENT(why));
    }
    return copy_shape(&a, &results[0]);
}

static enum status view_range(const struct node *node, struct trace *trace)
{
    int64_t start = node_integer(node, ATTRIBUTE_start), rows = node_integer(node, ATTRIBUTE_rows);
    if (start < 0 || rows <= 0)
        return status_fail(trace, INVALID,
                           "%s: start %" PRId64 " and rows %" PRId64 " must be at least 0 and 1",
                           op_table[node->op].name, start, rows);
    return OK;
}

static enum status view(struct graph *graph, struct node *node, struct rule_result *results,
                        struct trace *trace)
{
    struct value x = *graph_value(graph, node->inputs[0]);
    TRY(view_range(node, trace));
    if (x.rank < 1)
        return status_fail(trace, INVALID, "rows: the input has no axis");
    results[0] = (struct rule_result){.dtype = x.dtype, .rank = 2};
    results[0].axes[0] = dims_leaf(&graph->dims, node_integer(node, ATTRIBUTE_rows));
    results[0].axes[1] = x.axes[x.rank - 1];
    return OK;
}

static enum status view_items(struct graph *graph, struct node *node, struct rule_result *results,
                              struct trace *trace)
{
    struct value x = *graph_value(graph, node->inputs[0]);
    TRY(view_range(node, trace));
    results[0] = (struct rule_result){.dtype = x.dtype, .rank = 1};
    results[0].axes[0] = dims_leaf(&graph->dims, node_integer(node, ATTRIBUTE_rows));
    return OK;
}

enum { BLOCK_ELEMENTS = 4096 };

static enum status blocks(struct graph *graph, struct node *node, struct rule_result *results,
                          struct trace *trace)
{
    struct value x = *graph_value(graph, node->inputs[0]);
    int64_t count = 1;
    for (uint32_t i = 0; i < x.rank; i++) {
        int64_t size = dims_size(&graph->dims, x.axes[i]);
        if (size == DIM_UNKNOWN || __builtin_mul_overflow(count, size, &count))
            return status_fail(trace, INVALID, "%s: the input's size must be known", op_table[node->op].name);
    }
    results[0] = (struct rule_result){.dtype = DTYPE_F32, .rank = 1};
    results[0].axes[0] = dims_leaf(&graph->dims, (count + BLOCK_ELEMENTS - 1) / BLOCK_ELEMENTS);
    return OK;
}

static const struct {
    const char *name;
    rule_function *function;
} functions[] = {{"broadcast", broadcast}, {"view", view}, {"view_items", view_items}, {"blocks", blocks}};

rule_function *rule_special_find(const char *rule)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(rule, functions[i].name) == 0)
            return functions[i].function;
    return NULL;
}
