/* Models are copied up to their hidden states with batch and sequence as sizes; the head and the losses are
 * built in chunks (train/head.h), gradients by passes/gradient.h. */
#include "train/step_micro.h"
#include "ir/build.h"
#include "passes/gradient.h"
#include "train/order.h"
#include "train/signals.h"
#include <assert.h>
#include <inttypes.h>

struct builder_state {
    struct step *step;
    const struct step_spec *spec;
    struct graph *graph;
    uint32_t axes[2]; /* micro, length */
    uint32_t tokens, labels, weights;
};

static void add_slot(struct builder_state *b, struct slot slot)
{
    *VEC_PUSH(&b->step->arena, &b->step->micro.slots) = slot;
}

static uint32_t add_input(struct builder_state *b, const char *name, enum dtype dtype, enum slot_role role)
{
    uint32_t value = build_input(b->graph, name, dtype, 2, b->axes);
    add_slot(b, (struct slot){.value = value, .role = role});
    return value;
}

/* Which values `wanted` is computed from; on the step's arena. */
static bool *mark_needed(struct builder_state *b, const struct graph *model, uint32_t wanted, uint32_t also)
{
    bool *needed = ARENA_ARRAY(&b->step->arena, bool, model->values.count);
    needed[wanted] = needed[also] = true;
    for (uint32_t n = model->nodes.count; n-- > 0;) {
        const struct node *node = &model->nodes.items[n];
        bool is_needed = false;
        for (uint32_t i = 0; i < node->result_count; i++)
            is_needed |= needed[node->results[i]];
        for (uint32_t i = 0; i < node->input_count && is_needed; i++)
            needed[node->inputs[i]] = true;
    }
    return needed;
}

/* Makes the axes of the model's tokens the micro-batch's sizes. */
static enum status bind_axes(struct builder_state *b, struct graph_copy *copy, uint32_t tokens,
                             struct trace *trace)
{
    static const char *const names[] = {"batch", "sequence"};
    const struct value *value = graph_value(copy->from, tokens);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t term = dims_find(&copy->from->dims, value->axes[i]);
        int64_t size = dims_size(&copy->from->dims, term), expected = dims_size(&b->graph->dims, b->axes[i]);
        if (size != DIM_UNKNOWN && size != expected)
            return status_fail(trace, INVALID,
                               "the model has a fixed %s of %" PRId64 ", training wants %" PRId64, names[i],
                               size, expected);
        if (!dims_is_leaf(&copy->from->dims, term))
            return status_fail(trace, UNSUPPORTED, "the %s axis of \"tokens\" is composed of others",
                               names[i]);
        copy->terms[term] = b->axes[i];
    }
    copy->values[tokens] = b->tokens;
    return OK;
}

static enum status copy_model(struct builder_state *b, struct graph_copy *copy, const struct signals *signals,
                              struct trace *trace)
{
    const struct graph *model = copy->from;
    TRY(bind_axes(b, copy, signals->tokens, trace));
    const bool *needed = mark_needed(b, model, signals->hidden, signals->head);
    for (uint32_t i = 0; i < model->inputs.count; i++) {
        const struct input *input = &model->inputs.items[i];
        if (needed[input->value] && input->value != signals->tokens)
            return status_fail(trace, UNSUPPORTED,
                               "expected a model whose only input is \"tokens\", found \"" STR_FORMAT "\"",
                               STR_ARGUMENT(input->name));
    }
    for (uint32_t i = 0; i < model->tensors.count; i++)
        if (needed[model->tensors.items[i].value])
            graph_copy_tensor(copy, i);
    for (uint32_t n = 0; n < model->nodes.count; n++) {
        const struct node *node = &model->nodes.items[n];
        bool is_needed = false;
        for (uint32_t i = 0; i < node->result_count; i++)
            is_needed |= needed[node->results[i]];
        if (is_needed)
            TRY(graph_copy_node(copy, node, trace));
    }
    return OK;
}

static enum status add_teacher(struct builder_state *b, uint32_t index, struct head_side *out,
                               struct trace *trace)
{
    const struct graph *model = b->spec->teachers[index];
    struct signals signals;
    struct graph_copy copy = graph_copy_begin(b->graph, model);
    TRY(signals_find(&signals, &b->step->arena, model, trace));
    TRY(copy_model(b, &copy, &signals, trace));
    *out = (struct head_side){copy.values[signals.hidden], copy.values[signals.head]};
    for (uint32_t i = 0; i < model->tensors.count; i++) {
        uint32_t value = copy.values[model->tensors.items[i].value];
        if (value != ID_NONE)
            add_slot(b, (struct slot){.value = value, .role = SLOT_TEACHER, .index = i, .teacher = index});
    }
    return OK;
}

static enum status check_vocabularies(const struct builder_state *b, const struct head_side *student,
                                      const struct head_side *teachers, struct trace *trace)
{
    const struct dims *dims = &b->graph->dims;
    int64_t size = dims_size(dims, graph_value(b->graph, student->weight)->axes[0]);
    for (uint32_t i = 0; i < b->spec->teacher_count; i++) {
        int64_t other = dims_size(dims, graph_value(b->graph, teachers[i].weight)->axes[0]);
        if (other != size)
            return status_fail(trace, INVALID,
                               "teacher and student have different vocabularies: %" PRId64 " and %" PRId64,
                               other, size);
    }
    return OK;
}

