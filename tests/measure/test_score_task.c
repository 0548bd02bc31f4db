/* Depth by a task against softmax in double over the plain logits of models from which a pass took the
 * layers; removals one by one: the same bytes, in memory that does not grow with the number of layers; and
 * heads whose logits get a bias, are scaled or capped. */
#include "ir/memory_plan.h"
#include "measure/scorer.h"
#include "passes/remove_branches.h"
#include "tests/measure/fixture.h"
#include <math.h>

enum { DEEP = 4, SAMPLES = 6, ROWS = 3, LENGTH = 40, MOST_CHOICES = 16, MOST_BYTES = 256 };

static const char items[] =
    "{\"goal\": \"line 12 holds\", \"sol1\": \"47 and\", \"sol2\": \"no more\", \"label\": 0}\n"
    "{\"goal\": \"a much longer goal, so that this item is of another length than the first one is\", "
    "\"sol1\": \"yes\", \"sol2\": \"a solution that goes on for a while, then stops\", \"label\": 1}\n"
    "{\"goal\": \"x\", \"sol1\": \"y\", \"sol2\": \"zz\", \"label\": 1}\n"
    "{\"goal\": \"holds\", \"sol1\": \"line\", \"sol2\": \"97\", \"label\": 0}\n";

/* The fixture with a model of so many layers. */
static void create(struct fixture *f, uint32_t layers)
{
    fixture_create(f);
    graph_destroy(f->model);
    f->model = fixture_model(&f->arena, layers, VOCAB, 6);
}

/* Bytes are tokens. */
static double log_likelihood(struct fixture *f, const struct graph *model, const struct task_choice *c)
{
    struct trace trace = {0};
    struct session session;
    int32_t ids[MOST_BYTES];
    static float logits[MOST_BYTES * VOCAB];
    size_t context = c->context.length, count = context + c->continuation.length;
    assert_in_range(count, 2, MOST_BYTES);
    for (size_t i = 0; i < count; i++)
        ids[i] = (unsigned char)(i < context ? c->context.data[i] : c->continuation.data[i - context]);
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, model, 1, (int64_t)count);
    assert_ok(session_create(&session, f->executor, model, dims, dim_count, SESSION_UPLOAD, &trace), &trace);
    assert_ok(session_write(&session, "tokens", ids, &trace), &trace);
    assert_ok(session_run(&session, &trace), &trace);
    assert_ok(session_read(&session, "logits", logits, &trace), &trace);
    double sum = 0;
    for (size_t i = context; i < count; i++) {
        const float *row = logits + (i - 1) * VOCAB;
        double total = 0;
        for (int v = 0; v < VOCAB; v++)
            total += exp((double)row[v]);
        sum += (double)row[ids[i]] - log(total);
    }
    session_release(&session);
    return sum;
}

/* Of two choices an item. */
static struct score_answers answer(struct fixture *f, const struct graph *model, const struct task *task)
{
    struct score_answers out = {0};
    for (uint32_t i = 0; i < task->items.count; i++) {
        const struct task_item *item = &task->items.items[i];
        double of[2];
        for (int c = 0; c < 2; c++)
            of[c] = log_likelihood(f, model, &task->choices.items[item->first + (uint32_t)c]);
        double margin = of[item->gold] - of[1 - item->gold];
        out.accuracy += (margin > 0) / (double)task->items.count;
        out.margin += margin / (double)task->items.count;
    }
    return out;
}

/* The model without layers first .. first + count - 1. */
static struct score_answers answer_without(struct fixture *f, const struct task *task, uint32_t first,
                                           uint32_t count)
{
    struct trace trace = {0};
    struct structure structure;
    struct graph *without;
    uint32_t layers[DEEP];
    for (uint32_t i = 0; i < count; i++)
        layers[i] = first + i;
    assert_ok(structure_find(&structure, &f->arena, f->model, &trace), &trace);
    assert_ok(remove_layers(&without, f->model, &structure, layers, count, &trace), &trace);
    struct score_answers out = answer(f, without, task);
    graph_destroy(without);
    return out;
}

