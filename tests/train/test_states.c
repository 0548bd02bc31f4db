/* Losses of hidden states: what they are taken from, their gradients in double precision against finite
 * differences, and how they are scaled. */
#include "tests/train/bench.h"
#include "tests/train/states_reference.h"
#include <inttypes.h>

static const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.5f}};

/* Every kind of state, of other layers on either side; student and teacher have 2 and 3 layers. */
static const struct state_pair all_pairs[] = {
    {STATE_KIND_embedding, 0, 0, 1},     {STATE_KIND_block, 0, 1, 0.5f}, {STATE_KIND_block, 1, 2, 0.25f},
    {STATE_KIND_mlp_input, 0, 2, 0.75f}, {STATE_KIND_mlp, 1, 0, 0.5f},   {STATE_KIND_attention, 1, 1, 2},
};
enum { PAIRS = sizeof all_pairs / sizeof *all_pairs };

static void add_states(struct bench *b, enum state_distance distance, enum state_scale scale)
{
    b->spec.step.routes[0].states = (struct state_losses){
        .pairs = all_pairs, .count = PAIRS, .distance = distance, .scale = scale, .seed = 5};
}

static void check_distance(enum state_distance distance)
{
    struct bench b;
    bench_open(&b, model_arch(), kl, 1); /* widths of 24 and 36: with the shared matrix */
    add_states(&b, distance, STATE_FIXED);
    bench_start(&b);
    uint32_t last = b.trainer->step.parameters.count - 1;
    assert_int_equal(b.trainer->step.parameters.items[last].count, 24 * 36);
    assert_string_equal(b.trainer->step.parameters.items[last].name.data, "projection");
    check_gradients(&b);
    bench_close(&b);
}

static void has_the_gradient_of_cosines(void **state)
{
    (void)state;
    check_distance(STATE_COSINE);
}

static void has_the_gradient_of_squares(void **state)
{
    (void)state;
    check_distance(STATE_MSE);
}

/* Queries of 24 and 32 channels, keys and values of 12 and 16, in 4 relation heads; then as one head. */
static void has_the_gradient_of_relations(void **state)
{
    (void)state;
    static const struct state_pair pairs[] = {{STATE_KIND_queries, 0, 1, 1},
                                              {STATE_KIND_keys, 1, 2, 0.5f},
                                              {STATE_KIND_values, 1, 0, 2},
                                              {STATE_KIND_block, 0, 0, 1}};
    /* PyTorch: kl_div of log_softmax of the masked, scaled products, mean over heads, in the model of
     * golden/numeric/reference.py. */
    static const double expected[] = {3.2589613901933348, 2.8547929441428015, 4.1182882711846718};
    for (uint32_t heads = 1; heads <= 4; heads += 3) {
        struct trace trace = {0};
        struct bench b;
        bench_open(&b, model_arch(), kl, 1);
        b.spec.step.routes[0].states =
            (struct state_losses){.pairs = pairs, .count = 4, .relation_heads = heads};
        bench_start(&b);
        check_gradients(&b);
        run_loss(&b);
        for (uint32_t i = 0; i < 3 && heads == 4; i++) {
            double loss;
            uint32_t tensor = b.trainer->tensors[SLOT_SUM][b.trainer->step.parameters.count + 1 + i];
            assert_ok(cpu_double_tensor_read(b.executor, tensor, 0, 1, &loss, &trace), &trace);
            if (!(fabs(loss - expected[i]) < 1e-6))
                fail_msg("relation %" PRIu32 ": %.12g, PyTorch has %.12g", i, loss, expected[i]);
        }
        bench_close(&b);
    }
}

static void needs_no_matrix_between_equal_widths(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    struct graph *same = model_build(model_arch(), 7);
    static const struct state_pair pairs[] = {{STATE_KIND_block, 0, 0, 1}, {STATE_KIND_block, 0, 1, 1}};
    b.teachers[0] = same;
    b.spec.step.routes[0].states = (struct state_losses){.pairs = pairs, .count = 2};
    bench_start(&b);
    assert_null(b.trainer->step.projections[0]);
    check_gradients(&b);
    bench_close(&b);
    graph_destroy(same);
}

/* The gradients of a run with these states; free each. Writes the losses. */
static double **gradients_with(double losses[1 + PAIRS], uint32_t *count, bool has_states,
                               enum state_scale scale)
{
    struct trace trace = {0};
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    if (has_states)
        add_states(&b, STATE_COSINE, scale);
    bench_start(&b);
    run_loss(&b);
    *count = b.trainer->step.parameters.count;
    double **gradients = calloc(*count, sizeof *gradients);
    for (uint32_t p = 0; p < *count; p++)
        gradients[p] = read_gradient(&b, p);
    for (uint32_t i = 0; i < b.trainer->step.loss_count; i++)
        assert_ok(cpu_double_tensor_read(b.executor, b.trainer->tensors[SLOT_SUM][*count + i], 0, 1,
                                         &losses[i], &trace),
                  &trace);
    bench_close(&b);
    return gradients;
}

