/* The self-test: probes of single operations, the scalar functions, products with their blocks, and a row
 * reduction. */
#include "backend-vulkan/selftest.h"
#include "backend-vulkan/commands.h"
#include "backend-vulkan/lower.h"
#include "base/log.h"
#include "shaders/include/push/elements.h"
#include "shaders/include/push/matmul.h"
#include "shaders/include/push/rows.h"
#include "shaders/selftest_arithmetic.h"
#include "shaders/selftest_scalar.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBES_OF = 4096, SIDE = 24, DEPTH = 600, ROWS = 4, COLUMNS = 333 };

struct selftest {
    struct engine *engine;
    struct selftest_verdict *verdict;
    struct trace *trace;
};

/* Made-up bits: a counter through a multiplicative hash (Knuth TAOCP 3, 6.4), as everything here must not
 * need a device. */
static uint scramble(uint i)
{
    uint u = i * 2654435761u;
    u = (u ^ (u >> 15)) * 2246822519u;
    return u ^ (u >> 13);
}

/* A canonical number: one in four at the edge of the canonical range, the others of ordinary size. */
static float made_up(uint i)
{
    uint u = scramble(i), exponent = (u >> 8 & 3) == 0 ? 76 + (u >> 10 & 1) : 117 + (u >> 10 & 15);
    uint bits = (u & 0x80000000u) | exponent << 23 | (scramble(i + 77777u) & 0x007fffffu);
    return gm_float((u & 0xff) == 0 ? 0u : bits);
}

static uint32_t *words(size_t count)
{
    uint32_t *result = calloc(count, sizeof *result);
    if (!result)
        BUG("out of memory");
    return result;
}

/* Compares `count` words; the verdict tells the first difference. */
static void compare(struct selftest *t, const char *what, const uint32_t *got, const void *expected,
                    size_t count, size_t period)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t want;
        memcpy(&want, (const char *)expected + i * sizeof want, sizeof want);
        if (got[i] != want) {
            t->verdict->passed = false;
            snprintf(t->verdict->why, sizeof t->verdict->why,
                     "%s %zu, case %zu: %08" PRIx32 " instead of %08" PRIx32, what, i / period, i % period,
                     got[i], want);
            return;
        }
    }
}

/* Runs one kernel on a fresh list of commands; the last span that it writes is read into `got`. */
static enum status run_special(struct selftest *t, enum kernel kernel, const uint32_t *constants,
                               const struct span *spans, const void *push, uint64_t groups, uint32_t *got)
{
    struct commands commands;
    const char *access = kernel_table[kernel].access;
    const struct span *result = &spans[strrchr(access, 'w') - access];
    commands_init(&commands, &t->engine->memory, &t->engine->pipelines);
    struct launch *launch = commands_add(&commands, kernel, spans, push, groups, 1);
    if (constants)
        memcpy(launch->constants, constants, sizeof launch->constants);
    enum status status = commands_record(&commands, t->trace);
    if (status == OK)
        status = commands_run(&commands, t->trace);
    if (status == OK)
        status = memory_read(&t->engine->memory, result->piece, result->first, result->count, got, t->trace);
    commands_release(&commands);
    return status;
}

static enum status run_one(struct selftest *t, enum kernel kernel, const struct span *spans, const void *push,
                           uint64_t groups, uint32_t *got)
{
    return run_special(t, kernel, NULL, spans, push, groups, got);
}

static enum status create(struct selftest *t, enum dtype dtype, uint64_t count, const void *data,
                          struct span *out)
{
    *out = (struct span){.count = count};
    TRY(memory_create(&t->engine->memory, dtype, count, &out->piece, t->trace));
    return data ? memory_write(&t->engine->memory, out->piece, 0, count, data, t->trace) : OK;
}

