/* A small model whose weights are a formula, so that golden/numeric/reference.py has the same ones, and a
 * source of token sequences made the same way. */
#ifndef TESTS_TRAIN_MODEL_H
#define TESTS_TRAIN_MODEL_H

#include "tests/support/test.h"
#include "train/arch.h"
#include "train/trainer.h"

/* Mixes 32 bits (the finaliser of MurmurHash3). */
static inline uint32_t model_mix(uint32_t u)
{
    u = (u ^ u >> 16) * 0x85ebca6bu;
    u = (u ^ u >> 13) * 0xc2b2ae35u;
    return u ^ u >> 16;
}

/* In [-1, 1), a multiple of 2^-23. */
static inline float model_number(uint32_t salt, uint32_t index)
{
    return (float)(model_mix(salt * 0x9e3779b9u + index) >> 8) * 0x1p-23f - 1;
}

static inline struct arch model_arch(void)
{
    return (struct arch){
        .layers = 2, .hidden = 24, .heads = 4, .kv_heads = 2, .head_dim = 6, .ffn = 40, .vocab = 67};
}

/* Element i of tensor t (in the order of the graph): matrices within 1/4, vectors 1 +- 1/8; rotary stays. */
static inline struct graph *model_build(struct arch arch, uint32_t salt)
{
    struct graph *graph;
    struct trace trace = {0};
    assert_ok(arch_build(&graph, &arch, &trace), &trace);
    for (uint32_t t = 0; t < graph->tensors.count; t++) {
        struct tensor_view *view = &graph->tensors.items[t].view;
        if (view->base)
            continue;
        int64_t count = tensor_view_count(view);
        float *data = ARENA_ARRAY(&graph->arena, float, (size_t)count);
        for (int64_t i = 0; i < count; i++) {
            float x = model_number(salt + t, (uint32_t)i);
            data[i] = view->rank == 1 ? 1 + x * 0x1p-3f : x * 0x1p-2f;
        }
        view->base = (const uint8_t *)data;
        view->base_size = (size_t)count * sizeof *data;
    }
    return graph;
}

/* A payload of trainer_source: sequences of (mostly) an arithmetic progression modulo the vocabulary. */
struct model_data {
    uint32_t vocab, micros;
};

static inline void model_fill(void *payload, uint64_t step, uint32_t micro, struct batch *out)
{
    const struct model_data *data = payload;
    for (uint32_t row = 0; row < out->rows; row++) {
        uint32_t sample = ((uint32_t)step * data->micros + micro) * out->rows + row;
        uint32_t token = model_mix(sample) % data->vocab;
        for (uint32_t i = 0; i < out->length; i++) {
            uint32_t at = row * out->length + i, noise = model_mix(sample * 4096 + i + 77);
            uint32_t next = noise % 5 ? (5 * token + 7) % data->vocab : noise % data->vocab;
            out->ids[at] = (int32_t)token;
            out->labels[at] = (int32_t)next;
            out->weights[at] = i % 4 == 3 ? 0 : i % 4 == 2 ? 0.5f : 1;
            token = next;
        }
    }
}

/* What some teacher might have kept of those sequences: ids that ascend, shares that need not add up to one.
 */
static inline enum status model_kept(void *payload, uint64_t step, uint32_t micro, struct targets *out,
                                     struct trace *trace)
{
    (void)trace;
    const struct model_data *data = payload;
    uint32_t stride = data->vocab / out->kept, salt = ((uint32_t)step * data->micros + micro) * 7919 + 5;
    for (uint32_t i = 0; i < out->tokens; i++) {
        for (uint32_t j = 0; j < out->kept; j++) {
            uint32_t at = i * out->kept + j, random = model_mix(salt + at);
            out->ids[at] = (int32_t)(j * stride + random % stride);
            out->logs[at] = -1 - (float)(random >> 24) * 0x1p-6f;
        }
        out->rest[i] = -2 - (float)(model_mix(salt * 31 + i) >> 24) * 0x1p-7f;
    }
    return OK;
}

static inline struct adamw model_adamw(void)
{
    return (struct adamw){
        .beta1 = 0.875f, .beta2 = 0.96875f, .epsilon = 0x1p-20f, .decay = 0.125f, .max_norm = 0.5f};
}

static inline struct trainer_spec model_spec(struct executor *executor, const struct graph *student,
                                             const struct objective *objectives, uint32_t count,
                                             struct model_data *data)
{
    return (struct trainer_spec){
        .executor = executor,
        .step = {.student = student,
                 .routes = {{.objectives = objectives, .objective_count = count}},
                 .micro = 2,
                 .length = 11,
                 .lanes = 1},
        .batch = 2 * data->micros,
        .schedule = {.kind = SCHEDULE_cosine, .warmup = 2, .steps = 10, .peak = 0.015625f},
        .adamw = model_adamw(),
        .source = {.fill = model_fill, .kept = model_kept, .payload = data},
    };
}

#endif
