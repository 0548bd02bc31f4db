/* See ir/hf_architecture.h. */
#include "ir/hf_architecture.h"

#define FORM(...)   \
    {               \
        __VA_ARGS__ \
    }
#define DEFAULTS(...) \
    {                 \
        __VA_ARGS__   \
    }
const struct hf_architecture hf_architectures[] = {
#define HF_ARCHITECTURE(name, model_type, form, defaults) {name, model_type, form, defaults},
#include "ir/hf_architectures.def"
};
const size_t hf_architecture_count = sizeof hf_architectures / sizeof *hf_architectures;