static void assert_near(float is, double should)
{
    if (!(fabs((double)is - should) <= 2e-5 * fabs(should) + 2e-6))
        fail_msg("%.9g, expected %.9g", (double)is, should);
}

static void compare(struct fixture *f, const struct scores *scores, const struct task *task, const char *name,
                    uint32_t count)
{
    char accuracy[64], margin[64];
    snprintf(accuracy, sizeof accuracy, "%s@accuracy", name);
    snprintf(margin, sizeof margin, "%s@margin", name);
    struct score_answers full = answer(f, f->model, task);
    assert_int_equal(scores_get(scores, accuracy)->count, DEEP - count + 1);
    for (uint32_t first = 0; first + count <= DEEP; first++) {
        struct score_answers without = answer_without(f, task, first, count);
        assert_near(scores_get(scores, accuracy)->values[first], full.accuracy - without.accuracy);
        assert_near(scores_get(scores, margin)->values[first], full.margin - without.margin);
    }
}

static void layers_and_runs_are_scored_by_a_task(void **state)
{
    (void)state;
    static const enum score_depth depths[] = {DEPTH_MARGIN, DEPTH_ACCURACY};
    static const uint32_t blocks[] = {2, 3};
    struct fixture f;
    struct trace trace = {0};
    struct scores scores = {0};
    create(&f, DEEP);
    struct task task = fixture_open_task(&f, TASK_piqa, items);
    struct score_options options = {.samples = 3,
                                    .length = LENGTH,
                                    .rows = 3,
                                    .depths = depths,
                                    .depth_count = 2,
                                    .blocks = blocks,
                                    .block_count = 2,
                                    .task = &task,
                                    .tokenizer = f.tokenizer};
    assert_ok(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    compare(&f, &scores, &task, "layers", 1);
    compare(&f, &scores, &task, "blocks.2", 2);
    compare(&f, &scores, &task, "blocks.3", 3);
    const struct score *first = scores_get(&scores, "layers"), *margin = scores_get(&scores, "layers@margin");
    assert_memory_equal(first->values, margin->values, DEEP * sizeof *first->values);
    task_release(&task);
    fixture_release(&f);
}

static void a_task_without_choices_has_no_margin(void **state)
{
    (void)state;
    static const enum score_depth margin = DEPTH_MARGIN, accuracy = DEPTH_ACCURACY;
    struct fixture f;
    struct trace trace = {0};
    struct scores scores = {0};
    fixture_create(&f);
    struct task task = fixture_open_task(&f, TASK_lambada, "{\"text\": \"line 4 holds\"}\n");
    struct score_options options = {
        .samples = 3, .length = LENGTH, .rows = 3, .depths = &margin, .depth_count = 1};
    assert_fails(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), INVALID,
                 &trace, "there is none");
    options.task = &task;
    options.tokenizer = f.tokenizer;
    trace = (struct trace){0};
    assert_fails(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), INVALID,
                 &trace, "lambada has none");
    options.depths = &accuracy;
    trace = (struct trace){0};
    assert_ok(measure_score(&scores, &f.arena, f.executor, f.model, &f.corpus, &options, &trace), &trace);
    assert_int_equal(scores_get(&scores, "layers")->count, LAYERS);
    task_release(&task);
    fixture_release(&f);
}

/* ---- one by one ---- */

static const enum score_depth all_depths[] = {DEPTH_PERPLEXITY, DEPTH_BLOCK_IMPORTANCE, DEPTH_LOGIT_ERROR};
static const uint32_t all_blocks[] = {2, 4};
static const struct score_variant all_variants[] = {
    {SCORE_ACTIVATION, STATISTIC_L2, STATISTIC_MEAN}, {SCORE_TAYLOR, 0, 0}, {SCORE_FLAP, 0, 0}};

