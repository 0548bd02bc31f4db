/* The graphs of a step, in double precision, against finite differences and against each other. */
#include "ir/build.h"
#include "ir/text.h"
#include "tests/train/bench.h"

static void has_the_gradient_of_cross_entropy(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_ce, .weight = 1}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 1);
    bench_start(&b);
    check_gradients(&b);
    bench_close(&b);
}

static void has_the_gradient_of_distillation_with_tied_ends(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct arch arch = model_arch();
    arch.tied = true;
    struct bench b;
    bench_open(&b, arch, objectives, 1);
    bench_start(&b);
    check_gradients(&b);
    bench_close(&b);
}

/* logits = softcap * tanh(logits / softcap) */
static void cap_logits(struct graph *graph, float softcap)
{
    struct output *logits = &graph->outputs.items[0];
    struct build_attributes before = {.scale = 1 / softcap}, after = {.scale = softcap};
    uint32_t x = build_op(graph, OP_scale, &logits->value, &before);
    x = build_unary(graph, OP_tanh, x);
    logits->value = build_op(graph, OP_scale, &x, &after);
}

static void has_the_gradient_of_capped_logits(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.75f},
                                           {.kind = OBJECTIVE_ce, .weight = 0.25f}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 2);
    cap_logits(b.student, 0.75f);
    cap_logits(b.teacher, 1.5f);
    bench_start(&b);
    check_gradients(&b);
    bench_close(&b);
}

/* logits = logits + bias, a weight. */
static void bias_logits(struct graph *graph)
{
    struct output *logits = &graph->outputs.items[0];
    const struct value *v = graph_value(graph, logits->value);
    uint32_t axis = v->axes[v->rank - 1];
    int64_t size = dims_size(&graph->dims, axis);
    float *values = ARENA_ARRAY(&graph->arena, float, (size_t)size);
    for (int64_t i = 0; i < size; i++)
        values[i] = (float)(i % 5) * 0.25f - 0.5f;
    struct tensor_view view = {.base = (const uint8_t *)values,
                               .base_size = (size_t)size * sizeof *values,
                               .dtype = DTYPE_F32,
                               .rank = 1,
                               .dims = {size},
                               .strides = {1}};
    uint32_t bias = build_tensor(graph, STR("head.bias"), &view, &axis);
    logits->value = build_binary(graph, OP_add, logits->value, bias);
}

static void has_the_gradient_of_a_biased_head(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.75f},
                                           {.kind = OBJECTIVE_ce, .weight = 0.25f}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 2);
    bias_logits(b.student);
    bias_logits(b.teacher);
    cap_logits(b.student, 0.75f);
    bench_start(&b);
    check_gradients(&b);
    bench_close(&b);
}

static void has_the_gradient_of_a_mixture(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.75f},
                                           {.kind = OBJECTIVE_ce, .weight = 0.25f}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 2);
    bench_start(&b);
    check_gradients(&b);
    bench_close(&b);
}

static void has_the_gradient_of_every_divergence(void **state)
{
    (void)state;
    for (int kind = 0; kind < OBJECTIVE_COUNT; kind++)
        for (uint32_t top = 0; top <= (kind == OBJECTIVE_forward_kl ? 9 : 0); top += 9) {
            const struct objective objectives[] = {
                {.kind = (enum objective_kind)kind, .weight = 0.75f, .temperature = 2.5f, .top = top},
                {.kind = OBJECTIVE_ce, .weight = 0.25f}};
            struct bench b;
            bench_open(&b, model_arch(), objectives, 2);
            b.spec.step.routes[0].kept = kind == OBJECTIVE_kept_kl ? 9 : 0;
            bench_start(&b);
            check_gradients(&b);
            bench_close(&b);
        }
}

static void chunks_do_not_change_the_loss_or_the_gradients(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.5f},
                                           {.kind = OBJECTIVE_ce, .weight = 1}};
    struct bench b[2];
    double loss[2];
    for (int k = 0; k < 2; k++) {
        bench_open(&b[k], model_arch(), objectives, 2);
        b[k].spec.step.micro = 5;
        b[k].spec.step.length = 220; /* 1100 tokens: chunks of 512, 512 and 76, or one of 1536 */
        b[k].spec.step.chunk = k == 0 ? 512 : 1536;
        bench_start(&b[k]);
        loss[k] = run_loss(&b[k]);
    }
    assert_true(fabs(loss[0] - loss[1]) < 1e-12 * fabs(loss[0]));
    for (uint32_t p = 0; p < b[0].trainer->step.parameters.count; p++) {
        double *x = read_gradient(&b[0], p), *y = read_gradient(&b[1], p);
        for (int64_t i = 0; i < b[0].trainer->step.parameters.items[p].count; i++)
            if (!(fabs(x[i] - y[i]) < 1e-11 * (1 + fabs(x[i]))))
                fail_msg("%s[%d]: %.15g and %.15g", b[0].trainer->step.parameters.items[p].name.data, (int)i,
                         x[i], y[i]);
        free(x);
        free(y);
    }
    bench_close(&b[0]);
    bench_close(&b[1]);
}

