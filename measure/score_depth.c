/* Depth: layers, and runs of layers, by how little the stream turns on the way through them, and by what the
 * model loses without them. A removal shares everything before the run with the whole model: its nodes are
 * copied from there on only. */
#include "ir/text.h"
#include "measure/scorer.h"
#include <inttypes.h>
#include <string.h>

enum { CHUNK = 512 };

const char *const score_depth_names[DEPTH_COUNT] = {"block-importance", "perplexity", "logit-error",
                                                    "accuracy", "margin"};

static void add_candidates_of(struct scorer *s, uint32_t count)
{
    uint32_t layers = s->classes.structure.layer_count;
    for (uint32_t first = 0; first + count <= layers; first++)
        *VEC_PUSH(s->arena, &s->candidates) = (struct candidate){
            .first = first, .count = count, .cosine = ID_NONE, .loss = ID_NONE, .error = ID_NONE};
}

enum status scorer_add_candidates(struct scorer *s, struct trace *trace)
{
    uint32_t layers = s->classes.structure.layer_count;
    add_candidates_of(s, 1);
    for (uint32_t i = 0; i < s->options->block_count; i++) {
        uint32_t length = s->options->blocks[i];
        if (length > layers)
            return status_fail(trace, INVALID,
                               "blocks: runs of %" PRIu32 " layers were asked for, the model has %" PRIu32,
                               length, layers);
        for (uint32_t k = 0; k < i; k++)
            if (s->options->blocks[k] == length)
                return status_fail(trace, INVALID, "blocks: %" PRIu32 " is listed twice", length);
        if (length > 1)
            add_candidates_of(s, length);
    }
    return OK;
}

/* The branches of a layer, first and last. */
static uint32_t first_branch(const struct structure *structure, uint32_t layer)
{
    uint32_t a = structure->layers[layer].attention, m = structure->layers[layer].mlp;
    return a == ID_NONE ? m : m == ID_NONE ? a : a < m ? a : m;
}

static uint32_t last_branch(const struct structure *structure, uint32_t layer)
{
    uint32_t a = structure->layers[layer].attention, m = structure->layers[layer].mlp;
    return a == ID_NONE ? m : m == ID_NONE ? a : a < m ? m : a;
}

static uint32_t stream_before(const struct scorer *s, const struct candidate *c)
{
    const struct structure *structure = &s->classes.structure;
    return structure->branches[first_branch(structure, c->first)].before;
}

static uint32_t stream_after(const struct scorer *s, const struct candidate *c)
{
    const struct structure *structure = &s->classes.structure;
    return structure->branches[last_branch(structure, c->first + c->count - 1)].after;
}

/* Block importance: the stream before the run's first branch against the stream after its last. */
void scorer_add_cosines(struct scorer *s, uint32_t value)
{
    if (!scorer_wants_depth(s, DEPTH_BLOCK_IMPORTANCE))
        return;
    for (uint32_t i = 0; i < s->candidates.count; i++) {
        struct candidate *c = &s->candidates.items[i];
        bool is_here = s->sweep == SWEEP_ALL || (c->count > 1 ? s->sweep == i : s->sweep == SWEEP_REST);
        if (!is_here || stream_after(s, c) != value)
            continue;
        uint32_t cosine = build_binary(s->graph, OP_cosine_rows, s->copy.values[stream_before(s, c)],
                                       s->copy.values[value]);
        c->cosine = scorer_add_number(s, build_binary(s->graph, OP_dot, cosine, s->ones));
    }
}

/* What the head reads when the stream goes round the candidate. */
static enum status build_without(struct scorer *s, struct candidate *c, struct trace *trace)
{
    const struct graph *model = s->model;
    struct arena scratch = {0};
    struct graph_copy copy = s->copy;
    bool *changed = ARENA_ARRAY(&scratch, bool, model->values.count);
    copy.values = ARENA_ARRAY(&scratch, uint32_t, model->values.count);
    memcpy(copy.values, s->copy.values, model->values.count * sizeof *copy.values);
    uint32_t before = stream_before(s, c), after = stream_after(s, c);
    copy.values[after] = copy.values[before];
    changed[after] = true;
    enum status status = OK;
    for (uint32_t n = 0; n < model->nodes.count && status == OK; n++) {
        const struct node *node = &model->nodes.items[n];
        bool depends = false;
        for (uint32_t i = 0; i < node->input_count; i++)
            depends = depends || changed[node->inputs[i]];
        if (!depends || model_head_has(&s->head, model, n))
            continue;
        status = graph_copy_node(&copy, node, trace);
        for (uint32_t i = 0; i < node->result_count; i++)
            changed[node->results[i]] = true;
    }
    c->hidden = copy.values[model->nodes.items[s->head.node].inputs[0]];
    arena_release(&scratch);
    return status;
}

