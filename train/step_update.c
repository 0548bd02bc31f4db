/* Element-wise work on states; every result is stored over the input it replaces. */
#include "train/step_update.h"
#include "ir/build.h"
#include "train/schedule.h"
#include <inttypes.h>

struct states {
    struct step *step;
    struct step_graph *to;
    struct graph_copy axes; /* the student's axes in `to` */
};

static uint32_t add_input(struct states *s, const char *name, struct slot slot, uint32_t rank,
                          const uint32_t *axes)
{
    slot.value = build_input(s->to->graph, name, DTYPE_F32, rank, axes);
    *VEC_PUSH(&s->step->arena, &s->to->slots) = slot;
    return slot.value;
}

static void add_output(struct states *s, const char *name, struct slot slot, uint32_t value)
{
    slot.value = value;
    build_output(s->to->graph, name, value);
    *VEC_PUSH(&s->step->arena, &s->to->slots) = slot;
}

static uint32_t cleared(struct graph *graph, uint32_t x)
{
    struct build_attributes attributes = {.scale = 0};
    return build_op(graph, OP_scale, &x, &attributes);
}

/* Rank and axes of accumulator `index`. */
static uint32_t sum_shape(struct states *s, uint32_t index, uint32_t axes[VALUE_MAX_RANK])
{
    if (index >= s->step->parameters.count) {
        axes[0] = dims_leaf(&s->to->graph->dims, 1);
        return 1;
    }
    const struct graph *student = s->axes.from;
    const struct tensor *tensor = step_parameter_tensor(s->step, student, index);
    if (s->step->parameters.items[index].tensor == ID_NONE) {
        for (uint32_t i = 0; i < tensor->view.rank; i++)
            axes[i] = dims_leaf(&s->to->graph->dims, tensor->view.dims[i]);
        return tensor->view.rank;
    }
    const struct value *value = graph_value(student, tensor->value);
    for (uint32_t i = 0; i < value->rank; i++)
        axes[i] = graph_copy_term(&s->axes, value->axes[i]);
    return value->rank;
}

static const char *name_of(struct states *s, const char *role, uint32_t index)
{
    return arena_printf(&s->step->arena, "%s.%" PRIu32, role, index);
}

void step_fold_build(struct step *step, const struct graph *student)
{
    struct graph *graph = step->fold.graph = graph_create();
    struct states s = {.step = step, .to = &step->fold, .axes = graph_copy_begin(graph, student)};
    for (uint32_t i = 0; i < step_sums(step); i++) {
        uint32_t axes[VALUE_MAX_RANK], rank = sum_shape(&s, i, axes);
        const struct slot total = {.role = SLOT_TOTAL, .index = i}, sum = {.role = SLOT_SUM, .index = i};
        const char *total_name = name_of(&s, "total", i), *sum_name = name_of(&s, "sum", i);
        uint32_t a = add_input(&s, total_name, total, rank, axes);
        uint32_t b = add_input(&s, sum_name, sum, rank, axes);
        add_output(&s, total_name, total, build_binary(graph, OP_add, a, b));
        add_output(&s, sum_name, sum, cleared(graph, b));
    }
}

/* The sum of squares of all gradients, tensor by tensor in their order. */
static uint32_t squared_norm(struct graph *graph, const uint32_t *gradients, uint32_t count)
{
    uint32_t total = ID_NONE;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t squares = build_unary(graph, OP_sum, build_unary(graph, OP_block_squares, gradients[i]));
        total = total == ID_NONE ? squares : build_binary(graph, OP_add, total, squares);
    }
    return total;
}

static void update_parameter(struct states *s, uint32_t index, uint32_t gradient, uint32_t hyper,
                             uint32_t clip)
{
    static const struct {
        enum slot_role role;
        const char *name;
    } kept[] = {{SLOT_PARAMETER, "weight"}, {SLOT_FIRST, "first"}, {SLOT_SECOND, "second"}};
    struct graph *graph = s->to->graph;
    uint32_t axes[VALUE_MAX_RANK], rank = sum_shape(s, index, axes), states[3];
    for (int k = 0; k < 3; k++)
        states[k] = add_input(s, name_of(s, kept[k].name, index),
                              (struct slot){.role = kept[k].role, .index = index}, rank, axes);
    uint32_t inputs[] = {states[0], gradient, states[1], states[2], hyper, clip};
    struct build_attributes attributes = {
        .decay = s->step->parameters.items[index].decay == DECAY_WEIGHTS,
    };
    uint32_t first = build_op(graph, OP_adamw, inputs, &attributes);
    for (uint32_t k = 0; k < 3; k++)
        add_output(s, name_of(s, kept[k].name, index), (struct slot){.role = kept[k].role, .index = index},
                   build_result(graph, first, k));
    add_output(s, name_of(s, "total", index), (struct slot){.role = SLOT_TOTAL, .index = index},
               cleared(graph, gradient));
}

void step_update_build(struct step *step, const struct graph *student)
{
    struct graph *graph = step->update.graph = graph_create();
    struct states s = {.step = step, .to = &step->update, .axes = graph_copy_begin(graph, student)};
    uint32_t *gradients = ARENA_ARRAY(&step->arena, uint32_t, step->parameters.count);
    for (uint32_t i = 0; i < step->parameters.count; i++) {
        uint32_t axes[VALUE_MAX_RANK], rank = sum_shape(&s, i, axes);
        struct slot slot = {.role = SLOT_TOTAL, .index = i};
        gradients[i] = add_input(&s, name_of(&s, "total", i), slot, rank, axes);
    }
    uint32_t axis = dims_leaf(&graph->dims, HYPER_SIZE);
    uint32_t hyper = add_input(&s, "hyper", (struct slot){.role = SLOT_HYPER}, 1, &axis);
    uint32_t squares = squared_norm(graph, gradients, step->parameters.count);
    uint32_t clip = build_binary(graph, OP_clip, squares, hyper);
    add_output(&s, "clip", (struct slot){.role = SLOT_CLIP}, clip);
    for (uint32_t i = 0; i < step->parameters.count; i++)
        update_parameter(&s, i, gradients[i], hyper, clip);
}