/* A student and a teacher with padding of their own: rows past the common vocabulary take no part. */
static void compares_the_shared_vocabulary_only(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct arch wider = model_arch(), narrower = model_arch();
    wider.vocab = 71;
    narrower.vocab = 60;
    struct bench b;
    bench_open(&b, wider, objectives, 1);
    graph_destroy(b.teacher);
    b.teacher = model_build(narrower, 1000);
    b.teachers[0] = b.teacher;
    b.data.vocab = 60;
    b.spec.step.routes[0].vocabulary = 60;
    bench_start(&b);
    run_loss(&b);
    uint32_t head = b.trainer->step.parameters.count - 1;
    double *gradient = read_gradient(&b, head);
    assert_int_equal(b.trainer->step.parameters.items[head].count, 71 * 24);
    for (int64_t i = 0; i < 71 * 24; i++)
        assert_true((gradient[i] == 0) == (i >= 60 * 24));
    for (int64_t i = 0; i < 60 * 24; i += 97) {
        double expected = difference(&b, head, i);
        assert_true(fabs(gradient[i] - expected) < 1e-9 * (1 + fabs(expected)));
    }
    free(gradient);
    bench_close(&b);
}

static void keeps_no_tensor_of_tokens_by_vocabulary(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 1);
    b.spec.step.micro = 5;
    b.spec.step.length = 220;
    bench_start(&b);
    const struct graph *graph = b.trainer->step.micros[0].graph;
    for (uint32_t v = 0; v < graph->values.count; v++) {
        const struct value *value = graph_value(graph, v);
        int64_t last = value->rank ? dims_size(&graph->dims, value->axes[value->rank - 1]) : 0;
        int64_t rows = 1;
        for (uint32_t i = 0; i + 1 < value->rank; i++)
            rows *= dims_size(&graph->dims, value->axes[i]);
        if (last == b.data.vocab)
            assert_true(rows <= HEAD_CHUNK);
    }
    bench_close(&b);
}

static void is_zero_for_a_model_and_itself(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 1);
    b.teachers[0] = b.student;
    bench_start(&b);
    assert_true(run_loss(&b) == 0);
    for (uint32_t p = 0; p < b.trainer->step.parameters.count; p++) {
        double *gradient = read_gradient(&b, p);
        for (int64_t i = 0; i < b.trainer->step.parameters.items[p].count; i++)
            assert_true(gradient[i] == 0);
        free(gradient);
    }
    bench_close(&b);
}

static void builds_graphs_that_verify(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 0.5f},
                                           {.kind = OBJECTIVE_ce, .weight = 1}};
    struct trace trace = {0};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 2);
    b.spec.step.lanes = 2;
    struct step step;
    assert_ok(step_build(&step, &b.spec.step, &trace), &trace);
    assert_ok(graph_verify(step.micros[0].graph, &trace), &trace);
    assert_ok(graph_verify(step.fold.graph, &trace), &trace);
    assert_ok(graph_verify(step.update.graph, &trace), &trace);
    assert_int_equal(step.parameters.count, 21); /* all 22 tensors but rotary */
    uint32_t vectors = 0;
    for (uint32_t p = 0; p < step.parameters.count; p++)
        vectors += step.parameters.items[p].decay == DECAY_NONE;
    assert_int_equal(vectors, 5);
    step_release(&step);
    bench_close(&b);
}

/* The names of the parameters that decay are as many as the model's matrices, less the embedding, or all. */
static void decays_what_it_is_told_to(void **state)
{
    (void)state;
    static const uint32_t expected[2][3] = {{16, 15, 21}, {15, 14, 20}}; /* untied, tied */
    const struct objective objectives[] = {{.kind = OBJECTIVE_ce, .weight = 1}};
    for (int tied = 0; tied < 2; tied++)
        for (int decays = DECAYS_MATRICES; decays <= DECAYS_ALL; decays++) {
            struct trace trace = {0};
            struct arch arch = model_arch();
            arch.tied = tied;
            struct bench b;
            bench_open(&b, arch, objectives, 1);
            b.spec.step.decays = (enum step_decays)decays;
            struct step step;
            assert_ok(step_build(&step, &b.spec.step, &trace), &trace);
            uint32_t count = 0;
            for (uint32_t p = 0; p < step.parameters.count; p++)
                count += step.parameters.items[p].decay == DECAY_WEIGHTS;
            assert_int_equal(count, expected[tied][decays]);
            step_release(&step);
            bench_close(&b);
        }
}

