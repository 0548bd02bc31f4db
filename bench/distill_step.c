/* How fast a distillation step is on the twin: tokens a second of forward KL with clipping and AdamW, teacher
 * 1.3 M parameters, student 0.7 M, vocabulary 512, batch 16 x 256. bench/distill_step.py runs the same shapes
 * in PyTorch; bench/distill_step.sh runs both in turns.
 *
 *   bench/distill_step [threads [steps [micro]]] */
#include "backend-cpu/cpu.h"
#include "train/arch.h"
#include "train/init.h"
#include "train/trainer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { VOCABULARY = 512, BATCH = 16, LENGTH = 256, WARMUP = 2 };

static const struct arch teacher_arch = {
    .layers = 6, .hidden = 128, .heads = 8, .kv_heads = 4, .head_dim = 16, .ffn = 384, .vocab = VOCABULARY};
static const struct arch student_arch = {
    .layers = 6, .hidden = 96, .heads = 6, .kv_heads = 3, .head_dim = 16, .ffn = 256, .vocab = VOCABULARY};

/* The clock at the end of every step. */
struct times {
    uint32_t count;
    double *ends;
    float loss;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static enum status note_time(void *payload, const struct trainer_report *report, struct trace *trace)
{
    (void)trace;
    struct times *times = payload;
    times->ends[times->count++] = seconds();
    times->loss = report->loss;
    return OK;
}

/* Any tokens: the time does not depend on them. */
static void fill_tokens(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    (void)payload;
    uint32_t state = (uint32_t)step * 97 + micro * 31 + 1;
    for (uint32_t i = 0; i < out->rows * out->length; i++) {
        state = state * 1664525u + 1013904223u;
        out->ids[i] = (int32_t)(state >> 23);
        out->labels[i] = 0;
        out->weights[i] = 1;
    }
}

static enum status build_model(struct graph **out, const struct arch *arch, uint64_t seed,
                               struct trace *trace)
{
    struct arena arena = {0};
    struct init_plan plan;
    struct init_options options = {.seed = seed};
    TRY(arch_build(out, arch, trace));
    enum status status = init_plan_make(&plan, &arena, *out, &options, trace);
    if (status == OK)
        init_fill(&plan, *out);
    arena_release(&arena);
    return status;
}

static int64_t parameters(const struct graph *graph)
{
    int64_t count = 0;
    for (uint32_t t = 0; t < graph->tensors.count; t++)
        count += tensor_is_constant(graph, t) ? 0 : tensor_view_count(&graph->tensors.items[t].view);
    return count;
}

static enum status run(struct executor *executor, struct graph *const models[2], struct times *times,
                       uint32_t steps, uint32_t micro, struct trace *trace)
{
    static const struct objective kl = {.kind = OBJECTIVE_forward_kl, .weight = 1};
    const struct graph *teacher = models[0];
    struct trainer_spec spec = {
        .executor = executor,
        .step =
            {.student = models[1],
             .routes = {{.teachers = &teacher, .teacher_count = 1, .objectives = &kl, .objective_count = 1}},
             .micro = micro,
             .length = LENGTH,
             .lanes = 1},
        .batch = BATCH,
        .schedule = {.kind = SCHEDULE_cosine, .steps = steps, .peak = 0x1p-10f},
        .adamw = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decay = 0.01f, .max_norm = 1},
        .source = {.fill = fill_tokens},
    };
    struct trainer_hooks hooks = {.report = note_time, .payload = times};
    struct trainer *trainer;
    TRY(trainer_create(&trainer, &spec, trace));
    enum status status = trainer_run(trainer, &hooks, trace);
    trainer_destroy(trainer);
    return status;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median step: other programs disturb single steps. */
static void report(const struct graph *const models[2], const struct times *times)
{
    uint32_t count = times->count - WARMUP;
    double *durations = calloc(count, sizeof *durations);
    if (!durations)
        return;
    for (uint32_t i = 0; i < count; i++)
        durations[i] = times->ends[WARMUP + i] - times->ends[WARMUP + i - 1];
    qsort(durations, count, sizeof *durations, compare);
    fprintf(stderr, "teacher %" PRId64 ", student %" PRId64 " parameters, last loss %g\n",
            parameters(models[0]), parameters(models[1]), (double)times->loss);
    printf("%.0f\n", BATCH * LENGTH / durations[count / 2]);
    free(durations);
}

int main(int argc, char **argv)
{
    struct cpu_options options = {.threads = argc > 1 ? (uint32_t)atoi(argv[1]) : 2};
    uint32_t steps = WARMUP + (argc > 2 ? (uint32_t)atoi(argv[2]) : 9);
    uint32_t micro = argc > 3 ? (uint32_t)atoi(argv[3]) : BATCH;
    struct trace trace = {0};
    struct executor *executor = NULL;
    struct graph *models[2] = {NULL, NULL};
    struct times times = {.ends = calloc(steps, sizeof *times.ends)};
    enum status status = times.ends ? OK : IO;
    if (status == OK)
        status = cpu_executor_create(&executor, options, &trace);
    if (status == OK)
        status = build_model(&models[0], &teacher_arch, 1, &trace);
    if (status == OK)
        status = build_model(&models[1], &student_arch, 2, &trace);
    if (status == OK)
        status = run(executor, models, &times, steps, micro, &trace);
    if (status == OK)
        report((const struct graph *const *)models, &times);
    else
        fprintf(stderr, "%s\n", trace.text);
    executor_destroy(executor);
    graph_destroy(models[0]);
    graph_destroy(models[1]);
    free(times.ends);
    return status == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
