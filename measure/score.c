/* Scoring: the model's graph with the signals as further outputs, run over sequences of the calibration text.
 * What leaves the device is small: a number per head, neuron or channel and micro-batch. Sums over
 * micro-batches are made on the host in double, in order. */
#include "measure/score.h"
#include "base/log.h"
#include "data/batch.h"
#include "ir/build.h"
#include "measure/session.h"
#include "passes/classes.h"
#include "shaders/scalar/scalar.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum signal_kind {
    SIGNAL_SQUARES, /* sum over sequences of the squared mean over positions; the score is its root */
    SIGNAL_COSINE,  /* sum over positions of cos(before, after); the score is 1 - mean */
};

/* One output of the scoring graph. Several signals may feed one score (norm outputs of all layers feed
 * `hidden`). */
struct signal {
    const char *score;
    uint32_t element; /* of the score, for a signal of one number (layers) */
    enum signal_kind kind;
    const char *output;
    uint32_t count;
    double *sums; /* [count] */
};

struct scorer {
    struct arena *arena;
    struct classes classes;
    struct graph *graph;
    struct graph_copy copy;
    uint32_t ones; /* input [b, s] */
    VEC(struct signal) signals;
    struct session session;
    struct batcher batcher;
    struct batch batch;
    double *tokens; /* [vocab]: occurrences */
    uint64_t positions;
};

static void add_signal(struct scorer *s, const char *score, uint32_t element, enum signal_kind kind,
                       uint32_t value, uint32_t count)
{
    struct signal *signal = VEC_PUSH(s->arena, &s->signals);
    *signal = (struct signal){.score = score, .element = element, .kind = kind, .count = count};
    signal->output = arena_printf(s->arena, "signal.%" PRIu32, s->signals.count - 1);
    signal->sums = ARENA_ARRAY(s->arena, double, count);
    build_output(s->graph, signal->output, value);
}

/* value [b, s, c] -> mean |x| over s -> sum of squares over b -> [c] */
static void add_activation(struct scorer *s, const char *score, uint32_t value)
{
    const struct value v = *graph_value(s->graph, value);
    int64_t count = dims_size(&s->graph->dims, v.axes[v.rank - 1]);
    uint32_t squares = build_unary(s->graph, OP_column_squares, build_unary(s->graph, OP_mean_abs, value));
    add_signal(s, score, 0, SIGNAL_SQUARES, squares, (uint32_t)count);
}

static void add_heads(struct scorer *s, const char *score, const struct node *attention)
{
    int64_t heads = node_integer(attention, ATTRIBUTE_heads);
    uint32_t output = s->copy.values[attention->results[0]];
    add_activation(s, score,
                   build_op(s->graph, OP_head_norms, &output, &(struct build_attributes){.heads = heads}));
}

static uint32_t last_axis(const struct graph *graph, uint32_t value)
{
    const struct value *v = graph_value(graph, value);
    return dims_find(&graph->dims, v->axes[v->rank - 1]);
}

static const char *name_of(struct scorer *s, uint32_t layer, const char *role)
{
    return arena_printf(s->arena, "layers.%" PRIu32 ".%s", layer, role);
}

/* The neurons of an MLP are what its closing projection reads: the product over them that leads back to the
 * stream. */
static void add_neurons(struct scorer *s, const struct graph *model, const struct branch *branch)
{
    const struct prunable *neurons = classes_get_layer(&s->classes, branch->layer, "ffn");
    for (uint32_t i = branch->node_count; neurons && i-- > 0;) {
        const struct node *node = &model->nodes.items[branch->nodes[i]];
        if ((node->op != OP_matmul_nt && node->op != OP_matmul_nn) ||
            last_axis(model, node->inputs[0]) != neurons->leaf ||
            last_axis(model, node->results[0]) != s->classes.structure.hidden)
            continue;
        add_activation(s, neurons->name, s->copy.values[node->inputs[0]]);
        return;
    }
}

