/* Reading models of others into the IR.
 *
 * A Hugging Face folder and a GGUF file are read by a description of their architecture
 * (ir/hf_architectures.def, frontend/gguf_architectures.def).
 *
 * An ONNX file is interpreted, not matched: what depends on shapes only (shape arithmetic, masks, rotary
 * tables) is executed on small concrete sizes, and what depends on the tokens becomes an expression whose
 * axes are bookkeeping. Norms, activations, learned positions, rotary embedding and attention are recognised
 * in that expression, whatever nodes spelled it; packed projections come apart. The result is canonical:
 * input "tokens" i32 [batch, sequence], output "logits" [batch, sequence, vocabulary] (masks, positions and
 * caches are remembered as graph->interface, frontend/interface.h), linear weights as [out, in], weights
 * named by their role ("embed", "layers.0.q", "norm", "head"). Whatever is not understood is refused, naming
 * the node.
 *
 * Weights are not copied: the graph's tensors are views of the mapped files, which the imported model owns.
 * Only vectors that the file computes (a norm's weight plus one) lie on the model's arena.
 */
#ifndef FRONTEND_FRONTEND_H
#define FRONTEND_FRONTEND_H

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "base/str.h"
#include "base/vec.h"
#include "ir/graph.h"

enum import_trust {
    IMPORT_TRUSTED,
    IMPORT_UNTRUSTED, /* also refuses data files that have several hard links */
};

/* What the graph is for. For a look at its shapes, a head is held against the embedding table in some places
 * only, and large quantised weights are not decoded: all their elements are 0. */
enum import_use { IMPORT_TO_RUN, IMPORT_TO_LOOK };

struct import_options {
    enum import_trust trust;
    enum import_use use;
};

struct imported_model {
    struct graph *graph;
    struct arena arena;            /* of the notes, and of tensors that no file holds (rotary frequencies) */
    const char *path;              /* of the model's own file: what was given, or the folder's config.json */
    VEC(struct mapping *) files;   /* the model's own file, then its data files; each mapped once */
    VEC(struct mapping *) decoded; /* quantised weights as floats, in files without a name */
    VEC(struct str) data_files;    /* locations of the data files, relative to the folder of `path` */
    struct str tokenizer; /* text of a tokenizer.json that came with the model, in a mapped file; or "" */
    VEC(struct undecoded *) undecoded; /* what of them was left out for a look (frontend/decoded.h) */
    enum import_use use;               /* of the options */
    VEC(struct str) notes;             /* what the user should know: "the head is the embedding table" */
};

/* Where file number i of `files` is, on `arena`: beside `path`, or, where that is a link into a Hugging Face
 * cache, beside the file that it leads to. */
const char *imported_model_file_path(const struct imported_model *model, uint32_t i, struct arena *arena);

/* Any of the forms below: a folder is Hugging Face's, a file that begins with "GGUF" is one, everything else
 * ONNX. */
enum status frontend_import(struct imported_model *out, const char *path,
                            const struct import_options *options, struct trace *trace) MUST_CHECK;

/* INVALID: the file is damaged or contradicts itself. UNSUPPORTED: well-formed, but not understood. On
 * failure *out is released. */
enum status frontend_import_onnx(struct imported_model *out, const char *path,
                                 const struct import_options *options, struct trace *trace) MUST_CHECK;
/* A folder with config.json and model.safetensors, or shards and model.safetensors.index.json. */
enum status frontend_import_hf(struct imported_model *out, const char *directory,
                               const struct import_options *options, struct trace *trace) MUST_CHECK;
/* A GGUF file of version 2 or 3 with its tokenizer; of several files only the first would be read, so those
 * are refused for what they lack. */
enum status frontend_import_gguf(struct imported_model *out, const char *path,
                                 const struct import_options *options, struct trace *trace) MUST_CHECK;
/* Adds to the notes, in one line. */
void imported_model_note(struct imported_model *model, const char *format, ...) PRINTF_LIKE(2, 3);
void imported_model_release(struct imported_model *model); /* accepts zeroed memory */

#endif