static struct score_options usual(uint32_t depths, uint32_t variants)
{
    return (struct score_options){.samples = SAMPLES,
                                  .length = LENGTH,
                                  .rows = ROWS,
                                  .seed = 2,
                                  .variants = all_variants,
                                  .variant_count = variants,
                                  .depths = all_depths,
                                  .depth_count = depths,
                                  .blocks = all_blocks,
                                  .block_count = 2,
                                  .energy = true};
}

/* Of all scores, and of perplexity alone, whose sweeps leave out what lies behind the run. */
static void one_by_one_gives_the_same_bytes(void **state)
{
    (void)state;
    for (uint32_t depths = 1; depths <= 3; depths++) {
        struct fixture f;
        struct trace trace = {0};
        struct scores scores[2] = {0};
        struct score_options options = usual(depths, 3);
        create(&f, DEEP);
        for (int i = 0; i < 2; i++) {
            options.removals = i ? REMOVALS_ONE_BY_ONE : REMOVALS_TOGETHER;
            assert_ok(measure_score(&scores[i], &f.arena, f.executor, f.model, &f.corpus, &options, &trace),
                      &trace);
        }
        assert_int_equal(scores[0].items.count, scores[1].items.count);
        for (uint32_t i = 0; i < scores[0].items.count; i++) {
            const struct score *a = &scores[0].items.items[i], *b = &scores[1].items.items[i];
            assert_true(str_equal(a->name, b->name));
            assert_int_equal(a->count, b->count);
            if (memcmp(a->values, b->values, a->count * sizeof *a->values) != 0)
                fail_msg(STR_FORMAT " differs", STR_ARGUMENT(a->name));
        }
        fixture_release(&f);
    }
}

/* Elements of scratch memory that the graph of a sweep needs. */
static int64_t scratch_of(struct scorer *s, uint32_t sweep)
{
    struct trace trace = {0};
    struct arena arena = {0};
    struct memory_plan plan;
    struct dim_binding dims[2];
    s->sweep = sweep;
    assert_ok(scorer_build(s, &trace), &trace);
    const struct graph *g = s->graph;
    struct binding *bindings = ARENA_ARRAY(&arena, struct binding, g->values.count + g->outputs.count);
    struct program_spec spec = {.graph = g, .dims = dims, .bindings = bindings};
    spec.dim_count = session_dims(dims, g, ROWS, LENGTH);
    for (uint32_t v = 0; v < g->values.count; v++)
        if (g->values.items[v].origin != VALUE_NODE)
            bindings[spec.binding_count++] = (struct binding){v, v};
    for (uint32_t o = 0; o < g->outputs.count; o++)
        bindings[spec.binding_count++] = (struct binding){g->outputs.items[o].value, g->values.count + o};
    assert_ok(memory_plan_make(&plan, &arena, &spec, (struct memory_limits){0}, &trace), &trace);
    int64_t count = 0;
    for (uint32_t i = 0; i < plan.scratch_count; i++)
        count += plan.scratch_sizes[i];
    arena_release(&arena);
    graph_destroy(s->graph);
    return count;
}

struct peaks {
    int64_t together, apart;
};

static struct peaks peaks_of(uint32_t layers)
{
    struct fixture f;
    struct trace trace = {0};
    struct score_options options = usual(3, 1);
    create(&f, layers);
    struct scorer s = {.arena = &f.arena, .options = &options, .model = f.model};
    assert_ok(scorer_prepare(&s, &trace), &trace);
    struct peaks peaks = {scratch_of(&s, SWEEP_ALL), scratch_of(&s, SWEEP_REST)};
    for (uint32_t i = 0; i < s.candidates.count; i++) {
        int64_t count = scratch_of(&s, i);
        peaks.apart = count > peaks.apart ? count : peaks.apart;
    }
    fixture_release(&f);
    return peaks;
}

