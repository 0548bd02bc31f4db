/* Small concrete arrays: what an ONNX graph computes from shapes alone, at the sizes of one probe.
 *
 * All elements are doubles, rounded to single precision after every operation where the ONNX type says so;
 * integers are exact up to 2^53. An array of cosines or sines remembers the angles it was made of, in the
 * same layout: the rotary frequencies are read off there. Arrays live on an arena and are never written after
 * they are made. */
#ifndef FRONTEND_ARRAY_H
#define FRONTEND_ARRAY_H

#include "base/arena.h"
#include "frontend/onnx_file.h"

enum {
    ARRAY_MAX_COUNT = 16 << 20, /* elements of one array */
    ARRAY_MAX_TOTAL = 64 << 20, /* elements of all arrays of an import */
};

enum array_function { ARRAY_PLAIN, ARRAY_COSINE, ARRAY_SINE };

struct array {
    int32_t type; /* enum onnx_type */
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK];
    int64_t count;
    double *data; /* row-major */
    enum array_function function;
    const struct array *angle;     /* of a cosine or sine; same dims */
    const struct onnx_data *table; /* the stored tensor that the elements were picked from, or NULL */
};

struct array_room {
    struct arena *arena;
    int64_t used; /* elements */
};

/* A zeroed array; UNSUPPORTED when it is larger than the limits. */
enum status array_create(struct array **out, struct array_room *room, int32_t type, uint32_t rank,
                         const int64_t *dims, struct trace *trace) MUST_CHECK;
enum status array_from_data(struct array **out, struct array_room *room, const struct onnx_data *data,
                            struct trace *trace) MUST_CHECK;
enum status array_from_integers(struct array **out, struct array_room *room, const int64_t *values,
                                uint32_t count, struct trace *trace) MUST_CHECK;
/* Another shape over the same elements; the counts must agree. */
struct array *array_reshape(struct array_room *room, const struct array *in, uint32_t rank,
                            const int64_t *dims);
/* Element (i_0, ...) of the result is in->data[offset + sum strides[a] * i_a]. The caller has checked the
 * range. */
enum status array_gather_strided(struct array **out, struct array_room *room, const struct array *in,
                                 uint32_t rank, const int64_t *dims, const int64_t *strides, int64_t offset,
                                 struct trace *trace) MUST_CHECK;
void array_strides(const struct array *array, int64_t strides[ONNX_MAX_RANK]); /* row-major */
/* Strides of `in` under the shape that it is broadcast to; false when it does not broadcast. */
bool array_broadcast(const struct array *in, uint32_t rank, const int64_t *dims,
                     int64_t strides[ONNX_MAX_RANK]);
bool array_broadcast_shape(const struct array *a, const struct array *b, uint32_t *rank,
                           int64_t dims[ONNX_MAX_RANK]);
bool array_equal(const struct array *a, const struct array *b); /* shape and elements; NaN equals nothing */
/* As an integer, saturating far beyond any size; false when it is not one. */
bool array_integer(const struct array *array, int64_t at, int64_t *out);
/* Moves to the next index in row-major order. */
void array_next(int64_t *index, uint32_t rank, const int64_t *dims);
double array_round(double value, int32_t type); /* to what the type can hold */

#endif
