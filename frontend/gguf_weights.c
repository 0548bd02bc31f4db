/* The tensors of a GGUF file as weights; those in blocks are decoded (frontend/decoded.h). */
#include "frontend/decoded.h"
#include "frontend/gguf.h"
#include <string.h>

enum { PIECE = 512 * QUANTISED_MAX_BLOCK }; /* floats that are decoded at a time */

static enum status decode(struct decoded *d, float *piece, const struct gguf_tensor *tensor,
                          struct trace *trace)
{
    const struct quantised *q = tensor->quantised;
    uint64_t blocks = tensor->size / q->bytes, each = PIECE / q->elements;
    for (uint64_t first = 0; first < blocks; first += each) {
        uint64_t count = blocks - first < each ? blocks - first : each;
        for (uint64_t i = 0; i < count; i++)
            q->decode(piece + i * q->elements, tensor->data + (first + i) * q->bytes);
        TRY(decoded_write(d, piece, (size_t)count * q->elements, trace));
    }
    return OK;
}

static uint64_t element_count(const struct gguf_tensor *tensor)
{
    return tensor->size / tensor->quantised->bytes * tensor->quantised->elements;
}

static enum status decode_all(struct decoded *d, const struct imported_model *model,
                              const struct gguf_file *file, struct trace *trace)
{
    struct arena scratch = {0};
    float *piece = ARENA_ARRAY(&scratch, float, PIECE);
    enum status status = decoded_open(d, trace);
    for (uint32_t i = 0; status == OK && i < file->tensors.count; i++) {
        const struct gguf_tensor *tensor = &file->tensors.items[i];
        if (tensor->quantised)
            status = decoded_is_left_out(model, element_count(tensor))
                         ? decoded_skip(d, element_count(tensor), trace)
                         : decode(d, piece, tensor, trace);
    }
    arena_release(&scratch);
    return status;
}

/* Maps what is decoded; the model keeps it. */
static enum status map_decoded(const struct mapping **out, struct imported_model *model,
                               const struct gguf_file *file, struct trace *trace)
{
    struct decoded d = {0};
    enum status status = decode_all(&d, model, file, trace);
    if (status == OK)
        status = decoded_map(out, &d, model, trace);
    decoded_close(&d);
    return status;
}

/* "q4_1 and q8_0" in the order of their first tensors. */
static void note_types(struct imported_model *model, const struct gguf_file *file)
{
    struct builder list = {0};
    for (uint32_t i = 0; i < file->tensors.count; i++) {
        const struct quantised *q = file->tensors.items[i].quantised;
        if (q && !strstr(builder_text(&list), q->name))
            builder_printf(&list, "%s%s", list.length > 0 ? ", " : "", q->name);
    }
    if (list.length > 0)
        imported_model_note(model, "weights stored as %s %s decoded to f32", builder_text(&list),
                            model->use == IMPORT_TO_LOOK ? "would be" : "were");
    builder_release(&list);
}

static bool any_quantised(const struct gguf_file *file)
{
    for (uint32_t i = 0; i < file->tensors.count; i++)
        if (file->tensors.items[i].quantised)
            return true;
    return false;
}

enum status gguf_add_weights(struct weight_set *set, struct imported_model *model, struct gguf_file *file,
                             const struct mapping *mapping, struct trace *trace)
{
    const struct mapping *decoded = NULL;
    uint64_t at = 0;
    if (any_quantised(file))
        TRY(map_decoded(&decoded, model, file, trace));
    note_types(model, file);
    for (uint32_t i = 0; i < file->tensors.count; i++) {
        const struct gguf_tensor *tensor = &file->tensors.items[i];
        struct stored_weight weight = {
            .name = tensor->name, .type = "float", .rank = tensor->rank, .is_float = true};
        const struct mapping *source = tensor->quantised ? decoded : mapping;
        const uint8_t *data = tensor->quantised ? decoded->data + at : tensor->data;
        size_t size = tensor->size;
        if (tensor->quantised) {
            size = element_count(tensor) * sizeof(float);
            at += size;
            if (decoded_is_left_out(model, element_count(tensor)))
                decoded_add_left_out(
                    model, &(struct undecoded){.base = data,
                                               .rule = tensor->quantised,
                                               .parts = {{(const char *)tensor->data, tensor->size}}});
        }
        memcpy(weight.dims, tensor->dims, tensor->rank * sizeof *tensor->dims);
        TRY(tensor_view_dense(&weight.view, source, data, size, tensor->dtype, tensor->rank, tensor->dims,
                              trace));
        TRY(weight_set_add(set, &weight, trace));
    }
    return OK;
}