static void one_by_one_takes_as_much_memory_for_any_number_of_layers(void **state)
{
    (void)state;
    struct peaks few = peaks_of(4), many = peaks_of(16);
    assert_true(many.together > few.together + 12 * ROWS * LENGTH * HIDDEN);
    assert_int_equal(many.apart, few.apart);
    assert_true(many.apart < few.together);
}

/* ---- heads that are more than a product ---- */

static uint32_t scaled(struct graph *g, uint32_t x, float by)
{
    return build_op(g, OP_scale, &x, &(struct build_attributes){.scale = by});
}

/* 2 h W' is h (2 W)', to the bit, in values and in gradients. */
static void a_scale_of_logits_is_one_of_the_head(void **state)
{
    (void)state;
    static const struct score_variant variants[] = {{SCORE_TAYLOR, 0, 0}};
    struct fixture f;
    struct trace trace = {0};
    struct scores scores[2] = {0};
    struct score_options options = usual(3, 1);
    options.variants = variants;
    create(&f, DEEP);
    struct graph *after = graph_clone(f.model), *within = graph_clone(f.model);
    fixture_replace_logits(after, scaled(after, graph_find_output(after, "logits"), 2));
    struct model_head head;
    assert_ok(model_head_find(&head, within, &trace), &trace);
    uint32_t weight = within->nodes.items[head.node].inputs[1];
    struct tensor_view *view = &within->tensors.items[graph_value(within, weight)->source].view;
    int64_t count = tensor_view_count(view);
    float *doubled = ARENA_ARRAY(&f.arena, float, (size_t)count);
    tensor_view_read_f32(view, 0, count, doubled);
    for (int64_t i = 0; i < count; i++)
        doubled[i] *= 2;
    view->base = (const uint8_t *)doubled;
    view->mapping = NULL;
    const struct graph *models[] = {after, within};
    for (int i = 0; i < 2; i++)
        assert_ok(measure_score(&scores[i], &f.arena, f.executor, models[i], &f.corpus, &options, &trace),
                  &trace);
    for (uint32_t i = 0; i < scores[0].items.count; i++) {
        const struct score *a = &scores[0].items.items[i], *b = &scores[1].items.items[i];
        if (memcmp(a->values, b->values, a->count * sizeof *a->values) != 0)
            fail_msg(STR_FORMAT " differs", STR_ARGUMENT(a->name));
    }
    graph_destroy(after);
    graph_destroy(within);
    fixture_release(&f);
}

/* 3 tanh((h W' + b) / 3) */
static struct graph *capped(const struct graph *model)
{
    struct graph *g = graph_clone(model);
    fixture_add_bias(g);
    uint32_t biased = graph_find_output(g, "logits");
    fixture_replace_logits(g, scaled(g, build_unary(g, OP_tanh, scaled(g, biased, 1.0f / 3)), 3));
    return g;
}

/* Nothing is computed that no node reads and no output is: no gradient of the bias. */
static void a_graph_of_scores_has_no_dead_nodes(void **state)
{
    (void)state;
    struct fixture f;
    struct trace trace = {0};
    struct score_options options = usual(3, 3);
    create(&f, DEEP);
    struct graph *model = capped(f.model);
    struct scorer s = {.arena = &f.arena, .options = &options, .model = model, .sweep = SWEEP_ALL};
    assert_ok(scorer_prepare(&s, &trace), &trace);
    assert_ok(scorer_build(&s, &trace), &trace);
    const struct graph *g = s.graph;
    bool *used = ARENA_ARRAY(&f.arena, bool, g->values.count);
    for (uint32_t i = 0; i < g->outputs.count; i++)
        used[g->outputs.items[i].value] = true;
    for (uint32_t n = g->nodes.count; n-- > 0;) {
        const struct node *node = &g->nodes.items[n];
        bool is_used = false;
        for (uint32_t i = 0; i < node->result_count; i++)
            is_used = is_used || used[node->results[i]];
        if (!is_used)
            fail_msg("node %u (%s) is of no use", n, op_table[node->op].name);
        for (uint32_t i = 0; i < node->input_count; i++)
            used[node->inputs[i]] = true;
    }
    graph_destroy(s.graph);
    graph_destroy(model);
    fixture_release(&f);
}

