/* The ONNX file itself, with or without a data file beside it. */
#ifndef EMIT_ONNX_FILE_H
#define EMIT_ONNX_FILE_H

#include "emit/emit.h"
#include "emit/onnx_graph.h"

/* Where content goes. A message of protobuf may have 2 GiB, so large models need the data file. */
struct onnx_limits {
    uint64_t inline_bytes; /* weights up to so many bytes in all stand in the ONNX file */
    uint64_t small_bytes;  /* with a data file, what is smaller still does */
};
#define EMIT_INLINE_LIMIT (UINT64_C(1) << 30)
#define EMIT_SMALL_LIMIT UINT64_C(1024)
enum { EMIT_DATA_ALIGNMENT = 4096 };

/* emit_onnx with other limits. */
enum status onnx_file_write(struct emitted *out, const char *path, const struct graph *graph,
                            const struct emit_onnx_options *options, const struct onnx_limits *limits,
                            struct trace *trace) MUST_CHECK;

#endif
