/* What the weights of the test models are: a sequence that depends on the part's name. */
#include "tests/support/onnx_llama.h"
#include <math.h>
#include <stdlib.h>

float *onnx_llama_weight(const char *part, int64_t count)
{
    uint64_t state = 0xcbf29ce484222325u;
    float *out = malloc((size_t)count * sizeof *out);
    for (const char *c = part; *c; c++)
        state = (state ^ (uint8_t)*c) * 0x100000001b3u;
    for (int64_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = (float)((int64_t)(state >> 40) - (1 << 23)) / (float)(1 << 24);
    }
    return out;
}

float onnx_llama_frequency(const struct onnx_llama *model, int64_t j)
{
    return (float)pow(10000, -2.0 * (double)j / (double)model->head);
}
