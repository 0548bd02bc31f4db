/* See base/hash.h. */
#include "base/hash.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <xxhash.h>

static const char digits[] = "0123456789abcdef";

bool hash128_equal(struct hash128 a, struct hash128 b)
{
    return a.high == b.high && a.low == b.low;
}

void hash128_to_hex(struct hash128 hash, char hex[HASH128_HEX])
{
    for (int i = 0; i < 16; i++) {
        hex[i] = digits[hash.high >> (60 - 4 * i) & 15];
        hex[16 + i] = digits[hash.low >> (60 - 4 * i) & 15];
    }
    hex[32] = '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hash128_from_hex(struct str hex, struct hash128 *out)
{
    struct hash128 hash = {0, 0};
    if (hex.length != HASH128_HEX - 1)
        return false;
    for (size_t i = 0; i < hex.length; i++) {
        int value = digit_value(hex.data[i]);
        if (value < 0)
            return false;
        hash.high = hash.high << 4 | hash.low >> 60;
        hash.low = hash.low << 4 | (uint64_t)value;
    }
    *out = hash;
    return true;
}

static struct hash128 from_xxh(XXH128_hash_t hash)
{
    return (struct hash128){hash.high64, hash.low64};
}

struct hash128 hash128_of(const void *bytes, size_t length)
{
    return from_xxh(XXH3_128bits(length ? bytes : "", length));
}

/* struct hasher is XXH3_state_t, and struct sha256 is EVP_MD_CTX, under names that keep those headers out of
 * everyone else's sight. */
struct hasher *hasher_create(void)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_128bits_reset(state) != XXH_OK)
        BUG("cannot make an XXH3 state");
    return (struct hasher *)state;
}

void hasher_update(struct hasher *hasher, const void *bytes, size_t length)
{
    if (length && XXH3_128bits_update((XXH3_state_t *)hasher, bytes, length) != XXH_OK)
        BUG("XXH3 refused %zu bytes", length);
}

struct hash128 hasher_finish(const struct hasher *hasher)
{
    return from_xxh(XXH3_128bits_digest((const XXH3_state_t *)hasher));
}

void hasher_destroy(struct hasher *hasher)
{
    XXH3_freeState((XXH3_state_t *)hasher);
}

struct sha256 *sha256_create(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        BUG("libcrypto has no SHA-256");
    return (struct sha256 *)context;
}

void sha256_update(struct sha256 *sha, const void *bytes, size_t length)
{
    if (length && EVP_DigestUpdate((EVP_MD_CTX *)sha, bytes, length) != 1)
        BUG("SHA-256 refused %zu bytes", length);
}

void sha256_finish(struct sha256 *sha, char hex[SHA256_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_DigestFinal_ex((EVP_MD_CTX *)sha, digest, &length) != 1 || length != 32)
        BUG("SHA-256 did not finish");
    for (unsigned int i = 0; i < length; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

void sha256_destroy(struct sha256 *sha)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)sha);
}