static void release_gradients(double **gradients, uint32_t count)
{
    for (uint32_t p = 0; p < count; p++)
        free(gradients[p]);
    free(gradients);
}

/* alpha = weighted divergence / weighted sum of the states' losses, a constant on the way back. */
static void dynamic_scale_is_a_constant_factor(void **state)
{
    (void)state;
    uint32_t counts[3];
    double losses[1 + PAIRS], sum = 0;
    double **none = gradients_with(losses, &counts[0], false, STATE_FIXED);
    double **fixed = gradients_with(losses, &counts[1], true, STATE_FIXED);
    double **dynamic = gradients_with(losses, &counts[2], true, STATE_DYNAMIC);
    for (int i = 0; i < PAIRS; i++)
        sum += losses[1 + i] * (double)all_pairs[i].weight;
    double alpha = losses[0] * (double)kl[0].weight / sum;
    assert_int_equal(counts[1], counts[0] + 1);
    assert_true(alpha > 0 && fabs(alpha - 1) > 1e-3);
    for (uint32_t p = 0; p < counts[0]; p++)
        for (int i = 0; i < 20; i++) {
            double expected = none[p][i] + alpha * (fixed[p][i] - none[p][i]);
            if (!(fabs(dynamic[p][i] - expected) < 1e-11 * (1 + fabs(expected))))
                fail_msg("parameter %" PRIu32 " [%d]: %.15g, expected %.15g", p, i, dynamic[p][i], expected);
        }
    release_gradients(none, counts[0]);
    release_gradients(fixed, counts[1]);
    release_gradients(dynamic, counts[2]);
}

/* The graph has rotary frequencies and epsilon as floats. */
static void assert_near(const char *what, uint32_t index, double found, double expected, double scale)
{
    if (!(fabs(found - expected) <= 1e-6 * (fabs(expected) + scale)))
        fail_msg("%s %" PRIu32 ": %.15g, PyTorch has %.15g", what, index, found, expected);
}

static void check_reference(enum state_distance distance, const struct states_reference *expected)
{
    struct trace trace = {0};
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    add_states(&b, distance, STATE_DYNAMIC);
    bench_start(&b);
    const struct step *step = &b.trainer->step;
    uint32_t last = step->parameters.count - 1;
    for (int64_t i = 0; i < step->parameters.items[last].count; i++) {
        double x = (double)model_number(5000, (uint32_t)i) / 4;
        assert_ok(
            cpu_double_tensor_write(b.executor, b.trainer->tensors[SLOT_PARAMETER][last], i, 1, &x, &trace),
            &trace);
    }
    run_loss(&b);
    assert_int_equal(step->parameters.count, REFERENCE_PARAMETERS);
    for (uint32_t i = 0; i < step->loss_count; i++) {
        double loss;
        uint32_t tensor = b.trainer->tensors[SLOT_SUM][step->parameters.count + i];
        assert_ok(cpu_double_tensor_read(b.executor, tensor, 0, 1, &loss, &trace), &trace);
        assert_near("loss", i, loss, expected->losses[i], 0);
    }
    for (uint32_t p = 0; p < step->parameters.count; p++) {
        double *gradient = read_gradient(&b, p), sum = 0, squares = 0;
        for (int64_t i = 0; i < step->parameters.items[p].count; i++) {
            sum += gradient[i];
            squares += gradient[i] * gradient[i];
        }
        assert_near("squares of gradient", p, squares, expected->gradients[p][1], 0);
        assert_near("sum of gradient", p, sum, expected->gradients[p][0], sqrt(squares));
        free(gradient);
    }
    bench_close(&b);
}

static void losses_and_gradients_are_those_of_pytorch(void **state)
{
    (void)state;
    check_reference(STATE_COSINE, &states_references[0]);
    check_reference(STATE_MSE, &states_references[1]);
}

/* Trains a few steps; the report of the last. */
static enum status keep_report(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    *(struct trainer_report *)payload = *report;
    return OK;
}

