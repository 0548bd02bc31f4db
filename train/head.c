/* Chunks ascending; what is summed over chunks is added in that order. */
#include "train/head.h"
#include "ir/build.h"
#include <assert.h>

struct chunk {
    int64_t start, count;
};

static uint32_t slice(struct graph *graph, enum op op, uint32_t x, struct chunk chunk)
{
    struct build_attributes attributes = {.start = chunk.start, .rows = chunk.count};
    return build_op(graph, op, &x, &attributes);
}

static uint32_t plus(struct graph *graph, uint32_t sum, uint32_t term)
{
    return sum == ID_NONE ? term : build_binary(graph, OP_add, sum, term);
}

/* The rows of a head's weight that stand for tokens of the common vocabulary. */
static uint32_t used_rows(const struct head_spec *spec, uint32_t weight)
{
    const struct dims *dims = &spec->graph->dims;
    int64_t size = dims_size(dims, graph_value(spec->graph, weight)->axes[0]);
    if (spec->vocabulary == 0 || spec->vocabulary == size)
        return weight;
    return slice(spec->graph, OP_rows, weight, (struct chunk){0, spec->vocabulary});
}

/* The gradient of a weight of which only the first rows were used. */
static uint32_t whole_gradient(const struct head_spec *spec, uint32_t part)
{
    uint32_t weight = spec->student.weight;
    if (used_rows(spec, weight) == weight)
        return part;
    struct build_attributes none = {.scale = 0}, first = {.start = 0};
    uint32_t placed[] = {build_op(spec->graph, OP_scale, &weight, &none), part};
    return build_op(spec->graph, OP_place_rows, placed, &first);
}

static bool is_teacher_used(const struct head_spec *spec, uint32_t teacher)
{
    for (uint32_t i = 0; i < spec->objective_count; i++)
        if (objective_table[spec->objectives[i].kind].needs & OBJECTIVE_NEEDS_TEACHER &&
            spec->objectives[i].teacher == teacher)
            return true;
    return false;
}

static uint32_t with_tail(const struct head_spec *spec, const struct head_side *side, uint32_t product,
                          uint32_t kept[LOGIT_TAIL_MAX])
{
    return side->tail ? logit_tail_apply(side->tail, spec->graph, product, kept) : product;
}

static uint32_t chunk_logits(const struct head_spec *spec, const struct head_side *side, struct chunk chunk)
{
    uint32_t rows = slice(spec->graph, OP_rows, side->hidden, chunk), kept[LOGIT_TAIL_MAX];
    uint32_t product = build_binary(spec->graph, OP_matmul_nt, rows, used_rows(spec, side->weight));
    return with_tail(spec, side, product, kept);
}

/* The gradient of the chunk's logits; losses are added to result->losses. */
static uint32_t chunk_objectives(const struct head_spec *spec, struct head_result *result, uint32_t logits,
                                 struct chunk chunk)
{
    uint32_t teachers[HEAD_MAX_TEACHERS], dlogits = ID_NONE;
    for (uint32_t i = 0; i < spec->teacher_count; i++)
        teachers[i] = is_teacher_used(spec, i) ? chunk_logits(spec, &spec->teachers[i], chunk) : ID_NONE;
    struct objective_chunk inputs = {
        .graph = spec->graph,
        .logits = logits,
        .teachers = teachers,
        .labels = slice(spec->graph, OP_items, spec->labels, chunk),
        .weights = slice(spec->graph, OP_items, spec->weights, chunk),
        .kept = {ID_NONE, ID_NONE, ID_NONE},
    };
    if (spec->kept.ids != ID_NONE)
        inputs.kept = (struct objective_kept){slice(spec->graph, OP_rows, spec->kept.ids, chunk),
                                              slice(spec->graph, OP_rows, spec->kept.logs, chunk),
                                              slice(spec->graph, OP_items, spec->kept.rest, chunk)};
    for (uint32_t i = 0; i < spec->objective_count; i++) {
        const struct objective *objective = &spec->objectives[i];
        struct objective_result part = objective_table[objective->kind].emit(&inputs, objective);
        result->losses[i] = plus(spec->graph, result->losses[i], part.loss);
        struct build_attributes attributes = {.scale = objective->weight};
        if (objective->weight != 1)
            part.dlogits = build_op(spec->graph, OP_scale, &part.dlogits, &attributes);
        dlogits = plus(spec->graph, dlogits, part.dlogits);
    }
    return dlogits;
}

struct head_result head_build(const struct head_spec *spec)
{
    assert(spec->objective_count >= 1 && spec->objective_count <= HEAD_MAX_OBJECTIVES);
    assert(spec->teacher_count <= HEAD_MAX_TEACHERS && spec->chunk % HEAD_CHUNK == 0);
    struct graph *graph = spec->graph;
    int64_t size = spec->chunk ? spec->chunk : HEAD_CHUNK;
    /* Every row of the hidden states is replaced by its gradient; what they are before does not matter. */
    struct head_result result = {.dhidden = spec->student.hidden, .dweight = ID_NONE, .dbias = ID_NONE};
    for (uint32_t i = 0; i < HEAD_MAX_OBJECTIVES; i++)
        result.losses[i] = ID_NONE;
    for (int64_t start = 0; start < spec->tokens; start += size) {
        struct chunk chunk = {start, spec->tokens - start < size ? spec->tokens - start : size};
        uint32_t hidden = slice(graph, OP_rows, spec->student.hidden, chunk);
        uint32_t weight = used_rows(spec, spec->student.weight);
        uint32_t product = build_binary(graph, OP_matmul_nt, hidden, weight), kept[LOGIT_TAIL_MAX];
        uint32_t logits = with_tail(spec, &spec->student, product, kept);
        uint32_t dlogits = chunk_objectives(spec, &result, logits, chunk);
        uint32_t dbias = ID_NONE;
        if (spec->student.tail)
            dlogits = logit_tail_pull_back(spec->student.tail, graph, kept, dlogits, &dbias);
        result.dbias = dbias == ID_NONE ? result.dbias : plus(graph, result.dbias, dbias);
        uint32_t placed[] = {result.dhidden, build_binary(graph, OP_matmul_nn, dlogits, weight)};
        struct build_attributes attributes = {.start = start};
        result.dhidden = build_op(graph, OP_place_rows, placed, &attributes);
        result.dweight = plus(graph, result.dweight, build_binary(graph, OP_matmul_tn, dlogits, hidden));
    }
    result.dweight = whole_gradient(spec, result.dweight);
    return result;
}
