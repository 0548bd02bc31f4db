/* Rotary frequencies of a configuration. They are not stored in such models, so these are computed as their
 * reference implementation does (transformers, modeling_rope_utils.py), in single precision step by step, so
 * that a graph exported from it has the same: there, a number divided by a tensor is its reciprocal times the
 * number. Powers are rounded once, from double. */
#include "frontend/decoder.h"
#include "frontend/exact.h"

/* Long wavelengths are divided by the factor, short ones kept, those between interpolated (Llama 3.1). */
static float scale_llama3(float w, const struct decoder_rotary *rotary)
{
    double context = (double)rotary->original_context;
    float longest = (float)(context / rotary->low_factor), shortest = (float)(context / rotary->high_factor);
    float wavelength = 1 / w * (float)(2 * 3.14159265358979323846), factor = (float)rotary->factor;
    if (wavelength < shortest)
        return w;
    if (wavelength > longest)
        return w / factor;
    float smooth = 1 / wavelength * (float)context - (float)rotary->low_factor;
    smooth /= (float)(rotary->high_factor - rotary->low_factor);
    return (1 - smooth) * w / factor + smooth * w;
}

void decoder_frequencies(float *out, const struct decoder_rotary *rotary)
{
    for (int64_t j = 0; j < rotary->size / 2; j++) {
        float exponent = (float)(2 * j) / (float)rotary->size;
        out[j] = 1 / (float)exact_pow((double)(float)rotary->theta, (double)exponent);
        if (rotary->scaling == ROTARY_LINEAR)
            out[j] /= (float)rotary->factor;
        else if (rotary->scaling == ROTARY_LLAMA3)
            out[j] = scale_llama3(out[j], rotary);
        if (rotary->factors)
            out[j] /= rotary->factors[j];
    }
}
