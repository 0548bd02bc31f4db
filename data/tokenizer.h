/* A tokenizer: text to token ids and back.
 *
 * Two kinds: "bytes" is built in (id = byte value, 256 tokens, any bytes are text), and a Hugging Face
 * tokenizer.json with a byte-pair model, byte-level (GPT-2, Llama 3, Qwen) or over characters with byte
 * fallback (Llama 2 and other SentencePiece conversions). Whatever in such a file espalier does not do
 * exactly as Hugging Face's tokenizers library is refused, naming the field. Post-processing is not applied:
 * no token is added that the text does not call for; tokenizer_bos() and tokenizer_eos() say what a caller
 * may add.
 *
 * Encoding uses scratch memory inside the tokenizer: one thread at a time. */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include "base/hash.h"
#include "base/status.h"
#include "base/str.h"
#include "data/token_list.h"
#include <stdint.h>

struct tokenizer;

enum { TOKENIZER_FILE_LIMIT = 64 << 20, TOKENIZER_ID_LIMIT = 1 << 22 };

/* `source` is "bytes" or the path of a tokenizer.json. Release with tokenizer_close(). */
enum status tokenizer_open(struct tokenizer **out, const char *source, struct trace *trace) MUST_CHECK;
/* The same from a tokenizer.json's text. */
enum status tokenizer_open_text(struct tokenizer **out, struct str json, struct trace *trace) MUST_CHECK;
void tokenizer_close(struct tokenizer *tokenizer); /* accepts NULL */

/* Appends the ids of `text`. Except for "bytes", text must be UTF-8: INVALID names the offset of the first
 * byte that is not. INVALID also when a character has no token and the tokenizer has no unknown token. */
enum status tokenizer_encode(struct tokenizer *tokenizer, struct str text, struct token_list *out,
                             struct trace *trace) MUST_CHECK;
/* Appends the bytes of `count` tokens, the space that encoding puts in front taken off again. INVALID for an
 * id without token. Special tokens appear as their text. */
enum status tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                             struct builder *out, struct trace *trace) MUST_CHECK;

uint32_t tokenizer_vocabulary(const struct tokenizer *tokenizer); /* one more than the largest id */
struct hash128 tokenizer_hash(const struct tokenizer *tokenizer); /* of the file's bytes */
int32_t tokenizer_bos(const struct tokenizer *tokenizer);         /* -1 when there is none */
int32_t tokenizer_eos(const struct tokenizer *tokenizer);
/* Whether the file's template puts the token around a text, as its model has seen it in training. */
bool tokenizer_puts_bos(const struct tokenizer *tokenizer);
bool tokenizer_puts_eos(const struct tokenizer *tokenizer);
/* What one token decodes to, in the middle of a text; borrowed. Empty for an id without token. */
struct str tokenizer_bytes(const struct tokenizer *tokenizer, int32_t id);
/* How many bytes of text a token stands for: the length of tokenizer_bytes(), 0 for special tokens. */
uint32_t tokenizer_text_length(const struct tokenizer *tokenizer, int32_t id);

/* The tokenizer.json that means the same tokenizer, also for "bytes"; borrowed. */
struct str tokenizer_json(const struct tokenizer *tokenizer);

/* INVALID unless a model with `model_vocabulary` tokens can be meant: it has every id of the tokenizer, and
 * at most 64 or a sixteenth more, as padding. `name` names the model. */
enum status tokenizer_check_model(const struct tokenizer *tokenizer, uint64_t model_vocabulary,
                                  const char *name, struct trace *trace) MUST_CHECK;

#endif