static enum status probe_arithmetic(struct selftest *t)
{
    struct span spans[2];
    size_t count = PROBES_OF * GM_PROBES;
    float *x = (float *)words(3 * PROBES_OF);
    uint32_t *got = words(count), *expected = words(count);
    for (uint i = 0; i < 3 * PROBES_OF; i++)
        x[i] = made_up(i);
    for (uint i = 0; i < count; i++) {
        const float *at = &x[i % PROBES_OF * 3];
        expected[i] = gm_probe(i / PROBES_OF, at[0], at[1], at[2]);
    }
    struct push_elements push = {.count = PROBES_OF};
    enum status status = create(t, DTYPE_F32, 3 * PROBES_OF, x, &spans[0]);
    if (status == OK)
        status = create(t, DTYPE_I32, count, NULL, &spans[1]);
    if (status == OK)
        status = run_one(t, KERNEL_selftest_arithmetic, spans, &push, lower_groups(count), got);
    if (status == OK)
        compare(t, "arithmetic probe", got, expected, count, PROBES_OF);
    free(x);
    free(got);
    free(expected);
    return status;
}

static enum status probe_functions(struct selftest *t)
{
    struct span span;
    size_t count = (size_t)GM_SELFTEST_FUNCTIONS * GM_SELFTEST_INDICES;
    uint32_t *got = words(count), *expected = words(count);
    for (uint f = 0; f < GM_SELFTEST_FUNCTIONS; f++)
        for (uint i = 0; i < GM_SELFTEST_INDICES; i++)
            expected[f * GM_SELFTEST_INDICES + i] = gm_selftest(f, i);
    struct push_elements push = {.count = GM_SELFTEST_INDICES};
    enum status status = create(t, DTYPE_I32, count, NULL, &span);
    if (status == OK)
        status = run_one(t, KERNEL_selftest_scalar, &span, &push, lower_groups(count), got);
    if (status == OK)
        compare(t, "scalar function", got, expected, count, GM_SELFTEST_INDICES);
    free(got);
    free(expected);
    return status;
}

/* y = x * w in the golden order, as text of the contract. */
static void multiply(float *y, const float *x, const float *w)
{
    for (uint m = 0; m < SIDE; m++)
        for (uint n = 0; n < SIDE; n++) {
            float total = gm_float(0);
            for (uint block = 0; block < DEPTH; block += 512) {
                float s = gm_float(0);
                for (uint k = block; k < DEPTH && k < block + 512; k++)
                    s = s + x[m * DEPTH + k] * w[k * SIDE + n];
                total = total + s;
            }
            y[m * SIDE + n] = gm_flush(total);
        }
}

/* y [SIDE, SIDE] = x [SIDE, DEPTH] * w [DEPTH, SIDE] on the device. */
struct product_probe {
    float *x, *w;
    uint32_t *got;
    struct span spans[DEVICE_BINDINGS];
    struct push_matmul push;
};

static enum status open_product(struct product_probe *out, struct selftest *t)
{
    *out = (struct product_probe){.x = (float *)words(SIDE * DEPTH),
                                  .w = (float *)words(SIDE * DEPTH),
                                  .got = words(SIDE * SIDE),
                                  .push = {.rows = SIDE,
                                           .columns = SIDE,
                                           .depth = DEPTH,
                                           .x_row = DEPTH,
                                           .x_step = 1,
                                           .w_step = SIDE,
                                           .w_column = 1,
                                           .y_row = SIDE}};
    for (uint i = 0; i < SIDE * DEPTH; i++) {
        out->x[i] = made_up(i);
        out->w[i] = made_up(i + 1000003u);
    }
    TRY(create(t, DTYPE_F32, SIDE * DEPTH, out->x, &out->spans[0]));
    TRY(create(t, DTYPE_F32, SIDE * DEPTH, out->w, &out->spans[1]));
    return create(t, DTYPE_F32, SIDE * SIDE, NULL, &out->spans[2]);
}

static void close_product(struct product_probe *probe)
{
    free(probe->x);
    free(probe->w);
    free(probe->got);
}

static enum status run_product(struct selftest *t, struct product_probe *probe, enum variant variant)
{
    const struct matrices *matrices = &t->engine->device.matrices;
    uint32_t constants[KERNEL_CONSTANTS];
    variant_specialise(constants, variant, matrices, &probe->push);
    TRY(memory_zero(&t->engine->memory, probe->spans[2].piece, t->trace)); /* of what ran before */
    return run_special(t, variant_table[variant].kernel, constants, probe->spans, &probe->push,
                       variant_groups(variant, matrices, SIDE, SIDE), probe->got);
}