/* The most elements of results that are alive at once, each from the node that makes it to the last that
 * reads it. Views and results that replace an operand are counted as if they were tensors of their own. */
static int64_t peak_of(const struct graph *graph)
{
    uint32_t *last = calloc(graph->values.count, sizeof *last);
    int64_t *sizes = calloc(graph->values.count, sizeof *sizes), alive = 0, peak = 0;
    for (uint32_t n = 0; n < graph->nodes.count; n++)
        for (uint32_t i = 0; i < graph->nodes.items[n].input_count; i++)
            last[graph->nodes.items[n].inputs[i]] = n;
    for (uint32_t n = 0; n < graph->nodes.count; n++) {
        const struct node *node = &graph->nodes.items[n];
        for (uint32_t r = 0; r < node->result_count; r++) {
            const struct value *value = graph_value(graph, node->results[r]);
            sizes[node->results[r]] = 1;
            for (uint32_t a = 0; a < value->rank; a++)
                sizes[node->results[r]] *= dims_size(&graph->dims, value->axes[a]);
            alive += sizes[node->results[r]];
        }
        peak = alive > peak ? alive : peak;
        for (uint32_t v = 0; v < graph->values.count; v++)
            if (sizes[v] > 0 && last[v] <= n) {
                alive -= sizes[v];
                sizes[v] = 0;
            }
    }
    free(last);
    free(sizes);
    return peak;
}

/* Of a deep model, what a layer keeps is the stream: 2 x width a token for two branches, where it was many
 * times that. */
static void recomputing_keeps_little_of_a_layer(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    int64_t peaks[2][2]; /* by recomputation and depth */
    const int64_t tokens = 2 * 200, width = 24;
    for (int recomputes = 0; recomputes < 2; recomputes++)
        for (int deep = 0; deep < 2; deep++) {
            struct trace trace = {0};
            struct arch arch = model_arch();
            arch.layers = deep ? 12 : 6;
            struct bench b;
            bench_open(&b, arch, objectives, 1);
            b.spec.step.recomputes = recomputes;
            b.spec.step.length = 200;
            struct step step;
            assert_ok(step_build(&step, &b.spec.step, &trace), &trace);
            assert_ok(graph_verify(step.micros[0].graph, &trace), &trace);
            peaks[recomputes][deep] = peak_of(step.micros[0].graph);
            step_release(&step);
            bench_close(&b);
        }
    int64_t kept = (peaks[0][1] - peaks[0][0]) / 6, kept_less = (peaks[1][1] - peaks[1][0]) / 6;
    print_message("elements a layer: %d, recomputing: %d\n", (int)kept, (int)kept_less);
    assert_true(kept > 8 * tokens * width);
    assert_int_equal(kept_less, 2 * tokens * width);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct trace trace = {0};
    struct step step;
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    b.spec.step.routes[0].teacher_count = 0;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "needs a teacher");
    struct arch other = model_arch();
    other.vocab = 68;
    struct graph *wrong = model_build(other, 1);
    b.teachers[0] = wrong;
    b.spec.step.routes[0].teacher_count = 1;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace,
                 "different vocabularies: 68 and 67");
    b.spec.step.chunk = 100;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "whole blocks");
    b.spec.step.chunk = 0;
    static const struct objective kept[] = {{.kind = OBJECTIVE_kept_kl, .weight = 1}};
    b.spec.step.routes[0].objectives = kept;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "what was kept of a teacher");
    b.spec.step.routes[0].kept = 68;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "more than the vocabulary");
    b.spec.step.routes[0].objective_count = 0;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "objectives");
    graph_destroy(wrong);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_gradient_of_cross_entropy),
        cmocka_unit_test(has_the_gradient_of_distillation_with_tied_ends),
        cmocka_unit_test(has_the_gradient_of_capped_logits),
        cmocka_unit_test(has_the_gradient_of_a_biased_head),
        cmocka_unit_test(has_the_gradient_of_a_mixture),
        cmocka_unit_test(has_the_gradient_of_every_divergence),
        cmocka_unit_test(chunks_do_not_change_the_loss_or_the_gradients),
        cmocka_unit_test(compares_the_shared_vocabulary_only),
        cmocka_unit_test(keeps_no_tensor_of_tokens_by_vocabulary),
        cmocka_unit_test(is_zero_for_a_model_and_itself),
        cmocka_unit_test(builds_graphs_that_verify),
        cmocka_unit_test(decays_what_it_is_told_to),
        cmocka_unit_test(recomputing_keeps_little_of_a_layer),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
