/* Ten steps of training against PyTorch (golden/numeric/reference.py): every loss, every gradient of the
 * first step and every weight after the last, on the twin and on its double-precision reference. */
#include "backend-cpu/cpu.h"
#include "golden/numeric/reference.h"
#include "tests/train/model.h"
#include "train/trainer_state.h"
#include <math.h>

enum { PRECISIONS = 2 };

/* How far results may be off, relative; gradients and weights relative to their root mean square as well. */
struct tolerance {
    double loss, gradient, weight;
};
static const struct tolerance tolerances[PRECISIONS] = {{1e-5, 1e-4, 1e-3}, {1e-6, 1e-6, 1e-4}};

struct run {
    const struct reference_run *reference;
    struct tolerance tolerance;
    struct executor *executor;
    struct trainer *trainer;
};

static void assert_near(double found, double expected, double unit, double tolerance, const char *what,
                        uint32_t at)
{
    if (!(fabs(found - expected) <= tolerance * (fabs(expected) + unit)))
        fail_msg("%s %u: expected %.9g, found %.9g, tolerance %.2g", what, at, expected, found,
                 tolerance * (fabs(expected) + unit));
}

static float *read_tensor(struct run *run, uint32_t tensor, int64_t count)
{
    struct trace trace = {0};
    float *data = malloc((size_t)count * sizeof *data);
    assert_ok(executor_tensor_read(run->executor, tensor, 0, count, data, &trace), &trace);
    return data;
}

/* Sum, sum of squares and sum weighted by place, each against the reference. */
static void assert_fingerprint(const float *data, int64_t count, double factor, const double expected[3],
                               double tolerance, const char *what, uint32_t at)
{
    double found[3] = {0};
    for (int64_t i = 0; i < count; i++) {
        double x = data[i] * factor;
        found[0] += x;
        found[1] += x * x;
        found[2] += x * ((model_mix((uint32_t)i) >> 8) * 0x1p-24);
    }
    double unit = sqrt(expected[1]); /* errors of elements are independent: their sum grows like a norm */
    assert_near(found[0], expected[0], unit, tolerance, what, at);
    assert_near(found[1], expected[1], 0, tolerance, what, at);
    assert_near(found[2], expected[2], unit, tolerance, what, at);
}

/* The gradient of the first step, summed over its micro-batches, before any update. */
static void check_first_gradient(struct run *run)
{
    struct trace trace = {0};
    struct trainer *t = run->trainer;
    double weight = 0;
    int64_t tokens = (int64_t)t->batch.rows * t->batch.length;
    for (uint32_t micro = 0; micro < t->micros; micro++) {
        t->source.fill(t->source.payload, 0, micro, &t->batch);
        const void *data[] = {t->batch.ids, t->batch.labels, t->batch.weights};
        const enum slot_role roles[] = {SLOT_TOKENS, SLOT_LABELS, SLOT_WEIGHTS};
        for (int k = 0; k < 3; k++)
            assert_ok(
                executor_tensor_write(run->executor, t->tensors[roles[k]][0], 0, tokens, data[k], &trace),
                &trace);
        for (int64_t i = 0; i < tokens; i++)
            weight += t->batch.weights[i];
        assert_ok(executor_run(run->executor, t->routes[0], &trace), &trace);
    }
    for (uint32_t p = 0; p < t->step.parameters.count; p++) {
        int64_t count = t->step.parameters.items[p].count;
        float *data = read_tensor(run, t->tensors[SLOT_SUM][p], count);
        assert_fingerprint(data, count, 1 / weight, run->reference->gradients[p], run->tolerance.gradient,
                           "gradient", p);
        free(data);
    }
    assert_ok(trainer_clear_sums(t, &trace), &trace);
}

static enum status check_report(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    const struct run *run = payload;
    const double *expected = run->reference->steps[report->step];
    assert_near((double)report->loss, expected[0], 0, run->tolerance.loss, "loss of step", report->step);
    assert_near((double)report->gradient_norm, expected[1], 0, 10 * run->tolerance.loss,
                "gradient norm of step", report->step);
    return OK;
}

static void check_run(const struct reference_run *reference, int precision)
{
    struct trace trace = {0};
    struct run run = {.reference = reference, .tolerance = tolerances[precision]};
    struct cpu_options options = {.threads = 1, .check_finite = CPU_CHECK_FINITE};
    if (precision == 0)
        assert_ok(cpu_executor_create(&run.executor, options, &trace), &trace);
    else
        assert_ok(cpu_double_executor_create(&run.executor, options, &trace), &trace);
    struct arch arch = model_arch(), larger = arch;
    larger.hidden = 36, larger.head_dim = 8, larger.layers = 3;
    struct graph *student = model_build(arch, 1), *teacher = model_build(larger, 1000);
    const struct graph *teachers[] = {teacher};
    struct objective objectives[2];
    uint32_t count = 0;
    if (reference->kl > 0)
        objectives[count++] = (struct objective){.kind = OBJECTIVE_forward_kl, .weight = reference->kl};
    if (reference->ce > 0)
        objectives[count++] = (struct objective){.kind = OBJECTIVE_ce, .weight = reference->ce};
    struct model_data data = {.vocab = (uint32_t)arch.vocab, .micros = 2};
    struct trainer_spec spec = model_spec(run.executor, student, objectives, count, &data);
    spec.step.routes[0].teachers = teachers;
    spec.step.routes[0].teacher_count = 1;
    assert_ok(trainer_create(&run.trainer, &spec, &trace), &trace);
    struct trainer *t = run.trainer;
    assert_int_equal(t->step.parameters.count, REFERENCE_PARAMETERS);
    for (uint32_t p = 0; p < REFERENCE_PARAMETERS; p++)
        assert_string_equal(t->step.parameters.items[p].name.data, reference_names[p]);
    check_first_gradient(&run);
    struct trainer_hooks hooks = {.report = check_report, .payload = &run};
    assert_ok(trainer_run(t, &hooks, &trace), &trace);
    for (uint32_t p = 0; p < REFERENCE_PARAMETERS; p++) {
        int64_t size = t->step.parameters.items[p].count;
        float *weights = read_tensor(&run, t->tensors[SLOT_PARAMETER][p], size);
        assert_fingerprint(weights, size, 1, reference->weights[p], run.tolerance.weight, "weight", p);
        free(weights);
    }
    trainer_destroy(t);
    graph_destroy(student);
    graph_destroy(teacher);
    executor_destroy(run.executor);
}

static void trains_as_pytorch_does(void **state)
{
    (void)state;
    for (int i = 0; i < REFERENCE_RUNS; i++)
        check_run(&reference_runs[i], 0);
}

static void trains_as_pytorch_does_in_double(void **state)
{
    (void)state;
    for (int i = 0; i < REFERENCE_RUNS; i++)
        check_run(&reference_runs[i], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_as_pytorch_does),
        cmocka_unit_test(trains_as_pytorch_does_in_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
