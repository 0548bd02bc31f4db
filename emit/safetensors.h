/* The safetensors format: eight bytes of header length, a JSON header that names every tensor with its place,
 * and then the content without gaps. Entries are in the order of their names, all f32, so offsets ascend with
 * the names; the header is padded with blanks to a multiple of eight. */
#ifndef EMIT_SAFETENSORS_H
#define EMIT_SAFETENSORS_H

#include "emit/output.h"

struct safetensors_entry {
    const char *name;               /* plain ASCII without quotes or backslashes */
    const struct tensor_view *view; /* NULL: zeros, of rank 1 and `zeros` elements */
    int64_t zeros;
    float factor; /* of every element */
};

/* Sorts the entries. The caller opens and commits the file. */
enum status safetensors_write(struct output_file *file, struct safetensors_entry *entries, uint32_t count,
                              struct trace *trace) MUST_CHECK;

#endif
