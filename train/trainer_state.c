/* Which tensor every value of the three graphs lives in. */
#include "train/trainer_state.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

static enum status create(struct trainer *t, enum slot_role role, uint32_t index, enum dtype dtype,
                          int64_t count, struct trace *trace)
{
    TRY(executor_tensor_create(t->executor, dtype, count, &t->tensors[role][index], trace));
    *VEC_PUSH(&t->arena, &t->owned) = t->tensors[role][index];
    return OK;
}

static enum status upload(struct trainer *t, const struct tensor *tensor, uint32_t *out, struct trace *trace)
{
    if (!tensor->view.base)
        return status_fail(trace, INVALID, "weight " STR_FORMAT " has no content",
                           STR_ARGUMENT(tensor->name));
    TRY_WITH(trace, executor_upload(t->executor, &tensor->view, out, trace), "while uploading " STR_FORMAT,
             STR_ARGUMENT(tensor->name));
    *VEC_PUSH(&t->arena, &t->owned) = *out;
    return OK;
}

static enum status create_inputs(struct trainer *t, const struct step_spec *spec, struct trace *trace)
{
    int64_t tokens = spec->micro * spec->length;
    TRY(create(t, SLOT_TOKENS, 0, DTYPE_I32, tokens, trace));
    TRY(create(t, SLOT_LABELS, 0, DTYPE_I32, tokens, trace));
    TRY(create(t, SLOT_WEIGHTS, 0, DTYPE_F32, tokens, trace));
    for (uint32_t i = 0; i < t->step.route_count; i++) {
        int64_t kept = spec->routes[i].kept;
        if (kept == 0)
            continue;
        targets_init(&t->kept[i], (uint32_t)tokens, (uint32_t)kept);
        TRY(create(t, SLOT_KEPT_IDS, i, DTYPE_I32, tokens * kept, trace));
        TRY(create(t, SLOT_KEPT_LOGS, i, DTYPE_F32, tokens * kept, trace));
        TRY(create(t, SLOT_KEPT_REST, i, DTYPE_F32, tokens, trace));
    }
    TRY(create(t, SLOT_HYPER, 0, DTYPE_F32, HYPER_SIZE, trace));
    return create(t, SLOT_CLIP, 0, DTYPE_F32, 2, trace);
}

static enum status create_states(struct trainer *t, const struct graph *student, struct trace *trace)
{
    for (uint32_t i = 0; i < t->step.parameters.count; i++) {
        const struct parameter *parameter = &t->step.parameters.items[i];
        TRY(upload(t, step_parameter_tensor(&t->step, student, i), &t->tensors[SLOT_PARAMETER][i], trace));
        TRY(create(t, SLOT_FIRST, i, DTYPE_F32, parameter->count, trace));
        TRY(create(t, SLOT_SECOND, i, DTYPE_F32, parameter->count, trace));
    }
    for (uint32_t i = 0; i < step_sums(&t->step); i++) {
        TRY(create(t, SLOT_TOTAL, i, DTYPE_F32, step_sum_size(&t->step, i), trace));
        if (t->lanes > 1)
            TRY(create(t, SLOT_SUM, i, DTYPE_F32, step_sum_size(&t->step, i), trace));
        else
            t->tensors[SLOT_SUM][i] = t->tensors[SLOT_TOTAL][i];
    }
    return OK;
}

/* The tensors of a teacher: those of the correction that trains it, or none yet. */
static uint32_t *find_teacher(struct trainer *t, const struct graph *const *all, uint32_t number)
{
    const struct trainer *correction = number == 0 ? t->correction : NULL;
    uint32_t count = all[number]->tensors.count, *tensors = ARENA_ARRAY(&t->arena, uint32_t, count);
    memset(tensors, 0xff, count * sizeof *tensors);
    for (uint32_t i = 0; correction && i < count; i++)
        tensors[i] = correction->tensors[SLOT_CONSTANT][i];
    for (uint32_t i = 0; correction && i < correction->step.parameters.count; i++)
        tensors[correction->step.parameters.items[i].tensor] = correction->tensors[SLOT_PARAMETER][i];
    return tensors;
}

/* Weights that are only read: the teachers' and the student's constants. Exactly those that the micro graphs
 * use. */
static enum status upload_fixed(struct trainer *t, const struct step_spec *spec, struct trace *trace)
{
    uint32_t count = step_teachers_before(spec, t->step.route_count), filled = 0;
    const struct graph **all = ARENA_ARRAY(&t->arena, const struct graph *, count + 1);
    for (uint32_t r = 0; r < t->step.route_count; r++)
        for (uint32_t i = 0; i < spec->routes[r].teacher_count; i++)
            all[filled++] = spec->routes[r].teachers[i];
    t->teachers = ARENA_ARRAY(&t->arena, uint32_t *, count + 1);
    for (uint32_t i = 0; i < count; i++)
        t->teachers[i] = find_teacher(t, all, i);
    for (uint32_t r = 0; r < t->step.route_count; r++)
        for (uint32_t i = 0; i < t->step.micros[r].slots.count; i++) {
            const struct slot *slot = &t->step.micros[r].slots.items[i];
            if (slot->role == SLOT_TEACHER && t->teachers[slot->teacher][slot->index] == ID_NONE)
                TRY_WITH(trace,
                         upload(t, &all[slot->teacher]->tensors.items[slot->index],
                                &t->teachers[slot->teacher][slot->index], trace),
                         "while loading teacher %" PRIu32, slot->teacher);
            if (slot->role == SLOT_CONSTANT && r == 0)
                TRY(upload(t, &spec->student->tensors.items[slot->index],
                           &t->tensors[SLOT_CONSTANT][slot->index], trace));
        }
    return OK;
}

