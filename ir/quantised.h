/* Quantised weights as GGUF files have them: blocks of elements that share a scale, decoded to floats exactly
 * as ggml does. (ggml-quants.c of the ggml project.) */
#ifndef IR_QUANTISED_H
#define IR_QUANTISED_H

#include <stdint.h>

enum { QUANTISED_MAX_BLOCK = 256 };

struct quantised {
    const char *name; /* "q4_1" */
    uint32_t elements, bytes;
    void (*decode)(float *out, const uint8_t *block); /* `elements` floats of `bytes` bytes */
};

extern const struct quantised quantised_q8_0; /* f16 d, 32 i8: q * d */
extern const struct quantised
    quantised_q4_0; /* f16 d, 32 nibbles, those of the first half low: (q - 8) * d */
extern const struct quantised quantised_q4_1; /* f16 d, f16 m, nibbles so: q * d + m, rounded twice */
extern const struct quantised quantised_q5_0, quantised_q5_1; /* the same with a fifth bit */
/* 256 elements in groups of 16 or 32, each with a scale of 4 or 6 bits of the block's own (the K-quants). */
extern const struct quantised quantised_q2_k, quantised_q3_k, quantised_q4_k, quantised_q5_k, quantised_q6_k;

#endif
