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

static enum status check_states(const struct step_spec *spec, struct trace *trace)
{
    const struct state_losses *states = &spec->states;
    const struct step_route *route = &spec->routes[0];
    if (states->count > STATES_MAX)
        return status_fail(trace, INVALID, "expected at most %d losses of states, found %" PRIu32, STATES_MAX,
                           states->count);
    if (states->count > 0 && (states->teacher >= route->teacher_count || spec->route_count > 1))
        return status_fail(trace, INVALID, "losses of states need %s",
                           spec->route_count > 1 ? "one teacher, and there are several"
                                                 : "a teacher, and there is none");
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
        if (spec->routes[i].objective_count != spec->routes[0].objective_count)
            return status_fail(trace, INVALID, "expected as many objectives in every route");
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
    TRY(check_routes(spec, trace));
    return check_states(spec, trace);
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

uint32_t step_first_teacher(const struct step_spec *spec, uint32_t route)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < route; i++)
        first += spec->routes[i].teacher_count;
    return first;
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
    uint32_t tensor = step->parameters.items[index].tensor;
    return tensor == ID_NONE ? &step->projection->tensors.items[0] : &student->tensors.items[tensor];
}

enum status step_build(struct step *out, const struct step_spec *spec, struct trace *trace)
{
    struct step step = {.loss_count = spec->routes[0].objective_count + spec->states.count,
                        .route_count = routes_of(spec)};
    TRY(check(spec, trace));
    find_parameters(&step, spec->student, spec->decays);
    enum status status = OK;
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
    for (uint32_t i = 0; i < STEP_MAX_ROUTES; i++)
        graph_destroy(step->micros[i].graph);
    graph_destroy(step->fold.graph);
    graph_destroy(step->update.graph);
    graph_destroy(step->projection);
    arena_release(&step->arena);
    *step = (struct step){0};
}
