/* The safetensors format: eight bytes of header length, a JSON header that names every tensor with its place,
 * and then the content without gaps. Entries are in the order of their names, all f32, so offsets ascend with
 * the names; the header is padded with blanks to a multiple of eight. */
#ifndef EMIT_SAFETENSORS_H
#define EMIT_SAFETENSORS_H

#include "emit/output.h"

/* A part of a tensor's content. */
struct safetensors_piece {
    struct tensor_view view; /* of rank 0: `zeros` zeros */
    int64_t zeros;
    float factor; /* of every element */
};

struct safetensors_entry {
    const char *name; /* plain ASCII without quotes or backslashes */
    uint32_t rank;    /* 1 or 2 */
    int64_t dims[2];
    const struct safetensors_piece *pieces; /* one after the other, the whole tensor in row-major order */
    uint32_t piece_count;
};

uint64_t safetensors_bytes(const struct safetensors_entry *entry);
/* By name. */
void safetensors_sort(struct safetensors_entry *entries, uint32_t count);
/* Of sorted entries. The caller opens and commits the file. */
enum status safetensors_write(struct output_file *file, const struct safetensors_entry *entries,
                              uint32_t count, struct trace *trace) MUST_CHECK;

#endif
