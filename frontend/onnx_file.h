/* An ONNX file, opened: mapped, scanned, unpacked, its data files mapped, its tensors located and checked.
 *
 * Everything found in the file hangs on the arena of the struct; the mappings belong to the imported model.
 */
#ifndef FRONTEND_ONNX_FILE_H
#define FRONTEND_ONNX_FILE_H

#include "base/map.h"
#include "frontend/frontend.h"
#include "frontend/onnx.pb-c.h"
#include "frontend/wire.h"
#include "ir/tensor.h"

enum { ONNX_MAX_RANK = 8, ONNX_MIN_OPSET = 11, ONNX_MAX_OPSET = 26 };

/* TensorProto.DataType, the ones that can occur. */
enum onnx_type {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_UINT16 = 4,
    ONNX_INT16 = 5,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_UINT32 = 12,
    ONNX_UINT64 = 13,
    ONNX_COMPLEX128 = 15,
    ONNX_BFLOAT16 = 16,
};
const char *onnx_type_name(int32_t type); /* "FLOAT"; "type 42" is "an unknown type" */
size_t onnx_type_size(int32_t type);      /* bytes an element; 0 when unknown */
bool onnx_type_is_float(int32_t type);

/* Where the elements of a TensorProto are; shape and length have been checked against each other. */
struct onnx_data {
    struct str name;
    int32_t type;
    uint32_t rank;
    int64_t dims[ONNX_MAX_RANK];
    int64_t count;
    uint32_t field; /* number of the TensorProto field that holds them; external data counts as raw (9) */
    const uint8_t *bytes;
    size_t size;
    const struct mapping *mapping;
    bool is_literal; /* of a Constant node, which no training changed */
};

struct onnx_file {
    struct arena arena;
    const char *path;
    const struct import_options *options;
    struct imported_model *model; /* owns the mappings */
    struct map data_files;        /* location -> index into model->files */
    const Onnx__ModelProto *proto;
    struct wire_dropped dropped;
    int64_t opset; /* of the default domain */
};

enum status onnx_file_open(struct onnx_file *out, struct imported_model *model, const char *path,
                           const struct import_options *options, struct trace *trace) MUST_CHECK;
void onnx_file_release(struct onnx_file *file); /* accepts zeroed memory */

/* Locates the elements of `tensor`. INVALID, IO or UNSUPPORTED name the tensor. */
enum status onnx_data_locate(struct onnx_data *out, struct onnx_file *file, const Onnx__TensorProto *tensor,
                             struct trace *trace) MUST_CHECK;
/* The view of floats that are stored one after the other, of rank at most TENSOR_MAX_RANK; false when they
 * are not. */
bool onnx_data_view(struct tensor_view *out, const struct onnx_data *data);
/* All elements as doubles, exact except for 64-bit integers beyond 2^53. `out` has room for data->count. */
enum status onnx_data_decode(double *out, const struct onnx_data *data, struct trace *trace) MUST_CHECK;

/* Finds or maps the data file of an external tensor (frontend/external.c). */
enum status onnx_external_locate(struct onnx_data *data, struct onnx_file *file,
                                 const Onnx__TensorProto *tensor, struct trace *trace) MUST_CHECK;

#endif
