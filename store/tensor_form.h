/* What a stored tensor's header says: element type and dims. The element types are names here, so that the
 * store needs nothing of ir/; their sizes are the only thing that the store knows about them. */
#ifndef STORE_TENSOR_FORM_H
#define STORE_TENSOR_FORM_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum { TENSOR_HEADER = 64, TENSOR_RANK = 8, TENSOR_DTYPE = 8 /* with the NUL */ };

struct tensor_form {
    char dtype[TENSOR_DTYPE]; /* "f32", ... */
    uint32_t element_size;    /* in bytes; a bool is one byte */
    uint32_t rank;
    int64_t dims[TENSOR_RANK]; /* each >= 0; those at and after rank are 0 */
    uint64_t count;            /* of elements; 1 for a scalar */
    uint64_t bytes;            /* count * element_size */
};

/* INVALID: unknown dtype, rank above TENSOR_RANK, a negative dim, or dims whose product (zeros left out)
 * times the element size is 2^63 or more. `dims` may be NULL for rank 0. */
enum status tensor_form_init(struct tensor_form *out, const char *dtype, uint32_t rank, const int64_t *dims,
                             struct trace *trace) MUST_CHECK;

/* "f32 512 64", padded with spaces, closed by a newline. */
void tensor_form_to_header(char header[TENSOR_HEADER], const struct tensor_form *form);
/* False unless it is the one spelling of a form. */
bool tensor_form_from_header(struct tensor_form *out, const uint8_t header[TENSOR_HEADER]);

#endif
