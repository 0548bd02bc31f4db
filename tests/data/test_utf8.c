/* data/utf8.c: what is valid and what is not (Unicode 15, table 3-7), stepping, white space. */
#include "data/utf8.h"
#include "tests/support/test.h"

static struct str text_of(const char *bytes)
{
    return str_from(bytes);
}

static void accepts_characters_of_every_length(void **state)
{
    (void)state;
    const char *valid[] = {"",
                           "plain text longer than eight bytes",
                           "\x7f",
                           "\xc2\x80",
                           "\xdf\xbf",
                           "\xe0\xa0\x80",
                           "\xed\x9f\xbf",
                           "\xee\x80\x80",
                           "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80",
                           "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        assert_int_equal(utf8_find_invalid(text_of(valid[i])), strlen(valid[i]));
}

static void finds_the_first_wrong_byte(void **state)
{
    (void)state;
    const char *wrong[] = {
        "\x80",         "\xff",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3",         "\xe2\x82",     "\xf0\x9f\x99"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (size_t before = 0; before < 20; before++) {
            char text[32] = {0};
            memset(text, 'a', before);
            strcpy(text + before, wrong[i]);
            assert_int_equal(utf8_find_invalid(text_of(text)), before);
        }
}

static void names_the_offset(void **state)
{
    (void)state;
    struct trace trace = {0};
    assert_fails(utf8_check(text_of("abc\xff"), "the text", &trace), INVALID, &trace,
                 "byte 0xff at offset 3");
    assert_int_equal(utf8_check(text_of("abc"), "the text", NULL), OK);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 0x61) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        char bytes[5] = {'x'};
        uint32_t back;
        size_t length = utf8_write(bytes + 1, c);
        struct str text = {bytes + 1, length};
        assert_int_equal(utf8_find_invalid(text), length);
        assert_int_equal(utf8_read(text, &back), length);
        assert_int_equal(back, c);
        assert_int_equal(utf8_step_back(bytes, 1 + length), 1);
    }
}

/* One U+FFFD for each byte that belongs to no character: a lone continuation, a cut one, an overlong form. */
static void wrong_bytes_are_replaced(void **state)
{
    (void)state;
#define WRONG "\xef\xbf\xbd"
    struct builder out = {0};
    utf8_add_valid(&out, STR("a\x80z\xc3\xa9\xe2\x82"));
    assert_string_equal(builder_text(&out), "a" WRONG "z\xc3\xa9" WRONG WRONG);
    builder_clear(&out);
    utf8_add_valid(&out, STR("\xc0\xafplain text, valid to the end"));
    assert_string_equal(builder_text(&out), WRONG WRONG "plain text, valid to the end");
    builder_release(&out);
}

static void knows_white_space(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (uint32_t c = 0; c < 0x110000; c++)
        count += utf8_is_space(c);
    assert_int_equal(count, 25); /* PropList.txt, White_Space */
    assert_true(utf8_is_space(0x3000) && utf8_is_space(0x85) && !utf8_is_space(0x200b) &&
                !utf8_is_space(0x180e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_characters_of_every_length),
        cmocka_unit_test(finds_the_first_wrong_byte),
        cmocka_unit_test(names_the_offset),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(wrong_bytes_are_replaced),
        cmocka_unit_test(knows_white_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