enum status scorer_model_without(struct graph **out, const struct scorer *s, const struct candidate *c,
                                 struct trace *trace)
{
    const struct graph *model = s->model;
    struct graph *to = graph_create();
    struct graph_copy copy = graph_copy_begin(to, model);
    uint32_t before = stream_before(s, c), after = stream_after(s, c);
    enum status status = OK;
    for (uint32_t i = 0; i < model->inputs.count; i++)
        graph_copy_input(&copy, i);
    for (uint32_t i = 0; i < model->tensors.count; i++)
        graph_copy_tensor(&copy, i);
    for (uint32_t n = 0; n < model->nodes.count && status == OK; n++) {
        status = graph_copy_node(&copy, &model->nodes.items[n], trace);
        if (copy.values[after] != ID_NONE)
            copy.values[after] = copy.values[before];
    }
    if (status == OK) {
        build_output(to, "logits", copy.values[graph_find_output(model, "logits")]);
        *out = graph_canonicalise(to); /* drops the layers, which nothing reads any more */
    }
    graph_destroy(to);
    return status;
}

static uint32_t plus(struct graph *graph, uint32_t sum, uint32_t term)
{
    return sum == ID_NONE ? term : build_binary(graph, OP_add, sum, term);
}

uint32_t scorer_chunk_logits(struct scorer *s, uint32_t hidden, const struct build_attributes *range,
                             uint32_t kept[LOGIT_TAIL_MAX])
{
    uint32_t weight = s->copy.values[s->model->nodes.items[s->head.node].inputs[1]];
    uint32_t product =
        build_binary(s->graph, OP_matmul_nt, build_op(s->graph, OP_rows, &hidden, range), weight);
    struct logit_tail tail = s->head.tail;
    logit_tail_move(&tail, s->copy.values);
    return logit_tail_apply(&tail, s->graph, product, kept);
}

static uint32_t chunk_loss(struct scorer *s, uint32_t logits, const struct build_attributes *range)
{
    uint32_t weights = build_op(s->graph, OP_items, &s->weights, range);
    uint32_t inputs[3] = {logits, build_op(s->graph, OP_items, &s->labels, range), weights};
    return build_binary(s->graph, OP_dot, build_op(s->graph, OP_ce_rows, inputs, NULL), weights);
}

static uint32_t squares_of(struct scorer *s, uint32_t x)
{
    return build_unary(s->graph, OP_sum, build_unary(s->graph, OP_block_squares, x));
}

/* sum (M - M')^2 */
static uint32_t chunk_error(struct scorer *s, uint32_t full, uint32_t without)
{
    uint32_t negative = build_op(s->graph, OP_scale, &without, &(struct build_attributes){.scale = -1});
    return squares_of(s, build_binary(s->graph, OP_add, full, negative));
}

struct totals {
    uint32_t loss, error; /* values [1] */
};

static bool is_removed_here(const struct scorer *s, uint32_t candidate)
{
    return s->sweep == SWEEP_ALL || s->sweep == candidate;
}

static void add_chunk(struct scorer *s, struct totals *full, struct totals *without,
                      const struct build_attributes *range)
{
    struct graph *g = s->graph;
    uint32_t hidden = s->copy.values[s->model->nodes.items[s->head.node].inputs[0]], kept[LOGIT_TAIL_MAX];
    uint32_t logits = scorer_chunk_logits(s, hidden, range, kept);
    if (scorer_wants_depth(s, DEPTH_PERPLEXITY))
        full->loss = plus(g, full->loss, chunk_loss(s, logits, range));
    if (scorer_wants_depth(s, DEPTH_LOGIT_ERROR))
        full->error = plus(g, full->error, squares_of(s, logits));
    for (uint32_t i = 0; i < s->candidates.count; i++) {
        if (!is_removed_here(s, i))
            continue;
        uint32_t other = scorer_chunk_logits(s, s->candidates.items[i].hidden, range, kept);
        if (scorer_wants_depth(s, DEPTH_PERPLEXITY))
            without[i].loss = plus(g, without[i].loss, chunk_loss(s, other, range));
        if (scorer_wants_depth(s, DEPTH_LOGIT_ERROR))
            without[i].error = plus(g, without[i].error, chunk_error(s, logits, other));
    }
}

