/* Scores of attention from the flushed, unscaled products of queries and keys: of query i and key j of a head with a slope. */
#ifndef SHADERS_SCORE_GLSL
#define SHADERS_SCORE_GLSL

float score_of(float x, float slope, uint i, uint j)
{
    float y = gm_flush(gm_flush(x) * scale);
    if (softcap > gm_float(0u))
        y = gm_flush(gm_flush(gm_tanh(y * uncap)) * softcap);
    return sloped != 0u ? gm_flush(y - gm_flush(slope * gm_from_int(int(i) - int(j)))) : y;
}

/* t, the gradient of the bent score x, as that of the score before. */
float unbend(float t, float x)
{
    if (!(softcap > gm_float(0u)))
        return t;
    float y = gm_flush(x * uncap);
    return gm_flush(t * gm_flush(gm_float(GM_ONE) - gm_flush(y * y)));
}

/* The first key that query i sees. */
uint first_key(uint i)
{
    return i >= window ? i + 1u - window : 0u;
}

#endif