static uint32_t tensor_of(const struct trainer *t, const struct slot *slot)
{
    return slot->role == SLOT_TEACHER ? t->teachers[slot->teacher][slot->index]
                                      : t->tensors[slot->role][slot->index];
}

static enum status compile(struct trainer *t, struct program **out, const struct step_graph *graph,
                           const char *name, struct trace *trace)
{
    struct binding *bindings = ARENA_ARRAY(&t->arena, struct binding, graph->slots.count);
    for (uint32_t i = 0; i < graph->slots.count; i++)
        bindings[i] = (struct binding){graph->slots.items[i].value, tensor_of(t, &graph->slots.items[i])};
    struct program_spec spec = {
        .graph = graph->graph,
        .bindings = bindings,
        .binding_count = graph->slots.count,
    };
    TRY_WITH(trace, executor_compile(out, t->executor, &spec, trace),
             "while compiling the %s graph of a step", name);
    return OK;
}

static void list_states(struct trainer *t)
{
    uint32_t own = 3 * t->step.parameters.count;
    static const struct {
        const char *name;
        enum slot_role role;
    } kinds[] = {[STATE_WEIGHT] = {"weight", SLOT_PARAMETER},
                 [STATE_FIRST] = {"first", SLOT_FIRST},
                 [STATE_SECOND] = {"second", SLOT_SECOND}};
    t->states = ARENA_ARRAY(&t->arena, struct trainer_state, trainer_state_count(t));
    for (uint32_t i = 0; t->correction && i < trainer_state_count(t->correction); i++) {
        struct trainer_state *state = &t->states[own + i];
        *state = trainer_state(t->correction, i);
        state->name = str_from(arena_printf(&t->arena, "teacher." STR_FORMAT, STR_ARGUMENT(state->name)));
    }
    for (uint32_t i = 0; i < own; i++) {
        uint32_t parameter = i / 3, kind = i % 3;
        const struct parameter *p = &t->step.parameters.items[parameter];
        t->states[i] = (struct trainer_state){
            .name =
                str_from(arena_printf(&t->arena, "%s." STR_FORMAT, kinds[kind].name, STR_ARGUMENT(p->name))),
            .count = p->count,
            .of = t,
            .tensor = t->tensors[kinds[kind].role][parameter],
            .parameter = parameter,
            .kind = (enum trainer_state_kind)kind,
        };
    }
}

enum status trainer_prepare(struct trainer *t, const struct step_spec *spec, struct trace *trace)
{
    uint32_t largest = spec->student->tensors.count + step_sums(&t->step) + STEP_MAX_ROUTES;
    for (int role = 0; role < SLOT_ROLE_COUNT; role++) {
        t->tensors[role] = ARENA_ARRAY(&t->arena, uint32_t, largest);
        memset(t->tensors[role], 0xff, largest * sizeof *t->tensors[role]);
    }
    TRY(create_inputs(t, spec, trace));
    TRY(create_states(t, spec->student, trace));
    TRY(upload_fixed(t, spec, trace));
    list_states(t);
    for (uint32_t i = 0; i < t->step.route_count; i++)
        TRY(compile(t, &t->routes[i], &t->step.micros[i], "micro", trace));
    if (t->lanes > 1)
        TRY(compile(t, &t->fold, &t->step.fold, "fold", trace));
    return compile(t, &t->update, &t->step.update, "update", trace);
}

static enum status clear(struct trainer *t, uint32_t tensor, int64_t count, struct trace *trace)
{
    enum { PANEL = 4096 };
    static const float zeros[PANEL];
    for (int64_t first = 0; first < count; first += PANEL) {
        int64_t n = count - first < PANEL ? count - first : PANEL;
        TRY(executor_tensor_write(t->executor, tensor, first, n, zeros, trace));
    }
    return OK;
}

enum status trainer_clear_sums(struct trainer *t, struct trace *trace)
{
    for (uint32_t i = 0; i < step_sums(&t->step); i++) {
        TRY(clear(t, t->tensors[SLOT_TOTAL][i], step_sum_size(&t->step, i), trace));
        if (t->lanes > 1)
            TRY(clear(t, t->tensors[SLOT_SUM][i], step_sum_size(&t->step, i), trace));
    }
    t->sums = SUMS_CLEAR;
    return OK;
}

uint32_t trainer_state_count(const struct trainer *t)
{
    return 3 * t->step.parameters.count + (t->correction ? trainer_state_count(t->correction) : 0);
}

struct trainer_state trainer_state(const struct trainer *t, uint32_t index)
{
    assert(index < trainer_state_count(t));
    return t->states[index];
}

uint32_t trainer_scale_count(const struct trainer *t)
{
    return loss_scale_is_used(&t->scale) ? 1 + (t->correction != NULL) : 0;
}

struct loss_scale *trainer_scale(struct trainer *t, uint32_t index)
{
    assert(index < trainer_scale_count(t));
    return index == 0 ? &t->scale : &t->correction->scale;
}

enum status trainer_state_read(struct trainer *t, uint32_t index, int64_t first, int64_t count, float *out,
                               struct trace *trace)
{
    struct trainer_state state = trainer_state(t, index);
    TRY_WITH(trace, executor_tensor_read(t->executor, state.tensor, first, count, out, trace),
             "while reading " STR_FORMAT, STR_ARGUMENT(state.name));
    return OK;
}

enum status trainer_state_write(struct trainer *t, uint32_t index, int64_t first, int64_t count,
                                const float *data, struct trace *trace)
{
    struct trainer_state state = trainer_state(t, index);
    TRY_WITH(trace, executor_tensor_write(t->executor, state.tensor, first, count, data, trace),
             "while writing " STR_FORMAT, STR_ARGUMENT(state.name));
    return OK;
}
