/* A file on its way out: written to a temporary place, hashed while it is written, and renamed over what was
 * there before by output_commit(). Nothing is listed as emitted before it is committed. */
#ifndef EMIT_OUTPUT_H
#define EMIT_OUTPUT_H

#include "base/file.h"
#include "emit/emit.h"
#include "emit/encoding.h"
#include "ir/tensor.h"

struct output_file {
    struct file_writer writer;
    struct sha256 *sha;
};

enum status output_open(struct output_file *out, const char *path, struct trace *trace) MUST_CHECK;
enum status output_add(struct output_file *file, const void *bytes, size_t length,
                       struct trace *trace) MUST_CHECK;
/* Bytes of zero. */
enum status output_pad(struct output_file *file, uint64_t length, struct trace *trace) MUST_CHECK;
/* All elements in row-major order of the view, widened to f32, times `factor`, and encoded; their number is a
 * multiple of the encoding's block. INVALID for a view without memory, and for an element that is too large
 * for the encoding. Memory use does not depend on the size of the weight. */
enum status output_add_weight(struct output_file *file, const struct tensor_view *view, float factor,
                              const struct encoding *encoding, struct trace *trace) MUST_CHECK;
uint64_t output_length(const struct output_file *file);

/* Puts the file in its place and lists it under `name`, which is copied. */
enum status output_commit(struct output_file *file, struct emitted *list, const char *name,
                          struct trace *trace) MUST_CHECK;
void output_release(struct output_file *file); /* removes what was not committed; accepts zeroed memory */

void emitted_note(struct emitted *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* Notes which metadata a form leaves out: all but what it keeps (NULL: nothing). */
void emitted_note_metadata(struct emitted *out, const struct metadata *metadata,
                           bool (*is_kept)(struct str key));

/* The part of a path after its last slash. */
const char *output_base_name(const char *path);

#endif
