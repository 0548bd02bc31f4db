/* See tests/frontend/hf_models.h. */
#include "tests/frontend/hf_models.h"

// clang-format off
#define TENSORS(...) {__VA_ARGS__}
#define LOGITS(...) {__VA_ARGS__}
// clang-format on
const struct hf_model hf_models[] = {
#define MODEL(name, config, tensors, logits) {name, config, tensors, logits},
#include "tests/frontend/models.def"
};
const size_t hf_model_count = sizeof hf_models / sizeof *hf_models;
const int32_t hf_model_tokens[HF_MODEL_TOKENS] = {3, 1, 4, 1, 5};

void hf_model_write(struct import_fixture *f, const struct hf_model *model, size_t skipped)
{
    struct safetensors_maker maker = {0};
    struct builder file = {0};
    float values[512];
    for (int64_t t = 0; t < HF_MODEL_TENSORS && model->tensors[t].name; t++) {
        uint32_t rank = model->tensors[t].rank;
        const int64_t *dims = model->tensors[t].dims;
        int64_t count = dims[0] * (rank > 1 ? dims[1] : 1);
        assert_true((size_t)count <= sizeof values / sizeof *values);
        for (int64_t i = 0; i < count; i++) {
            double u = (double)((t * 7919 + i * 104729) % 2003) / 2003 - 0.5;
            values[i] = (float)(rank > 1 ? u : 1 + 0.4 * u);
        }
        safetensors_add(&maker, model->tensors[t].name + skipped, "F32", rank, dims, values,
                        (size_t)count * sizeof *values);
    }
    safetensors_finish(&maker, &file);
    import_write_bytes(f, "model.safetensors", file.data, file.length);
    import_write_bytes(f, "config.json", model->config, strlen(model->config));
    builder_release(&file);
}