/* A norm's result as the branch reads it: with its bias, if there is one. */
static uint32_t norm_output(const struct graph *model, const struct branch *branch, uint32_t norm)
{
    for (uint32_t i = 0; i < branch->node_count; i++) {
        const struct node *node = &model->nodes.items[branch->nodes[i]];
        if (node->op == OP_add && node->inputs[0] == norm && graph_value(model, node->inputs[1])->rank == 1)
            return node->results[0];
    }
    return norm;
}

static void add_branch(struct scorer *s, const struct graph *model, const struct branch *branch)
{
    for (uint32_t i = 0; i < branch->node_count; i++) {
        const struct node *node = &model->nodes.items[branch->nodes[i]];
        bool is_norm = node->op == OP_rmsnorm || node->op == OP_layernorm;
        if (is_norm && last_axis(model, node->results[0]) == s->classes.structure.hidden)
            add_activation(s, "hidden", s->copy.values[norm_output(model, branch, node->results[0])]);
    }
    if (branch->attention != ID_NONE)
        add_heads(s, name_of(s, branch->layer, "heads"), &model->nodes.items[branch->attention]);
    add_neurons(s, model, branch);
}

/* Block importance: the stream before the layer's first branch against the stream after its last. */
static void add_layer(struct scorer *s, const struct structure *structure, uint32_t number)
{
    const struct layer *layer = &structure->layers[number];
    uint32_t a = layer->attention, m = layer->mlp;
    uint32_t first = a == ID_NONE ? m : m == ID_NONE ? a : a < m ? a : m;
    uint32_t last = a == ID_NONE ? m : m == ID_NONE ? a : a < m ? m : a;
    uint32_t cosine =
        build_binary(s->graph, OP_cosine_rows, s->copy.values[structure->branches[first].before],
                     s->copy.values[structure->branches[last].after]);
    add_signal(s, "layers", number, SIGNAL_COSINE, build_binary(s->graph, OP_dot, cosine, s->ones), 1);
}

static enum status build_graph(struct scorer *s, const struct graph *model, struct trace *trace)
{
    TRY(classes_find(&s->classes, s->arena, model, trace));
    s->graph = graph_create();
    s->copy = graph_copy_begin(s->graph, model);
    TRY(graph_copy_all(&s->copy, trace));
    const struct value ids = *graph_value(s->graph, graph_find_input(s->graph, "tokens"));
    s->ones = build_input(s->graph, "ones", DTYPE_F32, ids.rank, ids.axes);
    const struct structure *structure = &s->classes.structure;
    for (uint32_t i = 0; i < structure->branch_count; i++)
        add_branch(s, model, &structure->branches[i]);
    for (uint32_t i = 0; i < structure->layer_count; i++)
        add_layer(s, structure, i);
    return OK;
}

/* ---- running ---- */

static enum status one_batch(struct scorer *s, uint64_t step, struct trace *trace)
{
    batcher_fill(&s->batcher, step, 0, &s->batch);
    int64_t tokens = (int64_t)s->batch.rows * s->batch.length;
    for (int64_t i = 0; i < tokens; i++)
        s->tokens[s->batch.ids[i]] += 1;
    s->positions += (uint64_t)tokens;
    TRY(session_write(&s->session, "tokens", s->batch.ids, trace));
    TRY(session_run(&s->session, trace));
    for (uint32_t i = 0; i < s->signals.count; i++) {
        struct signal *signal = &s->signals.items[i];
        float *values = malloc(signal->count * sizeof *values);
        if (!values)
            BUG("out of memory");
        enum status status = session_read(&s->session, signal->output, values, trace);
        for (uint32_t v = 0; status == OK && v < signal->count; v++)
            signal->sums[v] += (double)values[v];
        free(values);
        TRY(status);
    }
    return OK;
}

static enum status write_ones(struct scorer *s, struct trace *trace)
{
    size_t count = (size_t)s->batch.rows * s->batch.length;
    float *ones = malloc(count * sizeof *ones);
    if (!ones)
        BUG("out of memory");
    for (size_t i = 0; i < count; i++)
        ones[i] = 1;
    enum status status = session_write(&s->session, "ones", ones, trace);
    free(ones);
    return status;
}

