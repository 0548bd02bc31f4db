/* llama2.c's tokenizer.bin as a tokenizer.json.
 *
 * The file (Karpathy's llama2.c, tokenizer.py): int32 longest piece, then per token float32 score, int32
 * length and the bytes, little-endian. Ids 0, 1, 2 are unknown, begin, end; 3 to 258 are the bytes <0x00> to
 * <0xFF>; then come the pieces, where a space is a space.
 *
 * llama2.c merges the neighbours whose joined text has the highest score, leftmost first; a tokenizer.json
 * has ranked pairs. So every way to cut a piece in two pieces becomes a merge, ranked by the score of the
 * result. Among the cuts of one piece T, (A, B) goes before (B, C) where T = AB = BC, which is what leftmost
 * means when both overlap in "ABC". Spaces become U+2581, put in front of the text by a normaliser, since
 * llama2.c adds one whether or not the text begins with a space. */
#ifndef DATA_LLAMA2C_H
#define DATA_LLAMA2C_H

#include "base/status.h"
#include "base/str.h"

/* Appends the tokenizer.json's text. INVALID says what is wrong with the file and at which offset;
 * UNSUPPORTED when two pieces have the same score, because ranks cannot say "whichever is further left". */
enum status llama2c_convert(struct builder *out, struct str file, struct trace *trace) MUST_CHECK;

#endif
