/* See emit/encoding.h. */
#include "emit/encoding.h"
#include "shaders/scalar/convert.h"
#include <math.h>
#include <string.h>

enum { Q8_BLOCK = 32, Q8_BYTES = 2 + Q8_BLOCK, HALF_INFINITE = 0x7c00, BF16_INFINITE = 0x7f80 };

static bool encode_f32(uint8_t *out, const float *in, size_t count)
{
    memcpy(out, in, count * sizeof *in);
    return true;
}

static void put_16(uint8_t *out, uint32_t bits)
{
    out[0] = (uint8_t)bits;
    out[1] = (uint8_t)(bits >> 8);
}

static bool encode_f16(uint8_t *out, const float *in, size_t count)
{
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t half = gm_float_to_half(in[i]);
        fits &= (half & 0x7fff) != HALF_INFINITE || isinf(in[i]);
        put_16(out + 2 * i, half);
    }
    return fits;
}

static bool encode_bf16(uint8_t *out, const float *in, size_t count)
{
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = gm_float_to_bf16(in[i]);
        fits &= (bits & 0x7fff) != BF16_INFINITE || isinf(in[i]);
        put_16(out + 2 * i, bits);
    }
    return fits;
}

static bool encode_q8_block(uint8_t *out, const float *in)
{
    float largest = 0;
    for (int i = 0; i < Q8_BLOCK; i++) {
        if (!isfinite(in[i]))
            return false;
        largest = fabsf(in[i]) > largest ? fabsf(in[i]) : largest;
    }
    float step = largest / 127, inverse = step > 0 ? 1 / step : 0;
    if (!isfinite(inverse)) /* a block of subnormals: nothing a half could scale */
        step = inverse = 0;
    uint32_t half = gm_float_to_half(step);
    put_16(out, half);
    for (int i = 0; i < Q8_BLOCK; i++)
        out[2 + i] = (uint8_t)(int8_t)roundf(in[i] * inverse);
    return (half & 0x7fff) != HALF_INFINITE;
}

static bool encode_q8_0(uint8_t *out, const float *in, size_t count)
{
    bool fits = true;
    for (size_t i = 0; i < count; i += Q8_BLOCK, out += Q8_BYTES)
        fits &= encode_q8_block(out, in + i);
    return fits;
}

const struct encoding encoding_f32 = {"f32", 1, 4, 0, 0, encode_f32};
const struct encoding encoding_f16 = {"f16", 1, 2, 1, 1, encode_f16};
const struct encoding encoding_bf16 = {"bf16", 1, 2, 30, 32, encode_bf16};
const struct encoding encoding_q8_0 = {"q8_0", Q8_BLOCK, Q8_BYTES, 8, 7, encode_q8_0};

const struct encoding *encoding_find(struct str name)
{
    static const struct encoding *const all[] = {&encoding_f32, &encoding_f16, &encoding_bf16,
                                                 &encoding_q8_0};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_is(name, all[i]->name))
            return all[i];
    return NULL;
}
