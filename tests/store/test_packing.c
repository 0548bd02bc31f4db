/* store/packing.c: bytes come back, or their damage is told. */
#include "store/packing.h"
#include "tests/support/test.h"

enum { LENGTH = 5000 };

static void gives_back_what_was_packed(void **state)
{
    (void)state;
    struct trace trace = {0};
    for (size_t length = 0; length <= LENGTH; length += 1250) {
        struct builder packed = {0};
        char bytes[LENGTH], back[LENGTH];
        for (size_t i = 0; i < length; i++)
            bytes[i] = (char)(i / 40);
        builder_add_text(&packed, "before");
        pack_bytes(&packed, bytes, length);
        assert_ok(unpack_bytes(back, length, packed.data + 6, packed.length - 6, &trace), &trace);
        assert_memory_equal(back, bytes, length);
        assert_true(length < LENGTH || packed.length < LENGTH / 2);
        builder_release(&packed);
    }
}

static void tells_damage(void **state)
{
    (void)state;
    struct trace trace = {0};
    struct builder packed = {0};
    char bytes[LENGTH], back[LENGTH + 1];
    for (size_t i = 0; i < LENGTH; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    pack_bytes(&packed, bytes, LENGTH);
    assert_fails(unpack_bytes(back, LENGTH + 1, packed.data, packed.length, &trace), CORRUPT, &trace,
                 "expected 5001 compressed bytes, found 5000");
    assert_fails(unpack_bytes(back, LENGTH - 1, packed.data, packed.length, &trace), CORRUPT, &trace,
                 "damaged");
    assert_fails(unpack_bytes(back, LENGTH, packed.data, packed.length - 1, &trace), CORRUPT, &trace,
                 "damaged");
    assert_fails(unpack_bytes(back, LENGTH, packed.data, 0, &trace), CORRUPT, &trace, "compressed bytes");
    for (size_t at = 8; at < packed.length; at += 97) {
        packed.data[at] ^= 4;
        enum status status = unpack_bytes(back, LENGTH, packed.data, packed.length, &trace);
        assert_int_equal(status, CORRUPT);
        trace = (struct trace){0};
        packed.data[at] ^= 4;
    }
    builder_release(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_packed),
        cmocka_unit_test(tells_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
