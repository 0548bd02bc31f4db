/* How the elements of a weight are stored in a file: in blocks of `block` elements that take `bytes` bytes,
 * little endian. */
#ifndef EMIT_ENCODING_H
#define EMIT_ENCODING_H

#include "base/str.h"
#include <stddef.h>
#include <stdint.h>

struct encoding {
    const char *name; /* "f32", "f16", "bf16", "q8_0" */
    uint32_t block, bytes;
    uint32_t gguf_type; /* ggml_type of GGUF's tensor infos */
    uint32_t gguf_file; /* general.file_type of a file whose matrices are so */
    /* Encodes `count` elements, a multiple of `block`. False when a finite one is too large for the encoding.
     */
    bool (*encode)(uint8_t *out, const float *in, size_t count);
};

extern const struct encoding encoding_f32, encoding_f16, encoding_bf16;
/* Blocks of 32 integers of 8 bits that share a half, d: x = d * q with d = max|x| / 127. */
extern const struct encoding encoding_q8_0;

/* NULL when there is none of the name. */
const struct encoding *encoding_find(struct str name);

#endif
