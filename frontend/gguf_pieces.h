/* The pieces of a GGUF file's tokenizer of type "llama": SentencePiece's, each with a score. Neighbours whose
 * joined text is the piece of the highest score are merged first, the leftmost of them before the others; a
 * tokenizer.json has ranked merges in place of that. */
#ifndef FRONTEND_GGUF_PIECES_H
#define FRONTEND_GGUF_PIECES_H

#include "base/arena.h"
#include "frontend/gguf_file.h"
#include <jansson.h>

/* The merges of the pieces that `scores` and `types` (of tokens) describe, best first. NULL, and why in
 * *reason, when ranks cannot say the same. */
json_t *gguf_merges_of_scores(const struct gguf_entry *tokens, const struct gguf_entry *scores,
                              const struct gguf_entry *types, const char **reason);

#endif
