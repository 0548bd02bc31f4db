/* How fast a distillation step is: tokens a second of forward KL with clipping and AdamW, on the twin or on a
 * Vulkan device. bench/distill_step.py runs the same shapes in PyTorch; bench/distill_step.sh runs both in
 * turns, and has the shapes of three sizes.
 *
 *   bench/distill_step [-t THREADS] [-n golden|fast] [-d VULKAN_DEVICE] [-s STEPS] [-m MICRO] [-v VOCABULARY]
 *       [-b BATCH] [-l LENGTH] [LAYERS,HIDDEN,HEADS,KV_HEADS,HEAD_DIM,FFN of the teacher, the same of the
 * student] */
#include "backend-cpu/cpu.h"
#include "backend-vulkan/vulkan.h"
#include "train/arch.h"
#include "train/init.h"
#include "train/trainer.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WARMUP = 2, TEACHER = 0, STUDENT = 1 };

struct settings {
    const char *device; /* of Vulkan; NULL: the twin */
    struct cpu_options cpu;
    uint32_t steps, micro, batch, length, vocabulary;
    struct arch archs[2]; /* teacher, student */
};

static const struct settings usual = {
    .cpu = {.threads = 2},
    .steps = 9,
    .batch = 16,
    .length = 256,
    .vocabulary = 512,
    .archs = {{.layers = 6, .hidden = 128, .heads = 8, .kv_heads = 4, .head_dim = 16, .ffn = 384},
              {.layers = 6, .hidden = 96, .heads = 6, .kv_heads = 3, .head_dim = 16, .ffn = 256}},
};

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
    const struct settings *settings = payload;
    uint32_t state = (uint32_t)step * 97 + micro * 31 + 1;
    for (uint32_t i = 0; i < out->rows * out->length; i++) {
        state = state * 1664525u + 1013904223u;
        out->ids[i] = (int32_t)((state >> 8) % settings->vocabulary);
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
                       struct settings *settings, struct trace *trace)
{
    static const struct objective kl = {.kind = OBJECTIVE_forward_kl, .weight = 1};
    const struct graph *teacher = models[TEACHER];
    struct trainer_spec spec = {
        .executor = executor,
        .step =
            {.student = models[STUDENT],
             .routes = {{.teachers = &teacher, .teacher_count = 1, .objectives = &kl, .objective_count = 1}},
             .micro = settings->micro ? settings->micro : settings->batch,
             .length = settings->length,
             .lanes = 1},
        .batch = settings->batch,
        .schedule = {.kind = SCHEDULE_cosine, .steps = WARMUP + settings->steps, .peak = 0x1p-10f},
        .adamw = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decay = 0.01f, .max_norm = 1},
        .source = {.fill = fill_tokens, .payload = settings},
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
static void report(const char *name, const struct graph *const models[2], const struct times *times,
                   const struct settings *settings)
{
    uint32_t count = times->count - WARMUP;
    double *durations = calloc(count, sizeof *durations);
    if (!durations)
        return;
    for (uint32_t i = 0; i < count; i++)
        durations[i] = times->ends[WARMUP + i] - times->ends[WARMUP + i - 1];
    qsort(durations, count, sizeof *durations, compare);
    fprintf(stderr, "%s: teacher %" PRId64 ", student %" PRId64 " parameters, last loss %g\n", name,
            parameters(models[TEACHER]), parameters(models[STUDENT]), (double)times->loss);
    printf("%.0f\n", settings->batch * settings->length / durations[count / 2]);
    free(durations);
}

static bool read_arch(struct arch *out, const char *text)
{
    return sscanf(text, "%" SCNi64 ",%" SCNi64 ",%" SCNi64 ",%" SCNi64 ",%" SCNi64 ",%" SCNi64, &out->layers,
                  &out->hidden, &out->heads, &out->kv_heads, &out->head_dim, &out->ffn) == 6;
}

static bool read_settings(struct settings *out, int argc, char **argv)
{
    *out = usual;
    bool good = true;
    for (int c; (c = getopt(argc, argv, "t:n:d:s:m:v:b:l:")) != -1;) {
        uint32_t *number = c == 't'   ? &out->cpu.threads
                           : c == 's' ? &out->steps
                           : c == 'm' ? &out->micro
                           : c == 'v' ? &out->vocabulary
                           : c == 'b' ? &out->batch
                           : c == 'l' ? &out->length
                                      : NULL;
        if (number)
            *number = (uint32_t)atoi(optarg);
        else if (c == 'n')
            good = good && numerics_find(&out->cpu.numerics, str_from(optarg));
        else if (c == 'd')
            out->device = optarg;
        else
            good = false;
    }
    if (optind < argc)
        good = good && argc - optind == 2 && read_arch(&out->archs[TEACHER], argv[optind]) &&
               read_arch(&out->archs[STUDENT], argv[optind + 1]);
    out->archs[TEACHER].vocab = out->archs[STUDENT].vocab = out->vocabulary;
    return good && out->steps > 0 && out->batch > 0 && out->length > 1 && out->vocabulary > 0;
}

/* As `espalier run` opens them. */
static enum status open_executor(struct executor **out, const struct settings *settings, struct trace *trace)
{
    struct cpu_options cpu = settings->cpu;
    cpu.check_finite = CPU_CHECK_FINITE;
    struct vulkan_options vulkan = {
        .selector = settings->device, .cache = getenv("CACHE"), .finite = VULKAN_FINITE_CHECKED};
    return settings->device ? vulkan_executor_create(out, &vulkan, trace)
                            : cpu_executor_create(out, cpu, trace);
}

int main(int argc, char **argv)
{
    struct settings settings;
    struct trace trace = {0};
    struct executor *executor = NULL;
    struct graph *models[2] = {NULL, NULL};
    if (!read_settings(&settings, argc, argv)) {
        fprintf(stderr, "see the head of bench/distill_step.c\n");
        return 2;
    }
    struct times times = {.ends = calloc(WARMUP + settings.steps, sizeof *times.ends)};
    enum status status = times.ends ? open_executor(&executor, &settings, &trace) : IO;
    for (uint32_t i = 0; i < 2 && status == OK; i++)
        status = build_model(&models[i], &settings.archs[i], i + 1, &trace);
    if (status == OK)
        status = run(executor, models, &times, &settings, &trace);
    if (status == OK)
        report(executor->name, (const struct graph *const *)models, &times, &settings);
    else
        fprintf(stderr, "%s\n", trace.text);
    executor_destroy(executor);
    graph_destroy(models[TEACHER]);
    graph_destroy(models[STUDENT]);
    free(times.ends);
    return status == OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
