/* Results of stages by key, and the records of their runs.
 *
 * A key is the hash of all that a stage's result depends on; making it is the pipeline's work. A key with a
 * result is not run again. The result is an object of kind "result" that lists the outputs, so it is hashed
 * and checked like any other; the key's file holds its id. */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/vec.h"
#include "store/store.h"

struct store_output {
    const char *name; /* "model", "scores", ...; unique in a result */
    struct hash128 id;
    char sha256[SHA256_HEX]; /* of the payload; "" where it was not asked for */
};

struct store_result {
    VEC(struct store_output) outputs;
};

void store_result_add(struct store_result *result, struct arena *arena, const char *name, struct hash128 id,
                      const char *sha256); /* sha256 may be NULL */
const struct store_output *store_result_find(const struct store_result *result,
                                             const char *name); /* or NULL */

/* NOT_FOUND: the key has no result, the stage has to run. CORRUPT: it has one that is damaged or no longer
 * complete, which is for people to look at. The result is on the arena. */
enum status store_key_find(struct store_result *out, struct arena *arena, const struct store *store,
                           struct hash128 key, struct trace *trace) MUST_CHECK;
/* The outputs are in the store already. Replaces an earlier result. */
enum status store_key_put(const struct store *store, struct hash128 key, const struct store_result *result,
                          struct trace *trace) MUST_CHECK;

/* The id of the key's result, without looking at it. */
enum status store_key_read(struct hash128 *out_result, const struct store *store, struct hash128 key,
                           struct trace *trace) MUST_CHECK;
/* Reads a result object. */
enum status store_result_read(struct store_result *out, struct arena *arena, const struct store *store,
                              struct hash128 id, struct trace *trace) MUST_CHECK;

/* The record of the last run with this key: JSON text, hashed nowhere. */
enum status store_record_write(const struct store *store, struct hash128 key, struct str text,
                               struct trace *trace) MUST_CHECK;
/* NOT_FOUND when there is none. Release `out`. */
/* Where a training run with this key logs its steps, one JSON object a line; on `arena`. Its folder is there.
 */
enum status store_steps_path(char **out, struct arena *arena, const struct store *store, struct hash128 key,
                             struct trace *trace) MUST_CHECK;
enum status store_record_read(struct builder *out, const struct store *store, struct hash128 key,
                              struct trace *trace) MUST_CHECK;

#endif
