/* Hugging Face folders for tests: the model that tests/support/onnx_llama.h writes as ONNX, as config.json
 * and safetensors; and safetensors files put together by hand. */
#ifndef TESTS_FRONTEND_HF_FOLDER_H
#define TESTS_FRONTEND_HF_FOLDER_H

#include "tests/frontend/import.h"

struct safetensors_maker {
    struct builder header, content; /* the header without its braces */
};

void safetensors_add(struct safetensors_maker *maker, const char *name, const char *type, uint32_t rank,
                     const int64_t *dims, const void *bytes, size_t size);
/* The whole file; the maker is empty again. */
void safetensors_finish(struct safetensors_maker *maker, struct builder *out);
/* Length, header and `content_size` zero bytes, whatever the header says. */
void safetensors_print(struct builder *out, const char *header, size_t content_size);

/* Writes config.json and model.safetensors; only sizes, tie, bias and half of the model count. With two
 * shards, the layers' weights are in the second. */
enum shards { ONE_FILE, TWO_SHARDS };
void hf_folder_write(struct import_fixture *f, const struct onnx_llama *model, enum shards shards);
/* The configuration, with `more` (", \"field\": value" or "") at its end. */
void hf_config_write(struct import_fixture *f, const struct onnx_llama *model, const char *more);

#endif
