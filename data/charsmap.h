/* SentencePiece's own normal form, the Precompiled step of a tokenizer.json: characters, and short clusters
 * of them, are looked up in a double-array trie and replaced by what stands there.
 *
 * The file's bytes, in Base64: u32 size of the trie in bytes, its units (u32 each), then texts that end in
 * NUL. As the tokenizers library does it, a cluster of at most five bytes is replaced by what its shortest
 * known beginning stands for; else each character is by itself. */
#ifndef DATA_CHARSMAP_H
#define DATA_CHARSMAP_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include <stdint.h>

struct charsmap {
    const uint32_t *units;
    size_t unit_count;
    struct str texts;
};

/* INVALID unless it is such a map; `path` names it. Memory is of the arena. */
enum status charsmap_read(struct charsmap *out, struct arena *arena, struct str base64, const char *path,
                          struct trace *trace) MUST_CHECK;
/* Appends the rewritten form of valid UTF-8 text, which is valid too. INVALID when the map leads out of
 * itself. */
enum status charsmap_apply(const struct charsmap *map, struct str text, struct builder *out,
                           struct trace *trace) MUST_CHECK;

#endif