enum status scorer_add_removals(struct scorer *s, int64_t tokens, struct trace *trace)
{
    struct totals full = {ID_NONE, ID_NONE};
    struct totals *without = ARENA_ARRAY(s->arena, struct totals, s->candidates.count + 1);
    for (uint32_t i = 0; i < s->candidates.count; i++) {
        without[i] = full;
        if (is_removed_here(s, i))
            TRY(build_without(s, &s->candidates.items[i], trace));
    }
    for (int64_t start = 0; start < tokens; start += CHUNK) {
        struct build_attributes range = {.start = start,
                                         .rows = tokens - start < CHUNK ? tokens - start : CHUNK};
        add_chunk(s, &full, without, &range);
    }
    if (scorer_measures_model(s)) {
        s->full_loss = full.loss == ID_NONE ? ID_NONE : scorer_add_number(s, full.loss);
        s->full_squares = full.error == ID_NONE ? ID_NONE : scorer_add_number(s, full.error);
    }
    for (uint32_t i = 0; i < s->candidates.count; i++) {
        struct candidate *c = &s->candidates.items[i];
        if (!is_removed_here(s, i))
            continue;
        c->loss = without[i].loss == ID_NONE ? ID_NONE : scorer_add_number(s, without[i].loss);
        c->error = without[i].error == ID_NONE ? ID_NONE : scorer_add_number(s, without[i].error);
    }
    return OK;
}

/* ---- values ---- */

static double sum_of(const struct scorer *s, uint32_t signal)
{
    return s->signals.items[signal].sum;
}

static float importance(const struct scorer *s, const struct candidate *c, enum score_depth depth)
{
    if (depth == DEPTH_BLOCK_IMPORTANCE)
        return (float)(1.0 - sum_of(s, c->cosine) / (double)s->positions);
    if (depth == DEPTH_PERPLEXITY)
        return (float)((sum_of(s, c->loss) - sum_of(s, s->full_loss)) / (double)s->labelled);
    if (depth == DEPTH_ACCURACY)
        return (float)(s->full_answers.accuracy - c->answers.accuracy);
    if (depth == DEPTH_MARGIN)
        return (float)(s->full_answers.margin - c->answers.margin);
    double squares = sum_of(s, s->full_squares);
    return squares > 0 ? (float)(sum_of(s, c->error) / squares) : 0;
}

static void add_scores_of(struct scores *out, const struct scorer *s, const char *name, uint32_t count,
                          enum score_depth depth)
{
    float *values = ARENA_ARRAY(s->arena, float, s->candidates.count + 1);
    uint32_t written = 0;
    for (uint32_t i = 0; i < s->candidates.count; i++)
        if (s->candidates.items[i].count == count)
            values[written++] = importance(s, &s->candidates.items[i], depth);
    scores_add(out, s->arena, name, values, written);
}

static void add_all_depths(struct scores *out, const struct scorer *s, const char *name, uint32_t count)
{
    const struct score_options *o = s->options;
    add_scores_of(out, s, name, count, o->depths[0]);
    for (uint32_t i = 0; i < o->depth_count && o->depth_count > 1; i++)
        add_scores_of(out, s, arena_printf(s->arena, "%s@%s", name, score_depth_names[o->depths[i]]), count,
                      o->depths[i]);
}

void scorer_depth_scores(struct scores *out, const struct scorer *s)
{
    add_all_depths(out, s, "layers", 1);
    for (uint32_t i = 0; i < s->options->block_count; i++)
        if (s->options->blocks[i] > 1)
            add_all_depths(out, s, arena_printf(s->arena, "blocks.%" PRIu32, s->options->blocks[i]),
                           s->options->blocks[i]);
}
