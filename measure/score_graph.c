/* The scoring graph: the model's nodes, each followed at once by what measures its results, so that an
 * activation is needed no longer than the model itself needs it; then the head in chunks of tokens, where a
 * loss is asked for, and the gradients of the sites. */
#include "ir/text.h"
#include "measure/scorer.h"
#include "passes/gradient.h"
#include <inttypes.h>

enum { CHUNK = 512 };

bool scorer_wants(const struct scorer *s, enum score_method method)
{
    for (uint32_t i = 0; i < s->options->variant_count; i++)
        if (s->options->variants[i].method == method)
            return true;
    return false;
}

bool scorer_wants_depth(const struct scorer *s, enum score_depth depth)
{
    for (uint32_t i = 0; i < s->options->depth_count; i++)
        if (s->options->depths[i] == depth)
            return true;
    return false;
}

bool scorer_wants_removals(const struct scorer *s)
{
    return scorer_wants_depth(s, DEPTH_PERPLEXITY) || scorer_wants_depth(s, DEPTH_LOGIT_ERROR);
}

static struct signal *add_signal(struct scorer *s, uint32_t value)
{
    struct signal *signal = VEC_PUSH(s->arena, &s->signals);
    *signal = (struct signal){.count = 1};
    signal->output = arena_printf(s->arena, "signal.%" PRIu32, s->signals.count - 1);
    build_output(s->graph, signal->output, value);
    return signal;
}

uint32_t scorer_add_number(struct scorer *s, uint32_t value)
{
    add_signal(s, value);
    return s->signals.count - 1;
}

uint32_t scorer_add_rows(struct scorer *s, uint32_t value, uint32_t count)
{
    struct signal *signal = add_signal(s, value);
    signal->count = count;
    signal->is_rows = true;
    tally_init(&signal->tally, s->arena, count);
    return s->signals.count - 1;
}

/* x [b, s, c] -> [b, c] */
static uint32_t build_statistic(struct graph *graph, enum statistic statistic, uint32_t x)
{
    if (statistic == STATISTIC_MEAN)
        return build_unary(graph, OP_mean_abs, x);
    if (statistic == STATISTIC_L2)
        return build_unary(graph, OP_sequence_norm, x);
    return build_result(graph, build_unary(graph, OP_sequence_moments, x), 1);
}

static bool wants_statistic(const struct scorer *s, enum statistic statistic)
{
    for (uint32_t i = 0; i < s->options->variant_count; i++)
        if (s->options->variants[i].method == SCORE_ACTIVATION &&
            s->options->variants[i].sequence == statistic)
            return true;
    return false;
}

static void measure_site(struct scorer *s, struct site *site)
{
    uint32_t x = s->copy.values[site->value], elements = x, count = site->channels;
    if (site->heads > 0 && s->options->heads == HEADS_NORM_FIRST) {
        elements = build_op(s->graph, OP_head_norms, &x, &(struct build_attributes){.heads = site->heads});
        count = site->heads;
    }
    for (enum statistic i = 0; i < STATISTIC_COUNT; i++)
        if (wants_statistic(s, i))
            site->statistics[i] = scorer_add_rows(s, build_statistic(s->graph, i, elements), count);
    if (scorer_wants(s, SCORE_FLAP) && site->reader != ID_NONE) {
        uint32_t mean = build_unary(s->graph, OP_sequence_moments, x);
        site->mean = scorer_add_rows(s, mean, site->channels);
        site->variance = scorer_add_rows(s, build_result(s->graph, mean, 1), site->channels);
    }
}

static void measure_energy(struct scorer *s, const struct node *norm)
{
    uint32_t x = build_unary(s->graph, OP_sequence_norm, s->copy.values[norm->inputs[0]]);
    *VEC_PUSH(s->arena, &s->energies) = scorer_add_rows(s, x, (uint32_t)s->classes.shape.hidden);
}

static enum status copy_model(struct scorer *s, struct trace *trace)
{
    const struct graph *model = s->model;
    for (uint32_t i = 0; i < model->tensors.count; i++)
        graph_copy_tensor(&s->copy, i);
    for (uint32_t n = 0; n < model->nodes.count; n++) {
        const struct node *node = &model->nodes.items[n];
        if (model_head_has(&s->head, model, n))
            continue;
        if (s->options->energy && scorer_measures_model(s) && scorer_is_stream_norm(s, node))
            measure_energy(s, node);
        TRY(graph_copy_node(&s->copy, node, trace));
        for (uint32_t i = 0; scorer_measures_model(s) && i < s->sites.count; i++)
            if (s->sites.items[i].value == node->results[0])
                measure_site(s, &s->sites.items[i]);
        scorer_add_cosines(s, node->results[0]);
    }
    return OK;
}

