/* The graphs of a step, in double precision, against finite differences and against each other. */
#include "backend-cpu/cpu.h"
#include "ir/text.h"
#include "tests/train/model.h"
#include "train/trainer_state.h"
#include <math.h>

struct bench {
    struct executor *executor;
    struct graph *student, *teacher;
    const struct graph *teachers[1];
    struct model_data data;
    struct trainer_spec spec;
    struct trainer *trainer;
};

static void bench_open(struct bench *b, struct arch arch, const struct objective *objectives, uint32_t count)
{
    struct trace trace = {0};
    *b = (struct bench){.data = {.vocab = (uint32_t)arch.vocab, .micros = 1}};
    struct cpu_options options = {.threads = 1};
    assert_ok(cpu_double_executor_create(&b->executor, options, &trace), &trace);
    b->student = model_build(arch, 1);
    struct arch larger = arch;
    larger.hidden = 36, larger.head_dim = 8, larger.layers = 3;
    b->teacher = model_build(larger, 1000);
    b->teachers[0] = b->teacher;
    b->spec = model_spec(b->executor, b->student, objectives, count, &b->data);
    b->spec.step.teachers = b->teachers;
    b->spec.step.teacher_count = 1;
}

static void bench_start(struct bench *b)
{
    struct trace trace = {0};
    b->spec.batch = (uint32_t)b->spec.step.micro;
    assert_ok(trainer_create(&b->trainer, &b->spec, &trace), &trace);
    struct trainer *t = b->trainer;
    t->source.fill(t->source.payload, 0, 0, &t->batch);
    int64_t tokens = b->spec.step.micro * b->spec.step.length;
    assert_ok(executor_tensor_write(b->executor, t->tensors[SLOT_TOKENS][0], 0, tokens, t->batch.ids, &trace),
              &trace);
    assert_ok(
        executor_tensor_write(b->executor, t->tensors[SLOT_LABELS][0], 0, tokens, t->batch.labels, &trace),
        &trace);
    assert_ok(
        executor_tensor_write(b->executor, t->tensors[SLOT_WEIGHTS][0], 0, tokens, t->batch.weights, &trace),
        &trace);
}

static void bench_close(struct bench *b)
{
    trainer_destroy(b->trainer);
    executor_destroy(b->executor);
    graph_destroy(b->student);
    graph_destroy(b->teacher);
}

/* Runs micro from cleared accumulators; the weighted loss, unrounded. */
static double run_loss(struct bench *b)
{
    struct trace trace = {0};
    struct trainer *t = b->trainer;
    assert_ok(trainer_clear_sums(t, &trace), &trace);
    assert_ok(executor_run(b->executor, t->micro, &trace), &trace);
    double total = 0;
    for (uint32_t i = 0; i < t->step.loss_count; i++) {
        double loss;
        uint32_t tensor = t->tensors[SLOT_SUM][t->step.parameters.count + i];
        assert_ok(cpu_double_tensor_read(b->executor, tensor, 0, 1, &loss, &trace), &trace);
        total += loss * (double)t->objectives[i].weight;
    }
    return total;
}

static double *read_gradient(struct bench *b, uint32_t parameter)
{
    struct trace trace = {0};
    int64_t count = b->trainer->step.parameters.items[parameter].count;
    double *gradient = malloc((size_t)count * sizeof *gradient);
    assert_ok(cpu_double_tensor_read(b->executor, b->trainer->tensors[SLOT_SUM][parameter], 0, count,
                                     gradient, &trace),
              &trace);
    return gradient;
}

/* The derivative of the loss by one weight, by four points. */
static double difference(struct bench *b, uint32_t parameter, int64_t element)
{
    static const double places[] = {1, -1, 2, -2};
    const double h = 0x1p-10;
    struct trace trace = {0};
    uint32_t tensor = b->trainer->tensors[SLOT_PARAMETER][parameter];
    double old, f[4];
    assert_ok(cpu_double_tensor_read(b->executor, tensor, element, 1, &old, &trace), &trace);
    for (int k = 0; k < 4; k++) {
        double moved = old + places[k] * h;
        assert_ok(cpu_double_tensor_write(b->executor, tensor, element, 1, &moved, &trace), &trace);
        f[k] = run_loss(b);
    }
    assert_ok(cpu_double_tensor_write(b->executor, tensor, element, 1, &old, &trace), &trace);
    return (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * h);
}

/* Every parameter, some elements of each: relative to the derivative plus the tensor's root mean square. */
static void check_gradients(struct bench *b)
{
    enum { SAMPLES = 5 };
    double worst = 0;
    run_loss(b);
    uint32_t count = b->trainer->step.parameters.count;
    double **gradients = calloc(count, sizeof *gradients);
    for (uint32_t p = 0; p < count; p++)
        gradients[p] = read_gradient(b, p);
    for (uint32_t p = 0; p < count; p++) {
        const struct parameter *parameter = &b->trainer->step.parameters.items[p];
        double squares = 0;
        for (int64_t i = 0; i < parameter->count; i++)
            squares += gradients[p][i] * gradients[p][i];
        assert_true(squares > 0);
        for (uint32_t k = 0; k < SAMPLES; k++) {
            int64_t element = (int64_t)(model_mix(p * SAMPLES + k) % (uint32_t)parameter->count);
            double expected = difference(b, p, element);
            double scale = fabs(expected) + sqrt(squares / (double)parameter->count);
            double error = fabs(gradients[p][element] - expected) / scale;
            worst = error > worst ? error : worst;
            if (!(error < 1e-7))
                fail_msg("%s[%d]: expected %.12g, found %.12g", parameter->name.data, (int)element, expected,
                         gradients[p][element]);
        }
    }
    print_message("worst relative error %.2g\n", worst);
    for (uint32_t p = 0; p < count; p++)
        free(gradients[p]);
    free(gradients);
}

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

static void keeps_no_tensor_of_tokens_by_vocabulary(void **state)
{
    (void)state;
    const struct objective objectives[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct bench b;
    bench_open(&b, model_arch(), objectives, 1);
    b.spec.step.micro = 5;
    b.spec.step.length = 220;
    bench_start(&b);
    const struct graph *graph = b.trainer->step.micro.graph;
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
    assert_ok(graph_verify(step.micro.graph, &trace), &trace);
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

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    const struct objective kl[] = {{.kind = OBJECTIVE_forward_kl, .weight = 1}};
    struct trace trace = {0};
    struct step step;
    struct bench b;
    bench_open(&b, model_arch(), kl, 1);
    b.spec.step.teacher_count = 0;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "needs a teacher");
    struct arch other = model_arch();
    other.vocab = 68;
    struct graph *wrong = model_build(other, 1);
    b.teachers[0] = wrong;
    b.spec.step.teacher_count = 1;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace,
                 "different vocabularies: 68 and 67");
    b.spec.step.chunk = 100;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "whole blocks");
    b.spec.step.chunk = 0;
    b.spec.step.objective_count = 0;
    assert_fails(step_build(&step, &b.spec.step, &trace), INVALID, &trace, "objectives");
    graph_destroy(wrong);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_gradient_of_cross_entropy),
        cmocka_unit_test(has_the_gradient_of_distillation_with_tied_ends),
        cmocka_unit_test(has_the_gradient_of_a_mixture),
        cmocka_unit_test(has_the_gradient_of_every_divergence),
        cmocka_unit_test(chunks_do_not_change_the_loss_or_the_gradients),
        cmocka_unit_test(keeps_no_tensor_of_tokens_by_vocabulary),
        cmocka_unit_test(is_zero_for_a_model_and_itself),
        cmocka_unit_test(builds_graphs_that_verify),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
