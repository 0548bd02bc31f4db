/* Writes ONNX files for tests: protobuf by hand, so that broken ones can be written too.
 *
 * Nodes, tensors, inputs and outputs are appended in any order. Attributes given before a node belong to it.
 * Names and operands are C strings; results are names that live on the writer's arena. */
#ifndef TESTS_SUPPORT_ONNX_WRITER_H
#define TESTS_SUPPORT_ONNX_WRITER_H

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"
#include "ir/type.h"
#include <stdint.h>

enum { ONNX_TEST_FLOAT = 1, ONNX_TEST_INT64 = 7, ONNX_TEST_BOOL = 9, ONNX_TEST_FLOAT16 = 10 };

struct onnx_writer {
    struct arena arena;
    VEC(struct str) nodes;     /* encoded, each with its tag */
    struct builder rest;       /* tensors, inputs, outputs, with their tags */
    struct builder attributes; /* of the next node */
    struct builder data;       /* content of the external file */
    const char *external;      /* its name; NULL: tensors hold their data */
    bool is_sparse; /* what goes to the external file is not kept, only its length, in `sparse_length` */
    uint64_t sparse_length;
    const char *node_prefix; /* of node names; NULL: nodes have no names */
    const char *domain;      /* of the next node; NULL: the default */
    uint32_t values;         /* counter of names */
    bool constant_nodes;     /* small constants as Constant nodes instead of initializers */
    bool reversed;           /* nodes written last to first */
    int64_t opset;
};

/* Protobuf pieces. */
void proto_varint(struct builder *b, uint64_t value);
void proto_integer(struct builder *b, uint32_t field, int64_t value);
void proto_bytes(struct builder *b, uint32_t field, const void *bytes, size_t length);
void proto_text(struct builder *b, uint32_t field, const char *text);

void onnx_input(struct onnx_writer *w, const char *name, int32_t type,
                const char *axes); /* axes: "batch 4 past" */
void onnx_output(struct onnx_writer *w, const char *name);
void onnx_attribute_int(struct onnx_writer *w, const char *name, int64_t value);
void onnx_attribute_float(struct onnx_writer *w, const char *name, float value);
void onnx_attribute_text(struct onnx_writer *w, const char *name, const char *value);
void onnx_attribute_ints(struct onnx_writer *w, const char *name, uint32_t count, const int64_t *values);
void onnx_attribute_tensor(struct onnx_writer *w, const char *name, int32_t type, uint32_t rank,
                           const int64_t *dims, const void *bytes, size_t length);
/* A node; inputs end with NULL ("" is an absent one). The first result's name. */
const char *onnx_op(struct onnx_writer *w, const char *op, ...) __attribute__((sentinel));
void onnx_op_named(struct onnx_writer *w, const char *op, uint32_t output_count, const char *const *outputs,
                   uint32_t input_count, const char *const *inputs);
const char *onnx_new_name(struct onnx_writer *w);
/* Tensors: inline, or in the external file when w->external is set and they are large. */
void onnx_tensor(struct onnx_writer *w, const char *name, int32_t type, uint32_t rank, const int64_t *dims,
                 const void *bytes, size_t length);
const char *onnx_const_ints(struct onnx_writer *w, uint32_t count, const int64_t *values); /* [count] */
const char *onnx_const_int(struct onnx_writer *w, int64_t value);                          /* [1] */
const char *onnx_const_index(struct onnx_writer *w, int64_t value);                        /* [] */
const char *onnx_const_float(struct onnx_writer *w, float value);                          /* [] */

/* The whole ModelProto. */
void onnx_finish(struct onnx_writer *w, struct builder *out);
void onnx_writer_release(struct onnx_writer *w);

#endif
