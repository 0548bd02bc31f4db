/* The micro graph of a step in double precision, and its gradients against finite differences. */
#ifndef TESTS_TRAIN_BENCH_H
#define TESTS_TRAIN_BENCH_H

#include "backend-cpu/cpu.h"
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

static inline void bench_open(struct bench *b, struct arch arch, const struct objective *objectives,
                              uint32_t count)
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
    b->spec.step.routes[0].teachers = b->teachers;
    b->spec.step.routes[0].teacher_count = 1;
}

static inline void bench_start(struct bench *b)
{
    struct trace trace = {0};
    b->spec.batch = (uint32_t)b->spec.step.micro;
    assert_ok(trainer_create(&b->trainer, &b->spec, &trace), &trace);
    struct trainer *t = b->trainer;
    t->source.fill(t->source.payload, 0, 0, &t->batch);
    int64_t tokens = b->spec.step.micro * b->spec.step.length, kept = b->spec.step.routes[0].kept;
    if (kept > 0) {
        struct targets *targets = &t->kept[0];
        assert_ok(model_kept(&b->data, 0, 0, targets, &trace), &trace);
        assert_ok(executor_tensor_write(b->executor, t->tensors[SLOT_KEPT_IDS][0], 0, tokens * kept,
                                        targets->ids, &trace),
                  &trace);
        assert_ok(executor_tensor_write(b->executor, t->tensors[SLOT_KEPT_LOGS][0], 0, tokens * kept,
                                        targets->logs, &trace),
                  &trace);
        assert_ok(executor_tensor_write(b->executor, t->tensors[SLOT_KEPT_REST][0], 0, tokens, targets->rest,
                                        &trace),
                  &trace);
    }
    assert_ok(executor_tensor_write(b->executor, t->tensors[SLOT_TOKENS][0], 0, tokens, t->batch.ids, &trace),
              &trace);
    assert_ok(
        executor_tensor_write(b->executor, t->tensors[SLOT_LABELS][0], 0, tokens, t->batch.labels, &trace),
        &trace);
    assert_ok(
        executor_tensor_write(b->executor, t->tensors[SLOT_WEIGHTS][0], 0, tokens, t->batch.weights, &trace),
        &trace);
}

static inline void bench_close(struct bench *b)
{
    trainer_destroy(b->trainer);
    executor_destroy(b->executor);
    graph_destroy(b->student);
    graph_destroy(b->teacher);
}

/* Runs micro from cleared accumulators; the weighted loss, unrounded. */
static inline double run_loss(struct bench *b)
{
    struct trace trace = {0};
    struct trainer *t = b->trainer;
    assert_ok(trainer_clear_sums(t, &trace), &trace);
    assert_ok(executor_run(b->executor, t->routes[0], &trace), &trace);
    double total = 0;
    for (uint32_t i = 0; i < t->step.loss_count; i++) {
        double loss;
        uint32_t tensor = t->tensors[SLOT_SUM][t->step.parameters.count + i];
        assert_ok(cpu_double_tensor_read(b->executor, tensor, 0, 1, &loss, &trace), &trace);
        total += loss * (double)t->weights[i];
    }
    return total;
}

static inline double *read_gradient(struct bench *b, uint32_t parameter)
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
static inline double difference(struct bench *b, uint32_t parameter, int64_t element)
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
static inline void check_gradients(struct bench *b)
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

#endif
