/* The safetensors format: eight bytes, the length of a JSON header; the header, {"NAME": {"dtype", "shape",
 * "data_offsets": [from, to]}, "__metadata__": {TEXT: TEXT}}, padded with blanks; then the elements, little
 * endian, row-major.
 *
 * Read as strictly as the format's reference implementation: tensors cover the rest of the file without holes
 * and overlaps, each has just the bytes that its shape needs, no key comes twice. */
#ifndef FRONTEND_SAFETENSORS_H
#define FRONTEND_SAFETENSORS_H

#include "frontend/weight_set.h"

enum { SAFETENSORS_MAX_HEADER = 100000000 };

/* Adds the tensors of the mapped file to the set; views are of the mapping, which outlives them. */
enum status safetensors_read(struct weight_set *out, const struct mapping *file,
                             struct trace *trace) MUST_CHECK;

#endif
