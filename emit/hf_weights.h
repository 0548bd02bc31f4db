/* The tensors of a Hugging Face folder: the parts of a model under the names, in the packing and with the
 * compensations of its form. */
#ifndef EMIT_HF_WEIGHTS_H
#define EMIT_HF_WEIGHTS_H

#include "emit/hf_form.h"
#include "emit/safetensors.h"

struct hf_weights {
    struct arena arena;
    const struct parts *parts;
    const struct hf_form *form;
    VEC(struct safetensors_entry) entries;
};

/* Fills `entries`; views are of the parts and of the arena. `weights->parts` and `form` are set. */
void hf_weights_add(struct hf_weights *weights);
void hf_weights_release(struct hf_weights *weights);

#endif
