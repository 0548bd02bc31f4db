/* One builder an objective. */
#include "train/objective.h"
#include "ir/build.h"
#include "shaders/scalar/root.h"

/* rows: a node whose results are the losses [n] and the gradient of the logits [n, v], weighted already. */
static struct objective_result weighted(const struct objective_chunk *chunk, uint32_t losses)
{
    return (struct objective_result){
        .loss = build_binary(chunk->graph, OP_dot, losses, chunk->weights),
        .dlogits = build_result(chunk->graph, losses, 1),
    };
}

static struct objective_result emit_ce(const struct objective_chunk *chunk, const struct objective *objective)
{
    (void)objective;
    uint32_t inputs[] = {chunk->logits, chunk->labels, chunk->weights};
    return weighted(chunk, build_op(chunk->graph, OP_ce_rows, inputs, NULL));
}

static uint32_t cooled(const struct objective_chunk *chunk, uint32_t x, const struct objective *objective)
{
    if (objective->temperature == 0 || objective->temperature == 1)
        return x;
    struct build_attributes attributes = {.scale = gm_flush(gm_rcp(objective->temperature))};
    return build_op(chunk->graph, OP_scale, &x, &attributes);
}

static struct objective_result from_teacher(const struct objective_chunk *chunk,
                                            const struct objective *objective, enum op op)
{
    const struct build_attributes attributes = {.top = objective->top};
    uint32_t inputs[] = {cooled(chunk, chunk->logits, objective),
                         cooled(chunk, chunk->teachers[objective->teacher], objective), chunk->weights};
    struct objective_result result = weighted(chunk, build_op(chunk->graph, op, inputs, &attributes));
    result.dlogits = cooled(chunk, result.dlogits, objective);
    return result;
}

static struct objective_result emit_forward_kl(const struct objective_chunk *chunk,
                                               const struct objective *objective)
{
    return from_teacher(chunk, objective, objective->top > 0 ? OP_kl_top_rows : OP_kl_rows);
}

static struct objective_result emit_kept_kl(const struct objective_chunk *chunk,
                                            const struct objective *objective)
{
    uint32_t inputs[] = {cooled(chunk, chunk->logits, objective), chunk->kept.ids, chunk->kept.logs,
                         chunk->kept.rest, chunk->weights};
    struct objective_result result = weighted(chunk, build_op(chunk->graph, OP_kl_kept_rows, inputs, NULL));
    result.dlogits = cooled(chunk, result.dlogits, objective);
    return result;
}

static struct objective_result emit_reverse_kl(const struct objective_chunk *chunk,
                                               const struct objective *objective)
{
    return from_teacher(chunk, objective, OP_reverse_kl_rows);
}

static struct objective_result emit_jensen_shannon(const struct objective_chunk *chunk,
                                                   const struct objective *objective)
{
    return from_teacher(chunk, objective, OP_js_rows);
}

static struct objective_result emit_mse(const struct objective_chunk *chunk,
                                        const struct objective *objective)
{
    return from_teacher(chunk, objective, OP_mse_rows);
}

static struct objective_result emit_cosine(const struct objective_chunk *chunk,
                                           const struct objective *objective)
{
    return from_teacher(chunk, objective, OP_cosine_loss_rows);
}

const struct objective_info objective_table[OBJECTIVE_COUNT] = {
#define OBJECTIVE(name, needs, emit, summary) [OBJECTIVE_##name] = {#name, needs, emit, summary},
#include "train/objectives.def"
};

bool objective_from_name(struct str name, enum objective_kind *out)
{
    for (int kind = 0; kind < OBJECTIVE_COUNT; kind++) {
        struct str known = str_from(objective_table[kind].name);
        bool is_same = known.length == name.length;
        for (size_t i = 0; i < name.length && is_same; i++)
            is_same = known.data[i] == (name.data[i] == '-' ? '_' : name.data[i]);
        if (is_same) {
            *out = (enum objective_kind)kind;
            return true;
        }
    }
    return false;
}
