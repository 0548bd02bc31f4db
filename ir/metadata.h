/* What a model's file said about itself that no computation needs: its name, licence, documentation. A list
 * of keys and texts, kept beside the graph and in no hash. */
#ifndef IR_METADATA_H
#define IR_METADATA_H

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"

struct metadata_entry {
    struct str key, text;
};
struct metadata {
    VEC(struct metadata_entry) entries;
};

/* Both are copied to the arena. The first of two equal keys stays; false for the second. */
bool metadata_add(struct metadata *metadata, struct arena *arena, struct str key, struct str text);
struct str metadata_find(const struct metadata *metadata, const char *key); /* "" where there is none */

/* Of the keys under general. of GGUF files: how the file is made, how large the model is (which pruning
 * changes), or a description. */
enum metadata_general { GENERAL_OTHER, GENERAL_OF_FILE, GENERAL_OF_SIZE, GENERAL_OF_MODEL };
enum metadata_general metadata_general(struct str key);

/* Keys of what ONNX says in fields of its own; all others are entries of its metadata_props. */
#define METADATA_DOCUMENTATION "onnx.doc_string"
#define METADATA_DOMAIN "onnx.domain"
#define METADATA_VERSION "onnx.model_version"

#endif
