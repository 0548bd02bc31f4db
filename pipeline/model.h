/* A model in the store: an object of kind "model", the canonical text of its graph with the ids of its
 * weights; an object "names" with what weights are called, where nodes came from and what the source said of
 * the model, which enters no key; and a "tokenizer". */
#ifndef PIPELINE_MODEL_H
#define PIPELINE_MODEL_H

#include "base/arena.h"
#include "base/status.h"
#include "data/tokenizer.h"
#include "ir/graph.h"
#include "store/store.h"
#include "store/tensor_object.h"

struct model {
    struct graph *graph;           /* weights are views of mapped objects */
    struct tokenizer *tokenizer;   /* NULL when the model has none */
    struct tensor_object *tensors; /* one a weight */
    uint32_t tensor_count;
    struct hash128 id, names, tokenizer_id;
    bool is_bytes; /* the built-in tokenizer */
    bool has_tokenizer;
};

struct model_ids {
    struct hash128 model, names, tokenizer;
    char sha256[SHA256_HEX]; /* of the model object's payload */
    bool has_tokenizer;
};

/* Stores the graph (canonicalised) and its weights, streaming; weights that the store has are not written
 * again. Weights that are dense views of a user's file are referred to in place: `file` gives the path of a
 * mapping, or NULL to copy. `tokenizer`: "bytes", the text of a tokenizer.json, or empty. */
struct model_file {
    const struct mapping *mapping;
    const char *path;
};
enum status model_store(struct model_ids *out, const struct store *store, const struct graph *graph,
                        struct str tokenizer, const struct model_file *files, uint32_t file_count,
                        struct trace *trace) MUST_CHECK;

/* Opens a stored model; `names` and `tokenizer` may be absent (NULL). */
enum status model_open(struct model *out, const struct store *store, struct hash128 id,
                       const struct hash128 *names, const struct hash128 *tokenizer,
                       struct trace *trace) MUST_CHECK;
/* Puts the metadata of a stored model in the place of the graph's. */
enum status model_take_metadata(struct graph *graph, const struct store *store, struct hash128 id,
                                struct hash128 names, struct trace *trace) MUST_CHECK;
void model_release(struct model *model); /* accepts zeroed memory */

/* What to hand to stage_add_model: the stored text of the model's tokenizer, "" when it has none; borrowed.
 */
struct str model_tokenizer_text(const struct model *model);

#endif
