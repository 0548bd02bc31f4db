/* Against the examples of the Protocol Buffers documentation, "Encoding". */
#include "emit/wire_writer.h"
#include "tests/support/test.h"

static void assert_bytes(struct builder *b, const char *expected, size_t length)
{
    assert_int_equal(b->length, length);
    assert_memory_equal(b->data, expected, length);
    builder_release(b);
}

static void writes_integers_as_varints(void **state)
{
    (void)state;
    struct builder b = {0};
    wire_integer(&b, 1, 150);
    assert_bytes(&b, "\x08\x96\x01", 3);
    wire_integer(&b, 1, -2);
    assert_bytes(&b, "\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    wire_integer(&b, 20, 0);
    assert_bytes(&b, "\xa0\x01\x00", 3);
}

static void writes_text_with_its_length(void **state)
{
    (void)state;
    struct builder b = {0};
    wire_text(&b, 2, "testing");
    assert_bytes(&b, "\x12\x07testing", 9);
}

static void writes_nested_messages(void **state)
{
    (void)state;
    struct builder inner = {0}, b = {0};
    wire_integer(&inner, 1, 150);
    wire_message(&b, 3, &inner);
    assert_bytes(&b, "\x1a\x03\x08\x96\x01", 5);
    builder_clear(&inner);
    wire_message(&b, 3, &inner);
    assert_bytes(&b, "\x1a\x00", 2);
    builder_release(&inner);
}

static void writes_doubles_low_byte_first(void **state)
{
    (void)state;
    struct builder b = {0};
    wire_double(&b, 1, 1.5);
    assert_bytes(&b, "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f", 9);
}

static void opens_fields_of_more_than_four_gigabytes(void **state)
{
    (void)state;
    struct builder b = {0};
    wire_open(&b, 9, UINT64_C(1) << 33);
    assert_bytes(&b, "\x4a\x80\x80\x80\x80\x20", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_integers_as_varints),
        cmocka_unit_test(writes_text_with_its_length),
        cmocka_unit_test(writes_nested_messages),
        cmocka_unit_test(writes_doubles_low_byte_first),
        cmocka_unit_test(opens_fields_of_more_than_four_gigabytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