/* The simplest kernel, and the one for large products. */
static enum status probe_products(struct selftest *t)
{
    struct tuning golden = t->engine->tuning;
    struct product_probe probe;
    float *expected = (float *)words(SIDE * SIDE);
    if (golden.arithmetic != ARITHMETIC_f32)
        tuning_assume(&golden, &t->engine->device, ARITHMETIC_f32);
    const enum variant variants[] = {VARIANT_simple, tuning_choose(&golden, PRODUCT_NN, 1024, 1024)};
    enum status status = open_product(&probe, t);
    multiply(expected, probe.x, probe.w);
    for (uint32_t i = 0; i < 2 && status == OK && t->verdict->passed; i++) {
        status = run_product(t, &probe, variants[i]);
        if (status == OK)
            compare(t, i ? "row of the large product" : "row of the product", probe.got, expected,
                    SIDE * SIDE, SIDE);
    }
    close_product(&probe);
    free(expected);
    return status;
}

/* Whether an output is as close to the product as rounding allows: of every operand, and of the sum. */
static bool is_close(const struct product_probe *probe, uint m, uint n, const struct arithmetic_info *info)
{
    double sum = 0, room = 0;
    for (uint k = 0; k < DEPTH; k++) {
        double u = (double)probe->x[m * DEPTH + k], v = (double)probe->w[k * SIDE + n], p = u * v;
        double size = p < 0 ? -p : p;
        sum += p;
        room += size * (info->error + DEPTH * 0x1p-22) + info->least * ((u < 0 ? -u : u) + (v < 0 ? -v : v));
    }
    double difference = (double)gm_float(probe->got[m * SIDE + n]) - sum;
    return difference <= room && -difference <= room; /* and no NaN */
}

/* A variant whose bytes are not those of the first, which the probe has, is never used. */
static enum status drop_others(struct selftest *t, struct product_probe *probe)
{
    struct tuning *tuning = &t->engine->tuning;
    enum variant first = variant_reference(tuning->arithmetic);
    uint32_t *expected = words(SIDE * SIDE);
    memcpy(expected, probe->got, SIDE * SIDE * sizeof *expected);
    enum status status = OK;
    for (uint32_t v = first + 1; v < VARIANT_COUNT && status == OK; v++) {
        if (variant_table[v].arithmetic != tuning->arithmetic ||
            !variant_is_possible(v, &t->engine->device.matrices))
            continue;
        status = run_product(t, probe, v);
        tuning->is_dropped[v] = memcmp(expected, probe->got, SIDE * SIDE * sizeof *expected) != 0;
    }
    free(expected);
    return status;
}

/* The product by which others of the engine's arithmetic are judged, against double precision. */
static enum status probe_arithmetic_of_products(struct selftest *t)
{
    const struct arithmetic_info *info = &arithmetic_table[t->engine->tuning.arithmetic];
    struct product_probe probe;
    enum status status = open_product(&probe, t);
    if (status == OK)
        status = run_product(t, &probe, variant_reference(t->engine->tuning.arithmetic));
    for (uint i = 0; i < SIDE * SIDE && status == OK && t->verdict->passed; i++)
        if (!is_close(&probe, i / SIDE, i % SIDE, info)) {
            t->verdict->passed = false;
            snprintf(t->verdict->why, sizeof t->verdict->why, "products by %s are wrong at row %u, column %u",
                     info->name, i / SIDE, i % SIDE);
        }
    if (status == OK && t->verdict->passed)
        status = drop_others(t, &probe);
    close_product(&probe);
    return status;
}

static void add_rows(float *y, const float *x)
{
    for (uint row = 0; row < ROWS; row++) {
        float lanes[64] = {0};
        for (uint i = 0; i < COLUMNS; i++)
            lanes[i % 64] = lanes[i % 64] + x[row * COLUMNS + i] * x[row * COLUMNS + i];
        for (uint h = 32; h > 0; h /= 2)
            for (uint l = 0; l < h; l++)
                lanes[l] = lanes[l] + lanes[l + h];
        y[row] =
            gm_flush(gm_rsqrt(lanes[0] * gm_rcp(gm_from_uint(COLUMNS)) + gm_float(0x3727c5acu))); /* 1e-5 */
    }
}

