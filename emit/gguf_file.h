/* The GGUF format, version 3, little endian: a magic, the numbers of tensors and of keys, typed keys with
 * their values, names and shapes of the tensors with offsets, and from the next multiple of 32 on their
 * content, each on a multiple of 32. Shapes are written innermost axis first. (Specification: docs/gguf.md of
 * the ggml project.) */
#ifndef EMIT_GGUF_FILE_H
#define EMIT_GGUF_FILE_H

#include "base/arena.h"
#include "base/vec.h"
#include "emit/safetensors.h"

enum { GGUF_VERSION = 3, GGUF_ALIGNMENT = 32, GGUF_MAX_NAME = 63 };

struct gguf_tensor {
    struct safetensors_entry entry; /* its name has at most GGUF_MAX_NAME bytes */
    const struct encoding *encoding;
};

/* A file in the making. Names and views outlive it. */
struct gguf {
    struct arena arena;
    struct builder keys; /* in wire form */
    uint64_t key_count;
    VEC(struct gguf_tensor) tensors;
};
void gguf_release(struct gguf *gguf); /* accepts zeroed memory */

void gguf_add_u32(struct gguf *gguf, const char *key, uint32_t value);
void gguf_add_f32(struct gguf *gguf, const char *key, float value);
void gguf_add_bool(struct gguf *gguf, const char *key, bool value);
void gguf_add_text(struct gguf *gguf, const char *key, struct str value);
void gguf_add_texts(struct gguf *gguf, const char *key, const struct str *values, uint64_t count);
void gguf_add_f32s(struct gguf *gguf, const char *key, const float *values, uint64_t count);
void gguf_add_i32s(struct gguf *gguf, const char *key, const int32_t *values, uint64_t count);
void gguf_add_tensor(struct gguf *gguf, const struct gguf_tensor *tensor);

/* The caller opens and commits the file. */
enum status gguf_write(struct output_file *file, const struct gguf *gguf, struct trace *trace) MUST_CHECK;

#endif
