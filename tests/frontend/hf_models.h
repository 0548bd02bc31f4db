/* Small models of the transformers library (tests/frontend/models.def): configuration, tensors and logits.
 * Element i of tensor t (in alphabetical order) is ((7919 t + 104729 i) mod 2003) / 2003 - 1/2; of a vector,
 * 1 + 0.4 times that. */
#ifndef TESTS_FRONTEND_HF_MODELS_H
#define TESTS_FRONTEND_HF_MODELS_H

#include "tests/frontend/hf_folder.h"

enum { HF_MODEL_TENSORS = 32, HF_MODEL_WORDS = 11, HF_MODEL_TOKENS = 5 };

struct hf_model {
    const char *name; /* model_type */
    const char *config;
    struct {
        const char *name;
        uint32_t rank;
        int64_t dims[2];
    } tensors[HF_MODEL_TENSORS];
    double logits[HF_MODEL_WORDS]; /* of the last token */
};

extern const struct hf_model hf_models[];
extern const size_t hf_model_count;
extern const int32_t hf_model_tokens[HF_MODEL_TOKENS];

/* config.json and model.safetensors, without `skipped` characters in front of each tensor's name. */
void hf_model_write(struct import_fixture *f, const struct hf_model *model, size_t skipped);

#endif
