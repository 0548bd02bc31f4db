/* What is trained, checks of the specification, and the order in which the graphs are built. */
#include "train/step.h"
#include "shaders/scalar/bits.h"
#include "train/init.h"
#include "train/signals.h"
#include "train/step_micro.h"
#include "train/step_update.h"
#include <inttypes.h>

static bool is_weight(float x)
{
    return gm_is_finite(x) && x > 0 && gm_flush(x) == x;
}

static enum status check_objective(const struct step_route *route, const struct objective *objective,
                                   struct trace *trace)
{
    const struct objective_info *info = &objective_table[objective->kind];
    if (info->needs & OBJECTIVE_NEEDS_TEACHER && objective->teacher >= route->teacher_count)
        return status_fail(trace, INVALID, "objective %s needs a teacher, and there is none", info->name);
    if (info->needs & OBJECTIVE_NEEDS_KEPT && route->kept == 0)
        return status_fail(trace, INVALID,
                           "objective %s needs what was kept of a teacher, and there is nothing", info->name);
    if (!is_weight(objective->weight))
        return status_fail(trace, INVALID, "objective %s: expected a positive weight, found %g", info->name,
                           (double)objective->weight);
    float temperature = objective->temperature == 0 ? 1 : objective->temperature;
    if (!(temperature >= 0x1p-20f && temperature <= 0x1p20f))
        return status_fail(trace, INVALID, "objective %s: expected a temperature of 2^-20 to 2^20, found %g",
                           info->name, (double)temperature);
    return OK;
}

static enum status check_route(const struct step_route *route, struct trace *trace)
{
    if (route->objective_count < 1 || route->objective_count > HEAD_MAX_OBJECTIVES)
        return status_fail(trace, INVALID, "expected 1 to %d objectives, found %" PRIu32, HEAD_MAX_OBJECTIVES,
                           route->objective_count);
    if (route->teacher_count > HEAD_MAX_TEACHERS)
        return status_fail(trace, INVALID, "expected at most %d teachers, found %" PRIu32, HEAD_MAX_TEACHERS,
                           route->teacher_count);
    for (uint32_t i = 0; i < route->objective_count; i++)
        TRY(check_objective(route, &route->objectives[i], trace));
    return OK;
}

static enum status check_states(const struct step_route *route, struct trace *trace)
{
    const struct state_losses *states = &route->states;
    if (states->count > STATES_MAX)
        return status_fail(trace, INVALID, "expected at most %d losses of states, found %" PRIu32, STATES_MAX,
                           states->count);
    if (states->count > 0 && states->teacher >= route->teacher_count)
        return status_fail(trace, INVALID, "losses of states need a teacher, and there is none");
    bool has_divergence = false;
    for (uint32_t i = 0; i < route->objective_count; i++)
        has_divergence |= (objective_table[route->objectives[i].kind].needs & OBJECTIVE_NEEDS_TEACHER) != 0;
    if (states->count > 0 && states->scale == STATE_DYNAMIC && !has_divergence)
        return status_fail(
            trace, INVALID,
            "losses of states are to be scaled like the divergence of logits, and there is none");
    for (uint32_t i = 0; i < states->count; i++)
        if (!is_weight(states->pairs[i].weight))
            return status_fail(trace, INVALID, "state %s: expected a positive weight, found %g",
                               state_table[states->pairs[i].kind].name, (double)states->pairs[i].weight);
    return OK;
}

/* What was kept of a teacher is compared by the same divergence as its logits. */
static bool is_same_objective(const struct objective *a, const struct objective *b)
{
    enum objective_kind kind = a->kind == OBJECTIVE_kept_kl ? OBJECTIVE_forward_kl : a->kind;
    enum objective_kind other = b->kind == OBJECTIVE_kept_kl ? OBJECTIVE_forward_kl : b->kind;
    float temperature = a->temperature == 0 ? 1 : a->temperature;
    bool has_same_top = a->kind != b->kind || a->top == b->top;
    return kind == other && has_same_top && a->weight == b->weight &&
           temperature == (b->temperature == 0 ? 1 : b->temperature);
}

static bool are_same_states(const struct state_losses *a, const struct state_losses *b)
{
    bool is_same = a->count == b->count && a->scale == b->scale && a->distance == b->distance &&
                   a->relation_heads == b->relation_heads;
    for (uint32_t i = 0; i < a->count && is_same; i++)
        is_same = a->pairs[i].kind == b->pairs[i].kind && a->pairs[i].student == b->pairs[i].student &&
                  a->pairs[i].weight == b->pairs[i].weight;
    return is_same;
}

