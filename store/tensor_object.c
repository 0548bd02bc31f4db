/* See store/tensor_object.h. */
#include "store/tensor_object.h"

#include "store/external.h"

enum status tensor_writer_open(struct tensor_writer *out, const struct store *store, const char *dtype,
                               uint32_t rank, const int64_t *dims, struct trace *trace)
{
    char header[TENSOR_HEADER];
    *out = (struct tensor_writer){0};
    TRY(tensor_form_init(&out->form, dtype, rank, dims, trace));
    tensor_form_to_header(header, &out->form);
    TRY(object_writer_open(&out->object, store, "tensor", TENSOR_HEADER + out->form.bytes, OBJECT_XXH3,
                           trace));
    enum status s = object_writer_add(&out->object, header, sizeof header, trace);
    if (s != OK)
        tensor_writer_release(out);
    return s;
}

enum status tensor_writer_add(struct tensor_writer *w, const void *bytes, size_t length, struct trace *trace)
{
    return object_writer_add(&w->object, bytes, length, trace);
}

enum status tensor_writer_commit(struct hash128 *out_id, struct tensor_writer *w, struct trace *trace)
{
    return object_writer_commit(out_id, NULL, &w->object, trace);
}

void tensor_writer_release(struct tensor_writer *w)
{
    object_writer_release(&w->object);
}

enum status store_put_tensor(struct hash128 *out_id, const struct store *store, const char *dtype,
                             uint32_t rank, const int64_t *dims, const void *bytes, struct trace *trace)
{
    struct tensor_writer w = {0};
    enum status s = tensor_writer_open(&w, store, dtype, rank, dims, trace);
    if (s == OK)
        s = tensor_writer_add(&w, bytes, w.form.bytes, trace);
    if (s == OK)
        s = tensor_writer_commit(out_id, &w, trace);
    tensor_writer_release(&w);
    return s;
}

/* The mapping goes from `object` to `out`. */
static enum status take_object(struct tensor_object *out, struct store_object *object, struct trace *trace)
{
    char name[STORE_ID_TEXT];
    store_id_to_text(object->id, name);
    if (object->size < TENSOR_HEADER || !tensor_form_from_header(&out->form, object->data))
        return status_fail(trace, CORRUPT,
                           "object %s is damaged: its payload does not start with a tensor's header", name);
    if (object->size - TENSOR_HEADER != out->form.bytes)
        return status_fail(
            trace, CORRUPT,
            "object %s is damaged: a tensor of %llu bytes was expected after its header, found %zu", name,
            (unsigned long long)out->form.bytes, object->size - TENSOR_HEADER);
    out->id = object->id;
    out->data = object->data + TENSOR_HEADER;
    out->offset = TENSOR_DATA;
    out->mapping = object->mapping;
    *object = (struct store_object){0};
    return OK;
}

enum status tensor_object_open(struct tensor_object *out, const struct store *store, struct hash128 id,
                               enum object_check check, struct trace *trace)
{
    struct store_object object = {0};
    *out = (struct tensor_object){0};
    enum status s = store_open_object(&object, store, id, "tensor", check, trace);
    if (s == OK)
        s = take_object(out, &object, trace);
    else if (s == NOT_FOUND && external_has(store, id))
        s = external_open(out, store, id, check, trace);
    store_object_release(&object);
    return s;
}

void tensor_object_release(struct tensor_object *tensor)
{
    if (tensor->mapping.is_open)
        mapping_release(&tensor->mapping);
    *tensor = (struct tensor_object){0};
}

void tensor_object_drop(const struct tensor_object *tensor)
{
    mapping_drop(&tensor->mapping, tensor->offset, tensor->form.bytes);
}
