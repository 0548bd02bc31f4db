/* Models are copied up to their hidden states with batch and sequence as sizes; the head and the losses are
 * built in chunks (train/head.h), gradients by passes/gradient.h. */
#include "train/step_micro.h"
#include "ir/build.h"
#include "passes/gradient.h"
#include "train/order.h"
#include "train/recompute.h"
#include "train/signals.h"
#include <assert.h>
#include <inttypes.h>

struct builder_state {
    struct step *step;
    const struct step_spec *spec;
    const struct step_route *route;
    uint32_t number; /* of the route */
    struct graph *graph;
    uint32_t axes[3]; /* micro, length, log-probabilities that were kept */
    uint32_t tokens, labels, weights;
    struct objective_kept given;                                     /* by a teacher beforehand */
    uint32_t student_states[STATES_MAX], teacher_states[STATES_MAX]; /* in `graph`, by pair */
    uint32_t projection;                                             /* ID_NONE: not needed */
    uint32_t forward_first, forward_end;                             /* the student's nodes */
    VEC(uint32_t) kept; /* its values that are not computed again */
};

static void add_slot(struct builder_state *b, struct slot slot)
{
    *VEC_PUSH(&b->step->arena, &b->step->micros[b->number].slots) = slot;
}

static uint32_t add_input(struct builder_state *b, const char *name, enum dtype dtype, enum slot_role role)
{
    uint32_t value = build_input(b->graph, name, dtype, 2, b->axes);
    add_slot(b, (struct slot){.value = value, .role = role});
    return value;
}

/* What a teacher said beforehand of each token. */
static void add_kept(struct builder_state *b)
{
    b->given = (struct objective_kept){ID_NONE, ID_NONE, ID_NONE};
    if (b->route->kept == 0)
        return;
    b->axes[2] = dims_leaf(&b->graph->dims, b->route->kept);
    b->given = (struct objective_kept){build_input(b->graph, "kept.ids", DTYPE_I32, 3, b->axes),
                                       build_input(b->graph, "kept.logs", DTYPE_F32, 3, b->axes),
                                       build_input(b->graph, "kept.rest", DTYPE_F32, 2, b->axes)};
    add_slot(b, (struct slot){.value = b->given.ids, .role = SLOT_KEPT_IDS, .index = b->number});
    add_slot(b, (struct slot){.value = b->given.logs, .role = SLOT_KEPT_LOGS, .index = b->number});
    add_slot(b, (struct slot){.value = b->given.rest, .role = SLOT_KEPT_REST, .index = b->number});
}

