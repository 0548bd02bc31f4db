/* Rotary frequencies as configurations of Hugging Face say them: a base, and perhaps a scaling of what it
 * gives. */
#ifndef EMIT_ROTARY_FORM_H
#define EMIT_ROTARY_FORM_H

#include "emit/rotary_base.h"

enum rotary_scaling_kind { SCALING_NONE, SCALING_LINEAR, SCALING_LLAMA3 };

struct rotary_form {
    float base;
    enum rotary_scaling_kind scaling;
    float factor;    /* of both scalings */
    int64_t context; /* original_max_position_embeddings of llama3, whose low and high factors are 1 and 4 */
};

/* UNSUPPORTED, as rotary_base_find(), when no form gives every frequency. */
enum status rotary_form_find(struct rotary_form *out, const struct tensor_view *frequencies,
                             struct trace *trace) MUST_CHECK;

#endif
