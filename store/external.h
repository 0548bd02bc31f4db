/* Tensors that stay in a file of the user's, so that importing a model does not copy it.
 *
 * Such a tensor has the id that it would have as an object; a locator file in external/, which is not hashed,
 * says in which file and where it is. When that file is not what it was (size, mtime, inode), the elements
 * are hashed again before they are used. */
#ifndef STORE_EXTERNAL_H
#define STORE_EXTERNAL_H

#include "store/tensor_object.h"

/* Gives the tensor at `offset` of the file `path` its id, reading it once. Its bytes must be as the store
 * would keep them: little-endian, row-major. A tensor that is not aligned to its element size, as raw data in
 * an ONNX file may be, is copied into the store instead. INVALID when it reaches beyond the end of the file.
 */
enum status store_put_external(struct hash128 *out_id, const struct store *store, const char *path,
                               uint64_t offset, const char *dtype, uint32_t rank, const int64_t *dims,
                               struct trace *trace) MUST_CHECK;

bool external_has(const struct store *store, struct hash128 id);

/* Element type and dims, from the locator alone. */
enum status external_read_form(struct tensor_form *out, const struct store *store, struct hash128 id,
                               struct trace *trace) MUST_CHECK;

/* CORRUPT when the file holds other bytes there now; NOT_FOUND when it is gone. tensor_object_open() calls
 * this. */
enum status external_open(struct tensor_object *out, const struct store *store, struct hash128 id,
                          enum object_check check, struct trace *trace) MUST_CHECK;

#endif
