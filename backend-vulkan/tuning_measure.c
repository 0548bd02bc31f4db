/* Each variant multiplies the same matrices as the first of its arithmetic, in every form; one whose bytes
 * differ is never used. */
#include "backend-vulkan/tuning_measure.h"
#include "backend-vulkan/compile.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "ir/build.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 3, FILE_LIMIT = 1 << 16 };

/* Matrices of size x size: a processor is busy with few groups, a graphics processor needs many. */
struct bench {
    struct engine *engine;
    struct graph *graph;
    uint32_t size;
    struct binding bindings[3]; /* x, w, y */
    enum arithmetic arithmetic; /* whose variants are measured */
    uint32_t *first, *got;      /* the bits of its first variant, and of this one */
    struct trace *trace;
};

static const enum op form_ops[PRODUCT_FORMS] = {OP_matmul_nn, OP_matmul_nt, OP_matmul_tn};

/* A software driver works in this process: its own time does not depend on what else runs here. */
static double spent(const struct engine *engine)
{
    struct timespec now;
    if (!engine->device.is_software)
        return clock_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The best of several runs, in seconds. */
static enum status time_program(struct vulkan_program *program, double *seconds, struct trace *trace)
{
    *seconds = INFINITY;
    TRY(vulkan_program_run(program, trace)); /* drivers compile now */
    for (uint32_t i = 0; i < RUNS; i++) {
        double start = spent(program->engine);
        TRY(vulkan_program_run(program, trace));
        double taken = spent(program->engine) - start;
        *seconds = taken < *seconds ? taken : *seconds;
    }
    return OK;
}

static enum status time_variant(struct bench *b, enum variant variant, double *seconds)
{
    enum variant reference = variant_reference(b->arithmetic); /* the first row, so the first measured */
    struct vulkan_program *program;
    struct program_spec spec = {.graph = b->graph, .bindings = b->bindings, .binding_count = 3};
    TRY(tuning_force(&b->engine->tuning, variant_table[variant].name, b->trace));
    TRY(memory_zero(&b->engine->memory, b->bindings[2].tensor, b->trace)); /* of what ran before */
    TRY(vulkan_program_create(&program, b->engine, &spec, VULKAN_FINITE_UNCHECKED, NULL, b->trace));
    enum status status = time_program(program, seconds, b->trace);
    vulkan_program_destroy(program);
    uint64_t count = (uint64_t)b->size * b->size;
    if (status == OK)
        status = memory_read(&b->engine->memory, b->bindings[2].tensor, 0, count,
                             variant == reference ? b->first : b->got, b->trace);
    if (status == OK && variant != reference && memcmp(b->first, b->got, count * 4) != 0)
        *seconds = INFINITY;
    return status;
}

/* Not what is assumed to be hopeless here, but always the one that others are compared with. */
static bool is_measured(const struct bench *b, enum variant variant)
{
    float best = INFINITY;
    bool is_software = b->engine->device.is_software;
    for (uint32_t v = 0; v < VARIANT_COUNT; v++)
        if (variant_table[v].arithmetic == b->arithmetic && variant_table[v].assumed[!is_software] < best)
            best = variant_table[v].assumed[!is_software];
    return variant == variant_reference(b->arithmetic) ||
           (variant_is_possible(variant, &b->engine->device.matrices) &&
            variant_table[variant].assumed[!is_software] < 4 * best);
}

static enum status time_form(struct bench *b, enum product_form form, struct tuning *out)
{
    b->graph = graph_create();
    uint32_t axes[2] = {dims_leaf(&b->graph->dims, b->size), dims_leaf(&b->graph->dims, b->size)};
    uint32_t inputs[2] = {build_input(b->graph, "x", DTYPE_F32, 2, axes),
                          build_input(b->graph, "w", DTYPE_F32, 2, axes)};
    uint32_t y = build_op(b->graph, form_ops[form], inputs, &(struct build_attributes){0});
    build_output(b->graph, "y", y);
    b->bindings[0].value = inputs[0];
    b->bindings[1].value = inputs[1];
    b->bindings[2].value = y;
    enum status status = OK;
    for (uint32_t v = 0; v < VARIANT_COUNT && status == OK; v++) {
        double seconds = INFINITY;
        if (variant_table[v].arithmetic != b->arithmetic)
            continue;
        if (is_measured(b, v))
            status = time_variant(b, v, &seconds);
        uint64_t groups = variant_groups(v, &b->engine->device.matrices, b->size, b->size);
        out->cost[v][form] = (float)(1e9 * seconds / (double)groups / b->size);
    }
    graph_destroy(b->graph);
    return status;
}

/* Numbers between -1 and 1, as weights and states have them. */
static enum status fill(struct bench *b, uint32_t tensor, uint32_t seed)
{
    uint64_t count = (uint64_t)b->size * b->size;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t u = ((uint32_t)i + seed) * 2654435761u;
        float x = (float)(int32_t)(u ^ u >> 15) * 0x1p-31f;
        memcpy(&b->got[i], &x, sizeof x);
    }
    return memory_write(&b->engine->memory, tensor, 0, count, b->got, b->trace);
}

