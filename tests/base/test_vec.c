/* Vectors grow, keep their items, and hand out zeroed new ones. */
#include "base/vec.h"
#include "tests/support/test.h"

struct item {
    uint64_t number;
    char letter;
};

static void keeps_items_while_growing(void **state)
{
    (void)state;
    struct arena arena = {0};
    VEC(struct item) items = {0};
    for (uint32_t i = 0; i < 10000; i++) {
        struct item *item = VEC_PUSH(&arena, &items);
        assert_int_equal(item->number, 0);
        assert_int_equal(item->letter, 0);
        *item = (struct item){i * UINT64_C(1000003), (char)(i % 128)};
        assert_ptr_equal(item, &VEC_LAST(&items));
    }
    assert_int_equal(items.count, 10000);
    for (uint32_t i = 0; i < items.count; i++) {
        assert_int_equal(items.items[i].number, i * UINT64_C(1000003));
        assert_int_equal(items.items[i].letter, i % 128);
    }
    arena_release(&arena);
}

static void moves_nothing_where_there_is_room(void **state)
{
    (void)state;
    struct arena arena = {0};
    VEC(int) numbers = {0};
    VEC_MAKE_ROOM(&arena, &numbers, 100);
    int *first = VEC_PUSH(&arena, &numbers);
    for (int i = 1; i < 100; i++)
        assert_int_equal(*VEC_PUSH(&arena, &numbers), 0);
    assert_ptr_equal(first, numbers.items);
    assert_int_equal(numbers.count, 100);
    arena_release(&arena);
}

static void pushes_zeroed_items_after_a_removal(void **state)
{
    (void)state;
    struct arena arena = {0};
    VEC(int) numbers = {0};
    for (int i = 0; i < 5; i++)
        *VEC_PUSH(&arena, &numbers) = 7;
    numbers.count = 2;
    assert_int_equal(*VEC_PUSH(&arena, &numbers), 0);
    assert_int_equal(numbers.items[1], 7);
    arena_release(&arena);
}

static void reserves_without_counting(void **state)
{
    (void)state;
    struct arena arena = {0};
    VEC(char) letters = {0};
    vec_reserve(&arena, (void **)&letters.items, &letters.capacity, 0, 1);
    assert_true(letters.capacity > 0);
    assert_int_equal(letters.count, 0);
    char *before = letters.items;
    vec_reserve(&arena, (void **)&letters.items, &letters.capacity, 0, 1);
    assert_ptr_equal(before, letters.items);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_items_while_growing),
        cmocka_unit_test(moves_nothing_where_there_is_room),
        cmocka_unit_test(pushes_zeroed_items_after_a_removal),
        cmocka_unit_test(reserves_without_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
