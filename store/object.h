/* Objects: bytes under the hash of their header and themselves; never changed, only added and, by gc,
 * removed.
 *
 * Kinds are short words ([a-z-], 1 to 15): tensor, model, manifest, result, names, tokens, text, scores,
 * report, ... The payload of an object starts at offset OBJECT_HEADER of its file. An object whose header,
 * length or hash is wrong is CORRUPT, by name, and stays as it is. */
#ifndef STORE_OBJECT_H
#define STORE_OBJECT_H

#include "base/file.h"
#include "base/hash.h"
#include "base/status.h"
#include "base/str.h"
#include "store/id.h"
#include "store/store.h"
#include <stdbool.h>
#include <stdint.h>

enum { OBJECT_HEADER = 64, OBJECT_KIND = 16 /* with the NUL */ };
#define OBJECT_LENGTH_UNKNOWN UINT64_MAX

enum object_digest { OBJECT_XXH3, OBJECT_SHA256_TOO };
enum object_check { OBJECT_TRUST, OBJECT_VERIFY };

/* Writes one object. With a known length the bytes go to a temporary and are hashed on the way; with
 * OBJECT_LENGTH_UNKNOWN they gather in memory until commit, so give the length of anything large. */
struct object_writer {
    const struct store *store;
    char kind[OBJECT_KIND];
    uint64_t expected, added;
    struct file_writer file;
    struct hasher *hasher;
    struct sha256 *sha256;
    struct builder spool;
    bool is_open; /* false in zeroed memory */
};

enum status object_writer_open(struct object_writer *out, const struct store *store, const char *kind,
                               uint64_t length, enum object_digest digest, struct trace *trace) MUST_CHECK;
/* INVALID when more comes than was announced. */
enum status object_writer_add(struct object_writer *w, const void *bytes, size_t length,
                              struct trace *trace) MUST_CHECK;
/* The object is in the store when this returns OK, whether it was new or not. `sha256`, of the payload, may
 * be NULL; else the writer was opened with OBJECT_SHA256_TOO. INVALID when fewer bytes came than were
 * announced. */
enum status object_writer_commit(struct hash128 *out_id, char sha256[SHA256_HEX], struct object_writer *w,
                                 struct trace *trace) MUST_CHECK;
void object_writer_release(struct object_writer *w); /* drops what is not committed; accepts zeroed memory */

/* One-shot. `sha256` may be NULL. */
enum status store_put(struct hash128 *out_id, char sha256[SHA256_HEX], const struct store *store,
                      const char *kind, const void *bytes, size_t length, struct trace *trace) MUST_CHECK;
/* Copies a file in. */
enum status store_put_file(struct hash128 *out_id, char sha256[SHA256_HEX], const struct store *store,
                           const char *kind, const char *path, struct trace *trace) MUST_CHECK;

/* An object, mapped. */
struct store_object {
    struct mapping mapping;
    struct hash128 id;
    char kind[OBJECT_KIND];
    const uint8_t *data; /* the payload, aligned to 64 bytes */
    size_t size;
};

/* `kind` is what the caller expects (INVALID otherwise), or NULL. OBJECT_TRUST checks header and length,
 * OBJECT_VERIFY hashes everything. NOT_FOUND when the store does not have it; a tensor that lives in a file
 * of the user's is found by tensor_object_open() only. */
enum status store_open_object(struct store_object *out, const struct store *store, struct hash128 id,
                              const char *kind, enum object_check check, struct trace *trace) MUST_CHECK;
void store_object_release(struct store_object *object);          /* accepts zeroed memory */
struct str store_object_text(const struct store_object *object); /* the payload, borrowed */

/* Is there a file of that name (or a tensor in a file of the user's)? It is not read. */
bool store_has_object(const struct store *store, struct hash128 id);
/* SHA-256 of the payload. */
void store_object_sha256(char sha256[SHA256_HEX], const struct store_object *object);

bool object_kind_is_valid(const char *kind);
/* The canonical header. `kind` is valid. */
void object_header_write(char header[OBJECT_HEADER], const char *kind, uint64_t length);
/* False unless it is canonical. */
bool object_header_read(const uint8_t header[OBJECT_HEADER], char kind[OBJECT_KIND], uint64_t *length);

#endif
