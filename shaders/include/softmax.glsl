/* The softmax of a row of student logits x and of teacher logits y, by a group of 64 lanes. */
#ifndef SHADERS_SOFTMAX_GLSL
#define SHADERS_SOFTMAX_GLSL

#include "shaders/include/reduce.glsl"

float mx, my, sx, sy, zx, zy; /* m, S, F(rcp(S)) */
float shift;                  /* log-sum of x less that of y */

#define FIND_SOFTMAX(ax, ay)                                                                                 \
    mx = LOWEST;                                                                                             \
    my = LOWEST;                                                                                             \
    for (uint c = LANE; c < columns; c += LANES) {                                                           \
        mx = gm_max(mx, x[ax + c]);                                                                          \
        my = gm_max(my, y[ay + c]);                                                                          \
    }                                                                                                        \
    mx = row_max(mx);                                                                                        \
    my = row_max(my);                                                                                        \
    sx = gm_float(0u);                                                                                       \
    sy = gm_float(0u);                                                                                       \
    for (uint c = LANE; c < columns; c += LANES) {                                                           \
        sx = sx + gm_flush(gm_exp(x[ax + c] - mx));                                                          \
        sy = sy + gm_flush(gm_exp(y[ay + c] - my));                                                          \
    }                                                                                                        \
    sx = row_sum(sx);                                                                                        \
    sy = row_sum(sy);                                                                                        \
    zx = gm_flush(gm_rcp(sx));                                                                               \
    zy = gm_flush(gm_rcp(sy));                                                                               \
    shift = (gm_log(sx) + mx) - (gm_log(sy) + my);

/* The student's and the teacher's probability of a token. */
float student_share(float logit)
{
    return gm_flush(gm_flush(gm_exp(logit - mx)) * zx);
}

float teacher_share(float logit)
{
    return gm_flush(gm_flush(gm_exp(logit - my)) * zy);
}

#endif
