/* A store: a directory that keeps what stages made under the hash of its bytes (docs/store.md). This header
 * opens and closes one; what is done with it is in the headers beside it: object.h and tensor_object.h
 * (objects), external.h (tensors in files of the user's), key.h (results and run records), ref.h, input.h
 * (hashes of input files), stage_lock.h (running stages), checkpoint.h, list.h, gc.h and fsck.h.
 *
 * Files appear whole or not at all, and several processes may use one store. A struct store holds no open
 * file and no lock, so it survives fork(). */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/status.h"
#include <stdint.h>

struct store;

enum store_mode {
    STORE_EXISTING, /* NOT_FOUND when there is none */
    STORE_CREATE,   /* makes one, with parent directories, when there is none */
    STORE_LOOK,     /* writes nothing; an empty one when there is none */
};

/* UNSUPPORTED: made by a later version. INVALID: the path is a file, or a directory with other things in it.
 */
enum status store_open(struct store **out, const char *path, enum store_mode mode,
                       struct trace *trace) MUST_CHECK;
void store_close(struct store *store); /* accepts NULL */

const char *store_path(const struct store *store);

/* IO, naming `purpose` and both numbers, when fewer than `bytes` are free where the store is. */
enum status store_require_space(const struct store *store, uint64_t bytes, const char *purpose,
                                struct trace *trace) MUST_CHECK;

#endif
