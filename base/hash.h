/* Hashes: XXH3-128 names objects (it detects accidents), SHA-256 is what users compare with sha256sum.
 * The hex form of an XXH3 is the canonical big-endian one that `xxhsum -H2` prints. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/status.h"
#include "base/str.h"
#include <stddef.h>
#include <stdint.h>

struct hash128 {
    uint64_t high, low;
};

enum { HASH128_HEX = 33, SHA256_HEX = 65 }; /* with the NUL */

bool hash128_equal(struct hash128 a, struct hash128 b);
void hash128_to_hex(struct hash128 hash, char hex[HASH128_HEX]);
bool hash128_from_hex(struct str hex, struct hash128 *out); /* exactly 32 lower-case digits */
struct hash128 hash128_of(const void *bytes, size_t length);

/* Streaming: create, update any number of times, finish; destroy accepts NULL. */
struct hasher; /* XXH3-128 */
struct hasher *hasher_create(void);
void hasher_update(struct hasher *hasher, const void *bytes, size_t length);
struct hash128 hasher_finish(const struct hasher *hasher);
void hasher_destroy(struct hasher *hasher);

struct sha256; /* libcrypto's */
struct sha256 *sha256_create(void);
void sha256_update(struct sha256 *sha, const void *bytes, size_t length);
void sha256_finish(struct sha256 *sha, char hex[SHA256_HEX]); /* once */
void sha256_destroy(struct sha256 *sha);

#endif