static void trains_the_matrix_and_reports_every_loss(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct trainer_report report;
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    add_states(&b, STATE_MSE, STATE_DYNAMIC);
    b.spec.step.lanes = 2;
    b.spec.batch = 4;
    b.data.micros = 2;
    assert_ok(trainer_create(&b.trainer, &b.spec, &trace), &trace);
    uint32_t index = trainer_state_count(b.trainer) - 3;
    assert_string_equal(trainer_state(b.trainer, index).name.data, "weight.projection");
    float before[4], after[4];
    assert_ok(trainer_state_read(b.trainer, index, 0, 4, before, &trace), &trace);
    struct trainer_hooks hooks = {.report = keep_report, .payload = &report};
    assert_ok(trainer_run(b.trainer, &hooks, &trace), &trace);
    assert_ok(trainer_state_read(b.trainer, index, 0, 4, after, &trace), &trace);
    assert_true(memcmp(before, after, sizeof before) != 0);
    for (int i = 0; i < 1 + PAIRS; i++)
        assert_true(report.losses[i] > 0);
    /* As much again as the divergence that the states' losses are scaled to. */
    assert_true(report.loss == 2 * 0.5f * report.losses[0]);
    bench_close(&b);
}

static const struct node *node_of(const struct graph *graph, uint32_t value)
{
    assert_int_equal(graph_value(graph, value)->origin, VALUE_NODE);
    return &graph->nodes.items[graph_value(graph, value)->source];
}

static uint32_t find(const struct graph *graph, enum state_kind kind, uint32_t layer)
{
    struct trace trace = {0};
    struct arena arena = {0};
    uint32_t value;
    assert_ok(state_find(&value, &arena, graph, kind, layer, &trace), &trace);
    arena_release(&arena);
    return value;
}

/* In the decoder that train/arch.c builds, told by the ops around each state. */
static void states_are_what_they_are_called(void **state)
{
    (void)state;
    struct graph *graph = model_build(model_arch(), 1);
    const struct node *embedding = node_of(graph, find(graph, STATE_KIND_embedding, 0));
    assert_int_equal(embedding->op, OP_rmsnorm);
    assert_int_equal(node_of(graph, embedding->inputs[0])->op, OP_embed);
    const struct node *head = node_of(graph, graph_find_output(graph, "logits"));
    assert_int_equal(find(graph, STATE_KIND_block, 1), head->inputs[0]); /* the last norm */
    const struct node *attention = node_of(graph, find(graph, STATE_KIND_attention, 1));
    assert_int_equal(attention->op, OP_matmul_nt);
    assert_int_equal(node_of(graph, attention->inputs[0])->op, OP_attention);
    const struct node *mlp = node_of(graph, find(graph, STATE_KIND_mlp, 1));
    const struct node *product = node_of(graph, mlp->inputs[0]);
    assert_int_equal(product->op, OP_mul);
    const struct node *up = node_of(graph, product->inputs[1]);
    assert_int_equal(up->inputs[0], find(graph, STATE_KIND_mlp_input, 1));
    /* After the first layer comes the norm that the second one's attention reads. */
    const struct node *first = node_of(graph, find(graph, STATE_KIND_block, 0));
    const struct node *sum = node_of(graph, first->inputs[0]);
    assert_int_equal(first->op, OP_rmsnorm);
    assert_int_equal(sum->op, OP_add);
    assert_int_equal(sum->inputs[1], find(graph, STATE_KIND_mlp, 0));
    graph_destroy(graph);
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    static const struct state_pair missing[] = {{STATE_KIND_block, 2, 0, 1}};
    struct trace trace = {0};
    struct step step;
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    b.spec.step.routes[0].states = (struct state_losses){.pairs = missing, .count = 1};
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "a layer from 0 to 1, found 2");
    static const struct state_pair related[] = {{STATE_KIND_keys, 0, 0, 1}};
    b.spec.step.routes[0].states = (struct state_losses){.pairs = related, .count = 1, .relation_heads = 3};
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace,
                 "3 relation heads do not divide the keys of student (12) and teacher (16)");
    b.spec.step.routes[0].states = (struct state_losses){.pairs = missing, .count = 1, .teacher = 1};
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "need a teacher");
    const struct objective ce[] = {{.kind = OBJECTIVE_ce, .weight = 1}};
    b.spec.step.routes[0].states =
        (struct state_losses){.pairs = all_pairs, .count = 1, .scale = STATE_DYNAMIC};
    b.spec.step.routes[0].objectives = ce;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "and there is none");
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_gradient_of_cosines),
        cmocka_unit_test(has_the_gradient_of_squares),
        cmocka_unit_test(has_the_gradient_of_relations),
        cmocka_unit_test(needs_no_matrix_between_equal_widths),
        cmocka_unit_test(dynamic_scale_is_a_constant_factor),
        cmocka_unit_test(losses_and_gradients_are_those_of_pytorch),
        cmocka_unit_test(trains_the_matrix_and_reports_every_loss),
        cmocka_unit_test(states_are_what_they_are_called),
        cmocka_unit_test(refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