/* The gradient of the cross-entropy with respect to what the head reads: [b, s, d]. */
static uint32_t build_head_gradient(struct scorer *s, int64_t tokens)
{
    struct graph *g = s->graph;
    const struct node *head = &s->model->nodes.items[s->head.node];
    uint32_t hidden = s->copy.values[head->inputs[0]], weight = s->copy.values[head->inputs[1]];
    uint32_t kept[LOGIT_TAIL_MAX];
    uint32_t gradient = hidden; /* every row is replaced */
    for (int64_t start = 0; start < tokens; start += CHUNK) {
        struct build_attributes range = {.start = start,
                                         .rows = tokens - start < CHUNK ? tokens - start : CHUNK};
        uint32_t logits = scorer_chunk_logits(s, hidden, &range, kept);
        uint32_t inputs[3] = {logits, build_op(g, OP_items, &s->labels, &range),
                              build_op(g, OP_items, &s->weights, &range)};
        uint32_t loss = build_op(g, OP_ce_rows, inputs, NULL);
        uint32_t of_product = logit_tail_pull_back(&s->head.tail, g, kept, build_result(g, loss, 1), NULL);
        uint32_t placed[2] = {gradient, build_binary(g, OP_matmul_nn, of_product, weight)};
        gradient = build_op(g, OP_place_rows, placed, &range);
    }
    return gradient;
}

static enum status add_taylor(struct scorer *s, int64_t tokens, struct trace *trace)
{
    struct gradient_seed seed = {s->copy.values[s->model->nodes.items[s->head.node].inputs[0]],
                                 build_head_gradient(s, tokens)};
    uint32_t *values = ARENA_ARRAY(s->arena, uint32_t, 2 * (size_t)s->sites.count + 1);
    uint32_t *gradients = values + s->sites.count;
    for (uint32_t i = 0; i < s->sites.count; i++)
        values[i] = s->copy.values[s->sites.items[i].value];
    struct gradient_request request = {&seed, 1, values, s->sites.count};
    TRY(gradient_build(gradients, s->graph, &request, trace));
    for (uint32_t i = 0; i < s->sites.count; i++) {
        struct site *site = &s->sites.items[i];
        if (gradients[i] == ID_NONE)
            continue;
        uint32_t both[2] = {values[i], gradients[i]}, count = site->heads ? site->heads : site->channels;
        uint32_t product = site->heads ? build_op(s->graph, OP_attention_delta, both,
                                                  &(struct build_attributes){.heads = site->heads})
                                       : build_binary(s->graph, OP_mul, both[0], both[1]);
        site->taylor = scorer_add_rows(s, build_unary(s->graph, OP_mean_abs, product), count);
    }
    return OK;
}

static enum status find_head(struct scorer *s, struct trace *trace)
{
    struct trace none = {0};
    bool needed = scorer_wants_removals(s) || scorer_wants(s, SCORE_TAYLOR);
    enum status status = model_head_find(&s->head, s->model, needed ? trace : &none);
    return needed ? status : OK;
}

static enum status check_task(const struct scorer *s, struct trace *trace)
{
    bool needed = scorer_wants_depth(s, DEPTH_ACCURACY) || scorer_wants_depth(s, DEPTH_MARGIN);
    if (needed && !s->options->task)
        return status_fail(trace, INVALID, "depth: accuracy and margin are of a task, and there is none");
    if (scorer_wants_depth(s, DEPTH_MARGIN) && s->options->task->metrics == TASK_COMPLETION)
        return status_fail(trace, INVALID,
                           "depth: margin compares the right choice with others, but %s has none",
                           task_name(s->options->task->kind));
    return OK;
}

enum status scorer_prepare(struct scorer *s, struct trace *trace)
{
    TRY(check_task(s, trace));
    TRY(classes_find(&s->classes, s->arena, s->model, trace));
    if (scorer_wants(s, SCORE_FLAP) && s->options->neurons == NEURONS_BEFORE)
        return status_fail(trace, INVALID,
                           "flap scores what the closing projection reads, which is after the activation "
                           "function: neurons must be \"after\"");
    TRY(scorer_find_sites(s, trace));
    TRY(find_head(s, trace));
    return scorer_add_candidates(s, trace);
}

/* What no signal of a removal needs is not computed: the layers behind, where only its own loss is asked for.
 */
static void drop_unused(struct scorer *s)
{
    struct graph *lean = graph_canonicalise(s->graph);
    graph_destroy(s->graph);
    s->graph = lean;
}

enum status scorer_build(struct scorer *s, struct trace *trace)
{
    int64_t tokens = (int64_t)s->options->rows * s->options->length;
    bool takes_gradients = scorer_measures_model(s) && scorer_wants(s, SCORE_TAYLOR);
    s->graph = graph_create();
    s->copy = graph_copy_begin(s->graph, s->model);
    for (uint32_t i = 0; i < s->model->inputs.count; i++)
        graph_copy_input(&s->copy, i);
    const struct value ids = *graph_value(s->graph, graph_find_input(s->graph, "tokens"));
    s->ones = build_input(s->graph, "ones", DTYPE_F32, ids.rank, ids.axes);
    s->labels = s->weights = ID_NONE;
    if (scorer_wants_removals(s) || takes_gradients) {
        s->labels = build_input(s->graph, "labels", DTYPE_I32, ids.rank, ids.axes);
        s->weights = build_input(s->graph, "weights", DTYPE_F32, ids.rank, ids.axes);
    }
    TRY(copy_model(s, trace));
    if (scorer_wants_removals(s))
        TRY(scorer_add_removals(s, tokens, trace));
    if (takes_gradients)
        TRY(add_taylor(s, tokens, trace));
    if (!scorer_measures_model(s))
        drop_unused(s);
    return OK;
}
