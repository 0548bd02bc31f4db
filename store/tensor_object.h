/* Tensors as objects of kind "tensor": a header of 64 bytes with element type and dims, then the elements,
 * little-endian, row-major. When mapped, the elements start at offset TENSOR_DATA of the file, aligned to 64
 * bytes. Reading also finds tensors that live in a file of the user's (external.h); an id tells no
 * difference. */
#ifndef STORE_TENSOR_OBJECT_H
#define STORE_TENSOR_OBJECT_H

#include "store/object.h"
#include "store/tensor_form.h"

enum { TENSOR_DATA = OBJECT_HEADER + TENSOR_HEADER };

/* Writes one tensor; at commit exactly form.bytes must have been added. SHA-256 would be of header and
 * elements. */
struct tensor_writer {
    struct object_writer object;
    struct tensor_form form;
};

enum status tensor_writer_open(struct tensor_writer *out, const struct store *store, const char *dtype,
                               uint32_t rank, const int64_t *dims, struct trace *trace) MUST_CHECK;
enum status tensor_writer_add(struct tensor_writer *w, const void *bytes, size_t length,
                              struct trace *trace) MUST_CHECK;
enum status tensor_writer_commit(struct hash128 *out_id, struct tensor_writer *w,
                                 struct trace *trace) MUST_CHECK;
void tensor_writer_release(struct tensor_writer *w); /* accepts zeroed memory */

/* One-shot: `bytes` holds the elements of shape dims[rank]. */
enum status store_put_tensor(struct hash128 *out_id, const struct store *store, const char *dtype,
                             uint32_t rank, const int64_t *dims, const void *bytes,
                             struct trace *trace) MUST_CHECK;

/* A tensor, mapped. No descriptor is kept open. */
struct tensor_object {
    struct mapping mapping;
    struct hash128 id;
    struct tensor_form form;
    const uint8_t
        *data; /* form.bytes of elements; aligned to 64 bytes in the store, to the element size elsewhere */
    size_t offset;    /* of data in the mapping */
    bool is_external; /* in a file of the user's: a program that cuts the file short ends this one (SIGBUS) */
};

/* OBJECT_TRUST checks headers and lengths (and, for an external one, that its file is as it was);
 * OBJECT_VERIFY hashes everything. */
enum status tensor_object_open(struct tensor_object *out, const struct store *store, struct hash128 id,
                               enum object_check check, struct trace *trace) MUST_CHECK;
void tensor_object_release(struct tensor_object *tensor); /* accepts zeroed memory */
/* Tells the kernel that the elements will not be read again soon. */
void tensor_object_drop(const struct tensor_object *tensor);

#endif
