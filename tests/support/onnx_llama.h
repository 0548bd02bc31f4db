/* LLaMA-family models as ONNX graphs, spelled in the ways that exporters spell them. Weights depend on the
 * part they play and on the model's shape only, not on the spelling: two spellings of one model must import
 * to the same graph. */
#ifndef TESTS_SUPPORT_ONNX_LLAMA_H
#define TESTS_SUPPORT_ONNX_LLAMA_H

#include "tests/support/onnx_writer.h"

enum linear_form { LINEAR_STORED_IN_OUT, LINEAR_TRANSPOSED, LINEAR_GEMM, LINEAR_RESHAPED };
enum norm_form { NORM_POW_DIV, NORM_MUL_RECIPROCAL, NORM_POW_MINUS_HALF, NORM_DIV_SQRT, NORM_FUSED };
enum rotary_form {
    ROTARY_CONCAT,
    ROTARY_HALVES,
    ROTARY_SPLIT,
    ROTARY_TABLES,
    ROTARY_MATMUL,
    ROTARY_FUSED,
    ROTARY_INVERSE,
    ROTARY_NEIGHBOURS /* with rows of queries and keys in its order */
};
enum mask_form {
    MASK_TRIU_ADD,
    MASK_WHERE,          /* Where(position <= position, scores, -inf) */
    MASK_LESS_WHERE_ADD, /* added, chosen by comparing positions */
    MASK_BUFFER,         /* a stored triangle, sliced */
    MASK_NONE,
    MASK_SEES_NEXT, /* one diagonal too many: not causal */
    MASK_WINDOW,    /* `window` positions in all */
    MASK_CHUNKS,    /* the positions of the same `window`, a number of chunk: not supported */
};
enum scale_form { SCALE_DIV, SCALE_MUL, SCALE_SPLIT, SCALE_SHAPE };
enum repeat_form { REPEAT_EXPAND, REPEAT_FIVE_AXES, REPEAT_TILED };
enum silu_form { SILU_SIGMOID, SILU_SIGMOID_FIRST, SILU_EXP };
enum fused_form { FUSED_NOT, FUSED_CAUSAL, FUSED_MASKED }; /* operator Attention of opset 23 */
enum tie_form { TIE_NONE, TIE_SAME_TENSOR, TIE_COPY };

struct onnx_llama {
    int64_t layers, hidden, heads, kv_heads, head, ffn, vocabulary;
    enum linear_form linear;
    enum norm_form norm;
    enum rotary_form rotary;
    enum mask_form mask;
    enum scale_form scale;
    enum repeat_form repeat;
    enum silu_form silu;
    enum tie_form tie;
    enum fused_form fused;
    bool swapped;  /* operands of sums and products the other way round */
    bool reversed; /* nodes written last to first */
    bool constant_nodes;
    bool cache;        /* past_key_values, attention_mask and position_ids inputs, present outputs */
    bool bias;         /* of q, k and v */
    bool packed;       /* q, k, v in one linear layer, gate and up in another; sliced apart */
    float table_error; /* added to one cosine of ROTARY_TABLES, in row 40 */
    int64_t window;    /* of MASK_WINDOW, MASK_CHUNKS and MASK_BUFFER; there 0 is none */
    bool merged_batch; /* batch and heads merged around the products of attention */
    bool half;         /* weights stored as FLOAT16 */
    bool shared_norms; /* all norm weights equal, and shared through Identity nodes */
    const char *node_prefix;
    const char *external;
    int64_t opset;
};

/* hidden 12, 2 layers, 4 heads of 4, 2 key-value heads, ffn 10, vocabulary 11, opset 17. */
struct onnx_llama onnx_llama_default(void);
/* Appends the model to w, which the caller has zeroed and releases. */
void onnx_llama_write(struct onnx_writer *w, const struct onnx_llama *model);

/* The weight called `part` ("embed", "layers.0.q", ...), canonical orientation, as it must be imported. Heap.
 */
float *onnx_llama_weight(const char *part, int64_t count);
/* Frequency j of the rotary embedding. */
float onnx_llama_frequency(const struct onnx_llama *model, int64_t j);

#endif
