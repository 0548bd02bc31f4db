/* A GGUF file as a model: its keys become a configuration (frontend/decoder.h), its tensors the weights.
 * Quantised tensors are decoded into a file without a name, which the model keeps mapped. */
#ifndef FRONTEND_GGUF_H
#define FRONTEND_GGUF_H

#include "frontend/frontend.h"
#include "frontend/gguf_file.h"

/* The parts, for frontend_import_gguf() and fuzzing: the graph and tokenizer of a mapped file. */
enum status gguf_build(struct imported_model *model, const struct mapping *file,
                       struct trace *trace) MUST_CHECK;

/* Adds every tensor to the set, as views of the file or of what is decoded; notes what is decoded. */
enum status gguf_add_weights(struct weight_set *set, struct imported_model *model, struct gguf_file *file,
                             const struct mapping *mapping, struct trace *trace) MUST_CHECK;
/* The file's tokenizer as the text of a tokenizer.json, on the model's arena; or a note that says why not. */
void gguf_read_tokenizer(struct imported_model *model, struct gguf_file *file);

#endif
