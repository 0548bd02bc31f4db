/* See ir/quantised.h. */
#include "ir/quantised.h"
#include "shaders/scalar/convert.h"

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

const struct quantised quantised_q8_0 = {"q8_0", 32, 34, decode_q8_0};
const struct quantised quantised_q4_0 = {"q4_0", 32, 18, decode_q4_0};
const struct quantised quantised_q4_1 = {"q4_1", 32, 20, decode_q4_1};
