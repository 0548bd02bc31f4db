/* Quantised weights as GGUF files have them: blocks of elements that share a scale, decoded to floats exactly
 * as ggml does. (ggml-quants.c of the ggml project.) */
#ifndef IR_QUANTISED_H
#define IR_QUANTISED_H

#include <stdint.h>

enum { QUANTISED_MAX_BLOCK = 32 };

struct quantised {
    const char *name; /* "q4_1" */
    uint32_t elements, bytes;
    void (*decode)(float *out, const uint8_t *block); /* `elements` floats of `bytes` bytes */
};

extern const struct quantised quantised_q8_0; /* f16 d, 32 i8: q * d */
extern const struct quantised
    quantised_q4_0; /* f16 d, 32 nibbles, those of the first half low: (q - 8) * d */
extern const struct quantised quantised_q4_1; /* f16 d, f16 m, nibbles so: q * d + m, rounded twice */

#endif
