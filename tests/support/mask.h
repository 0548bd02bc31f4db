/* The masked twin: a copy of a graph in which values are multiplied by factors along their last axis. It is
 * the oracle for pruning: it removes nothing and knows nothing of keep lists, leaves or views. */
#ifndef TESTS_SUPPORT_MASK_H
#define TESTS_SUPPORT_MASK_H

#include "ir/build.h"
#include "tests/support/test.h"

struct mask {
    uint32_t value;       /* of the graph that is copied */
    const float *factors; /* [last axis] */
};

/* Result 0 of the `n`-th node (from 0) with this op; ID_NONE when there are fewer. */
static inline uint32_t mask_find(const struct graph *g, enum op op, uint32_t n)
{
    for (uint32_t i = 0; i < g->nodes.count; i++)
        if (g->nodes.items[i].op == op && n-- == 0)
            return g->nodes.items[i].results[0];
    return ID_NONE;
}

static inline uint32_t mask_apply(struct graph *to, uint32_t x, const float *factors)
{
    const struct value *v = graph_value(to, x);
    int64_t size = dims_size(&to->dims, v->axes[v->rank - 1]);
    float *data = ARENA_ARRAY(&to->arena, float, (size_t)size);
    memcpy(data, factors, (size_t)size * sizeof *data);
    struct tensor_view view = {.base = (const uint8_t *)data,
                               .base_size = (size_t)size * sizeof *data,
                               .dtype = DTYPE_F32,
                               .rank = 1,
                               .dims = {size},
                               .strides = {1}};
    uint32_t axis = dims_leaf(&to->dims, size);
    return build_binary(to, OP_mul, x, build_tensor(to, STR("mask"), &view, &axis));
}

static inline struct graph *mask_copy(const struct graph *from, const struct mask *masks, uint32_t count)
{
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, from);
    struct trace trace = {0};
    for (uint32_t i = 0; i < from->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < from->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t n = 0; n < from->nodes.count; n++) {
        uint32_t result = from->nodes.items[n].results[0];
        assert_ok(graph_copy_node(&copy, &from->nodes.items[n], &trace), &trace);
        for (uint32_t m = 0; m < count; m++)
            if (masks[m].value == result)
                copy.values[result] = mask_apply(to, copy.values[result], masks[m].factors);
    }
    for (uint32_t i = 0; i < from->outputs.count; i++)
        build_output(to, from->outputs.items[i].name.data, copy.values[from->outputs.items[i].value]);
    return to;
}

#endif