/* Adds `part` (ID_NONE: nothing) to accumulator `index`. */
static void add_sum(struct builder_state *b, uint32_t index, const char *name, uint32_t part)
{
    if (part == ID_NONE)
        return;
    struct value shape = *graph_value(b->graph, part);
    uint32_t sum = build_input(b->graph, name, DTYPE_F32, shape.rank, shape.axes);
    uint32_t next = build_binary(b->graph, OP_add, sum, part);
    build_output(b->graph, name, next);
    add_slot(b, (struct slot){.value = sum, .role = SLOT_SUM, .index = index});
    add_slot(b, (struct slot){.value = next, .role = SLOT_SUM, .index = index});
}

static enum status add_gradients(struct builder_state *b, const struct graph_copy *copy,
                                 const struct head_side *student, const struct head_result *head,
                                 struct trace *trace)
{
    struct step *step = b->step;
    uint32_t count = step->parameters.count;
    uint32_t *wanted = ARENA_ARRAY(&step->arena, uint32_t, count),
             *found = ARENA_ARRAY(&step->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++)
        wanted[i] = copy->values[copy->from->tensors.items[step->parameters.items[i].tensor].value];
    const struct gradient_seed seeds[] = {{student->weight, head->dweight}, {student->hidden, head->dhidden}};
    struct gradient_request request = {
        .seeds = seeds, .seed_count = 2, .wanted = wanted, .wanted_count = count};
    TRY(gradient_build(found, b->graph, &request, trace));
    for (uint32_t i = 0; i < count; i++) {
        struct str name = step->parameters.items[i].name;
        add_sum(b, i, arena_printf(&step->arena, "gradient." STR_FORMAT, STR_ARGUMENT(name)), found[i]);
    }
    return OK;
}

static enum status add_student(struct builder_state *b, struct head_side *out, struct graph_copy *copy,
                               struct trace *trace)
{
    const struct graph *model = b->spec->student;
    struct step *step = b->step;
    struct signals signals;
    TRY(signals_find(&signals, &step->arena, model, trace));
    TRY(copy_model(b, copy, &signals, trace));
    *out = (struct head_side){copy->values[signals.hidden], copy->values[signals.head]};
    uint32_t parameter = 0;
    for (uint32_t i = 0; i < model->tensors.count; i++) {
        bool is_trained = parameter < step->parameters.count && step->parameters.items[parameter].tensor == i;
        uint32_t value = copy->values[model->tensors.items[i].value];
        struct slot slot = {.value = value, .role = SLOT_CONSTANT, .index = i};
        if (is_trained)
            slot = (struct slot){.value = value, .role = SLOT_PARAMETER, .index = parameter++};
        if (value != ID_NONE)
            add_slot(b, slot);
    }
    return OK;
}

enum status step_micro_build(struct step *step, const struct step_spec *spec, struct trace *trace)
{
    struct graph *graph = step->micro.graph = graph_create();
    struct builder_state b = {.step = step, .spec = spec, .graph = graph};
    b.axes[0] = dims_leaf(&graph->dims, spec->micro);
    b.axes[1] = dims_leaf(&graph->dims, spec->length);
    b.tokens = add_input(&b, "tokens", DTYPE_I32, SLOT_TOKENS);
    b.labels = add_input(&b, "labels", DTYPE_I32, SLOT_LABELS);
    b.weights = add_input(&b, "weights", DTYPE_F32, SLOT_WEIGHTS);
    struct head_side student, teachers[HEAD_MAX_TEACHERS];
    for (uint32_t i = 0; i < spec->teacher_count; i++)
        TRY_WITH(trace, add_teacher(&b, i, &teachers[i], trace), "while preparing teacher %" PRIu32, i);
    struct graph_copy copy = graph_copy_begin(graph, spec->student);
    TRY_WITH(trace, add_student(&b, &student, &copy, trace), "while preparing the student");
    TRY(check_vocabularies(&b, &student, teachers, trace));
    struct head_spec head_spec = {
        .graph = graph,
        .tokens = spec->micro * spec->length,
        .chunk = spec->chunk,
        .student = student,
        .teachers = teachers,
        .teacher_count = spec->teacher_count,
        .labels = b.labels,
        .weights = b.weights,
        .objectives = spec->objectives,
        .objective_count = spec->objective_count,
    };
    struct head_result head = head_build(&head_spec);
    TRY_WITH(trace, add_gradients(&b, &copy, &student, &head, trace),
             "while building the student's gradients");
    for (uint32_t i = 0; i < spec->objective_count; i++)
        add_sum(&b, step->parameters.count + i, arena_printf(&step->arena, "loss.%" PRIu32, i),
                head.losses[i]);
    order_outputs_early(graph);
    return OK;
}