/* Which values `wanted` is computed from; on the step's arena. */
static bool *mark_needed(struct builder_state *b, const struct graph *model, const struct signals *signals)
{
    bool *needed = ARENA_ARRAY(&b->step->arena, bool, model->values.count);
    uint32_t bias = logit_tail_bias(&signals->tail);
    needed[signals->hidden] = needed[signals->head] = true;
    if (bias != ID_NONE)
        needed[bias] = true;
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
    const bool *needed = mark_needed(b, model, signals);
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

/* Where the states of the pairs are in the copy of a model. */
static enum status find_states(struct builder_state *b, const struct graph_copy *copy, uint32_t *out,
                               bool is_teacher, struct trace *trace)
{
    const struct state_losses *states = &b->route->states;
    for (uint32_t i = 0; i < states->count; i++) {
        const struct state_pair *pair = &states->pairs[i];
        uint32_t layer = is_teacher ? pair->teacher : pair->student, value;
        TRY_WITH(trace, state_find(&value, &b->step->arena, copy->from, pair->kind, layer, trace),
                 "while looking for a state \"%s\"", state_table[pair->kind].name);
        out[i] = copy->values[value];
        if (out[i] == ID_NONE)
            return status_fail(trace, UNSUPPORTED, "the logits do not depend on the state \"%s\"",
                               state_table[pair->kind].name);
    }
    return OK;
}

static int64_t width_of(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return dims_size(&graph->dims, v->axes[v->rank - 1]);
}

/* Heads of relations must divide what they cut. */
static enum status check_relations(const struct builder_state *b, struct trace *trace)
{
    const struct state_losses *states = &b->route->states;
    int64_t heads = states->relation_heads;
    for (uint32_t i = 0; i < states->count; i++) {
        int64_t of_student = width_of(b->graph, b->student_states[i]);
        int64_t of_teacher = width_of(b->graph, b->teacher_states[i]);
        if (state_is_relation(states->pairs[i].kind) &&
            (heads < 1 || of_student % heads != 0 || of_teacher % heads != 0))
            return status_fail(trace, INVALID,
                               "%" PRId64 " relation heads do not divide the %s of student (%" PRId64
                               ") and teacher (%" PRId64 ")",
                               heads, state_table[states->pairs[i].kind].name, of_student, of_teacher);
    }
    return OK;
}

static enum status add_teacher(struct builder_state *b, uint32_t index, struct head_side *out,
                               struct trace *trace)
{
    const struct graph *model = b->route->teachers[index];
    struct signals signals;
    struct graph_copy copy = graph_copy_begin(b->graph, model);
    TRY(signals_find(&signals, &b->step->arena, model, trace));
    TRY(copy_model(b, &copy, &signals, trace));
    struct logit_tail *tail = ARENA_NEW(&b->step->arena, struct logit_tail);
    *tail = signals.tail;
    logit_tail_move(tail, copy.values);
    *out = (struct head_side){copy.values[signals.hidden], copy.values[signals.head], tail};
    if (index == b->route->states.teacher)
        TRY(find_states(b, &copy, b->teacher_states, true, trace));
    for (uint32_t i = 0; i < model->tensors.count; i++) {
        uint32_t value = copy.values[model->tensors.items[i].value];
        if (value != ID_NONE)
            add_slot(b, (struct slot){.value = value,
                                      .role = SLOT_TEACHER,
                                      .index = i,
                                      .teacher = step_teacher_number(b->spec, b->number, index)});
    }
    return OK;
}

static enum status check_vocabulary(const struct builder_state *b, const struct head_side *side,
                                    int64_t expected, struct trace *trace)
{
    int64_t size = dims_size(&b->graph->dims, graph_value(b->graph, side->weight)->axes[0]);
    if (b->route->vocabulary > size)
        return status_fail(trace, INVALID,
                           "expected a vocabulary of at least %" PRId64 " tokens, found %" PRId64,
                           b->route->vocabulary, size);
    if (b->route->vocabulary > 0 && b->route->vocabulary != size && logit_tail_bias(side->tail) != ID_NONE)
        return status_fail(trace, UNSUPPORTED,
                           "a head with a bias has %" PRId64 " tokens, of which %" PRId64
                           " are common: expected all of them",
                           size, b->route->vocabulary);
    if (b->route->vocabulary == 0 && size != expected)
        return status_fail(trace, INVALID,
                           "teacher and student have different vocabularies: %" PRId64 " and %" PRId64, size,
                           expected);
    return OK;
}

static enum status check_vocabularies(const struct builder_state *b, const struct head_side *student,
                                      const struct head_side *teachers, struct trace *trace)
{
    int64_t size = dims_size(&b->graph->dims, graph_value(b->graph, student->weight)->axes[0]);
    TRY(check_vocabulary(b, student, size, trace));
    if (b->route->kept > (b->route->vocabulary > 0 ? b->route->vocabulary : size))
        return status_fail(trace, INVALID, "%" PRIu32 " tokens were kept, more than the vocabulary has",
                           b->route->kept);
    for (uint32_t i = 0; i < b->route->teacher_count; i++)
        TRY(check_vocabulary(b, &teachers[i], size, trace));
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

/* The matrix that makes the student's states as wide as the teacher's. */
static void add_projection(struct builder_state *b)
{
    struct step *step = b->step;
    uint32_t index = step->projection_of[b->number];
    b->projection = ID_NONE;
    if (index == ID_NONE)
        return;
    const struct graph *from = step->projections[step->parameters.items[index].projection];
    const struct tensor *matrix = &from->tensors.items[0];
    uint32_t axes[] = {dims_leaf(&b->graph->dims, matrix->view.dims[0]),
                       dims_leaf(&b->graph->dims, matrix->view.dims[1])};
    b->projection = build_tensor(b->graph, matrix->name, &matrix->view, axes);
    add_slot(b, (struct slot){.value = b->projection, .role = SLOT_PARAMETER, .index = index});
}

/* The weighted sum of the teacher's divergences, [1]. */
static uint32_t sum_divergences(const struct builder_state *b, const struct head_result *head)
{
    uint32_t sum = ID_NONE;
    for (uint32_t i = 0; i < b->route->objective_count; i++) {
        const struct objective *objective = &b->route->objectives[i];
        if (!(objective_table[objective->kind].needs & OBJECTIVE_NEEDS_TEACHER))
            continue;
        struct build_attributes attributes = {.scale = objective->weight};
        uint32_t loss = build_op(b->graph, OP_scale, &head->losses[i], &attributes);
        sum = sum == ID_NONE ? loss : build_binary(b->graph, OP_add, sum, loss);
    }
    return sum;
}

static enum status add_gradients(struct builder_state *b, const struct graph_copy *copy,
                                 const struct head_side *student, const struct head_result *head,
                                 const struct state_result *states, struct trace *trace)
{
    struct step *step = b->step;
    uint32_t count = step->parameters.count, used = 0;
    uint32_t *wanted = ARENA_ARRAY(&step->arena, uint32_t, count),
             *found = ARENA_ARRAY(&step->arena, uint32_t, count),
             *places = ARENA_ARRAY(&step->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tensor = step->parameters.items[i].tensor;
        if (tensor == ID_NONE && i != step->projection_of[b->number])
            continue; /* of another teacher */
        wanted[used] =
            tensor == ID_NONE ? b->projection : copy->values[copy->from->tensors.items[tensor].value];
        places[used++] = i;
    }
    struct gradient_seed seeds[3 + STATES_MAX] = {{student->weight, head->dweight},
                                                  {student->hidden, head->dhidden}};
    uint32_t seed_count = 2;
    if (head->dbias != ID_NONE)
        seeds[seed_count++] = (struct gradient_seed){logit_tail_bias(student->tail), head->dbias};
    for (uint32_t i = 0; i < b->route->states.count; i++)
        seeds[seed_count++] = (struct gradient_seed){states->values[i], states->gradients[i]};
    struct gradient_request request = {
        .seeds = seeds, .seed_count = seed_count, .wanted = wanted, .wanted_count = used};
    TRY(gradient_build(found, b->graph, &request, trace));
    for (uint32_t i = 0; i < used; i++) {
        struct str name = step->parameters.items[places[i]].name;
        add_sum(b, places[i], arena_printf(&step->arena, "gradient." STR_FORMAT, STR_ARGUMENT(name)),
                found[i]);
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
    b->forward_first = b->graph->nodes.count;
    TRY(copy_model(b, copy, &signals, trace));
    struct logit_tail *tail = ARENA_NEW(&step->arena, struct logit_tail);
    *tail = signals.tail;
    logit_tail_move(tail, copy->values);
    *out = (struct head_side){copy->values[signals.hidden], copy->values[signals.head], tail};
    b->forward_end = b->graph->nodes.count;
    for (uint32_t i = 0; i < signals.residuals.count; i++)
        *VEC_PUSH(&step->arena, &b->kept) = copy->values[signals.residuals.items[i]];
    *VEC_PUSH(&step->arena, &b->kept) = out->hidden;
    TRY(find_states(b, copy, b->student_states, false, trace));
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

enum status step_micro_build(struct step *step, const struct step_spec *spec, uint32_t number,
                             struct trace *trace)
{
    struct graph *graph = step->micros[number].graph = graph_create();
    const struct step_route *route = &spec->routes[number];
    struct builder_state b = {.step = step, .spec = spec, .route = route, .number = number, .graph = graph};
    b.axes[0] = dims_leaf(&graph->dims, spec->micro);
    b.axes[1] = dims_leaf(&graph->dims, spec->length);
    b.tokens = add_input(&b, "tokens", DTYPE_I32, SLOT_TOKENS);
    b.labels = add_input(&b, "labels", DTYPE_I32, SLOT_LABELS);
    b.weights = add_input(&b, "weights", DTYPE_F32, SLOT_WEIGHTS);
    add_kept(&b);
    struct head_side student, teachers[HEAD_MAX_TEACHERS];
    for (uint32_t i = 0; i < route->teacher_count; i++)
        TRY_WITH(trace, add_teacher(&b, i, &teachers[i], trace), "while preparing teacher %" PRIu32, i);
    struct graph_copy copy = graph_copy_begin(graph, spec->student);
    TRY_WITH(trace, add_student(&b, &student, &copy, trace), "while preparing the student");
    TRY(check_vocabularies(&b, &student, teachers, trace));
    TRY(check_relations(&b, trace));
    add_projection(&b);
    struct head_spec head_spec = {
        .graph = graph,
        .tokens = spec->micro * spec->length,
        .chunk = spec->chunk,
        .vocabulary = route->vocabulary,
        .student = student,
        .teachers = teachers,
        .teacher_count = route->teacher_count,
        .labels = b.labels,
        .weights = b.weights,
        .kept = b.given,
        .objectives = route->objectives,
        .objective_count = route->objective_count,
    };
    struct state_build state_build = {.graph = graph,
                                      .losses = &route->states,
                                      .student = b.student_states,
                                      .teacher = b.teacher_states,
                                      .projection = b.projection,
                                      .weights = b.weights};
    struct state_result states = state_losses_build(&state_build);
    struct head_result head = head_build(&head_spec);
    if (route->states.count > 0)
        state_losses_scale(&states, &state_build, sum_divergences(&b, &head));
    uint32_t back = graph->nodes.count;
    TRY_WITH(trace, add_gradients(&b, &copy, &student, &head, &states, trace),
             "while building the student's gradients");
    for (uint32_t i = 0; i < step->loss_count; i++)
        add_sum(&b, step->parameters.count + i, arena_printf(&step->arena, "loss.%" PRIu32, i),
                i < route->objective_count ? head.losses[i] : states.losses[i - route->objective_count]);
    if (spec->recomputes) {
        struct recompute_request request = {.first = b.forward_first,
                                            .end = b.forward_end,
                                            .back = back,
                                            .kept = b.kept.items,
                                            .kept_count = b.kept.count};
        recompute_forward(graph, &request);
    }
    order_outputs_early(graph);
    return OK;
}
