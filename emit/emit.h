/* Writing a model as files that other programs load.
 *
 * ONNX: plain operators of opset 17 (no contrib ops), input input_ids int64 [batch, sequence], output logits,
 * and what the interface adds; weights as [in, out] initializers inline up to EMIT_INLINE_LIMIT bytes in all,
 * else in one external file NAME.onnx.data beside it, 4,096-aligned. Hugging Face: config.json of the
 * architecture in ir/hf_architectures.def that can say what the model is, model.safetensors or shards of it
 * with their index, tokenizer.json.
 *
 * All write into temporary places first; what was there before is replaced when all is written. Bytes depend
 * on the model alone: no time, path or version of a library. */
#ifndef EMIT_EMIT_H
#define EMIT_EMIT_H

#include "base/hash.h"
#include "base/status.h"
#include "base/vec.h"
#include "ir/graph.h"

/* A file that was written: name relative to what the caller asked for. */
struct emitted_file {
    const char *name;
    uint64_t bytes;
    char sha256[SHA256_HEX];
};
struct emitted {
    struct arena arena;
    VEC(struct emitted_file) files;
    VEC(struct str) notes; /* what the user should know: metadata that the form cannot say */
};
void emitted_release(struct emitted *emitted); /* accepts zeroed memory */

/* Inputs and outputs of an ONNX file: those that the model's source had (ir/interface.h); tokens in, logits
 * out; or a key-value cache too, with a mask of padding and positions, under the source's names or the usual
 * ones. */
enum emit_interface { EMIT_INTERFACE_SOURCE, EMIT_INTERFACE_TOKENS, EMIT_INTERFACE_CACHE };
struct emit_onnx_options {
    /* With the operators RMSNormalization, RotaryEmbedding and Attention of opset 23; attention with soft
     * caps or slopes stays plain. */
    bool is_fused;
    enum emit_interface interface;
};
/* UNSUPPORTED names what the form cannot hold. Options may be NULL. */
enum status emit_onnx(struct emitted *out, const char *path, const struct graph *graph,
                      const struct emit_onnx_options *options, struct trace *trace) MUST_CHECK;
/* What becomes of a layer that has lost its attention or its MLP, where a form has no place for that: it is
 * refused, or written with zeros there, and a note says so. */
enum emit_missing { EMIT_REFUSES_MISSING, EMIT_FILLS_MISSING };
/* `tokenizer_json` may be empty: then no tokenizer is written. bos and eos: -1 when there is none. */
struct emit_hf_options {
    struct str tokenizer_json;
    int32_t bos, eos;
    int64_t context; /* max_position_embeddings; 0: 2048 */
    enum emit_missing missing;
    uint64_t shard_size; /* bytes of weights in a file at most, if one weight fits; 0: 5,000,000,000 */
};
enum status emit_hf(struct emitted *out, const char *directory, const struct graph *graph,
                    const struct emit_hf_options *options, struct trace *trace) MUST_CHECK;
/* A GGUF file (version 3) for the readers of llama.cpp, of the architecture in
 * ir/gguf_architectures.def that can say what the model is. `type` is that of the matrices: "f32", "f16",
 * "bf16", "q8_0" (f16 where rows are no multiple of 32); vectors are f32. NULL: "f32". */
struct emit_gguf_options {
    struct str tokenizer_json; /* may be empty: then no tokenizer is written */
    int32_t bos, eos;          /* -1: none */
    bool puts_bos, puts_eos;   /* whether readers put them around a text */
    int64_t context;           /* 0: 2048 */
    enum emit_missing missing;
    const char *type;
};
enum status emit_gguf(struct emitted *out, const char *path, const struct graph *graph,
                      const struct emit_gguf_options *options, struct trace *trace) MUST_CHECK;
/* What would keep the graph from being written, before any work is done: OK, or UNSUPPORTED with the reason.
 */
enum status emit_onnx_check(const struct graph *graph, const struct emit_onnx_options *options,
                            struct trace *trace) MUST_CHECK;
enum status emit_hf_check(const struct graph *graph, enum emit_missing missing,
                          struct trace *trace) MUST_CHECK;
enum status emit_gguf_check(const struct graph *graph, enum emit_missing missing,
                            struct trace *trace) MUST_CHECK;

#endif