static enum status probe_rows(struct selftest *t)
{
    struct span spans[DEVICE_BINDINGS] = {0};
    float x[ROWS * COLUMNS], w[COLUMNS], expected[ROWS];
    uint32_t got[ROWS];
    for (uint i = 0; i < ROWS * COLUMNS; i++)
        x[i] = made_up(i + 55u);
    for (uint i = 0; i < COLUMNS; i++)
        w[i] = made_up(i + 99u);
    add_rows(expected, x);
    struct push_rows push = {.rows = ROWS,
                             .columns = COLUMNS,
                             .reciprocal = gm_rcp(gm_from_uint(COLUMNS)),
                             .epsilon = gm_float(0x3727c5acu)};
    TRY(create(t, DTYPE_F32, ROWS * COLUMNS, x, &spans[0]));
    TRY(create(t, DTYPE_F32, COLUMNS, w, &spans[1]));
    TRY(create(t, DTYPE_F32, ROWS * COLUMNS, NULL, &spans[2]));
    TRY(create(t, DTYPE_F32, ROWS, NULL, &spans[3]));
    TRY(run_one(t, KERNEL_rmsnorm, spans, &push, ROWS, got));
    compare(t, "row sum", got, expected, ROWS, 1);
    return OK;
}

static enum status probe_attention(struct selftest *t)
{
    const char *name = arithmetic_table[t->engine->tuning.arithmetic].name;
    if (!arithmetic_has_matrices(t->engine->tuning.arithmetic))
        return OK;
    TRY(selftest_attention(&t->verdict->passed, t->engine, t->trace));
    if (!t->verdict->passed)
        snprintf(t->verdict->why, sizeof t->verdict->why, "attention by %s is wrong", name);
    return OK;
}

typedef enum status selftest_part(struct selftest *);

static enum status run_parts(struct selftest *t, selftest_part *const *parts, size_t count)
{
    uint32_t before = t->engine->memory.pieces.count;
    enum status status = OK;
    *t->verdict = (struct selftest_verdict){.passed = true};
    for (size_t i = 0; i < count && status == OK && t->verdict->passed; i++)
        status = parts[i](t);
    for (uint32_t i = before; i < t->engine->memory.pieces.count; i++)
        if (t->engine->memory.pieces.items[i].is_live)
            memory_destroy(&t->engine->memory, i);
    return status;
}

enum status selftest_run(struct selftest_verdict *out, struct engine *engine, struct trace *trace)
{
    selftest_part *const parts[] = {probe_arithmetic, probe_functions, probe_products, probe_rows};
    struct selftest test = {.engine = engine, .verdict = out, .trace = trace};
    TRY(run_parts(&test, parts, sizeof parts / sizeof *parts));
    if (out->passed)
        snprintf(out->why, sizeof out->why,
                 "%u operations and %u functions of %u inputs, products and row sums agree", GM_PROBES,
                 GM_SELFTEST_FUNCTIONS, GM_SELFTEST_INDICES);
    return OK;
}

/* A variant that was asked for is the one that runs. */
static enum status check_forced(const struct tuning *tuning, const char *variant, struct trace *trace)
{
    for (uint32_t v = 0; v < VARIANT_COUNT && variant; v++)
        if (tuning->is_dropped[v] && strcmp(variant_table[v].name, variant) == 0)
            return status_fail(trace, DEVICE, "%s has other bytes than %s", variant,
                               variant_table[variant_reference(tuning->arithmetic)].name);
    return OK;
}

enum status selftest_settle(struct engine *engine, const struct vulkan_options *options, struct trace *trace)
{
    selftest_part *const parts[] = {probe_arithmetic_of_products, probe_attention};
    struct selftest_verdict verdict;
    struct selftest test = {.engine = engine, .verdict = &verdict, .trace = trace};
    while (engine->tuning.arithmetic != ARITHMETIC_f32) {
        TRY(run_parts(&test, parts, 2));
        if (verdict.passed)
            return check_forced(&engine->tuning, options->variant, trace);
        if (options->arithmetic || options->variant)
            return status_fail(trace, DEVICE, "%s", verdict.why);
        enum arithmetic next = arithmetic_choose(&engine->device, engine->tuning.arithmetic);
        log_note("%s: %s takes its place", verdict.why, arithmetic_table[next].name);
        tuning_assume(&engine->tuning, &engine->device, next);
    }
    return OK;
}
