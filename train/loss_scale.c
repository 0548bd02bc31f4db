#include "train/loss_scale.h"

static bool is_factor(uint32_t factor)
{
    return factor > 0 && factor <= LOSS_SCALE_MOST && (factor & (factor - 1)) == 0;
}

void loss_scale_start(struct loss_scale *out, const struct loss_scale_options *options,
                      enum operands operands)
{
    *out = (struct loss_scale){.factor = 1};
    if (operands != OPERANDS_F16)
        return;
    out->factor = options->first ? options->first : LOSS_SCALE_FIRST;
    out->steps = options->steps ? options->steps : LOSS_SCALE_STEPS;
}

bool loss_scale_halve(struct loss_scale *scale)
{
    if (scale->factor == 1)
        return false;
    scale->factor /= 2;
    scale->good = 0;
    scale->again++;
    return true;
}

void loss_scale_keep(struct loss_scale *scale)
{
    if (!loss_scale_is_used(scale) || ++scale->good < scale->steps)
        return;
    scale->good = 0;
    if (scale->factor < LOSS_SCALE_MOST)
        scale->factor *= 2;
}

void loss_scale_save(const struct loss_scale *scale, uint32_t out[LOSS_SCALE_WORDS])
{
    out[0] = scale->factor;
    out[1] = scale->good;
    out[2] = scale->again;
}

bool loss_scale_restore(struct loss_scale *scale, const uint32_t words[LOSS_SCALE_WORDS])
{
    if (!is_factor(words[0]) || words[1] >= scale->steps)
        return false;
    scale->factor = words[0];
    scale->good = words[1];
    scale->again = words[2];
    return true;
}
