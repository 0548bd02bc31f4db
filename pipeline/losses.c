/* Layers of hidden states default to the last but two of either model. */
#include "pipeline/losses.h"
#include <inttypes.h>
#include <string.h>

static void read_objectives(struct losses *out, const struct settings *s,
                            const struct teacher_source *teacher)
{
    enum objective_kind kind;
    if (teacher && objective_from_name(str_from(settings_text(s, "loss.logits")), &kind))
        out->objectives[out->objective_count++] =
            (struct objective){.kind = teacher->kept ? OBJECTIVE_kept_kl : kind,
                               .weight = (float)settings_real(s, "loss.weight"),
                               .temperature = (float)settings_real(s, "loss.temperature"),
                               .top = (uint32_t)settings_integer(s, "loss.top")};
    if (settings_real(s, "loss.ce") > 0)
        out->objectives[out->objective_count++] =
            (struct objective){.kind = OBJECTIVE_ce, .weight = (float)settings_real(s, "loss.ce")};
}

/* The layers of one side of the map, at least one. */
struct layer_list {
    const int64_t *given;
    uint32_t count;
    uint32_t fallback;
};

static enum status read_layers(struct layer_list *out, struct arena *arena, const struct settings *s,
                               const char *key, const struct model *model, struct trace *trace)
{
    uint32_t layers;
    const struct setting *setting = settings_get(s, key);
    TRY(state_layers(&layers, arena, model->graph, trace));
    *out = (struct layer_list){
        .given = setting->list, .count = setting->list_count, .fallback = layers >= 3 ? layers - 3 : 0};
    for (uint32_t i = 0; i < setting->list_count; i++)
        if (setting->list[i] >= layers)
            return settings_fail(s, key, trace, "expected layers from 0 to %" PRIu32 ", found %lld",
                                 layers - 1, (long long)setting->list[i]);
    return OK;
}

static uint32_t layer_of(const struct layer_list *list, uint32_t index)
{
    return list->count == 0 ? list->fallback : (uint32_t)list->given[index];
}

static enum status read_states(struct losses *out, struct arena *arena, const struct settings *s,
                               const struct model *student, const struct model *teacher, struct trace *trace)
{
    struct layer_list of_student, of_teacher;
    TRY(read_layers(&of_student, arena, s, "loss.states.student", student, trace));
    TRY(read_layers(&of_teacher, arena, s, "loss.states.teacher", teacher, trace));
    uint32_t layers = of_student.count > 0 ? of_student.count : 1;
    struct state_pair *pairs = ARENA_ARRAY(arena, struct state_pair, STATES_MAX);
    out->states = (struct state_losses){
        .pairs = pairs,
        .distance = strcmp(settings_text(s, "loss.states.distance"), "mse") == 0 ? STATE_MSE : STATE_COSINE,
        .scale = strcmp(settings_text(s, "loss.states.scale"), "fixed") == 0 ? STATE_FIXED : STATE_DYNAMIC,
        .seed = (uint64_t)settings_integer(s, "seed"),
        .relation_heads = (uint32_t)settings_integer(s, "loss.states.relation_heads")};
    for (int kind = 0; kind < STATE_KIND_COUNT; kind++) {
        uint32_t times = kind == STATE_KIND_embedding ? 1 : layers;
        if (!settings_has_word(s, "loss.states.at", state_table[kind].name))
            continue;
        if (out->states.count + times > STATES_MAX)
            return settings_fail(s, "loss.states.student", trace, "more than %d states", STATES_MAX);
        for (uint32_t i = 0; i < times; i++)
            pairs[out->states.count++] =
                (struct state_pair){.kind = (enum state_kind)kind,
                                    .student = layer_of(&of_student, i),
                                    .teacher = layer_of(&of_teacher, i),
                                    .weight = (float)settings_real(s, "loss.states.weight")};
    }
    return OK;
}

enum status losses_read(struct losses *out, struct arena *arena, const struct settings *settings,
                        const struct model *student, const struct teacher_source *teacher,
                        struct trace *trace)
{
    *out = (struct losses){0};
    read_objectives(out, settings, teacher);
    if (!teacher)
        return OK;
    TRY(vocabularies_match_stage(&out->vocabulary, settings, student, teacher, trace));
    if (!settings_has(settings, "loss.states.at"))
        return OK;
    return read_states(out, arena, settings, student, teacher->model, trace);
}

const char *losses_name(struct arena *arena, const struct losses *losses, uint32_t routes, uint32_t index)
{
    if (index < losses->objective_count)
        return objective_table[losses->objectives[index].kind].name;
    const struct state_pair *pair = &losses->states.pairs[index - losses->objective_count];
    if (pair->kind == STATE_KIND_embedding)
        return state_table[pair->kind].name;
    for (uint32_t i = 1; i < routes; i++)
        if (losses[i].states.pairs[index - losses->objective_count].teacher != pair->teacher)
            return arena_printf(arena, "%s.%" PRIu32, state_table[pair->kind].name, pair->student);
    return arena_printf(arena, "%s.%" PRIu32 "-%" PRIu32, state_table[pair->kind].name, pair->student,
                        pair->teacher);
}