/* Losses are added up by place over all routes, and weighed and named as those of the first: only whom the
 * student learns from may differ. So routes with one teacher also agree on whether they need its matrix. */
static enum status check_alike(const struct step_route *route, const struct step_route *first,
                               struct trace *trace)
{
    bool is_same = route->objective_count == first->objective_count;
    for (uint32_t i = 0; i < route->objective_count && is_same; i++)
        is_same = is_same_objective(&route->objectives[i], &first->objectives[i]);
    if (!is_same)
        return status_fail(trace, INVALID, "expected the same objectives in every route");
    return are_same_states(&route->states, &first->states)
               ? OK
               : status_fail(trace, INVALID,
                             "expected the same losses of states in every route, but for the teacher's "
                             "layers");
}

static uint32_t routes_of(const struct step_spec *spec)
{
    return spec->route_count > 0 ? spec->route_count : 1;
}

static enum status check_routes(const struct step_spec *spec, struct trace *trace)
{
    if (spec->route_count > STEP_MAX_ROUTES)
        return status_fail(trace, INVALID, "expected at most %d routes, found %" PRIu32, STEP_MAX_ROUTES,
                           spec->route_count);
    for (uint32_t i = 0; i < routes_of(spec); i++) {
        TRY(check_route(&spec->routes[i], trace));
        TRY(check_states(&spec->routes[i], trace));
        TRY(check_alike(&spec->routes[i], &spec->routes[0], trace));
    }
    return OK;
}

static enum status check(const struct step_spec *spec, struct trace *trace)
{
    enum { LARGEST = 1 << 24 };
    if (spec->micro < 1 || spec->length < 1 || spec->micro > LARGEST || spec->length > LARGEST ||
        spec->micro * spec->length > INT32_MAX)
        return status_fail(trace, INVALID,
                           "expected micro and length of at least 1 and at most 2^31 tokens a "
                           "micro-batch, found %" PRId64 " and %" PRId64,
                           spec->micro, spec->length);
    if (spec->lanes < 1)
        return status_fail(trace, INVALID, "expected at least one lane");
    if (spec->chunk < 0 || spec->chunk % HEAD_CHUNK != 0)
        return status_fail(trace, INVALID, "expected chunks of whole blocks of %d tokens, found %" PRId64,
                           HEAD_CHUNK, spec->chunk);
    return check_routes(spec, trace);
}

static enum parameter_decay decay_of(const struct graph *student, const struct tensor *tensor,
                                     enum step_decays decays)
{
    if (tensor->view.rank != 2)
        return decays == DECAYS_ALL ? DECAY_WEIGHTS : DECAY_NONE;
    for (uint32_t n = 0; n < student->nodes.count && decays == DECAYS_HIDDEN; n++) {
        const struct node *node = &student->nodes.items[n];
        if ((node->op == OP_embed && node->inputs[0] == tensor->value) ||
            (node->op == OP_add_positions && node->inputs[1] == tensor->value))
            return DECAY_NONE;
    }
    return DECAY_WEIGHTS;
}

/* Every tensor that a node of the student reads and that is no constant. */
static void find_parameters(struct step *step, const struct graph *student, enum step_decays decays)
{
    for (uint32_t t = 0; t < student->tensors.count; t++) {
        const struct tensor *tensor = &student->tensors.items[t];
        bool is_read = false;
        for (uint32_t n = 0; n < student->nodes.count && !is_read; n++)
            for (uint32_t i = 0; i < student->nodes.items[n].input_count; i++)
                is_read |= student->nodes.items[n].inputs[i] == tensor->value;
        if (!is_read || tensor_is_constant(student, t))
            continue;
        const char *name = tensor->name.length
                               ? arena_copy_string(&step->arena, tensor->name.data, tensor->name.length)
                               : arena_printf(&step->arena, "%" PRIu32, t);
        *VEC_PUSH(&step->arena, &step->parameters) = (struct parameter){
            .name = str_from(name),
            .tensor = t,
            .count = tensor_view_count(&tensor->view),
            .decay = decay_of(student, tensor, decays),
        };
    }
}

static enum status width_of(int64_t *out, struct step *step, const struct graph *model,
                            const struct state_pair *pair, bool is_teacher, struct trace *trace)
{
    uint32_t value, layer = is_teacher ? pair->teacher : pair->student;
    TRY_WITH(trace, state_find(&value, &step->arena, model, pair->kind, layer, trace),
             "while looking for a state \"%s\" of the %s", state_table[pair->kind].name,
             is_teacher ? "teacher" : "student");
    const struct value *v = graph_value(model, value);
    *out = dims_size(&model->dims, v->axes[v->rank - 1]);
    return OK;
}