static enum status measure(struct engine *engine, struct tuning *out, struct trace *trace)
{
    struct bench b = {.engine = engine,
                      .size = engine->device.is_software ? 256 : 1024,
                      .arithmetic = out->arithmetic,
                      .trace = trace};
    size_t count = (size_t)b.size * b.size;
    uint32_t made = 0;
    b.first = calloc(count, sizeof *b.first);
    b.got = calloc(count, sizeof *b.got);
    if (!b.first || !b.got)
        BUG("out of memory");
    enum status status = OK;
    for (; made < 3 && status == OK; made += status == OK)
        status = memory_create(&engine->memory, DTYPE_F32, count, &b.bindings[made].tensor, trace);
    for (uint32_t i = 0; i < 2 && status == OK; i++)
        status = fill(&b, b.bindings[i].tensor, 77 * i);
    for (uint32_t form = 0; form < PRODUCT_FORMS && status == OK; form++)
        status = time_form(&b, form, out);
    for (uint32_t i = 0; i < made; i++)
        memory_destroy(&engine->memory, b.bindings[i].tensor);
    free(b.first);
    free(b.got);
    out->is_measured = true;
    return status;
}

/* All that the costs depend on: device, driver, and the kernels with their variants. */
static const char *head_of(const struct engine *engine, struct arena *arena)
{
    char hex[HASH128_HEX];
    struct vulkan_device_info info = instance_describe(engine->device.physical, arena);
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(engine->device.physical, &p);
    struct hasher *hasher = hasher_create();
    hasher_update(hasher, p.pipelineCacheUUID, sizeof p.pipelineCacheUUID);
    const struct kernel_info *repack = &kernel_table[KERNEL_repack]; /* which some variants need first */
    hasher_update(hasher, repack->code, *repack->code_size);
    for (uint32_t v = 0; v < VARIANT_COUNT; v++) {
        const struct variant_info *variant = &variant_table[v];
        const struct kernel_info *kernel = &kernel_table[variant->kernel];
        const uint32_t shape[] = {variant->rows, variant->columns};
        hasher_update(hasher, kernel->code, *kernel->code_size);
        hasher_update(hasher, variant->name, strlen(variant->name));
        hasher_update(hasher, shape, sizeof shape);
        hasher_update(hasher, variant->constants, sizeof variant->constants);
        hasher_update(hasher, variant->assumed, sizeof variant->assumed); /* what is not measured */
    }
    hash128_to_hex(hasher_finish(hasher), hex);
    hasher_destroy(hasher);
    const char *head = arena_printf(arena,
                                    "espalier-kernels 1, %s, %s, vendor %08" PRIx32 ", device %08" PRIx32
                                    ", driver %08" PRIx32 ", bindings %" PRIu64 ", kernels %s",
                                    info.name, info.driver, p.vendorID, p.deviceID, p.driverVersion,
                                    engine->device.max_binding, hex);
    return engine->tuning.arithmetic == ARITHMETIC_f32
               ? head
               : arena_printf(arena, "%s, %s", head, arithmetic_table[engine->tuning.arithmetic].name);
}

const char *engine_tuning_path(const struct engine *engine, const char *folder, struct arena *arena)
{
    char hex[HASH128_HEX];
    const char *head = head_of(engine, arena);
    hash128_to_hex(hash128_of(head, strlen(head)), hex);
    return arena_printf(arena, "%s/kernels-%s.txt", folder, hex);
}

/* Losing it costs a measurement at the next start. */
static void keep(const struct tuning *tuning, const char *folder, const char *path, const char *head,
                 struct arena *arena)
{
    struct trace trace = {0};
    const char *text = tuning_print(tuning, head, arena);
    if (directory_create(folder, &trace) != OK || file_write(path, text, strlen(text), &trace) != OK)
        log_detail("what was measured of kernels is not kept: %s", trace.text);
}

enum status engine_tune(struct engine *engine, const char *folder, struct trace *trace)
{
    struct arena arena = {0};
    struct builder text = {0};
    struct trace none = {0};
    const char *path = engine_tuning_path(engine, folder, &arena), *head = head_of(engine, &arena);
    struct tuning tuning;
    tuning_assume(&tuning, &engine->device, engine->tuning.arithmetic);
    memcpy(tuning.is_dropped, engine->tuning.is_dropped, sizeof tuning.is_dropped);
    struct tuning assumed = tuning;
    enum status status = OK;
    if (file_read(&text, path, FILE_LIMIT, &none) != OK ||
        !tuning_parse(&tuning, builder_text(&text), head)) {
        tuning = assumed;
        status = measure(engine, &tuning, trace);
        if (status == OK) {
            tuning_settle(&tuning);
            keep(&tuning, folder, path, head, &arena);
        }
    }
    engine->tuning = status == OK ? tuning : assumed;
    builder_release(&text);
    arena_release(&arena);
    return status;
}