static enum status run_all(struct scorer *s, const struct score_options *options, struct trace *trace)
{
    struct progress progress;
    uint64_t steps = options->samples / options->rows;
    TRY(write_ones(s, trace));
    if (options->label)
        progress_start(&progress, options->label, "sequences", 0, options->samples);
    enum status status = OK;
    for (uint64_t i = 0; i < steps && status == OK; i++) {
        if (options->stop && *options->stop)
            status = status_fail(trace, INTERRUPTED, "interrupted while scoring");
        else
            status = one_batch(s, i, trace);
        if (options->label)
            progress_update(&progress, (i + 1) * options->rows, NULL);
    }
    if (options->label)
        progress_finish(&progress);
    return status;
}

static enum status prepare(struct scorer *s, struct executor *executor, const struct graph *model,
                           const struct corpus *corpus, const struct score_options *options,
                           struct trace *trace)
{
    if (options->samples % options->rows != 0)
        return status_fail(trace, INVALID,
                           "samples: %" PRIu32 " is not a multiple of the %" PRIu32
                           " sequences that run at a time (micro)",
                           options->samples, options->rows);
    struct batch_options batches = {.partition = options->partition,
                                    .order = BATCH_SHUFFLED,
                                    .length = options->length,
                                    .rows = options->rows,
                                    .micros = 1,
                                    .seed = options->seed};
    TRY(batcher_open(&s->batcher, corpus, &batches, trace));
    batch_init(&s->batch, options->rows, options->length);
    TRY(build_graph(s, model, trace));
    s->tokens = ARENA_ARRAY(s->arena, double, (size_t)s->classes.shape.vocab);
    struct dim_binding dims[2];
    uint32_t count = session_dims(dims, s->graph, options->rows, options->length);
    return session_create(&s->session, executor, s->graph, dims, count, SESSION_UPLOAD, trace);
}

/* ---- scores ---- */

/* Sums the contributions of all signals of one score. */
static void add_score(struct scores *out, struct scorer *s, const char *name, uint32_t count)
{
    float *values = ARENA_ARRAY(s->arena, float, count);
    for (uint32_t i = 0; i < s->signals.count; i++) {
        const struct signal *signal = &s->signals.items[i];
        if (strcmp(signal->score, name) != 0)
            continue;
        for (uint32_t v = 0; v < signal->count; v++) {
            float value = signal->kind == SIGNAL_SQUARES
                              ? gm_sqrt((float)signal->sums[v])
                              : (float)(1.0 - signal->sums[v] / (double)s->positions);
            values[signal->element + v] += value;
        }
    }
    scores_add(out, s->arena, name, values, count);
}

static void add_scores(struct scores *out, struct scorer *s, uint32_t vocabulary)
{
    uint32_t layers = s->classes.structure.layer_count;
    for (uint32_t i = 0; i < s->signals.count; i++) {
        const struct signal *signal = &s->signals.items[i];
        if (!scores_get(out, signal->score))
            add_score(out, s, signal->score, signal->kind == SIGNAL_COSINE ? layers : signal->count);
    }
    float *counts = ARENA_ARRAY(s->arena, float, vocabulary);
    for (uint32_t i = 0; i < vocabulary; i++)
        counts[i] = (float)s->tokens[i];
    scores_add(out, s->arena, "vocab", counts, vocabulary);
}

enum status measure_score(struct scores *out, struct arena *arena, struct executor *executor,
                          const struct graph *model, const struct corpus *corpus,
                          const struct score_options *options, struct trace *trace)
{
    struct scorer s = {.arena = arena};
    enum status status = prepare(&s, executor, model, corpus, options, trace);
    if (status == OK)
        status = run_all(&s, options, trace);
    if (status == OK)
        add_scores(out, &s, (uint32_t)s.classes.shape.vocab);
    session_release(&s.session);
    graph_destroy(s.graph);
    batch_release(&s.batch);
    batcher_release(&s.batcher);
    return status;
}
