/* A small model with fresh weights, a text and an executor, for the tests of measure/. */
#ifndef TESTS_MEASURE_FIXTURE_H
#define TESTS_MEASURE_FIXTURE_H

#include "backend-cpu/cpu.h"
#include "base/file.h"
#include "data/corpus.h"
#include "data/task.h"
#include "ir/build.h"
#include "tests/support/test.h"
#include "train/arch.h"
#include "train/init.h"

struct fixture {
    struct graph *model;
    struct arena arena;
    struct executor *executor;
    struct tokenizer *tokenizer;
    struct corpus corpus;
    char *directory;
};

enum { LAYERS = 2, HIDDEN = 20, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 6, FFN = 14, VOCAB = 256 };

/* The caller destroys it. */
static inline struct graph *fixture_model(struct arena *arena, uint32_t layers, uint32_t vocab, uint64_t seed)
{
    struct trace trace = {0};
    struct graph *model;
    struct arch arch = {.layers = layers,
                        .hidden = HIDDEN,
                        .heads = HEADS,
                        .kv_heads = KV_HEADS,
                        .head_dim = HEAD_DIM,
                        .ffn = FFN,
                        .vocab = vocab};
    assert_ok(arch_build(&model, &arch, &trace), &trace);
    struct init_plan plan;
    struct init_options options = {.seed = seed, .deviation = 0.3f};
    assert_ok(init_plan_make(&plan, arena, model, &options, &trace), &trace);
    init_fill(&plan, model);
    return model;
}

static inline void fixture_create(struct fixture *f)
{
    struct trace trace = {0};
    *f = (struct fixture){0};
    f->model = fixture_model(&f->arena, LAYERS, VOCAB, 5);
    assert_ok(cpu_executor_create(&f->executor, (struct cpu_options){.threads = 2}, &trace), &trace);
    f->directory = test_directory_create();
    char path[4200];
    snprintf(path, sizeof path, "%s/text.txt", f->directory);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 700; i++)
        fprintf(file, "line %d holds %d and %x, no more.\n", i, i * i % 97, i * 7919);
    fclose(file);
    assert_ok(tokenizer_open(&f->tokenizer, "bytes", &trace), &trace);
    struct corpus_options form = {0};
    assert_ok(corpus_open(&f->corpus, path, f->tokenizer, &form, NULL, &trace), &trace);
}

static inline void fixture_release(struct fixture *f)
{
    corpus_release(&f->corpus);
    tokenizer_close(f->tokenizer);
    executor_destroy(f->executor);
    graph_destroy(f->model);
    arena_release(&f->arena);
    test_directory_remove(f->directory);
}

static inline void fixture_replace_logits(struct graph *g, uint32_t value)
{
    uint32_t logits = graph_find_output(g, "logits");
    for (uint32_t i = 0; i < g->outputs.count; i++)
        if (g->outputs.items[i].value == logits)
            g->outputs.items[i].value = value;
}

/* logits + a vector */
static inline void fixture_add_bias(struct graph *g)
{
    uint32_t logits = graph_find_output(g, "logits"), axis = dims_leaf(&g->dims, VOCAB);
    float *values = ARENA_ARRAY(&g->arena, float, VOCAB);
    for (int c = 0; c < VOCAB; c++)
        values[c] = (float)(c % 7) * 0.5f - 1;
    struct tensor_view view = {.base = (const uint8_t *)values,
                               .base_size = VOCAB * sizeof *values,
                               .dtype = DTYPE_F32,
                               .rank = 1,
                               .dims = {VOCAB},
                               .strides = {1}};
    uint32_t bias = build_tensor(g, STR("head.bias"), &view, &axis);
    fixture_replace_logits(g, build_binary(g, OP_add, logits, bias));
}

/* Items of a task, which the caller releases. */
static inline struct task fixture_open_task(struct fixture *f, enum task_kind kind, const char *text)
{
    struct task task;
    struct trace trace = {0};
    struct task_options options = {0};
    char path[4200];
    snprintf(path, sizeof path, "%s/items.jsonl", f->directory);
    assert_ok(file_write(path, text, strlen(text), &trace), &trace);
    assert_ok(task_open(&task, kind, path, &options, &trace), &trace);
    return task;
}

#endif
