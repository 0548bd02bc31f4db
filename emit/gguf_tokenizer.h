/* A tokenizer.json as the keys tokenizer.ggml.* of a GGUF file, whose readers know two kinds of byte-pair
 * tokenizers:
 *
 *   gpt2   over bytes, with merges by rank and a pre-tokenizer known by name: it must be one of those named
 * in gguf_tokenizer.c (any will do where nothing merges); llama  over characters with bytes as fall-back and
 * blanks as U+2581, which merges the neighbours whose piece has the highest score: the merges must be all
 * ways to make each piece, piece after piece. */
#ifndef EMIT_GGUF_TOKENIZER_H
#define EMIT_GGUF_TOKENIZER_H

#include "emit/emit.h"
#include "emit/gguf_file.h"

/* UNSUPPORTED names what a GGUF file cannot say; INVALID when it is no tokenizer.json. `vocabulary` is the
 * model's: ids without token become unused ones. */
enum status gguf_add_tokenizer(struct gguf *gguf, const struct emit_gguf_options *options, int64_t vocabulary,
                               struct trace *trace) MUST_CHECK;

#endif