/* Logits [SAMPLES, LENGTH, VOCAB] of the batches that scoring sees, and the labels. */
static void read_logits(float *logits, int32_t *labels, struct fixture *f, const struct graph *model)
{
    struct trace trace = {0};
    struct session session;
    struct batcher batcher;
    struct batch batch;
    struct batch_options options = {.length = LENGTH, .rows = ROWS, .micros = 1, .seed = 2};
    struct dim_binding dims[2];
    uint32_t dim_count = session_dims(dims, model, ROWS, LENGTH);
    assert_ok(batcher_open(&batcher, &f->corpus, &options, &trace), &trace);
    batch_init(&batch, ROWS, LENGTH);
    assert_ok(session_create(&session, f->executor, model, dims, dim_count, SESSION_UPLOAD, &trace), &trace);
    for (int step = 0; step < SAMPLES / ROWS; step++) {
        batcher_fill(&batcher, (uint64_t)step, 0, &batch);
        memcpy(labels + step * ROWS * LENGTH, batch.labels, ROWS * LENGTH * sizeof *labels);
        assert_ok(session_write(&session, "tokens", batch.ids, &trace), &trace);
        assert_ok(session_run(&session, &trace), &trace);
        assert_ok(session_read(&session, "logits", logits + step * ROWS * LENGTH * VOCAB, &trace), &trace);
    }
    session_release(&session);
    batch_release(&batch);
    batcher_release(&batcher);
}

static double mean_loss(const float *logits, const int32_t *labels)
{
    double loss = 0;
    for (int t = 0; t < SAMPLES * LENGTH; t++) {
        double total = 0;
        for (int v = 0; v < VOCAB; v++)
            total += exp((double)logits[t * VOCAB + v]);
        loss += log(total) - (double)logits[t * VOCAB + labels[t]];
    }
    return loss / (SAMPLES * LENGTH);
}

static void capped_logits_are_scored(void **state)
{
    (void)state;
    enum { COUNT = SAMPLES * LENGTH * VOCAB };
    static float full[COUNT], without[COUNT];
    int32_t labels[SAMPLES * LENGTH];
    struct fixture f;
    struct trace trace = {0};
    struct structure structure;
    struct scores scores = {0};
    struct score_options options = usual(3, 1);
    create(&f, DEEP);
    struct graph *model = capped(f.model);
    assert_ok(measure_score(&scores, &f.arena, f.executor, model, &f.corpus, &options, &trace), &trace);
    assert_ok(structure_find(&structure, &f.arena, model, &trace), &trace);
    read_logits(full, labels, &f, model);
    for (uint32_t l = 0; l < DEEP; l++) {
        struct graph *other;
        double error = 0, squares = 0;
        assert_ok(remove_layers(&other, model, &structure, &l, 1, &trace), &trace);
        read_logits(without, labels, &f, other);
        for (int i = 0; i < COUNT; i++) {
            error += pow((double)full[i] - (double)without[i], 2);
            squares += pow((double)full[i], 2);
        }
        assert_near(scores_get(&scores, "layers@perplexity")->values[l],
                    mean_loss(without, labels) - mean_loss(full, labels));
        assert_near(scores_get(&scores, "layers@logit-error")->values[l], error / squares);
        graph_destroy(other);
    }
    graph_destroy(model);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_and_runs_are_scored_by_a_task),
        cmocka_unit_test(a_task_without_choices_has_no_margin),
        cmocka_unit_test(one_by_one_gives_the_same_bytes),
        cmocka_unit_test(a_scale_of_logits_is_one_of_the_head),
        cmocka_unit_test(a_graph_of_scores_has_no_dead_nodes),
        cmocka_unit_test(capped_logits_are_scored),
        cmocka_unit_test(one_by_one_takes_as_much_memory_for_any_number_of_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
