/* Attention with its gradients by cooperative matrices, compared with the kernels that do without: the same
 * graph is compiled under both arithmetics. Heads are wider than what is multiplied at once, and no size is a
 * multiple of a tile's. */
#include "backend-vulkan/compile.h"
#include "backend-vulkan/selftest.h"
#include "ir/build.h"
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 45, HEADS = 2, WIDTH = 72, RESULTS = 4, TENSORS = 4 + RESULTS };

struct attention_probe {
    struct engine *engine;
    struct graph *graph;
    struct binding bindings[TENSORS]; /* q, k, v, do; o, dq, dk, dv */
    uint64_t counts[TENSORS];
    float *results[2]; /* of f32, of the arithmetic: all one after the other */
};

static void build(struct attention_probe *p)
{
    struct graph *g = p->graph = graph_create();
    uint32_t batch = dims_leaf(&g->dims, 1), length = dims_leaf(&g->dims, LENGTH),
             wide = dims_leaf(&g->dims, HEADS * WIDTH), narrow = dims_leaf(&g->dims, WIDTH);
    const uint32_t queries[] = {batch, length, wide}, keys[] = {batch, length, narrow};
    struct build_attributes attributes = {.heads = HEADS, .kv_heads = 1, .scale = 0.125f, .causal = 1};
    uint32_t q = build_input(g, "q", DTYPE_F32, 3, queries), k = build_input(g, "k", DTYPE_F32, 3, keys),
             v = build_input(g, "v", DTYPE_F32, 3, keys), d = build_input(g, "d", DTYPE_F32, 3, queries);
    uint32_t o = build_op(g, OP_attention, (const uint32_t[]){q, k, v}, &attributes);
    uint32_t stats = build_result(g, o, 1);
    uint32_t delta = build_op(g, OP_attention_delta, (const uint32_t[]){o, d}, &attributes);
    uint32_t dq = build_op(g, OP_attention_grad, (const uint32_t[]){q, k, v, d, stats, delta}, &attributes);
    const uint32_t values[TENSORS] = {q, k, v, d, o, dq, build_result(g, dq, 1), build_result(g, dq, 2)};
    static const bool is_wide[TENSORS] = {true, false, false, true, true, true, false, false};
    static const char *const names[RESULTS] = {"o", "dq", "dk", "dv"};
    for (uint32_t i = 0; i < TENSORS; i++) {
        p->bindings[i].value = values[i];
        p->counts[i] = LENGTH * WIDTH * (is_wide[i] ? HEADS : 1);
        if (i >= TENSORS - RESULTS)
            build_output(g, names[i - (TENSORS - RESULTS)], values[i]);
    }
}

/* Evenly between -1 and 1. */
static enum status fill(struct attention_probe *p, uint32_t tensor, struct trace *trace)
{
    float *data = calloc(p->counts[tensor], sizeof *data);
    if (!data)
        BUG("out of memory");
    for (uint32_t i = 0; i < p->counts[tensor]; i++) {
        uint32_t u = (i + 7919 * (tensor + 1)) * 2654435761u;
        data[i] = (float)(int32_t)(u ^ u >> 15) * 0x1p-31f;
    }
    enum status status =
        memory_write(&p->engine->memory, p->bindings[tensor].tensor, 0, p->counts[tensor], data, trace);
    free(data);
    return status;
}

static enum status run(struct attention_probe *p, float **out, struct trace *trace)
{
    struct vulkan_program *program;
    struct program_spec spec = {.graph = p->graph, .bindings = p->bindings, .binding_count = TENSORS};
    TRY(vulkan_program_create(&program, p->engine, &spec, VULKAN_FINITE_UNCHECKED, NULL, trace));
    enum status status = vulkan_program_run(program, trace);
    vulkan_program_destroy(program);
    uint64_t all = 0;
    for (uint32_t i = TENSORS - RESULTS; i < TENSORS; i++)
        all += p->counts[i];
    float *at = *out = calloc(all, sizeof **out);
    if (!at)
        BUG("out of memory");
    for (uint32_t i = TENSORS - RESULTS; i < TENSORS && status == OK; at += p->counts[i++])
        status = memory_read(&p->engine->memory, p->bindings[i].tensor, 0, p->counts[i], at, trace);
    return status;
}

/* Each within some roundings of the largest element of its tensor. */
static bool is_close(const struct attention_probe *p, double error)
{
    const float *a = p->results[1], *b = p->results[0];
    for (uint32_t i = TENSORS - RESULTS; i < TENSORS; a += p->counts[i], b += p->counts[i], i++) {
        double largest = 0;
        for (uint64_t j = 0; j < p->counts[i]; j++)
            largest = (double)b[j] > largest    ? (double)b[j]
                      : -(double)b[j] > largest ? -(double)b[j]
                                                : largest;
        for (uint64_t j = 0; j < p->counts[i]; j++) {
            double off = (double)a[j] - (double)b[j];
            if (!(off <= 4 * error * largest && -off <= 4 * error * largest))
                return false;
        }
    }
    return true;
}

static enum status compare(bool *passed, struct attention_probe *p, struct trace *trace)
{
    struct tuning settled = p->engine->tuning;
    for (uint32_t i = 0; i < 4; i++)
        TRY(fill(p, i, trace));
    tuning_assume(&p->engine->tuning, &p->engine->device, ARITHMETIC_f32);
    enum status status = run(p, &p->results[0], trace);
    p->engine->tuning = settled;
    for (uint32_t i = TENSORS - RESULTS; i < TENSORS && status == OK; i++) /* else those would do for these */
        status = memory_zero(&p->engine->memory, p->bindings[i].tensor, trace);
    if (status == OK)
        status = run(p, &p->results[1], trace);
    if (status == OK)
        *passed = is_close(p, arithmetic_table[settled.arithmetic].error);
    return status;
}

enum status selftest_attention(bool *passed, struct engine *engine, struct trace *trace)
{
    struct attention_probe p = {.engine = engine};
    uint32_t made = 0;
    enum status status = OK;
    build(&p);
    for (; made < TENSORS && status == OK; made += status == OK)
        status = memory_create(&engine->memory, DTYPE_F32, p.counts[made], &p.bindings[made].tensor, trace);
    if (status == OK)
        status = compare(passed, &p, trace);
    for (uint32_t i = 0; i < made; i++)
        memory_destroy(&engine->memory, p.bindings[i].tensor);
    graph_destroy(p.graph);
    free(p.results[0]);
    free(p.results[1]);
    return status;
}