/* The matrix that makes the student's states as wide as the teacher's of a route, where they differ: a
 * parameter like the student's. What is compared channel by channel is as wide as the stream. */
static enum status find_projection(struct step *step, const struct step_spec *spec, uint32_t route,
                                   struct trace *trace)
{
    const struct state_losses *states = &spec->routes[route].states;
    uint32_t first = 0;
    while (first < states->count && state_is_relation(states->pairs[first].kind))
        first++;
    step->projection_of[route] = ID_NONE;
    if (first == states->count)
        return OK;
    const struct graph *teacher = spec->routes[route].teachers[states->teacher];
    for (uint32_t i = 0; i < route; i++)
        if (spec->routes[i].teachers[spec->routes[i].states.teacher] == teacher) {
            step->projection_of[route] = step->projection_of[i];
            return OK;
        }
    int64_t of_teacher, of_student;
    const struct state_pair *pair = &states->pairs[first];
    TRY(width_of(&of_teacher, step, teacher, pair, true, trace));
    TRY(width_of(&of_student, step, spec->student, pair, false, trace));
    if (of_teacher == of_student)
        return OK;
    step->projections[route] = state_projection_create(of_teacher, of_student, states->seed, route);
    step->projection_of[route] = step->parameters.count;
    const char *name = route == 0 ? "projection" : arena_printf(&step->arena, "projection.%" PRIu32, route);
    *VEC_PUSH(&step->arena, &step->parameters) = (struct parameter){.name = str_from(name),
                                                                    .tensor = ID_NONE,
                                                                    .projection = route,
                                                                    .count = of_teacher * of_student,
                                                                    .decay = DECAY_WEIGHTS};
    return OK;
}

uint32_t step_teachers_before(const struct step_spec *spec, uint32_t route)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < route; i++)
        first += spec->routes[i].teacher_count;
    return first;
}

uint32_t step_teacher_number(const struct step_spec *spec, uint32_t route, uint32_t index)
{
    const struct graph *model = spec->routes[route].teachers[index];
    uint32_t number = 0;
    for (uint32_t r = 0; r <= route; r++)
        for (uint32_t i = 0; i < spec->routes[r].teacher_count; i++, number++)
            if (spec->routes[r].teachers[i] == model)
                return number;
    BUG("a teacher is none of its route");
}

uint32_t step_sums(const struct step *step)
{
    return step->parameters.count + step->loss_count;
}

int64_t step_sum_size(const struct step *step, uint32_t index)
{
    return index < step->parameters.count ? step->parameters.items[index].count : 1;
}

const struct tensor *step_parameter_tensor(const struct step *step, const struct graph *student,
                                           uint32_t index)
{
    const struct parameter *parameter = &step->parameters.items[index];
    return parameter->tensor == ID_NONE ? &step->projections[parameter->projection]->tensors.items[0]
                                        : &student->tensors.items[parameter->tensor];
}

enum status step_build(struct step *out, const struct step_spec *spec, struct trace *trace)
{
    struct step step = {.loss_count = spec->routes[0].objective_count + spec->routes[0].states.count,
                        .route_count = routes_of(spec)};
    TRY(check(spec, trace));
    find_parameters(&step, spec->student, spec->decays);
    enum status status = OK;
    for (uint32_t i = 0; i < step.route_count && status == OK; i++) /* indices of losses come after all */
        status = find_projection(&step, spec, i, trace);
    for (uint32_t i = 0; i < step.route_count && status == OK; i++)
        status = step_micro_build(&step, spec, i, trace);
    if (status == OK && step.parameters.count == 0)
        status = status_fail(trace, INVALID, "the student has no weight to train");
    if (status != OK) {
        step_release(&step);
        return status;
    }
    if (spec->lanes > 1)
        step_fold_build(&step, spec->student);
    step_update_build(&step, spec->student);
    *out = step;
    return OK;
}

void step_release(struct step *step)
{
    for (uint32_t i = 0; i < STEP_MAX_ROUTES; i++) {
        graph_destroy(step->micros[i].graph);
        graph_destroy(step->projections[i]);
    }
    graph_destroy(step->fold.graph);
    graph_destroy(step->update.graph);
    arena_release(&step->arena);
    *step = (struct step){0};
}
