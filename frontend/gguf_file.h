/* The GGUF format, versions 2 and 3, little endian (docs/gguf.md of the ggml project), read without trust:
 * every count is held against the bytes that are left before anything is made of it, every sum and product is
 * checked before padding, names are unique, and contents of tensors lie inside the file, aligned and apart.
 */
#ifndef FRONTEND_GGUF_FILE_H
#define FRONTEND_GGUF_FILE_H

#include "base/file.h"
#include "frontend/weight_set.h"
#include "ir/quantised.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_TEXT,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_COUNT
};

enum { GGUF_MAX_RANK = 4, GGUF_MAX_NAME = 64, GGUF_MAX_KEY = 65535, GGUF_MAX_ENTRIES = 100000 };

/* A key and its value, which lies in the file: one, or `count` of an array. */
struct gguf_entry {
    struct str key;
    enum gguf_type type; /* of an array, that of its items */
    bool is_array;
    uint64_t count;
    const uint8_t *data;
    size_t size;
    bool is_read; /* for whoever looks for keys that nobody understood */
};

struct gguf_tensor {
    struct str name;
    uint32_t rank;
    int64_t dims[GGUF_MAX_RANK];       /* outermost first, as everywhere in espalier */
    const struct quantised *quantised; /* NULL: `dtype` */
    enum dtype dtype;
    const uint8_t *data;
    size_t size;
};

struct gguf_file {
    struct arena *arena;
    VEC(struct gguf_entry) entries;
    VEC(struct gguf_tensor) tensors;
    struct map keys, names;
};

/* `out->arena` is set; the rest is zeroed. INVALID, or UNSUPPORTED for another version, byte order or type of
 * elements. */
enum status gguf_read(struct gguf_file *out, const struct mapping *file, struct trace *trace) MUST_CHECK;

/* NULL when there is none. Marks it as read. */
struct gguf_entry *gguf_find(struct gguf_file *file, const char *key);
/* False when the entry is something else: an integer of at least 0, a finite number, a text, true or false.
 */
bool gguf_integer(const struct gguf_entry *entry, int64_t *out);
bool gguf_real(const struct gguf_entry *entry, double *out);
bool gguf_text(const struct gguf_entry *entry, struct str *out);
bool gguf_flag(const struct gguf_entry *entry, bool *out);
/* Goes through the texts of an array: *at starts as 0 and counts bytes. False at the end. */
bool gguf_next_text(const struct gguf_entry *entry, size_t *at, struct str *out);
/* Integer number `i` of an array of 32-bit integers. */
int64_t gguf_item(const struct gguf_entry *entry, uint64_t i);

#endif
