/* See ir/quantised.h. */
#include "ir/quantised.h"
#include "shaders/scalar/convert.h"
#include <stddef.h>

static float read_half(const uint8_t *bytes)
{
    return gm_half_to_float((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8);
}

static void decode_q8_0(float *out, const uint8_t *block)
{
    float d = read_half(block);
    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

static void decode_q4_0(float *out, const uint8_t *block)
{
    float d = read_half(block);
    for (int i = 0; i < 16; i++) {
        out[i] = (float)((block[2 + i] & 15) - 8) * d;
        out[i + 16] = (float)((block[2 + i] >> 4) - 8) * d;
    }
}

static void decode_q4_1(float *out, const uint8_t *block)
{
    float d = read_half(block), m = read_half(block + 2);
    for (int i = 0; i < 16; i++) {
        float low = (float)(block[4 + i] & 15) * d, high = (float)(block[4 + i] >> 4) * d;
        out[i] = low + m;
        out[i + 16] = high + m;
    }
}

/* The fifth bits of 32 elements, as a number. */
static uint32_t read_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void decode_q5_0(float *out, const uint8_t *block)
{
    float d = read_half(block);
    uint32_t fifth = read_word(block + 2);
    for (int i = 0; i < 16; i++) {
        int low = (block[6 + i] & 15) | (int)(fifth >> i & 1) << 4;
        int high = block[6 + i] >> 4 | (int)(fifth >> (i + 16) & 1) << 4;
        out[i] = (float)(low - 16) * d;
        out[i + 16] = (float)(high - 16) * d;
    }
}

static void decode_q5_1(float *out, const uint8_t *block)
{
    float d = read_half(block), m = read_half(block + 2);
    uint32_t fifth = read_word(block + 4);
    for (int i = 0; i < 16; i++) {
        float low = (float)((block[8 + i] & 15) | (int)(fifth >> i & 1) << 4) * d;
        float high = (float)(block[8 + i] >> 4 | (int)(fifth >> (i + 16) & 1) << 4) * d;
        out[i] = low + m;
        out[i + 16] = high + m;
    }
}

/* Groups of 16: scale and least of 4 bits each. 16 bytes of them, 64 bytes of 2-bit elements, f16 d, f16 m.
 */
static void decode_q2_k(float *out, const uint8_t *block)
{
    float d = read_half(block + 80), m = read_half(block + 82);
    for (int i = 0; i < 256; i++) {
        const uint8_t scale = block[i / 16];
        int q = block[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        float value = d * (float)(scale & 15) * (float)q, least = m * (float)(scale >> 4);
        out[i] = value - least;
    }
}

/* Groups of 16 with a scale of 6 bits: 32 bytes of high bits, 64 of 2-bit elements, 12 of scales, f16 d. */
static void decode_q3_k(float *out, const uint8_t *block)
{
    const uint8_t *scales = block + 96;
    float d = read_half(block + 108);
    for (int i = 0; i < 256; i++) {
        int group = i / 16, low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
        int scale = (low | (scales[8 + group % 4] >> (group / 4 * 2) & 3) << 4) - 32;
        int q = block[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
        q -= block[i % 32] >> (i / 32) & 1 ? 0 : 4;
        out[i] = d * (float)scale * (float)q;
    }
}

/* Scale and least of 6 bits of a group of 32, of eight such in 12 bytes. */
static void read_pair(int *scale, int *least, const uint8_t *packed, int group)
{
    *scale = group < 4 ? packed[group] & 63 : (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
    *least = group < 4 ? packed[group + 4] & 63 : packed[group + 4] >> 4 | packed[group] >> 6 << 4;
}

/* f16 d, f16 m, 12 bytes of scales, 32 bytes of fifth bits (`nibbles` further on, or none), nibbles. */
static void decode_pairs(float *out, const uint8_t *block, const uint8_t *fifth, const uint8_t *nibbles)
{
    float d = read_half(block), m = read_half(block + 2);
    for (int group = 0; group < 8; group++) {
        int scale, least;
        read_pair(&scale, &least, block + 4, group);
        float each = d * (float)scale, less = m * (float)least;
        for (int i = 0; i < 32; i++) {
            int q = nibbles[group / 2 * 32 + i] >> (group % 2 * 4) & 15;
            q |= fifth ? (fifth[i] >> group & 1) << 4 : 0;
            float value = each * (float)q;
            out[group * 32 + i] = value - less;
        }
    }
}

static void decode_q4_k(float *out, const uint8_t *block)
{
    decode_pairs(out, block, NULL, block + 16);
}

static void decode_q5_k(float *out, const uint8_t *block)
{
    decode_pairs(out, block, block + 16, block + 48);
}

/* Groups of 16 with a scale of 8 bits: 128 bytes of low nibbles, 64 of 2 high bits, 16 scales, f16 d. */
static void decode_q6_k(float *out, const uint8_t *block)
{
    float d = read_half(block + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, quarter = i % 128 / 32, at = i % 32;
        int low = block[half * 64 + quarter % 2 * 32 + at] >> (quarter / 2 * 4) & 15;
        int high = block[128 + half * 32 + at] >> (quarter * 2) & 3;
        out[i] = d * (float)(int8_t)block[192 + i / 16] * (float)((low | high << 4) - 32);
    }
}

const struct quantised quantised_q8_0 = {"q8_0", 32, 34, decode_q8_0};
const struct quantised quantised_q4_0 = {"q4_0", 32, 18, decode_q4_0};
const struct quantised quantised_q4_1 = {"q4_1", 32, 20, decode_q4_1};
const struct quantised quantised_q5_0 = {"q5_0", 32, 22, decode_q5_0};
const struct quantised quantised_q5_1 = {"q5_1", 32, 24, decode_q5_1};
const struct quantised quantised_q2_k = {"q2_k", 256, 84, decode_q2_k};
const struct quantised quantised_q3_k = {"q3_k", 256, 110, decode_q3_k};
const struct quantised quantised_q4_k = {"q4_k", 256, 144, decode_q4_k};
const struct quantised quantised_q5_k = {"q5_k", 256, 176, decode_q5_k};
const struct quantised quantised_q6_k = {"q6_k", 256, 210, decode_q6_k};
