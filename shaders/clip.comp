/* norm = sqrt(squares) / weight; factor divides by the weight and brings the norm down to hyper[9], unless that is 0.
 * squares [1], hyper [16] -> y [2] = (factor, norm). hyper[10] is 1 / weight. */
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shaders/include/push/elements.h"
#include "shaders/include/kernel.glsl"

layout(local_size_x = 1) in;
READS(0, float, squares);
READS(1, float, hyper);
WRITES(2, float, y);

void main()
{
    float limit = hyper[at1 + 9u], share = hyper[at1 + 10u];
    float norm = gm_flush(gm_flush(gm_sqrt(squares[at0])) * share);
    bool clips = limit > gm_float(0u) && norm > limit;
    y[at2] = clips ? gm_flush(gm_flush(gm_div(limit, norm)) * share) : gm_flush(share);
    y[at2 + 1u] = norm;
}
