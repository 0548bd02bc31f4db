/* Numbers that the ONNX format (onnx.proto of ONNX 1.12, IR version 8) gives its fields and kinds; only those
 * that are written. */
#ifndef EMIT_ONNX_FIELDS_H
#define EMIT_ONNX_FIELDS_H

/* What every graph is written with, and what one with an operator of opset 23 needs. */
enum { ONNX_IR_VERSION = 8, ONNX_OPSET = 17 };
enum { ONNX_FUSED_IR_VERSION = 11, ONNX_FUSED_OPSET = 23 };

enum onnx_field {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_DOMAIN = 4,
    MODEL_VERSION = 5,
    MODEL_DOC_STRING = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA_PROPS = 14,
    OPSET_DOMAIN = 1,
    OPSET_VERSION = 2,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_FLOAT = 2,
    ATTRIBUTE_INT = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIMS = 1,
    TENSOR_DATA_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW_DATA = 9,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_NAME = 1,
    VALUE_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEMENT = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAMETER = 2,
};

enum onnx_kind { ONNX_FLOAT = 1, ONNX_INT32 = 6, ONNX_INT64 = 7, ONNX_BOOL = 9 }; /* TensorProto.DataType */
enum onnx_attribute_kind { ONNX_ATTRIBUTE_FLOAT = 1, ONNX_ATTRIBUTE_INT = 2, ONNX_ATTRIBUTE_INTS = 7 };
enum { ONNX_EXTERNAL = 1 }; /* TensorProto.DataLocation */

#endif
