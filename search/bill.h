/* What a shape costs: parameters, memory, operations, as products of its sizes, without a weight.
 *
 * A bill has a row for each kind of weight: a factor that no size changes times powers of those that do, once
 * in the model or once in each layer. All layers are alike. A bill is made from a description
 * (search/bill_arch.c) or from the dimension terms of a model's graph (search/bill_graph.c). */
#ifndef SEARCH_BILL_H
#define SEARCH_BILL_H

#include "base/arena.h"
#include "base/status.h"
#include "base/vec.h"
#include "ir/graph.h"
#include "pipeline/settings.h"

/* What a search varies. */
enum dimension { SIZE_LAYERS, SIZE_HIDDEN, SIZE_HEADS, SIZE_KV_HEADS, SIZE_FFN, SIZE_COUNT };
extern const char *const dimension_names[SIZE_COUNT];

struct sizes {
    int64_t of[SIZE_COUNT]; /* heads counts query heads in all: a multiple of kv_heads */
};

/* What the axes of a weight are made of. */
enum bill_axis {
    BILL_HIDDEN,
    BILL_KV_HEADS,
    BILL_GROUP /* query heads of one key-value head */,
    BILL_FFN,
    BILL_AXES
};

struct bill_row {
    int64_t factor;
    uint8_t powers[BILL_AXES];
    bool in_each_layer;
    bool is_embedding; /* it has the vocabulary's axis */
    bool is_counted;   /* it is a parameter of its own: not the head that is the embedding */
    uint32_t products; /* by how many matmuls a token goes through it */
};

struct bill {
    VEC(struct bill_row) rows;
    struct sizes base;
    int64_t head_dim, value_dim; /* channels of a key head and of a value head */
};

/* Under which circumstances: see cost_read(). */
struct circumstances {
    int64_t batch, context;
    int64_t weight_bits, cache_bits;
};

enum metric { COST_PARAMETERS, COST_NON_EMBEDDING, COST_MEMORY, COST_FLOPS, COST_COUNT };
extern const char *const metric_names[COST_COUNT];

/* parameters: all, tied ones once. non_embedding: without what has the vocabulary's axis. memory: bytes of
 * the weights and of the keys and values of batch x context tokens. flops: of the forward pass of one token
 * that attends to `context` keys, 2 K N a matmul and 2 (heads head_dim + heads value_dim) a key. */
struct cost {
    int64_t of[COST_COUNT];
};

/* INVALID: the base is incomplete or makes no sense. The settings are of kind "search". */
enum status bill_of_description(struct bill *out, struct arena *arena, const struct settings *settings,
                                struct trace *trace) MUST_CHECK;
/* UNSUPPORTED: layers differ, so that what is left depends on which are kept. */
enum status bill_of_graph(struct bill *out, struct arena *arena, const struct graph *graph,
                          struct trace *trace) MUST_CHECK;

/* False when a number has no place in 63 bits. */
bool bill_total(struct cost *out, const struct bill *bill, const struct sizes *sizes,
                const struct circumstances *circumstances) MUST_CHECK;

#endif
