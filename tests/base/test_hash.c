/* Hashes against what `xxhsum -H2` (0.8.1) and `sha256sum` print for the same bytes. The long inputs are the
 * output of `yes espalier | head -c N`. */
#include "base/hash.h"
#include "tests/support/test.h"

static const struct {
    size_t length;
    const char *text; /* NULL: the long input */
    const char *xxh3, *sha256;
} vectors[] = {
    // clang-format off
    {0, "", "99aa06d3014798d86001c324468d497f", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "a", "a96faf705af16834e6c632b61e964e1f", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"},
    {3, "abc", "06b05ab6733a618578af5f94892f3950", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {100, NULL, "f69328814737d60dfea87e9fcff58beb", "b8af7f07634ea5858e34990983cb4b6f0050eea3d2f0f249e87e60d88c2ddd22"},
    {200, NULL, "7846b095d13239b20436fe71ce2520d8", NULL},
    {1000000, NULL, "0d5aeb01f6ab104aa4bf09efb1a4d882", "dbc44805c585f821111c90cc253943dd6e575d98f5ac97f0d7a0e095e185991e"},
    // clang-format on
};
enum { VECTORS = sizeof vectors / sizeof *vectors };

static char *input_of(int i)
{
    char *bytes = malloc(vectors[i].length + 1);
    for (size_t at = 0; at < vectors[i].length; at++)
        bytes[at] = vectors[i].text ? vectors[i].text[at] : "espalier\n"[at % 9];
    return bytes;
}

static void agrees_with_xxhsum(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        char *bytes = input_of(i), hex[HASH128_HEX];
        hash128_to_hex(hash128_of(bytes, vectors[i].length), hex);
        assert_string_equal(hex, vectors[i].xxh3);
        free(bytes);
    }
}

static void agrees_with_xxhsum_in_pieces(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        char *bytes = input_of(i), hex[HASH128_HEX];
        struct hasher *hasher = hasher_create();
        for (size_t at = 0, step = 1; at < vectors[i].length; at += step, step = step * 2 % 3001 + 1) {
            size_t left = vectors[i].length - at;
            if (step > left)
                step = left;
            hasher_update(hasher, bytes + at, step);
        }
        hash128_to_hex(hasher_finish(hasher), hex);
        assert_string_equal(hex, vectors[i].xxh3);
        hasher_destroy(hasher);
        free(bytes);
    }
}

static void agrees_with_sha256sum(void **state)
{
    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        if (!vectors[i].sha256)
            continue;
        char *bytes = input_of(i), hex[SHA256_HEX];
        size_t half = vectors[i].length / 2;
        struct sha256 *sha = sha256_create();
        sha256_update(sha, bytes, half);
        sha256_update(sha, bytes + half, vectors[i].length - half);
        sha256_finish(sha, hex);
        assert_string_equal(hex, vectors[i].sha256);
        sha256_destroy(sha);
        free(bytes);
    }
}

static void finishing_does_not_end_a_stream(void **state)
{
    (void)state;
    struct hasher *hasher = hasher_create();
    hasher_update(hasher, "ab", 2);
    (void)hasher_finish(hasher);
    hasher_update(hasher, "c", 1);
    assert_true(hash128_equal(hasher_finish(hasher), hash128_of("abc", 3)));
    hasher_destroy(hasher);
}

static void hex_goes_there_and_back(void **state)
{
    (void)state;
    struct hash128 hash = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)}, back;
    char hex[HASH128_HEX];
    hash128_to_hex(hash, hex);
    assert_string_equal(hex, "0123456789abcdeffedcba9876543210");
    assert_true(hash128_from_hex(str_from(hex), &back));
    assert_true(hash128_equal(hash, back));
    back.low++;
    assert_false(hash128_equal(hash, back));
}

static void refuses_wrong_hex(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "0123456789abcdeffedcba987654321",
                                        "0123456789abcdeffedcba98765432100",
                                        "0123456789ABCDEFfedcba9876543210",
                                        "0123456789abcdeg0123456789abcdef",
                                        " 123456789abcdef0123456789abcdef"};
    struct hash128 hash = {1, 2};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(hash128_from_hex(str_from(wrong[i]), &hash));
    assert_true(hash.high == 1 && hash.low == 2);
}

static void destroy_accepts_null(void **state)
{
    (void)state;
    hasher_destroy(NULL);
    sha256_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_xxhsum),      cmocka_unit_test(agrees_with_xxhsum_in_pieces),
        cmocka_unit_test(agrees_with_sha256sum),   cmocka_unit_test(finishing_does_not_end_a_stream),
        cmocka_unit_test(hex_goes_there_and_back), cmocka_unit_test(refuses_wrong_hex),
        cmocka_unit_test(destroy_accepts_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
