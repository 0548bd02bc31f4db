/* One builder an objective. */
#include "train/objective.h"
#include "ir/build.h"

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

static struct objective_result emit_forward_kl(const struct objective_chunk *chunk,
                                               const struct objective *objective)
{
    uint32_t inputs[] = {chunk->logits, chunk->teachers[objective->teacher], chunk->weights};
    return weighted(chunk, build_op(chunk->graph, OP_kl_rows, inputs, NULL));
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
