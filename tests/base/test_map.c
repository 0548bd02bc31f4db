/* Maps find what was added, and only that, in order of insertion. */
#include "base/map.h"
#include "tests/support/test.h"

enum { MANY = 100000 };

static struct str key_of(char *room, size_t size, uint32_t i)
{
    return (struct str){room, (size_t)snprintf(room, size, "layers.%u.weight", i)};
}

static void finds_nothing_in_an_empty_map(void **state)
{
    (void)state;
    struct map map = {0};
    assert_false(map_find_text(&map, STR("a"), NULL));
    assert_false(map_find_number(&map, 0, NULL));
}

static void finds_100000_texts(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct map map = {0};
    char room[64];
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(map_add_text(&map, &arena, key_of(room, sizeof room, i), i ^ 0x5555));
    assert_int_equal(map.count, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t value;
        assert_true(map_find_text(&map, key_of(room, sizeof room, i), &value));
        assert_int_equal(value, i ^ 0x5555);
        assert_true(str_equal(map.entries[i].text, key_of(room, sizeof room, i)));
    }
    assert_false(map_find_text(&map, key_of(room, sizeof room, MANY), NULL));
    assert_false(map_find_text(&map, STR(""), NULL));
    arena_release(&arena);
}

static void finds_100000_numbers(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct map map = {0};
    /* Numbers that differ in high bits only must not collapse into one slot. */
    for (uint64_t i = 0; i < MANY; i++)
        assert_true(map_add_number(&map, &arena, i << 40, (uint32_t)i));
    for (uint64_t i = 0; i < MANY; i++) {
        uint32_t value;
        assert_true(map_find_number(&map, i << 40, &value));
        assert_int_equal(value, i);
        assert_false(map_find_number(&map, (i << 40) + 1, NULL));
        assert_int_equal(map.entries[i].number, i << 40);
    }
    arena_release(&arena);
}

static void keeps_the_first_value_of_a_key(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct map map = {0};
    uint32_t value;
    assert_true(map_add_text(&map, &arena, STR("key"), 1));
    assert_false(map_add_text(&map, &arena, STR("key"), 2));
    assert_true(map_find_text(&map, STR("key"), &value));
    assert_int_equal(value, 1);
    assert_int_equal(map.count, 1);
    arena_release(&arena);
}

static void copies_its_keys(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct map map = {0};
    char key[] = "abc";
    assert_true(map_add_text(&map, &arena, (struct str){key, 3}, 9));
    key[0] = 'z';
    assert_true(map_find_text(&map, STR("abc"), NULL));
    assert_false(map_find_text(&map, STR("zbc"), NULL));
    arena_release(&arena);
}

static void accepts_empty_and_binary_keys(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct map map = {0};
    uint32_t value;
    assert_true(map_add_text(&map, &arena, (struct str){NULL, 0}, 1));
    assert_true(map_add_text(&map, &arena, STR("\0"), 2));
    assert_true(map_add_text(&map, &arena, STR("\0\0"), 3));
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(map_add_text(&map, &arena, (struct str){(char *)&i, sizeof i}, i));
    assert_true(map_find_text(&map, STR(""), &value));
    assert_int_equal(value, 1);
    assert_true(map_find_text(&map, STR("\0\0"), &value));
    assert_int_equal(value, 3);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_nothing_in_an_empty_map),
        cmocka_unit_test(finds_100000_texts),
        cmocka_unit_test(finds_100000_numbers),
        cmocka_unit_test(keeps_the_first_value_of_a_key),
        cmocka_unit_test(copies_its_keys),
        cmocka_unit_test(accepts_empty_and_binary_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
